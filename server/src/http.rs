//! The process's HTTP side: `POST /graphql`, GraphiQL at `GET /graphql`, WebSockets at `/graphql/ws`, and whether it is
//! well at `/healthz` and `/readyz`.
//!
//! Whoever asks says so with `Authorization: Bearer <token>`, on a WebSocket in `connection_init`. There are no cookies,
//! so that no other site can act for anybody. A TLS proxy belongs before it.

mod places;
mod request;
mod socket;
#[cfg(test)]
mod tests;

use crate::{
    app::App,
    clock,
    graphql::{self, ApiSchema},
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use places::Places;
use serde_json::json;
use std::{any::Any, io, net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    trace::{MakeSpan, OnResponse, TraceLayer},
};
use tracing::Span;

/// How long requests that run when the process stops may go on.
const GRACE: Duration = Duration::from_secs(20);

/// What handlers have at hand.
#[derive(Clone)]
struct Server {
    app: App,
    schema: ApiSchema,
    /// For WebSockets.
    places: Places,
    shutdown: CancellationToken,
}

/// Serves the API on a listener until `shutdown`, then lets running requests end.
pub async fn serve(app: App, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    let router = router(app, shutdown.clone());
    let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = serving => result,
        () = late => {
            tracing::warn!("requests were still running when the process stopped");
            Ok(())
        }
    }
}

/// The routes. WebSockets are closed on `shutdown`.
pub fn router(app: App, shutdown: CancellationToken) -> Router {
    let http = &app.config.http;
    let body_limit = DefaultBodyLimit::max(http.max_body_bytes);
    let places = Places::new(http.max_subscriptions);
    let schema = graphql::schema(app.clone());
    let server = Server { app, schema, places, shutdown };
    Router::new()
        .route("/", get(|| async { axum::response::Redirect::temporary("/graphql") }))
        .route("/graphql", get(console).post(request::graphql).layer(body_limit))
        .route("/graphql/ws", get(socket::graphql))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(is_ready))
        .with_state(server)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http().make_span_with(Spans).on_request(()).on_response(Lines).on_failure(()))
}

/// GraphiQL. It holds no token: whoever uses it writes one into its headers, which also go into `connection_init`.
async fn console() -> Response {
    let page = async_graphql::http::GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql/ws")
        .title("Ropeway")
        .finish();
    ([(header::X_FRAME_OPTIONS, "DENY"), (header::REFERRER_POLICY, "no-referrer")], Html(page)).into_response()
}

/// Whether requests can be answered: the database answers.
async fn is_ready(State(server): State<Server>) -> Response {
    match server.app.database.ping().await {
        Ok(()) => "ready".into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer").into_response()
        }
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request panicked");
    failure(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "an internal error; it was logged")
}

/// An answer in the form of GraphQL for what went wrong before a query was executed.
fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": code } }] });
    (status, Json(body)).into_response()
}

/// One span a request, with an id of its own. Neither headers nor bodies nor queries of the URL are in it.
#[derive(Clone)]
struct Spans;

impl<B> MakeSpan<B> for Spans {
    fn make_span(&mut self, request: &http::Request<B>) -> Span {
        tracing::info_span!(
            "request",
            request.id = %clock::new_uuid(),
            http.method = %request.method(),
            http.path = request.uri().path(),
        )
    }
}

/// One line a request.
#[derive(Clone)]
struct Lines;

impl<B> OnResponse<B> for Lines {
    fn on_response(self, response: &http::Response<B>, latency: Duration, span: &Span) {
        let _entered = span.enter();
        let duration_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        if response.status().is_server_error() {
            tracing::warn!(http.status = response.status().as_u16(), duration_ms, "failed to answer a request");
        } else {
            tracing::debug!(http.status = response.status().as_u16(), duration_ms, "answered a request");
        }
    }
}

/// The token of a request's header.
fn bearer(request: &Request) -> Option<&str> {
    token_in(request.headers().get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The token in `Bearer <token>`.
fn token_in(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
