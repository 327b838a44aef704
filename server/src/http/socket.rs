//! `/graphql/ws`: queries, mutations and subscriptions by the protocol `graphql-transport-ws`.
//!
//! A connection is somebody's: its `connection_init` carries the token. It is closed with 4401 when the session ends,
//! which is looked up with every operation that begins and every half minute, with 1011 where it cannot be looked up then,
//! with 4408 when it says nothing in time, with 4429 when it follows too much, and with 1001 when the process stops.

use super::{Server, failure, token_in};
use crate::{actor::Actor, graphql, service::authenticate};
use async_graphql::{
    Data,
    http::{ClientMessage, WebSocket as Protocol, WebSocketProtocols, WsMessage},
};
use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
};
use futures::{SinkExt as _, Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value as Json;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// The one protocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";

/// Operations at the same time on one connection.
const MAX_OPERATIONS: usize = 100;

/// How long a client may take to say who it is.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// How often a client is asked whether it is still there, and its session whether it still is.
const CHECK_EVERY: Duration = Duration::from_secs(25);

/// How long a client may be silent.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// How long one message may take to be sent: a client that does not read is cut off.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// The largest message of a client that waits for its turn, in messages.
const INBOX: usize = 16;

/// Speaks GraphQL over a WebSocket.
pub(super) async fn graphql(State(server): State<Server>, upgrade: WebSocketUpgrade) -> Response {
    let Ok(place) = Arc::clone(&server.sockets).try_acquire_owned() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "there are too many connections");
    };
    let limit = server.app.config.http.max_body_bytes;
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| serve(server, socket, place))
}

/// What both directions of a connection know.
#[derive(Default)]
struct Shared {
    actor: OnceLock<Actor>,
    refused: OnceLock<()>,
    running: Mutex<HashSet<String>>,
}

/// The part of a message that is looked at here.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<String>,
}

async fn serve(server: Server, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
    if socket.protocol().is_none_or(|chosen| chosen != PROTOCOL) {
        close(&mut socket, 4406, "the protocol is graphql-transport-ws").await;
        return;
    }
    let shared = Arc::new(Shared::default());
    let (inbox, messages) = mpsc::channel::<Vec<u8>>(INBOX);
    let protocol = protocol(&server, &shared, messages);
    futures::pin_mut!(protocol);
    let began = Instant::now();
    let mut heard = began;
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    checks.tick().await;

    let (code, reason) = loop {
        tokio::select! {
            () = server.shutdown.cancelled() => break (1001, "the server stops"),
            () = tokio::time::sleep_until(began + INIT_WITHIN), if shared.actor.get().is_none() => {
                break (4408, "connection_init did not come in time");
            }
            _ = checks.tick() => {
                if heard.elapsed() > SILENT_FOR {
                    break (4408, "the client is silent");
                }
                if let Some(actor) = shared.actor.get()
                    && matches!(authenticate::is_signed_in(&server.app, actor).await, Ok(false))
                {
                    break (4401, "the session has ended");
                }
                if !send(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
            message = protocol.next() => match message {
                Some(WsMessage::Text(text)) => {
                    shared.sent(&text);
                    if !send(&mut socket, Message::Text(text.into())).await {
                        return;
                    }
                }
                Some(WsMessage::Close(..)) if shared.refused.get().is_some() => {
                    break (4401, "sign in first: send {\"Authorization\": \"Bearer <token>\"} in connection_init");
                }
                Some(WsMessage::Close(code, reason)) => {
                    close(&mut socket, code, &reason).await;
                    return;
                }
                None => break (1000, "done"),
            },
            // Room first: a client that sends faster than it is served waits in its own buffers.
            received = receive(&inbox, &mut socket) => match received {
                Received::Text(message, place) => {
                    heard = Instant::now();
                    match shared.admit(&server, &message).await {
                        Ok(()) => place.send(message),
                        Err(refusal) => break refusal,
                    }
                }
                Received::Sign => heard = Instant::now(),
                Received::End => return,
            },
        }
    };
    close(&mut socket, code, reason).await;
}

/// What came from a client.
enum Received<'a> {
    /// A message of the protocol, and room for it.
    Text(Vec<u8>, mpsc::Permit<'a, Vec<u8>>),
    /// A sign of life.
    Sign,
    /// It is gone.
    End,
}

async fn receive<'a>(inbox: &'a mpsc::Sender<Vec<u8>>, socket: &mut WebSocket) -> Received<'a> {
    let Ok(place) = inbox.reserve().await else { return Received::End };
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => Received::Text(text.as_bytes().to_vec(), place),
        Some(Ok(Message::Binary(bytes))) => Received::Text(bytes.to_vec(), place),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Sign,
        Some(Ok(Message::Close(_)) | Err(_)) | None => Received::End,
    }
}

