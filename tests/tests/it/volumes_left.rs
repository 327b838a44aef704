//! Volumes that an installation left, and the installation that takes them over.

use crate::{
    both::on_both,
    small::{self, UNINSTALL, has_code, refused},
};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use ropeway::demo::{
    acts::{Scene, compose, install::PLAN_INSTALLATION, publish, rollback, sample, upgrade},
    client::{list, text},
};
use ropeway_tests::{app::TestApp, cluster::TestCluster, wait::wait_for};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

on_both!(volumes_are_taken_over_with_their_secrets, an_installation_whose_end_was_begun_is_only_ended);

async fn volumes_are_taken_over_with_their_secrets(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let volume = |size: &str| json!([{ "name": "data", "mountPath": "/data", "kind": "EXCLUSIVE", "size": size }]);
    let settings = json!({
        "volumes": volume("1Gi"), "environment": [{ "name": "PASSWORD", "value": "of-the-first", "secret": true }],
    });
    let image = sample::image(&scene.source, "database", "16");
    let input = json!({ "kind": "STATEFUL_SET", "image": image, "settings": settings });
    let db = compose::add_component(&scene, &application, "db", input).await?;
    small::add(&scene, &application, "web", json!({ "volumes": volume("1Gi"), "dependencies": [db] })).await?;
    let template = publish::create_template(&scene).await?;
    let old = small::release(&scene, &application, &template, "1").await?;
    small::edit(&scene, &db, json!({ "volumes": volume("2Gi") })).await?;
    let new = small::release(&scene, &application, &template, "2").await?;

    let first = small::install(&scene, small::for_a_new_team(&scene, &old)).await?;
    let there = Left::look(&clusters[1], &scene.second_team).await?;
    ensure!(there.claims.len() == 2 && there.passwords.len() == 1, "{there:?}");

    let input = small::beside(&scene, &new, &first);
    let reusing = |id: &str| {
        let mut input = input.clone();
        input["reuseVolumesOf"] = json!(id);
        input
    };
    let is_refused = async |input: &Json, code: &str| {
        let error = refused(scene.client.change(small::INSTALL, input.clone()).await)?;
        ensure!(error.has(code), "{code}: {error}");
        anyhow::Ok(())
    };
    is_refused(&reusing(&first.installation), "NOT_ENDED").await?;
    small::uninstall(&scene, &first.installation, false).await?;

    // Without a word about them it is blocked, by name.
    let plan = plan(&scene, &input).await?;
    let left: Vec<_> = list(&plan, "/blockers")?.iter().filter(|one| one["code"] == "CLAIMS_LEFT").collect();
    ensure!(left.len() == 2, "{plan}");
    ensure!(left.iter().all(|one| one["message"].to_string().contains(&first.installation)), "{plan}");
    is_refused(&input, "CLAIMS_LEFT").await?;
    let mut elsewhere = reusing(&first.installation);
    elsewhere["applicationId"] = Json::Null;
    elsewhere["applicationName"] = json!("elsewhere");
    is_refused(&elsewhere, "OTHER_PLACE").await?;
    let other = json!({ "enterpriseId": scene.enterprise, "name": "Other", "scope": "ENTERPRISE" });
    let other = create_template(&scene, other).await?;
    let mut other_template = reusing(&first.installation);
    other_template["versionId"] = json!(small::release(&scene, &application, &other, "1").await?);
    is_refused(&other_template, "OTHER_TEMPLATE").await?;

    // Taken over, as soon as no pod has them: the same claims, the same password, and the size that is there.
    let plan = free(&scene, &reusing(&first.installation)).await?;
    ensure!(list(&plan, "/warnings")?.is_empty(), "{plan}");
    let second = small::install(&scene, reusing(&first.installation)).await?;
    let after = Left::look(&clusters[1], &scene.second_team).await?;
    ensure!(after == there, "{after:?}, not {there:?}");
    let look = scene.client.ask(KEPT, json!({ "id": second.installation })).await?;
    let kept = list(&look, "/installation/keptChanges")?;
    ensure!(kept.len() == 1 && kept[0]["path"] == "volumes/data/size" && kept[0]["after"] == "2Gi", "{look}");
    is_refused(&reusing(&first.installation), "VOLUMES_IN_USE").await?;

    // They can be taken over again, by the name of either; claims that are gone are warned of.
    small::uninstall(&scene, &second.installation, false).await?;
    let plan = self::plan(&scene, &input).await?;
    ensure!(has_code(&plan["blockers"], "CLAIMS_LEFT"), "{plan}");
    let older = self::plan(&scene, &reusing(&first.installation)).await?;
    ensure!(!has_code(&older["blockers"], "CLAIMS_LEFT"), "what another had since is taken over as well: {older}");
    delete_claims(&clusters[1], &scene.second_team).await?;
    let plan = self::plan(&scene, &reusing(&second.installation)).await?;
    ensure!(plan["warnings"].to_string().contains("begins empty"), "{plan}");

    let third = small::install(&scene, input.clone()).await?;
    small::uninstall(&scene, &third.installation, true).await?;
    is_refused(&reusing(&third.installation), "NO_VOLUMES").await
}

