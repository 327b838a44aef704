//! Checking whether the library can be reached: from here, and from inside each cluster.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ClusterId, EnterpriseId},
    operation::{
        Action,
        action::ProbeLibrary,
        journal::{self, Lock, NewOperation, NewStep},
    },
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
        renew_pull_secrets,
    },
    store::{
        Conn, Instant,
        cluster::{self, Cluster, ClusterStatus},
        enterprise,
        library::{self, Library},
        operation::Operation,
    },
};
use ropeway_domain::{access::EnterpriseAction, operation::OperationKind};
use ropeway_library::{Digest, Registry, RepositoryName, sample};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// Architectures of the image that probes pull.
pub const PROBE_ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// The most clusters of one check.
const MAX_CLUSTERS: usize = 500;

/// How long the registry may take to answer the server.
const PING: Duration = Duration::from_secs(20);

/// How often it is looked whether a library is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Who begins the checks that nobody asked for.
pub(super) const NOBODY: &str = "ropeway";

/// Asks the registry from here and begins an operation that asks from inside the clusters: those named, or all.
pub async fn check_library(
    app: &App,
    actor: &Actor,
    id: EnterpriseId,
    clusters: Option<Vec<ClusterId>>,
) -> Result<(Library, Option<Operation>)> {
    let act = Act::new("checkLibrary", Subject::Enterprise(id), encode_text(id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        authorize::enterprise(&mut conn, actor, id, EnterpriseAction::ManageLibrary).await?;
        let known = cluster::ids(&mut conn, Some(id)).await?;
        drop(conn);
        let chosen = match clusters {
            Some(chosen) => {
                let mut problems = Problems::new();
                for (place, _) in chosen.iter().enumerate().filter(|(_, id)| !known.contains(id)) {
                    let error = crate::error::UserError::new("UNKNOWN_CLUSTER", "there is no such cluster");
                    problems.add(error.at(["clusterIds".to_owned(), place.to_string()]));
                }
                let mut conn = app.database.read().await?;
                for row in cluster::by_ids(&mut conn, &chosen).await? {
                    if row.status.0 == ClusterStatus::Offline {
                        let reason = row.status_message.unwrap_or_default();
                        let message = format!("the cluster {} does not answer: {reason}", row.display_name);
                        problems.at("clusterIds", "CLUSTER_OFFLINE", message);
                    }
                }
                problems.finish()?;
                chosen
            }
            None => known,
        };
        run(app, id, &chosen, &actor.name, Some(actor)).await
    })
    .await
}

/// Begins a check of every library whose last one is older than configured, until the process stops.
pub async fn watch_libraries(app: App, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = check_due(&app).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the libraries could not be checked");
        }
    }
}

/// Begins a check of every library that is due.
pub async fn check_due(app: &App) -> Result<()> {
    let pause = chrono::TimeDelta::hours(app.config.library.check_hours.into());
    let enterprises = {
        let mut conn = app.database.read().await?;
        enterprise::ids(&mut conn).await?
    };
    for id in enterprises {
        let mut conn = app.database.read().await?;
        let Some(library) = library::find(&mut conn, id).await? else { continue };
        let clusters = cluster::ids(&mut conn, Some(id)).await?;
        drop(conn);
        let is_due = library.checked_at.is_none_or(|at| app.clock.now().0 - at.0 >= pause);
        if is_due {
            run(app, id, &clusters, NOBODY, None).await?;
        }
    }
    Ok(())
}

/// Begins an operation that lets pods in these clusters pull an image from the library, inside a transaction. Without a
/// library or a cluster that answers there is none: one that is offline is asked once it is back.
pub async fn begin(
    conn: &mut Conn,
    id: EnterpriseId,
    clusters: &[ClusterId],
    by: &str,
    now: Instant,
) -> Result<Option<Operation>> {
    let Some(library) = library::find(conn, id).await? else { return Ok(None) };
    let distinct: BTreeSet<ClusterId> = clusters.iter().copied().take(MAX_CLUSTERS).collect();
    let distinct: Vec<ClusterId> = distinct.into_iter().collect();
    let mut rows = cluster::by_ids(conn, &distinct).await?;
    rows.retain(|row| row.status.0 != ClusterStatus::Offline);
    if rows.is_empty() {
        return Ok(None);
    }
    let steps = rows.iter().map(|row| NewStep {
        name: format!("Pull from the library in cluster {}", row.name),
        component_key: None,
        component_name: None,
        needs: BTreeSet::new(),
        action: Action::ProbeLibrary(ProbeLibrary {
            cluster_id: row.id,
            enterprise_id: id,
            library_generation: library.generation,
        }),
    });
    let new = NewOperation {
        kind: OperationKind::Probe,
        enterprise_id: id,
        team_id: None,
        application_id: None,
        cluster_id: rows.first().map(|row| row.id).filter(|_| rows.len() == 1),
        publication_id: None,
        installation_id: None,
        record_id: None,
        retry_of: None,
        created_by: by.to_owned(),
        plan_digest: None,
        lock: Lock::Free,
        steps: steps.collect(),
    };
    let operation = journal::begin(conn, new, now).await.map_err(Error::internal)?;
    Ok(Some(operation))
}

