//! Configuring the library of an enterprise: the embedded registry, or another one.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::EnterpriseId,
    libraries::PullAccess,
    seal::Secret,
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        check_library::{self, NOBODY},
        library_address::{self, Address},
        problems::Problems,
        renew_pull_secrets,
    },
    store::{
        Conn, Instant, cluster, enterprise,
        library::{self, Library},
        operation::Operation,
        sealed_value::{self, SealedValue},
    },
};
use ropeway_domain::access::EnterpriseAction;
use ropeway_library::{Endpoint, Limits, Registry};
use std::time::Duration;

/// How long it may take to find out whether a registry can be used.
const TRIAL: Duration = Duration::from_secs(20);

/// The largest certificate, in bytes.
const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// The longest user name and password of a registry.
const MAX_CREDENTIAL: usize = 4096;

/// How many characters a generated password has.
const GENERATED_LENGTH: usize = 32;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct ConfigureLibrary {
    /// The address that the server speaks to; none: the embedded registry.
    pub url: Option<String>,
    /// The address that clusters pull from, where it is another one.
    pub public_url: Option<String>,
    /// As whom to speak to it.
    pub username: Option<String>,
    /// The password of that.
    pub password: Option<Secret>,
    /// PEM; trusted besides the system's.
    pub ca_certificate: Option<String>,
    /// Whether it is spoken to without TLS.
    pub plain_http: Option<bool>,
}

/// Tries a registry and, if it can be used, makes it the library; then checks whether the clusters reach it.
pub async fn configure_library(
    app: &App,
    actor: &Actor,
    id: EnterpriseId,
    input: ConfigureLibrary,
) -> Result<(Library, Option<Operation>)> {
    let act = Act::new("configureLibrary", Subject::Enterprise(id), encode_text(id));
    audited(app, actor, act, async || configure(app, actor, id, input).await).await
}

async fn configure(
    app: &App,
    actor: &Actor,
    id: EnterpriseId,
    input: ConfigureLibrary,
) -> Result<(Library, Option<Operation>)> {
    let mut conn = app.database.read().await?;
    authorize::enterprise(&mut conn, actor, id, EnterpriseAction::ManageLibrary).await?;
    drop(conn);
    let now = app.clock.now();
    let external = match input.url.clone() {
        Some(url) => Some(external(app, id, &url, input, now).await?),
        None => {
            refuse_settings(&input)?;
            if app.config.database.replicated {
                let message = "the embedded registry belongs to one process, and this server has replicas: name a url";
                return Err(UserError::new("LIBRARY_NOT_SHARED", message).at(["url"]).into());
            }
            None
        }
    };
    let mut conn = app.database.write().await?;
    let (library, check, renewals) = conn
        .transaction(async |conn| {
            authorize::enterprise(conn, actor, id, EnterpriseAction::ManageLibrary).await?;
            enterprise::lock(conn, id).await?;
            let before = library::find(conn, id).await?;
            let pulled = before.as_ref().and_then(PullAccess::of);
            let library = match external {
                Some((mut library, sealed)) => {
                    library.generation = next_generation(before.as_ref());
                    if let Some(sealed) = &sealed {
                        sealed_value::insert(conn, sealed).await?;
                    }
                    library
                }
                None => embedded(app, conn, id, before, now).await?,
            };
            library::set(conn, &library).await?;
            let clusters = cluster::ids(conn, Some(id)).await?;
            let check = check_library::begin(conn, id, &clusters, &actor.name, now).await?;
            let renewals = if PullAccess::of(&library) == pulled {
                Vec::new()
            } else {
                renew_pull_secrets::begin(conn, &library, None, &actor.name, now).await?
            };
            audit::done(conn, actor, now, "configureLibrary", Some(id), Some(encode_text(id)), None).await?;
            Ok::<_, Error>((library, check, renewals))
        })
        .await?;
    drop(conn);
    for operation in check.iter().chain(&renewals) {
        app.feed.changed(operation);
    }
    Ok((library, check))
}

/// Gives a new enterprise its library in the embedded registry, inside a transaction. Replicas have none, until another
/// registry is configured: the embedded one belongs to one process.
pub async fn begin_with_embedded(app: &App, conn: &mut Conn, id: EnterpriseId, now: Instant) -> Result<()> {
    if !app.config.database.replicated {
        let library = embedded(app, conn, id, None, now).await?;
        library::set(conn, &library).await?;
    }
    Ok(())
}

