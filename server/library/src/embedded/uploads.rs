//! Writing blobs: begin, append, finish, ask, cancel.

mod session;

pub(super) use session::Uploads;

use super::access::{Action, Subject};
use super::refusal::{Code, Refusal};
use super::{CONTENT_DIGEST, Shared, route};
use crate::digest::Digest;
use crate::name::RepositoryName;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use session::{Session, Written};
use std::collections::HashMap;
use uuid::Uuid;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// POST: mounts a blob, takes a whole one, or begins an upload.
pub(super) async fn begin(
    shared: &Shared,
    subject: &Subject,
    repository: RepositoryName,
    request: Request,
) -> Result<Response, Refusal> {
    let query = query(request.uri());
    if let Some(mounted) = mount(shared, subject, &repository, &query).await? {
        return Ok(mounted);
    }
    let digest = query.get("digest").map(|text| route::digest(text)).transpose()?;
    let now = (shared.clock)();
    let id = (shared.ids)();
    let session = shared.uploads.begin(id, repository.clone(), &subject.name, now).await?;
    let Some(digest) = digest else {
        return Ok((StatusCode::ACCEPTED, position(&repository, id, 0)).into_response());
    };
    let result = finish(shared, &session, digest, request).await;
    // A blob in one request leaves nothing behind when it fails.
    shared.uploads.forget(id);
    result
}

/// GET: how many bytes have arrived.
pub(super) fn status(
    shared: &Shared,
    subject: &Subject,
    repository: &RepositoryName,
    id: Uuid,
) -> Result<Response, Refusal> {
    let session = shared.uploads.find(id, repository, &subject.name, (shared.clock)())?;
    let written = session.lock()?;
    Ok((StatusCode::NO_CONTENT, position(repository, id, written.size)).into_response())
}

/// PATCH: appends bytes.
pub(super) async fn patch(
    shared: &Shared,
    subject: &Subject,
    repository: &RepositoryName,
    id: Uuid,
    request: Request,
) -> Result<Response, Refusal> {
    let session = shared.uploads.find(id, repository, &subject.name, (shared.clock)())?;
    let mut written = session.lock()?;
    append(shared, &session, &mut written, request).await?;
    Ok((StatusCode::ACCEPTED, position(repository, id, written.size)).into_response())
}

/// PUT: appends what is left and makes the upload a blob.
pub(super) async fn put(
    shared: &Shared,
    subject: &Subject,
    repository: &RepositoryName,
    id: Uuid,
    request: Request,
) -> Result<Response, Refusal> {
    let session = shared.uploads.find(id, repository, &subject.name, (shared.clock)())?;
    let missing = || Refusal::new(Code::DigestInvalid, "the digest is missing");
    let digest = route::digest(query(request.uri()).get("digest").ok_or_else(missing)?)?;
    finish(shared, &session, digest, request).await
}

