//! Workloads: rollouts, ordered sets with claims, jobs, garbage.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::Subject;

on_both!(
    a_deployment_rolls_out_and_back,
    a_rollout_that_cannot_pull_keeps_the_old,
    a_progress_deadline_is_reported,
    a_stateful_set_has_ordinals_and_claims,
    an_orphaned_stateful_set_is_taken_over,
    a_broken_pod_of_a_stateful_set_stays_until_it_is_deleted,
    a_pod_that_lacks_a_claim_stays_until_it_is_deleted,
    a_parallel_stateful_set_replaces_its_broken_pod,
    a_partition_keeps_the_old_revision,
    a_job_waits_after_a_failure,
    jobs_complete_and_fail,
    what_is_owned_goes_with_its_owner,
    orphans_stay,
    a_namespace_takes_everything_along,
    a_deployment_is_scaled,
);

/// A deployment with one container, one variable and one port.
pub(crate) fn deployment(name: &str, image: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "web", "image": image, "env": [{"name": "A", "value": "x"}],
                    "ports": [{"containerPort": 80}],
                }]},
            },
        },
    })
}

fn stateful_set(name: &str, image: &str, replicas: i64) -> Value {
    let mut set = deployment(name, image, replicas);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!(name);
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts;
    set
}

fn complete(deployment: &Value) -> bool {
    let (wanted, status) = (&deployment["spec"]["replicas"], &deployment["status"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && &status["updatedReplicas"] == wanted
        && &status["replicas"] == wanted
        && &status["availableReplicas"] == wanted
}

pub(crate) fn reason(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|one| one["type"] == kind);
    found.and_then(|one| one["reason"].as_str()).unwrap_or_default().to_owned()
}

async fn a_deployment_rolls_out_and_back(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let (one, two) = (on.registry.push("web:1", "amd64"), on.registry.push("web:2", "amd64"));
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let path = format!("{all}/web");
    on.create(&all, &deployment("web", &one, 3)).await?;
    let done =
        on.until(&path, |found| complete(found) && reason(found, "Progressing") == "NewReplicaSetAvailable").await?;
    assert_eq!(reason(&done, "Available"), "MinimumReplicasAvailable");
    assert_eq!(done["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(done["metadata"]["generation"], 1);
    let image =
        |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}});
    on.merge(&path, &image(&two)).await?;
    let done = on.until(&path, complete).await?;
    assert_eq!(done["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    let pods = on
        .until(&format!("/api/v1/namespaces/{space}/pods"), |list| list["items"].as_array().map(Vec::len) == Some(3))
        .await?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        assert_eq!(pod["spec"]["containers"][0]["image"], two.as_str());
        assert_eq!(pod["status"]["phase"], "Running");
        let id = pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap_or_default();
        assert!(id.contains("@sha256:"), "{id}");
    }
    let (_, sets) = on.get(&format!("/apis/apps/v1/namespaces/{space}/replicasets")).await?;
    assert_eq!(sets["items"].as_array().map(Vec::len), Some(2));
    // The whole container was replaced: the first template has the environment again.
    let back = deployment("web", &one, 3)["spec"]["template"]["spec"]["containers"].clone();
    on.merge(&path, &json!({"spec": {"template": {"spec": {"containers": back}}}})).await?;
    let done = on.until(&path, complete).await?;
    assert_eq!(done["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    let (_, sets) = on.get(&format!("/apis/apps/v1/namespaces/{space}/replicasets")).await?;
    assert_eq!(sets["items"].as_array().map(Vec::len), Some(2), "the old ReplicaSet came back");
    Ok(())
}

async fn a_rollout_that_cannot_pull_keeps_the_old(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let one = on.registry.push("web:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    on.create(&all, &deployment("web", &one, 2)).await?;
    on.until(&format!("{all}/web"), complete).await?;
    let missing = format!("{}/web:none", on.registry.address);
    on.merge(
        &format!("{all}/web"),
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": missing}]}}}}),
    )
    .await?;
    let stuck = on
        .until(&format!("{all}/web"), |found| {
            found["status"]["observedGeneration"] == 2 && found["status"]["updatedReplicas"] == 1
        })
        .await?;
    assert_eq!(stuck["status"]["availableReplicas"], 2);
    assert_eq!(stuck["status"]["replicas"], 3);
    let backing_off = |list: &Value| {
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        pods.iter().any(|pod| {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            waiting["reason"] == "ImagePullBackOff"
                && waiting["message"].as_str().is_some_and(|why| why.contains("web:none"))
        })
    };
    on.until(&format!("/api/v1/namespaces/{space}/pods"), backing_off).await?;
    let failed = |list: &Value| {
        let events = list["items"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| event["reason"] == "Failed" && event["type"] == "Warning")
    };
    on.until(&format!("/api/v1/namespaces/{space}/events"), failed).await?;
    Ok(())
}

async fn a_progress_deadline_is_reported(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let mut body = deployment("web", &format!("{}/none:1", on.registry.address), 1);
    body["spec"]["progressDeadlineSeconds"] = json!(2);
    on.create(&all, &body).await?;
    let late = |found: &Value| reason(found, "Progressing") == "ProgressDeadlineExceeded";
    let found = on.until(&format!("{all}/web"), late).await?;
    let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let progressing = conditions.iter().find(|one| one["type"] == "Progressing").cloned().unwrap_or_default();
    assert_eq!(progressing["status"], "False");
    let message = progressing["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("has timed out progressing."), "{message}");
    Ok(())
}

async fn a_stateful_set_has_ordinals_and_claims(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("db:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/statefulsets");
    on.create(&all, &stateful_set("db", &image, 2)).await?;
    let ready = on.until(&format!("{all}/db"), |set| set["status"]["readyReplicas"] == 2).await?;
    assert_eq!(ready["status"]["currentRevision"], ready["status"]["updateRevision"]);
    for ordinal in 0..2 {
        let pod = on.until(&format!("/api/v1/namespaces/{space}/pods/db-{ordinal}"), |_| true).await?;
        assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], ordinal.to_string());
        assert_eq!(pod["spec"]["hostname"], format!("db-{ordinal}"));
        let claims = format!("/api/v1/namespaces/{space}/persistentvolumeclaims/data-db-{ordinal}");
        let claim = on.until(&claims, |claim| claim["status"]["phase"] == "Bound").await?;
        assert_eq!(claim["spec"]["storageClassName"], "disk");
        assert_eq!(claim["metadata"]["labels"], json!({"app": "db"}));
    }
    let (status, answer) = on.merge(&format!("{all}/db"), &json!({"spec": {"serviceName": "other"}})).await?;
    assert_eq!(status, 422);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("updates to statefulset spec for fields other than"), "{message}");
    let next = on.registry.push("db:2", "amd64");
    let mut template = stateful_set("db", &next, 2)["spec"]["template"].clone();
    template["metadata"]["annotations"] = json!({"round": "2"});
    on.merge(&format!("{all}/db"), &json!({"spec": {"template": template}})).await?;
    let rolled = on
        .until(&format!("{all}/db"), |set| {
            set["status"]["updatedReplicas"] == 2
                && set["status"]["readyReplicas"] == 2
                && set["status"]["observedGeneration"] == 2
                && set["status"]["currentRevision"] == set["status"]["updateRevision"]
        })
        .await?;
    assert_ne!(rolled["status"]["currentRevision"], ready["status"]["currentRevision"]);
    on.merge(&format!("{all}/db"), &json!({"spec": {"replicas": 1}})).await?;
    on.until_gone(&format!("/api/v1/namespaces/{space}/pods/db-1")).await?;
    assert_eq!(on.get(&format!("/api/v1/namespaces/{space}/persistentvolumeclaims/data-db-1")).await?.0, 200);
    Ok(())
}

async fn an_orphaned_stateful_set_is_taken_over(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("db:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/statefulsets");
    let pod_path = format!("/api/v1/namespaces/{space}/pods/db-0");
    on.create(&all, &stateful_set("db", &image, 1)).await?;
    on.until(&format!("{all}/db"), |set| set["status"]["readyReplicas"] == 1).await?;
    let (_, before) = on.get(&pod_path).await?;
    on.delete(&format!("{all}/db"), &json!({"propagationPolicy": "Orphan"})).await?;
    on.until_gone(&format!("{all}/db")).await?;
    on.until(&pod_path, |pod| pod["metadata"].get("ownerReferences").is_none()).await?;
    let made = on.create(&all, &stateful_set("db", &image, 1)).await?;
    let uid = made["metadata"]["uid"].clone();
    let after = on.until(&pod_path, |pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid).await?;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "the pod was not started again");
    Ok(())
}

/// A set without claims, so that its pods go to any node.
fn plain_set(name: &str, image: &str, replicas: i64) -> Value {
    let mut set = stateful_set(name, image, replicas);
    set["spec"].as_object_mut().expect("a set has a spec").remove("volumeClaimTemplates");
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([]);
    set
}

fn image_of(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

fn image_patch(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}})
}

