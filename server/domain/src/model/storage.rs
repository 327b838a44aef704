//! Volumes and configuration files.

use super::SecretDecision;
use crate::{key::ComponentKey, quantity::Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Storage that a component mounts. It states an intent; the driver chooses the storage class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// A DNS label, unique in its component.
    pub name: String,
    /// Where it is mounted: an absolute path, unique in its component.
    pub mount_path: String,
    /// The folder of the volume that is mounted, where it is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Who may write it, and how long it lives.
    pub kind: VolumeKind,
    /// How much is asked for. Exclusive and shared volumes have one; memory may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// The class in this cluster, where a person insisted on one. Versions carry none: classes differ from cloud to
    /// cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Mounted without the right to write.
    #[serde(default)]
    pub read_only: bool,
    /// The component whose volume of the same name is mounted, where it is not this component's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<ComponentKey>,
}

/// What a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VolumeKind {
    /// A disk: one writer. In a StatefulSet every replica has its own.
    Exclusive,
    /// Files: many writers.
    Shared,
    /// Lives and ends with its pod, on the node's disk.
    Ephemeral,
    /// Lives and ends with its pod, in memory.
    Memory,
}

impl VolumeKind {
    /// Whether it outlives its pods.
    pub fn is_persistent(self) -> bool {
        matches!(self, Self::Exclusive | Self::Shared)
    }
}

/// A file that the component finds at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub struct ConfigFile<V> {
    /// An absolute path, unique in its component.
    pub path: String,
    /// UTF-8 text of at most 512 KiB.
    pub content: V,
    /// Permission bits, such as `0o644` (420).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u16>,
    /// As that of a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<SecretDecision>,
}
