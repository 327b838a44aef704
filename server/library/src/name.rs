//! Names in a registry, by the grammar of the OCI distribution specification.
//!
//! A value of these types is safe as part of a path and of a URL: it has no `..`, no empty
//! component, no character that needs escaping.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The greatest length of a repository name, in bytes.
pub const MAX_REPOSITORY_BYTES: usize = 255;
/// The greatest length of a tag, in bytes.
pub const MAX_TAG_BYTES: usize = 128;

/// A repository inside a registry, such as `shop/backend`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

/// A tag, such as `1.4.2`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// What a manifest is asked by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The name that somebody gave it; may point elsewhere tomorrow.
    Tag(Tag),
    /// Its content.
    Digest(Digest),
}

/// The full name of an image as it is written in a pod: registry, repository and reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// `host[:port]` of the registry; `docker.io` where the name gives none.
    pub host: String,
    /// The repository; `library/nginx` for `nginx`.
    pub repository: RepositoryName,
    /// The tag, if one is written; `latest` where neither tag nor digest is.
    pub tag: Option<Tag>,
    /// The digest, if one is written.
    pub digest: Option<Digest>,
}

/// A text does not follow the grammar of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a repository name.
    #[error(
        "a repository name is lower-case letters, digits and single separators, in components between slashes, at most 255 bytes"
    )]
    Repository,
    /// Not a tag.
    #[error("a tag is letters, digits, '_', '.' and '-', beginning with none of the last two, at most 128 bytes")]
    Tag,
    /// Neither a tag nor a supported digest.
    #[error("a reference is a tag or a digest of the form sha256:<hex>")]
    Reference,
    /// Not the name of an image.
    #[error("not the name of an image")]
    Image,
}

impl RepositoryName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ImageName {
    /// What to ask the registry for: the digest where there is one, else the tag.
    pub fn reference(&self) -> Option<Reference> {
        self.digest.map(Reference::Digest).or_else(|| self.tag.clone().map(Reference::Tag))
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() <= MAX_REPOSITORY_BYTES && text.split('/').all(is_component);
        valid.then(|| Self(text.to_owned())).ok_or(InvalidName::Repository)
    }
}

impl FromStr for Tag {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= MAX_TAG_BYTES
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        valid.then(|| Self(text.to_owned())).ok_or(InvalidName::Tag)
    }
}

impl FromStr for Reference {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') {
            text.parse().map(Self::Digest).map_err(|_| InvalidName::Reference)
        } else {
            text.parse().map(Self::Tag).map_err(|_| InvalidName::Reference)
        }
    }
}

impl FromStr for ImageName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 1024 {
            return Err(InvalidName::Image);
        }
        let parsed: oci_distribution::Reference = text.parse().map_err(|_| InvalidName::Image)?;
        let digest = parsed.digest().map(str::parse).transpose().map_err(|_| InvalidName::Image)?;
        Ok(Self {
            host: parsed.registry().to_owned(),
            repository: parsed.repository().parse()?,
            tag: parsed.tag().map(str::parse).transpose()?,
            digest,
        })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = text;
    loop {
        let after = rest.trim_start_matches(alphanumeric);
        if after.len() == rest.len() {
            return false;
        }
        if after.is_empty() {
            return true;
        }
        rest = after.trim_start_matches(|c| !alphanumeric(c));
        let separator = &after[..after.len() - rest.len()];
        if !(matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')) {
            return false;
        }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(RepositoryName);
text!(Tag);

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for good in ["a", "library/nginx", "a.b/c_d/e__f/g---h", "0/1/2", &"a".repeat(255)] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            "A",
            "a..b",
            "a___b",
            "_a",
            "a_",
            "-a",
            "a-",
            "a.",
            "a b",
            "a:b",
            "a\\b",
            "a%2fb",
            "é",
            "a/_manifests",
            "a._b",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["latest", "_x", "1.4.2-rc.1", "A", &"t".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", ".a", "a/b", "a b", "a:b", "é", "a\0", &"t".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn image_names_are_completed_as_docker_does() {
        let name: ImageName = "nginx".parse().expect("a short name is valid");
        assert_eq!((name.host.as_str(), name.repository.as_str()), ("docker.io", "library/nginx"));
        assert_eq!(name.tag.as_ref().map(Tag::as_str), Some("latest"));

        let digest = Digest::of(b"x");
        let name: ImageName = format!("registry.example.com:5000/shop/web@{digest}").parse().expect("valid");
        assert_eq!(name.host, "registry.example.com:5000");
        assert_eq!(name.reference(), Some(Reference::Digest(digest)));
        assert!("http://registry/x y".parse::<ImageName>().is_err());
    }

    fn component() -> impl Strategy<Value = String> {
        "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,3}"
    }

    proptest! {
        #[test]
        fn every_name_of_the_grammar_is_accepted(parts in prop::collection::vec(component(), 1..5)) {
            let name = parts.join("/");
            prop_assert!(name.parse::<RepositoryName>().is_ok());
        }

        #[test]
        fn an_accepted_name_never_leaves_its_folder(text in "[a-zA-Z0-9._/%\\\\-]{0,40}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
                for part in name.as_str().split('/') {
                    prop_assert!(!part.is_empty() && !part.starts_with(['.', '_', '-']));
                    prop_assert!(!part.contains(".."));
                }
            }
        }

        #[test]
        fn any_text_is_a_tag_a_digest_or_refused(text in ".{0,80}") {
            match text.parse::<Reference>() {
                Ok(reference) => prop_assert_eq!(reference.to_string(), text),
                Err(error) => prop_assert_eq!(error, InvalidName::Reference),
            }
        }

        #[test]
        fn parsing_an_image_name_never_panics(text in ".{0,200}") {
            let _ = text.parse::<ImageName>();
        }
    }
}