fn cannot_pull(pod: &Value) -> bool {
    let reason = pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str();
    reason.is_some_and(|reason| reason == "ErrImagePull" || reason == "ImagePullBackOff")
}

async fn a_broken_pod_of_a_stateful_set_stays_until_it_is_deleted(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let (good, missing) = (on.registry.push("db:1", "amd64"), format!("{}/db:none", on.registry.address));
    let path = format!("/apis/apps/v1/namespaces/{space}/statefulsets/db");
    let pods = format!("/api/v1/namespaces/{space}/pods");
    on.create(&format!("/apis/apps/v1/namespaces/{space}/statefulsets"), &plain_set("db", &good, 2)).await?;
    on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    on.merge(&path, &image_patch(&missing)).await?;
    let broken = on.until(&format!("{pods}/db-1"), cannot_pull).await?;
    on.merge(&path, &image_patch(&good)).await?;
    // A change that the controller answers after it has seen the old image again.
    on.until(&path, |set| set["status"]["observedGeneration"] == 3).await?;
    on.merge(&path, &json!({"spec": {"revisionHistoryLimit": 5}})).await?;
    let stuck = on.until(&path, |set| set["status"]["observedGeneration"] == 4).await?;
    assert_eq!(stuck["status"]["readyReplicas"], 1, "{stuck:#}");
    let (_, still) = on.get(&format!("{pods}/db-1")).await?;
    assert_eq!(still["metadata"]["uid"], broken["metadata"]["uid"], "nobody replaces it");
    assert!(still["metadata"].get("deletionTimestamp").is_none());
    on.delete(&format!("{pods}/db-1"), &json!({"gracePeriodSeconds": 0})).await?;
    let done = |set: &Value| {
        let status = &set["status"];
        status["readyReplicas"] == 2 && status["currentRevision"] == status["updateRevision"]
    };
    on.until(&path, done).await?;
    assert_eq!(image_of(&on.get(&format!("{pods}/db-1")).await?.1), good);
    Ok(())
}

