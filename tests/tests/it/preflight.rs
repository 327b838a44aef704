//! What stands in the way is said before anything is changed: by the plan, and by the refusal.

use crate::{
    both::on_real_clusters,
    small::{self, INSTALL, has_code, refused},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, ResourceQuota, Service},
    storage::v1::StorageClass,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use ropeway::demo::{
    acts::{Scene, install::PLAN_INSTALLATION, publish},
    client::text,
};
use ropeway_playground::Options;
use ropeway_tests::{
    app::TestApp,
    cluster::TestCluster,
    docker_registry::{self, DockerRegistry},
    environment::skip,
    wait::wait_for,
};
use serde_json::{Value as Json, json};

const CONFIGURE_LIBRARY: &str = "
    mutation($input: ConfigureLibraryInput!) {
      configureLibrary(input: $input) { operation { id } errors { code message path } }
    }";

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_stands_in_the_way_is_said_before_anything_is_changed() -> anyhow::Result<()> {
    // Before gRPC probes.
    let old = Options { kubernetes_version: (1, 23), ..Options::new("old", "token") };
    let clusters = [TestCluster::playground("new").await?, TestCluster::playground_with(old).await?];
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "preflight").await?;
        let application = small::application(&scene).await?;
        let volume = json!({ "name": "data", "mountPath": "/data", "kind": "EXCLUSIVE", "size": "1Gi" });
        let settings = json!({
            "volumes": [volume], "ports": [{ "number": 80, "isOpen": true }], "resources": { "memoryRequest": "64Mi" },
        });
        let web = small::add(&scene, &application, "web", settings).await?;
        let template = publish::create_template(&scene).await?;
        let version = small::release(&scene, &application, &template, "1").await?;
        let rule = json!({ "minReplicas": 1, "maxReplicas": 1, "minMemory": "9000Ti" });
        let input = json!({
            "applicationId": application, "templateId": template, "number": "2",
            "components": [{ "componentId": web, "scaleRule": rule }],
        });
        let huge = small::publish(&scene, input).await?;
        let probe = json!({ "probes": [{ "kind": "LIVENESS", "grpcService": "", "port": 80 }] });
        small::edit(&scene, &web, probe).await?;
        let modern = small::release(&scene, &application, &template, "3").await?;

        let installed = small::install(&scene, small::for_a_new_team(&scene, &version)).await?;
        small::uninstall(&scene, &installed.installation, false).await?;
        let input = small::beside(&scene, &version, &installed);
        let is_blocked = async |input: &Json, code: &str| {
            blocked(&scene, input, code).await?;
            let there = clusters[1].workloads(&scene.second_team).await?;
            ensure!(there.is_empty(), "{code}: something was installed: {there:?}");
            anyhow::Ok(())
        };

        is_blocked(&input, "CLAIMS_LEFT").await?;
        let client = clusters[1].client().await?;
        let namespace = scene.second_team.as_str();
        let (now, new) = (DeleteParams::default(), PostParams::default());
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        for claim in claims.list(&ListParams::default()).await? {
            claims.delete(&claim.metadata.name.context("it has a name")?, &now).await?;
        }
        wait_for("claims that are gone", async || {
            Ok(claims.list(&ListParams::default()).await?.items.is_empty().then_some(()))
        })
        .await?;

        let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
        for (limits, code) in
            [(json!({ "requests.memory": "1Mi" }), "QUOTA"), (json!({ "services": "0" }), "REFUSED_BY_CLUSTER")]
        {
            let quota = json!({ "metadata": { "name": "small" }, "spec": { "hard": limits } });
            quotas.create(&new, &serde_json::from_value(quota)?).await?;
            is_blocked(&input, code).await?;
            quotas.delete("small", &now).await?;
        }

        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let foreign = json!({ "metadata": { "name": "shop-web" }, "spec": { "ports": [{ "port": 80 }] } });
        let foreign = services.create(&new, &serde_json::from_value(foreign)?).await?;
        is_blocked(&input, "NAME_IN_USE").await?;
        let still = services.get("shop-web").await?;
        ensure!(still.metadata.uid == foreign.metadata.uid && still.spec == foreign.spec, "it was touched");
        services.delete("shop-web", &now).await?;

        for (version, code) in [(&huge, "MEMORY"), (&modern, "KUBERNETES_VERSION")] {
            let mut input = input.clone();
            input["versionId"] = json!(version);
            is_blocked(&input, code).await?;
        }

        let classes: Api<StorageClass> = Api::all(client);
        for class in classes.list(&ListParams::default()).await? {
            classes.delete(&class.metadata.name.context("it has a name")?, &now).await?;
        }
        is_blocked(&input, "STORAGE_CLASS_MISSING").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_pull_from_the_library_is_blocked_until_it_can() -> anyhow::Result<()> {
    let clusters = TestCluster::two_playgrounds().await?;
    let Some(registry) = DockerRegistry::start()? else {
        skip(
            "preflight::a_cluster_that_cannot_pull_from_the_library_is_blocked_until_it_can",
            "docker-registry is missing",
        );
        return Ok(());
    };
    TestApp::run(async |app| {
        let scene = app.scene(&clusters, "pulls").await?;
        // The server reaches it at one address, and pods are told of another, where nobody listens.
        let library = async |public: &str| {
            let input = json!({
                "enterpriseId": scene.enterprise, "url": format!("http://{}/library", registry.host),
                "publicUrl": format!("http://{public}/library"), "plainHttp": true,
                "username": docker_registry::USER, "password": docker_registry::PASSWORD,
            });
            let payload = scene.client.change(CONFIGURE_LIBRARY, input).await?;
            scene.client.follow(text(&payload, "/operation/id")?, |_| {}).await
        };
        library("127.0.0.1:1").await?;
        let application = small::application(&scene).await?;
        small::add(&scene, &application, "web", json!({})).await?;
        let template = publish::create_template(&scene).await?;
        let version = small::release(&scene, &application, &template, "1").await?;
        let input = small::for_a_new_team(&scene, &version);
        blocked(&scene, &input, "LIBRARY_UNREACHABLE").await?;
        ensure!(!clusters[1].has_namespace(&scene.second_team).await?, "the namespace was made");

        let ended = library(&registry.host).await?;
        ensure!(ended["state"] == "SUCCEEDED", "{ended}");
        small::install(&scene, input).await?;
        Ok(())
    })
    .await
}

