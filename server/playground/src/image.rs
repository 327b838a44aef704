//! Whether a node could pull an image: its manifest for the node's architecture, its configuration and every layer are
//! looked at in the registry, and nothing is taken.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use oci_distribution::Reference;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::object::{items, text};

/// The longest that one request to a registry takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest manifest or answer of a token service.
const MAXIMUM_BODY: usize = 4 * 1024 * 1024;
/// The most layers that an image has.
const MAXIMUM_LAYERS: usize = 256;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// User and password of a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// Logins by registry, from pull secrets.
#[derive(Clone, Default)]
pub(crate) struct Keychain(BTreeMap<String, Vec<Login>>);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keychain").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// The client for registries.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    // The installed provider stays when there is one already.
    let _present = rustls::crypto::ring::default_provider().install_default();
    // Registries of this machine are asked, and a proxy would ask its own.
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::limited(5)).build()
}

impl Keychain {
    /// Adds the logins of a Secret of type `kubernetes.io/dockerconfigjson`; others have none.
    pub(crate) fn add(&mut self, secret: &Value) {
        if secret["type"] != "kubernetes.io/dockerconfigjson" {
            return;
        }
        let bytes = secret["data"][".dockerconfigjson"].as_str().and_then(|data| STANDARD.decode(data).ok());
        let config: Value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        for (host, entry) in config["auths"].as_object().into_iter().flatten() {
            let host = host.trim_start_matches("https://").trim_start_matches("http://");
            let host = host.split('/').next().unwrap_or_default().to_owned();
            let auth = entry["auth"].as_str().and_then(|auth| STANDARD.decode(auth).ok());
            let auth = auth.and_then(|auth| String::from_utf8(auth).ok());
            let login = match auth.as_deref().and_then(|auth| auth.split_once(':')) {
                Some((user, password)) => Login { user: user.to_owned(), password: password.to_owned() },
                None => {
                    Login { user: text(entry, "/username").to_owned(), password: text(entry, "/password").to_owned() }
                }
            };
            self.0.entry(host).or_default().push(login);
        }
    }

    fn logins(&self, host: &str) -> &[Login] {
        self.0.get(host).map_or(&[], Vec::as_slice)
    }
}

