//! One request: who asks, for what, and the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::list::{self, Choice};
use super::path::{self, Options, Target};
use super::{discovery, patch, scale, table, watch_stream};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::name;
use crate::quantity;
use crate::status::{Cause, Status};
use crate::store::Key;
use crate::write::{self, Deletion, Part, Writer, Written};

/// The largest body of a request.
const MAXIMUM_BODY: usize = 3 * 1024 * 1024;

/// What answers need.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The cluster.
    pub(crate) cluster: Arc<Cluster>,
    /// Turns true at the end.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// A request, taken apart.
struct Asked {
    method: Method,
    target: Target,
    options: Options,
    writer: Writer,
    accept: String,
    content: String,
    body: Bytes,
}

/// An answer before it is written.
enum Answer {
    Object(StatusCode, Value, Vec<String>),
    Text(&'static str),
    Stream(Body),
}

/// Answers one request.
pub(crate) async fn handle(State(server): State<Server>, request: Request) -> Response {
    let mut frozen = server.cluster.frozen.subscribe();
    if frozen.wait_for(|frozen| !frozen).await.is_err() {
        return failure(&Status::unavailable());
    }
    match answer(&server, request).await {
        Ok(Answer::Object(code, value, warnings)) => respond(code, &value, &warnings),
        Ok(Answer::Text(text)) => Response::new(Body::from(text)),
        Ok(Answer::Stream(body)) => {
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            response
        }
        Err(status) => failure(&status),
    }
}

async fn answer(server: &Server, request: Request) -> Result<Answer, Status> {
    let cluster = &server.cluster;
    if cluster.unavailable.load(Ordering::Relaxed) {
        return Err(Status::unavailable());
    }
    let (parts, body) = request.into_parts();
    let text = |name: header::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (path, by_path) = within(parts.uri.path(), &cluster.options.token);
    let target = path::parse(path);
    if let Target::Other(words) = &target
        && matches!(words.first().map(String::as_str), Some("healthz" | "readyz" | "livez"))
    {
        return Ok(Answer::Text("ok"));
    }
    let expected = format!("Bearer {}", cluster.options.token);
    if !by_path && !same_text(text(header::AUTHORIZATION).as_bytes(), expected.as_bytes()) {
        return Err(Status::unauthorized());
    }
    let options = Options::parse(parts.uri.query().unwrap_or_default());
    let writer = options.writer(&text(header::USER_AGENT))?;
    let (accept, content) = (text(header::ACCEPT), text(header::CONTENT_TYPE));
    let method = parts.method.clone();
    let body = axum::body::to_bytes(body, MAXIMUM_BODY).await.map_err(|_| Status::too_large())?;
    let asked = Asked { method, target, options, writer, accept, content, body };
    if !asked.accept.is_empty() && !["json", "*/*", "application/*"].iter().any(|word| asked.accept.contains(word)) {
        return Err(Status::not_acceptable());
    }
    if asked.accept.contains("as=PartialObjectMetadata") && !asked.accept.contains("as=Table") && !plain(&asked.accept)
    {
        return Err(Status::not_acceptable());
    }
    match asked.target.clone() {
        Target::Other(parts) => {
            if asked.method != Method::GET {
                return Err(Status::no_such_path());
            }
            let value = discovery::answer(&parts, cluster.options.kubernetes_version, &asked.accept)?;
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        Target::Collection(kind, namespace) => collection(server, &asked, kind, namespace),
        Target::Object(kind, namespace, name, part) => {
            let key = Key::new(kind, &namespace, &name);
            match part.as_deref() {
                None => object(server, &asked, &key),
                Some("status") if kind.description().status => subresource(server, &asked, &key, Part::Status),
                Some("scale") if kind.description().scale => subresource(server, &asked, &key, Part::Scale),
                Some(
                    part @ ("log"
                    | "exec"
                    | "attach"
                    | "portforward"
                    | "eviction"
                    | "binding"
                    | "proxy"
                    | "token"
                    | "ephemeralcontainers"
                    | "resize"
                    | "finalize"),
                ) => Err(Status::not_implemented(&format!("{}/{part}", kind.description().plural))),
                Some(_) => Err(Status::no_such_path()),
            }
        }
    }
}

fn collection(server: &Server, asked: &Asked, kind: Kind, namespace: Option<String>) -> Result<Answer, Status> {
    let cluster = &server.cluster;
    match asked.method {
        Method::GET => {
            let choice = Choice::parse(kind, namespace, &asked.options)?;
            let as_table = wants_table(&asked.accept);
            if asked.options.is("watch") {
                let stopped = server.stopped.clone();
                let body = watch_stream::begin(cluster.clone(), stopped, choice, &asked.options, as_table)?;
                return Ok(Answer::Stream(body));
            }
            let value = list::answer(cluster, &choice, &asked.options)?;
            let value = if as_table {
                let items = value["items"].as_array().map_or(&[][..], Vec::as_slice);
                table::of(kind, items, &value["metadata"])
            } else {
                value
            };
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        Method::POST => {
            let body = asked.json()?;
            let Some(namespace) = namespace.or_else(|| (!kind.description().namespaced).then(String::new)) else {
                return Err(Status::method_not_allowed());
            };
            let written = cluster.store.write(|state| write::create(state, kind, &namespace, body, &asked.writer))?;
            Ok(asked.written(written))
        }
        Method::DELETE => {
            if kind == Kind::Namespace || kind.description().namespaced && namespace.is_none() {
                return Err(Status::method_not_allowed());
            }
            let choice = Choice::parse(kind, namespace, &asked.options)?;
            let how = asked.deletion()?;
            let dry_run = !how.dry_run.is_empty();
            let items = cluster.store.write(|state| -> Result<Vec<Value>, Status> {
                let mut items = Vec::new();
                for object in state.list(kind, choice.namespace.as_deref()) {
                    if choice.includes(&object) {
                        let (last, _) = write::delete(state, &Key::of(kind, &object), &how, dry_run)?;
                        items.push(Value::clone(&last));
                    }
                }
                Ok(items)
            })?;
            let version = cluster.store.read(crate::store::State::version).to_string();
            let value = json!({
                "kind": format!("{}List", kind.description().kind), "apiVersion": kind.api_version(),
                "metadata": {"resourceVersion": version}, "items": items,
            });
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn object(server: &Server, asked: &Asked, key: &Key) -> Result<Answer, Status> {
    let cluster = &server.cluster;
    match asked.method {
        Method::GET => {
            let object = cluster.store.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
            let value = if wants_table(&asked.accept) {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table::of(key.kind, &[Value::clone(&object)], &metadata)
            } else {
                Value::clone(&object)
            };
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        Method::PUT | Method::PATCH => written(cluster, asked, key, Part::Main),
        Method::DELETE => {
            let how = asked.deletion()?;
            let dry_run = !how.dry_run.is_empty();
            let (object, gone) = cluster.store.write(|state| write::delete(state, key, &how, dry_run))?;
            let returns = matches!(
                key.kind,
                Kind::Pod
                    | Kind::Service
                    | Kind::PersistentVolume
                    | Kind::PersistentVolumeClaim
                    | Kind::ServiceAccount
                    | Kind::ResourceQuota
                    | Kind::StorageClass
            );
            let value = if gone && !returns {
                json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {
                        "name": key.name, "group": key.kind.description().group, "kind": key.kind.description().plural,
                        "uid": object["metadata"]["uid"],
                    },
                })
            } else {
                Value::clone(&object)
            };
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

fn subresource(server: &Server, asked: &Asked, key: &Key, part: Part) -> Result<Answer, Status> {
    let cluster = &server.cluster;
    match asked.method {
        Method::GET => {
            let object = cluster.store.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
            let value = if part == Part::Scale { scale::read(&object) } else { Value::clone(&object) };
            Ok(Answer::Object(StatusCode::OK, value, Vec::new()))
        }
        Method::PUT | Method::PATCH => written(cluster, asked, key, part),
        _ => Err(Status::method_not_allowed()),
    }
}

/// A change by PUT or by one of the patches.
fn written(cluster: &Cluster, asked: &Asked, key: &Key, part: Part) -> Result<Answer, Status> {
    let content = asked.content.split(';').next().unwrap_or_default().trim();
    let put = asked.method == Method::PUT;
    if !put && content == "application/apply-patch+yaml" {
        return applied(cluster, asked, key, part);
    }
    if !put && content != "application/merge-patch+json" {
        let accepted = "application/merge-patch+json, application/apply-patch+yaml";
        return Err(Status::unsupported_media_type(content, accepted));
    }
    let body = if put { asked.json()? } else { parse(&asked.body)? };
    if !put && !body.is_object() {
        return Err(Status::bad_request("the patch must be an object"));
    }
    if put && name(&body) != key.name {
        let (said, asked) = (name(&body), &key.name);
        let message = format!("the name of the object ({said}) does not match the name on the URL ({asked})");
        return Err(Status::bad_request(message));
    }
    let written = cluster.store.write(|state| {
        write::change(state, key, part, &asked.writer, |old| {
            let mut new = if part == Part::Scale { scale::read(old) } else { old.clone() };
            if put {
                new = body;
            } else {
                patch::merge(&mut new, &body);
                if part != Part::Scale || !new["metadata"].is_object() {
                    readable(key, &new)?;
                }
                if body["metadata"].get("resourceVersion").is_none() {
                    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                }
            }
            if part == Part::Scale { scale::write(key.kind, old, &new) } else { Ok(new) }
        })
    })?;
    let mut written = written;
    if part == Part::Scale {
        written.object = Arc::new(scale::read(&written.object));
    }
    Ok(asked.written(written))
}

/// Whether what came of a patch is still an object of its kind.
fn readable(key: &Key, new: &Value) -> Result<(), Status> {
    let mut new = new.clone();
    quantity::normalize(&mut new);
    let Err(error) = key.kind.decode(new.clone()) else { return Ok(()) };
    Err(Status::invalid(key.kind, &key.name, &[Cause::invalid("patch", &new, &error.to_string())]))
}

fn applied(cluster: &Cluster, asked: &Asked, key: &Key, part: Part) -> Result<Answer, Status> {
    if part == Part::Scale {
        return Err(Status::not_implemented("server-side apply of a scale"));
    }
    if asked.options.text("fieldManager").is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid_options("PatchOptions", &[cause]));
    }
    // JSON is YAML, and what most clients send.
    let config: Value = if let Ok(config) = serde_json::from_slice(&asked.body) {
        config
    } else {
        let text = std::str::from_utf8(&asked.body)
            .map_err(|_| Status::bad_request("error decoding YAML: it is not UTF-8"))?;
        serde_saphyr::from_str(text).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?
    };
    let force = asked.options.is("force");
    let written = cluster.store.write(|state| write::apply(state, key, part, config, force, &asked.writer))?;
    Ok(asked.written(written))
}

impl Asked {
    fn json(&self) -> Result<Value, Status> {
        let content = self.content.split(';').next().unwrap_or_default().trim();
        match content {
            "" | "application/json" => parse(&self.body),
            "application/yaml" => {
                let text = std::str::from_utf8(&self.body).map_err(|_| Status::bad_request("the body is not UTF-8"))?;
                serde_saphyr::from_str(text)
                    .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))
            }
            other => Err(Status::unsupported_media_type(other, "application/json, application/yaml")),
        }
    }

    /// How to delete: from the body, or from the address where there is none.
    fn deletion(&self) -> Result<Deletion, Status> {
        if self.body.is_empty() {
            let text = |name: &str| Some(self.options.text(name).to_owned()).filter(|text| !text.is_empty());
            let seconds = self.options.number("gracePeriodSeconds")?;
            return Ok(Deletion {
                grace_period_seconds: seconds.and_then(|seconds| i64::try_from(seconds).ok()),
                propagation_policy: text("propagationPolicy"),
                dry_run: text("dryRun").into_iter().collect(),
                ..Deletion::default()
            });
        }
        let content = self.content.split(';').next().unwrap_or_default().trim();
        if !matches!(content, "" | "application/json") {
            return Err(Status::unsupported_media_type(content, "application/json"));
        }
        let mut value = parse(&self.body)?;
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let how: Deletion = serde_json::from_value(value).map_err(|error| Status::bad_request(error.to_string()))?;
        if how.dry_run.iter().any(|word| word != "All") {
            let cause = Cause::unsupported("dryRun", &how.dry_run.join(","), &["All"]);
            return Err(Status::invalid_options("DeleteOptions", &[cause]));
        }
        Ok(how)
    }

    fn written(&self, written: Written) -> Answer {
        let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let value = if wants_table(&self.accept) {
            Value::clone(&written.object)
        } else {
            Arc::unwrap_or_clone(written.object)
        };
        Answer::Object(code, value, written.warnings)
    }
}

fn parse(body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body).map_err(|error| Status::bad_request(format!("error decoding JSON: {error}")))
}

fn wants_table(accept: &str) -> bool {
    accept.split(',').next().is_some_and(|first| first.contains("as=Table") && first.contains("v=v1"))
}

/// Whether one of the forms that the client takes is plain JSON.
fn plain(accept: &str) -> bool {
    accept.split(',').any(|one| matches!(one.trim(), "application/json" | "*/*"))
}

/// The path below the token, where it begins with it. kubectl sends no token by header to a server without TLS, so that
/// the kubeconfig of a playground has it in the server's address.
fn within<'a>(path: &'a str, token: &str) -> (&'a str, bool) {
    let (first, _) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    if same_text(first.as_bytes(), token.as_bytes()) {
        let start = path.find(first).unwrap_or(0) + first.len();
        (&path[start..], true)
    } else {
        (path, false)
    }
}

/// Compares without telling by the time where two texts differ.
fn same_text(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

fn failure(status: &Status) -> Response {
    let mut response = respond(status.code, &status.body(), &[]);
    if status.code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn respond(code: StatusCode, value: &Value, warnings: &[String]) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = code;
    let content = if value["kind"] == "APIGroupDiscoveryList" {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json"
    };
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    for warning in warnings {
        let text = format!("299 - {}", Value::from(warning.as_str()));
        if let Ok(value) = header::HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
