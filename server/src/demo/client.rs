//! A client of the public API, as anybody could write one: GraphQL over HTTP, subscriptions over a WebSocket.

mod subscription;

pub use subscription::Subscription;

use anyhow::{Context as _, bail};
use serde_json::{Value as Json, json};
use std::{net::SocketAddr, time::Duration};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How long an operation is followed at most.
const PATIENCE: Duration = Duration::from_secs(300);

const OPERATION: &str = "
    query($id: ID!) {
      operation(id: $id) {
        id kind state progress
        error { code message }
        steps { number name component state attempts error }
      }
    }";

const EVENTS: &str = "
    subscription($id: ID!, $after: Cursor) {
      operationEvents(operationId: $id, after: $after) { cursor sequence at kind step component message progress data }
    }";

/// A client of a Ropeway server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    token: Option<String>,
}

/// The server refused what was asked, in a way that the caller can mend, or with an error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the server refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Refused(pub Vec<Refusal>);

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, in capitals.
    pub code: String,
    /// For people.
    pub message: String,
    /// Which part of the input.
    pub path: Vec<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " (at {})", self.path.join(".")) }
    }
}

impl Refused {
    /// Whether one of the reasons has this code.
    pub fn has(&self, code: &str) -> bool {
        self.0.iter().any(|refusal| refusal.code == code)
    }
}

impl Client {
    /// A client of the server at an address. Nobody is signed in.
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().context("making an HTTP client")?;
        Ok(Self { http, address, token: None })
    }

    /// The same client for somebody else, or nobody.
    #[must_use]
    pub fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    /// Where the server is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token of whoever is signed in.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Sends a query or a mutation; the whole answer, with `data` and `errors` as they are.
    pub async fn send(&self, document: &str, variables: Json) -> anyhow::Result<Json> {
        let mut request = self.http.post(format!("http://{}/graphql", self.address));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request
            .json(&json!({ "query": document, "variables": variables }))
            .send()
            .await
            .context("asking the server")?;
        response.json().await.context("reading the server's answer")
    }

    /// Sends a query; its `data`. GraphQL errors are [`Refused`].
    pub async fn ask(&self, document: &str, variables: Json) -> anyhow::Result<Json> {
        let mut answer = self.send(document, variables).await?;
        let errors = refusals(answer.get("errors"));
        if !errors.is_empty() {
            return Err(Refused(errors).into());
        }
        Ok(answer["data"].take())
    }

    /// Sends a mutation with one field; its payload. What the payload lists under `errors` is [`Refused`].
    pub async fn change(&self, document: &str, input: Json) -> anyhow::Result<Json> {
        let data = self.ask(document, json!({ "input": input })).await?;
        let payload = data.as_object().and_then(|fields| fields.values().next()).cloned();
        let payload = payload.context("the answer to a mutation is empty")?;
        let errors = refusals(payload.get("errors"));
        if errors.is_empty() { Ok(payload) } else { Err(Refused(errors).into()) }
    }

    /// Begins a subscription.
    pub async fn subscribe(&self, document: &str, variables: Json) -> anyhow::Result<Subscription> {
        Subscription::begin(self.address, self.token.as_deref(), document, variables).await
    }

    /// Follows the events of an operation from a cursor, without a limit in time.
    pub async fn events(&self, operation: &str, after: Option<&str>) -> anyhow::Result<Subscription> {
        self.subscribe(EVENTS, json!({ "id": operation, "after": after })).await
    }

    /// Follows an operation to its end, and resumes after the last event where the connection breaks; then the
    /// operation as it is stored.
    pub async fn follow(&self, operation: &str, mut on_event: impl FnMut(&Json)) -> anyhow::Result<Json> {
        let following = async {
            let mut after: Option<String> = None;
            let mut breaks = 0;
            loop {
                match self.follow_once(operation, &mut after, &mut on_event).await {
                    Ok(()) => return Ok(()),
                    Err(error) if breaks >= 5 || !is_break(&error) => return Err(error),
                    Err(_) => breaks += 1,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, following).await {
            Ok(result) => result.context("following an operation")?,
            Err(_) => bail!("the operation has not ended after {} s", PATIENCE.as_secs()),
        }
        self.operation(operation).await
    }

    /// An operation with its steps.
    pub async fn operation(&self, id: &str) -> anyhow::Result<Json> {
        let mut data = self.ask(OPERATION, json!({ "id": id })).await?;
        Ok(data["operation"].take())
    }

    async fn follow_once(
        &self,
        operation: &str,
        after: &mut Option<String>,
        on_event: &mut impl FnMut(&Json),
    ) -> anyhow::Result<()> {
        let mut events = self.events(operation, after.as_deref()).await?;
        while let Some(data) = events.next().await? {
            let event = &data["operationEvents"];
            *after = event["cursor"].as_str().map(str::to_owned).or(after.take());
            on_event(event);
        }
        Ok(())
    }
}

/// Whether following may go on after the last event: the connection broke, or the server cut a slow client off.
fn is_break(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_none_or(|refused| refused.has("RESUME"))
}

/// The text at a JSON pointer, such as `/team/id`.
pub fn text<'a>(value: &'a Json, pointer: &str) -> anyhow::Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Json::as_str)
        .with_context(|| format!("there is no text at {pointer} of the answer"))
}

/// The list at a JSON pointer.
pub fn list<'a>(value: &'a Json, pointer: &str) -> anyhow::Result<&'a [Json]> {
    let list = value.pointer(pointer).and_then(Json::as_array);
    Ok(list.with_context(|| format!("there is no list at {pointer} of the answer"))?)
}

/// The errors of an answer or of a payload.
fn refusals(errors: Option<&Json>) -> Vec<Refusal> {
    let errors = errors.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let nested = errors.iter().flat_map(|error| match error.pointer("/extensions/errors").and_then(Json::as_array) {
        Some(inner) => inner.iter().collect::<Vec<_>>(),
        None => vec![error],
    });
    nested
        .map(|error| {
            let code = error["code"].as_str().or_else(|| error.pointer("/extensions/code")?.as_str());
            let path = error["path"].as_array().map(Vec::as_slice).unwrap_or_default();
            Refusal {
                code: code.unwrap_or("BAD_REQUEST").to_owned(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                path: path.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_too_slow_goes_on() {
        let refused = |code: &str| Refused(refusals(Some(&json!([{ "extensions": { "code": code } }]))));
        assert!(is_break(&refused("RESUME").into()));
        assert!(!is_break(&refused("FORBIDDEN").into()));
        assert!(is_break(&anyhow::anyhow!("the connection broke")));
    }

    #[test]
    fn refusals_are_found_in_answers_and_payloads() {
        let answer = json!([
            { "message": "no", "path": ["createTeam"], "extensions": { "code": "FORBIDDEN" } },
            { "message": "x", "extensions": { "code": "INVALID", "errors": [
                { "code": "SLUG_IN_USE", "message": "taken", "path": ["slug"] },
            ] } },
        ]);
        let found = refusals(Some(&answer));
        assert_eq!(found.iter().map(|r| r.code.as_str()).collect::<Vec<_>>(), ["FORBIDDEN", "SLUG_IN_USE"]);
        assert_eq!(found[1].to_string(), "[SLUG_IN_USE] taken (at slug)");
        assert!(refusals(None).is_empty());
    }
}
