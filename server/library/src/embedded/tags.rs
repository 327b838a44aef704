//! Listing tags.

use super::Shared;
use super::refusal::{Code, Refusal};
use crate::name::RepositoryName;
use axum::Json;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// At most `n` tags after `last`, and a link to the next ones.
pub(super) async fn list(shared: &Shared, repository: &RepositoryName, uri: &Uri) -> Result<Response, Refusal> {
    let mut count = shared.limits.max_tags;
    let mut last = None;
    for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match key.as_ref() {
            "n" => {
                let asked: usize = value.parse().map_err(|_| {
                    Refusal::new(Code::Unsupported, "n is a number").with_status(http::StatusCode::BAD_REQUEST)
                })?;
                count = asked.min(shared.limits.max_tags);
            }
            "last" => last = Some(value.into_owned()),
            _ => {}
        }
    }
    let tags = shared.store.tags(repository).await;
    let tags = tags.map_err(|error| Refusal::internal("listing tags", &error))?;
    let tags = tags.ok_or_else(|| Refusal::new(Code::NameUnknown, "there is no such repository"))?;
    let from = last.map_or(0, |last| tags.partition_point(|tag| *tag <= last));
    let rest = &tags[from..];
    let page = &rest[..count.min(rest.len())];
    let body = Json(json!({ "name": repository, "tags": page }));
    match page.last() {
        // Tags need no escaping in a query.
        Some(end) if page.len() < rest.len() => {
            let link = format!("</v2/{repository}/tags/list?n={count}&last={end}>; rel=\"next\"");
            Ok(([(LINK, link)], body).into_response())
        }
        _ => Ok(body.into_response()),
    }
}