async fn a_pod_that_lacks_a_claim_stays_until_it_is_deleted(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("db:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/statefulsets");
    let (path, pods) = (format!("{all}/db"), format!("/api/v1/namespaces/{space}/pods"));
    on.create(&all, &plain_set("db", &image, 2)).await?;
    on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    on.delete(&path, &json!({"propagationPolicy": "Orphan"})).await?;
    on.until_gone(&path).await?;
    let mut before = Vec::new();
    for ordinal in 0..2 {
        before.push(
            on.until(&format!("{pods}/db-{ordinal}"), |pod| pod["metadata"].get("ownerReferences").is_none()).await?,
        );
    }
    on.create(&all, &stateful_set("db", &image, 2)).await?;
    let refused = |events: &Value| {
        let events = events["items"].as_array().into_iter().flatten();
        events.filter(|event| event["reason"] == "FailedUpdate").any(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            message
                .starts_with("Update Pod db-0 in StatefulSet db failed error: Pod \"db-0\" is invalid: spec: Forbidden")
        })
    };
    on.until(&format!("/api/v1/namespaces/{space}/events"), refused).await?;
    on.until(&format!("/api/v1/namespaces/{space}/persistentvolumeclaims/data-db-0"), |_| true).await?;
    for (ordinal, before) in before.iter().enumerate() {
        let (_, pod) = on.get(&format!("{pods}/db-{ordinal}")).await?;
        assert_eq!(pod["metadata"]["uid"], before["metadata"]["uid"], "nobody replaces it");
    }
    for (ordinal, before) in before.iter().enumerate() {
        let pod = format!("{pods}/db-{ordinal}");
        on.delete(&pod, &json!({"gracePeriodSeconds": 0})).await?;
        let made = on.until(&pod, |pod| pod["metadata"]["uid"] != before["metadata"]["uid"]).await?;
        let claim = &made["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
        assert_eq!(*claim, format!("data-db-{ordinal}"));
        on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    }
    Ok(())
}

async fn a_parallel_stateful_set_replaces_its_broken_pod(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let (good, missing) = (on.registry.push("db:1", "amd64"), format!("{}/db:none", on.registry.address));
    let path = format!("/apis/apps/v1/namespaces/{space}/statefulsets/db");
    let pod = format!("/api/v1/namespaces/{space}/pods/db-1");
    let mut set = plain_set("db", &good, 2);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    on.create(&format!("/apis/apps/v1/namespaces/{space}/statefulsets"), &set).await?;
    on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    on.merge(&path, &image_patch(&missing)).await?;
    let broken = on.until(&pod, cannot_pull).await?;
    on.merge(&path, &image_patch(&good)).await?;
    let mended = on.until(&pod, |pod| pod["metadata"]["uid"] != broken["metadata"]["uid"]).await?;
    assert_eq!(image_of(&mended), good);
    on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    Ok(())
}

