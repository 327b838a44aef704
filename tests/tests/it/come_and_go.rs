//! Components that a version adds or has no more, people who are no administrators, and a version that comes from
//! another application.

use crate::{
    both::on_both,
    small::{self, REMOVE_COMPONENT, refused, upgrade_to},
};
use anyhow::{Context as _, ensure};
use ropeway::demo::{
    acts::{Scene, compose, install, publish, rollback, upgrade},
    client::{list, text},
};
use ropeway_tests::{
    app::{TeamRole, TestApp},
    cluster::TestCluster,
};
use serde_json::{Value as Json, json};

on_both!(
    components_come_with_a_version_and_go_with_nobody,
    another_application_publishes_to_a_template_with_keys_alone,
);

const MEMBERS: &str = "
    query($id: ID!) { team(id: $id) { members(first: 10) { nodes { user { name } role } } } }";

const COMPONENTS: &str = "
    query($id: ID!) { installation(id: $id) { components { slug key noLongerInTemplate version { number } } } }";

/// A member who administers nothing installs for a team of their own; a developer of that team upgrades and goes back.
async fn components_come_with_a_version_and_go_with_nobody(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    small::add(&scene, &application, "web", json!({})).await?;
    let old = small::add(&scene, &application, "old", json!({})).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    scene.client.change(REMOVE_COMPONENT, json!({ "componentId": old })).await?;
    small::add(&scene, &application, "new", json!({})).await?;
    let second = small::release(&scene, &application, &template, "2").await?;

    let [mia, dev] = [app.person(&format!("mia-{name}")).await?, app.person(&format!("dev-{name}")).await?];
    let of_mia = Scene { client: mia.client.clone(), ..scene.clone() };
    let installed = small::install(&of_mia, small::for_a_new_team(&of_mia, &first)).await?;
    let data = mia.client.ask(MEMBERS, json!({ "id": installed.team })).await?;
    let members = list(&data, "/team/members/nodes")?;
    ensure!(members.len() == 1 && members[0]["role"] == "OWNER", "{members:?}");
    ensure!(members[0]["user"]["name"] == mia.name.as_str(), "{members:?}");
    let of_dev = Scene { client: dev.client.clone(), ..scene.clone() };
    let input = json!({ "installationId": installed.installation, "versionId": second });
    let stranger = dev.client.change(upgrade::UPGRADE, input).await;
    ensure!(stranger.is_err(), "somebody who does not belong to the team upgraded");
    app.join(&installed.team, &dev, TeamRole::Developer).await?;

    let uid = async |workload: &str| {
        let all = clusters[1].workloads(&scene.second_team).await?;
        anyhow::Ok(all.get(workload).with_context(|| format!("there is no {workload}: {:?}", all.keys()))?.uid.clone())
    };
    let before = uid("shop-old").await?;
    let plan = upgrade::plan(&of_dev, &installed.installation, &second).await?;
    let of_old: Vec<&Json> = list(&plan, "/changes")?.iter().filter(|one| one["component"] == "old").collect();
    ensure!(!of_old.is_empty() && of_old.iter().all(|one| one["decision"] == "KEEP"), "{of_old:?}");
    let record = upgrade_to(&of_dev, &installed.installation, &second, &[]).await?;
    of_dev.until_running(&installed.application).await?;
    ensure!(uid("shop-old").await? == before, "what the version has no more was made anew");
    uid("shop-new").await?;
    let marked = [("new", false), ("old", true), ("web", false)];
    ensure!(marks(&of_dev, &installed.installation).await? == marked.map(|(slug, is)| (slug.to_owned(), is)));

    // Everything that the upgrade did was to add, so there is nothing to go back, and the record says what stays.
    let payload = dev.client.change(rollback::ROLL_BACK, json!({ "recordId": record })).await?;
    of_dev.follow(&payload, "rolling back").await?;
    let back = upgrade::record(&of_dev, text(&payload, "/upgradeRecord/id")?).await?;
    ensure!(back["state"] == "SUCCEEDED", "{back}");
    let left = list(&back, "/leftForPeople")?;
    ensure!(left.iter().any(|one| one["name"].as_str().is_some_and(|name| name.contains("new"))), "{left:?}");
    ensure!(upgrade::record(&of_dev, &record).await?["state"] == "ROLLED_BACK");
    let look = install::look(&of_dev, &installed.installation).await?;
    ensure!(look["state"] == "INSTALLED" && look["version"]["number"] == "1", "{look}");
    of_dev.until_running(&installed.application).await?;
    uid("shop-new").await?;
    ensure!(uid("shop-old").await? == before);
    Ok(())
}

