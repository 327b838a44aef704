//! Sending requests: authentication, redirects, time limits, and what an answer means.

use super::Registry;
use crate::auth::Scope;
use crate::error::{Cause, Error};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, StatusCode};
use oci_distribution::errors::OciEnvelope;
use reqwest::Response;
use std::time::Duration;
use url::Url;

const MAX_REDIRECTS: usize = 5;
const MAX_ERROR_BYTES: u64 = 16 << 10;
const MAX_DETAIL_CHARS: usize = 300;

/// A request that can be sent again as it is.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scopes: &'a [Scope],
    pub(super) headers: &'a [(HeaderName, HeaderValue)],
    pub(super) body: Bytes,
}

impl Registry {
    /// An URL of this registry; `path` is made of checked names.
    pub(super) fn url(&self, path: &str, action: &str) -> Result<Url, Error> {
        self.base().join(path).map_err(|_| self.protocol(action, "no URL can be made of it"))
    }

    /// A GET with retries; `read` takes the successful answer's body within the same attempt.
    pub(super) async fn get<T, F, Fut>(
        &self,
        path: &str,
        scopes: &[Scope],
        headers: &[(HeaderName, HeaderValue)],
        action: &str,
        read: F,
    ) -> Result<T, Error>
    where
        F: Fn(Response) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let url = self.url(path, action)?;
        crate::retry::retrying(self.limits(), || async {
            let call = Call { method: Method::GET, url: url.clone(), scopes, headers, body: Bytes::new() };
            let response = self.send(&call, action).await?;
            if response.status() != StatusCode::OK {
                return Err(self.refused(response, action).await);
            }
            read(response).await
        })
        .await
    }

    /// A HEAD with retries; nothing where the registry does not have it.
    pub(super) async fn head(
        &self,
        path: &str,
        scopes: &[Scope],
        headers: &[(HeaderName, HeaderValue)],
        action: &str,
    ) -> Result<Option<HeaderMap>, Error> {
        let url = self.url(path, action)?;
        crate::retry::retrying(self.limits(), || async {
            let call = Call { method: Method::HEAD, url: url.clone(), scopes, headers, body: Bytes::new() };
            let response = self.send(&call, action).await?;
            match response.status() {
                StatusCode::OK => Ok(Some(response.headers().clone())),
                StatusCode::NOT_FOUND => Ok(None),
                _ => Err(self.refused(response, action).await),
            }
        })
        .await
    }

    /// Sends once, but for one repetition after a challenge, and follows redirects of reads.
    /// Whatever the registry answers is returned.
    pub(super) async fn send(&self, call: &Call<'_>, action: &str) -> Result<Response, Error> {
        let mut url = call.url.clone();
        let mut repeated = false;
        let mut redirects = 0;
        loop {
            // Credentials are for this registry, wherever a redirect or a location leads.
            let ours = self.is_ours(&url);
            let authorization = if ours { self.authorization(call.scopes, action).await? } else { None };
            let mut request = self.http().request(call.method.clone(), url.clone());
            for (name, value) in call.headers {
                request = request.header(name, value);
            }
            if let Some(value) = &authorization {
                request = request.header(AUTHORIZATION, value);
            }
            if !call.body.is_empty() {
                request = request.body(call.body.clone());
            } else if call.method == Method::POST {
                request = request.header(http::header::CONTENT_LENGTH, 0);
            }
            let response = self.answered(request.send(), action).await?;
            if response.status() == StatusCode::UNAUTHORIZED && ours && !repeated {
                repeated = true;
                if self.challenged(response.headers(), call.scopes, authorization.as_ref()).await {
                    continue;
                }
            }
            let reads = call.method == Method::GET || call.method == Method::HEAD;
            if reads && is_redirect(response.status()) {
                redirects += 1;
                if redirects > MAX_REDIRECTS {
                    return Err(self.protocol(action, "too many redirects"));
                }
                url = self.location(&url, response.headers(), action)?;
                continue;
            }
            return Ok(response);
        }
    }

    /// Waits for the head of an answer.
    pub(crate) async fn answered(
        &self,
        sent: impl Future<Output = reqwest::Result<Response>>,
        action: &str,
    ) -> Result<Response, Error> {
        match tokio::time::timeout(self.limits().request_timeout, sent).await {
            Ok(result) => result.map_err(|error| self.unreachable(action, error.without_url())),
            Err(_) => Err(self.unreachable(action, "no answer in time")),
        }
    }

    /// The body of an answer, of at most `limit` bytes.
    pub(crate) async fn bounded_body(&self, mut response: Response, limit: u64, action: &str) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { what: format!("the answer of {} while {action}", self.host()), limit };
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        loop {
            let chunk = tokio::time::timeout(self.limits().idle_timeout, response.chunk())
                .await
                .map_err(|_| self.unreachable(action, "the answer stood still"))?
                .map_err(|error| self.unreachable(action, error.without_url()))?;
            let Some(chunk) = chunk else { return Ok(body.freeze()) };
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// The error that an unsuccessful answer stands for.
    pub(crate) async fn refused(&self, response: Response, action: &str) -> Error {
        let status = response.status();
        let retry_after = seconds(response.headers().get(RETRY_AFTER));
        // What another host says is not repeated: a registry could send us to one inside our own
        // network, to have its answers shown.
        let ours = self.is_ours(response.url());
        let detail = if !ours {
            "on another host that it sent us to".to_owned()
        } else if self.endpoint().quoted {
            detail(&self.bounded_body(response, MAX_ERROR_BYTES, action).await.unwrap_or_default())
        } else {
            format!("it answers {}", status.as_u16())
        };
        let (host, action) = (self.host().to_owned(), action.to_owned());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Unauthorized { host, action, detail },
            StatusCode::NOT_FOUND => Error::NotFound { host, action },
            StatusCode::TOO_MANY_REQUESTS => Error::Throttled { host, action, retry_after },
            StatusCode::METHOD_NOT_ALLOWED => Error::Unsupported { what: format!("{host} refuses {action}: {detail}") },
            StatusCode::PAYLOAD_TOO_LARGE => {
                Error::Protocol { host, action, detail: format!("it takes nothing so large: {detail}") }
            }
            // Some registries answer 503 with a time where others throttle.
            StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Error::Throttled { host, action, retry_after },
            StatusCode::REQUEST_TIMEOUT => Error::Unavailable { host, action, status: 408, detail },
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Error::Unavailable { host, action, status: status.as_u16(), detail }
            }
            status => Error::Protocol { host, action, detail: format!("status {}: {detail}", status.as_u16()) },
        }
    }

    /// Where a `Location` leads. From https never to plain http.
    pub(super) fn location(&self, from: &Url, headers: &HeaderMap, action: &str) -> Result<Url, Error> {
        let text = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let url = text.and_then(|text| from.join(text).ok());
        let url = url.ok_or_else(|| self.protocol(action, "it gives no usable location"))?;
        let allowed = url.scheme() == "https" || (url.scheme() == "http" && from.scheme() == "http");
        if allowed { Ok(url) } else { Err(self.protocol(action, "it leads from https to plain http")) }
    }

    /// Whether an URL belongs to this very registry: scheme, host and port.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base().origin()
    }

    pub(crate) fn protocol(&self, action: &str, detail: impl Into<String>) -> Error {
        Error::Protocol { host: self.host().to_owned(), action: action.to_owned(), detail: detail.into() }
    }

    pub(super) fn unreachable(&self, action: &str, source: impl Into<Cause>) -> Error {
        Error::Unreachable { host: self.host().to_owned(), action: action.to_owned(), source: source.into() }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn seconds(value: Option<&HeaderValue>) -> Option<Duration> {
    value?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What an error's body says, short and without control characters.
fn detail(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<OciEnvelope>(body) {
        Ok(envelope) => {
            let errors = envelope.errors.iter().take(3);
            errors.map(|error| format!("{:?} {}", error.code, error.message)).collect::<Vec<_>>().join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_short_and_printable() {
        assert_eq!(detail(br#"{"errors":[{"code":"DENIED","message":"no\u0007"}]}"#), "Denied no ");
        assert_eq!(detail(&vec![b'x'; 10_000]).len(), MAX_DETAIL_CHARS);
        assert_eq!(detail(b"\x1b[31m"), " [31m");
    }
}
