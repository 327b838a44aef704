//! One cluster: a client behind a gate, and the one function through which requests go.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::{
    Client,
    client::{Body, ClientBuilder},
    core::Status,
};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use crate::{
    Access, Clock, Error, Reachability,
    breaker::Breaker,
    discovery::Discovery,
    error::bounded_to,
    gate::{Closed, Gate},
    kubeconfig,
    reserved::Sums,
    status::{About, error_of},
};

/// The largest object that is sent, in bytes: what an API server accepts by default is a little less.
const MAX_SENT_BYTES: usize = 3 * 1024 * 1024;

/// What one cluster may use of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way at the same time; watches do not count once they have begun.
    pub concurrent_requests: usize,
    /// Time for one request, its answer included. Also the time that a request waits for its place.
    pub request_timeout: Duration,
    /// Time for one call with its retries.
    pub call_budget: Duration,
    /// Failures in a row after which the cluster is left alone.
    pub failures_to_open: u32,
    /// For how long it is left alone.
    pub open_for: Duration,
    /// The largest answer that is read, in bytes.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests: 16,
            request_timeout: Duration::from_secs(10),
            call_budget: Duration::from_secs(30),
            failures_to_open: 5,
            open_for: Duration::from_secs(10),
            answer_bytes: 32 * 1024 * 1024,
        }
    }
}

/// One cluster. Cheap to clone; clones share the connections, limits, breaker and cache.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    client: Client,
    breaker: Arc<Breaker>,
    limits: Limits,
    discovery: Discovery,
    clock: Clock,
    sums: Mutex<Sums>,
}

/// One request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    /// Whether sending it twice does the same as sending it once.
    pub(crate) repeatable: bool,
    /// What it is about, for errors.
    pub(crate) object: &'a str,
    pub(crate) is_namespace: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: String, object: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Vec::new(),
            content_type: "application/json",
            repeatable: true,
            object,
            is_namespace: false,
        }
    }

    /// Sends a JSON document.
    pub(crate) fn json(method: Method, path: String, document: &Value, object: &'a str) -> Result<Self, Error> {
        let body = document.to_string().into_bytes();
        if body.len() > MAX_SENT_BYTES {
            return Err(Error::TooLarge { what: object.to_owned(), limit_bytes: MAX_SENT_BYTES });
        }
        Ok(Self { method, body, ..Self::get(path, object) })
    }
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) value: Value,
}

impl Cluster {
    /// Reads the access and prepares a client. Nothing is sent before the first call.
    ///
    /// The name stands in errors only. Must be called within a tokio runtime.
    pub async fn connect(
        name: impl Into<String>,
        access: &Access,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self, Error> {
        let config = kubeconfig::client_config(access).await?;
        let breaker = Breaker::new(clock.clone(), limits.failures_to_open, limits.open_for);
        let gate = Gate {
            places: Arc::new(Semaphore::new(limits.concurrent_requests.clamp(1, Semaphore::MAX_PERMITS))),
            breaker: Arc::clone(&breaker),
            request_timeout: limits.request_timeout,
            answer_bytes: limits.answer_bytes,
            watch_line_bytes: limits.answer_bytes,
        };
        let builder = ClientBuilder::try_from(config).map_err(|_| Error::Kubeconfig {
            message: "its certificates or keys cannot be used for a connection".into(),
        })?;
        let client = builder.with_layer(&gate).build();
        let (name, discovery, sums) = (name.into(), Discovery::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { name, client, breaker, limits, discovery, clock, sums }) })
    }

    /// The name given at [`Cluster::connect`].
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the breaker knows, without asking the cluster.
    pub fn reachability(&self) -> Reachability {
        self.shared.breaker.reachability()
    }

    pub(crate) fn client(&self) -> Client {
        self.shared.client.clone()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn discovery_cache(&self) -> &Discovery {
        &self.shared.discovery
    }

    pub(crate) fn sums(&self) -> &Mutex<Sums> {
        &self.shared.sums
    }

    pub(crate) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// Sends a request, and again while that can help, within the budget of a call.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let pause = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(3))
            .with_max_times(if ask.repeatable { 4 } else { 0 });
        let attempts = (|| self.once(&ask))
            .retry(pause)
            .when(Error::transient)
            .adjust(|error, pause| pause.map(|pause| pause.max(error.retry_after().unwrap_or_default())));
        tokio::time::timeout(self.shared.limits.call_budget, attempts).await.unwrap_or_else(|_| {
            Err(Error::Timeout { what: format!("a request to cluster {} ({})", self.name(), ask.object), last: None })
        })
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(header::CONTENT_TYPE, ask.content_type)
            .header(header::ACCEPT, "application/json")
            .body(Body::from(ask.body.clone()))
            .map_err(|_| Error::Internal { message: format!("no request can be made for {}", ask.object) })?;
        let response = self.shared.client.send(request).await.map_err(|error| self.transport(error, ask.object))?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| self.transport(error, ask.object))?.to_bytes();
        if head.status.is_success() {
            let value = serde_json::from_slice(&bytes)
                .map_err(|_| Error::Internal { message: format!("the answer about {} is not JSON", ask.object) })?;
            return Ok(Answer { code: head.status, value });
        }
        // What stands between us and the API server answers in other formats: only its code counts.
        let status: Status = serde_json::from_slice(&bytes).unwrap_or_default();
        let about = About { cluster: self.name(), object: ask.object, is_namespace: ask.is_namespace };
        Err(error_of(about, head.status, &status, retry_after(&head.headers)))
    }

    /// The error for a request that got no answer.
    pub(crate) fn transport(&self, error: kube::Error, object: &str) -> Error {
        let cluster = self.name().to_owned();
        let error = match error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let about = About { cluster: &cluster, object, is_namespace: false };
                return error_of(about, code, &status, None);
            }
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                return Error::Internal { message: format!("the answer about {object} cannot be read") };
            }
            other => other,
        };
        let mut cause: &(dyn std::error::Error + 'static) = &error;
        loop {
            match cause.downcast_ref::<Closed>() {
                Some(Closed::LeftAlone(retry_in)) => return Error::BreakerOpen { cluster, retry_in: *retry_in },
                Some(Closed::Late) => {
                    return Error::Timeout { what: format!("a request to cluster {cluster} ({object})"), last: None };
                }
                Some(Closed::TooLarge(limit)) => {
                    return Error::TooLarge { what: format!("the answer about {object}"), limit_bytes: *limit };
                }
                None => {}
            }
            match cause.source() {
                Some(deeper) => cause = deeper,
                None => return Error::Unreachable { cluster, reason: bounded_to(&cause.to_string(), 300) },
            }
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// The header in seconds, at most a minute; its form as a date is not used by Kubernetes.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}
