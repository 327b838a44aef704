//! Finding out what a copy would move, without moving it.

use super::{CopyOptions, filter};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{self, Descriptor, Document, Platform, Problem};
use crate::name::{Reference, RepositoryName};
use crate::registry::{Manifest, Registry};
use bytes::Bytes;
use futures::future::BoxFuture;
use oci_distribution::manifest::{OciImageIndex, OciImageManifest};
use std::collections::{HashMap, HashSet};

/// Everything that belongs to an image, as its source has it.
#[derive(Clone, Debug)]
pub struct CopyPlan {
    /// The digest in the source.
    pub source_digest: Digest,
    /// The digest that the copy will have; another one where an index is filtered.
    pub digest: Digest,
    /// The media type of what the digest names.
    pub media_type: String,
    /// The platforms that are copied.
    pub platforms: Vec<Platform>,
    /// Every blob once.
    pub blobs: Vec<PlannedBlob>,
    /// Layers that are not copied, because their media type forbids it; who runs the image fetches
    /// them from addresses of their own.
    pub foreign_layers: Vec<PlannedBlob>,
    /// The sum of the blobs' sizes, in bytes.
    pub total_bytes: u64,
    /// The manifests, children before their index; the last one is what the digest names.
    pub manifests: Vec<PlannedManifest>,
}

/// A blob to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// A manifest or index to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Reads all manifests of an image, within the limits, and adds up what they refer to.
///
/// # Errors
/// Any [`Error`]; [`Error::Unsupported`] where a platform is missing or a layer can neither be
/// copied nor be fetched from elsewhere.
pub async fn measure(
    source: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
    platforms: Option<&[Platform]>,
    options: &CopyOptions,
) -> Result<CopyPlan, Error> {
    let mut walk = Walk {
        source,
        repository,
        options,
        manifests: Vec::new(),
        seen: HashSet::new(),
        manifest_bytes: 0,
        blobs: Vec::new(),
        foreign: Vec::new(),
        sizes: HashMap::new(),
        total: 0,
    };
    let root = walk.read(digest).await?;
    let mut planned =
        PlannedManifest { digest: root.digest, media_type: root.media_type.clone(), bytes: root.bytes.clone() };
    let platforms = match source.parse(&root)? {
        Document::Image(image) => {
            walk.image(&image)?;
            source.image_platform(repository, &image).await?.into_iter().collect()
        }
        Document::Index(mut index) => {
            if let Some(wanted) = platforms {
                let positions = filter::choose(&index, wanted)?;
                let kept = filter::keep(&root.bytes, root.digest, &positions);
                (planned.bytes, planned.digest) =
                    kept.ok_or_else(|| walk.malformed(&root.digest, "its entries cannot be filtered"))?;
                index.manifests = positions.iter().filter_map(|at| index.manifests.get(*at).cloned()).collect();
            }
            walk.index(&root.digest, &index, 1).await?;
            manifest::platforms(&index)
        }
    };
    let (digest, media_type) = (planned.digest, planned.media_type.clone());
    walk.manifests.push(planned);
    Ok(CopyPlan {
        source_digest: root.digest,
        digest,
        media_type,
        platforms,
        blobs: walk.blobs,
        foreign_layers: walk.foreign,
        total_bytes: walk.total,
        manifests: walk.manifests,
    })
}

struct Walk<'a> {
    source: &'a Registry,
    repository: &'a RepositoryName,
    options: &'a CopyOptions,
    manifests: Vec<PlannedManifest>,
    seen: HashSet<Digest>,
    manifest_bytes: u64,
    blobs: Vec<PlannedBlob>,
    foreign: Vec<PlannedBlob>,
    sizes: HashMap<Digest, u64>,
    total: u64,
}

