//! Claims: bound by class, refused, grown, protected.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::Subject;

on_both!(
    a_disk_waits_for_its_first_consumer,
    files_are_bound_at_once,
    what_a_class_cannot_do_is_said,
    a_claim_in_use_stays,
    a_claim_is_used_by_pods_that_have_a_node,
    a_claim_waits_for_a_provisioner_that_nobody_runs,
    a_disk_is_in_one_zone,
    a_disk_is_with_one_node_at_a_time,
    a_volume_for_one_pod_is_with_one_pod,
);

fn claim(name: &str, class: Option<&str>, mode: &str, size: &str) -> Value {
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
        "accessModes": [mode], "resources": {"requests": {"storage": size}}}});
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

fn pod(name: &str, image: &str, claim: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": image, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}})
}

fn bound(claim: &Value) -> bool {
    claim["status"]["phase"] == "Bound"
}

fn says(reason: &'static str, part: &'static str) -> impl Fn(&Value) -> bool {
    move |list| {
        let events = list["items"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| {
            event["reason"] == reason && event["message"].as_str().is_some_and(|message| message.contains(part))
        })
    }
}

async fn a_disk_waits_for_its_first_consumer(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let made = on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", None, "ReadWriteOnce", "2Gi")).await?;
    assert_eq!(made["spec"]["storageClassName"], "disk");
    assert_eq!(made["spec"]["volumeMode"], "Filesystem");
    on.until(&format!("{core}/events"), says("WaitForFirstConsumer", "waiting for first consumer")).await?;
    let (_, waiting) = on.get(&format!("{core}/persistentvolumeclaims/c")).await?;
    assert_eq!(waiting["status"]["phase"], "Pending");
    on.create(&format!("{core}/pods"), &pod("p", &image, "c")).await?;
    let found = on.until(&format!("{core}/persistentvolumeclaims/c"), bound).await?;
    assert_eq!(found["status"]["capacity"]["storage"], "2Gi");
    let volume = found["spec"]["volumeName"].as_str().unwrap_or_default();
    let (_, volume) = on.get(&format!("/api/v1/persistentvolumes/{volume}")).await?;
    assert_eq!(volume["spec"]["claimRef"]["uid"], found["metadata"]["uid"]);
    on.until(&format!("{core}/pods/p"), |pod| pod["status"]["phase"] == "Running").await?;
    let patch = json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(on.merge(&format!("{core}/persistentvolumeclaims/c"), &patch).await?.0, 422, "a claim never shrinks");
    let patch = json!({"spec": {"resources": {"requests": {"storage": "5Gi"}}}});
    let (status, _) = on.merge(&format!("{core}/persistentvolumeclaims/c"), &patch).await?;
    assert_eq!(status, 200);
    let grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "5Gi";
    on.until(&format!("{core}/persistentvolumeclaims/c"), grown).await?;
    Ok(())
}

async fn files_are_bound_at_once(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}/persistentvolumeclaims");
    on.create(&core, &claim("c", Some("files"), "ReadWriteMany", "1Mi")).await?;
    let found = on.until(&format!("{core}/c"), bound).await?;
    assert_eq!(found["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"], "yes");
    assert_eq!(found["status"]["accessModes"], json!(["ReadWriteMany"]));
    Ok(())
}

async fn what_a_class_cannot_do_is_said(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    for (name, mode, size) in [("many", "ReadWriteMany", "1Gi"), ("small", "ReadWriteOnce", "1Mi")] {
        on.create(&format!("{core}/persistentvolumeclaims"), &claim(name, Some("disk"), mode, size)).await?;
        on.create(&format!("{core}/pods"), &pod(name, &image, name)).await?;
    }
    on.until(&format!("{core}/events"), says("ProvisioningFailed", "one writer")).await?;
    on.until(&format!("{core}/events"), says("ProvisioningFailed", "at least 1Gi")).await?;
    on.create(&format!("{core}/pods"), &pod("lost", &image, "none")).await?;
    on.until(&format!("{core}/events"), says("FailedScheduling", "persistentvolumeclaim \"none\" not found")).await?;
    Ok(())
}

async fn a_claim_in_use_stays(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", None, "ReadWriteOnce", "1Gi")).await?;
    on.create(&format!("{core}/pods"), &pod("p", &image, "c")).await?;
    let found = on.until(&format!("{core}/persistentvolumeclaims/c"), bound).await?;
    on.until(&format!("{core}/pods/p"), |pod| pod["status"]["phase"] == "Running").await?;
    let (_, going) = on.delete(&format!("{core}/persistentvolumeclaims/c"), &json!({})).await?;
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(on.get(&format!("{core}/persistentvolumeclaims/c")).await?.0, 200);
    on.delete(&format!("{core}/pods/p"), &json!({})).await?;
    on.until_gone(&format!("{core}/persistentvolumeclaims/c")).await?;
    let volume = format!("/api/v1/persistentvolumes/{}", found["spec"]["volumeName"].as_str().unwrap_or_default());
    on.until_gone(&volume).await?;
    Ok(())
}

