//! Registering clusters.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::EnterpriseId,
    operation::feed::Topic,
    seal::Secret,
    service::{
        audit::{self, Act, Subject, audited},
        authorize, check_library,
        problems::{Problems, is_dns_label},
    },
    store::{
        Stored, Word,
        cluster::{self, Cluster, ClusterStatus},
        driver,
        operation::Operation,
        sealed_value::{self, SealedValue},
    },
};
use ropeway_clusters::kubeconfig;
use ropeway_domain::access::EnterpriseAction;
use ropeway_drivers::{Driver, Severity};
use serde_json::Value as Json;
use std::time::Duration;

/// How long the first look at a cluster may take. One that is slower is registered as offline and looked at again.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(20);

/// The largest configuration of a driver, in bytes.
const MAX_CONFIG_BYTES: usize = 64 << 10;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct RegisterCluster {
    /// Where.
    pub enterprise_id: EnterpriseId,
    /// Unique in the enterprise.
    pub name: String,
    /// What people call it; the name where nothing is said.
    pub display_name: Option<String>,
    /// The name of the driver that knows it.
    pub driver: String,
    /// The driver's configuration; empty where nothing is said.
    pub config: Option<Json>,
    /// How it is reached.
    pub kubeconfig: Option<Secret>,
    /// The context of the kubeconfig, where it is not the current one.
    pub context: Option<String>,
}

/// Registers a cluster, looks at it, and begins to check whether it reaches the library. One that does not answer is
/// registered all the same: it may be down.
pub async fn register_cluster(
    app: &App,
    actor: &Actor,
    input: RegisterCluster,
) -> Result<(Cluster, Option<Operation>)> {
    let subject = Subject::Enterprise(input.enterprise_id);
    let act = Act::new("registerCluster", subject, encode_text(input.enterprise_id));
    audited(app, actor, act, async || register(app, actor, input).await).await
}

async fn register(app: &App, actor: &Actor, input: RegisterCluster) -> Result<(Cluster, Option<Operation>)> {
    let mut conn = app.database.read().await?;
    authorize::enterprise(&mut conn, actor, input.enterprise_id, EnterpriseAction::ManageClusters).await?;
    let driver_row = driver::by_name(&mut conn, &input.driver).await?;
    let in_use = cluster::by_name(&mut conn, input.enterprise_id, &input.name).await?.is_some();
    drop(conn);

    let mut problems = Problems::new();
    let display_name = input.display_name.clone().unwrap_or_else(|| input.name.clone());
    if !is_dns_label(&input.name) {
        let message = "a cluster's name has 1 to 63 of a-z, 0-9 and \"-\", and begins and ends with a letter or digit";
        problems.at("name", "INVALID_NAME", message);
    } else if in_use {
        problems.add(name_in_use(&input.name));
    }
    if input.display_name.is_some() {
        problems.check_display_name("displayName", &display_name);
    }
    let config = input.config.clone().unwrap_or_else(|| Json::Object(serde_json::Map::new()));
    let driver = app.clusters.driver(&input.driver).zip(driver_row);
    match &driver {
        Some((driver, _)) => check_config(&mut problems, driver, &config).await?,
        None => {
            let known: Vec<_> = app.clusters.drivers().map(Driver::id).collect();
            let message = format!("there is no such driver; there are {}", known.join(", "));
            problems.at("driver", "UNKNOWN_DRIVER", message);
        }
    }
    match &input.kubeconfig {
        Some(text) => check_kubeconfig(&mut problems, text, input.context.as_deref()),
        None => problems.at("kubeconfig", "INVALID_KUBECONFIG", "this driver reaches a cluster by a kubeconfig"),
    }
    problems.finish()?;
    let (Some((_, driver_row)), Some(kubeconfig)) = (driver, input.kubeconfig) else {
        return Err(Error::internal("an input without problems lacks a driver or a kubeconfig"));
    };

    let now = app.clock.now();
    let sealed = SealedValue::seal(&app.sealer, input.enterprise_id, &kubeconfig, now)?;
    let mut row = Cluster {
        id: clock::new_id(),
        enterprise_id: input.enterprise_id,
        name: input.name,
        display_name,
        driver_id: driver_row.id,
        config: Stored(config),
        kubeconfig: sealed.id,
        context: input.context,
        accepts_teams: true,
        maintenance: false,
        status: Word(ClusterStatus::Pending),
        status_message: None,
        facts: None,
        last_seen_at: None,
        checked_at: None,
        generation: 1,
        created_at: now,
    };
    look(app, &mut row, &kubeconfig).await?;

    let mut conn = app.database.write().await?;
    let operation = conn
        .transaction(async |conn| {
            authorize::enterprise(conn, actor, row.enterprise_id, EnterpriseAction::ManageClusters).await?;
            if cluster::by_name(conn, row.enterprise_id, &row.name).await?.is_some() {
                return Err(name_in_use(&row.name).into());
            }
            sealed_value::insert(conn, &sealed).await?;
            cluster::insert(conn, &row).await?;
            let operation = check_library::begin(conn, row.enterprise_id, &[row.id], &actor.name, now).await?;
            let object = Some(encode_text(row.id));
            audit::done(conn, actor, now, "registerCluster", Some(row.enterprise_id), object, None).await?;
            Ok::<_, Error>(operation)
        })
        .await?;
    drop(conn);
    if let Some(operation) = &operation {
        app.feed.changed(operation);
    }
    app.feed.publish(Topic::Clusters(row.enterprise_id));
    Ok((row, operation))
}

