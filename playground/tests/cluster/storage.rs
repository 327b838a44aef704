//! Claims: bound by class, refused, grown, protected.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::Subject;

on_both!(
    a_disk_waits_for_its_first_consumer,
    files_are_bound_at_once,
    what_a_class_cannot_do_is_said,
    a_claim_in_use_stays
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