/// Begins a check in a cluster that answers again, inside the transaction that recorded it, unless it is known to reach
/// the library. Access may have changed while it did not answer, so the Secrets to pull with are renewed as well.
pub async fn begin_for_returned(conn: &mut Conn, row: &Cluster, now: Instant) -> Result<Vec<Operation>> {
    let Some(library) = library::find(conn, row.enterprise_id).await? else { return Ok(Vec::new()) };
    let known = cluster::reachability(conn, row.enterprise_id).await?;
    let is_known = known
        .iter()
        .any(|known| known.cluster_id == row.id && known.reachable && known.library_generation == library.generation);
    if is_known {
        return Ok(Vec::new());
    }
    let mut begun = renew_pull_secrets::begin(conn, &library, Some(row.id), NOBODY, now).await?;
    begun.extend(begin(conn, row.enterprise_id, &[row.id], NOBODY, now).await?);
    Ok(begun)
}

/// Stores the image that probes pull, unless the library has it; its repository and digest.
pub async fn push_probe_image(
    registry: &Registry,
    prefix: &str,
) -> Result<(RepositoryName, Digest), ropeway_library::Error> {
    let invalid = |what: String| ropeway_library::Error::Configuration { what };
    let repository: RepositoryName =
        format!("{prefix}ropeway/probe").parse().map_err(|e| invalid(format!("the prefix {prefix:?}: {e}")))?;
    let tag = "1".parse().map_err(|e| invalid(format!("the probe's tag: {e}")))?;
    let images = PROBE_ARCHITECTURES.map(|architecture| sample::image("ropeway-probe", "1", architecture, &[64]));
    let index = sample::index(&images);
    let digest = Digest::of(&index.index);
    // Some registries fail two pushes of the same at the same time, and steps of one check run beside each other.
    if !registry.head_manifest(&repository, &digest).await? {
        sample::push_index(registry, &repository, &tag, &index).await?;
    }
    Ok((repository, digest))
}

/// An error of a registry and what lies under it, for people.
pub fn explain(error: &ropeway_library::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        // What carries a URL says it again and again.
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text.chars().take(500).collect()
}

async fn run(
    app: &App,
    id: EnterpriseId,
    clusters: &[ClusterId],
    by: &str,
    actor: Option<&Actor>,
) -> Result<(Library, Option<Operation>)> {
    let before = app.library(id).await?;
    let pinged = ping(app, &before).await;
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let (library, operation) = conn
        .transaction(async |conn| {
            enterprise::lock(conn, id).await?;
            let found = library::find(conn, id).await?.ok_or(Error::NotFound("the library"))?;
            if actor.is_none() && found.checked_at != before.checked_at {
                // Another replica has begun a check meanwhile.
                return Ok((found, None));
            }
            let message = pinged.as_ref().err().map(String::as_str);
            library::record(conn, id, before.generation, pinged.is_ok(), message, now).await?;
            let operation = begin(conn, id, clusters, by, now).await?;
            if let Some(actor) = actor {
                audit::done(conn, actor, now, "checkLibrary", Some(id), Some(encode_text(id)), None).await?;
            }
            let library = library::find(conn, id).await?.ok_or(Error::NotFound("the library"))?;
            Ok::<_, Error>((library, operation))
        })
        .await?;
    drop(conn);
    if let Some(operation) = &operation {
        app.feed.changed(operation);
    }
    Ok((library, operation))
}

/// Whether the registry answers the server and accepts its credentials, or why not.
async fn ping(app: &App, library: &Library) -> Result<(), String> {
    let registry = app.library_registry(library).await.map_err(|error| error.to_string())?;
    match tokio::time::timeout(PING, registry.ping()).await {
        Ok(result) => result.map_err(|error| explain(&error)),
        Err(_) => Err(format!("{} did not answer within {} s", library.url, PING.as_secs())),
    }
}
