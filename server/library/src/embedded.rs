//! A small registry on disk, served by the same process: push, pull and the list of tags of the OCI
//! distribution specification 1.1.
//!
//! Content is stored once, by digest, and is visible in a repository by a link there. Everything is
//! written to a temporary file, synchronised, renamed, and its folder synchronised before it is
//! acknowledged; a blob that is not whole is never visible. Deleting manifests and blobs, referrers,
//! the catalogue of repositories and ranges of blobs are not offered.
//!
//! One process at a time uses a data folder: what uploads an earlier one left is removed at start.

mod access;
mod blobs;
mod durable;
mod manifests;
mod refusal;
mod route;
mod store;
mod tags;
mod uploads;

pub use access::{Action, Authenticator, Subject, Unavailable};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use chrono::{DateTime, Utc};
use refusal::Refusal;
use route::Target;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::Store;
use tokio::time::MissedTickBehavior;
use uploads::Uploads;
use uuid::Uuid;

const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The pause between two looks for uploads that rest too long is a quarter of the time that they may rest, within this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
/// Makes identifiers that nobody can guess.
pub type Ids = Arc<dyn Fn() -> Uuid + Send + Sync>;

/// How the registry is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds everything; made where it is missing.
    pub data_dir: PathBuf,
    /// The name that clients show when they ask for a password. Printable ASCII without quotes.
    pub realm: String,
    /// How much is accepted.
    pub limits: Limits,
}

/// What the registry accepts at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The greatest blob, in bytes.
    pub max_blob_bytes: u64,
    /// The greatest manifest, in bytes.
    pub max_manifest_bytes: u64,
    /// The most blobs and manifests that one manifest refers to.
    pub max_references: usize,
    /// The most uploads at the same time.
    pub max_uploads: usize,
    /// The most uploads of one owner at the same time: the others keep the rest.
    pub max_uploads_of_one: usize,
    /// How long an upload may rest before it is forgotten.
    pub upload_expiry: Duration,
    /// How long a request's body may stand still.
    pub body_idle: Duration,
    /// The most tags in one answer.
    pub max_tags: usize,
}

/// The registry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("cannot use the registry's data folder {}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The realm cannot be part of a header.
    #[error("the registry's realm has to be printable ASCII without quotes")]
    Realm,
}

struct Shared {
    store: Store,
    uploads: Uploads,
    authenticator: Arc<dyn Authenticator>,
    clock: Clock,
    ids: Ids,
    limits: Limits,
    challenge: HeaderValue,
}

/// The registry's routes, all under `/v2`. Prepares the data folder, which blocks shortly. As long as the routes are in
/// use, a task looks for uploads that rest too long.
///
/// # Errors
/// [`StartError`] where the data folder or the realm cannot be used.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn router(
    config: Config,
    authenticator: Arc<dyn Authenticator>,
    clock: Clock,
    ids: Ids,
) -> Result<Router, StartError> {
    let printable =
        config.realm.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\".contains(&byte));
    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{}\"", config.realm));
    let challenge = challenge.ok().filter(|_| printable).ok_or(StartError::Realm)?;
    let unusable = |source| StartError::DataDir { path: config.data_dir.clone(), source };
    let store = Store::open(&config.data_dir).map_err(unusable)?;
    let uploads = Uploads::open(&config.data_dir, &config.limits).map_err(unusable)?;
    let shared = Arc::new(Shared { store, uploads, authenticator, clock, ids, limits: config.limits, challenge });
    tokio::spawn(sweep(Arc::downgrade(&shared), shared.limits.upload_expiry));
    Ok(Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*rest}", any(rest))
        .with_state(shared))
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_blob_bytes: 20 << 30,
            max_manifest_bytes: 4 << 20,
            max_references: 1024,
            max_uploads: 256,
            max_uploads_of_one: 64,
            upload_expiry: Duration::from_hours(1),
            body_idle: Duration::from_mins(1),
            max_tags: 1000,
        }
    }
}

/// Gives up uploads that rest too long, also when nobody asks for anything any more. Ends with the registry.
async fn sweep(shared: Weak<Shared>, expiry: Duration) {
    let mut ticks = tokio::time::interval((expiry / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.uploads.sweep((shared.clock)()).await;
    }
}

async fn base(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    finish(&shared, answer(&shared, Some(Target::Base), request).await)
}

async fn rest(State(shared): State<Arc<Shared>>, Path(rest): Path<String>, request: Request) -> Response {
    finish(&shared, answer(&shared, route::parse(&rest), request).await)
}

async fn answer(shared: &Arc<Shared>, target: Option<Target>, request: Request) -> Result<Response, Refusal> {
    let subject = access::identify(shared, request.headers()).await?;
    let Some(target) = target else { return Err(Refusal::no_route()) };
    let method = request.method().clone();
    if let Some(repository) = target.repository() {
        let reads = method == Method::GET || method == Method::HEAD;
        // The state of an upload is nothing for those who only read.
        let pulls = reads && !matches!(target, Target::Upload(..) | Target::Uploads(_));
        let action = if pulls { Action::Pull } else { Action::Push };
        subject.require(repository.as_ref().map_err(Clone::clone)?, action)?;
    }
    match (method, target) {
        (Method::GET | Method::HEAD, Target::Base) => Ok(axum::Json(serde_json::json!({})).into_response()),
        (Method::POST, Target::Uploads(name)) => uploads::begin(shared, &subject, name?, request).await,
        (Method::GET, Target::Upload(name, id)) => uploads::status(shared, &subject, &name?, id?),
        (Method::PATCH, Target::Upload(name, id)) => uploads::patch(shared, &subject, &name?, id?, request).await,
        (Method::PUT, Target::Upload(name, id)) => uploads::put(shared, &subject, &name?, id?, request).await,
        (Method::DELETE, Target::Upload(name, id)) => uploads::cancel(shared, &subject, &name?, id?),
        (Method::GET, Target::Blob(name, digest)) => blobs::get(shared, &name?, &digest?, true).await,
        (Method::HEAD, Target::Blob(name, digest)) => blobs::get(shared, &name?, &digest?, false).await,
        (Method::GET, Target::Manifest(name, what)) => manifests::get(shared, &name?, &what?, true).await,
        (Method::HEAD, Target::Manifest(name, what)) => manifests::get(shared, &name?, &what?, false).await,
        (Method::PUT, Target::Manifest(name, what)) => manifests::put(shared, &name?, &what?, request).await,
        (Method::GET, Target::Tags(name)) => tags::list(shared, &name?, request.uri()).await,
        // By the specification, 404 tells clients to look for referrers by tag.
        (_, Target::Referrers(_)) => Err(Refusal::unsupported(StatusCode::NOT_FOUND)),
        _ => Err(Refusal::unsupported(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

fn finish(shared: &Shared, result: Result<Response, Refusal>) -> Response {
    let mut response = result.unwrap_or_else(|refusal| refusal.into_response(&shared.challenge));
    response.headers_mut().insert(API_VERSION.0, API_VERSION.1);
    response
}