/// One of its objects cannot go for a while, so that its end is cancelled half way.
async fn an_installation_whose_end_was_begun_is_only_ended(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    let volume = json!([{ "name": "data", "mountPath": "/data", "kind": "EXCLUSIVE", "size": "1Gi" }]);
    let base = small::add(&scene, &application, "base", json!({})).await?;
    small::add(&scene, &application, "web", json!({ "volumes": volume, "dependencies": [base] })).await?;
    let template = publish::create_template(&scene).await?;
    let [old, new] = [
        small::release(&scene, &application, &template, "1").await?,
        small::release(&scene, &application, &template, "2").await?,
    ];
    let (first, installing) = small::begin(&scene, small::for_a_new_team(&scene, &old)).await?;
    scene.client.follow(&installing, |_| {}).await?;
    let input = json!({ "installationId": first.installation, "versionId": new });
    let payload = scene.client.change(upgrade::UPGRADE, input.clone()).await?;
    scene.follow(&payload, "upgrading").await?;
    let record = text(&payload, "/upgradeRecord/id")?;

    end_half_way(&scene, &clusters[1], UNINSTALL, json!({ "installationId": first.installation })).await?;
    let is_only_ended = async || {
        let error = refused(scene.client.change(upgrade::UPGRADE, input.clone()).await)?;
        ensure!(error.has("BEING_UNINSTALLED"), "{error}");
        anyhow::Ok(())
    };
    is_only_ended().await?;
    let of_record = json!({ "recordId": record });
    for (document, input, code) in [
        (rollback::ROLL_BACK, &of_record, "BEING_UNINSTALLED"),
        (RETRY_UPGRADE, &of_record, "BEING_UNINSTALLED"),
        (small::RETRY_OPERATION, &json!({ "operationId": installing }), "CANNOT_RETRY"),
    ] {
        let error = refused(scene.client.change(document, input.clone()).await)?;
        ensure!(error.has(code), "{document}: {error}");
    }
    small::uninstall(&scene, &first.installation, false).await?;

    // What it was when its end was begun can be taken over all the same.
    let mut reusing = small::beside(&scene, &new, &first);
    reusing["reuseVolumesOf"] = json!(first.installation);
    let there = Left::look(&clusters[1], &scene.second_team).await?;
    ensure!(there.claims.len() == 1, "{there:?}");
    free(&scene, &reusing).await?;
    let second = small::install(&scene, reusing.clone()).await?;
    ensure!(Left::look(&clusters[1], &scene.second_team).await? == there);

    // The volume of what the first attempt took away goes with the second one, where that is asked for.
    end_half_way(&scene, &clusters[1], UNINSTALL, json!({ "installationId": second.installation })).await?;
    small::uninstall(&scene, &second.installation, true).await?;
    let left = Left::look(&clusters[1], &scene.second_team).await?;
    ensure!(left.claims.is_empty(), "{left:?}");
    reusing["reuseVolumesOf"] = json!(second.installation);
    let error = refused(scene.client.change(small::INSTALL, reusing).await)?;
    ensure!(error.has("NO_VOLUMES"), "{error}");

    // The deletion of its application begins the end of an installation as well.
    let third = small::install(&scene, small::beside(&scene, &old, &first)).await?;
    end_half_way(&scene, &clusters[1], DELETE_APPLICATION, json!({ "applicationId": first.application })).await?;
    let input = json!({ "installationId": third.installation, "versionId": new });
    let error = refused(scene.client.change(upgrade::UPGRADE, input).await)?;
    ensure!(error.has("BEING_UNINSTALLED"), "{error}");
    small::uninstall(&scene, &third.installation, false).await
}

