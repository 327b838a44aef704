//! Small valid images, the same for the same arguments: for demonstrations and tests.
//!
//! The layers are plain tar archives with one file of noise each, so that they do not compress and
//! a runtime can unpack them. The images have nothing to run.

use crate::artifact::descriptor;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Platform;
use crate::name::{Reference, RepositoryName, Tag};
use crate::registry::Registry;
use bytes::Bytes;
use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageManifest,
};
use serde_json::json;

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleImage {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Bytes,
    /// The configuration.
    pub config: Bytes,
    /// The layers, uncompressed.
    pub layers: Vec<Bytes>,
    /// What it is for.
    pub platform: Platform,
}

/// An index over images, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleIndex {
    /// The digest of the index.
    pub digest: Digest,
    /// The index.
    pub index: Bytes,
    /// Its images.
    pub images: Vec<SampleImage>,
}

impl SampleImage {
    /// The media type of the manifest.
    pub const MEDIA_TYPE: &'static str = OCI_IMAGE_MEDIA_TYPE;

    /// Configuration and layers, with their digests.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, &Bytes)> {
        std::iter::once(&self.config).chain(&self.layers).map(|bytes| (Digest::of(bytes), bytes))
    }
}

impl SampleIndex {
    /// The media type of the index.
    pub const MEDIA_TYPE: &'static str = OCI_IMAGE_INDEX_MEDIA_TYPE;
}

/// Makes an image of `linux/<architecture>` with one layer for each entry of `layers`, which is the
/// size of the file in it, in bytes. Another name, release or architecture gives other layers.
pub fn image(name: &str, release: &str, architecture: &str, layers: &[usize]) -> SampleImage {
    let layers: Vec<Bytes> = layers
        .iter()
        .enumerate()
        .map(|(number, size)| {
            let content = noise(&format!("{name}\n{release}\n{architecture}\n{number}"), *size);
            tar(&format!("layer-{number}"), &content)
        })
        .collect();
    let platform = Platform::linux(architecture);
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({
        "created": "2024-01-01T00:00:00Z",
        "os": platform.os,
        "architecture": platform.architecture,
        "config": { "Cmd": ["/layer-0"], "Labels": {
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.version": release,
        } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(|_| json!({ "created": "2024-01-01T00:00:00Z", "created_by": "sample" }))
            .collect::<Vec<_>>(),
    });
    let config = Bytes::from(config.to_string());
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.into()),
        config: descriptor(IMAGE_CONFIG_MEDIA_TYPE, &config),
        layers: layers.iter().map(|layer| descriptor(IMAGE_LAYER_MEDIA_TYPE, layer)).collect(),
        ..OciImageManifest::default()
    };
    let manifest = Bytes::from(json!(manifest).to_string());
    SampleImage { digest: Digest::of(&manifest), manifest, config, layers, platform }
}

/// Makes an index over images.
pub fn index(images: &[SampleImage]) -> SampleIndex {
    let entries: Vec<_> = images
        .iter()
        .map(|image| {
            json!({
                "mediaType": OCI_IMAGE_MEDIA_TYPE,
                "digest": image.digest,
                "size": image.manifest.len(),
                "platform": image.platform,
            })
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": entries });
    let index = Bytes::from(index.to_string());
    SampleIndex { digest: Digest::of(&index), index, images: images.to_vec() }
}

/// Pushes an image under a tag.
pub async fn push(
    registry: &Registry,
    repository: &RepositoryName,
    tag: &Tag,
    image: &SampleImage,
) -> Result<Digest, Error> {
    push_under(registry, repository, &Reference::Tag(tag.clone()), image).await
}

/// Pushes an index with its images under a tag.
pub async fn push_index(
    registry: &Registry,
    repository: &RepositoryName,
    tag: &Tag,
    index: &SampleIndex,
) -> Result<Digest, Error> {
    for image in &index.images {
        push_under(registry, repository, &Reference::Digest(image.digest), image).await?;
    }
    let reference = Reference::Tag(tag.clone());
    registry.push_manifest(repository, &reference, index.index.clone(), SampleIndex::MEDIA_TYPE).await
}

async fn push_under(
    registry: &Registry,
    repository: &RepositoryName,
    reference: &Reference,
    image: &SampleImage,
) -> Result<Digest, Error> {
    for (_, bytes) in image.blobs() {
        registry.push_blob(repository, bytes.clone()).await?;
    }
    registry.push_manifest(repository, reference, image.manifest.clone(), SampleImage::MEDIA_TYPE).await
}

/// Bytes without a pattern, from a 64-bit xorshift generator.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let seed = Digest::of(seed.as_bytes()).hex();
    let mut state = u64::from_str_radix(&seed[..16], 16).unwrap_or(0) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A tar archive (ustar) with one file.
fn tar(name: &str, content: &[u8]) -> Bytes {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    Bytes::from(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arguments_give_the_same_image() {
        let one = image("shop", "1.0", "amd64", &[100, 2000]);
        assert_eq!(one, image("shop", "1.0", "amd64", &[100, 2000]));
        let other = image("shop", "1.1", "amd64", &[100, 2000]);
        assert_ne!(one.digest, other.digest);
        assert_ne!(one.layers, other.layers);
    }

    #[test]
    fn layers_are_archives_of_whole_blocks() {
        let layer = &image("shop", "1.0", "amd64", &[513]).layers[0];
        assert_eq!(layer.len(), 512 + 1024 + 1024);
        assert_eq!(&layer[257..262], b"ustar");
        let sum: u32 = layer[..512]
            .iter()
            .enumerate()
            .map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b }))
            .sum();
        assert_eq!(&layer[148..154], format!("{sum:06o}").as_bytes());
    }
}
