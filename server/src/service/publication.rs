//! What the services of publications share: what is asked for, and who sees one.

use crate::{
    actor::Actor,
    error::{Error, Result},
    id::{ApplicationId, ComponentId, PublicationId, ResourceId, TemplateId},
    service::{authorize, component_settings::GivenVariable},
    store::{
        Conn,
        application::Application,
        publication::{self, Publication},
    },
};
use ropeway_domain::{
    ComponentKey, Digest,
    access::TeamAction,
    model::{ScaleRule, SecretDecision},
    operation::PublicationState,
};

/// What is to be published, and how it differs from what is deployed.
#[derive(Debug)]
pub struct PublicationRequest {
    /// Which application.
    pub application_id: ApplicationId,
    /// To which template.
    pub template_id: TemplateId,
    /// The number of the version.
    pub number: String,
    /// Such as "advanced edition".
    pub alias: Option<String>,
    /// For people.
    pub description: String,
    /// Components that are published otherwise than they are deployed.
    pub components: Vec<ComponentRequest>,
    /// Kubernetes resources about whose data something is decided.
    pub resources: Vec<ResourceRequest>,
    /// Components that are left out.
    pub exclude_components: Vec<ComponentId>,
    /// Kubernetes resources that are left out.
    pub exclude_resources: Vec<ResourceId>,
    /// The platforms that are copied of images for several; empty: all of them.
    pub platforms: Vec<String>,
    /// What is published where the application differs from what is deployed.
    pub on_drift: Option<DriftChoice>,
    /// The plan that was looked at; none: whatever it is now.
    pub plan_digest: Option<Digest>,
    /// Which component of the template a component is, where it does not carry that key.
    pub component_keys: Vec<(ComponentId, ComponentKey)>,
}

/// How a component is published otherwise than it is deployed.
#[derive(Debug)]
pub struct ComponentRequest {
    /// Which one.
    pub component_id: ComponentId,
    /// Instead of its environment: the whole list. What comes without a value keeps the one that it has.
    pub environment: Option<Vec<GivenVariable>>,
    /// Instead of its connection info: the whole list.
    pub connection_info: Option<Vec<GivenVariable>>,
    /// Files about which something is decided or that get another content; the others stay.
    pub config_files: Vec<FileRequest>,
    /// Instead of its scale rule.
    pub scale_rule: Option<ScaleRule>,
    /// Places of values that look like secrets and are none, such as `arguments/0`.
    pub public_values: Vec<String>,
}

/// A configuration file as it is to be published.
#[derive(Debug, Clone)]
pub struct FileRequest {
    /// Its path.
    pub path: String,
    /// What becomes of a secret.
    pub decision: Option<SecretDecision>,
    /// Its content; none: the one that it has.
    pub content: Option<String>,
}

/// What becomes of the data of a Kubernetes resource.
#[derive(Debug, Clone)]
pub struct ResourceRequest {
    /// Which one.
    pub resource_id: ResourceId,
    /// By the names of its entries.
    pub data: Vec<(String, SecretDecision)>,
}

/// What is published where the application differs from what is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, async_graphql::Enum)]
pub enum DriftChoice {
    /// What was deployed last: neither edits that are not deployed yet nor what was changed in the cluster.
    PublishDeployed,
}

/// A publication that somebody may see, with its application: one that is published is the team's, any other is its
/// author's alone.
pub async fn visible(conn: &mut Conn, actor: &Actor, id: PublicationId) -> Result<(Publication, Application)> {
    let missing = || Error::NotFound("the publication");
    let row = publication::find(conn, id).await?.ok_or_else(missing)?;
    let application = authorize::application(conn, actor, row.application_id, TeamAction::View).await;
    let application = application.map_err(|error| match error {
        Error::NotFound(_) => missing(),
        error => error,
    })?;
    if row.state.0 == PublicationState::Published || row.created_by == actor.user_id {
        Ok((row, application))
    } else {
        Err(missing())
    }
}

/// A publication that somebody may retry, confirm or abandon: its author, as long as they may publish at all.
pub async fn own(conn: &mut Conn, actor: &Actor, id: PublicationId) -> Result<(Publication, Application)> {
    let (row, application) = visible(conn, actor, id).await?;
    authorize::application(conn, actor, application.id, TeamAction::Publish).await?;
    if row.created_by == actor.user_id {
        Ok((row, application))
    } else {
        Err(Error::Forbidden("only its author may do this to a publication".into()))
    }
}
