//! Tokens: a registry that sends clients to a token service.

use crate::hooks::{Before, Hooked, answer};
use crate::support::{PASSWORD, RegistryUnderTest, USER, client, name, registry, serve, tag};
use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ropeway_library::copy::{CopyOptions, CopyRequest, copy};
use ropeway_library::{Endpoint, Error, sample};
use std::sync::{Arc, Mutex};

/// The scopes that each token was asked for, in order; a token is its position.
type Tokens = Arc<Mutex<Vec<Vec<String>>>>;

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

/// A token service, and a registry that takes its tokens only. No token is given for `forbidden`.
async fn start() -> (Hooked, crate::support::Served, Tokens) {
    let tokens = Tokens::default();
    let issued = tokens.clone();
    let service = Router::new().route(
        "/token",
        get(move |request: Request| async move {
            if request.headers().get("authorization").is_none_or(|value| *value != basic()) {
                return answer(401, &[]);
            }
            let query = request.uri().query().unwrap_or_default();
            let scopes: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
                .filter(|(key, _)| key == "scope")
                .map(|(_, value)| value.into_owned())
                .collect();
            assert!(query.contains("service=a+registry"), "{query}");
            if scopes.iter().any(|scope| scope.starts_with("repository:forbidden:")) {
                return answer(403, &[]);
            }
            let mut issued = issued.lock().expect("not poisoned");
            issued.push(scopes);
            let body = format!("{{\"token\":\"t{}\",\"expires_in\":300}}", issued.len() - 1);
            axum::response::Response::new(body.into())
        }),
    );
    let service = serve(service).await;
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"a registry\"", service.host());
    let known = tokens.clone();
    let before: Before = Arc::new(move |request: &mut Request| {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let number: Option<usize> = header.strip_prefix("Bearer t").and_then(|text| text.parse().ok());
        let scopes = number.and_then(|number| known.lock().expect("not poisoned").get(number).cloned());
        let path = request.uri().path().to_owned();
        let repository = path.strip_prefix("/v2/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let writes = request.method() != "GET" && request.method() != "HEAD";
        let mut needed = vec![];
        if !repository.is_empty() {
            needed.push((repository.to_owned(), writes));
        }
        for (key, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            if key == "from" {
                needed.push((value.into_owned(), false));
            }
        }
        let allowed = scopes.is_some_and(|scopes| {
            needed.iter().all(|(repository, push)| {
                let pull = format!("repository:{repository}:pull");
                scopes.iter().any(|scope| *scope == format!("{pull},push") || (!push && *scope == pull))
            })
        });
        if !allowed {
            return Some(answer(401, &[("www-authenticate", &challenge)]));
        }
        let value = HeaderValue::from_str(&basic()).expect("a header");
        request.headers_mut().insert("authorization", value);
        None
    });
    let hooked = Hooked::start(before, Arc::new(|_, _, response| response)).await;
    (hooked, service, tokens)
}

#[tokio::test]
async fn tokens_are_asked_for_once_per_scope_and_a_mount_asks_for_both() {
    let (hooked, _service, tokens) = start().await;
    let registry = client(&hooked.host());
    let image = sample::image("web", "1", "amd64", &[10, 20, 30]);
    sample::push(&registry, &name("a"), &tag("1"), &image).await.expect("pushed");
    let before = tokens.lock().expect("not poisoned").clone();
    assert_eq!(before, [["repository:a:pull"], ["repository:a:pull,push"]]);
    let request = CopyRequest {
        source: &registry,
        source_repository: name("a"),
        digest: image.digest,
        target: &registry,
        target_repository: name("b"),
        tag: None,
        platforms: None,
        mount_from: vec![],
    };
    let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
    assert_eq!((copied.blobs_mounted, copied.blobs_copied), (4, 0));
    let mut asked = tokens.lock().expect("not poisoned")[before.len()..].to_vec();
    asked.sort();
    let both = vec!["repository:b:pull,push".to_owned(), "repository:a:pull".to_owned()];
    assert_eq!(asked, [vec!["repository:b:pull".to_owned()], vec!["repository:b:pull,push".to_owned()], both]);
}

#[tokio::test]
async fn a_token_service_that_refuses_is_an_error_at_once() {
    let (hooked, _service, tokens) = start().await;
    let registry = registry(Endpoint::plain(hooked.host()).with_credentials(USER, "canary-9d41"));
    let error = registry.ping().await.expect_err("refused");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(!format!("{error} {error:?} {registry:?}").contains("canary"));
    assert!(tokens.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_token_that_is_revoked_is_replaced() {
    let (hooked, _service, tokens) = start().await;
    let registry = client(&hooked.host());
    registry.head_blob(&name("a"), &ropeway_library::Digest::of(b"x")).await.expect("asked");
    // The service forgets what it has issued.
    tokens.lock().expect("not poisoned")[0] = vec![];
    registry.head_blob(&name("a"), &ropeway_library::Digest::of(b"x")).await.expect("asked with a new token");
    assert_eq!(tokens.lock().expect("not poisoned").len(), 2);
}

#[tokio::test]
async fn a_repository_that_may_not_be_read_is_not_mounted_from() {
    let (hooked, _service, _tokens) = start().await;
    let target = client(&hooked.host());
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = sample::image("web", "1", "amd64", &[10]);
    sample::push(&source.client(), &name("a"), &tag("1"), &image).await.expect("pushed");
    let request = CopyRequest {
        source: &source.client(),
        source_repository: name("a"),
        digest: image.digest,
        target: &target,
        target_repository: name("b"),
        tag: None,
        platforms: None,
        mount_from: vec![name("forbidden")],
    };
    let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
    assert_eq!((copied.blobs_mounted, copied.blobs_copied), (0, 2));
}
