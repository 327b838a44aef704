//! Template versions as OCI artifacts.
//!
//! A version is an OCI 1.1 manifest with the empty configuration and one layer: the canonical JSON
//! of the version, byte for byte. A library can so be read back from its registry alone.

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Descriptor, Document};
use crate::name::{Reference, RepositoryName, Tag};
use crate::registry::{Registry, Size};
use bytes::Bytes;
use oci_distribution::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use std::collections::BTreeMap;

/// The type of the artifact and of its one layer.
pub const VERSION_MEDIA_TYPE: &str = "application/vnd.ropeway.template.v1+json";
/// The greatest version, in bytes.
pub const MAX_VERSION_BYTES: u64 = 8 << 20;

const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
const MAX_ANNOTATIONS_BYTES: usize = 64 << 10;

/// A version as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// The digest of the artifact's manifest.
    pub digest: Digest,
    /// The version's canonical JSON; its digest is verified, its content is not looked at.
    pub content: Bytes,
    /// The annotations of the artifact.
    pub annotations: BTreeMap<String, String>,
}

/// Stores a version under a tag and reads it back. The same content and annotations give the same
/// digest. Returns the digest of the artifact's manifest.
pub async fn push_version(
    registry: &Registry,
    repository: &RepositoryName,
    tag: &Tag,
    content: &[u8],
    annotations: BTreeMap<String, String>,
) -> Result<Digest, Error> {
    if content.len() as u64 > MAX_VERSION_BYTES {
        return Err(Error::TooLarge { what: "a version, in bytes,".into(), limit: MAX_VERSION_BYTES });
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_ANNOTATIONS_BYTES {
        let limit = MAX_ANNOTATIONS_BYTES as u64;
        return Err(Error::TooLarge { what: "the annotations of a version, in bytes,".into(), limit });
    }
    let layer = Bytes::copy_from_slice(content);
    let manifest = OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
        artifact_type: Some(VERSION_MEDIA_TYPE.into()),
        config: descriptor(EMPTY_MEDIA_TYPE, EMPTY),
        layers: vec![descriptor(VERSION_MEDIA_TYPE, &layer)],
        subject: None,
        annotations: (!annotations.is_empty()).then_some(annotations),
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|_| Error::Unsupported { what: "the annotations".into() })?;
    let bytes = Bytes::from(bytes);
    registry.push_blob(repository, Bytes::from_static(EMPTY)).await?;
    registry.push_blob(repository, layer).await?;
    let reference = Reference::Tag(tag.clone());
    let digest = registry.push_manifest(repository, &reference, bytes, OCI_IMAGE_MEDIA_TYPE).await?;
    let found = registry.get_manifest(repository, &Reference::Digest(digest)).await?.digest;
    debug_assert_eq!(found, digest, "a manifest that is read by its digest has it");
    Ok(digest)
}

/// Reads a version and verifies its digests.
///
/// # Errors
/// Any [`Error`]; [`Error::Unsupported`] for what is no version.
pub async fn read_version(
    registry: &Registry,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<StoredVersion, Error> {
    let manifest = registry.get_manifest(repository, reference).await?;
    let no_version = || Error::Unsupported { what: format!("{repository} {reference}, which is no template version") };
    let Document::Image(image) = registry.parse(&manifest)? else { return Err(no_version()) };
    let [layer] = image.layers.as_slice() else { return Err(no_version()) };
    if image.artifact_type.as_deref() != Some(VERSION_MEDIA_TYPE) || layer.media_type != VERSION_MEDIA_TYPE {
        return Err(no_version());
    }
    let layer = Descriptor::try_from(layer).map_err(|_| no_version())?;
    if layer.size > MAX_VERSION_BYTES {
        return Err(Error::TooLarge { what: "a version, in bytes,".into(), limit: MAX_VERSION_BYTES });
    }
    let content = registry.pull_blob(repository, &layer.digest, Size::Exactly(layer.size)).await?;
    Ok(StoredVersion { digest: manifest.digest, content, annotations: image.annotations.unwrap_or_default() })
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.into(),
        digest: Digest::of(bytes).to_string(),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        urls: None,
        annotations: None,
        artifact_type: None,
    }
}