async fn another_application_publishes_to_a_template_with_keys_alone(
    app: &TestApp,
    clusters: &[TestCluster; 2],
    name: &str,
) -> anyhow::Result<()> {
    let scene = app.scene(clusters, name).await?;
    let application = small::application(&scene).await?;
    small::add(&scene, &application, "web", small::variable("A", "1")).await?;
    let template = publish::create_template(&scene).await?;
    let first = small::release(&scene, &application, &template, "1").await?;
    let installed = small::install(&scene, small::for_a_new_team(&scene, &first)).await?;
    let of_web = async || {
        let all = clusters[1].workloads(&scene.second_team).await?;
        anyhow::Ok(all.into_iter().map(|(name, one)| (name, one.uid)).collect::<Vec<_>>())
    };
    let before = of_web().await?;

    let team = compose::create_team(&scene, &format!("{name}-other")).await?;
    let other = compose::create_application(&scene, &team, "other").await?;
    let front = small::add(&scene, &other, "front", small::variable("B", "2")).await?;
    let extra = small::add(&scene, &other, "extra", json!({})).await?;
    let policy = small::set_resource(&scene, &other, ropeway::demo::acts::sample::network_policy()).await?;
    compose::deploy(&scene, &other).await?;
    let mut input = json!({ "applicationId": other, "templateId": template, "number": "2" });
    let error = refused(scene.client.change(publish::SUBMIT, input.clone()).await)?;
    ensure!(error.has("KEYS_NOT_SHARED"), "{error}");
    let key = scene.application(&application).await?.component("web")?["key"].clone();
    input["componentKeys"] = json!([{ "componentId": front, "key": key }, { "componentId": extra, "key": key }]);
    let error = refused(scene.client.change(publish::SUBMIT, input.clone()).await)?;
    ensure!(error.has("KEY_NOT_UNIQUE"), "{error}");
    input["componentKeys"] = json!([{ "componentId": front, "key": key }]);
    input["excludeComponents"] = json!([extra]);
    input["excludeKubernetesResources"] = json!([policy]);
    let second = small::publish(&scene, input).await?;

    // It is the same component all the same: it is upgraded in its place, and nothing that was left out comes along.
    upgrade_to(&scene, &installed.installation, &second, &[]).await?;
    scene.until_running(&installed.application).await?;
    ensure!(of_web().await? == before, "{:?}, not {before:?}", of_web().await?);
    let view = scene.application(&installed.application).await?;
    ensure!(
        view.components()?.len() == 1 && view.0["kubernetesResources"]["nodes"].as_array().is_none_or(Vec::is_empty)
    );
    let variables = view.components()?[0]["environment"].to_string();
    ensure!(variables.contains("\"A\"") && variables.contains("\"B\""), "{variables}");
    Ok(())
}

/// The components of an installation by slug, and whether its version has them no more.
async fn marks(scene: &Scene, installation: &str) -> anyhow::Result<Vec<(String, bool)>> {
    let data = scene.client.ask(COMPONENTS, json!({ "id": installation })).await?;
    let all = list(&data, "/installation/components")?.iter();
    let mut marks: Vec<_> = all
        .map(|one| anyhow::Ok((text(one, "/slug")?.to_owned(), one["noLongerInTemplate"] == true)))
        .collect::<Result<_, _>>()?;
    marks.sort();
    Ok(marks)
}
