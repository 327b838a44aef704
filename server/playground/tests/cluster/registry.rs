//! A small registry that holds single-layer images, some behind a password.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const USER: &str = "puller";
pub(crate) const PASSWORD: &str = "secret";

/// Media type and bytes, by path.
type Blobs = HashMap<String, (String, Vec<u8>)>;

#[derive(Clone, Default)]
struct Content(Arc<Mutex<Blobs>>);

pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    content: Content,
    server: tokio::task::JoinHandle<()>,
}

impl Registry {
    pub(crate) async fn start() -> Result<Self> {
        let content = Content::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = axum::Router::new().fallback(answer).with_state(content.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("the registry serves");
        });
        Ok(Self { address, content, server })
    }

    /// Pushes an image; its name begins with `private/` if it needs the password.
    pub(crate) fn push(&self, name: &str, architecture: &str) -> String {
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        let layer = format!("layer of {name}").into_bytes();
        let diff = digest(&layer);
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff]},
        });
        let config = config.to_string().into_bytes();
        let config_type = "application/vnd.oci.image.config.v1+json";
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let layer_type = "application/vnd.oci.image.layer.v1.tar";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": {"mediaType": config_type, "digest": digest(&config), "size": config.len()},
            "layers": [{"mediaType": layer_type, "digest": digest(&layer), "size": layer.len()}],
        });
        let manifest = manifest.to_string().into_bytes();
        let octets = "application/octet-stream".to_owned();
        self.put(format!("/v2/{repository}/blobs/{}", digest(&layer)), octets.clone(), layer);
        self.put(format!("/v2/{repository}/blobs/{}", digest(&config)), octets, config);
        for reference in [tag.to_owned(), digest(&manifest)] {
            self.put(format!("/v2/{repository}/manifests/{reference}"), manifest_type.to_owned(), manifest.clone());
        }
        format!("{}/{name}", self.address)
    }

    /// Takes the layers of an image away.
    pub(crate) fn lose_layers(&self, name: &str) {
        let (repository, _) = name.split_once(':').unwrap_or((name, ""));
        let layer = digest(format!("layer of {name}").as_bytes());
        self.content.0.lock().expect("no holder panics").remove(&format!("/v2/{repository}/blobs/{layer}"));
    }

    /// A Secret with the login of this registry.
    pub(crate) fn secret(&self, name: &str) -> Value {
        let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let auth = encode(format!("{USER}:{PASSWORD}"));
        let config = json!({"auths": {self.address.to_string(): {"auth": auth}}});
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": encode(config.to_string())},
        })
    }

    fn put(&self, path: String, kind: String, bytes: Vec<u8>) {
        self.content.0.lock().expect("no holder panics").insert(path, (kind, bytes));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

async fn answer(State(content): State<Content>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let private = path.starts_with("/v2/private/") || path == "/v2/";
    if private && given != Some(expected.as_str()) && (path != "/v2/" || given.is_some()) {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"test\"")], "").into_response();
    }
    if path == "/v2/" {
        // Whoever asks without a login learns that there is one to give, and that nothing is lost without it.
        return match given {
            Some(_) => StatusCode::OK.into_response(),
            None => (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"test\"")], "").into_response(),
        };
    }
    let found = content.0.lock().expect("no holder panics").get(&path).cloned();
    let Some((kind, bytes)) = found else { return StatusCode::NOT_FOUND.into_response() };
    let digest = digest(&bytes);
    let headers =
        [("content-type", kind), ("docker-content-digest", digest), ("content-length", bytes.len().to_string())];
    let body = if request.method() == Method::HEAD { Vec::new() } else { bytes };
    (headers, body).into_response()
}
