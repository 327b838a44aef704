//! What would be published, to be reviewed and edited.

use crate::{
    graphql::{
        application::Drift,
        plan::{Blocker, Change, owner_key},
        version::{TemplateComponent, TemplateResource, TemplateVersion, template_components, template_resources},
        workload::SecretDecision,
    },
    service::plan_publication,
};
use async_graphql::{ID, SimpleObject};
use ropeway_domain::{model, publication::Undecided};

/// Everything that a publication would contain, to be reviewed and edited before it is submitted.
#[derive(Debug, Clone, SimpleObject)]
pub struct PublicationPlan {
    /// The components, as they would be published. Proposals stand where decisions are missing.
    pub components: Vec<TemplateComponent>,
    /// The Kubernetes resources, as they would be published.
    pub kubernetes_resources: Vec<TemplateResource>,
    /// Values that look like secrets and still need a decision, with a proposal.
    pub undecided: Vec<UndecidedSecret>,
    /// What publishing again under this number would replace. The revision is kept for those who run it.
    pub replaces: Option<TemplateVersion>,
    /// Where the cluster differs from what was deployed. It blocks until `onDrift` says what is published.
    pub drift: Vec<Drift>,
    /// Edits that are not deployed. They block until `onDrift` says what is published.
    pub undeployed: Vec<Change>,
    /// What must be settled before it can be submitted.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// The digest that the version would have: publishing the same again makes no new revision.
    pub content_digest: String,
    /// Over all that the plan rests on. Submitting it names it.
    pub digest: String,
}

/// A value that looks like a secret and needs a decision.
#[derive(Debug, Clone, SimpleObject)]
pub struct UndecidedSecret {
    /// The key of the component or Kubernetes resource in its application.
    pub owner: ID,
    /// What people call that.
    pub component: Option<String>,
    /// The name of the variable or entry, or the path of the file.
    pub name: String,
    /// In which list it is: `environment`, `connectionInfo`, `configFiles` or `secretData`, and its name there.
    #[graphql(name = "where")]
    pub place: String,
    /// What is proposed.
    pub proposal: SecretDecision,
}

impl From<plan_publication::PublicationPlan> for PublicationPlan {
    fn from(plan: plan_publication::PublicationPlan) -> Self {
        let preview = plan.preview;
        Self {
            components: template_components(&preview.content),
            kubernetes_resources: template_resources(&preview.content),
            undecided: preview.undecided.into_iter().map(Into::into).collect(),
            replaces: plan.replaces.map(Into::into),
            drift: plan.drift.into_iter().map(Into::into).collect(),
            undeployed: plan.undeployed.into_iter().map(Into::into).collect(),
            blockers: preview.blockers.into_iter().map(Into::into).collect(),
            warnings: preview.warnings,
            content_digest: preview.digest.to_string(),
            digest: plan.digest.to_string(),
        }
    }
}

impl From<Undecided> for UndecidedSecret {
    fn from(item: Undecided) -> Self {
        Self {
            owner: owner_key(item.place.owner),
            component: Some(item.owner_name),
            name: item.name,
            place: item.place.path,
            proposal: match item.proposal {
                model::SecretDecision::Generate(_) => SecretDecision::Generate,
                model::SecretDecision::Ask => SecretDecision::Ask,
                model::SecretDecision::Public => SecretDecision::Public,
            },
        }
    }
}
