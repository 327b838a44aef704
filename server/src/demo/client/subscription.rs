//! One subscription, over a WebSocket of its own, by the protocol `graphql-transport-ws`.

use super::{Refused, refusals};
use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

/// How long it may take until a connection is accepted.
const CONNECT: Duration = Duration::from_secs(15);

/// A subscription. Dropping it ends it.
pub struct Subscription {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Subscription {
    pub(super) async fn begin(
        address: SocketAddr,
        token: Option<&str>,
        document: &str,
        variables: Json,
    ) -> anyhow::Result<Self> {
        let begin = async {
            let mut request = format!("ws://{address}/graphql/ws").into_client_request()?;
            let protocol = HeaderValue::from_static("graphql-transport-ws");
            request.headers_mut().insert("sec-websocket-protocol", protocol);
            let (socket, _) = connect_async(request).await.context("connecting a WebSocket")?;
            let mut subscription = Self { socket };
            let payload = match token {
                Some(token) => json!({ "Authorization": format!("Bearer {token}") }),
                None => json!({}),
            };
            subscription.send(&json!({ "type": "connection_init", "payload": payload })).await?;
            let answer = subscription.receive().await?.context("the server closed the WebSocket")?;
            anyhow::ensure!(answer["type"] == "connection_ack", "the server did not accept the WebSocket");
            let payload = json!({ "query": document, "variables": variables });
            subscription.send(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await?;
            Ok(subscription)
        };
        tokio::time::timeout(CONNECT, begin).await.context("the WebSocket was not accepted in time")?
    }

    /// The `data` of the next event; none where the server has no more.
    pub async fn next(&mut self) -> anyhow::Result<Option<Json>> {
        while let Some(mut message) = self.receive().await? {
            match message["type"].as_str() {
                Some("next") => {
                    let errors = refusals(message.pointer("/payload/errors"));
                    if !errors.is_empty() {
                        return Err(Refused(errors).into());
                    }
                    return Ok(Some(message["payload"]["data"].take()));
                }
                Some("error") => return Err(Refused(refusals(message.get("payload"))).into()),
                Some("complete") => return Ok(None),
                Some("ping") => self.send(&json!({ "type": "pong" })).await?,
                _ => {}
            }
        }
        bail!("the server closed the WebSocket")
    }

    async fn send(&mut self, message: &Json) -> anyhow::Result<()> {
        self.socket.send(Message::text(message.to_string())).await.context("writing to a WebSocket")
    }

    async fn receive(&mut self) -> anyhow::Result<Option<Json>> {
        while let Some(message) = self.socket.next().await {
            match message.context("reading from a WebSocket")? {
                Message::Text(text) => return Ok(Some(serde_json::from_str(&text)?)),
                Message::Close(Some(frame)) => {
                    bail!("the server closed the WebSocket: {} {}", frame.code, frame.reason)
                }
                Message::Close(None) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}
