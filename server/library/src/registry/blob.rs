//! Reading blobs as verified streams.

use super::Registry;
use super::http::Call;
use crate::auth::Scope;
use crate::digest::{Digest, Hasher};
use crate::error::Error;
use crate::manifest::{self, Descriptor, Platform};
use crate::name::RepositoryName;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt, try_unfold};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use oci_distribution::manifest::OciImageManifest;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The greatest configuration that is read to learn an image's platform.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// How many bytes a blob may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Exactly as many, as its descriptor says.
    Exactly(u64),
    /// Unknown, but limited.
    AtMost(u64),
}

/// The bytes of a blob as they arrive.
///
/// Digest and size are verified on the way. The last piece is held back until they are, so that who
/// passes the pieces on never has passed on a whole blob that is wrong.
pub struct BlobStream {
    pieces: BoxStream<'static, Result<Bytes, Error>>,
}

struct Verifying {
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    hasher: Option<Hasher>,
    held: Option<Bytes>,
    seen: u64,
    size: Size,
    digest: Digest,
    action: String,
}

impl Registry {
    /// The size of a blob, or nothing where the registry does not have it.
    ///
    /// # Errors
    /// [`Error::Protocol`] where the registry has it but tells no size.
    pub async fn head_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, Error> {
        let action = format!("looking for the blob {repository} {digest}");
        let path = format!("v2/{repository}/blobs/{digest}");
        let Some(headers) = self.head(&path, &[Scope::pull(repository)], &[], &action).await? else {
            return Ok(None);
        };
        let size = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        size.map(Some).ok_or_else(|| self.protocol(&action, "it does not tell the blob's size"))
    }

    /// Opens a blob. Tried once; the stream breaks with the connection.
    pub async fn pull_blob_stream(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: Size,
    ) -> Result<BlobStream, Error> {
        let action = format!("reading the blob {repository} {digest}");
        let scopes = [Scope::pull(repository)];
        let url = self.url(&format!("v2/{repository}/blobs/{digest}"), &action)?;
        let call = Call { method: Method::GET, url, scopes: &scopes, headers: &[], body: Bytes::new() };
        let response = self.send(&call, &action).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, &action).await);
        }
        if let Some(found) = response.content_length() {
            size.check_whole(found, digest)?;
        }
        let registry = self.clone();
        let breaking = action.clone();
        let pieces = response.bytes_stream();
        let pieces = try_unfold(Box::pin(pieces), move |mut pieces| {
            let (registry, action) = (registry.clone(), breaking.clone());
            async move {
                match tokio::time::timeout(registry.limits().idle_timeout, pieces.next()).await {
                    Ok(None) => Ok(None),
                    Ok(Some(Ok(piece))) => Ok(Some((piece, pieces))),
                    Ok(Some(Err(error))) => Err(registry.unreachable(&action, error.without_url())),
                    Err(_) => Err(registry.unreachable(&action, "the stream stood still")),
                }
            }
        });
        Ok(BlobStream::new(pieces, *digest, size, action))
    }

    /// Reads a small blob into memory, with retries.
    pub async fn pull_blob(&self, repository: &RepositoryName, digest: &Digest, size: Size) -> Result<Bytes, Error> {
        crate::retry::retrying(self.limits(), || async {
            let mut stream = self.pull_blob_stream(repository, digest, size).await?;
            let mut bytes = BytesMut::new();
            while let Some(piece) = stream.try_next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        })
        .await
    }

    /// What an image runs on, by its configuration; nothing for what is no container image.
    pub(crate) async fn image_platform(
        &self,
        repository: &RepositoryName,
        image: &OciImageManifest,
    ) -> Result<Option<Platform>, Error> {
        if !manifest::is_image_config(&image.config.media_type) {
            return Ok(None);
        }
        let action = format!("reading the configuration of an image in {repository}");
        let config =
            Descriptor::try_from(&image.config).map_err(|_| self.protocol(&action, "its descriptor is not valid"))?;
        if config.size > MAX_CONFIG_BYTES {
            return Err(Error::TooLarge {
                what: "an image's configuration, in bytes,".into(),
                limit: MAX_CONFIG_BYTES,
            });
        }
        let bytes = self.pull_blob(repository, &config.digest, Size::Exactly(config.size)).await?;
        // Artifacts borrow the media type for configurations that name no platform.
        Ok(serde_json::from_slice::<Platform>(&bytes)
            .ok()
            .filter(|found| !found.os.is_empty() && !found.architecture.is_empty()))
    }
}

