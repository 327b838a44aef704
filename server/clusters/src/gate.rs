//! The one way to a cluster: limits concurrency, time and size, and asks the breaker.
//!
//! A layer under the client, so that watches pass through it like everything else. An ordinary request holds its place
//! until its answer is read; a watch only until it has begun.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::{Body, DynBody};
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until, timeout_at},
};
use tower::{BoxError, Layer, Service};

use crate::breaker::{Breaker, Ticket};

/// Why the gate itself ended a request.
#[derive(Debug, Clone, Copy, Error)]
pub(crate) enum Closed {
    #[error("the cluster is left alone for {0:?}")]
    LeftAlone(Duration),
    #[error("no answer in time")]
    Late,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// What the gate allows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) places: Arc<Semaphore>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) request_timeout: Duration,
    pub(crate) answer_bytes: usize,
    pub(crate) watch_line_bytes: usize,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind a gate.
pub(crate) struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Bounded>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Bounded>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = self.gate.clone();
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        // Nothing is sent before this future is polled.
        let answer = self.inner.call(request);
        Box::pin(async move { pass(gate, is_watch, answer).await })
    }
}

async fn pass<F>(gate: Gate, is_watch: bool, answer: F) -> Result<Response<Bounded>, BoxError>
where
    F: Future<Output = Result<Response<Box<DynBody>>, BoxError>> + Send,
{
    if let crate::Reachability::LeftAlone { retry_in } = gate.breaker.reachability()
        && !retry_in.is_zero()
    {
        return Err(Closed::LeftAlone(retry_in).into());
    }
    let place = timeout_at(Instant::now() + gate.request_timeout, Arc::clone(&gate.places).acquire_owned())
        .await
        .map_err(|_| Closed::Late)??;
    // Asked again: the cluster may have been found unreachable while this request waited for its place.
    let ticket = gate.breaker.admit().map_err(Closed::LeftAlone)?;
    let deadline = Instant::now() + gate.request_timeout;
    let response = match timeout_at(deadline, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            ticket.fail();
            return Err(error);
        }
        Err(_) => {
            ticket.fail();
            return Err(Closed::Late.into());
        }
    };
    if is_watch {
        ticket.succeed();
        return Ok(response.map(|inner| Bounded {
            inner,
            limit: gate.watch_line_bytes,
            by_line: true,
            seen: 0,
            held: None,
        }));
    }
    let held = Held { deadline: Box::pin(sleep_until(deadline)), ticket: Some(ticket), _place: place };
    Ok(response.map(|inner| Bounded { inner, limit: gate.answer_bytes, by_line: false, seen: 0, held: Some(held) }))
}

/// A body that ends with an error when it is too large (a watch: one of its lines) or too slow.
pub(crate) struct Bounded {
    inner: Box<DynBody>,
    limit: usize,
    by_line: bool,
    seen: usize,
    held: Option<Held>,
}

/// What an ordinary request keeps until its answer is read.
struct Held {
    deadline: Pin<Box<Sleep>>,
    ticket: Option<Ticket>,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(held) = &mut this.held
            && held.deadline.as_mut().poll(context).is_ready()
        {
            if let Some(ticket) = held.ticket.take() {
                ticket.fail();
            }
            return Poll::Ready(Some(Err(Closed::Late.into())));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.seen = match data.iter().rposition(|byte| *byte == b'\n') {
                Some(end) if this.by_line => data.len() - end,
                _ => this.seen + data.len(),
            };
            if this.seen > this.limit {
                return Poll::Ready(Some(Err(Closed::TooLarge(this.limit).into())));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It answered, whether or not the whole answer was wanted.
        if let Some(ticket) = self.ticket.take() {
            ticket.succeed();
        }
    }
}