fn protocol(
    server: &Server,
    shared: &Arc<Shared>,
    messages: mpsc::Receiver<Vec<u8>>,
) -> impl Stream<Item = WsMessage> + Send + use<> {
    let messages = stream::unfold(messages, async |mut messages| messages.recv().await.map(|m| (m, messages)));
    let messages = messages.map(|message| serde_json::from_slice::<ClientMessage>(&message));
    let app = server.app.clone();
    let shared = Arc::clone(shared);
    let init = async move |payload: Json| -> async_graphql::Result<Data> {
        let actor = match token_of(&payload) {
            Some(token) => authenticate::authenticate(&app, token).await.unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "a token could not be looked up");
                None
            }),
            None => None,
        };
        let Some(actor) = actor else {
            let _ = shared.refused.set(());
            return Err("sign in first".into());
        };
        let _ = shared.actor.set(actor.clone());
        Ok(graphql::connection_data(&app, actor))
    };
    Protocol::from_message_stream(server.schema.clone(), messages, WebSocketProtocols::GraphQLWS)
        .on_connection_init(init)
}

/// The token of `connection_init`, as a header would carry it.
fn token_of(payload: &Json) -> Option<&str> {
    let field = payload.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    token_in(field.1.as_str()?)
}

impl Shared {
    /// Whether a message of a client is taken: one that begins an operation only while its session lasts, and not too
    /// many of them.
    async fn admit(&self, server: &Server, message: &[u8]) -> Result<(), (u16, &'static str)> {
        if let Some(actor) = self.actor.get()
            && begins(message)
        {
            match authenticate::is_signed_in(&server.app, actor).await {
                Ok(true) => {}
                Ok(false) => return Err((4401, "the session has ended")),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be looked up");
                    return Err((1011, "the session could not be looked up"));
                }
            }
        }
        if self.may_run(message) { Ok(()) } else { Err((4429, "too many operations on one connection")) }
    }

    /// Counts an operation that a client begins.
    fn may_run(&self, message: &[u8]) -> bool {
        let Ok(Envelope { kind, id: Some(id) }) = serde_json::from_slice(message) else { return true };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match kind.as_str() {
            "subscribe" => {
                running.insert(id);
                running.len() <= MAX_OPERATIONS
            }
            "complete" => {
                running.remove(&id);
                true
            }
            _ => true,
        }
    }

    /// Counts an operation that has ended.
    fn sent(&self, message: &str) {
        if let Ok(Envelope { kind, id: Some(id) }) = serde_json::from_str::<Envelope>(message)
            && matches!(kind.as_str(), "complete" | "error")
        {
            self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }
}

fn begins(message: &[u8]) -> bool {
    serde_json::from_slice::<Envelope>(message).is_ok_and(|envelope| envelope.kind == "subscribe")
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_WITHIN, socket.send(message)).await, Ok(Ok(())))
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    // A reason has at most 123 bytes.
    let reason: String = reason.chars().take(100).collect();
    let frame = CloseFrame { code, reason: reason.into() };
    let _ = timeout(SEND_WITHIN, socket.send(Message::Close(Some(frame)))).await;
    let _ = timeout(SEND_WITHIN, socket.close()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_token_is_found_however_it_is_spelled() {
        for payload in [json!({"Authorization": "Bearer t"}), json!({"authorization": "bearer t"})] {
            assert_eq!(token_of(&payload), Some("t"));
        }
        for payload in [json!(null), json!({}), json!({"token": "t"}), json!({"Authorization": "t"})] {
            assert_eq!(token_of(&payload), None);
        }
    }

    #[test]
    fn one_connection_follows_a_limited_number_of_things() {
        let shared = Shared::default();
        let subscribe = |n: usize| json!({"type": "subscribe", "id": n.to_string()}).to_string().into_bytes();
        for n in 0..MAX_OPERATIONS {
            assert!(shared.may_run(&subscribe(n)));
        }
        shared.sent(r#"{"type":"complete","id":"0"}"#);
        assert!(shared.may_run(&subscribe(MAX_OPERATIONS)));
        assert!(!shared.may_run(&subscribe(MAX_OPERATIONS + 1)));
    }
}
