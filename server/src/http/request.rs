//! `POST /graphql`: one query or mutation, as JSON.

use super::{Server, bearer, failure};
use crate::{
    actor::Actor,
    error::Error,
    graphql::{self, Peer, limits::TIME_LIMIT},
    service::authenticate,
};
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest as _, Request, State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use std::net::SocketAddr;

/// Executes a query or a mutation. The limit includes the time in which the request arrives.
pub(super) async fn graphql(State(server): State<Server>, request: Request) -> Response {
    match tokio::time::timeout(TIME_LIMIT, answer(&server, request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!("it took longer than {} s", TIME_LIMIT.as_secs());
            failure(StatusCode::GATEWAY_TIMEOUT, "UNAVAILABLE", &message)
        }
    }
}

async fn answer(server: &Server, request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_json) {
        let message = "send a GraphQL request as application/json";
        return failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST", message);
    }
    let token = bearer(&request).map(str::to_owned);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| Peer(peer.ip()));
    let actor = match actor(server, token.as_deref()).await {
        Ok(actor) => actor,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a token could not be looked up");
            return failure(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "the database does not answer");
        }
    };
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return unreadable(&rejection),
    };
    let request: async_graphql::Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(_) if body.trim_ascii_start().starts_with(b"[") => {
            return failure(StatusCode::BAD_REQUEST, "BAD_REQUEST", "send one request at a time, not a list");
        }
        Err(error) => {
            // The position is told, the text is not: it may hold a password.
            let message = format!("this is no GraphQL request (line {}, column {})", error.line(), error.column());
            return failure(StatusCode::BAD_REQUEST, "BAD_REQUEST", &message);
        }
    };
    let request = graphql::on_behalf_of(&server.app, actor, request);
    let request = if let Some(peer) = peer { request.data(peer) } else { request };
    let answer = GraphQLResponse::from(server.schema.execute(request).await);
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], answer).into_response()
}

async fn actor(server: &Server, token: Option<&str>) -> Result<Option<Actor>, Error> {
    match token {
        Some(token) => authenticate::authenticate(&server.app, token).await,
        None => Ok(None),
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json") || media_type.eq_ignore_ascii_case("application/graphql+json")
}

fn unreadable(rejection: &BytesRejection) -> Response {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            failure(StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST", "the request is larger than what is accepted")
        }
        status => failure(status, "BAD_REQUEST", "the request could not be read"),
    }
}
