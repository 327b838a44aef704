//! Names: the slugs that people choose, and the names in the cluster that follow from them.

use crate::digest::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A DNS label (RFC 1123) of at most 40 characters that begins with a letter: lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// Why a text is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no DNS label: use 1 to 40 lower-case letters, digits and \"-\", begin with a letter, end with a letter or digit"
)]
pub struct InvalidName(String);

/// The most that Kubernetes leaves for the name of a StatefulSet, whose pods get a suffix of their own.
const MAX_CLUSTER_NAME: usize = 52;

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug that is nearest to a display name; none if nothing of it can stand in one.
    pub fn from_display_name(name: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug = slug.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        let slug = &slug[..slug.len().min(40)];
        Self::try_from(slug.trim_end_matches('-').to_owned()).ok()
    }
}

/// The name of a component's objects in its cluster: `<application>-<component>`, at most 52 characters. It is derived
/// once and kept for life. `taken` says which names are in use in the namespace; a clash, or a name that had to be
/// cut, gets a short suffix made of both slugs, so that the same inputs give the same name.
pub fn cluster_name(application: &Slug, component: &Slug, taken: impl Fn(&str) -> bool) -> String {
    let plain = format!("{application}-{component}");
    if plain.len() <= MAX_CLUSTER_NAME && !taken(&plain) {
        return plain;
    }
    let mut attempt = 0_u32;
    loop {
        let digest = Digest::of(format!("{plain}/{attempt}").as_bytes());
        let kept = plain[..plain.len().min(MAX_CLUSTER_NAME - 6)].trim_end_matches('-');
        let name = format!("{kept}-{}", &digest.hex()[..5]);
        if !taken(&name) {
            return name;
        }
        attempt += 1;
    }
}

impl FromStr for Slug {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let valid = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid { Ok(Self(text)) } else { Err(InvalidName(text.chars().take(64).collect())) }
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug(text: &str) -> Slug {
        text.parse().unwrap()
    }

    #[test]
    fn display_names_become_slugs() {
        for (name, expected) in [
            ("Web Shop", Some("web-shop")),
            ("2nd try!", Some("nd-try")),
            ("Größe", Some("gr-e")),
            ("商店", None),
            ("--", None),
        ] {
            assert_eq!(Slug::from_display_name(name), expected.map(slug), "{name}");
        }
    }

    #[test]
    fn a_clash_and_a_long_name_get_a_suffix_and_stay_labels() {
        let plain = cluster_name(&slug("shop"), &slug("db"), |_| false);
        assert_eq!(plain, "shop-db");
        let other = cluster_name(&slug("shop"), &slug("db"), |name| name == "shop-db");
        assert!(other.starts_with("shop-db-") && other.len() == 13, "{other}");
        let long = cluster_name(&slug(&"a".repeat(40)), &slug(&"b".repeat(40)), |_| false);
        assert_eq!(long.len(), 52);
        assert_ne!(long, cluster_name(&slug(&"a".repeat(40)), &slug(&format!("{}c", "b".repeat(39))), |_| false));
    }
}
