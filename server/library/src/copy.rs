//! Copying images by digest between two registries.
//!
//! First everything is measured: all manifests are read and verified, all blobs are known with
//! their sizes. Then blobs are moved, several at a time, each streaming from source to target with
//! a few pieces in memory: what the target has is skipped, what another of its repositories has is
//! mounted where the registry can. Manifests come last, children before their index, and each is
//! read back by its digest before the copy counts as done. Copying again moves only what is missing.

mod blob;
mod filter;
mod measure;

pub use measure::{CopyPlan, PlannedBlob, PlannedManifest, measure};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Platform;
use crate::name::{Reference, RepositoryName, Tag};
use crate::registry::Registry;
use blob::{Meter, Moved};
use futures::{FutureExt, StreamExt};

/// What to copy, and where.
#[derive(Clone, Debug)]
pub struct CopyRequest<'a> {
    /// The registry to read from.
    pub source: &'a Registry,
    /// The repository to read from.
    pub source_repository: RepositoryName,
    /// The manifest or index to copy.
    pub digest: Digest,
    /// The registry to write to; may be the same.
    pub target: &'a Registry,
    /// The repository to write to.
    pub target_repository: RepositoryName,
    /// The tag to give to the copy.
    pub tag: Option<Tag>,
    /// The platforms of an index to copy; all where there is none. A single image is copied whole.
    pub platforms: Option<Vec<Platform>>,
    /// Other repositories of the target that may hold the same blobs.
    pub mount_from: Vec<RepositoryName>,
}

/// How to copy, and how much at most.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// How many blobs move at the same time.
    pub concurrent_blobs: usize,
    /// The greatest blob, in bytes.
    pub max_blob_bytes: u64,
    /// The greatest sum of the blobs, in bytes.
    pub max_total_bytes: u64,
    /// The most layers of one image.
    pub max_layers: usize,
    /// The most entries of one index, and manifests altogether.
    pub max_manifests: usize,
    /// How deep indexes may lie in indexes; 0 is no index at all.
    pub max_index_depth: usize,
    /// The greatest sum of the manifests, in bytes; they are held in memory.
    pub max_manifest_bytes: u64,
    /// The most repositories that mounting is tried from, per blob.
    pub max_mount_attempts: usize,
}

/// How far a copy has come. A blob that has to begin again counts again from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of blobs that are in the target, or on their way.
    pub bytes_done: u64,
    /// Bytes of all blobs.
    pub bytes_total: u64,
    /// Blobs that are in the target.
    pub blobs_done: usize,
    /// All blobs.
    pub blobs_total: usize,
}

/// What a copy has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest in the target; another than the source's where an index was filtered.
    pub digest: Digest,
    /// The digest in the source.
    pub source_digest: Digest,
    /// The media type of what the digest names.
    pub media_type: String,
    /// The platforms that were copied.
    pub platforms: Vec<Platform>,
    /// Blobs that were streamed.
    pub blobs_copied: usize,
    /// Blobs that the target took from another of its repositories.
    pub blobs_mounted: usize,
    /// Blobs that the target had.
    pub blobs_skipped: usize,
    /// Bytes that were streamed.
    pub bytes_copied: u64,
    /// Manifests that were pushed.
    pub manifests_pushed: usize,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            concurrent_blobs: 4,
            max_blob_bytes: 20 << 30,
            max_total_bytes: 200 << 30,
            max_layers: 256,
            max_manifests: 256,
            max_index_depth: 2,
            max_manifest_bytes: 32 << 20,
            max_mount_attempts: 4,
        }
    }
}