/// DELETE: gives an upload up.
pub(super) fn cancel(
    shared: &Shared,
    subject: &Subject,
    repository: &RepositoryName,
    id: Uuid,
) -> Result<Response, Refusal> {
    shared.uploads.find(id, repository, &subject.name, (shared.clock)())?;
    shared.uploads.forget(id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Links a blob of another repository, where it is there and may be read. Otherwise the client is
/// offered an upload, and learns nothing about the other repository.
async fn mount(
    shared: &Shared,
    subject: &Subject,
    repository: &RepositoryName,
    query: &HashMap<String, String>,
) -> Result<Option<Response>, Refusal> {
    let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) else { return Ok(None) };
    let digest = route::digest(digest)?;
    let Ok(from) = from.parse::<RepositoryName>() else { return Ok(None) };
    if !subject.allows(&from, Action::Pull) {
        return Ok(None);
    }
    let internal = |error| Refusal::internal("mounting a blob", &error);
    if shared.store.blob_size(&from, &digest).await.map_err(internal)?.is_none() {
        return Ok(None);
    }
    shared.store.link_blob(repository, &digest, (shared.ids)()).await.map_err(internal)?;
    Ok(Some(created(repository, &digest)))
}

async fn finish(shared: &Shared, session: &Session, digest: Digest, request: Request) -> Result<Response, Refusal> {
    let mut written = session.lock()?;
    append(shared, session, &mut written, request).await?;
    // From here on the upload is used up, whatever comes of it.
    shared.uploads.forget(session.id());
    if written.digest() != digest {
        return Err(Refusal::new(Code::DigestInvalid, "the bytes have another digest"));
    }
    let internal = |error| Refusal::internal("storing a blob", &error);
    written.sync().await.map_err(internal)?;
    let path = session.path().to_owned();
    shared.store.commit_blob(path, session.repository(), &digest, (shared.ids)()).await.map_err(internal)?;
    Ok(created(session.repository(), &digest))
}

/// Takes a request's body. What has arrived stays when the connection breaks, so that the client
/// can ask how much that is and go on.
async fn append(shared: &Shared, session: &Session, written: &mut Written, request: Request) -> Result<(), Refusal> {
    let length = content_length(request.headers())?;
    let begin = written.size;
    if let Some((first, last)) = content_range(request.headers())? {
        if first != begin {
            let refusal = Refusal::new(Code::BlobUploadInvalid, "the piece does not follow the one before");
            let refusal = refusal.with_status(StatusCode::RANGE_NOT_SATISFIABLE);
            let headers = position(session.repository(), session.id(), begin);
            return Err(headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.with_header(name, value)));
        }
        if length.is_some_and(|length| length != last - first + 1) {
            return Err(Refusal::new(Code::SizeInvalid, "the piece has another length than its range"));
        }
    }
    let limit = shared.limits.max_blob_bytes;
    let too_large = || {
        shared.uploads.forget(session.id());
        Refusal::too_large("a blob", limit)
    };
    if length.is_some_and(|length| begin.saturating_add(length) > limit) {
        return Err(too_large());
    }
    let mut pieces = Body::into_data_stream(request.into_body());
    loop {
        let piece = tokio::time::timeout(shared.limits.body_idle, pieces.next()).await;
        let Ok(piece) = piece else {
            let refusal = Refusal::new(Code::BlobUploadInvalid, "the request stood still");
            return Err(refusal.with_status(StatusCode::REQUEST_TIMEOUT));
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| Refusal::new(Code::BlobUploadInvalid, "the request broke off"))?;
        if written.size + piece.len() as u64 > limit {
            return Err(too_large());
        }
        if let Err(error) = written.write(&piece).await {
            shared.uploads.forget(session.id());
            return Err(Refusal::internal("writing an upload", &error));
        }
        // Not only at the end: a request that breaks off after long must not be the last that is heard of it.
        session.touch((shared.clock)());
    }
    written.flush().await.map_err(|error| {
        shared.uploads.forget(session.id());
        Refusal::internal("writing an upload", &error)
    })
}

fn query(uri: &Uri) -> HashMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    let headers = [
        (LOCATION, format!("/v2/{repository}/blobs/{digest}")),
        (CONTENT_DIGEST, digest.to_string()),
        (CONTENT_LENGTH, "0".to_owned()),
    ];
    (StatusCode::CREATED, headers).into_response()
}

/// Where to go on with an upload. The range ends with the last byte; `0-0` also stands for none.
fn position(repository: &RepositoryName, id: Uuid, size: u64) -> [(HeaderName, HeaderValue); 3] {
    // Names, ids and numbers are always valid in headers.
    let value = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    [
        (LOCATION, value(format!("/v2/{repository}/blobs/uploads/{id}"))),
        (RANGE, value(format!("0-{}", size.saturating_sub(1)))),
        (UPLOAD_ID, value(id.to_string())),
    ]
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let invalid = || Refusal::new(Code::SizeInvalid, "the length is not a number");
    headers
        .get(CONTENT_LENGTH)
        .map(|value| value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(invalid))
        .transpose()
}

/// `<first>-<last>`, as the specification has it, or `bytes <first>-<last>/<whole>`, as HTTP has it.
fn content_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let parse = || {
        let text = value.to_str().ok()?.trim();
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _)| range);
        let (first, last) = text.split_once('-')?;
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last && last < u64::MAX).then_some((first, last))
    };
    parse().map(Some).ok_or_else(|| Refusal::new(Code::BlobUploadInvalid, "the range is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Option<(u64, u64)>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(text).expect("a header"));
        content_range(&headers)
    }

    #[test]
    fn ranges_are_read_in_both_forms() {
        for text in ["5-9", "bytes 5-9/20", "bytes 5-9/*", " 5-9 "] {
            assert_eq!(range(text).expect("valid"), Some((5, 9)), "{text}");
        }
        for text in ["", "9-5", "a-b", "-5", "5-", "0-18446744073709551615", "bytes */5"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
