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
    an_unknown_fault_is_named,
    an_image_that_is_never_pulled_is_nowhere,
    classes_that_are_not_there_are_refused,
    a_gate_keeps_a_pod_unready,
    pods_keep_together_apart_and_spread,
    a_pod_is_active_for_as_long_as_it_says,
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

async fn an_unknown_fault_is_named(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let mut body = pod("p", &on.registry.push("web:1", "amd64"));
    body["metadata"]["annotations"] = json!({"controlplane.test/fault": "Tired"});
    on.create(&format!("{core}/pods"), &body).await?;
    on.until(&format!("{core}/pods/p"), ready).await?;
    let said = |list: &Value| {
        let events = list["items"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| {
            event["reason"] == "UnknownFault"
                && event["message"].as_str().is_some_and(|message| message.contains("no fault is named \"Tired\""))
        })
    };
    on.until(&format!("{core}/events"), said).await?;
    Ok(())
}

async fn an_image_that_is_never_pulled_is_nowhere(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let mut body = pod("p", &on.registry.push("web:1", "amd64"));
    body["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    on.create(&format!("{core}/pods"), &body).await?;
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    on.until(&format!("{core}/pods/p"), |pod| waiting(pod) == "ErrImageNeverPull").await?;
    Ok(())
}

async fn classes_that_are_not_there_are_refused(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let pods = format!("/api/v1/namespaces/{space}/pods");
    for (field, part) in [
        ("runtimeClassName", "pod rejected: RuntimeClass \"none\" not found"),
        ("priorityClassName", "no PriorityClass with name none was found"),
    ] {
        let mut body = pod("p", "localhost/x:1");
        body["spec"][field] = json!("none");
        let (status, answer) = on.post(&pods, &body).await?;
        assert_eq!(status, 403, "{answer:#}");
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(part)), "{answer:#}");
    }
    let mut body = pod("other", "localhost/x:1");
    body["spec"]["schedulerName"] = json!("another");
    on.create(&pods, &body).await?;
    Ok(())
}

async fn a_gate_keeps_a_pod_unready(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/pods/p");
    let mut body = pod("p", &on.registry.push("web:1", "amd64"));
    body["spec"]["readinessGates"] = json!([{"conditionType": "example.org/open"}]);
    on.create(&format!("/api/v1/namespaces/{space}/pods"), &body).await?;
    let gated = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["reason"] == "ReadinessGatesNotReady")
    };
    let found = on.until(&path, gated).await?;
    let mut conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(json!({"type": "example.org/open", "status": "True"}));
    let (status, answer) = on.merge(&format!("{path}/status"), &json!({"status": {"conditions": conditions}})).await?;
    assert_eq!(status, 200, "{answer:#}");
    on.until(&path, ready).await?;
    Ok(())
}

async fn pods_keep_together_apart_and_spread(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let labelled = |name: &str, app: &str, spec: Value| {
        let mut body = pod(name, &image);
        body["metadata"]["labels"] = json!({"app": app});
        for (field, value) in spec.as_object().into_iter().flatten() {
            body["spec"][field] = value.clone();
        }
        body
    };
    let term =
        |app: &str, topology: &str| json!([{"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": topology}]);
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let (host, zone) = ("kubernetes.io/hostname", "topology.kubernetes.io/zone");
    let unschedulable = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "PodScheduled" && one["reason"] == "Unschedulable")
    };
    let first = |pod: &Value| pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
    // Four that want a node each find three.
    let apart = json!({"affinity": {"podAntiAffinity": {required: term("apart", host)}}});
    for n in 0..4 {
        on.create(&format!("{core}/pods"), &labelled(&format!("apart-{n}"), "apart", apart.clone())).await?;
        let path = format!("{core}/pods/apart-{n}");
        if n < 3 {
            on.until(&path, ready).await?;
        } else {
            let message = first(&on.until(&path, unschedulable).await?);
            assert_eq!(
                message,
                "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, \
                 preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
            );
        }
    }
    // Whoever wants to be with nobody's neighbours finds none; the first of a group founds it.
    let beside = json!({"affinity": {"podAffinity": {required: term("nobody", zone)}}});
    on.create(&format!("{core}/pods"), &labelled("lonely", "lonely", beside)).await?;
    let message = first(&on.until(&format!("{core}/pods/lonely"), unschedulable).await?);
    assert!(message.starts_with("0/3 nodes are available: 3 node(s) didn't match pod affinity rules."), "{message}");
    let group = json!({"affinity": {"podAffinity": {required: term("group", zone)}}});
    let mut zones = std::collections::BTreeSet::new();
    for n in 0..3 {
        let path = format!("{core}/pods/group-{n}");
        on.create(&format!("{core}/pods"), &labelled(&format!("group-{n}"), "group", group.clone())).await?;
        let found = on.until(&path, ready).await?;
        let (_, node) =
            on.get(&format!("/api/v1/nodes/{}", found["spec"]["nodeName"].as_str().unwrap_or_default())).await?;
        zones.insert(node["metadata"]["labels"][zone].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(zones.len(), 1);
    // Two zones get as many, whatever the number of their nodes.
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": zone, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "spread"}}}]});
    let mut counts = std::collections::BTreeMap::new();
    for n in 0..6 {
        let path = format!("{core}/pods/spread-{n}");
        on.create(&format!("{core}/pods"), &labelled(&format!("spread-{n}"), "spread", spread.clone())).await?;
        let found = on.until(&path, ready).await?;
        let (_, node) =
            on.get(&format!("/api/v1/nodes/{}", found["spec"]["nodeName"].as_str().unwrap_or_default())).await?;
        *counts.entry(node["metadata"]["labels"][zone].to_string()).or_insert(0) += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [3, 3]);
    // A port of a node is taken once.
    let port = json!({"nodeSelector": {host: "node-0"}, "containers": [{"name": "c", "image": image,
        "ports": [{"containerPort": 80, "hostPort": 18080}]}]});
    on.create(&format!("{core}/pods"), &labelled("port-0", "port", port.clone())).await?;
    on.until(&format!("{core}/pods/port-0"), ready).await?;
    on.create(&format!("{core}/pods"), &labelled("port-1", "port", port)).await?;
    let message = first(&on.until(&format!("{core}/pods/port-1"), unschedulable).await?);
    assert!(message.contains("1 node(s) didn't have free ports for the requested pod ports"), "{message}");
    Ok(())
}

async fn a_pod_is_active_for_as_long_as_it_says(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let mut body = pod("p", &on.registry.push("web:1", "amd64"));
    body["spec"]["activeDeadlineSeconds"] = json!(1);
    on.create(&format!("{core}/pods"), &body).await?;
    if on.playground.is_some() {
        let late = |pod: &Value| pod["status"]["phase"] == "Failed" && pod["status"]["reason"] == "DeadlineExceeded";
        on.until(&format!("{core}/pods/p"), late).await?;
    } else {
        // The played nodes of the real control plane know no deadline.
        on.until(&format!("{core}/pods/p"), ready).await?;
    }
    Ok(())
}
