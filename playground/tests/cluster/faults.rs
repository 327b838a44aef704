//! Pods that do not become ready, and why.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::Subject;
use crate::workloads::deployment;

on_both!(
    an_image_needs_its_pull_secret,
    an_image_needs_its_layers_and_architecture,
    a_registry_elsewhere_is_unreachable,
    an_annotation_plays_a_fault,
    a_pod_without_a_node_says_why,
);

fn pod(name: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": image}]}})
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn waits(pod: &Value) -> bool {
    waits_at(pod, "containerStatuses")
}

fn waits_at(pod: &Value, list: &str) -> bool {
    let reason = pod["status"][list][0]["state"]["waiting"]["reason"].as_str();
    reason.is_some_and(|reason| reason == "ErrImagePull" || reason == "ImagePullBackOff")
}

async fn an_image_needs_its_pull_secret(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("private/web:1", "amd64");
    on.create(&format!("{core}/pods"), &pod("without", &image)).await?;
    on.until(&format!("{core}/pods/without"), waits).await?;
    let mut with = pod("with", &image);
    with["spec"]["imagePullSecrets"] = json!([{"name": "login"}]);
    on.create(&format!("{core}/pods"), &with).await?;
    on.until(&format!("{core}/pods/with"), waits).await?;
    on.create(&format!("{core}/secrets"), &on.registry.secret("login")).await?;
    on.until(&format!("{core}/pods/with"), ready).await?;
    let account = json!({"imagePullSecrets": [{"name": "login"}]});
    assert_eq!(on.merge(&format!("{core}/serviceaccounts/default"), &account).await?.0, 200);
    let made = on.create(&format!("{core}/pods"), &pod("by-account", &image)).await?;
    assert_eq!(made["spec"]["imagePullSecrets"], json!([{"name": "login"}]));
    on.until(&format!("{core}/pods/by-account"), ready).await?;
    assert!(!ready(&on.get(&format!("{core}/pods/without")).await?.1));
    Ok(())
}

async fn an_image_needs_its_layers_and_architecture(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let torn = on.registry.push("torn:1", "amd64");
    on.registry.lose_layers("torn:1");
    let foreign = on.registry.push("foreign:1", "arm64");
    for (name, image, part) in [("torn", torn, "layer"), ("foreign", foreign, "linux/amd64")] {
        let mut body = pod(name, &on.registry.push("web:1", "amd64"));
        body["spec"]["initContainers"] = json!([{"name": "first", "image": image}]);
        on.create(&format!("{core}/pods"), &body).await?;
        let found = on.until(&format!("{core}/pods/{name}"), |pod| waits_at(pod, "initContainerStatuses")).await?;
        let main = &found["status"]["containerStatuses"][0]["state"]["waiting"];
        assert_eq!(main["reason"], "PodInitializing", "{found:#}");
        let message =
            found["status"]["initContainerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{message}");
    }
    on.registry.push("torn:1", "amd64");
    on.until(&format!("{core}/pods/torn"), ready).await?;
    Ok(())
}

async fn a_registry_elsewhere_is_unreachable(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    on.create(&format!("{core}/pods"), &pod("far", "registry.example/web:1")).await?;
    let found = on.until(&format!("{core}/pods/far"), waits).await?;
    let message = found["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("registry.example is not reachable from the nodes: no such host"), "{message}");
    Ok(())
}

async fn an_annotation_plays_a_fault(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    for (fault, phase) in [
        ("NotReady", "Running"),
        ("CrashLoopBackOff", "Running"),
        ("ImagePullBackOff", "Pending"),
        ("Failed", "Failed"),
    ] {
        let name = fault.to_lowercase();
        let mut body = pod(&name, &image);
        body["metadata"]["annotations"] = json!({"controlplane.test/fault": fault});
        on.create(&format!("{core}/pods"), &body).await?;
        let played = |pod: &Value| {
            let state = &pod["status"]["containerStatuses"][0]["state"];
            let as_asked = match fault {
                "NotReady" => state["running"].is_object(),
                "Failed" => state["terminated"]["exitCode"] == 1,
                _ => state["waiting"]["reason"] == fault,
            };
            pod["status"]["phase"] == phase && as_asked
        };
        let found = on.until(&format!("{core}/pods/{name}"), played).await?;
        assert!(!ready(&found));
    }
    on.merge(
        &format!("{core}/pods/notready"),
        &json!({"metadata": {"annotations": {"controlplane.test/fault": null}}}),
    )
    .await?;
    on.until(&format!("{core}/pods/notready"), ready).await?;
    let mut body = deployment("web", &image, 2);
    body["spec"]["template"]["metadata"]["annotations"] = json!({"controlplane.test/fault": "CrashLoopBackOff"});
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    on.create(&all, &body).await?;
    let stuck = on.until(&format!("{all}/web"), |found| found["status"]["unavailableReplicas"] == 2).await?;
    assert!(stuck["status"].get("readyReplicas").is_none());
    if on.playground.is_some() {
        let mut own = pod("own", &image);
        own["metadata"]["annotations"] = json!({ropeway_playground::FAULT: "NotReady"});
        on.create(&format!("{core}/pods"), &own).await?;
        on.until(&format!("{core}/pods/own"), |pod| pod["status"]["phase"] == "Running" && !ready(pod)).await?;
        let mut bare = pod("bare", &image);
        let reference = json!({"name": "none", "key": "k"});
        bare["spec"]["containers"][0]["env"] = json!([{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]);
        on.create(&format!("{core}/pods"), &bare).await?;
        let reason = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
        on.until(&format!("{core}/pods/bare"), |pod| reason(pod) == "CreateContainerConfigError").await?;
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "none"}, "data": {"k": "v"}});
        on.create(&format!("{core}/configmaps"), &config).await?;
        on.until(&format!("{core}/pods/bare"), ready).await?;
    }
    Ok(())
}

async fn a_pod_without_a_node_says_why(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let mut body = pod("p", &image);
    body["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "riscv64"});
    on.create(&format!("{core}/pods"), &body).await?;
    let unschedulable = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "PodScheduled" && one["reason"] == "Unschedulable")
    };
    let found = on.until(&format!("{core}/pods/p"), unschedulable).await?;
    let message = found["status"]["conditions"][0]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
        "{message}"
    );
    let said = |list: &Value| {
        let events = list["items"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| event["reason"] == "FailedScheduling")
    };
    on.until(&format!("{core}/events?fieldSelector=involvedObject.name%3Dp"), said).await?;
    Ok(())
}
