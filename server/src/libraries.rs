//! The libraries of enterprises: connections to their registries, and how clusters pull from them.

use crate::{
    app::App,
    error::{Error, Result},
    id::EnterpriseId,
    store::{self, library::Library},
};
use ropeway_domain::{SecretId, preflight::LibraryReach};
use ropeway_library::{Endpoint, Limits, Registry};

/// The name of the Secret with which images of the library are pulled, in every namespace of ours.
pub const PULL_SECRET: &str = "ropeway-library";

/// How the nodes of clusters pull from a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAccess {
    /// `host[:port]`.
    pub registry: String,
    /// The user, if it asks for one.
    pub username: String,
    /// The sealed password.
    pub password: SecretId,
}

impl App {
    /// The library of an enterprise.
    pub async fn library(&self, enterprise: EnterpriseId) -> Result<Library> {
        let mut conn = self.database.read().await?;
        store::library::find(&mut conn, enterprise).await?.ok_or_else(|| {
            Error::invalid::<&str>("NO_LIBRARY", [], "the enterprise has no library: configure one first")
        })
    }

    /// A client of a library's registry, as the server.
    pub async fn library_registry(&self, library: &Library) -> Result<Registry> {
        let mut endpoint = Endpoint::new(&library.url);
        endpoint.plain_http = library.plain_http;
        endpoint.ca_certificate.clone_from(&library.ca_certificate);
        if let (Some(username), Some(password)) = (&library.username, library.password) {
            let mut conn = self.database.read().await?;
            let password = self.unseal(&mut conn, library.enterprise_id, password.0).await?;
            endpoint = endpoint.with_credentials(username, password.expose());
        }
        Registry::new(endpoint, Limits::default()).map_err(|error| library_error(&error))
    }

    /// Whether a cluster reaches the library, as it was recorded last.
    pub async fn library_reach(&self, library: &Library, cluster: crate::id::ClusterId) -> Result<LibraryReach> {
        let mut conn = self.database.read().await?;
        let all = store::cluster::reachability(&mut conn, library.enterprise_id).await?;
        let of_this = |record: &&store::cluster::Reachability| {
            record.cluster_id == cluster && record.library_generation == library.generation
        };
        Ok(match all.iter().find(of_this) {
            None => LibraryReach::Unchecked,
            Some(record) if record.reachable => LibraryReach::Reachable,
            Some(record) => LibraryReach::Unreachable { reason: record.message.clone().unwrap_or_default() },
        })
    }
}

impl PullAccess {
    /// How nodes pull from a library; none where the registry serves anybody.
    pub fn of(library: &Library) -> Option<Self> {
        let (username, password) = match (&library.pull_username, library.pull_password) {
            (Some(username), Some(password)) => (username, password),
            _ => (library.username.as_ref()?, library.password?),
        };
        Some(Self { registry: library.public_url.clone(), username: username.clone(), password: password.0 })
    }
}

/// An error of a registry, for the caller of a service.
pub fn library_error(error: &ropeway_library::Error) -> Error {
    Error::unavailable(format!("the library: {error}"))
}
