//! `ropeway demo`: the main job on this machine, with nothing installed. Everything runs in one process on loopback;
//! the acts use the public API alone, as any client would.

pub mod acts;
pub mod client;
pub mod parts;
pub mod progress;
pub mod source;

use crate::{
    clock,
    service::first_start::{ADMINISTRATOR, FirstAdministrator},
};
use acts::{Scene, compose, prepare};
use anyhow::Context as _;
use client::{Client, text};
use parts::Parts;
use progress::Progress;
use std::{net::SocketAddr, path::Path, time::Instant};

/// The teams in the first and the second cluster.
const TEAMS: [&str; 2] = ["shop-north", "shop-south"];

/// The characters of the password that the demo's administrator takes.
const PASSWORD_LENGTH: usize = 16;

/// A demo whose acts all succeeded, and that still runs.
pub struct Demo {
    parts: Parts,
}

impl Demo {
    /// Ends it.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.parts.stop().await
    }
}

/// Starts everything, performs the acts, and says what it did. The error names the act that failed.
pub async fn run(folder: Option<&Path>) -> anyhow::Result<Demo> {
    let began = Instant::now();
    let progress = Progress::on_terminal();
    progress.line("Ropeway: a server, its library, two clusters and a registry with images, in this process");
    let mut parts = Parts::start(folder).await.context("starting")?;
    progress.done(format!("started in {}", seconds(began)));
    let setting = Setting::of(&mut parts)?;
    tokio::select! {
        acted = perform(&setting, &progress) => acted?,
        failed = parts.server.failed() => {
            failed?;
            anyhow::bail!("the server stopped");
        }
    }
    let password = &setting.password;
    progress.title(&format!("Done in {}", seconds(began)));
    let server = &parts.server;
    progress.line(&format!("  GraphiQL     http://{}/graphql", server.http_addr));
    progress.line(&format!("  sign in as   {ADMINISTRATOR} with the password {password}"));
    progress.line(&format!("  library      http://{} (embedded registry)", server.registry_addr));
    progress.line(&format!("  images from  http://{}", parts.source.host()));
    progress.line(&format!("  data         {}", parts.folder.display()));
    for (cluster, team) in parts.clusters.iter().zip(TEAMS) {
        let file = cluster.kubeconfig_file.display();
        progress.line(&format!("  kubectl --kubeconfig {file} get pods -n {team}"));
    }
    Ok(Demo { parts })
}

/// What a client is told of the parts.
struct Setting {
    address: SocketAddr,
    first: FirstAdministrator,
    password: String,
    clusters: [(&'static str, String); 2],
    source: String,
}

impl Setting {
    fn of(parts: &mut Parts) -> anyhow::Result<Self> {
        let first = parts.server.first.take().context("the server was started before")?;
        Ok(Self {
            address: parts.server.http_addr,
            first,
            password: clock::random_text(PASSWORD_LENGTH),
            clusters: parts.clusters.each_ref().map(|cluster| (cluster.name, cluster.playground.kubeconfig())),
            source: parts.source.host(),
        })
    }
}

async fn perform(setting: &Setting, progress: &Progress) -> anyhow::Result<()> {
    let scene = ready(setting, progress).await.context("getting ready")?;
    let [(first_cluster, _), (second_cluster, _)] = &setting.clusters;

    progress.title(&format!("Compose: shop 2.9 in {first_cluster}"));
    let mut composed = compose::compose(&scene).await.context("act 1, composing, failed")?;

    progress.title("Publish 2.9 to the library");
    let published = async {
        let template = acts::publish::create_template(&scene).await?;
        acts::publish::publish(&scene, &composed.application, &template, "2.9").await
    };
    let published = published.await.context("act 2, publishing 2.9, failed")?;

    progress.title(&format!("Install it in {second_cluster}"));
    let installed = acts::install::install(&scene, &published.version).await.context("act 3, installing, failed")?;

    progress.title("Change it and publish 3.0");
    let newer = async {
        acts::change::change(&scene, &mut composed).await?;
        acts::publish::publish(&scene, &composed.application, &published.template, "3.0").await
    };
    let newer = newer.await.context("changing and publishing 3.0 failed")?;

    progress.title(&format!("Upgrade in {second_cluster}"));
    let upgraded = acts::upgrade::upgrade(&scene, &installed, &newer.version).await;
    let upgraded = upgraded.context("act 4, upgrading, failed")?;

    progress.title("Roll back");
    acts::rollback::roll_back(&scene, &installed, &upgraded).await.context("rolling back failed")?;
    for application in [&composed.application, &installed.application] {
        scene.until_running(application).await.context("an application does not run at the end")?;
    }
    progress.done("both applications run");
    Ok(())
}

async fn ready(setting: &Setting, progress: &Progress) -> anyhow::Result<Scene> {
    progress.title("Get ready");
    let first = &setting.first;
    let nobody = Client::new(setting.address)?;
    let one_time = first.one_time_password.expose();
    let client = prepare::first_sign_in(&nobody, &first.name, one_time, &setting.password).await?;
    progress.done(format!("signed in as {} and changed the one-time password", first.name));
    let enterprise = prepare::enterprise(&client).await?;
    let mut clusters = Vec::new();
    for (name, kubeconfig) in &setting.clusters {
        let shown = prepare::register_cluster(&client, &enterprise, name, kubeconfig).await?;
        let version = shown["kubernetesVersion"].as_str().unwrap_or("?").to_owned();
        progress.done(format!("registered the cluster {name} (Kubernetes {version})"));
        clusters.push(text(&shown, "/id")?.to_owned());
    }
    prepare::check_library(&client, progress, &enterprise).await?;
    progress.done("both clusters pull from the library");
    let [first_cluster, second_cluster] =
        <[String; 2]>::try_from(clusters).map_err(|_| anyhow::anyhow!("there are not two clusters"))?;
    Ok(Scene {
        client,
        progress: progress.clone(),
        enterprise,
        first_cluster,
        second_cluster,
        source: setting.source.clone(),
        first_team: TEAMS[0].into(),
        second_team: TEAMS[1].into(),
        template: "Shop".into(),
    })
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
