//! Health: live objects about which no two drivers may differ.

use super::{Report, Subject};
use crate::{HealthState, ObjectRef, Observed, Target};
use serde_json::{Value as Json, json};

/// What is found, and what every driver says of it.
struct Case {
    what: &'static str,
    object: Option<Json>,
    kind: (&'static str, &'static str),
    state: HealthState,
}

pub(super) fn check<S: Subject>(subject: &S, target: &Target, report: &mut Report) {
    let cases = cases();
    for case in &cases {
        let observed = [observed(case, "one")];
        let Some(health) = report.answer(case.what, subject.assess(target, &observed)) else { continue };
        report.hold(health.items.len() == 1 && health.items[0].reference == observed[0].reference, || {
            format!("assess, {}: one object has one item", case.what)
        });
        let states: Vec<_> = health.items.iter().map(|item| item.state).collect();
        report.hold(states == [case.state], || format!("assess, {}: {states:?}, not {:?}", case.what, case.state));
        let explains = health.items.iter().all(|item| !item.reason.is_empty() && !item.message.is_empty());
        report.hold(explains, || format!("assess, {}: neither reason nor message may be empty", case.what));
        let agrees = (health.state == HealthState::Healthy) == (case.state == HealthState::Healthy);
        report.hold(agrees, || format!("assess, {}: together {:?}", case.what, health.state));
    }
    let all: Vec<_> = cases.iter().enumerate().map(|(n, case)| observed(case, &format!("n-{n}"))).collect();
    if let Some(health) = report.answer("assess of all", subject.assess(target, &all)) {
        let is_in_order = health.items.iter().map(|item| &item.reference).eq(all.iter().map(|it| &it.reference));
        report.hold(is_in_order, || "assess of all: items are not those asked about, in their order".to_owned());
        report.hold(health.state != HealthState::Healthy, || "assess of all: some are not healthy".to_owned());
    }
    if let Some(health) = report.answer("assess of nothing", subject.assess(target, &[])) {
        let is_healthy = health.state == HealthState::Healthy && health.items.is_empty();
        report.hold(is_healthy, || format!("assess of nothing: {health:?}"));
    }
}

fn observed(case: &Case, name: &str) -> Observed {
    let (api_version, kind) = case.kind;
    let object = case.object.clone().map(|mut object| {
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        object.to_string()
    });
    let reference = ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), name: name.to_owned() };
    Observed { reference, object, events: Vec::new() }
}

fn cases() -> Vec<Case> {
    use HealthState::{Degraded, Healthy, Missing, Progressing};
    let deployment = ("apps/v1", "Deployment");
    let stateful_set = ("apps/v1", "StatefulSet");
    let job = ("batch/v1", "Job");
    let claim = ("v1", "PersistentVolumeClaim");
    let case = |what, kind, object, state| Case { what, object: Some(object), kind, state };
    let rollout = |wanted: u32, generation: u32, status: Json| json!({ "metadata": { "generation": generation }, "spec": { "replicas": wanted }, "status": status });
    vec![
        Case { what: "a Deployment that is not there", object: None, kind: deployment, state: Missing },
        case(
            "a Deployment with all replicas",
            deployment,
            rollout(
                2,
                3,
                json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
            ),
            Healthy,
        ),
        case(
            "a Deployment of which one replica is not available",
            deployment,
            rollout(
                2,
                3,
                json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 }),
            ),
            Progressing,
        ),
        case(
            "a Deployment whose change was not seen yet",
            deployment,
            rollout(
                2,
                4,
                json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
            ),
            Progressing,
        ),
        case(
            "a Deployment that made no progress",
            deployment,
            rollout(
                1,
                1,
                json!({ "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "conditions": [
                    { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "no" }
                ] }),
            ),
            Degraded,
        ),
        case("a Deployment that is stopped", deployment, rollout(0, 1, json!({ "observedGeneration": 1 })), Healthy),
        case(
            "a StatefulSet with all replicas",
            stateful_set,
            rollout(
                1,
                1,
                json!({ "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                    "currentRevision": "a", "updateRevision": "a" }),
            ),
            Healthy,
        ),
        case(
            "a StatefulSet that is being updated",
            stateful_set,
            rollout(
                2,
                2,
                json!({ "observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 1,
                    "currentRevision": "a", "updateRevision": "b" }),
            ),
            Progressing,
        ),
        case(
            "a Job that ran",
            job,
            json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } }),
            Healthy,
        ),
        case(
            "a Job that failed",
            job,
            json!({ "status": { "conditions": [
                { "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often" }
            ] } }),
            Degraded,
        ),
        case("a Job that runs", job, json!({ "status": { "active": 1 } }), Progressing),
        case("a claim with a volume", claim, json!({ "status": { "phase": "Bound" } }), Healthy),
        case(
            "a claim that waits for its first consumer",
            claim,
            json!({ "spec": { "storageClassName": "disk" }, "status": { "phase": "Pending" } }),
            Healthy,
        ),
        case(
            "a claim that waits for its volume",
            claim,
            json!({ "spec": { "storageClassName": "files" }, "status": { "phase": "Pending" } }),
            Progressing,
        ),
        case("a ConfigMap", ("v1", "ConfigMap"), json!({ "data": {} }), Healthy),
        case(
            "a Service within the cluster",
            ("v1", "Service"),
            json!({ "spec": { "type": "ClusterIP", "clusterIP": "10.0.0.1" } }),
            Healthy,
        ),
        case(
            "a load balancer without an address",
            ("v1", "Service"),
            json!({ "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": {} } }),
            Progressing,
        ),
        case(
            "a load balancer with a host name",
            ("v1", "Service"),
            json!({ "spec": { "type": "LoadBalancer" },
                "status": { "loadBalancer": { "ingress": [{ "hostname": "lb.example.org" }] } } }),
            Healthy,
        ),
        case("an object of an unknown kind", ("example.org/v1", "Widget"), json!({ "spec": {} }), Healthy),
    ]
}
