//! The grammar of image references.

use crate::digest::Digest;

/// Why a text is no reference of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Nothing there.
    #[error("an image is needed, such as docker.io/library/nginx:1.29")]
    Empty,
    /// Longer than any registry takes.
    #[error("an image reference has at most 512 characters")]
    TooLong,
    /// An address of a page.
    #[error("an image reference has no scheme: leave out what stands before \"://\"")]
    Scheme,
    /// The registry's host.
    #[error("what stands before the first slash is no host and port of a registry")]
    Host,
    /// The repository.
    #[error(
        "a repository has lower-case letters and digits, with single \".\", \"-\" or \"_\" between them, joined by slashes"
    )]
    Repository,
    /// The tag.
    #[error("a tag has 1 to 128 letters, digits, \"_\", \".\" and \"-\", and begins with none of the last two")]
    Tag,
    /// The digest.
    #[error("a digest is \"sha256:\" and 64 lower-case hexadecimal digits")]
    Digest,
}

/// Whether a text is well formed as `[host[:port]/]repository[:tag][@digest]`. Nothing is asked of any registry.
pub fn image_reference(reference: &str) -> Result<(), InvalidReference> {
    if reference.is_empty() {
        return Err(InvalidReference::Empty);
    }
    if reference.len() > 512 {
        return Err(InvalidReference::TooLong);
    }
    if reference.contains("://") {
        return Err(InvalidReference::Scheme);
    }
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
        return Err(InvalidReference::Digest);
    }
    // A colon after the last slash begins a tag; before it, a port.
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last..].rfind(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(InvalidReference::Tag);
    }
    let repository = match name.split_once('/') {
        Some((host, repository)) if host.contains(['.', ':', '[']) || host == "localhost" || has_upper(host) => {
            if !is_host(host) {
                return Err(InvalidReference::Host);
            }
            repository
        }
        _ => name,
    };
    if is_repository(repository) { Ok(()) } else { Err(InvalidReference::Repository) }
}

/// A path of a repository: components joined by slashes, 255 characters at most.
pub(super) fn is_repository(repository: &str) -> bool {
    repository.len() <= 255 && repository.split('/').all(is_path_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    component.starts_with(inner)
        && component.ends_with(inner)
        && component.split(inner).filter(|run| !run.is_empty()).all(separators)
}

fn is_tag(tag: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(allowed) && !tag.starts_with(['.', '-'])
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("localhost", Some(port)),
                None if after.is_empty() => ("localhost", None),
                None => return false,
            }
        }
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    name.len() <= 253 && name.split('.').all(label) && port.is_none_or(is_port)
}

fn has_upper(host: &str) -> bool {
    host.bytes().any(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use InvalidReference::{Empty, Host, Repository, Scheme, Tag, TooLong};
    use proptest::prelude::*;

    #[test]
    fn references_of_images() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let long = "a".repeat(513);
        for (reference, expected) in [
            ("nginx", Ok(())),
            ("nginx:1.29", Ok(())),
            ("library/nginx:1.29-alpine_3", Ok(())),
            ("docker.io/library/nginx", Ok(())),
            ("localhost:5000/a/b__c/d--e.f:V1", Ok(())),
            ("localhost/a", Ok(())),
            ("registry:5000/a", Ok(())),
            ("127.0.0.1:5000/a", Ok(())),
            ("[::1]:5000/a", Ok(())),
            ("Registry.example.org/a", Ok(())),
            (&format!("a.b/c@{digest}"), Ok(())),
            (&format!("a.b/c:1@{digest}"), Ok(())),
            ("", Err(Empty)),
            (&long, Err(TooLong)),
            ("https://a.b/c", Err(Scheme)),
            ("docker://nginx", Err(Scheme)),
            ("Nginx", Err(Repository)),
            ("a.b/", Err(Repository)),
            ("a.b//c", Err(Repository)),
            ("a.b/../c", Err(Repository)),
            ("a.b/c..d", Err(Repository)),
            ("-a", Err(Repository)),
            ("a b", Err(Repository)),
            ("a___b", Err(Repository)),
            ("nginx:", Err(Tag)),
            ("nginx:-1", Err(Tag)),
            ("nginx: 1", Err(Tag)),
            ("a.b:port/c", Err(Host)),
            ("a.b:0/c", Err(Host)),
            ("a..b/c", Err(Host)),
            ("[::1/c", Err(Host)),
            ("nginx@sha256:abc", Err(InvalidReference::Digest)),
            (&format!("a@{digest}@{digest}"), Err(InvalidReference::Digest)),
        ] {
            assert_eq!(image_reference(reference), expected, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}") {
            if image_reference(&text).is_ok() {
                prop_assert!(!text.contains(char::is_whitespace) && !text.contains(".."));
            }
        }
    }
}
