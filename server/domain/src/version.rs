//! What a version of a template contains.

use crate::{
    digest::{Digest, canonical},
    model::{Component, GenerateRule, Resource},
    text::Text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value in a version. Secrets never are: a version says only how an installation comes by its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PublishedValue {
    /// Every installation generates its own, once.
    Generate {
        /// How.
        generate: GenerateRule,
    },
    /// The installer supplies it.
    Ask {
        /// Always true.
        ask: True,
    },
    /// The value itself.
    Text(Text),
}

/// The JSON literal `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "bool", into = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("only true stands here") }
    }
}

impl From<True> for bool {
    fn from(True: True) -> Self {
        true
    }
}

/// Everything that was defined in the application, without what belongs to one cluster: secrets, names, storage
/// classes and addresses. Its digest decides whether publishing again makes a new revision; number, alias, description
/// and times are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionContent {
    /// The version of this format: 1.
    pub format: u32,
    /// By key, each key once.
    pub components: Vec<Component<PublishedValue>>,
    /// By key, each key once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource<PublishedValue>>,
}

impl VersionContent {
    /// The format that this code writes.
    pub const FORMAT: u32 = 1;

    /// The bytes that are stored, pushed to the library and digested.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        canonical(self)
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_bytes())
    }
}
