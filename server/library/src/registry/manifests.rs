//! Manifests: resolve, read, push.

use super::Registry;
use super::http::Call;
use crate::auth::Scope;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{self, Document, Platform};
use crate::name::{Reference, RepositoryName};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A manifest or index as the registry stores it; the digest is verified.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The stored bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: Digest,
    /// The media type that it was served with.
    pub media_type: String,
}

/// What a tag or digest stands for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The size of the manifest or index itself, in bytes. For what it refers to, see
    /// [`crate::copy::measure`].
    pub size: u64,
    /// The platforms that it is for; empty for what is no container image.
    pub platforms: Vec<Platform>,
}

impl Registry {
    /// Finds out what a tag or a digest stands for, and for which platforms it is.
    pub async fn resolve(&self, repository: &RepositoryName, reference: &Reference) -> Result<Resolved, Error> {
        let manifest = self.get_manifest(repository, reference).await?;
        let platforms = match self.parse(&manifest)? {
            Document::Index(index) => manifest::platforms(&index),
            Document::Image(image) => self.image_platform(repository, &image).await?.into_iter().collect(),
        };
        Ok(Resolved {
            digest: manifest.digest,
            size: manifest.bytes.len() as u64,
            media_type: manifest.media_type,
            platforms,
        })
    }

    /// Reads a manifest or index, within the limit of its size, and verifies its digest.
    pub async fn get_manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, Error> {
        let action = format!("reading the manifest {repository} {reference}");
        let path = format!("v2/{repository}/manifests/{reference}");
        let (headers, bytes) = self
            .get(&path, &[Scope::pull(repository)], &[accept()], &action, |response| async {
                let headers = response.headers().clone();
                let bytes = self.bounded_body(response, self.limits().max_manifest_bytes, &action).await?;
                Ok((headers, bytes))
            })
            .await?;
        let digest = Digest::of(&bytes);
        let expected = match reference {
            Reference::Digest(expected) => Some(*expected),
            Reference::Tag(_) => claimed(&headers),
        };
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::DigestMismatch { expected, found: digest, action });
        }
        let served = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = manifest::media_type(&bytes, served);
        let media_type = media_type.ok_or_else(|| self.protocol(&action, "it does not say what kind of manifest"))?;
        Ok(Manifest { bytes, digest, media_type })
    }

    /// Whether the registry has this manifest.
    pub async fn head_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let action = format!("looking for the manifest {repository} {digest}");
        let path = format!("v2/{repository}/manifests/{digest}");
        let found = self.head(&path, &[Scope::pull(repository)], &[accept()], &action).await?;
        Ok(found.is_some())
    }

    /// Stores a manifest or index under a tag or its digest.
    pub async fn push_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, Error> {
        let action = format!("pushing the manifest {repository} {reference}");
        let digest = Digest::of(&bytes);
        if let Reference::Digest(expected) = reference
            && *expected != digest
        {
            return Err(Error::DigestMismatch { expected: *expected, found: digest, action });
        }
        let url = self.url(&format!("v2/{repository}/manifests/{reference}"), &action)?;
        let content_type = HeaderValue::from_str(media_type)
            .map_err(|_| Error::Unsupported { what: format!("the media type {media_type:?}") })?;
        let headers = [(CONTENT_TYPE, content_type)];
        let scopes = [Scope::push(repository)];
        crate::retry::retrying(self.limits(), || async {
            let call =
                Call { method: Method::PUT, url: url.clone(), scopes: &scopes, headers: &headers, body: bytes.clone() };
            let response = self.send(&call, &action).await?;
            match response.status() {
                StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => match claimed(response.headers()) {
                    Some(found) if found != digest => {
                        Err(Error::DigestMismatch { expected: digest, found, action: action.clone() })
                    }
                    _ => Ok(digest),
                },
                _ => Err(self.refused(response, &action).await),
            }
        })
        .await
    }

    /// Reads a manifest of ours into its parts.
    pub(crate) fn parse(&self, manifest: &Manifest) -> Result<Document, Error> {
        let action = format!("reading {}", manifest.digest);
        manifest::parse(&manifest.bytes, &manifest.media_type).map_err(|problem| match problem {
            manifest::Problem::Unsupported(what) => Error::Unsupported { what },
            manifest::Problem::Malformed(what) => self.protocol(&action, what),
        })
    }
}

/// The digest that the registry claims, where it does and where we can check it.
fn claimed(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

fn accept() -> (HeaderName, HeaderValue) {
    (ACCEPT, HeaderValue::from_static(manifest::ACCEPTED))
}
