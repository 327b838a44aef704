//! Writing blobs: mount, upload, cancel.

use super::http::Call;
use super::{BlobStream, Registry, Size};
use crate::auth::Scope;
use crate::digest::Digest;
use crate::error::Error;
use crate::name::RepositoryName;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::Response;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// An upload that the registry has agreed to.
#[derive(Debug)]
pub struct Upload {
    repository: RepositoryName,
    url: Url,
}

/// How a registry answers the wish to take a blob from another of its repositories.
#[derive(Debug)]
pub enum Mount {
    /// It did.
    Mounted,
    /// It did not, but offers an upload instead.
    Offered(Upload),
    /// It did neither.
    Refused,
}

impl Registry {
    /// Asks the registry to take a blob from another of its repositories. Tried once.
    pub async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<Mount, Error> {
        let action = format!("mounting the blob {digest} from {from} into {repository}");
        let mut url = self.url(&format!("v2/{repository}/blobs/uploads/"), &action)?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.as_str());
        let scopes = [Scope::push(repository), Scope::pull(from)];
        let response = match self.post(url.clone(), &scopes, &action).await {
            // A token service may refuse a token for the other repository.
            Err(Error::Unauthorized { .. }) => return Ok(Mount::Refused),
            answered => answered?,
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => self.upload_at(repository, &url, &response, &action).map(Mount::Offered),
            StatusCode::TOO_MANY_REQUESTS => Err(self.refused(response, &action).await),
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Err(self.refused(response, &action).await)
            }
            // Not all registries know mounts, and not everybody may read the other repository.
            _ => Ok(Mount::Refused),
        }
    }

    /// Begins an upload. Tried once.
    pub async fn start_upload(&self, repository: &RepositoryName) -> Result<Upload, Error> {
        let action = format!("beginning an upload to {repository}");
        let url = self.url(&format!("v2/{repository}/blobs/uploads/"), &action)?;
        let response = self.post(url.clone(), &[Scope::push(repository)], &action).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused(response, &action).await);
        }
        self.upload_at(repository, &url, &response, &action)
    }

    /// Sends a blob of `size` bytes into an upload, piece by piece as the registry takes them.
    /// Tried once. `sent` hears how many
    /// bytes of each piece are on their way. When it fails, the upload is cancelled.
    pub async fn push_blob_stream(
        &self,
        upload: Upload,
        digest: &Digest,
        size: u64,
        blob: BlobStream,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<(), Error> {
        let result = self.put_stream(&upload, digest, size, blob, sent).await;
        if result.is_err() {
            self.cancel_upload(&upload).await;
        }
        result
    }

    /// Gives up an upload, as far as the registry can be told; it forgets it in time anyway.
    pub async fn cancel_upload(&self, upload: &Upload) {
        let action = format!("cancelling an upload to {}", upload.repository);
        let scopes = [Scope::push(&upload.repository)];
        let call =
            Call { method: Method::DELETE, url: upload.url.clone(), scopes: &scopes, headers: &[], body: Bytes::new() };
        if let Err(error) = self.send(&call, &action).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an upload could not be cancelled");
        }
    }

    /// Stores a small blob from memory unless the registry has it, with retries.
    pub async fn push_blob(&self, repository: &RepositoryName, bytes: Bytes) -> Result<Digest, Error> {
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        if self.head_blob(repository, &digest).await? == Some(size) {
            return Ok(digest);
        }
        crate::retry::retrying(self.limits(), || async {
            let upload = self.start_upload(repository).await?;
            let pieces = futures::stream::once(std::future::ready(Ok(bytes.clone())));
            let blob = BlobStream::new(pieces, digest, Size::Exactly(size), "pushing a blob");
            self.push_blob_stream(upload, &digest, size, blob, |_| ()).await
        })
        .await?;
        Ok(digest)
    }

    async fn post(&self, url: Url, scopes: &[Scope], action: &str) -> Result<Response, Error> {
        let call = Call { method: Method::POST, url, scopes, headers: &[], body: Bytes::new() };
        self.send(&call, action).await
    }

    fn upload_at(
        &self,
        repository: &RepositoryName,
        from: &Url,
        response: &Response,
        action: &str,
    ) -> Result<Upload, Error> {
        let url = self.location(from, response.headers(), action)?;
        Ok(Upload { repository: repository.clone(), url })
    }

    async fn put_stream(
        &self,
        upload: &Upload,
        digest: &Digest,
        size: u64,
        blob: BlobStream,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<(), Error> {
        let action = format!("uploading the blob {digest} to {}", upload.repository);
        let mut url = upload.url.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());

        // What fails inside the body comes back as a vague error of the connection; the true
        // reason is kept aside.
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let (reason, moved) = (failure.clone(), Arc::new(AtomicU64::new(0)));
        let counted = moved.clone();
        let body = blob.map(move |piece| match piece {
            Ok(piece) => {
                sent(piece.len() as u64);
                counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Ok(piece)
            }
            Err(error) => {
                let text = error.to_string();
                *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(std::io::Error::other(text))
            }
        });
        let mut request = self
            .http()
            .put(url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(reqwest::Body::wrap_stream(body));
        if self.is_ours(&url)
            && let Some(value) = self.authorization(&[Scope::push(&upload.repository)], &action).await?
        {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = tokio::select! {
            answer = request.send() => answer.map_err(|error| self.unreachable(&action, error.without_url())),
            () = self.stands_still(&moved, size) => Err(self.unreachable(&action, "the upload stood still")),
        };
        if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let response = answer?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            // The session is gone, for example because the registry was restarted: begin again.
            StatusCode::NOT_FOUND => Err(self.unreachable(&action, "the upload was forgotten")),
            _ => Err(self.refused(response, &action).await),
        }
    }

    /// Returns when nothing has moved for a while.
    async fn stands_still(&self, moved: &AtomicU64, size: u64) {
        loop {
            let before = moved.load(Ordering::Relaxed);
            let limits = self.limits();
            let all = before >= size;
            tokio::time::sleep(if all { limits.commit_timeout } else { limits.idle_timeout }).await;
            if moved.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}
