//! Reading and writing manifests.

use super::refusal::{Code, Refusal};
use super::store::StoredManifest;
use super::{CONTENT_DIGEST, Shared};
use crate::digest::Digest;
use crate::manifest::{self, Descriptor, Document, Problem};
use crate::name::{Reference, RepositoryName};
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

/// The manifest, or only its headers.
pub(super) async fn get(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
    with_body: bool,
) -> Result<Response, Refusal> {
    let found = shared.store.manifest(repository, reference).await;
    let found = found.map_err(|error| Refusal::internal("reading a manifest", &error))?;
    let found = found.ok_or_else(|| Refusal::new(Code::ManifestUnknown, "the repository has no such manifest"))?;
    let headers = [
        (CONTENT_DIGEST, found.digest.to_string()),
        (CONTENT_LENGTH, found.bytes.len().to_string()),
        (CONTENT_TYPE, found.media_type),
    ];
    let body = if with_body { Body::from(found.bytes) } else { Body::empty() };
    Ok((headers, body).into_response())
}

/// Stores a manifest once everything that it refers to is in the repository.
pub(super) async fn put(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
    request: Request,
) -> Result<Response, Refusal> {
    let served = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes = body(shared, request).await?;
    let digest = Digest::of(&bytes);
    if matches!(reference, Reference::Digest(expected) if *expected != digest) {
        return Err(Refusal::new(Code::DigestInvalid, "the manifest has another digest"));
    }
    let media_type = manifest::media_type(&bytes, served.as_deref());
    let media_type = media_type.ok_or_else(|| Refusal::new(Code::ManifestInvalid, "its media type is missing"))?;
    let announced = served.as_deref().map(|text| text.split(';').next().unwrap_or(text).trim());
    if announced.is_some_and(|announced| announced != media_type) {
        return Err(Refusal::new(Code::ManifestInvalid, "it is of another kind than the request says"));
    }
    let document = manifest::parse(&bytes, &media_type).map_err(invalid)?;
    verify(shared, repository, &document).await?;

    let tag = match reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => None,
    };
    let stored = StoredManifest { digest, media_type, bytes };
    let ids = [(shared.ids)(), (shared.ids)(), (shared.ids)()];
    let written = shared.store.put_manifest(repository, stored, tag, ids).await;
    written.map_err(|error| Refusal::internal("storing a manifest", &error))?;
    let headers = [
        (LOCATION, format!("/v2/{repository}/manifests/{digest}")),
        (CONTENT_DIGEST, digest.to_string()),
        (CONTENT_LENGTH, "0".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers).into_response())
}

async fn body(shared: &Shared, request: Request) -> Result<Bytes, Refusal> {
    let limit = shared.limits.max_manifest_bytes;
    let mut bytes = BytesMut::new();
    let mut pieces = request.into_body().into_data_stream();
    loop {
        let piece = tokio::time::timeout(shared.limits.body_idle, pieces.next()).await;
        let Ok(piece) = piece else {
            let refusal = Refusal::new(Code::ManifestInvalid, "the request stood still");
            return Err(refusal.with_status(StatusCode::REQUEST_TIMEOUT));
        };
        let Some(piece) = piece else { return Ok(bytes.freeze()) };
        let piece = piece.map_err(|_| Refusal::new(Code::ManifestInvalid, "the request broke off"))?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(Refusal::too_large("a manifest", limit));
        }
        bytes.extend_from_slice(&piece);
    }
}

async fn verify(shared: &Shared, repository: &RepositoryName, document: &Document) -> Result<(), Refusal> {
    let references = match document {
        Document::Index(index) => index.manifests.len(),
        Document::Image(image) => image.layers.len() + 1,
    };
    if references > shared.limits.max_references {
        let message = format!("a manifest may refer to at most {} others", shared.limits.max_references);
        return Err(Refusal::new(Code::ManifestInvalid, message));
    }
    match document {
        Document::Index(index) => {
            for entry in &index.manifests {
                let child = Descriptor::new(&entry.digest, entry.size, &entry.media_type, false).map_err(invalid)?;
                let found = shared.store.manifest_size(repository, &child.digest).await;
                present(found, &child)?;
            }
        }
        Document::Image(image) => {
            for descriptor in std::iter::once(&image.config).chain(&image.layers) {
                let blob = Descriptor::try_from(descriptor).map_err(invalid)?;
                if manifest::is_foreign(&blob.media_type) && blob.has_urls {
                    continue;
                }
                let found = shared.store.blob_size(repository, &blob.digest).await;
                present(found, &blob)?;
            }
        }
    }
    Ok(())
}

fn present(found: std::io::Result<Option<u64>>, wanted: &Descriptor) -> Result<(), Refusal> {
    match found.map_err(|error| Refusal::internal("looking for what a manifest refers to", &error))? {
        None => {
            let message = format!("the repository has no {}", wanted.digest);
            Err(Refusal::new(Code::ManifestBlobUnknown, message))
        }
        Some(size) if size != wanted.size => {
            let message = format!("{} has {size} bytes, not {}", wanted.digest, wanted.size);
            Err(Refusal::new(Code::ManifestInvalid, message))
        }
        Some(_) => Ok(()),
    }
}

fn invalid(problem: Problem) -> Refusal {
    let (Problem::Unsupported(message) | Problem::Malformed(message)) = problem;
    Refusal::new(Code::ManifestInvalid, message)
}
