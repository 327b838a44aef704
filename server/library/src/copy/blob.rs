//! Moving one blob: skip, mount or stream.

use super::{CopyRequest, PlannedBlob};
use crate::error::Error;
use crate::name::RepositoryName;
use crate::registry::{Mount, Size, Upload};
use crate::retry::retrying;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often moving bytes are reported.
const STEP: Duration = Duration::from_millis(200);

/// Counts the bytes of all blobs of a copy.
#[derive(Default)]
pub(super) struct Meter {
    bytes: Arc<AtomicU64>,
    reported: AtomicU64,
}

/// How a blob came to be in the target.
pub(super) enum Moved {
    Skipped,
    Mounted,
    Streamed(u64),
}

/// The bytes of one attempt; taken back from the meter unless they have arrived.
struct Counting {
    total: Arc<AtomicU64>,
    own: AtomicU64,
    kept: AtomicBool,
}

impl Counting {
    fn add(&self, bytes: u64) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            self.total.fetch_sub(self.own.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Meter {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns when bytes have moved since the last time, but not too often.
    pub(super) async fn stepped(&self) {
        loop {
            tokio::time::sleep(STEP).await;
            let now = self.bytes();
            if self.reported.swap(now, Ordering::Relaxed) != now {
                return;
            }
        }
    }
}

pub(super) async fn move_blob(
    request: &CopyRequest<'_>,
    blob: &PlannedBlob,
    mounts: &[RepositoryName],
    meter: &Meter,
) -> Result<Moved, Error> {
    let (target, repository) = (request.target, &request.target_repository);
    if let Some(found) = target.head_blob(repository, &blob.digest).await? {
        if found != blob.size {
            return Err(Error::SizeMismatch { digest: blob.digest, expected: blob.size, found });
        }
        meter.bytes.fetch_add(blob.size, Ordering::Relaxed);
        return Ok(Moved::Skipped);
    }
    retrying(target.limits(), || async {
        let mut offered = None;
        for from in mounts {
            match target.mount_blob(repository, &blob.digest, from).await? {
                Mount::Mounted => {
                    if let Some(upload) = offered.take() {
                        target.cancel_upload(&upload).await;
                    }
                    return mounted(request, blob, meter).await;
                }
                Mount::Offered(upload) => {
                    if let Some(unused) = offered.replace(upload) {
                        target.cancel_upload(&unused).await;
                    }
                }
                Mount::Refused => {}
            }
        }
        stream(request, blob, offered, meter).await
    })
    .await
}

/// A mount counts when the blob is really there.
async fn mounted(request: &CopyRequest<'_>, blob: &PlannedBlob, meter: &Meter) -> Result<Moved, Error> {
    let (target, repository) = (request.target, &request.target_repository);
    match target.head_blob(repository, &blob.digest).await? {
        Some(found) if found == blob.size => {
            meter.bytes.fetch_add(blob.size, Ordering::Relaxed);
            Ok(Moved::Mounted)
        }
        Some(found) => Err(Error::SizeMismatch { digest: blob.digest, expected: blob.size, found }),
        None => stream(request, blob, None, meter).await,
    }
}

async fn stream(
    request: &CopyRequest<'_>,
    blob: &PlannedBlob,
    offered: Option<Upload>,
    meter: &Meter,
) -> Result<Moved, Error> {
    let (source, target) = (request.source, request.target);
    let opened = source.pull_blob_stream(&request.source_repository, &blob.digest, Size::Exactly(blob.size)).await;
    let pieces = match opened {
        Ok(pieces) => pieces,
        Err(error) => {
            if let Some(upload) = &offered {
                target.cancel_upload(upload).await;
            }
            return Err(error);
        }
    };
    let upload = match offered {
        Some(upload) => upload,
        None => target.start_upload(&request.target_repository).await?,
    };
    let counting = Counting { total: meter.bytes.clone(), own: AtomicU64::new(0), kept: AtomicBool::new(false) };
    let counting = Arc::new(counting);
    let counter = counting.clone();
    let sent = move |bytes| counter.add(bytes);
    target.push_blob_stream(upload, &blob.digest, blob.size, pieces, sent).await?;
    counting.kept.store(true, Ordering::Relaxed);
    Ok(Moved::Streamed(blob.size))
}