async fn a_partition_keeps_the_old_revision(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let (one, two) = (on.registry.push("db:1", "amd64"), on.registry.push("db:2", "amd64"));
    let path = format!("/apis/apps/v1/namespaces/{space}/statefulsets/db");
    let pods = format!("/api/v1/namespaces/{space}/pods");
    let mut set = plain_set("db", &one, 2);
    set["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1, "maxUnavailable": 2}});
    let made = on.create(&format!("/apis/apps/v1/namespaces/{space}/statefulsets"), &set).await?;
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    assert_eq!(made["spec"]["updateStrategy"], strategy, "maxUnavailable needs a feature that is off");
    on.until(&path, |set| set["status"]["readyReplicas"] == 2).await?;
    on.merge(&path, &image_patch(&two)).await?;
    let rolled = |set: &Value| set["status"]["updatedReplicas"] == 1 && set["status"]["readyReplicas"] == 2;
    let found = on.until(&path, rolled).await?;
    assert_ne!(found["status"]["currentRevision"], found["status"]["updateRevision"]);
    let (_, first) = on.get(&format!("{pods}/db-0")).await?;
    on.delete(&format!("{pods}/db-0"), &json!({})).await?;
    let again = on.until(&format!("{pods}/db-0"), |pod| pod["metadata"]["uid"] != first["metadata"]["uid"]).await?;
    assert_eq!(image_of(&again), one, "below the partition a pod comes back as it was");
    assert_eq!(again["metadata"]["labels"]["controller-revision-hash"], found["status"]["currentRevision"]);
    let (_, revisions) = on.get(&format!("/apis/apps/v1/namespaces/{space}/controllerrevisions")).await?;
    assert_eq!(revisions["items"].as_array().map(Vec::len), Some(2));
    Ok(())
}

async fn a_job_waits_after_a_failure(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("job:1", "amd64");
    let all = format!("/apis/batch/v1/namespaces/{space}/jobs");
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {
        "backoffLimit": 1, "template": {
            "metadata": {"annotations": {"controlplane.test/fault": "Failed"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}}});
    on.create(&all, &job).await?;
    let one = on.until(&format!("{all}/j"), |job| job["status"]["failed"] == 1).await?;
    assert!(one["status"].get("active").is_none() || one["status"]["active"] == 0, "{one:#}");
    let done = on.until(&format!("{all}/j"), |job| reason(job, "Failed") == "BackoffLimitExceeded").await?;
    assert_eq!(done["status"]["failed"], 2);
    let (_, pods) = on.get(&format!("/api/v1/namespaces/{space}/pods")).await?;
    let mut times: Vec<&str> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["metadata"]["creationTimestamp"].as_str())
        .collect();
    times.sort_unstable();
    let times: Vec<chrono::DateTime<chrono::Utc>> = times.iter().filter_map(|time| time.parse().ok()).collect();
    assert!(times.len() == 2 && (times[1] - times[0]).num_seconds() >= 10, "{times:?}");
    Ok(())
}

async fn jobs_complete_and_fail(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("job:1", "amd64");
    let all = format!("/apis/batch/v1/namespaces/{space}/jobs");
    let job = |name: &str, annotations: &Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
            "completions": 2, "parallelism": 1, "backoffLimit": 0, "template": {
                "metadata": {"annotations": annotations},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}}})
    };
    let made = on.create(&all, &job("good", &json!({}))).await?;
    let uid = &made["metadata"]["uid"];
    assert_eq!(made["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    let condition = |job: &Value, kind: &str| {
        let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == kind && one["status"] == "True")
    };
    let good = on.until(&format!("{all}/good"), |job| condition(job, "Complete")).await?;
    let started = |list: &Value| {
        let events = list["items"].as_array().cloned().unwrap_or_default();
        let of = |event: &Value| event["involvedObject"]["name"].as_str().is_some_and(|name| name.starts_with("good-"));
        events.iter().filter(|event| event["reason"] == "Started" && of(event)).count() == 2
    };
    on.until(&format!("/api/v1/namespaces/{space}/events"), started).await?;
    let (_, chosen) = on.get(&format!("{all}?fieldSelector=status.successful%3D2")).await?;
    assert_eq!(chosen["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(good["status"]["succeeded"], 2);
    assert!(good["status"]["completionTime"].is_string());
    on.create(&all, &job("bad", &json!({"controlplane.test/fault": "Failed"}))).await?;
    let bad = on.until(&format!("{all}/bad"), |job| condition(job, "Failed")).await?;
    assert_eq!(reason(&bad, "Failed"), "BackoffLimitExceeded");
    let patch = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}});
    assert_eq!(on.merge(&format!("{all}/good"), &patch).await?.0, 422);
    Ok(())
}

