//! Installations: a version of a template living in an application.

mod input;
mod load;

pub use input::{
    InstallTemplateInput, InstallTemplatePayload, NewTeamInput, OnFailure, PlanInstallationInput, PlanUpgradeInput,
    SuppliedValueInput, UninstallInput, UninstallPayload, UpgradeInstallationInput, UpgradeInstallationPayload,
};
pub use load::{FirstInstallationsKey, FirstUpgradesKey, InstallationCountKey, InstallationKey, UpgradeCountKey};

use super::{
    actor, app,
    application::{Application, WholeKey},
    asked,
    cluster::{Cluster, cluster_of},
    component::Component,
    deployment::stale,
    error::{IntoGraphql as _, Payload as _, answer},
    id,
    loader::load,
    page::{self, Cursor, Page, PageRequest},
    plan::{Change, Plan, decode_digest},
    record::{self, UpgradeRecordConnection},
    team::{Team, TeamKey},
    template::{AppTemplate, TemplateKey},
    version::{TemplateVersion, TemplateVersionConnection, VersionKey},
};
use crate::{
    connection,
    error::{Error, Result},
    id::{ApplicationId, InstallationId},
    seal::Secret,
    service::{
        authorize,
        execute::Executed,
        install_template::{self, ApplicationChoice, Install, TeamChoice},
        supplied::Supplied,
        uninstall::{self, Uninstall},
        upgrade_installation::{self, Upgrade},
    },
    store::{installation as rows, version},
};
use async_graphql::{Context, Enum, ID, Object};
use ropeway_domain::{ChangeId, ComponentKey, access::TeamAction, operation as domain};
use std::collections::BTreeSet;

/// The most values that are supplied at once.
const MAX_VALUES: usize = 500;

/// The most components that are chosen at once.
const MAX_COMPONENTS: usize = 1000;

/// The most changes that are accepted at once.
const MAX_ACCEPTED: usize = 2000;

/// One version of one template living in an application.
#[derive(Debug, Clone)]
pub struct Installation {
    row: rows::Installation,
}

/// Where an installation is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::InstallationState")]
pub enum InstallationState {
    /// Its first operation is under way.
    Installing,
    /// It is as its version wants it.
    Installed,
    /// Some of it succeeded and some did not.
    Partial,
    /// Nothing of its last change succeeded.
    Failed,
    /// An upgrade is under way.
    Upgrading,
    /// A rollback is under way.
    RollingBack,
    /// Its deletion is under way.
    Uninstalling,
}

connection! {
    /// Installations of an application.
    InstallationConnection, InstallationEdge, Installation
}

/// Queries of installations.
#[derive(Default)]
pub struct InstallationQuery;

/// Mutations of installations.
#[derive(Default)]
pub struct InstallationMutation;

/// One version of one template living in an application.
#[Object]
impl Installation {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Where it lives.
    async fn application(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Application>> {
        let whole = load(ctx, WholeKey(self.row.application_id)).await.graphql()?;
        Ok(whole.map(|whole| whole.application.clone().into()))
    }

    /// Whose it is.
    async fn team(&self, ctx: &Context<'_>) -> async_graphql::Result<Team> {
        let row = load(ctx, TeamKey(self.row.team_id)).await.graphql()?;
        row.ok_or(Error::NotFound("the team")).graphql()
    }

    /// In which cluster it lives.
    async fn cluster(&self, ctx: &Context<'_>) -> async_graphql::Result<Cluster> {
        cluster_of(ctx, self.row.cluster_id).await.graphql()
    }

    /// Of which template it is.
    async fn template(&self, ctx: &Context<'_>) -> async_graphql::Result<AppTemplate> {
        let row = load(ctx, TemplateKey(self.row.template_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the template")).graphql()
    }

    /// The version that all of it is at. After a partial upgrade it is the one before; each component says its own.
    async fn version(&self, ctx: &Context<'_>) -> async_graphql::Result<TemplateVersion> {
        let row = load(ctx, VersionKey(self.row.version_id)).await.graphql()?;
        row.map(Into::into).ok_or(Error::NotFound("the version")).graphql()
    }

    /// Where it is.
    async fn state(&self) -> InstallationState {
        self.row.state.0.into()
    }

    /// Its components.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn components(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Component>> {
        let whole = load(ctx, WholeKey(self.row.application_id)).await.graphql()?;
        Ok(whole.map(|whole| Component::of_installation(&whole, self.row.id)).unwrap_or_default())
    }

    /// The versions to which it can be upgraded, the greatest first.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn upgradable_versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<TemplateVersionConnection> {
        let result = async {
            let page: PageRequest<Vec<u8>> = PageRequest::new(ctx, "TemplateVersion", first, after.as_ref())?;
            let rows = if page.after.is_some() {
                let mut conn = app(ctx).database.read().await?;
                let at = version::find(&mut conn, self.row.version_id).await?.ok_or(Error::NotFound("the version"))?;
                version::upgrades(&mut conn, &at, page.after.clone(), page.limit()).await?
            } else {
                let key = FirstUpgradesKey { installation: self.row.id, limit: page.limit() };
                load(ctx, key).await?.unwrap_or_default()
            };
            let count = if page.count { load(ctx, UpgradeCountKey(self.row.id)).await? } else { None };
            Ok::<_, Error>(Page::of(&page, rows, count.unwrap_or_default(), |row| row.sort_key.clone()))
        };
        result.await.map(Into::into).graphql()
    }

    /// Its upgrades and rollbacks, newest first.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn upgrade_records(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<UpgradeRecordConnection> {
        record::of_installation(ctx, self.row.application_id, self.row.id, first, after.as_ref()).await.graphql()
    }