/// The embedded registry as the library of an enterprise. One that is there already keeps its credentials, which the
/// nodes of clusters have, and what is known of its reachability, unless its address is another one.
async fn embedded(
    app: &App,
    conn: &mut Conn,
    id: EnterpriseId,
    before: Option<Library>,
    now: Instant,
) -> Result<Library> {
    let (url, public_url) = embedded_addresses(app)?;
    let generation = next_generation(before.as_ref());
    if let Some(before) = before.filter(|before| before.embedded) {
        return Ok(moved(before, url, public_url));
    }
    let password = Secret::new(clock::random_text(GENERATED_LENGTH));
    let pull_password = Secret::new(clock::random_text(GENERATED_LENGTH));
    let password = SealedValue::seal(&app.sealer, id, &password, now)?;
    let pull_password = SealedValue::seal(&app.sealer, id, &pull_password, now)?;
    sealed_value::insert(conn, &password).await?;
    sealed_value::insert(conn, &pull_password).await?;
    Ok(Library {
        enterprise_id: id,
        embedded: true,
        url,
        public_url,
        prefix: format!("{}/", id.0.simple()),
        username: Some(format!("server-{}", clock::new_uuid().simple())),
        password: Some(password.id),
        pull_username: Some(format!("pull-{}", clock::new_uuid().simple())),
        pull_password: Some(pull_password.id),
        ca_certificate: None,
        plain_http: true,
        reachable: None,
        checked_at: None,
        message: None,
        generation,
    })
}

/// A library at these addresses. At others than before, nothing is known of whether it is reached.
fn moved(library: Library, url: String, public_url: String) -> Library {
    if library.url == url && library.public_url == public_url {
        return library;
    }
    Library {
        url,
        public_url,
        reachable: None,
        checked_at: None,
        message: None,
        generation: library.generation + 1,
        ..library
    }
}

/// Gives every library in the embedded registry the addresses that are configured now, and the clusters the Secrets to
/// pull from there. Done at every start, before the libraries that are due are checked: one that was moved is.
pub async fn refresh_embedded(app: &App) -> Result<()> {
    let (url, public_url) = embedded_addresses(app)?;
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let renewals = conn
        .transaction(async |conn| {
            let mut renewals = Vec::new();
            for id in enterprise::ids(conn).await? {
                let Some(before) = library::find(conn, id).await?.filter(|library| library.embedded) else { continue };
                let library = moved(before.clone(), url.clone(), public_url.clone());
                if library == before {
                    continue;
                }
                library::set(conn, &library).await?;
                if PullAccess::of(&library) != PullAccess::of(&before) {
                    renewals.extend(renew_pull_secrets::begin(conn, &library, None, NOBODY, now).await?);
                }
            }
            Ok::<_, Error>(renewals)
        })
        .await?;
    drop(conn);
    for operation in &renewals {
        app.feed.changed(operation);
    }
    Ok(())
}

/// Where the embedded registry is, for the server and for nodes.
fn embedded_addresses(app: &App) -> Result<(String, String)> {
    let listen = app.config.library.listen;
    let url = match listen.ip() {
        ip if ip.is_unspecified() => format!("127.0.0.1:{}", listen.port()),
        _ => listen.to_string(),
    };
    let public_url = app.config.library.public_host().map_err(|wrong| Error::internal(wrong.to_string()))?;
    let public_url = public_url.unwrap_or_else(|| url.clone());
    Ok((url, public_url))
}

