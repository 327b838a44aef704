//! What is on disk.
//!
//! ```text
//! blobs/sha256/<2 digits>/<hex>              content of blobs and manifests, by digest
//! repositories/<name>/_blobs/<hex>           the repository has this blob; empty
//! repositories/<name>/_manifests/<hex>       the repository has this manifest; holds its media type
//! repositories/<name>/_tags/<tag>            holds the digest
//! uploads/<id>                               what is being written
//! ```
//! No component of a repository name begins with `_`, so that names and these folders never meet.

use super::durable::Disk;
use crate::digest::Digest;
use crate::name::{Reference, RepositoryName, Tag};
use bytes::Bytes;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use uuid::Uuid;

const MAX_LINK_BYTES: u64 = 1024;

/// The stored content; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Store {
    disk: Arc<Disk>,
}

/// A manifest of a repository.
#[derive(Debug)]
pub(super) struct StoredManifest {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

/// The folder of what is being written.
pub(super) fn uploads_dir(root: &Path) -> PathBuf {
    root.join("uploads")
}

impl Store {
    /// Makes the folders.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let disk = Disk::open(root)?;
        disk.make_dir(&root.join("blobs").join("sha256"))?;
        disk.make_dir(&root.join("repositories"))?;
        disk.make_dir(&uploads_dir(root))?;
        Ok(Self { disk: Arc::new(disk) })
    }

    /// The size of a blob, if the repository has it.
    pub(super) async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> io::Result<Option<u64>> {
        let (link, path) = (self.blob_link(repository, digest), self.content(digest));
        blocking(move || if link.is_file() { found(fs::metadata(path).map(|file| file.len())) } else { Ok(None) }).await
    }

    /// Opens a blob, if the repository has it.
    pub(super) async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> io::Result<Option<(fs::File, u64)>> {
        let (link, path) = (self.blob_link(repository, digest), self.content(digest));
        blocking(move || {
            if !link.is_file() {
                return Ok(None);
            }
            let Some(file) = found(fs::File::open(path))? else { return Ok(None) };
            let size = file.metadata()?.len();
            Ok(Some((file, size)))
        })
        .await
    }

    /// Makes a verified and synchronised upload a blob of the repository.
    pub(super) async fn commit_blob(
        &self,
        upload: PathBuf,
        repository: &RepositoryName,
        digest: &Digest,
        id: Uuid,
    ) -> io::Result<()> {
        let (store, repository, digest) = (self.clone(), repository.clone(), *digest);
        blocking(move || {
            store.disk.rename(&upload, &store.content(&digest))?;
            store.link_now(&repository, &digest, id)
        })
        .await
    }

    /// Makes a blob of one repository visible in another.
    pub(super) async fn link_blob(&self, repository: &RepositoryName, digest: &Digest, id: Uuid) -> io::Result<()> {
        let (store, repository, digest) = (self.clone(), repository.clone(), *digest);
        blocking(move || store.link_now(&repository, &digest, id)).await
    }

    /// Stores a manifest, and lets a tag point to it. `ids` are for the temporary files.
    pub(super) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        manifest: StoredManifest,
        tag: Option<Tag>,
        ids: [Uuid; 3],
    ) -> io::Result<()> {
        let (store, repository) = (self.clone(), repository.clone());
        blocking(move || {
            let [content, link, pointer] = ids.map(|id| store.temporary(id));
            store.disk.write(&content, &store.content(&manifest.digest), &manifest.bytes)?;
            let target = store.manifest_link(&repository, &manifest.digest);
            store.disk.write(&link, &target, manifest.media_type.as_bytes())?;
            match tag {
                Some(tag) => {
                    let text = manifest.digest.to_string();
                    store.disk.write(&pointer, &store.tags_dir(&repository).join(tag.as_str()), text.as_bytes())
                }
                None => Ok(()),
            }
        })
        .await
    }

    /// Reads a manifest of a repository.
    pub(super) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> io::Result<Option<StoredManifest>> {
        let (store, repository, reference) = (self.clone(), repository.clone(), reference.clone());
        blocking(move || {
            let digest = match reference {
                Reference::Digest(digest) => digest,
                Reference::Tag(tag) => {
                    let Some(text) = small(&store.tags_dir(&repository).join(tag.as_str()))? else { return Ok(None) };
                    text.parse().map_err(|_| io::Error::other("a tag's file holds no digest"))?
                }
            };
            let Some(media_type) = small(&store.manifest_link(&repository, &digest))? else { return Ok(None) };
            let bytes = found(fs::read(store.content(&digest)))?;
            Ok(bytes.map(|bytes| StoredManifest { digest, media_type, bytes: bytes.into() }))
        })
        .await
    }

    /// The size of a manifest, if the repository has it.
    pub(super) async fn manifest_size(&self, repository: &RepositoryName, digest: &Digest) -> io::Result<Option<u64>> {
        let (link, path) = (self.manifest_link(repository, digest), self.content(digest));
        blocking(move || if link.is_file() { found(fs::metadata(path).map(|file| file.len())) } else { Ok(None) }).await
    }

    /// All tags of a repository in order; nothing where there is no such repository.
    pub(super) async fn tags(&self, repository: &RepositoryName) -> io::Result<Option<Vec<String>>> {
        let (tags, blobs) = (self.tags_dir(repository), self.repository(repository).join("_blobs"));
        blocking(move || {
            let Some(entries) = found(fs::read_dir(tags))? else {
                return Ok(blobs.is_dir().then(Vec::new));
            };
            let mut names = Vec::new();
            for entry in entries {
                if let Ok(name) = entry?.file_name().into_string() {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(Some(names))
        })
        .await
    }

    fn link_now(&self, repository: &RepositoryName, digest: &Digest, id: Uuid) -> io::Result<()> {
        let link = self.blob_link(repository, digest);
        if link.is_file() { self.disk.record(&link) } else { self.disk.write(&self.temporary(id), &link, b"") }
    }

    fn temporary(&self, id: Uuid) -> PathBuf {
        uploads_dir(self.disk.root()).join(format!("{id}.tmp"))
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.disk.root().join("blobs").join("sha256").join(&hex[..2]).join(hex)
    }

    fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.disk.root().join("repositories").join(name.as_str())
    }

    fn blob_link(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_blobs").join(digest.hex())
    }

    fn manifest_link(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository(repository).join("_manifests").join(digest.hex())
    }

    fn tags_dir(&self, repository: &RepositoryName) -> PathBuf {
        self.repository(repository).join("_tags")
    }
}

/// Runs file operations where they may block. They go on even when nobody waits any more.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A missing file is no error.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn small(path: &Path) -> io::Result<Option<String>> {
    use std::io::Read;
    let Some(file) = found(fs::File::open(path))? else { return Ok(None) };
    let mut text = String::new();
    file.take(MAX_LINK_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}