    /// Differences to its version that were kept.
    async fn kept_changes(&self) -> Vec<Change> {
        self.row.kept_changes.0.iter().cloned().map(Into::into).collect()
    }
}

#[Object]
impl InstallationQuery {
    /// One installation.
    async fn installation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Installation>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }

    /// What an installation would do, and everything that stands in its way.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_installation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be installed where.")] input: PlanInstallationInput,
    ) -> async_graphql::Result<Plan> {
        let result = async {
            let PlanInstallationInput {
                version_id,
                cluster_id,
                team_id,
                new_team,
                application_id,
                application_name,
                reuse_volumes_of,
                values,
            } = input;
            let input = InstallTemplateInput {
                version_id,
                cluster_id,
                team_id,
                new_team,
                application_id,
                application_name,
                reuse_volumes_of,
                values,
                plan_digest: None,
                progress_deadline_seconds: None,
            };
            install_template::plan(app(ctx), actor(ctx)?, &decode_install(input)?).await
        };
        result.await.map(Into::into).graphql()
    }

    /// What an upgrade would change, keep and offer.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_upgrade(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be upgraded to what.")] input: PlanUpgradeInput,
    ) -> async_graphql::Result<Plan> {
        let result = async {
            let PlanUpgradeInput { installation_id, version_id, components, accept, values } = input;
            let input = UpgradeInstallationInput {
                installation_id,
                version_id,
                components,
                accept,
                values,
                plan_digest: None,
                on_failure: None,
                progress_deadline_seconds: None,
            };
            upgrade_installation::plan(app(ctx), actor(ctx)?, &decode_upgrade(input)?).await
        };
        result.await.map(Into::into).graphql()
    }

    /// What ending an installation would delete and keep.
    #[graphql(complexity = "super::limits::PLAN + child_complexity")]
    async fn plan_uninstall(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be ended.")] input: UninstallInput,
    ) -> async_graphql::Result<Plan> {
        let result = async { uninstall::plan(app(ctx), actor(ctx)?, &decode_uninstall(&input)?).await };
        result.await.map(Into::into).graphql()
    }
}

#[Object]
impl InstallationMutation {
    /// Installs a version in a cluster, for a team that exists or is made on the way.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn install_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be installed where.")] input: InstallTemplateInput,
    ) -> async_graphql::Result<InstallTemplatePayload> {
        let result = async { install_template::install_template(app(ctx), actor(ctx)?, &decode_install(input)?).await };
        answer(result.await, |executed| match executed {
            Executed::Begun { subject, operation } => InstallTemplatePayload {
                installation: Some(subject.into()),
                operation: Some(operation.into()),
                plan: None,
                errors: Vec::new(),
            },
            Executed::Stale(plan) => {
                InstallTemplatePayload { plan: Some(plan.into()), ..InstallTemplatePayload::refused(vec![stale()]) }
            }
        })
    }

    /// Upgrades an installation. What is environment, configuration or storage stays as it is here, unless its change
    /// is accepted.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn upgrade_installation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be upgraded to what.")] input: UpgradeInstallationInput,
    ) -> async_graphql::Result<UpgradeInstallationPayload> {
        let result =
            async { upgrade_installation::upgrade_installation(app(ctx), actor(ctx)?, &decode_upgrade(input)?).await };
        answer(result.await, |executed| match executed {
            Executed::Begun { subject, operation } => UpgradeInstallationPayload {
                upgrade_record: Some(subject.into()),
                operation: Some(operation.into()),
                plan: None,
                errors: Vec::new(),
            },
            Executed::Stale(plan) => UpgradeInstallationPayload {
                plan: Some(plan.into()),
                ..UpgradeInstallationPayload::refused(vec![stale()])
            },
        })
    }

    /// Ends an installation: its objects are deleted in reverse order of dependencies. Persistent volumes are kept
    /// unless asked otherwise.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn uninstall(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be ended.")] input: UninstallInput,
    ) -> async_graphql::Result<UninstallPayload> {
        let result = async { uninstall::uninstall(app(ctx), actor(ctx)?, &decode_uninstall(&input)?).await };
        answer(result.await, |(installation, operation)| UninstallPayload {
            installation: Some(installation.into()),
            operation: Some(operation.into()),
            errors: Vec::new(),
        })
    }
}

impl From<rows::Installation> for Installation {
    fn from(row: rows::Installation) -> Self {
        Self { row }
    }
}

