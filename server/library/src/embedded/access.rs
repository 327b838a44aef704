//! Who asks, and what they may do.

use super::Shared;
use super::refusal::{Code, Refusal};
use crate::name::RepositoryName;
use axum::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

const MAX_HEADER_BYTES: usize = 8 << 10;

/// Knows who may use the registry.
#[async_trait::async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Who has this name and password; nobody where they do not belong together. Asked with every
    /// request.
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<Subject>, Unavailable>;
}

/// It cannot be found out at the moment who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authentication is not available")]
pub struct Unavailable;

/// Somebody who is known.
pub struct Subject {
    /// A name that is stable while an upload lasts: only its owner can go on with it.
    pub name: String,
    allows: Rule,
}

type Rule = Box<dyn Fn(&RepositoryName, Action) -> bool + Send + Sync>;

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read blobs, manifests and tags.
    Pull,
    /// Write them.
    Push,
}

impl Subject {
    /// Somebody, and the rule that says what they may do.
    pub fn new(
        name: impl Into<String>,
        allows: impl Fn(&RepositoryName, Action) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), allows: Box::new(allows) }
    }

    /// Whether they may do this.
    pub fn allows(&self, repository: &RepositoryName, action: Action) -> bool {
        (self.allows)(repository, action)
    }

    pub(super) fn require(&self, repository: &RepositoryName, action: Action) -> Result<(), Refusal> {
        let refused = || Refusal::new(Code::Denied, "the access to this repository is denied");
        self.allows(repository, action).then_some(()).ok_or_else(refused)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Finds out who asks, by the header that clients send with every request.
pub(super) async fn identify(shared: &Shared, headers: &HeaderMap) -> Result<Subject, Refusal> {
    let unknown = || Refusal::new(Code::Unauthorized, "a name and a password are required");
    let (username, password) = basic(headers).ok_or_else(unknown)?;
    match shared.authenticator.authenticate(&username, &password).await {
        Ok(Some(subject)) => Ok(subject),
        Ok(None) => Err(Refusal::new(Code::Unauthorized, "the name or the password is wrong")),
        Err(Unavailable) => Err(Refusal::unavailable()),
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?;
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}
