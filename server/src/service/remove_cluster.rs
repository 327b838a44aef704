//! Forgetting clusters.

use crate::{
    actor::Actor,
    app::App,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::ClusterId,
    operation::feed::Topic,
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
    },
    store::{
        cluster::{self, Cluster},
        operation, team,
    },
};
use ropeway_domain::access::EnterpriseAction;

/// How many unfinished operations are named.
const NAMED: i64 = 10;

/// Forgets a cluster that nothing uses. Nothing in the cluster is changed.
pub async fn remove_cluster(app: &App, actor: &Actor, id: ClusterId) -> Result<Cluster> {
    let act = Act::new("removeCluster", Subject::Cluster(id), encode_text(id));
    let removed = audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let found = authorize::cluster(conn, actor, id, EnterpriseAction::ManageClusters).await?;
            let mut problems = Problems::new();
            let teams = team::opened_on(conn, id).await?;
            let applications = cluster::applications_in(conn, id).await?;
            for (what, names) in [("teams", teams), ("applications", applications)] {
                if !names.is_empty() {
                    problems.add(in_use(format!("the cluster is in use by the {what} {}", names.join(", "))));
                }
            }
            let unfinished = operation::unfinished_of_cluster(conn, id, NAMED).await?;
            if !unfinished.is_empty() {
                let error = in_use("operations that work on the cluster are not finished".into());
                problems.add(unfinished.iter().fold(error, |error, operation| error.naming(encode_text(operation.id))));
            }
            if problems.is_empty() && cluster::has_history(conn, id).await? {
                problems
                    .add(in_use("the cluster is named by records of what was installed there, which are kept".into()));
            }
            problems.finish()?;
            cluster::delete(conn, id).await?;
            cluster::forget_kubeconfig(conn, found.kubeconfig).await?;
            let object = Some(encode_text(id));
            audit::done(conn, actor, now, "removeCluster", Some(found.enterprise_id), object, None).await?;
            Ok(found)
        })
        .await
    })
    .await?;
    app.feed.publish(Topic::Clusters(removed.enterprise_id));
    Ok(removed)
}

fn in_use(message: String) -> UserError {
    UserError::new("CLUSTER_IN_USE", message).at(["clusterId"])
}
