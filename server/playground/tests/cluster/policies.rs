//! Budgets and autoscalers, and what a playground refuses because it would not act on it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::Subject;
use crate::workloads::{deployment, reason};

on_both!(what_is_not_implemented_is_not_stored, a_budget_says_how_many_may_go, an_autoscaler_keeps_the_bounds);

/// What a playground cannot do it refuses by the field's name.
async fn what_is_not_implemented_is_not_stored(on: Subject) -> Result<()> {
    if on.playground.is_none() {
        return Ok(());
    }
    let space = on.namespace().await?;
    let job = |spec: Value| {
        let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "localhost/x:1"}]}}}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            job["spec"][field] = value.clone();
        }
        job
    };
    let pod = |field: &str, value: Value| {
        let mut pod = deployment("web", "localhost/x:1", 0);
        pod["spec"]["template"]["spec"][field] = value;
        pod
    };
    let claim = |spec: Value| {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            claim["spec"][field] = value.clone();
        }
        claim
    };
    let limits = |item: Value| json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [item]}});
    let jobs = format!("/apis/batch/v1/namespaces/{space}/jobs");
    let deployments = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let core = format!("/api/v1/namespaces/{space}");
    let claims = format!("{core}/persistentvolumeclaims");
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("v-{space}")}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}}});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}});
    let ephemeral = json!([{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}]);
    for (path, body, field) in [
        (&jobs, job(json!({"completionMode": "Indexed", "completions": 1})), "completionMode"),
        (
            &jobs,
            job(
                json!({"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}}),
            ),
            "podFailurePolicy",
        ),
        (&jobs, job(json!({"managedBy": "example.org/other"})), "managedBy"),
        (&deployments, pod("resourceClaims", json!([{"name": "gpu", "resourceClaimName": "g"}])), "resourceClaims"),
        (&deployments, pod("priorityClassName", json!("system-node-critical")), "priorityClassName"),
        (&deployments, pod("volumes", ephemeral), "volumes[0].ephemeral"),
        (&claims, claim(json!({"selector": {"matchLabels": {"a": "b"}}})), "selector"),
        (&claims, claim(json!({"volumeMode": "Block"})), "volumeMode"),
        (&claims, claim(json!({"volumeName": "v"})), "volumeName"),
        (&"/api/v1/persistentvolumes".to_owned(), volume, "PersistentVolumes"),
        (&format!("{core}/resourcequotas"), quota, "scopes"),
        (
            &"/api/v1/namespaces".to_owned(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{space}-strict"),
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
            "pod-security.kubernetes.io/enforce=restricted",
        ),
        (
            &format!("{core}/limitranges"),
            limits(json!({"type": "Pod", "max": {"cpu": "1"}})),
            "spec.limits[0].type Pod",
        ),
    ] {
        let (status, answer) = on.post(path, &body).await?;
        assert_eq!(status, 501, "{field}: {answer:#}");
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(field)), "{field}: {answer:#}");
    }
    Ok(())
}

async fn a_budget_says_how_many_may_go(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    let budgets = format!("/apis/policy/v1/namespaces/{space}/poddisruptionbudgets");
    let budget = |name: &str, spec: Value| {
        let mut body = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}}});
        for (field, value) in spec.as_object().into_iter().flatten() {
            body["spec"][field] = value.clone();
        }
        body
    };
    on.create(&budgets, &budget("most", json!({"maxUnavailable": "34%"}))).await?;
    on.create(&budgets, &budget("least", json!({"minAvailable": 3}))).await?;
    for name in ["most", "least"] {
        on.create(&format!("/apis/apps/v1/namespaces/{space}/deployments"), &deployment(name, &image, 3)).await?;
    }
    let counts = |status: &Value| {
        ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"].map(|field| status[field].clone())
    };
    let wanted = [3, 1, 3, 2].map(Value::from);
    let most = on.until(&format!("{budgets}/most"), |budget| counts(&budget["status"]) == wanted).await?;
    assert_eq!(reason(&most, "DisruptionAllowed"), "SufficientPods");
    let wanted = [3, 3, 3, 0].map(Value::from);
    let least = on.until(&format!("{budgets}/least"), |budget| counts(&budget["status"]) == wanted).await?;
    assert_eq!(reason(&least, "DisruptionAllowed"), "InsufficientPods");
    Ok(())
}

async fn an_autoscaler_keeps_the_bounds(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    on.create(&all, &deployment("web", &image, 1)).await?;
    let scalers = format!("/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers");
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"minReplicas": 2, "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    on.create(&scalers, &scaler).await?;
    on.until(&format!("{all}/web"), |found| found["spec"]["replicas"] == 2).await?;
    let found = on.until(&format!("{scalers}/web"), |found| reason(found, "AbleToScale") == "SucceededRescale").await?;
    assert_eq!((&found["status"]["currentReplicas"], &found["status"]["desiredReplicas"]), (&json!(1), &json!(2)));
    let blind = |found: &Value| reason(found, "ScalingActive") == "FailedGetResourceMetric";
    on.until(&format!("{scalers}/web"), blind).await?;
    Ok(())
}