impl BlobStream {
    /// Verifies a stream of any origin.
    pub fn new(
        pieces: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
        digest: Digest,
        size: Size,
        action: impl Into<String>,
    ) -> Self {
        let state = Verifying {
            pieces: pieces.boxed(),
            hasher: Some(Hasher::default()),
            held: None,
            seen: 0,
            size,
            digest,
            action: action.into(),
        };
        let pieces =
            try_unfold(state, |mut state| async move { Ok(state.advance().await?.map(|piece| (piece, state))) });
        Self { pieces: pieces.boxed() }
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(context)
    }
}

impl Verifying {
    async fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(hasher) = &mut self.hasher else { return Ok(None) };
            let Some(piece) = self.pieces.try_next().await? else {
                self.size.check_whole(self.seen, &self.digest)?;
                let found = self.hasher.take().unwrap_or_default().finish();
                if found != self.digest {
                    let action = std::mem::take(&mut self.action);
                    return Err(Error::DigestMismatch { expected: self.digest, found, action });
                }
                return Ok(self.held.take());
            };
            if piece.is_empty() {
                continue;
            }
            self.seen += piece.len() as u64;
            self.size.check_part(self.seen, &self.digest)?;
            hasher.update(&piece);
            if let Some(ready) = self.held.replace(piece) {
                return Ok(Some(ready));
            }
        }
    }
}

impl Size {
    fn check_part(self, seen: u64, digest: &Digest) -> Result<(), Error> {
        match self {
            Self::Exactly(expected) if seen > expected => {
                Err(Error::SizeMismatch { digest: *digest, expected, found: seen })
            }
            Self::AtMost(limit) if seen > limit => Err(Error::TooLarge { what: format!("{digest}, in bytes,"), limit }),
            _ => Ok(()),
        }
    }

    fn check_whole(self, seen: u64, digest: &Digest) -> Result<(), Error> {
        match self {
            Self::Exactly(expected) if seen != expected => {
                Err(Error::SizeMismatch { digest: *digest, expected, found: seen })
            }
            _ => self.check_part(seen, digest),
        }
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobStream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        futures::stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>())
    }

    async fn read(mut stream: BlobStream) -> (String, Result<(), Error>) {
        let mut text = String::new();
        loop {
            match stream.next().await {
                None => return (text, Ok(())),
                Some(Ok(piece)) => text.push_str(&String::from_utf8_lossy(&piece)),
                Some(Err(error)) => return (text, Err(error)),
            }
        }
    }

    #[tokio::test]
    async fn a_right_blob_comes_out_whole() {
        let stream = BlobStream::new(pieces(&["ab", "", "c"]), Digest::of(b"abc"), Size::Exactly(3), "testing");
        let (text, result) = read(stream).await;
        assert_eq!(text, "abc");
        result.expect("digest and size agree");
        let empty = BlobStream::new(pieces(&[]), Digest::of(b""), Size::Exactly(0), "testing");
        read(empty).await.1.expect("nothing is a blob too");
    }

    #[tokio::test]
    async fn a_wrong_blob_never_comes_out_whole() {
        let digest = Digest::of(b"abc");
        let (text, result) = read(BlobStream::new(pieces(&["ab", "d"]), digest, Size::Exactly(3), "testing")).await;
        assert_eq!(text, "ab");
        assert!(matches!(result, Err(Error::DigestMismatch { .. })));
        for parts in [&["ab"][..], &["ab", "c", "d"][..]] {
            let (text, result) = read(BlobStream::new(pieces(parts), digest, Size::Exactly(3), "testing")).await;
            assert!(text.len() < 3, "{text}");
            assert!(matches!(result, Err(Error::SizeMismatch { expected: 3, .. })));
        }
        let (_, result) = read(BlobStream::new(pieces(&["ab", "c"]), digest, Size::AtMost(2), "testing")).await;
        assert!(matches!(result, Err(Error::TooLarge { limit: 2, .. })));
    }
}
