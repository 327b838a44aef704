//! Kubernetes clusters: discover, apply, watch and prune, one cluster at a time.
//!
//! # Invariants
//! - This crate knows nothing of databases or drivers and decides nothing about delivery: it is told what to apply
//!   and reports what it saw. Objects are plain JSON.
//! - An object is ours if it carries the label `ropeway.dev/application` of the application that acts and has the UID
//!   that was recorded. Nothing else is ever changed or deleted, and nothing outside the namespace that the caller names.
//! - Nothing is concluded from silence: a cluster that does not answer is an error, never an absence.
//! - An unreachable cluster slows nobody: each [`Cluster`] has its own limit of concurrent requests, a time budget for
//!   every request, and a circuit breaker that answers at once while the cluster is down.
//! - Every call may be cancelled by dropping its future. Everything that a cluster sends is bounded.
//! - Errors name fields and managers, never values: an error can be shown, stored and logged.
//!
//! `kube` itself logs answers that it cannot parse at level `warn`; a process that uses this crate keeps the target
//! `kube_client` at `off`.

mod access;
mod apply;
mod breaker;
mod cluster;
mod delete;
mod discovery;
mod error;
mod facts;
mod field_path;
mod follow;
mod gate;
pub mod kubeconfig;
mod namespace;
mod object;
mod observe;
mod probe;
mod pull_secret;
pub mod quantity;
mod reserved;
mod status;
mod stuck_pods;
mod watch;

pub use access::Access;
pub use apply::{Applied, ApplyOptions, Created, DryRun, OwnerCheck, Scope};
pub use breaker::{Clock, Reachability};
pub use cluster::{Cluster, Limits};
pub use delete::{Deleted, Preconditions, Propagation};
pub use discovery::Resource;
pub use error::{Cause, Error, FieldConflict, Refusal};
pub use facts::{ClusterFacts, NodeTotals, StorageClass};
pub use field_path::{field, remove_field, replace_field};
pub use follow::ClusterEvent;
pub use namespace::NamespaceState;
pub use object::{Kind, ObjectRef, label, labels, strip_managed_fields, uid};
pub use observe::{Observed, Page};
pub use probe::{PROBE_NAMESPACE, ProbeOutcome, ProbeRequest};
pub use pull_secret::{PullSecretName, docker_config_json, pull_secret};
pub use watch::{Verdict, Watch};

/// The field manager under which this product applies objects.
pub const FIELD_MANAGER: &str = "ropeway";