/// What is wrong with a kubeconfig. Nothing of it is told.
pub(super) fn check_kubeconfig(problems: &mut Problems, text: &Secret, context: Option<&str>) {
    if let Err(error) = kubeconfig::validate(text.expose(), context) {
        problems.at("kubeconfig", "INVALID_KUBECONFIG", error.to_string());
    }
}

/// What its driver finds wrong with a configuration.
pub(super) async fn check_config(problems: &mut Problems, driver: &Driver, config: &Json) -> Result<()> {
    if config.to_string().len() > MAX_CONFIG_BYTES {
        problems.at("config", "INVALID_CONFIG", format!("a configuration has at most {MAX_CONFIG_BYTES} bytes"));
        return Ok(());
    }
    let findings = driver.check_config(config).await.map_err(|error| Error::Unavailable {
        message: format!("the driver {} could not check the configuration", driver.id()),
        source: Some(error.into()),
    })?;
    for finding in findings.into_iter().filter(|finding| finding.severity == Severity::Error) {
        let pointer = finding.path.split('/').filter(|segment| !segment.is_empty());
        let path = pointer.map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        let path = std::iter::once("config".to_owned()).chain(path);
        problems.add(UserError::new("INVALID_CONFIG", finding.message).at(path));
    }
    Ok(())
}

/// Looks at a cluster that is not stored yet.
async fn look(app: &App, row: &mut Cluster, kubeconfig: &Secret) -> Result<()> {
    let cluster = app.clusters.connect(&row.name, kubeconfig, row.context.clone()).await;
    let cluster = cluster.map_err(|error| Error::invalid("INVALID_KUBECONFIG", ["kubeconfig"], error.to_string()))?;
    match tokio::time::timeout(FIRST_LOOK, app.sight(row, &cluster)).await {
        Ok(seen) => {
            row.status = Word(seen.status);
            row.status_message = seen.message;
            row.last_seen_at = seen.facts.is_some().then_some(seen.at);
            row.facts = seen.facts.map(Stored);
            row.checked_at = Some(seen.at);
        }
        Err(_) => {
            row.status = Word(ClusterStatus::Offline);
            row.status_message = Some(format!("it did not answer within {} s", FIRST_LOOK.as_secs()));
            row.checked_at = Some(app.clock.now());
        }
    }
    Ok(())
}

fn name_in_use(name: &str) -> UserError {
    UserError::new("NAME_IN_USE", format!("there is a cluster {name:?} already")).at(["name"])
}