/// The first cluster serves more kinds than the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_a_cluster_does_not_serve_is_named() -> anyhow::Result<()> {
    const NAME: &str = "preflight::a_kind_that_a_cluster_does_not_serve_is_named";
    on_real_clusters(NAME, async |app, _| {
        let [real, _] = TestCluster::two_real().await?.context("they were there")?;
        let clusters = [real, TestCluster::playground("few-kinds").await?];
        let scene = app.scene(&clusters, "kinds").await?;
        let application = small::application(&scene).await?;
        small::add(&scene, &application, "web", json!({})).await?;
        let manifest = json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": { "name": "devices" },
            "spec": { "spec": {} },
        });
        small::set_resource(&scene, &application, manifest).await?;
        let template = publish::create_template(&scene).await?;
        let version = small::release(&scene, &application, &template, "1").await?;
        blocked(&scene, &small::for_a_new_team(&scene, &version), "KIND_NOT_SERVED").await
    })
    .await
}

/// An installation is blocked for a reason: its plan says so, and it is refused for that reason.
async fn blocked(scene: &Scene, input: &Json, code: &str) -> anyhow::Result<()> {
    // What is known of a cluster is up to date after a moment.
    wait_for(&format!("a plan with {code}"), async || {
        let data = scene.client.ask(PLAN_INSTALLATION, json!({ "input": input })).await?;
        Ok(has_code(&data["planInstallation"]["blockers"], code).then_some(()))
    })
    .await?;
    let error = refused(scene.client.change(INSTALL, input.clone()).await)?;
    ensure!(error.has(code), "{code}: {error}");
    Ok(())
}
