//! The rules of delivery, as pure functions over plain data.
//!
//! Invariants of this crate:
//! - It does no I/O and knows no clock and no generator: instants, ids and random values are arguments.
//! - What it returns is decided: nobody who carries a plan out chooses anything.
//! - Secrets pass through it only as [`SecretId`]s, never as values.

pub mod change;
pub mod digest;
pub mod key;
pub mod model;
pub mod quantity;
pub mod rendering;
pub mod text;
pub mod version;

pub use change::{Change, ChangeId, ChangeKind, Decision};
pub use digest::Digest;
pub use key::{ComponentKey, ResourceKey, SecretId};
pub use model::{Component, Resource, Value};
pub use quantity::Quantity;
pub use text::{Part, Text};
pub use version::{PublishedValue, VersionContent};
