//! The HTTP side, asked over loopback.

use super::{serve, token_in};
use crate::{
    app::App,
    clock::Clock,
    config::Config,
    on,
    service::{first_start::first_start, register_drivers::register_drivers},
};
use diesel_async::RunQueryDsl;
use futures::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::{net::TcpListener, net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tokio_util::sync::CancellationToken;

struct Served {
    app: App,
    address: String,
    password: String,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Served {
    async fn new() -> Self {
        crate::process::install_tls();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data.folder = folder.path().to_owned();
        config.http.max_body_bytes = 10_000;
        config.http.max_subscriptions = 1;
        let app = App::open(config, Clock::default()).await.unwrap();
        app.database.migrate().await.unwrap();
        register_drivers(&app).await.unwrap();
        let password = first_start(&app, "acme").await.unwrap().unwrap().one_time_password.expose().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(app.clone(), listener, shutdown.clone()));
        Self { app, address, password, shutdown, serving, _folder: folder }
    }

    async fn post(&self, token: Option<&str>, body: &Json) -> (StatusCode, Json) {
        let mut request = reqwest::Client::new().post(format!("http://{}/graphql", self.address)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn sign_in(&self) -> String {
        let query = "mutation($i: SignInInput!, $c: SignInInput!) { a: signIn(input: $i) { token } b: signIn(input: $c) { token } }";
        let input = json!({ "name": "admin", "password": self.password });
        let body = json!({ "query": query, "variables": { "i": input, "c": input } });
        self.post(None, &body).await.1["data"]["a"]["token"].as_str().unwrap().to_owned()
    }

    async fn change_password(&self, token: &str) {
        let query = "mutation($i: ChangePasswordInput!) { changePassword(input: $i) { errors { code } } }";
        let input = json!({ "current": self.password, "new": "long enough now" });
        self.post(Some(token), &json!({ "query": query, "variables": { "i": input } })).await;
    }

    async fn token(&self) -> String {
        let token = self.sign_in().await;
        self.change_password(&token).await;
        token
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn socket(&self) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{}/graphql/ws", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        Ok(connect_async(request).await?.0)
    }

    /// A connection on which somebody said who they are.
    async fn socket_of(&self, token: &str) -> Result<Socket, u16> {
        let mut socket = self.socket().await.unwrap();
        let payload = json!({ "authorization": format!("Bearer {token}") });
        tell(&mut socket, json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(hear(&mut socket).await?["type"], "connection_ack");
        Ok(socket)
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.serving).await.unwrap().unwrap().unwrap();
    }
}

async fn tell(socket: &mut Socket, message: Json) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message of the protocol, or the code with which the connection was closed.
async fn hear(socket: &mut Socket) -> Result<Json, u16> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap();
        match message {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(1006),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_that_it_is_well_and_shows_the_console() {
    let served = Served::new().await;
    assert_eq!(served.get("/healthz").await, (StatusCode::OK, "ok".into()));
    assert_eq!(served.get("/readyz").await, (StatusCode::OK, "ready".into()));
    let (status, page) = served.get("/graphql").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("/graphql/ws") && !page.to_lowercase().contains("bearer"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_it_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.data.folder = folder.path().to_owned();
    // No database is opened where a folder is.
    config.database.url = Some(format!("sqlite:{}", folder.path().display()));
    let app = App::open(config, Clock::default()).await.unwrap();
    let router = super::router(app, CancellationToken::new());
    let get = async |path: &str| {
        let request = axum::extract::Request::get(path).body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status()
    };
    assert_eq!(get("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get("/healthz").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_for_whoever_the_token_stands_for() {
    let served = Served::new().await;
    let body = json!({ "query": "{ viewer { name } enterprises { nodes { name } } }" });
    let (status, answer) = served.post(None, &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let token = served.token().await;
    let (_, answer) = served.post(Some(&token), &body).await;
    let expected = json!({ "viewer": { "name": "admin" }, "enterprises": { "nodes": [{ "name": "acme" }] } });
    assert_eq!(answer["data"], expected);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused() {
    let served = Served::new().await;
    let large = json!({ "query": "x".repeat(20_000) });
    assert_eq!(served.post(None, &large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, answer) = served.post(None, &json!([{ "query": "{ viewer { id } }" }])).await;
    assert_eq!(
        (status, answer["errors"][0]["extensions"]["code"].clone()),
        (StatusCode::BAD_REQUEST, json!("BAD_REQUEST"))
    );
    let client = reqwest::Client::new();
    let url = format!("http://{}/graphql", served.address);
    let answer = client
        .post(&url)
        .header("content-type", "application/json")
        .body("{\"password\": \"canary")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(!answer.text().await.unwrap().contains("canary"));
    let answer = client.post(&url).body("{\"query\": \"{ viewer { id } }\"}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_without_a_token_is_closed() {
    let served = Served::new().await;
    let mut socket = served.socket().await.unwrap();
    tell(&mut socket, json!({ "type": "connection_init", "payload": { "Authorization": "Bearer nonsense" } })).await;
    assert_eq!(hear(&mut socket).await, Err(4401));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_run_over_a_socket_until_the_process_stops() {
    let served = Served::new().await;
    let token = served.token().await;
    let (_, answer) = served.post(Some(&token), &json!({ "query": "{ enterprises { nodes { id } } }" })).await;
    let id = answer["data"]["enterprises"]["nodes"][0]["id"].as_str().unwrap();
    let mut socket = served.socket_of(&token).await.unwrap();
    let query = format!("subscription {{ clusterStatusChanged(enterpriseId: \"{id}\") {{ name status }} }}");
    tell(&mut socket, json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
    tell(&mut socket, json!({ "type": "subscribe", "id": "2", "payload": { "query": "{ viewer { name } }" } })).await;
    let answer = hear(&mut socket).await.unwrap();
    assert_eq!((&answer["id"], &answer["payload"]["data"]["viewer"]["name"]), (&json!("2"), &json!("admin")));
    assert_eq!(hear(&mut socket).await.unwrap(), json!({ "type": "complete", "id": "2" }));
    tell(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "pong");
    assert_eq!(served.socket_of(&token).await.err(), Some(1013), "connections are limited");
    let mut stranger = served.socket().await.unwrap();
    tell(&mut stranger, json!({ "type": "connection_init" })).await;
    assert_eq!(hear(&mut stranger).await, Err(4401), "a stranger takes no place, and is told what is missing");

    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], \
                      users: [{name: u, user: {token: t}}], contexts: [{name: a, context: {cluster: c, user: u}}]}";
    let query = "mutation($i: RegisterClusterInput!) { registerCluster(input: $i) { errors { code } } }";
    let input = json!({ "enterpriseId": id, "name": "hangzhou", "driver": "kubernetes", "kubeconfig": kubeconfig });
    let (_, answer) = served.post(Some(&token), &json!({ "query": query, "variables": { "i": input } })).await;
    assert_eq!(answer["data"]["registerCluster"]["errors"], json!([]), "{answer}");
    let event = hear(&mut socket).await.unwrap();
    let expected = json!({ "name": "hangzhou", "status": "OFFLINE" });
    assert_eq!((&event["id"], &event["payload"]["data"]["clusterStatusChanged"]), (&json!("1"), &expected));
    assert!(served.app.database.queries() > 0);
    served.shutdown.cancel();
    assert_eq!(hear(&mut socket).await, Err(1001));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_begins_nothing_once_its_session_has_ended() {
    let served = Served::new().await;
    let token = served.token().await;
    let open = async || {
        // There may be one at a time, and the one before may not be gone yet.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            match served.socket_of(&token).await {
                Ok(socket) => break socket,
                Err(code) => assert!(tokio::time::Instant::now() < deadline, "{code}"),
            }
        }
    };
    let ask = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ viewer { name } }" } });
    let mut socket = open().await;
    tell(&mut socket, ask.clone()).await;
    assert_eq!(hear(&mut socket).await.unwrap()["payload"]["data"]["viewer"]["name"], "admin");
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "complete");
    let rename = async |from: &str, to: &str| {
        let mut conn = served.app.database.write().await.unwrap();
        let statement = format!("ALTER TABLE {from} RENAME TO {to}");
        on!(&mut conn, |c| diesel::sql_query(statement).execute(c).await).unwrap();
    };
    rename("sessions", "elsewhere").await;
    tell(&mut socket, ask.clone()).await;
    assert_eq!(hear(&mut socket).await, Err(1011), "nobody knows whether it has");
    rename("elsewhere", "sessions").await;
    drop(socket);

    let mut socket = open().await;
    served.post(Some(&token), &json!({ "query": "mutation { signOut { errors { code } } }" })).await;
    // As the protocol before this one calls it.
    tell(&mut socket, json!({ "type": "start", "id": "1", "payload": ask["payload"] })).await;
    assert_eq!(hear(&mut socket).await, Err(4401));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_the_protocol_is_told_how() {
    let served = Served::new().await;
    let token = served.token().await;
    let ask = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ viewer { name } }" } });
    let mut socket = served.socket().await.unwrap();
    tell(&mut socket, ask.clone()).await;
    assert_eq!(hear(&mut socket).await, Err(4401), "it was not acknowledged yet");
    for nonsense in [json!({ "type": "nonsense" }), json!([]), json!({ "type": "subscribe", "id": "1" })] {
        let mut socket = served.socket().await.unwrap();
        tell(&mut socket, nonsense).await;
        assert_eq!(hear(&mut socket).await, Err(4400));
    }
    let (_, answer) = served.post(Some(&token), &json!({ "query": "{ enterprises { nodes { id } } }" })).await;
    let id = answer["data"]["enterprises"]["nodes"][0]["id"].as_str().unwrap();
    let mut socket = served.socket_of(&token).await.unwrap();
    let query = format!("subscription {{ clusterStatusChanged(enterpriseId: \"{id}\") {{ name }} }}");
    let follow = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
    tell(&mut socket, follow.clone()).await;
    tell(&mut socket, json!({ "type": "complete", "id": "1" })).await;
    tell(&mut socket, ask).await;
    loop {
        let heard = hear(&mut socket).await.expect("an id that was stopped may be used again");
        if heard["payload"]["data"]["viewer"]["name"] == "admin" {
            break;
        }
    }
    tell(&mut socket, json!({ "type": "subscribe", "id": "2", "payload": follow["payload"] })).await;
    tell(&mut socket, json!({ "type": "subscribe", "id": "2", "payload": follow["payload"] })).await;
    loop {
        match hear(&mut socket).await {
            Ok(_) => {}
            Err(code) => break assert_eq!(code, 4409),
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_knows_that_a_password_was_changed() {
    let served = Served::new().await;
    let token = served.sign_in().await;
    let mut socket = served.socket_of(&token).await.unwrap();
    let query = "{ enterprises { nodes { name } } }";
    let ask = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
    tell(&mut socket, ask.clone()).await;
    let answer = hear(&mut socket).await.unwrap();
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "complete");
    served.change_password(&token).await;
    tell(&mut socket, ask).await;
    let answer = hear(&mut socket).await.unwrap();
    assert_eq!(answer["payload"]["data"]["enterprises"]["nodes"][0]["name"], "acme", "{answer}");
    served.stop().await;
}

#[test]
fn only_bearer_tokens_are_tokens() {
    assert_eq!(token_in("Bearer abc"), Some("abc"));
    assert_eq!(token_in(" bearer  abc "), Some("abc"));
    for other in ["", "abc", "Basic abc", "Bearer"] {
        assert_eq!(token_in(other), None, "{other}");
    }
}
