//! Texts that may name other components, so that another name in another cluster is no difference.

use crate::key::ComponentKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A text in which the host names of sibling components are typed references.
///
/// It is written as a plain JSON string when it names nobody, else as a list of its parts, such as
/// `["redis://", {"host": "<component key>"}, ":6379"]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
pub struct Text(Vec<Part>);

/// One part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Part {
    /// Taken as it is.
    Literal(String),
    /// The host name of a component of the same application.
    Host {
        /// The component that is named.
        host: ComponentKey,
    },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Parts(Vec<Part>),
}

impl Text {
    /// A text that names nobody.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::from_parts([Part::Literal(text.into())])
    }

    /// Joins neighbouring literals and drops empty ones, so that equal texts are equal values.
    pub fn from_parts(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (_, Part::Literal(text)) if text.is_empty() => {}
                (Some(Part::Literal(last)), Part::Literal(text)) => last.push_str(&text),
                (_, part) => joined.push(part),
            }
        }
        Self(joined)
    }

    /// Finds the host names of siblings that stand in a text as whole tokens. A token is bounded by what cannot be
    /// part of a host name: `shop-db` is found in `redis://shop-db:6379`, not in `shop-db2` or `shop-db.example.org`.
    pub fn parse(text: &str, names: &BTreeMap<String, ComponentKey>) -> Self {
        Self::literal(text).link(names)
    }

    /// As [`Text::parse`], over the literal parts of a text that may name siblings already.
    #[must_use]
    pub fn link(&self, names: &BTreeMap<String, ComponentKey>) -> Self {
        let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let mut parts = Vec::new();
        for part in &self.0 {
            let Part::Literal(text) = part else {
                parts.push(part.clone());
                continue;
            };
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let token_end = rest.find(|c| !in_host(c)).unwrap_or(rest.len());
                let (token, after) = rest.split_at(token_end);
                // A full stop ends a sentence as well as it joins two labels.
                let name = token.trim_end_matches('.');
                match names.get(name) {
                    Some(&host) => {
                        parts.push(Part::Host { host });
                        parts.push(Part::Literal(token[name.len()..].to_owned()));
                    }
                    None => parts.push(Part::Literal(token.to_owned())),
                }
                let bound = after.find(in_host).unwrap_or(after.len());
                let (between, next) = after.split_at(bound);
                parts.push(Part::Literal(between.to_owned()));
                rest = next;
            }
        }
        Self::from_parts(parts)
    }

    /// The text with every reference replaced by the host name of the component, or the key that has no name.
    pub fn resolve(&self, names: &BTreeMap<ComponentKey, String>) -> Result<String, ComponentKey> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Host { host } => text.push_str(names.get(host).ok_or(*host)?),
            }
        }
        Ok(text)
    }

    /// The text as a person reads it: a reference that has no name here shows its key.
    pub fn shown(&self, names: &BTreeMap<ComponentKey, String>) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.clone(),
                Part::Host { host } => names.get(host).cloned().unwrap_or_else(|| format!("{{host {host}}}")),
            })
            .collect()
    }

    /// The components that the text names.
    pub fn hosts(&self) -> impl Iterator<Item = ComponentKey> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Host { host } => Some(*host),
            Part::Literal(_) => None,
        })
    }

    /// The same text with other keys; a key that `map` does not know stays.
    #[must_use]
    pub fn map_keys(&self, map: &BTreeMap<ComponentKey, ComponentKey>) -> Self {
        let parts = self.0.iter().map(|part| match part {
            Part::Host { host } => Part::Host { host: *map.get(host).unwrap_or(host) },
            Part::Literal(text) => Part::Literal(text.clone()),
        });
        Self(parts.collect())
    }

    /// The parts, literals joined.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::literal(text)
    }
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        match written {
            Written::Plain(text) => Self::literal(text),
            Written::Parts(parts) => Self::from_parts(parts),
        }
    }
}

impl From<Text> for Written {
    fn from(text: Text) -> Self {
        match text.0.as_slice() {
            [] => Self::Plain(String::new()),
            [Part::Literal(literal)] => Self::Plain(literal.clone()),
            _ => Self::Parts(text.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn names() -> BTreeMap<String, ComponentKey> {
        [
            ("shop-db".to_owned(), ComponentKey(Uuid::from_u128(1))),
            ("shop".to_owned(), ComponentKey(Uuid::from_u128(2))),
        ]
        .into()
    }

    #[test]
    fn a_sibling_is_found_only_as_a_whole_token() {
        for (text, written) in [
            ("shop-db", r#"[{"host":"00000000-0000-0000-0000-000000000001"}]"#),
            ("redis://shop-db:6379/0", r#"["redis://",{"host":"00000000-0000-0000-0000-000000000001"},":6379/0"]"#),
            ("ask shop-db.", r#"["ask ",{"host":"00000000-0000-0000-0000-000000000001"},"."]"#),
            ("shop-db2", r#""shop-db2""#),
            ("my-shop-db", r#""my-shop-db""#),
            ("shop-db.example.org", r#""shop-db.example.org""#),
            ("", r#""""#),
        ] {
            assert_eq!(serde_json::to_string(&Text::parse(text, &names())).unwrap(), written, "{text}");
        }
    }

    #[test]
    fn resolving_gives_the_text_back() {
        let back: BTreeMap<_, _> = names().into_iter().map(|(name, key)| (key, name)).collect();
        for text in ["a shop-db b shop,shop-db", "shop-db.", "ü shop ü", "..shop"] {
            assert_eq!(Text::parse(text, &names()).resolve(&back).unwrap(), text);
        }
    }
}