async fn what_is_owned_goes_with_its_owner(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let none = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
    for policy in ["Background", "Foreground"] {
        on.create(&all, &deployment("web", &image, 2)).await?;
        on.until(&format!("{all}/web"), complete).await?;
        on.delete(&format!("{all}/web"), &json!({"propagationPolicy": policy})).await?;
        on.until_gone(&format!("{all}/web")).await?;
        if policy == "Foreground" {
            let (_, sets) = on.get(&format!("/apis/apps/v1/namespaces/{space}/replicasets")).await?;
            assert!(none(&sets), "in the foreground the owner goes last: {sets:#}");
        }
        on.until(&format!("/apis/apps/v1/namespaces/{space}/replicasets"), none).await?;
        on.until(&format!("/api/v1/namespaces/{space}/pods"), none).await?;
    }
    let stray = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stray", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "00000000-0000-4000-8000-000000000000"}]}});
    on.create(&format!("/api/v1/namespaces/{space}/configmaps"), &stray).await?;
    on.until_gone(&format!("/api/v1/namespaces/{space}/configmaps/stray")).await?;
    Ok(())
}

async fn orphans_stay(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    on.create(&all, &deployment("web", &image, 1)).await?;
    on.until(&format!("{all}/web"), complete).await?;
    on.delete(&format!("{all}/web"), &json!({"propagationPolicy": "Orphan"})).await?;
    on.until_gone(&format!("{all}/web")).await?;
    let (_, sets) = on.get(&format!("/apis/apps/v1/namespaces/{space}/replicasets")).await?;
    assert_eq!(sets["items"].as_array().map(Vec::len), Some(1));
    assert!(sets["items"][0]["metadata"].get("ownerReferences").is_none());
    Ok(())
}

async fn a_namespace_takes_everything_along(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    on.create(&format!("/apis/apps/v1/namespaces/{space}/deployments"), &deployment("web", &image, 1)).await?;
    let held =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.org/a"]}});
    let configs = format!("/api/v1/namespaces/{space}/configmaps");
    on.create(&configs, &held).await?;
    let path = format!("/api/v1/namespaces/{space}");
    on.delete(&path, &json!({})).await?;
    on.until(&path, |found| found["status"]["phase"] == "Terminating").await?;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}});
    let (status, answer) = on.post(&configs, &body).await?;
    assert_eq!(status, 403);
    let message = format!(
        "configmaps \"late\" is forbidden: unable to create new content in namespace {space} because it is being terminated"
    );
    assert_eq!(answer["message"], message.as_str());
    on.until(&format!("{configs}/held"), |held| held["metadata"]["deletionTimestamp"].is_string()).await?;
    on.merge(&format!("{configs}/held"), &json!({"metadata": {"finalizers": null}})).await?;
    on.until_gone(&path).await?;
    let (_, pods) = on.get(&format!("{path}/pods")).await?;
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(0));
    Ok(())
}

async fn a_deployment_is_scaled(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let image = on.registry.push("web:1", "amd64");
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    on.create(&all, &deployment("web", &image, 1)).await?;
    on.until(&format!("{all}/web"), complete).await?;
    let (status, scale) = on.get(&format!("{all}/web/scale")).await?;
    assert_eq!((status, &scale["spec"]["replicas"], &scale["kind"]), (200, &json!(1), &json!("Scale")));
    assert_eq!(scale["status"]["selector"], "app=web");
    let (status, scale) = on.merge(&format!("{all}/web/scale"), &json!({"spec": {"replicas": 3}})).await?;
    assert_eq!((status, &scale["spec"]["replicas"]), (200, &json!(3)));
    let scaled = on.until(&format!("{all}/web"), |found| complete(found) && found["spec"]["replicas"] == 3).await?;
    let entries = scaled["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["subresource"] == "scale");
    assert_eq!(entry.map(|entry| &entry["fieldsV1"]), Some(&json!({"f:spec": {"f:replicas": {}}})));
    Ok(())
}