/// Begins to delete, holds the workload of web until that is cancelled, and lets go: web is gone, and base is there.
async fn end_half_way(scene: &Scene, cluster: &TestCluster, document: &str, input: Json) -> anyhow::Result<()> {
    let workloads: Api<Deployment> = Api::namespaced(cluster.client().await?, &scene.second_team);
    let hold = async |finalizers: Json| {
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        workloads.patch("shop-web", &PatchParams::default(), &patch).await.map(drop)
    };
    hold(json!(["ropeway.test/hold"])).await?;
    let payload = scene.client.change(document, input).await?;
    let ending = text(&payload, "/operation/id")?;
    wait_for("a workload that is about to go", async || {
        Ok(workloads.get("shop-web").await?.metadata.deletion_timestamp.map(drop))
    })
    .await?;
    scene.client.change(small::CANCEL, json!({ "operationId": ending })).await?;
    hold(Json::Null).await?;
    let ended = scene.client.follow(ending, |_| {}).await?;
    ensure!(ended["state"] != "SUCCEEDED", "{ended}");
    let left = cluster.workloads(&scene.second_team).await?;
    ensure!(left.keys().eq(["shop-base"]), "{:?} are left", left.keys());
    Ok(())
}

/// Waits until no pod has the volumes any more; the plan.
async fn free(scene: &Scene, input: &Json) -> anyhow::Result<Json> {
    wait_for("volumes that nothing has", async || {
        let plan = plan(scene, input).await?;
        let blockers = list(&plan, "/blockers")?;
        ensure!(blockers.iter().all(|one| one["code"] == "VOLUMES_IN_USE"), "{plan}");
        Ok(blockers.is_empty().then_some(plan))
    })
    .await
}

const DELETE_APPLICATION: &str = "
    mutation($input: DeleteApplicationInput!) {
      deleteApplication(input: $input) { operation { id } errors { code message path } }
    }";

const RETRY_UPGRADE: &str = "
    mutation($input: RetryUpgradeInput!) {
      retryUpgrade(input: $input) { operation { id } errors { code message path } }
    }";

const KEPT: &str = "query($id: ID!) { installation(id: $id) { keptChanges { path before after decision } } }";

const CREATE_TEMPLATE: &str = "
    mutation($input: CreateTemplateInput!) {
      createTemplate(input: $input) { template { id } errors { code message path } }
    }";

async fn create_template(scene: &Scene, input: Json) -> anyhow::Result<String> {
    let payload = scene.client.change(CREATE_TEMPLATE, input).await?;
    Ok(text(&payload, "/template/id")?.to_owned())
}

async fn plan(scene: &Scene, input: &Json) -> anyhow::Result<Json> {
    let data = scene.client.ask(PLAN_INSTALLATION, json!({ "input": input })).await?;
    Ok(data["planInstallation"].clone())
}

/// What stays when an installation ends, as it is in a namespace.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// The UIDs of claims, by name.
    claims: BTreeMap<String, String>,
    /// The values of PASSWORD.
    passwords: Vec<String>,
}

impl Left {
    async fn look(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Self> {
        let claims = claims(cluster, namespace).await?.list(&ListParams::default()).await?;
        let claims = claims.into_iter().map(|claim| Some((claim.metadata.name?, claim.metadata.uid?)));
        let secrets =
            Api::<Secret>::namespaced(cluster.client().await?, namespace).list(&ListParams::default()).await?;
        let data = secrets.into_iter().filter_map(|secret| secret.data?.remove("PASSWORD"));
        Ok(Self {
            claims: claims.collect::<Option<_>>().context("a claim has a name and a UID")?,
            passwords: data.map(|value| String::from_utf8_lossy(&value.0).into_owned()).collect(),
        })
    }
}

async fn claims(cluster: &TestCluster, namespace: &str) -> anyhow::Result<Api<PersistentVolumeClaim>> {
    Ok(Api::namespaced(cluster.client().await?, namespace))
}

async fn delete_claims(cluster: &TestCluster, namespace: &str) -> anyhow::Result<()> {
    let claims = claims(cluster, namespace).await?;
    for claim in claims.list(&ListParams::default()).await? {
        claims.delete(&claim.metadata.name.context("it has a name")?, &DeleteParams::default()).await?;
    }
    wait_for("claims that are gone", async || {
        Ok(claims.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await
}
