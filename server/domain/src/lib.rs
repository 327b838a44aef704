//! The rules of delivery, as pure functions over plain data.
//!
//! Invariants of this crate:
//! - It does no I/O and knows no clock and no generator: instants, ids and random values are arguments.
//! - What it returns is decided: nobody who carries a plan out chooses anything.
//! - Secrets pass through it only as [`SecretId`]s, never as values.

pub mod access;
pub mod change;
pub mod deploy;
pub mod digest;
pub mod graph;
pub mod install;
pub mod installed;
pub mod kept;
pub mod key;
pub mod manifest;
pub mod model;
pub mod names;
pub mod number;
pub mod operation;
pub mod plan;
pub mod preflight;
pub mod publication;
pub mod quantity;
pub mod rekey;
pub mod render;
pub mod rendering;
pub mod rollback;
pub mod secrets;
pub mod spelling;
pub mod text;
pub mod uninstall;
pub mod upgrade;
pub mod validate;
pub mod version;

mod merge;

pub use change::{Change, ChangeId, ChangeKind, Decision};
pub use digest::Digest;
pub use installed::{Installed, InstalledComponent, InstalledResource, VersionRef};
pub use key::{ComponentKey, ResourceKey, SecretId};
pub use model::{Component, Resource, Value};
pub use number::VersionNumber;
pub use quantity::Quantity;
pub use text::{Part, Text};
pub use version::{PublishedValue, VersionContent};
