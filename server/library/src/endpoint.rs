//! One registry and how to reach it.

use std::fmt;
use std::time::Duration;

/// Where a registry is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `host[:port]`, without a scheme. `docker.io` stands for Docker Hub.
    pub host: String,
    /// Speak plain HTTP instead of HTTPS.
    pub plain_http: bool,
    /// A certificate authority to trust besides the system's, as PEM.
    pub ca_certificate: Option<String>,
    /// Whether its own words stand in errors. Not where people name hosts, who could be shown what a service inside our
    /// own network says.
    pub quoted: bool,
    /// Who to be; anonymous where there is none.
    pub credentials: Option<Credentials>,
}

/// A name and a password (or token) of a registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: Secret,
}

/// A text that never shows in logs and errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What a [`crate::Registry`] grants the other side: sizes, times and attempts.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The greatest manifest, in bytes.
    pub max_manifest_bytes: u64,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a request without a large body may take until it is answered.
    pub request_timeout: Duration,
    /// How long a stream may stand still, in either direction.
    pub idle_timeout: Duration,
    /// How long a registry may take to store a blob once it has all of its bytes.
    pub commit_timeout: Duration,
    /// How often a request is tried altogether; at least once.
    pub attempts: usize,
    /// The first pause between two attempts; it doubles each time.
    pub min_pause: Duration,
    /// The longest pause between two attempts.
    pub max_pause: Duration,
    /// The longest `Retry-After` that is honoured; a longer one is cut to this.
    pub max_retry_after: Duration,
}

impl Endpoint {
    /// An anonymous endpoint over HTTPS.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), plain_http: false, ca_certificate: None, quoted: true, credentials: None }
    }

    /// An anonymous endpoint over plain HTTP.
    pub fn plain(host: impl Into<String>) -> Self {
        Self { plain_http: true, ..Self::new(host) }
    }

    /// The same endpoint with credentials.
    #[must_use]
    pub fn with_credentials(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials { username: username.into(), password: Secret::new(password) });
        self
    }
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_manifest_bytes: 4 << 20,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(10),
            attempts: 5,
            min_pause: Duration::from_millis(250),
            max_pause: Duration::from_secs(15),
            max_retry_after: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows_in_debug_output() {
        let endpoint = Endpoint::new("registry.example.com").with_credentials("jana", "canary-3f1c");
        assert!(!format!("{endpoint:?}").contains("canary"));
    }
}
