//! The OCI side of Ropeway: the library's registry and everything that is moved in and out of it.
//!
//! - [`registry`]: a client of one registry, with bounded answers, retries and token authentication.
//! - [`copy`]: copies images by digest between any two registries, streaming, resumable, verified.
//! - [`artifact`]: template versions as OCI artifacts.
//! - [`embedded`]: a small registry that stores on disk, served by the same process.
//! - [`sample`]: small valid images for demonstrations and tests.
//!
//! Invariants of this crate:
//!
//! - Nothing that a registry says is believed: digests and sizes are verified while bytes stream,
//!   and every answer, count and depth has a limit.
//! - No blob is ever held in memory as a whole, except where the caller states a small limit.
//! - Nothing that comes from outside is used as a path before it has become one of the types of
//!   [`name`] or a [`Digest`].
//! - Credentials go to the registry that they belong to and to the token service that it names,
//!   never along a redirect to another host.
//!
//! The process has to install a rustls crypto provider before it makes a [`Registry`].

pub mod artifact;
mod auth;
pub mod copy;
pub mod digest;
pub mod embedded;
pub mod endpoint;
pub mod error;
pub mod manifest;
pub mod name;
pub mod registry;
mod retry;
pub mod sample;

pub use digest::Digest;
pub use endpoint::{Credentials, Endpoint, Limits, Secret};
pub use error::Error;
pub use manifest::Platform;
pub use name::{ImageName, Reference, RepositoryName, Tag};
pub use registry::Registry;
