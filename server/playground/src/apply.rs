//! Server-side apply: who owns which field, and what an apply makes of an object.
//!
//! The rules are those of sigs.k8s.io/structured-merge-diff, which the API server uses.

pub(crate) mod fields;
pub(crate) mod merge;
pub(crate) mod ownership;
pub(crate) mod schema;
