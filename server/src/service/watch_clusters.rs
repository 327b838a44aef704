//! Looks at every cluster from time to time. One that does not answer slows no other: each is looked at by a task of
//! its own, at most so many at a time, each within a budget.

use crate::{
    app::App,
    error::{Error, Result},
    id::ClusterId,
    operation::feed::Topic,
    service::check_library,
    store::{
        Instant,
        cluster::{self, Cluster, ClusterStatus, Sighting},
        enterprise,
    },
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Clusters that are looked at at the same time.
const AT_A_TIME: usize = 32;

/// How long one look may take, besides the requests' own limits.
const BUDGET: Duration = Duration::from_secs(60);

/// Looks at all clusters until the process stops.
pub async fn watch_clusters(app: App, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(app.config.clusters.status_seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut looks = JoinSet::new();
    let mut busy = HashSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(done) = looks.join_next(), if !looks.is_empty() => match done {
                Ok(id) => {
                    busy.remove(&id);
                }
                // Which cluster it was is not known any more: all are free again.
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a look at a cluster was broken off");
                    busy.clear();
                }
            },
            _ = ticks.tick() => match all(&app).await {
                Ok(ids) => {
                    for id in ids.into_iter().filter(|id| busy.insert(*id)).collect::<Vec<_>>() {
                        looks.spawn(place_and_look(app.clone(), Arc::clone(&places), id));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the clusters could not be listed");
                }
            },
        }
    }
}

/// Looks at one cluster, records what was seen, and tells whoever follows.
pub async fn look(app: &App, id: ClusterId) -> Result<()> {
    let row = {
        let mut conn = app.database.read().await?;
        cluster::find(&mut conn, id).await?.ok_or(Error::NotFound("the cluster"))?
    };
    let seen = match app.reach(id).await {
        Ok(reached) => match tokio::time::timeout(BUDGET, app.sight(&row, &reached.cluster)).await {
            Ok(seen) => seen,
            Err(_) => offline(format!("it did not answer within {} s", BUDGET.as_secs()), app.clock.now()),
        },
        Err(Error::Unavailable { message, .. }) => offline(message, app.clock.now()),
        Err(error) => return Err(error),
    };
    let mut conn = app.database.write().await?;
    let (recorded, begun) = conn
        .transaction(async |conn| {
            if !returns(row.status.0, seen.status) {
                return Ok::<_, Error>((cluster::record(conn, id, row.generation, &seen).await?, Vec::new()));
            }
            // Of replicas that see it return at the same time, one begins the check.
            enterprise::lock(conn, row.enterprise_id).await?;
            let before = cluster::find(conn, id).await?.ok_or(Error::NotFound("the cluster"))?;
            let recorded = cluster::record(conn, id, row.generation, &seen).await?;
            let begun = if recorded > 0 && returns(before.status.0, seen.status) {
                check_library::begin_for_returned(conn, &before, seen.at).await?
            } else {
                Vec::new()
            };
            Ok((recorded, begun))
        })
        .await?;
    drop(conn);
    for operation in &begun {
        app.feed.changed(operation);
    }
    if recorded > 0 && is_news(&row, &seen) {
        tracing::info!(
            cluster.name = row.name,
            cluster.status = %seen.status,
            cluster.message = seen.message,
            "a cluster's status changed"
        );
        app.feed.publish(Topic::Clusters(row.enterprise_id));
    }
    Ok(())
}

/// Whether a cluster answers that did not, or was not asked, before.
fn returns(before: ClusterStatus, now: ClusterStatus) -> bool {
    let answers = |status| matches!(status, ClusterStatus::Online | ClusterStatus::Degraded);
    !answers(before) && answers(now)
}

/// Whether what was seen differs from what was known.
fn is_news(row: &Cluster, seen: &Sighting) -> bool {
    let known = row.facts.as_ref().map(|facts| &facts.0.git_version);
    row.status.0 != seen.status
        || row.status_message != seen.message
        || seen.facts.as_ref().is_some_and(|facts| Some(&facts.git_version) != known)
}

async fn place_and_look(app: App, places: Arc<Semaphore>, id: ClusterId) -> ClusterId {
    let Ok(_place) = places.acquire_owned().await else { return id };
    match look(&app, id).await {
        // It was removed meanwhile.
        Ok(()) | Err(Error::NotFound(_)) => {}
        Err(error) => {
            tracing::warn!(
                cluster.id = %id,
                error = &error as &dyn std::error::Error,
                "what was seen of a cluster could not be recorded"
            );
        }
    }
    id
}

async fn all(app: &App) -> Result<Vec<ClusterId>> {
    let mut conn = app.database.read().await?;
    Ok(cluster::ids(&mut conn, None).await?)
}

fn offline(message: String, at: Instant) -> Sighting {
    Sighting { status: ClusterStatus::Offline, message: Some(message), facts: None, at }
}
