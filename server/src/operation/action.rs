//! What a step does. Services decide it when they plan; whoever carries it out finds no choice left.
//!
//! Actions are stored as JSON with their step and live as long as unfinished operations do: a field that is added has a
//! default, and none is renamed.

use crate::{
    id::{ApplicationId, ClusterId, EnterpriseId, ImageId, PublicationId},
    store::cluster_object::OwnerKey,
};
use ropeway_clusters::ObjectRef;
use ropeway_domain::{
    ChangeId, Component, ComponentKey, Digest, Resource, ResourceKey, SecretId, Value,
    rendering::{PLACEHOLDER, placeholder_of},
};
use ropeway_library::Platform;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a probe of the library may take.
const PROBE_DEADLINE_SECONDS: u32 = 240;

/// Seconds that the copy of one image may take: a stream that stands still is given up long before.
pub const COPY_DEADLINE_SECONDS: u32 = 6 * 3600;

/// Seconds that pushing a version may take.
pub const PUSH_DEADLINE_SECONDS: u32 = 300;

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Action {
    /// Makes a team's namespace, with the Secret that pulls images, or finds them made.
    EnsureNamespace(EnsureNamespace),
    /// Applies objects, wave after wave, and waits until they are healthy.
    Apply(Apply),
    /// Deletes objects.
    Delete(Delete),
    /// Lets pods pull a tiny image from the library.
    ProbeLibrary(ProbeLibrary),
    /// Copies an image into the library.
    CopyImage(CopyImage),
    /// Pushes a version into the library, beside its images.
    PushArtifact(PushArtifact),
}

/// Makes a namespace and what every namespace of ours has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnsureNamespace {
    /// Where.
    pub cluster_id: ClusterId,
    /// Its name.
    pub namespace: String,
    /// The labels that say which team's it is. One that exists without them is somebody else's.
    pub labels: BTreeMap<String, String>,
    /// Whether one that exists without these labels is used as it is: an administrator named it.
    #[serde(default)]
    pub is_named_by_administrator: bool,
    /// With which images are pulled.
    #[serde(default)]
    pub pull_secret: Option<PullSecret>,
}

/// The Secret with which nodes pull images from the library. How they do is read when it is applied: a step that waited
/// while the library was configured anew must not bring back the old access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// Its name in the namespace.
    pub name: String,
    /// The value of its label `ropeway.dev/application`: the team's id, since it is no application's. A Secret of this
    /// name with another value is never changed.
    pub owner: String,
}

/// Applies the objects of one component, of one resource or of the application itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Apply {
    /// Where.
    pub cluster_id: ClusterId,
    /// The one namespace that may be touched.
    pub namespace: String,
    /// Whether objects outside any namespace may be applied: an administrator granted it to the driver.
    #[serde(default)]
    pub cluster_scoped: bool,
    /// Whose objects they are.
    pub application_id: ApplicationId,
    /// The component or resource that they belong to.
    #[serde(default)]
    pub owner_key: Option<OwnerKey>,
    /// What is applied, in the order of the waves.
    pub objects: Vec<PlannedObject>,
    /// Whether a wave must be healthy before the next one, and the last one before the step has succeeded.
    pub await_healthy: bool,
    /// Seconds from the step's first start after which it has failed.
    pub deadline_seconds: u32,
    /// What the store says of it afterwards.
    #[serde(default)]
    pub on_success: Vec<Effect>,
}

/// One object to be applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// The object, with placeholders where secrets go, without the fields that are left to other managers.
    pub manifest: Json,
    /// How it is applied.
    pub mode: ApplyMode,
    /// Lower ones first.
    pub wave: u32,
    /// Whether fields of other managers are taken over: those that the plan listed.
    #[serde(default)]
    pub force: bool,
    /// The change by which a person agreed that it is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<ChangeId>,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ApplyMode {
    /// By server-side apply.
    ServerSideApply,
    /// Made if there is none; one that is there stays as it is.
    CreateOnly,
    /// By server-side apply; where the cluster refuses because fields are immutable, it is deleted and made anew.
    /// A person accepted that.
    Recreate {
        /// Whether what it owns stays, such as the pods of a StatefulSet.
        orphan: bool,
    },
}

/// Deletes objects, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delete {
    /// Where.
    pub cluster_id: ClusterId,
    /// Whose objects they are.
    pub application_id: ApplicationId,
    /// What is deleted: exactly these, not what took their place.
    pub objects: Vec<DoomedObject>,
    /// Whether the step waits until they are gone.
    pub await_gone: bool,
    /// Seconds from the step's first start after which it has failed.
    pub deadline_seconds: u32,
    /// What the store says of it afterwards.
    #[serde(default)]
    pub on_success: Vec<Effect>,
}

/// One object to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoomedObject {
    /// Its name.
    pub reference: ObjectRef,
    /// The very one.
    pub uid: String,
    /// Whether what it owns stays.
    #[serde(default)]
    pub orphan: bool,
}

/// Finds out whether the nodes of a cluster can pull from the library, and records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeLibrary {
    /// Which cluster.
    pub cluster_id: ClusterId,
    /// Whose library.
    pub enterprise_id: EnterpriseId,
    /// Of which configuration of the library: another one has a probe of its own.
    pub library_generation: i64,
}