/// A registry that was tried, as the library of an enterprise, and its sealed password.
async fn external(
    app: &App,
    id: EnterpriseId,
    url: &str,
    input: ConfigureLibrary,
    now: Instant,
) -> Result<(Library, Option<SealedValue>)> {
    let mut problems = Problems::new();
    let address = library_address::parse(url).map_err(|e| problems.at("url", "INVALID_URL", e)).ok();
    let public = match &input.public_url {
        Some(text) => library_address::parse(text).map_err(|e| problems.at("publicUrl", "INVALID_URL", e)).ok(),
        None => address.clone(),
    };
    if let (Some(address), Some(public)) = (&address, &public) {
        check_addresses(&mut problems, address, public, input.plain_http);
    }
    let credentials = match (&input.username, &input.password) {
        (Some(username), Some(password)) => {
            if username.is_empty() || username.contains(':') || username.len() > MAX_CREDENTIAL {
                problems.at("username", "INVALID_CREDENTIALS", "a user name is not empty and has no colon");
            }
            if password.expose().len() > MAX_CREDENTIAL {
                problems.at("password", "INVALID_CREDENTIALS", "this password is too long");
            }
            Some((username.clone(), password.clone()))
        }
        (None, None) => None,
        _ => {
            problems.at("username", "INVALID_CREDENTIALS", "give both a user name and a password, or neither");
            None
        }
    };
    if input.ca_certificate.as_ref().is_some_and(|pem| pem.len() > MAX_CERTIFICATE_BYTES) {
        problems.at("caCertificate", "INVALID_CERTIFICATE", "a certificate has at most 64 KiB");
    }
    problems.finish()?;
    let (Some(address), Some(public)) = (address, public) else {
        return Err(Error::internal("an address without problems is missing"));
    };

    let plain_http = input.plain_http.or(address.plain_http).unwrap_or(false);
    let mut endpoint = Endpoint::new(&address.host);
    endpoint.plain_http = plain_http;
    endpoint.ca_certificate.clone_from(&input.ca_certificate);
    if let Some((username, password)) = &credentials {
        endpoint = endpoint.with_credentials(username, password.expose());
    }
    try_out(endpoint, &address.prefix).await?;

    let sealed = credentials.as_ref();
    let sealed = sealed.map(|(_, password)| SealedValue::seal(&app.sealer, id, password, now)).transpose()?;
    let username = credentials.map(|(username, _)| username);
    let library = Library {
        enterprise_id: id,
        embedded: false,
        url: address.host,
        public_url: public.host,
        prefix: address.prefix,
        username: username.clone(),
        password: sealed.as_ref().map(|sealed| sealed.id),
        pull_username: username,
        pull_password: sealed.as_ref().map(|sealed| sealed.id),
        ca_certificate: input.ca_certificate,
        plain_http,
        reachable: Some(true),
        checked_at: Some(now),
        message: None,
        generation: 0,
    };
    Ok((library, sealed))
}

fn check_addresses(problems: &mut Problems, address: &Address, public: &Address, plain_http: Option<bool>) {
    if plain_http.is_some() && address.plain_http.is_some() && plain_http != address.plain_http {
        problems.at("plainHttp", "INVALID_URL", "plainHttp says something else than the scheme of the url");
    }
    if !public.prefix.is_empty() && public.prefix != address.prefix {
        problems.at("publicUrl", "INVALID_URL", "the prefix is the same as that of the url");
    }
}

/// Whether a registry answers, accepts the credentials, and takes what is pushed: the image that probes pull.
async fn try_out(endpoint: Endpoint, prefix: &str) -> Result<()> {
    let limits = Limits { attempts: 1, ..Limits::default() };
    let host = endpoint.host.clone();
    let trial = async {
        let registry = Registry::new(endpoint, limits)?;
        registry.ping().await?;
        check_library::push_probe_image(&registry, prefix).await.map(drop)
    };
    match tokio::time::timeout(TRIAL, trial).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(unusable(&error).into()),
        Err(_) => {
            let message = format!("{host} did not answer within {} s", TRIAL.as_secs());
            Err(UserError::new("LIBRARY_UNREACHABLE", message).at(["url"]).into())
        }
    }
}

fn unusable(error: &ropeway_library::Error) -> UserError {
    let message = check_library::explain(error);
    match error {
        ropeway_library::Error::Unauthorized { .. } => UserError::new("LIBRARY_UNAUTHORIZED", message).at(["username"]),
        ropeway_library::Error::Configuration { .. } => UserError::new("INVALID_URL", message).at(["url"]),
        _ => UserError::new("LIBRARY_UNREACHABLE", message).at(["url"]),
    }
}

/// The embedded registry has no settings.
fn refuse_settings(input: &ConfigureLibrary) -> Result<()> {
    let given = [
        ("publicUrl", input.public_url.is_some()),
        ("username", input.username.is_some()),
        ("password", input.password.is_some()),
        ("caCertificate", input.ca_certificate.is_some()),
        ("plainHttp", input.plain_http.is_some()),
    ];
    let mut problems = Problems::new();
    for (field, _) in given.into_iter().filter(|(_, given)| *given) {
        problems.at(field, "INVALID_INPUT", "without url, the embedded registry is used, which the server configures");
    }
    problems.finish()
}

fn next_generation(before: Option<&Library>) -> i64 {
    before.map_or(1, |library| library.generation + 1)
}
