//! `/graphql/ws`: queries, mutations and subscriptions by the protocol `graphql-transport-ws`.
//!
//! A connection is somebody's: its `connection_init` carries the token. It is closed with 4401 when the session ends,
//! which is looked up with every operation that begins and every half minute, with 1011 where it cannot be looked up then,
//! with 4408 when it says nothing in time, with 4429 when it follows too much or there are too many of the same person,
//! with 1013 when there are too many altogether, and with 1001 when the process stops.

use super::{
    Server, failure,
    places::{Entry, Full, Place},
    token_in,
};
use crate::{actor::Actor, graphql, service::authenticate};
use async_graphql::{
    Data,
    http::{ClientMessage, WebSocket as Protocol, WebSocketProtocols, WsMessage},
};
use axum::{
    extract::{
        ConnectInfo, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
};
use futures::{SinkExt as _, Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value as Json;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
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

/// Messages of a client that wait for their turn.
const INBOX: usize = 16;

/// The code and the reason with which a connection is closed.
type Refusal = (u16, &'static str);

const NO_MESSAGE: Refusal = (4400, "this is no message of graphql-transport-ws");
const SIGN_IN: Refusal = (4401, "sign in first: send {\"Authorization\": \"Bearer <token>\"} in connection_init");
const NOT_ACKNOWLEDGED: Refusal = (4401, "wait for connection_ack first");
const SESSION_ENDED: Refusal = (4401, "the session has ended");
const SESSION_UNKNOWN: Refusal = (1011, "the session could not be looked up");
const ID_IN_USE: Refusal = (4409, "an operation with this id is running already");
const TOO_MANY_OPERATIONS: Refusal = (4429, "too many operations on one connection");
const TOO_MANY_OF_YOURS: Refusal = (4429, "you have too many connections");
const TOO_MANY: Refusal = (1013, "there are too many connections");

/// Speaks GraphQL over a WebSocket.
pub(super) async fn graphql(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(entry) = server.places.enter(peer.ip()) else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "there are too many connections");
    };
    let limit = server.app.config.http.max_body_bytes;
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| serve(server, socket, entry))
}

/// What both directions of a connection know.
#[derive(Default)]
struct Shared {
    /// Who signed in, and the place that they take.
    known: OnceLock<(Actor, Place)>,
    refused: OnceLock<Refusal>,
    /// By the id that the client gave them.
    running: Mutex<HashMap<String, Running>>,
}

/// The operations that a client began with one id.
#[derive(Default)]
struct Running {
    /// Those whose end it was not told yet: one more than the protocol allows where it stopped one and began the next.
    unended: usize,
    /// Whether the client still waits for the last of them.
    is_open: bool,
}

/// The part of a message to a client that is looked at here.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<String>,
}