/// Copies an image into the library, with everything that its digest names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyImage {
    /// Whose library.
    pub enterprise_id: EnterpriseId,
    /// `host[:port]` of the registry that has it.
    pub host: String,
    /// The repository there.
    pub repository: String,
    /// The digest there.
    pub source_digest: Digest,
    /// The platforms of an index that are copied; none: the whole image.
    #[serde(default)]
    pub platforms: Option<Vec<Platform>>,
    /// The repository in the library.
    pub target: String,
    /// The digest that it must have there.
    pub digest: Digest,
    /// Of all blobs, in bytes.
    pub bytes: u64,
    /// Repositories of the library that may have the same blobs.
    #[serde(default)]
    pub mount_from: Vec<String>,
    /// The images of the publication that are this one.
    pub images: Vec<ImageId>,
    /// What the store says of it afterwards.
    #[serde(default)]
    pub on_success: Vec<Effect>,
}

/// Pushes the content of a publication as an artifact, once the library has all of its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushArtifact {
    /// Whose library.
    pub enterprise_id: EnterpriseId,
    /// What is pushed.
    pub publication_id: PublicationId,
    /// The repository in the library.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// What people see of it in the registry.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What becomes true in the store when a step has succeeded, in the transaction that says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "camelCase")]
pub enum Effect {
    /// This is what runs now of a component. It may not be what is desired any more.
    ComponentDeployed(Box<Component<Value>>),
    /// Nothing of a component runs any more: if it is desired no longer either, it is forgotten.
    ComponentGone(ComponentKey),
    /// This is what is applied now of a Kubernetes resource.
    ResourceDeployed(Box<Resource<Value>>),
    /// A Kubernetes resource is not in the cluster any more: if it is desired no longer either, it is forgotten.
    ResourceGone(ResourceKey),
    /// The library has these images of a publication.
    ImagesCopied(Vec<ImageId>),
}

impl Action {
    /// Seconds from the step's first start after which it has failed; none: what is configured for all.
    pub fn deadline_seconds(&self) -> Option<u32> {
        match self {
            Self::EnsureNamespace(_) => None,
            Self::ProbeLibrary(_) => Some(PROBE_DEADLINE_SECONDS),
            Self::Apply(apply) => Some(apply.deadline_seconds),
            Self::Delete(delete) => Some(delete.deadline_seconds),
            Self::CopyImage(_) => Some(COPY_DEADLINE_SECONDS),
            Self::PushArtifact(_) => Some(PUSH_DEADLINE_SECONDS),
        }
    }

    /// What becomes true in the store when it has succeeded.
    pub fn on_success(&self) -> &[Effect] {
        match self {
            Self::EnsureNamespace(_) | Self::ProbeLibrary(_) | Self::PushArtifact(_) => &[],
            Self::Apply(apply) => &apply.on_success,
            Self::Delete(delete) => &delete.on_success,
            Self::CopyImage(copy) => &copy.on_success,
        }
    }

    /// The sealed values that it needs: they must live as long as it may run.
    pub fn secrets(&self) -> BTreeSet<SecretId> {
        match self {
            Self::Apply(apply) => apply.objects.iter().flat_map(|object| secrets_in(&object.manifest)).collect(),
            Self::EnsureNamespace(_)
            | Self::Delete(_)
            | Self::ProbeLibrary(_)
            | Self::CopyImage(_)
            | Self::PushArtifact(_) => BTreeSet::new(),
        }
    }
}

/// The sealed values whose placeholders stand anywhere in a JSON value, as whole strings.
pub fn secrets_in(value: &Json) -> BTreeSet<SecretId> {
    match value {
        Json::String(text) if text.starts_with(PLACEHOLDER) => placeholder_of(text).into_iter().collect(),
        Json::Array(items) => items.iter().flat_map(secrets_in).collect(),
        Json::Object(fields) => fields.values().flat_map(secrets_in).collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropeway_domain::rendering::placeholder;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn an_action_comes_back_as_it_was_stored() {
        let secret = SecretId(Uuid::from_u128(5));
        let apply = Action::Apply(Apply {
            cluster_id: ClusterId::new(Uuid::from_u128(1)),
            namespace: "team".into(),
            cluster_scoped: false,
            application_id: ApplicationId::new(Uuid::from_u128(2)),
            owner_key: Some(OwnerKey::new(Uuid::from_u128(3))),
            objects: vec![PlannedObject {
                manifest: json!({"kind": "Secret", "stringData": {"PASSWORD": placeholder(secret)}}),
                mode: ApplyMode::Recreate { orphan: true },
                wave: 1,
                force: true,
                accepted: None,
            }],
            await_healthy: true,
            deadline_seconds: 600,
            on_success: vec![Effect::ComponentGone(ComponentKey(Uuid::from_u128(4)))],
        });
        let stored = serde_json::to_vec(&apply).unwrap();
        assert_eq!(serde_json::from_slice::<Action>(&stored).unwrap(), apply);
        assert_eq!(apply.secrets(), BTreeSet::from([secret]));
        assert_eq!(apply.deadline_seconds(), Some(600));
    }
}