async fn a_claim_is_used_by_pods_that_have_a_node(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let claims = format!("{core}/persistentvolumeclaims");
    on.create(&claims, &claim("c", None, "ReadWriteOnce", "1Gi")).await?;
    let mut waits = pod("p", &image, "c");
    waits["spec"]["nodeSelector"] = json!({"no": "node"});
    on.create(&format!("{core}/pods"), &waits).await?;
    on.delete(&format!("{claims}/c"), &json!({})).await?;
    on.until_gone(&format!("{claims}/c")).await?;

    on.create(&claims, &claim("d", None, "ReadWriteOnce", "1Gi")).await?;
    let mut ends = pod("q", &image, "d");
    ends["spec"]["restartPolicy"] = json!("Never");
    ends["metadata"]["annotations"] = json!({"controlplane.test/fault": "Failed"});
    on.create(&format!("{core}/pods"), &ends).await?;
    on.until(&format!("{core}/pods/q"), |pod| pod["status"]["phase"] == "Failed").await?;
    on.delete(&format!("{claims}/d"), &json!({})).await?;
    // Another claim that is deleted after it goes: by then it would have gone too.
    on.create(&claims, &claim("e", None, "ReadWriteOnce", "1Gi")).await?;
    on.delete(&format!("{claims}/e"), &json!({})).await?;
    on.until_gone(&format!("{claims}/e")).await?;
    assert_eq!(on.get(&format!("{claims}/d")).await?.0, 200);
    on.delete(&format!("{core}/pods/q"), &json!({})).await?;
    on.until_gone(&format!("{claims}/d")).await?;
    Ok(())
}

fn on_node(pod: &Value, key: &str, value: &str) -> Value {
    let mut pod = pod.clone();
    pod["spec"]["nodeSelector"] = json!({key: value});
    pod
}

async fn a_claim_waits_for_a_provisioner_that_nobody_runs(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": format!("class-{space}")},
        "provisioner": "example.org/none", "volumeBindingMode": "Immediate"});
    on.create("/apis/storage.k8s.io/v1/storageclasses", &class).await?;
    let called = format!("class-{space}");
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", Some(&called), "ReadWriteOnce", "1Gi")).await?;
    let waits = says("ExternalProvisioning", "Waiting for a volume to be created either by the external provisioner");
    on.until(&format!("{core}/events"), waits).await?;
    let told = |claim: &Value| {
        claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == "example.org/none"
    };
    let found = on.until(&format!("{core}/persistentvolumeclaims/c"), told).await?;
    assert_eq!(found["status"]["phase"], "Pending");
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("none", Some(""), "ReadWriteOnce", "1Gi")).await?;
    on.until(&format!("{core}/events"), says("FailedBinding", "no storage class is set")).await?;
    on.delete(&format!("/apis/storage.k8s.io/v1/storageclasses/{called}"), &json!({})).await?;
    Ok(())
}

async fn a_disk_is_in_one_zone(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let zone = "topology.kubernetes.io/zone";
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", None, "ReadWriteOnce", "1Gi")).await?;
    on.create(&format!("{core}/pods"), &on_node(&pod("p", &image, "c"), zone, "zone-1")).await?;
    on.until(&format!("{core}/pods/p"), |pod| pod["status"]["phase"] == "Running").await?;
    let found = on.until(&format!("{core}/persistentvolumeclaims/c"), bound).await?;
    let volume = found["spec"]["volumeName"].as_str().unwrap_or_default();
    let (_, volume) = on.get(&format!("/api/v1/persistentvolumes/{volume}")).await?;
    let terms = json!([{"matchExpressions": [{"key": zone, "operator": "In", "values": ["zone-1"]}]}]);
    assert_eq!(volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"], terms);
    on.create(&format!("{core}/pods"), &on_node(&pod("far", &image, "c"), zone, "zone-0")).await?;
    on.until(&format!("{core}/events"), says("FailedScheduling", "didn't match PersistentVolume's node affinity"))
        .await?;
    Ok(())
}

async fn a_disk_is_with_one_node_at_a_time(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    let host = "kubernetes.io/hostname";
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", None, "ReadWriteOnce", "1Gi")).await?;
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    for (name, node) in [("first", "node-0"), ("beside", "node-0")] {
        on.create(&format!("{core}/pods"), &on_node(&pod(name, &image, "c"), host, node)).await?;
        on.until(&format!("{core}/pods/{name}"), runs).await?;
    }
    on.create(&format!("{core}/pods"), &on_node(&pod("second", &image, "c"), host, "node-2")).await?;
    on.until(&format!("{core}/events"), says("FailedAttachVolume", "Multi-Attach error")).await?;
    assert_eq!(on.get(&format!("{core}/pods/second")).await?.1["status"]["phase"], "Pending");
    for name in ["first", "beside"] {
        on.delete(&format!("{core}/pods/{name}"), &json!({})).await?;
    }
    on.until(&format!("{core}/pods/second"), runs).await?;
    Ok(())
}

async fn a_volume_for_one_pod_is_with_one_pod(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let image = on.registry.push("web:1", "amd64");
    on.create(&format!("{core}/persistentvolumeclaims"), &claim("c", None, "ReadWriteOncePod", "1Gi")).await?;
    on.create(&format!("{core}/pods"), &pod("first", &image, "c")).await?;
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    on.until(&format!("{core}/pods/first"), runs).await?;
    on.create(&format!("{core}/pods"), &pod("second", &image, "c")).await?;
    on.until(&format!("{core}/events"), says("FailedScheduling", "ReadWriteOncePod access mode already in-use"))
        .await?;
    on.delete(&format!("{core}/pods/first"), &json!({})).await?;
    on.until(&format!("{core}/pods/second"), runs).await?;
    Ok(())
}