async fn serve(server: Server, mut socket: WebSocket, entry: Entry) {
    if socket.protocol().is_none_or(|chosen| chosen != PROTOCOL) {
        close(&mut socket, 4406, "the protocol is graphql-transport-ws").await;
        return;
    }
    let shared = Arc::new(Shared::default());
    let (inbox, messages) = mpsc::channel::<ClientMessage>(INBOX);
    let protocol = protocol(&server, &shared, messages, entry);
    futures::pin_mut!(protocol);
    let began = Instant::now();
    let mut heard = began;
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    checks.tick().await;

    let (code, reason) = loop {
        tokio::select! {
            () = server.shutdown.cancelled() => break (1001, "the server stops"),
            () = tokio::time::sleep_until(began + INIT_WITHIN), if shared.known.get().is_none() => {
                break (4408, "connection_init did not come in time");
            }
            _ = checks.tick() => {
                if heard.elapsed() > SILENT_FOR {
                    break (4408, "the client is silent");
                }
                if let Some((actor, _)) = shared.known.get()
                    && matches!(authenticate::again(&server.app, actor).await, Ok(None))
                {
                    break SESSION_ENDED;
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
                Some(WsMessage::Close(code, reason)) => {
                    if let Some(refusal) = shared.refused.get() {
                        break *refusal;
                    }
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
                        Ok(message) => place.send(message),
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
    Text(Vec<u8>, mpsc::Permit<'a, ClientMessage>),
    /// A sign of life.
    Sign,
    /// It is gone.
    End,
}

async fn receive<'a>(inbox: &'a mpsc::Sender<ClientMessage>, socket: &mut WebSocket) -> Received<'a> {
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
    messages: mpsc::Receiver<ClientMessage>,
    entry: Entry,
) -> impl Stream<Item = WsMessage> + Send + use<> {
    let messages = stream::unfold(messages, async |mut messages| messages.recv().await.map(|m| (Ok(m), messages)));
    let (server, shared) = (server.clone(), Arc::clone(shared));
    let schema = server.schema.clone();
    let init = async move |payload: Json| -> async_graphql::Result<Data> {
        let known = enter(&server, &payload).await;
        drop(entry);
        match known {
            Ok(known) => {
                let _ = shared.known.set(known);
                Ok(Data::default())
            }
            Err(refusal) => {
                let _ = shared.refused.set(refusal);
                Err(refusal.1.into())
            }
        }
    };
    Protocol::from_message_stream(schema, messages, WebSocketProtocols::GraphQLWS).on_connection_init(init)
}

/// Who a connection is of, and their place.
async fn enter(server: &Server, payload: &Json) -> Result<(Actor, Place), Refusal> {
    let actor = match token_of(payload) {
        Some(token) => authenticate::authenticate(&server.app, token).await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a token could not be looked up");
            None
        }),
        None => None,
    };
    let actor = actor.ok_or(SIGN_IN)?;
    match server.places.take(actor.user_id) {
        Ok(place) => Ok((actor, place)),
        Err(Full::OfThisPerson) => Err(TOO_MANY_OF_YOURS),
        Err(Full::All) => Err(TOO_MANY),
    }
}

/// The token of `connection_init`, as a header would carry it.
fn token_of(payload: &Json) -> Option<&str> {
    let field = payload.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    token_in(field.1.as_str()?)
}

impl Shared {
    /// A message of a client, if it is taken. One that begins an operation is taken only while its session lasts, and is
    /// executed for the person as they are now.
    async fn admit(&self, server: &Server, message: &[u8]) -> Result<ClientMessage, Refusal> {
        let message: ClientMessage = serde_json::from_slice(message).map_err(|_| NO_MESSAGE)?;
        match message {
            ClientMessage::Start { id, payload } => {
                let (actor, _) = self.known.get().ok_or(NOT_ACKNOWLEDGED)?;
                let actor = match authenticate::again(&server.app, actor).await {
                    Ok(actor) => actor.ok_or(SESSION_ENDED)?,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be looked up");
                        return Err(SESSION_UNKNOWN);
                    }
                };
                self.begin(&id)?;
                Ok(ClientMessage::Start { id, payload: graphql::on_behalf_of(&server.app, Some(actor), payload) })
            }
            ClientMessage::Stop { id } => {
                self.stop(&id);
                Ok(ClientMessage::Stop { id })
            }
            other => Ok(other),
        }
    }

    /// Counts an operation that a client begins.
    fn begin(&self, id: &str) -> Result<(), Refusal> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let unended: usize = running.values().map(|one| one.unended).sum();
        let one = running.entry(id.to_owned()).or_default();
        if one.is_open {
            return Err(ID_IN_USE);
        }
        if unended >= MAX_OPERATIONS {
            return Err(TOO_MANY_OPERATIONS);
        }
        one.unended += 1;
        one.is_open = true;
        Ok(())
    }

    /// A client stops an operation, and may use its id again. It counts until its end has been told.
    fn stop(&self, id: &str) {
        if let Some(one) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            one.is_open = false;
        }
    }

    /// Counts an operation that has ended.
    fn sent(&self, message: &str) {
        let Ok(Envelope { kind, id: Some(id) }) = serde_json::from_str(message) else { return };
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(kind.as_str(), "complete" | "error")
            && let Some(one) = running.get_mut(&id)
        {
            one.unended -= 1;
            if one.unended == 0 {
                running.remove(&id);
            }
        }
    }
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
        for n in 0..MAX_OPERATIONS {
            shared.begin(&n.to_string()).unwrap();
        }
        shared.sent(r#"{"type":"complete","id":"0"}"#);
        shared.begin("new").unwrap();
        assert_eq!(shared.begin("more"), Err(TOO_MANY_OPERATIONS));
    }

    #[test]
    fn an_operation_counts_until_its_end_was_told() {
        let shared = Shared::default();
        for _ in 0..MAX_OPERATIONS {
            shared.begin("same").unwrap();
            assert_eq!(shared.begin("same"), Err(ID_IN_USE));
            shared.stop("same");
        }
        assert_eq!(shared.begin("same"), Err(TOO_MANY_OPERATIONS));
        for _ in 0..MAX_OPERATIONS {
            shared.sent(r#"{"type":"complete","id":"same"}"#);
        }
        shared.begin("same").unwrap();
    }
}