/// The digest that a node of the architecture would pull, or why it cannot.
pub(crate) async fn resolve(
    http: &reqwest::Client,
    image: &str,
    architecture: &str,
    keychain: &Keychain,
    trust_elsewhere: bool,
) -> Result<String, String> {
    let reference: Reference = image.parse().map_err(|error| format!("could not parse reference: {error}"))?;
    let host = reference.resolve_registry();
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    let here = bare == "localhost"
        || bare.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !here {
        return if trust_elsewhere {
            Ok(image.to_owned())
        } else {
            Err(format!("registry {bare} is not reachable from the nodes: no such host"))
        };
    }
    let logins = keychain.logins(host);
    let mut last = String::new();
    let tries = if logins.is_empty() { vec![None] } else { logins.iter().map(Some).collect() };
    for login in tries {
        let mut registry = Registry { http, host, repository: reference.repository(), login, token: None };
        match registry.pullable(&reference, architecture).await {
            Ok(digest) => return Ok(format!("{host}/{}@{digest}", reference.repository())),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One repository, seen with one login.
struct Registry<'a> {
    http: &'a reqwest::Client,
    host: &'a str,
    repository: &'a str,
    login: Option<&'a Login>,
    token: Option<String>,
}

impl Registry<'_> {
    async fn pullable(&mut self, reference: &Reference, architecture: &str) -> Result<String, String> {
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let (mut manifest, mut digest) = self.manifest(wanted).await?;
        if manifest["manifests"].is_array() {
            let child = items(&manifest, "/manifests")
                .iter()
                .find(|one| one["platform"]["os"] == "linux" && one["platform"]["architecture"] == architecture);
            let Some(child) = child else {
                return Err(format!("no match for platform in manifest: not found (linux/{architecture})"));
            };
            let child = text(child, "/digest").to_owned();
            (manifest, digest) = self.manifest(&child).await?;
        }
        let config = text(&manifest, "/config/digest").to_owned();
        let path = format!("blobs/{config}");
        let answer = self.ask(Method::GET, &path, None).await?;
        if !answer.status().is_success() {
            return Err(format!("configuration {config} is missing: {}", answer.status()));
        }
        let config: Value = serde_json::from_slice(&read(answer).await?).unwrap_or(Value::Null);
        let found = text(&config, "/architecture");
        if found != architecture {
            return Err(format!("no match for platform linux/{architecture}, the image is for {found}"));
        }
        let layers = items(&manifest, "/layers");
        if layers.len() > MAXIMUM_LAYERS {
            return Err(format!("the image has more than {MAXIMUM_LAYERS} layers"));
        }
        for layer in layers {
            let layer = text(layer, "/digest");
            let answer = self.ask(Method::HEAD, &format!("blobs/{layer}"), None).await?;
            if !answer.status().is_success() {
                return Err(format!("layer {layer} is missing: {}", answer.status()));
            }
        }
        Ok(digest)
    }

    async fn manifest(&mut self, wanted: &str) -> Result<(Value, String), String> {
        let answer = self.ask(Method::GET, &format!("manifests/{wanted}"), Some(MANIFESTS)).await?;
        let status = answer.status();
        if !status.is_success() {
            let why = match status {
                StatusCode::NOT_FOUND => "not found",
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authorization failed",
                _ => "unexpected status",
            };
            return Err(format!("{}/{}:{wanted}: {why} ({status})", self.host, self.repository));
        }
        let bytes = read(answer).await?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if wanted.starts_with("sha256:") && wanted != digest {
            return Err(format!("the manifest {wanted} has the digest {digest}"));
        }
        let manifest = serde_json::from_slice(&bytes).map_err(|error| format!("manifest {wanted}: {error}"))?;
        Ok((manifest, digest))
    }

    async fn ask(&mut self, method: Method, path: &str, accept: Option<&str>) -> Result<Response, String> {
        for again in [false, true] {
            let url = format!("http://{}/v2/{}/{path}", self.host, self.repository);
            let mut request = self.http.request(method.clone(), url);
            if let Some(accept) = accept {
                request = request.header(header::ACCEPT, accept);
            }
            if let Some(token) = &self.token {
                request = request.header(header::AUTHORIZATION, token);
            }
            let answer = request.send().await.map_err(|error| describe(&error))?;
            if answer.status() != StatusCode::UNAUTHORIZED || again || self.token.is_some() {
                return Ok(answer);
            }
            let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let Some(token) = self.answer_challenge(challenge.unwrap_or_default().to_owned()).await? else {
                return Ok(answer);
            };
            self.token = Some(token);
        }
        Err("the registry asks for authorization again and again".to_owned())
    }

    async fn answer_challenge(&self, challenge: String) -> Result<Option<String>, String> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((&challenge, ""));
        let basic =
            self.login.map(|login| format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.password))));
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        let part = |name: &str| {
            let start = rest.find(&format!("{name}=\""))? + name.len() + 2;
            let end = rest[start..].find('"')? + start;
            Some(rest[start..end].to_owned())
        };
        let Some(realm) = part("realm") else { return Ok(None) };
        let scope = part("scope").unwrap_or_else(|| format!("repository:{}:pull", self.repository));
        let mut url = reqwest::Url::parse(&realm).map_err(|error| format!("the token service {realm}: {error}"))?;
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = part("service") {
            url.query_pairs_mut().append_pair("service", &service);
        }
        let mut request = self.http.get(url);
        if let Some(basic) = basic {
            request = request.header(header::AUTHORIZATION, basic);
        }
        let answer = request.send().await.map_err(|error| describe(&error))?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let answer: Value = serde_json::from_slice(&read(answer).await?).unwrap_or(Value::Null);
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        Ok(token.map(|token| format!("Bearer {token}")))
    }
}

async fn read(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| describe(&error))? {
        if bytes.len() + chunk.len() > MAXIMUM_BODY {
            return Err(format!("the registry's answer is larger than {MAXIMUM_BODY} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
