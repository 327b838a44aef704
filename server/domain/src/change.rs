//! Changes, as plans list them and as people accept them.

use crate::{
    digest::Digest,
    key::{ComponentKey, ResourceKey},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One difference, whether it is applied or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// A hash of everything below but decision and reason, so that it stays the same while the change does.
    pub id: ChangeId,
    /// What it belongs to.
    pub owner: Owner,
    /// The display name of the component or resource.
    pub owner_name: String,
    /// Which property, such as `environment/DB_HOST` or `image`.
    pub path: String,
    /// What happens to it.
    pub kind: ChangeKind,
    /// As people read it; none where nothing was. Secrets are `(secret)`.
    pub before: Option<String>,
    /// As people read it; none where nothing will be. A secret that differs is `(secret, changed)`.
    pub after: Option<String>,
    /// Whether it is applied.
    pub decision: Decision,
    /// Why it was decided so.
    pub reason: String,
}

/// What a change belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// A component, by its template key where it has one.
    Component(ComponentKey),
    /// A Kubernetes resource.
    Resource(ResourceKey),
}

/// What happens to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChangeKind {
    /// It was not there.
    Add,
    /// It has another value.
    Update,
    /// It is no longer there.
    Remove,
}

/// Whether a change is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Decision {
    /// It is.
    Apply,
    /// What is here is kept; the change is offered until a person accepts it.
    Keep,
}

/// The id of a change: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeId(String);

impl ChangeId {
    /// The hash of what a change does. `before` and `after` are the values themselves, not what people read: two
    /// different secrets must not look like the same change.
    pub fn of(owner: Owner, path: &str, kind: ChangeKind, before: &impl Serialize, after: &impl Serialize) -> Self {
        let digest = Digest::of_value(&(owner, path, kind, before, after));
        Self(digest.hex()[..32].to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no change's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a change's id has 32 hexadecimal digits, as a plan shows it")]
pub struct InvalidChangeId;

impl TryFrom<String> for ChangeId {
    type Error = InvalidChangeId;

    fn try_from(text: String) -> Result<Self, InvalidChangeId> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text))
        } else {
            Err(InvalidChangeId)
        }
    }
}

impl FromStr for ChangeId {
    type Err = InvalidChangeId;

    fn from_str(text: &str) -> Result<Self, InvalidChangeId> {
        Self::try_from(text.to_owned())
    }
}

impl From<ChangeId> for String {
    fn from(id: ChangeId) -> Self {
        id.0
    }
}
