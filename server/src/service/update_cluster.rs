//! Changing how a cluster is reached, what its driver is told, and who may use it.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::ClusterId,
    operation::feed::Topic,
    seal::Secret,
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
        register_cluster::{FIRST_LOOK, check_config, check_kubeconfig},
        watch_clusters,
    },
    store::{
        Stored, Word,
        cluster::{self, Cluster, ClusterStatus},
        driver,
        sealed_value::{self, SealedValue},
    },
};
use ropeway_domain::access::EnterpriseAction;
use serde_json::Value as Json;

/// What is wanted. What is left out stays.
#[derive(Debug, Clone, Default)]
pub struct UpdateCluster {
    /// What people call it.
    pub display_name: Option<String>,
    /// The driver's configuration.
    pub config: Option<Json>,
    /// How it is reached.
    pub kubeconfig: Option<Secret>,
    /// The context of the kubeconfig. With another kubeconfig: its current one where nothing is said.
    pub context: Option<String>,
    /// Whether new work is kept away from it.
    pub maintenance: Option<bool>,
    /// Whether members see it and teams can be opened on it.
    pub accepts_teams: Option<bool>,
}

/// Changes a cluster and looks at it anew.
pub async fn update_cluster(app: &App, actor: &Actor, id: ClusterId, input: UpdateCluster) -> Result<Cluster> {
    let act = Act::new("updateCluster", Subject::Cluster(id), encode_text(id));
    audited(app, actor, act, async || update(app, actor, id, input).await).await
}

async fn update(app: &App, actor: &Actor, id: ClusterId, input: UpdateCluster) -> Result<Cluster> {
    let mut conn = app.database.read().await?;
    let before = authorize::cluster(&mut conn, actor, id, EnterpriseAction::ManageClusters).await?;
    let driver = driver::by_ids(&mut conn, &[before.driver_id]).await?.pop();
    let kubeconfig = match (&input.kubeconfig, &input.context) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(_)) => Some(app.unseal(&mut conn, before.enterprise_id, before.kubeconfig.0).await?),
        (None, None) => None,
    };
    drop(conn);

    let mut problems = Problems::new();
    if let Some(name) = &input.display_name {
        problems.check_display_name("displayName", name);
    }
    if let Some(config) = &input.config {
        let driver = driver.and_then(|driver| app.clusters.driver(&driver.name));
        let driver = driver.ok_or_else(|| Error::unavailable("the driver of the cluster is not loaded"))?;
        check_config(&mut problems, driver, config).await?;
    }
    if let Some(text) = &kubeconfig {
        check_kubeconfig(&mut problems, text, input.context.as_deref());
    }
    problems.finish()?;

    let now = app.clock.now();
    let sealed = input.kubeconfig.as_ref();
    let sealed = sealed.map(|text| SealedValue::seal(&app.sealer, before.enterprise_id, text, now)).transpose()?;
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        let found = authorize::cluster(conn, actor, id, EnterpriseAction::ManageClusters).await?;
        if found.generation != before.generation {
            return Err(Error::Conflict("the cluster was changed at the same time; try again".into()));
        }
        let changed = apply(&found, &input, sealed.as_ref());
        if let Some(sealed) = &sealed {
            sealed_value::insert(conn, sealed).await?;
        }
        cluster::update(conn, &changed).await?;
        if sealed.is_some() {
            cluster::forget_kubeconfig(conn, found.kubeconfig).await?;
        }
        audit::done(conn, actor, now, "updateCluster", Some(found.enterprise_id), Some(encode_text(id)), None).await
    })
    .await?;
    drop(conn);
    app.feed.publish(Topic::Clusters(before.enterprise_id));
    // A cluster that does not answer in time is looked at by the watch.
    let _ = tokio::time::timeout(FIRST_LOOK, watch_clusters::look(app, id)).await;
    let mut conn = app.database.read().await?;
    cluster::find(&mut conn, id).await?.ok_or(Error::NotFound("the cluster"))
}

fn apply(before: &Cluster, input: &UpdateCluster, sealed: Option<&SealedValue>) -> Cluster {
    let mut after = before.clone();
    if let Some(name) = &input.display_name {
        after.display_name.clone_from(name);
    }
    if let Some(config) = &input.config {
        after.config = Stored(config.clone());
    }
    if let Some(sealed) = sealed {
        after.kubeconfig = sealed.id;
        after.context = None;
    }
    if input.context.is_some() {
        after.context.clone_from(&input.context);
    }
    if let Some(accepts) = input.accepts_teams {
        after.accepts_teams = accepts;
    }
    if let Some(maintenance) = input.maintenance {
        after.maintenance = maintenance;
    }
    let reaches_elsewhere =
        (&after.config, after.kubeconfig, &after.context) != (&before.config, before.kubeconfig, &before.context);
    if reaches_elsewhere || after.maintenance != before.maintenance {
        after.generation += 1;
        after.status_message = None;
        after.status = Word(if after.maintenance { ClusterStatus::Maintenance } else { ClusterStatus::Pending });
    }
    after
}
