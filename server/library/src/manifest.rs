//! Manifests and indexes of the OCI and Docker formats, read from untrusted bytes.

use crate::digest::Digest;
use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex, OciImageManifest,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The value of `Accept` that asks for everything that this crate understands.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, as Go names it: `linux`.
    pub os: String,
    /// The processor, as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// The processor's variant, such as `v7`; in a filter, nothing matches every variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text is not of the form `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a platform is written os/architecture or os/architecture/variant")]
pub struct InvalidPlatform;

/// A manifest of one of the two kinds.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Index(OciImageIndex),
    Image(Box<OciImageManifest>),
}

/// Why some bytes are no manifest that we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Unsupported(String),
    Malformed(String),
}

/// A descriptor whose digest and size are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    /// Has addresses of its own, outside any registry.
    pub(crate) has_urls: bool,
}

impl Platform {
    /// `linux/<architecture>`.
    pub fn linux(architecture: impl Into<String>) -> Self {
        Self { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// Whether an image for `offered` is what this filter asks for.
    pub fn accepts(&self, offered: &Self) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant.is_none() || self.variant == offered.variant)
    }

    /// Attestations are listed under this name; it is no platform.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

/// The kind of manifest: what it says itself, else what it was served with, else what it looks like.
pub(crate) fn media_type(bytes: &[u8], served: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Peek {
        media_type: Option<String>,
    }
    let own = serde_json::from_slice::<Peek>(bytes).ok().and_then(|peek| peek.media_type);
    let served = || served.map(|text| text.split(';').next().unwrap_or(text).trim().to_owned());
    own.or_else(served).filter(|text| !text.is_empty() && text.len() <= 255)
}

/// Whether a media type is that of an index.
pub(crate) fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE)
}

/// Whether a media type is that of a manifest of one image or artifact.
pub(crate) fn is_image(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE)
}

/// Whether a layer must not be given to others by its own media type.
pub(crate) fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// Whether a configuration is that of a container image, which names its platform.
pub(crate) fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, IMAGE_CONFIG_MEDIA_TYPE | IMAGE_DOCKER_CONFIG_MEDIA_TYPE)
}

/// Reads a manifest.
pub(crate) fn parse(bytes: &[u8], media_type: &str) -> Result<Document, Problem> {
    let malformed = |text: &str| Problem::Malformed(text.to_owned());
    if !is_index(media_type) && !is_image(media_type) {
        return Err(Problem::Unsupported(format!("a manifest of the media type {media_type:?}")));
    }
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| malformed("it is not JSON"))?;
    let has = |key: &str| value.get(key).is_some();
    // What is both is read differently by different programs; the specification says to refuse it.
    if has("manifests") && (has("layers") || has("config")) {
        return Err(malformed("it is a manifest and an index at once"));
    }
    if value.get("schemaVersion").and_then(serde_json::Value::as_u64) != Some(2) {
        return Err(Problem::Unsupported("a manifest of another schema version than 2".into()));
    }
    if value.get("mediaType").is_some_and(|own| own.as_str() != Some(media_type)) {
        return Err(malformed("it says to be of another kind than it is served as"));
    }
    let document = if is_index(media_type) {
        serde_json::from_value(value).map(Document::Index)
    } else {
        serde_json::from_value(value).map(|image| Document::Image(Box::new(image)))
    };
    document.map_err(|error| Problem::Malformed(format!("it does not follow its format: {error}")))
}

/// The platforms of an index, each once, in order.
pub(crate) fn platforms(index: &OciImageIndex) -> Vec<Platform> {
    let mut found: Vec<Platform> = Vec::new();
    for platform in index.manifests.iter().filter_map(|entry| entry.platform.as_ref()) {
        let platform = Platform::from(platform);
        if !platform.is_unknown() && !found.contains(&platform) {
            found.push(platform);
        }
    }
    found
}

impl Descriptor {
    pub(crate) fn new(digest: &str, size: i64, media_type: &str, has_urls: bool) -> Result<Self, Problem> {
        let digest = match digest.parse() {
            Ok(digest) => digest,
            Err(_) if digest.starts_with("sha512:") => {
                return Err(Problem::Unsupported("content with a sha512 digest".into()));
            }
            Err(_) => return Err(Problem::Malformed("a descriptor's digest is not valid".into())),
        };
        let size = u64::try_from(size).map_err(|_| Problem::Malformed("a descriptor's size is negative".into()))?;
        Ok(Self { digest, size, media_type: media_type.to_owned(), has_urls })
    }
}

impl TryFrom<&OciDescriptor> for Descriptor {
    type Error = Problem;

    fn try_from(found: &OciDescriptor) -> Result<Self, Problem> {
        let has_urls = found.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        Self::new(&found.digest, found.size, &found.media_type, has_urls)
    }
}

impl From<&oci_distribution::manifest::Platform> for Platform {
    fn from(found: &oci_distribution::manifest::Platform) -> Self {
        Self { os: found.os.to_string(), architecture: found.architecture.to_string(), variant: found.variant.clone() }
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| {
            let good = !part.is_empty()
                && part.len() <= 64
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            good.then(|| part.to_owned()).ok_or(InvalidPlatform)
        };
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [os, architecture] => Ok(Self { os: part(os)?, architecture: part(architecture)?, variant: None }),
            [os, architecture, variant] => {
                Ok(Self { os: part(os)?, architecture: part(architecture)?, variant: Some(part(variant)?) })
            }
            _ => Err(InvalidPlatform),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_of_both_kinds_is_refused() {
        let bytes = br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        for media_type in [OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE] {
            assert!(matches!(parse(bytes, media_type), Err(Problem::Malformed(_))));
        }
    }

    #[test]
    fn a_document_that_contradicts_its_media_type_is_refused() {
        let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#;
        assert!(matches!(parse(bytes, OCI_IMAGE_INDEX_MEDIA_TYPE), Err(Problem::Malformed(_))));
    }

    #[test]
    fn old_and_unknown_kinds_are_not_supported() {
        let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(matches!(parse(b"{}", old), Err(Problem::Unsupported(_))));
        assert!(matches!(parse(br#"{"schemaVersion":1}"#, OCI_IMAGE_MEDIA_TYPE), Err(Problem::Unsupported(_))));
    }

    #[test]
    fn a_filter_without_a_variant_takes_all_of_them() {
        let offered: Platform = "linux/arm/v7".parse().expect("valid");
        assert!(Platform::linux("arm").accepts(&offered));
        assert!(!"linux/arm/v6".parse::<Platform>().expect("valid").accepts(&offered));
        assert_eq!(offered.to_string(), "linux/arm/v7");
        assert!("linux".parse::<Platform>().is_err());
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, OCI_IMAGE_INDEX_MEDIA_TYPE);
            let _ = parse(&bytes, OCI_IMAGE_MEDIA_TYPE);
            let _ = media_type(&bytes, None);
        }
    }
}
