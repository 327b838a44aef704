//! Uploads that are under way: their files, their digests so far, and when they were last heard of.
//!
//! They live in memory and in one file each. After a restart they are gone, and clients begin again.

use super::super::Limits;
use super::super::refusal::{Code, Refusal};
use super::super::store::{blocking, uploads_dir};
use crate::digest::{Digest, Hasher};
use crate::name::RepositoryName;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// All uploads.
pub(in super::super) struct Uploads {
    dir: PathBuf,
    most: usize,
    most_of_one: usize,
    expiry: TimeDelta,
    sessions: Mutex<HashMap<Uuid, Arc<Session>>>,
}

/// One upload. Its file goes when nobody needs it any more.
pub(super) struct Session {
    id: Uuid,
    repository: RepositoryName,
    owner: String,
    path: PathBuf,
    heard: Mutex<DateTime<Utc>>,
    written: tokio::sync::Mutex<Written>,
}

/// What has arrived.
pub(super) struct Written {
    file: tokio::fs::File,
    hasher: Hasher,
    pub(super) size: u64,
    /// A write was begun and not ended: file and digest may disagree.
    torn: bool,
}

impl Uploads {
    /// Removes what an earlier process has left.
    pub(in super::super) fn open(root: &Path, limits: &Limits) -> io::Result<Self> {
        let dir = uploads_dir(root);
        for entry in fs::read_dir(&dir)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            dir,
            most: limits.max_uploads,
            most_of_one: limits.max_uploads_of_one,
            expiry: TimeDelta::from_std(limits.upload_expiry).unwrap_or(TimeDelta::MAX),
            sessions: Mutex::default(),
        })
    }

    /// Gives up the uploads that rest too long, with their files.
    pub(in super::super) async fn sweep(&self, now: DateTime<Utc>) {
        let expired: Vec<_> = self.sessions().extract_if(|_, session| session.expired(now, self.expiry)).collect();
        if expired.is_empty() {
            return;
        }
        let removed = blocking(move || {
            drop(expired);
            Ok(())
        });
        if let Err(error) = removed.await {
            tracing::warn!("Uploads that were given up could not be removed: {error}");
        }
    }

    /// Begins an upload, unless there are too many; those that rest too long make room.
    pub(super) async fn begin(
        &self,
        id: Uuid,
        repository: RepositoryName,
        owner: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, Refusal> {
        self.sweep(now).await;
        let path = self.dir.join(id.to_string());
        let file = blocking({
            let path = path.clone();
            move || fs::File::create_new(path)
        });
        let file = file.await.map_err(|error| Refusal::internal("beginning an upload", &error))?;
        let session = Arc::new(Session {
            id,
            repository,
            owner: owner.to_owned(),
            path,
            heard: Mutex::new(now),
            written: tokio::sync::Mutex::new(Written {
                file: tokio::fs::File::from_std(file),
                hasher: Hasher::default(),
                size: 0,
                torn: false,
            }),
        });
        let mut sessions = self.sessions();
        let theirs = sessions.values().filter(|session| session.owner == owner).count();
        if sessions.len() >= self.most || theirs >= self.most_of_one {
            let refusal = Refusal::new(Code::TooManyRequests, "there are too many uploads at the moment");
            return Err(refusal.with_retry_after());
        }
        sessions.insert(id, session.clone());
        Ok(session)
    }

    /// An upload of this repository and this owner.
    pub(super) fn find(
        &self,
        id: Uuid,
        repository: &RepositoryName,
        owner: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, Refusal> {
        let found = self.sessions().get(&id).cloned();
        let found = found.filter(|session| {
            session.repository == *repository && session.owner == owner && !session.expired(now, self.expiry)
        });
        let session = found.ok_or_else(|| Refusal::new(Code::BlobUploadUnknown, "there is no such upload"))?;
        session.touch(now);
        Ok(session)
    }

    /// Forgets an upload.
    pub(super) fn forget(&self, id: Uuid) {
        self.sessions().remove(&id);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The right to write, which one request has at a time.
    pub(super) fn lock(&self) -> Result<tokio::sync::MutexGuard<'_, Written>, Refusal> {
        let busy = |_| Refusal::new(Code::TooManyRequests, "another request writes to this upload").with_retry_after();
        let written = self.written.try_lock().map_err(busy)?;
        if written.torn {
            return Err(Refusal::new(Code::BlobUploadUnknown, "the upload broke off and has to begin again"));
        }
        Ok(written)
    }

    pub(super) fn touch(&self, now: DateTime<Utc>) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Rests for too long. Who is writing at the moment does not rest.
    fn expired(&self, now: DateTime<Utc>, expiry: TimeDelta) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        now - heard > expiry && self.written.try_lock().is_ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Gone already where it became a blob; else removed at the next start at the latest.
        let _ = fs::remove_file(&self.path);
    }
}

impl Written {
    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.torn = true;
        self.file.write_all(piece).await?;
        self.hasher.update(piece);
        self.size += piece.len() as u64;
        self.torn = false;
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.file.flush().await
    }

    /// Brings the bytes to the disk itself.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await
    }

    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }
}
