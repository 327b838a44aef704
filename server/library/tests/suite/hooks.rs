//! A registry with something in front of it that changes requests and answers.

use crate::support::{Served, embedded_at, serve};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

pub(crate) struct Hooked {
    pub(crate) served: Served,
    _dir: TempDir,
}

/// Sees a request, may change it, and answers it instead of the registry where it wants to.
pub(crate) type Before = Arc<dyn Fn(&mut Request) -> Option<Response> + Send + Sync>;
/// Sees method, path and answer, and may change the latter.
pub(crate) type After = Arc<dyn Fn(&str, &str, Response) -> Response + Send + Sync>;

/// Counts.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    /// Adds one and returns how many there were before.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Hooked {
    pub(crate) async fn start(before: Before, after: After) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let router = embedded_at(dir.path()).layer(from_fn(move |mut request: Request, next: Next| {
            let (before, after) = (before.clone(), after.clone());
            async move {
                if let Some(answer) = before(&mut request) {
                    return answer;
                }
                let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                after(&method, &path, next.run(request).await)
            }
        }));
        Self { served: serve(router).await, _dir: dir }
    }

    pub(crate) async fn before(hook: impl Fn(&mut Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(hook), Arc::new(|_, _, response| response)).await
    }

    pub(crate) async fn after(hook: impl Fn(&str, &str, Response) -> Response + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(|_| None), Arc::new(hook)).await
    }

    pub(crate) fn host(&self) -> String {
        self.served.host()
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::empty()).expect("a valid answer")
}
