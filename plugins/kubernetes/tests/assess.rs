//! How live objects are judged.

use ropeway_driver_kubernetes::Kubernetes;
use ropeway_driver_sdk::{
    Driver, Health,
    HealthState::{self, Degraded, Healthy, Missing, Progressing, Unknown},
    ObjectRef, Observed, conformance,
};
use serde_json::{Value as Json, json};

#[test]
fn objects_alone() {
    let lb = |status: Json| json!({ "kind": "Service", "spec": { "type": "LoadBalancer" }, "status": status });
    let ingress = |status: Json| json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "status": status });
    let claim = |class: Option<&str>, phase: &str| json!({ "kind": "PersistentVolumeClaim", "spec": { "storageClassName": class }, "status": { "phase": phase } });
    let job = |status: Json| json!({ "apiVersion": "batch/v1", "kind": "Job", "status": status });
    let suspended = |status: Json| json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": { "suspend": true }, "status": status });
    let set = |wanted: i64, status: Json| json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "spec": { "replicas": wanted }, "status": status });
    let daemon = |wanted, updated, available| {
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "status": {
        "desiredNumberScheduled": wanted, "updatedNumberScheduled": updated, "numberAvailable": available } })
    };
    for (object, state, reason) in [
        (deployment(2, json!({ "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 })), Healthy, "Available"),
        (
            deployment(2, json!({ "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2 })),
            Progressing,
            "Updating",
        ),
        (
            deployment(2, json!({ "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2 })),
            Progressing,
            "Updating",
        ),
        (
            deployment(2, json!({ "replicas": 2, "updatedReplicas": 2, "availableReplicas": 0 })),
            Progressing,
            "Starting",
        ),
        (deployment(2, json!({ "observedGeneration": 0 })), Progressing, "NotObserved"),
        (deployment(0, json!({ "replicas": 1 })), Progressing, "Stopping"),
        (deployment(0, json!({})), Healthy, "Stopped"),
        (
            deployment(2, json!({ "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 })),
            Progressing,
            "Stopping",
        ),
        (set(2, json!({ "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3 })), Progressing, "Stopping"),
        (set(2, json!({ "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2 })), Healthy, "Ready"),
        (set(0, json!({ "replicas": 1 })), Progressing, "Stopping"),
        (set(0, json!({})), Healthy, "Stopped"),
        (suspended(json!({ "active": 1 })), Progressing, "Stopping"),
        (suspended(json!({})), Healthy, "Stopped"),
        (
            deployment(
                1,
                json!({ "conditions": [{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "exceeded quota: team" }] }),
            ),
            Degraded,
            "FailedCreate",
        ),
        (
            deployment(
                1,
                json!({ "conditions": [{ "type": "Progressing", "status": "False",
                "reason": "ProgressDeadlineExceeded" }] }),
            ),
            Degraded,
            "ProgressDeadlineExceeded",
        ),
        // A later success outweighs what the condition still says.
        (
            deployment(
                1,
                json!({ "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "conditions": [
                { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }] }),
            ),
            Healthy,
            "Available",
        ),
        (daemon(2, 2, 2), Healthy, "Available"),
        (daemon(2, 1, 2), Progressing, "Updating"),
        (daemon(2, 2, 1), Progressing, "Starting"),
        (job(json!({ "conditions": [{ "type": "Complete", "status": "True" }] })), Healthy, "Complete"),
        (
            job(json!({ "conditions": [{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }] })),
            Degraded,
            "BackoffLimitExceeded",
        ),
        (job(json!({ "active": 1 })), Progressing, "Running"),
        (job(json!({ "active": 1, "failed": 2 })), Progressing, "Retrying"),
        (job(json!({})), Progressing, "Starting"),
        (claim(None, "Bound"), Healthy, "Bound"),
        (claim(None, "Pending"), Healthy, "WaitForFirstConsumer"),
        (claim(Some("disk"), "Pending"), Healthy, "WaitForFirstConsumer"),
        (claim(Some("files"), "Pending"), Progressing, "Pending"),
        (claim(Some("gone"), "Pending"), Progressing, "Pending"),
        (claim(Some("disk"), "Lost"), Degraded, "Lost"),
        (json!({ "kind": "Service", "spec": { "type": "ClusterIP" } }), Healthy, "Present"),
        (lb(json!({})), Progressing, "NoAddress"),
        (lb(json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } })), Healthy, "Addressed"),
        (ingress(json!({})), Progressing, "NoAddress"),
        (ingress(json!({ "loadBalancer": { "ingress": [{ "hostname": "a.test" }] } })), Healthy, "Addressed"),
        (json!({ "kind": "ConfigMap" }), Healthy, "Present"),
        (
            json!({ "kind": "ConfigMap", "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            Progressing,
            "Terminating",
        ),
        (json!({ "kind": "Pod", "status": { "phase": "Succeeded" } }), Healthy, "Succeeded"),
        (json!({ "kind": "Pod", "status": { "phase": "Pending" } }), Progressing, "Starting"),
    ] {
        let health = assess(&[live(object.clone(), &[])]);
        assert_eq!((health.items[0].state, health.items[0].reason.as_str()), (state, reason), "{object}");
        assert_eq!(health.state, state);
        assert!(!health.items[0].message.is_empty() || reason == "BackoffLimitExceeded", "{object}");
    }
}

#[test]
fn a_stateful_set_is_updated_up_to_its_partition() {
    let set = |partition: i64, updated: i64, ready: i64| {
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "one", "generation": 1 },
            "spec": { "replicas": 3, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": partition } } },
            "status": { "observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": updated,
                "currentRevision": "a", "updateRevision": "b" } })
    };
    for (partition, updated, ready, state) in
        [(0, 3, 3, Healthy), (0, 2, 3, Progressing), (2, 1, 3, Healthy), (2, 0, 3, Progressing), (2, 1, 2, Progressing)]
    {
        let health = assess(&[live(set(partition, updated, ready), &[])]);
        assert_eq!(health.state, state, "{partition} {updated} {ready}");
    }
    // Made anew without its pods ending: it names one revision twice, and its pods are still of another.
    let mut anew = set(0, 0, 3);
    anew["status"]["currentRevision"] = "b".into();
    assert_eq!(assess(&[live(anew, &[])]).state, Progressing);
}

#[test]
fn pods_and_events_explain_why_a_deployment_is_not_ready() {
    let waiting = |reason: &str| {
        json!({ "containerStatuses": [{ "name": "web", "image": "a/b:1", "state": { "waiting": { "reason": reason, "message": "why" } },
            "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] })
    };
    let unscheduled = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
    let creating = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }] });
    for (status, events, state, reason, part) in [
        (waiting("ErrImagePull"), vec![], Degraded, "ErrImagePull", "cannot be pulled"),
        (waiting("ImagePullBackOff"), vec![], Degraded, "ImagePullBackOff", "\"a/b:1\""),
        (waiting("CrashLoopBackOff"), vec![], Degraded, "CrashLoopBackOff", "status 137 (OOMKilled)"),
        (waiting("CreateContainerConfigError"), vec![], Degraded, "CreateContainerConfigError", "why"),
        (waiting("ContainerCreating"), vec![], Progressing, "Starting", "0 of 1"),
        (unscheduled.clone(), vec![], Degraded, "FailedScheduling", "0/3 nodes"),
        (creating.clone(), vec![event("FailedScheduling", "1")], Progressing, "Starting", "0 of 1"),
        (creating.clone(), vec![event("FailedMount", "1")], Progressing, "FailedMount", "said at 1"),
        (json!({}), vec![event("FailedScheduling", "1")], Degraded, "FailedScheduling", "said at 1"),
        (creating, vec![event("FailedMount", "2"), event("Unhealthy", "1")], Progressing, "FailedMount", "said at 2"),
        (json!({ "phase": "Failed", "reason": "Evicted" }), vec![], Degraded, "Evicted", "failed"),
    ] {
        let objects = vec![
            live(deployment(1, json!({ "replicas": 1, "updatedReplicas": 1 })), &[]),
            live(replica_set("one-1", "1"), &[]),
            live(pod("one-1-a", "one-1", &status), &events),
        ];
        let health = assess(&objects);
        assert_eq!(health.items.len(), 1, "pods and replica sets have no items of their own");
        let item = &health.items[0];
        assert_eq!((item.state, item.reason.as_str()), (state, reason), "{status}");
        assert!(item.message.contains(part), "{}", item.message);
    }
}

#[test]
fn what_an_earlier_version_left_behind_explains_nothing() {
    let crash =
        json!({ "containerStatuses": [{ "name": "web", "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] });
    let waiting = deployment(1, json!({ "replicas": 2, "updatedReplicas": 1 }));
    // The ReplicaSet says of which roll-out the pod is.
    for (rollout, state) in [("1", Degraded), ("0", Progressing)] {
        let objects = vec![
            live(waiting.clone(), &[]),
            live(replica_set("one-1", rollout), &[]),
            live(pod("one-1-a", "one-1", &crash), &[]),
        ];
        assert_eq!(assess(&objects).state, state, "{rollout}");
    }
    // Without it the pod itself does.
    for (image, state) in [("a/b:1", Degraded), ("a/b:0", Progressing)] {
        let mut pod = pod("one-1-a", "one-1", &crash);
        pod["spec"]["containers"][0]["image"] = image.into();
        assert_eq!(assess(&[live(waiting.clone(), &[]), live(pod, &[])]).state, state, "{image}");
    }
}

#[test]
fn a_quota_is_named_by_the_event_of_the_replica_set() {
    let objects =
        vec![live(deployment(1, json!({})), &[]), live(replica_set("one-1", "1"), &[event("FailedCreate", "1")])];
    let health = assess(&objects);
    assert_eq!((health.state, health.items[0].reason.as_str()), (Degraded, "FailedCreate"));
}

#[test]
fn events_explain_claims_and_load_balancers() {
    let claim = json!({ "kind": "PersistentVolumeClaim", "spec": { "storageClassName": "files" },
        "status": { "phase": "Pending" } });
    let health = assess(&[live(claim, &[event("ProvisioningFailed", "1")])]);
    assert_eq!((health.state, health.items[0].reason.as_str()), (Degraded, "ProvisioningFailed"));
    let balancer = json!({ "kind": "Service", "spec": { "type": "LoadBalancer" } });
    let health = assess(&[live(balancer, &[event("SyncLoadBalancerFailed", "1")])]);
    assert_eq!((health.state, health.items[0].reason.as_str()), (Degraded, "SyncLoadBalancerFailed"));
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_is_healthy_whatever_is_known_of_its_class() {
    let claim = |class: &str, annotations: Json| {
        json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": "one", "annotations": annotations },
            "spec": { "storageClassName": class }, "status": { "phase": "Pending" } })
    };
    let said =
        |reason: &str| json!({ "type": "Normal", "reason": reason, "message": "it waits", "lastTimestamp": "2" });
    let earlier = event("ProvisioningFailed", "1");
    let making = json!({ "volume.kubernetes.io/selected-node": "node-1" });
    for (class, annotations, events, state, reason) in [
        // The class may not be read, or was made a moment ago: the cluster itself says that the claim waits.
        ("unknown", json!({}), vec![said("WaitForFirstConsumer")], Healthy, "WaitForFirstConsumer"),
        ("unknown", json!({}), vec![said("WaitForPodScheduled")], Healthy, "WaitForFirstConsumer"),
        ("unknown", json!({}), vec![said("ExternalProvisioning")], Progressing, "Pending"),
        // A warning from before, such as that the class was not there yet.
        ("unknown", json!({}), vec![earlier.clone(), said("WaitForFirstConsumer")], Healthy, "WaitForFirstConsumer"),
        ("disk", json!({}), vec![earlier.clone()], Healthy, "WaitForFirstConsumer"),
        ("unknown", json!({}), vec![earlier.clone()], Degraded, "ProvisioningFailed"),
        // It has its consumer, and its volume is being made.
        ("disk", making.clone(), vec![said("WaitForFirstConsumer")], Progressing, "Pending"),
        ("disk", making, vec![said("WaitForFirstConsumer"), earlier], Degraded, "ProvisioningFailed"),
    ] {
        let health = assess(&[live(claim(class, annotations.clone()), &events)]);
        let item = &health.items[0];
        assert_eq!((item.state, item.reason.as_str()), (state, reason), "{class} {annotations} {events:?}");
    }
}

#[test]
fn together_they_are_as_the_most_urgent_of_them() {
    let config = |name: &str| live(json!({ "kind": "ConfigMap", "metadata": { "name": name } }), &[]);
    let missing = Observed { object: None, ..config("gone") };
    let broken = Observed { object: Some("[".to_owned()), ..config("broken") };
    let waiting = live(json!({ "kind": "Service", "spec": { "type": "LoadBalancer" } }), &[]);
    let failed = json!({ "apiVersion": "batch/v1", "kind": "Job", "status": { "conditions": [{ "type": "Failed", "status": "True" }] } });
    let mut objects = Vec::new();
    for (object, state) in [
        (config("a"), Healthy),
        (waiting, Progressing),
        (broken, Unknown),
        (missing, Missing),
        (live(failed, &[]), Degraded),
    ] {
        objects.push(object);
        let health = assess(&objects);
        assert_eq!(health.state, state);
        assert_eq!(health.items.len(), objects.len());
        assert_eq!(health.items.last().unwrap().state, state);
    }
}

fn assess(objects: &[Observed]) -> Health {
    let states = |health: &Health| health.items.iter().map(|item| item.state).collect::<Vec<HealthState>>();
    let health = Kubernetes::assess(&conformance::target("{}"), objects);
    assert_eq!(states(&health), states(&Kubernetes::assess(&conformance::target("{}"), objects)));
    health
}

/// An observed object; what it does not say is filled in.
fn live(mut object: Json, events: &[Json]) -> Observed {
    if object["apiVersion"].is_null() {
        object["apiVersion"] = "v1".into();
    }
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = "one".into();
    }
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap().to_owned();
    let reference = ObjectRef { api_version: text("/apiVersion"), kind: text("/kind"), name: text("/metadata/name") };
    Observed { reference, object: Some(object.to_string()), events: events.iter().map(Json::to_string).collect() }
}

fn event(reason: &str, at: &str) -> Json {
    json!({ "type": "Warning", "reason": reason, "message": format!("said at {at}"), "lastTimestamp": at })
}

fn deployment(replicas: u32, status: Json) -> Json {
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "one", "generation": 1, "annotations": { "deployment.kubernetes.io/revision": "1" } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "ropeway.dev/component": "c" } },
            "template": { "spec": { "containers": [{ "name": "web", "image": "a/b:1" }] } },
        },
        "status": { "observedGeneration": 1 },
    });
    if let Json::Object(status) = status {
        object["status"].as_object_mut().unwrap().extend(status);
    }
    object
}

fn replica_set(name: &str, rollout: &str) -> Json {
    json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": name,
        "annotations": { "deployment.kubernetes.io/revision": rollout },
        "ownerReferences": [{ "kind": "Deployment", "name": "one", "controller": true }] } })
}

fn pod(name: &str, owner: &str, status: &Json) -> Json {
    json!({ "kind": "Pod", "metadata": { "name": name, "labels": { "ropeway.dev/component": "c" },
        "ownerReferences": [{ "kind": "ReplicaSet", "name": owner, "controller": true }] },
        "spec": { "containers": [{ "name": "web", "image": "a/b:1" }] }, "status": status })
}
