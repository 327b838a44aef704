//! A client of one registry.
//!
//! Every answer is bounded, every digest is verified, and whatever can be repeated is repeated when
//! the registry throttles, fails or disappears for a while. Streams are not: see [`crate::copy`].

mod blob;
mod http;
mod list;
mod manifests;
mod upload;

pub use blob::{BlobStream, Size};
pub use list::TagPage;
pub use manifests::{Manifest, Resolved};
pub use upload::{Mount, Upload};

use crate::auth::Authentication;
use crate::endpoint::{Endpoint, Limits};
use crate::error::Error;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A client of one registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    limits: Limits,
    base: Url,
    http: reqwest::Client,
    authentication: Authentication,
}

impl Registry {
    /// Prepares a client; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] where the host or the certificate cannot be used.
    pub fn new(endpoint: Endpoint, limits: Limits) -> Result<Self, Error> {
        let base = base_url(&endpoint)?;
        // The HTTP client would panic, even for plain HTTP.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Error::Configuration { what: "the process has no rustls crypto provider".into() });
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ropeway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect_timeout)
            // Followed by hand: who may see the credentials is decided there.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &endpoint.ca_certificate {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|_| Error::Configuration { what: "the certificate authority is not valid PEM".into() })?;
            if certificates.is_empty() {
                return Err(Error::Configuration { what: "the certificate authority holds no certificate".into() });
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| Error::Configuration { what: format!("no HTTP client can be made: {error}") })?;
        Ok(Self { inner: Arc::new(Inner { endpoint, limits, base, http, authentication: Authentication::default() }) })
    }

    /// The host that this client was made for.
    pub fn host(&self) -> &str {
        &self.inner.endpoint.host
    }

    /// The limits that this client keeps.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Whether both clients speak to the same registry.
    pub fn is_same(&self, other: &Self) -> bool {
        self.inner.base == other.inner.base
    }

    /// Checks that a registry answers there and accepts the credentials.
    pub async fn ping(&self) -> Result<(), Error> {
        let action = "checking whether a registry answers";
        self.get("v2/", &[], &[], action, |response| async move {
            self.bounded_body(response, 64 << 10, action).await.map(drop)
        })
        .await
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }

    pub(crate) fn authentication(&self) -> &Authentication {
        &self.inner.authentication
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    fn base(&self) -> &Url {
        &self.inner.base
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("endpoint", &self.inner.endpoint).finish_non_exhaustive()
    }
}

fn base_url(endpoint: &Endpoint) -> Result<Url, Error> {
    let scheme = if endpoint.plain_http { "http" } else { "https" };
    // Docker Hub's name in images is not the host of its registry.
    let host = match endpoint.host.as_str() {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    };
    let invalid = || Error::Configuration { what: format!("{:?} is not host[:port]", endpoint.host) };
    let url = Url::parse(&format!("{scheme}://{host}/")).map_err(|_| invalid())?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !host.is_empty()
        && !host.contains(['/', '\\', '?', '#', '@'])
        && !host.contains(char::is_whitespace);
    bare.then_some(url).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_and_a_port_are_accepted() {
        for good in ["registry.example.com", "localhost:5000", "127.0.0.1:1", "[::1]:5000", "docker.io"] {
            assert!(base_url(&Endpoint::new(good)).is_ok(), "{good}");
        }
        for bad in ["", "https://a", "a/b", "u:p@a", "a?b", "a#b", "a b", "a:notaport", "a\\b", "a/"] {
            assert!(base_url(&Endpoint::new(bad)).is_err(), "{bad}");
        }
    }
}
