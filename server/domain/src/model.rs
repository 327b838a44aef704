//! What an application consists of.
//!
//! The same shapes serve what runs (`Component<Value>`) and what was published
//! (`Component<PublishedValue>`, see [`crate::version`]): they differ only in how a value is held.

mod component;
mod name;
mod resource;
mod runtime;
mod storage;
mod variable;

pub use component::{Component, Image, WorkloadKind};
pub use name::{InvalidName, Slug, cluster_name};
pub use resource::{InvalidManifest, Resource};
pub use runtime::{
    Port, Probe, ProbeAction, ProbeKind, Protocol, Resources, Scale, ScaleRule, ScaleRuleError, UriScheme,
};
pub use storage::{ConfigFile, Volume, VolumeKind};
pub use variable::{GenerateRule, InvalidGenerateRule, SecretDecision, Value, Variable, looks_like_secret};