/// An installation, if the caller may see it.
pub async fn find(ctx: &Context<'_>, id: InstallationId) -> async_graphql::Result<Installation> {
    let result = async {
        let mut conn = app(ctx).database.read().await?;
        let (row, _) = authorize::installation(&mut conn, actor(ctx)?, id, TeamAction::View).await?;
        Ok::<_, Error>(row)
    };
    result.await.map(Into::into).graphql()
}

/// A page of the installations of an application that the caller may see.
pub async fn of_application(
    ctx: &Context<'_>,
    application: ApplicationId,
    first: Option<i32>,
    after: Option<&Cursor>,
) -> Result<InstallationConnection> {
    let page = PageRequest::new(ctx, "Installation", first, after)?;
    let rows = if page.after.is_some() {
        let mut conn = app(ctx).database.read().await?;
        rows::page(&mut conn, application, page.after, page.limit()).await?
    } else {
        load(ctx, FirstInstallationsKey { application, limit: page.limit() }).await?.unwrap_or_default()
    };
    let count = if page.count { load(ctx, InstallationCountKey(application)).await? } else { None };
    Ok(Page::of(&page, rows, count.unwrap_or_default(), |row| (row.created_at, row.id)).into())
}

fn decode_install(input: InstallTemplateInput) -> Result<Install> {
    let team = match (input.team_id, input.new_team) {
        (Some(id), None) => TeamChoice::Existing(id::decode(&id, "teamId")?),
        (None, Some(new)) => TeamChoice::New { name: new.name, slug: new.slug },
        _ => return Err(Error::invalid("ONE_OF", ["teamId"], "give either teamId or newTeam")),
    };
    let application = match (input.application_id, input.application_name) {
        (Some(id), None) => ApplicationChoice::Existing(id::decode(&id, "applicationId")?),
        (None, name) => ApplicationChoice::New { name },
        _ => return Err(Error::invalid("ONE_OF", ["applicationId"], "give either applicationId or applicationName")),
    };
    Ok(Install {
        version_id: id::decode(&input.version_id, "versionId")?,
        cluster_id: id::decode(&input.cluster_id, "clusterId")?,
        team,
        application,
        reuse_volumes_of: input.reuse_volumes_of.map(|id| id::decode(&id, "reuseVolumesOf")).transpose()?,
        values: decode_values(input.values)?,
        plan_digest: decode_digest(input.plan_digest)?,
        progress_deadline_seconds: input.progress_deadline_seconds,
    })
}

fn decode_upgrade(input: UpgradeInstallationInput) -> Result<Upgrade> {
    Ok(Upgrade {
        installation_id: id::decode(&input.installation_id, "installationId")?,
        version_id: id::decode(&input.version_id, "versionId")?,
        components: input.components.as_deref().map(decode_keys).transpose()?,
        accept: decode_accepted(input.accept)?,
        values: decode_values(input.values)?,
        plan_digest: decode_digest(input.plan_digest)?,
        roll_back_on_failure: input.on_failure == Some(OnFailure::RollBack),
        progress_deadline_seconds: input.progress_deadline_seconds,
    })
}

fn decode_uninstall(input: &UninstallInput) -> Result<Uninstall> {
    Ok(Uninstall {
        installation_id: id::decode(&input.installation_id, "installationId")?,
        delete_volumes: input.delete_volumes.unwrap_or(false),
        retry_of: None,
    })
}

fn decode_keys(ids: &[ID]) -> Result<BTreeSet<ComponentKey>> {
    if ids.len() > MAX_COMPONENTS {
        return Err(Error::invalid("TOO_MANY", ["components"], format!("at most {MAX_COMPONENTS} components at once")));
    }
    ids.iter()
        .map(|id| {
            id.parse().map_err(|_| {
                let message = "this is no key of a component; use `key` of the version's components";
                Error::invalid("INVALID_ID", ["components"], message)
            })
        })
        .collect()
}

/// The ids of accepted changes.
pub fn decode_accepted(ids: Option<Vec<ID>>) -> Result<BTreeSet<ChangeId>> {
    let ids = ids.unwrap_or_default();
    if ids.len() > MAX_ACCEPTED {
        return Err(Error::invalid("TOO_MANY", ["accept"], format!("at most {MAX_ACCEPTED} changes at once")));
    }
    ids.iter().map(|id| id.parse().map_err(|e| Error::invalid("INVALID_ID", ["accept"], format!("{e}")))).collect()
}

fn decode_values(values: Option<Vec<SuppliedValueInput>>) -> Result<Vec<Supplied>> {
    let values = values.unwrap_or_default();
    if values.len() > MAX_VALUES {
        return Err(Error::invalid("TOO_MANY", ["values"], format!("at most {MAX_VALUES} values at once")));
    }
    (0..)
        .zip(values)
        .map(|(place, value): (usize, _)| {
            let owner = value.owner.parse().map_err(|_| {
                let path = ["values".to_owned(), place.to_string(), "owner".to_owned()];
                Error::invalid("INVALID_ID", path, "this is no key; use `owner` of the plan's asks")
            })?;
            Ok(Supplied { owner, name: value.name, value: Secret::new(value.value) })
        })
        .collect()
}