/// Copies an image. `progress` is called now and then, at least once per blob. Dropping the future
/// stops the copy; no blob is left half.
///
/// # Errors
/// Any [`Error`]; blobs that have arrived stay in the target, so that another call goes on.
pub async fn copy(
    request: &CopyRequest<'_>,
    options: &CopyOptions,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Copied, Error> {
    let plan =
        measure(request.source, &request.source_repository, &request.digest, request.platforms.as_deref(), options)
            .await?;
    execute(request, &plan, options, progress).await
}

/// Copies what [`measure`] has found.
pub async fn execute(
    request: &CopyRequest<'_>,
    plan: &CopyPlan,
    options: &CopyOptions,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Copied, Error> {
    let mut copied = Copied {
        digest: plan.digest,
        source_digest: plan.source_digest,
        media_type: plan.media_type.clone(),
        platforms: plan.platforms.clone(),
        blobs_copied: 0,
        blobs_mounted: 0,
        blobs_skipped: 0,
        bytes_copied: 0,
        manifests_pushed: 0,
    };
    move_blobs(request, plan, options, &progress, &mut copied).await?;
    for manifest in &plan.manifests {
        copied.manifests_pushed += usize::from(push_manifest(request, manifest, None).await?);
    }
    if let (Some(tag), Some(root)) = (&request.tag, plan.manifests.last()) {
        push_manifest(request, root, Some(tag)).await?;
    }
    Ok(copied)
}

async fn move_blobs(
    request: &CopyRequest<'_>,
    plan: &CopyPlan,
    options: &CopyOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
    copied: &mut Copied,
) -> Result<(), Error> {
    let meter = Meter::default();
    let mounts = mount_candidates(request, options);
    let mut done = 0;
    let report = |done: usize| {
        progress(Progress {
            bytes_done: meter.bytes().min(plan.total_bytes),
            bytes_total: plan.total_bytes,
            blobs_done: done,
            blobs_total: plan.blobs.len(),
        });
    };
    report(done);
    // Boxed, so that the copy can be a task that moves between threads.
    let pending: Vec<_> =
        plan.blobs.iter().map(|blob| blob::move_blob(request, blob, &mounts, &meter).boxed()).collect();
    let mut running = futures::stream::iter(pending).buffer_unordered(options.concurrent_blobs.max(1));
    loop {
        tokio::select! {
            moved = running.next() => match moved.transpose()? {
                None => return Ok(()),
                Some(moved) => {
                    match moved {
                        Moved::Skipped => copied.blobs_skipped += 1,
                        Moved::Mounted => copied.blobs_mounted += 1,
                        Moved::Streamed(bytes) => {
                            copied.blobs_copied += 1;
                            copied.bytes_copied += bytes;
                        }
                    }
                    done += 1;
                    report(done);
                }
            },
            () = meter.stepped() => report(done),
        }
    }
}

/// Repositories to mount from: those that the caller names, and the source where it is in the same registry.
fn mount_candidates(request: &CopyRequest<'_>, options: &CopyOptions) -> Vec<RepositoryName> {
    let mut found: Vec<RepositoryName> = Vec::new();
    let own = request.source.is_same(request.target).then_some(&request.source_repository);
    for repository in own.into_iter().chain(&request.mount_from) {
        if *repository != request.target_repository && !found.contains(repository) {
            found.push(repository.clone());
        }
    }
    found.truncate(options.max_mount_attempts);
    found
}

/// Pushes a manifest unless it is there, and reads it back: what a registry acknowledges is not
/// always what it has. Says whether it was pushed.
async fn push_manifest(
    request: &CopyRequest<'_>,
    manifest: &PlannedManifest,
    tag: Option<&Tag>,
) -> Result<bool, Error> {
    let (target, repository) = (request.target, &request.target_repository);
    let reference = tag.map_or(Reference::Digest(manifest.digest), |tag| Reference::Tag(tag.clone()));
    let there = match tag {
        Some(_) => false,
        None => target.head_manifest(repository, &manifest.digest).await?,
    };
    if !there {
        target.push_manifest(repository, &reference, manifest.bytes.clone(), &manifest.media_type).await?;
    }
    let found = target.get_manifest(repository, &reference).await?;
    if found.digest != manifest.digest {
        let action = format!("reading back {repository} {reference}");
        return Err(Error::DigestMismatch { expected: manifest.digest, found: found.digest, action });
    }
    Ok(!there)
}
