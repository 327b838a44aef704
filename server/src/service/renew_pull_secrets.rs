//! Renewing the Secrets with which namespaces pull from the library, when access to it has changed. A deployment would do
//! the same; until somebody deploys, pods that are made anew could not pull.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ClusterId, TeamId},
    libraries::{PULL_SECRET, PullAccess},
    operation::{
        Action,
        action::{EnsureNamespace, PullSecret},
        journal::{self, Lock, NewOperation, NewStep},
    },
    service::{audit, retry_operation::gone, rollout::namespace_labels},
    store::{
        Conn, Instant,
        cluster::{self, ClusterStatus},
        library::{self, Library},
        operation::Operation,
        team::{self, Team},
    },
};
use ropeway_domain::operation::OperationKind;
use std::collections::{BTreeMap, BTreeSet};

/// Begins again what an operation did not do for its cluster.
pub async fn again(app: &App, actor: &Actor, failed: &Operation) -> Result<Operation> {
    let cluster = failed.cluster_id.ok_or_else(gone)?;
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            let library = library::find(conn, failed.enterprise_id).await?.ok_or_else(gone)?;
            let operation = begin(conn, &library, Some(cluster), &actor.display_name, now).await?.pop();
            let operation = operation.ok_or_else(|| {
                let message = "nothing pulls from the library there, or the cluster does not answer: it is renewed \
                               once that is back";
                UserError::new("CANNOT_RETRY", message).at(["operationId"])
            })?;
            let (enterprise, object) = (Some(failed.enterprise_id), Some(encode_text(failed.id)));
            audit::done(conn, actor, now, "retryOperation", enterprise, object, None).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    app.feed.changed(&operation);
    Ok(operation)
}

/// Begins an operation for each cluster in which applications of the enterprise live, or for one of them, inside a
/// transaction. One that does not answer is left out: it is asked about the library, and renewed, once it is back.
pub async fn begin(
    conn: &mut Conn,
    library: &Library,
    only: Option<ClusterId>,
    by: &str,
    now: Instant,
) -> Result<Vec<Operation>> {
    if PullAccess::of(library).is_none() {
        return Ok(Vec::new());
    }
    let mut places: BTreeMap<ClusterId, Vec<(String, TeamId)>> = BTreeMap::new();
    for (cluster, namespace, team) in cluster::namespaces(conn, library.enterprise_id).await? {
        if only.is_none_or(|only| only == cluster) {
            places.entry(cluster).or_default().push((namespace, team));
        }
    }
    let ids: Vec<ClusterId> = places.keys().copied().collect();
    let teams: BTreeSet<TeamId> = places.values().flatten().map(|(_, team)| *team).collect();
    let teams: Vec<TeamId> = teams.into_iter().collect();
    let teams: BTreeMap<TeamId, Team> =
        team::by_ids(conn, &teams).await?.into_iter().map(|team| (team.id, team)).collect();
    let mut begun = Vec::new();
    for row in cluster::by_ids(conn, &ids).await? {
        if row.status.0 == ClusterStatus::Offline {
            continue;
        }
        let places = places.remove(&row.id).unwrap_or_default();
        let steps = places.into_iter().filter_map(|(namespace, team)| {
            let team = teams.get(&team)?;
            Some(NewStep {
                name: format!("namespace {namespace}"),
                component_key: None,
                component_name: None,
                needs: BTreeSet::new(),
                action: Action::EnsureNamespace(EnsureNamespace {
                    cluster_id: row.id,
                    labels: namespace_labels(team),
                    is_named_by_administrator: namespace != team.slug,
                    namespace,
                    pull_secret: Some(PullSecret { name: PULL_SECRET.to_owned(), owner: team.id.to_string() }),
                }),
            })
        });
        let new = NewOperation {
            kind: OperationKind::OpenTeam,
            enterprise_id: library.enterprise_id,
            team_id: None,
            application_id: None,
            cluster_id: Some(row.id),
            publication_id: None,
            installation_id: None,
            record_id: None,
            retry_of: None,
            created_by: by.to_owned(),
            plan_digest: None,
            lock: Lock::Free,
            steps: steps.collect(),
        };
        begun.push(journal::begin(conn, new, now).await.map_err(Error::internal)?);
    }
    Ok(begun)
}
