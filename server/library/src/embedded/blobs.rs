//! Reading blobs.

use super::refusal::{Code, Refusal};
use super::{CONTENT_DIGEST, Shared};
use crate::digest::Digest;
use crate::name::RepositoryName;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio_util::io::ReaderStream;

/// Pieces that a blob is read in.
const PIECE_BYTES: usize = 64 << 10;

/// The blob, or only its headers. A range is answered with the whole blob, as HTTP allows.
pub(super) async fn get(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
    with_body: bool,
) -> Result<Response, Refusal> {
    let found = shared.store.open_blob(repository, digest).await;
    let found = found.map_err(|error| Refusal::internal("opening a blob", &error))?;
    let (file, size) = found.ok_or_else(|| Refusal::new(Code::BlobUnknown, "the repository has no such blob"))?;
    let headers = [
        (CONTENT_DIGEST, digest.to_string()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
    ];
    let body = if with_body {
        Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE_BYTES))
    } else {
        Body::empty()
    };
    Ok((headers, body).into_response())
}
