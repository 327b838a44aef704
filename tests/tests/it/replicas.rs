//! Two processes that share one PostgreSQL.

use crate::small;
use anyhow::{Context as _, bail, ensure};
use ropeway::demo::{
    acts::{Scene, compose, prepare, publish},
    client::{Client, text},
    progress::Progress,
    source::Source,
};
use ropeway_playground::Options;
use ropeway_tests::{
    app::PASSWORD,
    cluster::TestCluster,
    database::TestDatabase,
    docker_registry::{self, DockerRegistry},
    environment::skip,
    server::ServerProcess,
};
use serde_json::json;
use std::{path::Path, time::Duration};

const CONFIGURE_LIBRARY: &str = "
    mutation($input: ConfigureLibraryInput!) {
      configureLibrary(input: $input) { operation { id } errors { code message path } }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_began_another_finishes() -> anyhow::Result<()> {
    const NAME: &str = "replicas::what_one_replica_began_another_finishes";
    let Some(database) = TestDatabase::postgres().await? else {
        skip(NAME, "there is no PostgreSQL");
        return Ok(());
    };
    let Some(registry) = DockerRegistry::start()? else {
        skip(NAME, "docker-registry is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let source = Source::start(&folder.path().join("source")).await?;
    source.push_samples().await?;
    let first = TestCluster::playground("first").await?;
    // Slow enough to be in the middle of the installation for a while.
    let slow = Options { pod_delay: Duration::from_millis(1500), ..Options::new("second", "token") };
    let second = TestCluster::playground_with(slow).await?;

    // Both find an empty database, and bring it up to date at the same time.
    let [one, other] = start_both(folder.path(), database.url())?;
    let client = first_sign_in([&one, &other]).await?;
    let elsewhere = Client::new(other.address)?.with_token(client.token().map(str::to_owned));
    let enterprise = prepare::enterprise(&elsewhere).await?;
    let input = json!({
        "enterpriseId": enterprise, "url": format!("http://{}/ropeway", registry.host), "plainHttp": true,
        "username": docker_registry::USER, "password": docker_registry::PASSWORD,
    });
    client.change(CONFIGURE_LIBRARY, input).await?;
    let mut ids = Vec::new();
    for cluster in [&first, &second] {
        let shown = prepare::register_cluster(&client, &enterprise, &cluster.name, &cluster.kubeconfig).await?;
        ids.push(text(&shown, "/id")?.to_owned());
    }
    prepare::check_library(&client, &Progress::hidden(), &enterprise).await?;
    let mut scene = Scene {
        client,
        progress: Progress::hidden(),
        enterprise,
        first_cluster: ids[0].clone(),
        second_cluster: ids[1].clone(),
        source: source.host(),
        first_team: "replicas-north".into(),
        second_team: "replicas-south".into(),
        template: "Shop".into(),
    };
    let application = small::application(&scene).await?;
    let mut before = small::add(&scene, &application, "part-0", json!({})).await?;
    for part in 1..4 {
        let settings = json!({ "dependencies": [before] });
        before = small::add(&scene, &application, &format!("part-{part}"), settings).await?;
    }
    let template = publish::create_template(&scene).await?;
    let version = small::release(&scene, &application, &template, "1").await?;
    // The one that is killed later is the one that takes it.
    other.pause()?;
    let (installed, operation) = small::begin(&scene, small::for_a_new_team(&scene, &version)).await?;
    let mut here = scene.client.events(&operation, None).await?;
    let mut first_seen = here.next().await?.context("there are events")?;
    while first_seen["operationEvents"]["kind"] != "STARTED" {
        first_seen = here.next().await?.context("it is begun")?;
    }
    other.go_on()?;

    // Followers of both are told the same.
    let mut here = scene.client.events(&operation, None).await?;
    let mut there = elsewhere.events(&operation, None).await?;
    loop {
        let event = there.next().await?.context("the operation ended before a server was killed")?;
        let same = here.next().await?.context("the other one says more")?;
        ensure!(event == same, "{event} there, {same} here");
        if event["operationEvents"]["kind"] == "STEP_SUCCEEDED" {
            break;
        }
    }
    one.kill()?;
    let (mut sequences, mut kinds) = (Vec::new(), Vec::new());
    let ended = elsewhere.follow(&operation, |event| {
        sequences.push(event["sequence"].as_u64().unwrap_or_default());
        kinds.push(event["kind"].as_str().unwrap_or_default().to_owned());
    });
    let ended = ended.await?;
    ensure!(ended["state"] == "SUCCEEDED", "{ended}");
    ensure!(kinds.iter().any(|kind| kind == "RESUMED"), "another replica went on: {kinds:?}");
    let expected: Vec<u64> = (sequences[0]..).take(sequences.len()).collect();
    ensure!(sequences == expected, "the events have gaps: {sequences:?}");
    scene.client = elsewhere;
    scene.until_running(&installed.application).await?;
    compose::deploy(&scene, &application).await?;
    other.terminate()
}

/// Starts two servers at the same moment.
fn start_both(folder: &Path, database: &str) -> anyhow::Result<[ServerProcess; 2]> {
    let start = |name: &str| ServerProcess::start_replica(&folder.join(name), database, &folder.join("key"));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| start("one"));
        let other = start("other")?;
        Ok([one.join().expect("it does not panic")?, other])
    })
}

/// Signs in as the administrator. Where both servers gave a password, the one of the later start is valid.
async fn first_sign_in(servers: [&ServerProcess; 2]) -> anyhow::Result<Client> {
    let nobody = Client::new(servers[0].address)?;
    for password in servers.into_iter().filter_map(|server| server.one_time_password.as_deref()) {
        if let Ok(client) = prepare::first_sign_in(&nobody, "admin", password, PASSWORD).await {
            return Ok(client);
        }
    }
    bail!("no server gave a password that is valid")
}