impl Walk<'_> {
    async fn read(&mut self, digest: &Digest) -> Result<Manifest, Error> {
        self.seen.insert(*digest);
        if self.seen.len() > self.options.max_manifests {
            return Err(too_large("the number of an image's manifests", self.options.max_manifests as u64));
        }
        let found = self.source.get_manifest(self.repository, &Reference::Digest(*digest)).await?;
        self.manifest_bytes += found.bytes.len() as u64;
        if self.manifest_bytes > self.options.max_manifest_bytes {
            return Err(too_large("the sum of an image's manifests, in bytes,", self.options.max_manifest_bytes));
        }
        Ok(found)
    }

    fn index<'s>(
        &'s mut self,
        digest: &'s Digest,
        index: &'s OciImageIndex,
        depth: usize,
    ) -> BoxFuture<'s, Result<(), Error>> {
        Box::pin(async move {
            if depth > self.options.max_index_depth {
                return Err(too_large("the depth of indexes in indexes", self.options.max_index_depth as u64));
            }
            if index.manifests.len() > self.options.max_manifests {
                return Err(too_large("the number of an index's entries", self.options.max_manifests as u64));
            }
            for entry in &index.manifests {
                let has_urls = false;
                let child = Descriptor::new(&entry.digest, entry.size, &entry.media_type, has_urls)
                    .map_err(|problem| self.problem(digest, problem))?;
                if !manifest::is_index(&child.media_type) && !manifest::is_image(&child.media_type) {
                    let what = format!("an index with an entry of the media type {:?}", child.media_type);
                    return Err(Error::Unsupported { what });
                }
                if self.seen.contains(&child.digest) {
                    continue;
                }
                let found = self.read(&child.digest).await?;
                let size = found.bytes.len() as u64;
                if size != child.size {
                    return Err(Error::SizeMismatch { digest: child.digest, expected: child.size, found: size });
                }
                if found.media_type != child.media_type {
                    return Err(self.malformed(&child.digest, "it is of another kind than its index says"));
                }
                match self.source.parse(&found)? {
                    Document::Image(image) => self.image(&image)?,
                    Document::Index(nested) => self.index(&child.digest, &nested, depth + 1).await?,
                }
                self.manifests.push(PlannedManifest {
                    digest: found.digest,
                    media_type: found.media_type,
                    bytes: found.bytes,
                });
            }
            Ok(())
        })
    }

    fn image(&mut self, image: &OciImageManifest) -> Result<(), Error> {
        if image.layers.len() > self.options.max_layers {
            return Err(too_large("the number of an image's layers", self.options.max_layers as u64));
        }
        for descriptor in std::iter::once(&image.config).chain(&image.layers) {
            let blob =
                Descriptor::try_from(descriptor).map_err(|problem| self.problem_in("an image's manifest", problem))?;
            self.blob(blob)?;
        }
        Ok(())
    }

    fn blob(&mut self, blob: Descriptor) -> Result<(), Error> {
        if blob.size > self.options.max_blob_bytes {
            return Err(too_large(&format!("the blob {}, in bytes,", blob.digest), self.options.max_blob_bytes));
        }
        if let Some(size) = self.sizes.insert(blob.digest, blob.size) {
            if size != blob.size {
                return Err(Error::SizeMismatch { digest: blob.digest, expected: size, found: blob.size });
            }
            return Ok(());
        }
        let planned = PlannedBlob { digest: blob.digest, size: blob.size, media_type: blob.media_type };
        if manifest::is_foreign(&planned.media_type) {
            if !blob.has_urls {
                let what = format!("the layer {} that must not be copied and has no address", blob.digest);
                return Err(Error::Unsupported { what });
            }
            self.foreign.push(planned);
            return Ok(());
        }
        self.total = self.total.saturating_add(blob.size);
        if self.total > self.options.max_total_bytes {
            return Err(too_large("the sum of an image's blobs, in bytes,", self.options.max_total_bytes));
        }
        self.blobs.push(planned);
        Ok(())
    }

    fn problem(&self, digest: &Digest, problem: Problem) -> Error {
        self.problem_in(&digest.to_string(), problem)
    }

    fn problem_in(&self, name: &str, problem: Problem) -> Error {
        match problem {
            Problem::Unsupported(what) => Error::Unsupported { what },
            Problem::Malformed(detail) => self.source.protocol(&format!("reading {name}"), detail),
        }
    }

    fn malformed(&self, digest: &Digest, detail: &str) -> Error {
        self.source.protocol(&format!("reading {digest}"), detail)
    }
}

fn too_large(what: &str, limit: u64) -> Error {
    Error::TooLarge { what: what.to_owned(), limit }
}
