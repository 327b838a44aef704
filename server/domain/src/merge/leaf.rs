//! One side of a property, in a form that can be compared, hashed and shown.

use crate::{
    digest::Digest,
    key::ComponentKey,
    model::Value,
    secrets::{Place, Source},
    version::PublishedValue,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One side of a property.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    /// What is compared and hashed: unresolved, in template keys.
    pub(crate) content: Json,
    /// What people read.
    shown: String,
    secrecy: Secrecy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    /// A plain value that people must not read in a plan.
    Masked,
    /// A sealed value.
    Sealed,
    /// A version's word on how to come by a secret.
    Wanted,
}

/// The most characters of a value that a plan carries.
const MAX_SHOWN: usize = 2000;
const SECRET: &str = "(secret)";
const SECRET_CHANGED: &str = "(secret, changed)";

impl Leaf {
    /// A leaf with its own words for people.
    pub(crate) fn new(value: &impl Serialize, shown: impl Into<String>) -> Self {
        let content = serde_json::to_value(value).expect("the types of this crate have string keys and finite numbers");
        Self { content, shown: shortened(shown.into()), secrecy: Secrecy::Open }
    }

    /// A leaf that people read as JSON, or as the string that it is.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let mut leaf = Self::new(value, "");
        leaf.shown = match &leaf.content {
            Json::String(text) => shortened(text.clone()),
            other => shortened(other.to_string()),
        };
        leaf
    }

    /// An optional field of something that is there: to be unset is one of its values.
    pub(crate) fn field<T: Serialize>(value: Option<&T>) -> Self {
        Self::json(&value)
    }

    /// Whether it is more than an optional field that is unset.
    pub(crate) fn is_set(&self) -> bool {
        !self.content.is_null()
    }

    /// The same, unreadable.
    pub(crate) fn masked(mut self) -> Self {
        if self.secrecy == Secrecy::Open {
            self.secrecy = Secrecy::Masked;
        }
        self
    }

    /// Whether two versions mean the same. Every way to come by an own secret is the same: the value is the
    /// installation's, and stays.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.is_secret() && other.is_secret() && (self.is_wanted() || other.is_wanted())
            || self.content == other.content
    }

    /// Whether what is live is what this side wants.
    pub(crate) fn is_held_by(&self, live: &Self) -> bool {
        self.is_wanted() && live.is_secret() || self.content == live.content
    }

    fn is_wanted(&self) -> bool {
        self.secrecy == Secrecy::Wanted
    }

    fn is_secret(&self) -> bool {
        matches!(self.secrecy, Secrecy::Sealed | Secrecy::Wanted)
    }
}

/// Before and after, as people read them.
pub(crate) fn shown(before: Option<&Leaf>, after: Option<&Leaf>) -> (Option<String>, Option<String>) {
    let [before, after] = [before, after].map(|side| side.filter(|leaf| leaf.is_set()));
    let hidden = |leaf: &Leaf| leaf.secrecy != Secrecy::Open;
    let before_text = before.map(|leaf| if hidden(leaf) { SECRET.to_owned() } else { leaf.shown.clone() });
    let after_text = after.map(|leaf| match hidden(leaf) {
        true if before.is_some_and(hidden) => SECRET_CHANGED.to_owned(),
        true => SECRET.to_owned(),
        false => leaf.shown.clone(),
    });
    (before_text, after_text)
}

/// How a value is held: in a version, or where it runs.
pub(crate) trait Held: Serialize + Clone {
    /// Whether it is held where it runs.
    const IS_HERE: bool;

    /// Its leaf.
    fn leaf(&self, names: &BTreeMap<ComponentKey, String>) -> Leaf;

    /// The value for a place here; none where it has to be supplied and was not.
    fn obtain(&self, source: &mut Source<'_>, place: &Place<'_>) -> Option<Value>;
}

impl Held for Value {
    const IS_HERE: bool = true;

    fn leaf(&self, names: &BTreeMap<ComponentKey, String>) -> Leaf {
        match self {
            Self::Sealed { .. } => Leaf { secrecy: Secrecy::Sealed, ..Leaf::new(self, "") },
            Self::Text(text) => Leaf::new(self, text.shown(names)),
        }
    }

    fn obtain(&self, _: &mut Source<'_>, _: &Place<'_>) -> Option<Value> {
        Some(self.clone())
    }
}

impl Held for PublishedValue {
    const IS_HERE: bool = false;

    fn leaf(&self, names: &BTreeMap<ComponentKey, String>) -> Leaf {
        match self {
            Self::Generate { .. } | Self::Ask { .. } => Leaf { secrecy: Secrecy::Wanted, ..Leaf::new(self, "") },
            Self::Text(text) => Leaf::new(self, text.shown(names)),
        }
    }

    fn obtain(&self, source: &mut Source<'_>, place: &Place<'_>) -> Option<Value> {
        source.obtain(place, self)
    }
}

fn shortened(text: String) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) else {
        return text;
    };
    let digest = Digest::of(text.as_bytes());
    format!("{}... ({} bytes, sha256 {})", &text[..end], text.len(), &digest.hex()[..12])
}
