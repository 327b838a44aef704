//! What a path means. Repository names hold slashes, so paths are read from their end.

use super::refusal::{Code, Refusal};
use crate::digest::Digest;
use crate::name::{Reference, RepositoryName};
use uuid::Uuid;

type Checked<T> = Result<T, Refusal>;

/// What a request is about.
#[derive(Debug)]
pub(super) enum Target {
    Base,
    Uploads(Checked<RepositoryName>),
    Upload(Checked<RepositoryName>, Checked<Uuid>),
    Blob(Checked<RepositoryName>, Checked<Digest>),
    Manifest(Checked<RepositoryName>, Checked<Reference>),
    Tags(Checked<RepositoryName>),
    Referrers(Checked<RepositoryName>),
}

impl Target {
    pub(super) fn repository(&self) -> Option<&Checked<RepositoryName>> {
        match self {
            Self::Base => None,
            Self::Uploads(name)
            | Self::Tags(name)
            | Self::Referrers(name)
            | Self::Upload(name, _)
            | Self::Blob(name, _)
            | Self::Manifest(name, _) => Some(name),
        }
    }
}

/// Reads the path after `/v2/`.
pub(super) fn parse(path: &str) -> Option<Target> {
    if let Some(name) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
        return Some(Target::Uploads(repository(name)));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some(Target::Tags(repository(name)));
    }
    let (before, last) = path.rsplit_once('/')?;
    if let Some(name) = before.strip_suffix("/blobs/uploads") {
        let unknown = || Refusal::new(Code::BlobUploadUnknown, "there is no such upload");
        return Some(Target::Upload(repository(name), last.parse().map_err(|_| unknown())));
    }
    if let Some(name) = before.strip_suffix("/manifests") {
        return Some(Target::Manifest(repository(name), reference(last)));
    }
    if let Some(name) = before.strip_suffix("/blobs") {
        return Some(Target::Blob(repository(name), digest(last)));
    }
    before.strip_suffix("/referrers").map(|name| Target::Referrers(repository(name)))
}

/// A digest that a client gives.
pub(super) fn digest(text: &str) -> Checked<Digest> {
    text.parse().map_err(|_| Refusal::new(Code::DigestInvalid, "a digest is sha256:<64 hex digits>"))
}

fn repository(text: &str) -> Checked<RepositoryName> {
    text.parse().map_err(|error: crate::name::InvalidName| Refusal::new(Code::NameInvalid, error.to_string()))
}

fn reference(text: &str) -> Checked<Reference> {
    if text.contains(':') {
        return digest(text).map(Reference::Digest);
    }
    let tag = text.parse().map(Reference::Tag);
    tag.map_err(|error: crate::name::InvalidName| Refusal::new(Code::ManifestInvalid, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_may_look_like_parts_of_the_path() {
        let name = |path: &str| match parse(path)?.repository()? {
            Ok(name) => Some(name.to_string()),
            Err(_) => Some("invalid".into()),
        };
        assert_eq!(name("a/blobs/uploads/manifests/latest").as_deref(), Some("a/blobs/uploads"));
        assert_eq!(name("a/manifests/tags/list").as_deref(), Some("a/manifests"));
        assert_eq!(name("blobs/blobs/uploads/").as_deref(), Some("blobs"));
        assert_eq!(name("../etc/manifests/latest").as_deref(), Some("invalid"));
        assert_eq!(name("a//manifests/latest").as_deref(), Some("invalid"));
        assert!(parse("_catalog").is_none());
        assert!(parse("a/b").is_none());
    }

    #[test]
    fn what_follows_the_name_is_checked_too() {
        assert!(matches!(parse("a/blobs/sha256:x"), Some(Target::Blob(Ok(_), Err(_)))));
        assert!(matches!(parse("a/manifests/.."), Some(Target::Manifest(Ok(_), Err(_)))));
        assert!(matches!(parse("a/blobs/uploads/.."), Some(Target::Upload(Ok(_), Err(_)))));
    }

    proptest! {
        #[test]
        fn any_path_is_understood_or_refused(path in "([a-z./%_-]{0,8}/){0,4}(blobs|manifests|tags|uploads|)/?[a-z:./]{0,12}") {
            if let Some(target) = parse(&path)
                && let Some(Ok(name)) = target.repository()
            {
                prop_assert!(path.starts_with(name.as_str()));
            }
        }
    }
}
