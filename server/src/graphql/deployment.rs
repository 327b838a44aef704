//! Deployments: bringing the edits of an application into its cluster.

use super::{
    actor, app,
    application::Application,
    error::{IntoGraphql as _, Payload as _, UserError, answer},
    id,
    installation::decode_accepted,
    operation::Operation,
    plan::{Plan, decode_digest},
};
use crate::{
    error::Result,
    payload,
    service::{
        deploy_application::{self, Deploy},
        execute::Executed,
    },
};
use async_graphql::{Context, ID, InputObject, Object};
use std::collections::BTreeSet;

/// Input of `planDeployment`.
#[derive(InputObject)]
pub struct PlanDeploymentInput {
    /// Of which application.
    pub application_id: ID,
    /// Only these components; by default everything, Kubernetes resources and removals included.
    pub component_ids: Option<Vec<ID>>,
    /// The ids of changes that make an object anew, which are accepted.
    pub accept: Option<Vec<ID>>,
}

/// Input of `deployApplication`.
#[derive(InputObject)]
pub struct DeployApplicationInput {
    /// Which application.
    pub application_id: ID,
    /// Only these components; by default everything, Kubernetes resources and removals included.
    pub component_ids: Option<Vec<ID>>,
    /// The ids of changes that make an object anew, which are accepted.
    pub accept: Option<Vec<ID>>,
    /// The digest of the plan that was looked at. Where it does not hold any more, nothing is done and the new plan is
    /// returned. Without it the current plan is executed.
    pub plan_digest: Option<String>,
    /// Seconds until a component that does not become healthy has failed: 1 to 86400; by default as configured (600).
    pub progress_deadline_seconds: Option<i32>,
}

payload! {
    /// Answer of `deployApplication`.
    DeployApplicationPayload {
        /// The application.
        application: Application,
        /// The operation that carries it out.
        operation: Operation,
        /// The new plan, where the one that was named does not hold any more.
        plan: Plan,
    }
}

/// Queries of deployments.
#[derive(Default)]
pub struct DeploymentQuery;

/// Mutations of deployments.
#[derive(Default)]
pub struct DeploymentMutation;

#[Object]
impl DeploymentQuery {
    /// What applying the edits of an application would change in its cluster.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_deployment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be deployed.")] input: PlanDeploymentInput,
    ) -> async_graphql::Result<Plan> {
        let result = async {
            let actor = actor(ctx)?;
            let deploy = decode(&input.application_id, input.component_ids.as_deref(), input.accept)?;
            deploy_application::plan(app(ctx), actor, &deploy).await
        };
        result.await.map(Into::into).graphql()
    }
}

#[Object]
impl DeploymentMutation {
    /// Applies the edits of an application in its cluster, along the dependencies of its components.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn deploy_application(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be deployed.")] input: DeployApplicationInput,
    ) -> async_graphql::Result<DeployApplicationPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let deploy = Deploy {
                plan_digest: decode_digest(input.plan_digest)?,
                progress_deadline_seconds: input.progress_deadline_seconds,
                ..decode(&input.application_id, input.component_ids.as_deref(), input.accept)?
            };
            deploy_application::deploy_application(app(ctx), actor, &deploy).await
        };
        answer(result.await, |executed| match executed {
            Executed::Begun { subject, operation } => DeployApplicationPayload {
                application: Some(subject.into()),
                operation: Some(operation.into()),
                plan: None,
                errors: Vec::new(),
            },
            Executed::Stale(plan) => {
                DeployApplicationPayload { plan: Some(plan.into()), ..DeployApplicationPayload::refused(vec![stale()]) }
            }
        })
    }
}

/// What a caller is told who named a plan that does not hold any more.
pub fn stale() -> UserError {
    UserError {
        code: "PLAN_STALE".into(),
        message: "the plan does not hold any more; look at the new one and name its digest".into(),
        path: vec!["planDigest".into()],
        objects: Vec::new(),
    }
}

fn decode(application: &ID, components: Option<&[ID]>, accept: Option<Vec<ID>>) -> Result<Deploy> {
    Ok(Deploy {
        application_id: id::decode(application, "applicationId")?,
        component_ids: components.map(|ids| id::decode_list(ids, "componentIds", 200)).transpose()?,
        resources: BTreeSet::new(),
        accept: decode_accepted(accept)?,
        plan_digest: None,
        progress_deadline_seconds: None,
        retry_of: None,
    })
}
