//! Helps a StatefulSet over pods that its controller would wait for without end.
//!
//! The controller replaces pods of an earlier template one after another, and none while another is not available:
//! `processReplica`, `updateStatefulSet` and `updateStatefulSetAfterInvariantEstablished` in
//! `pkg/controller/statefulset/stateful_set_control.go` of Kubernetes 1.36.3. There are two pods that it does not get
//! over:
//!
//! - One that is not running and ready, and will not be. So a template that cannot start is not rolled back by another
//!   template: its pod has to be deleted by hand (kubernetes/kubernetes issue 67250).
//! - One without a volume for each claim template, as every pod that was there before its set was made anew with another
//!   claim template. The controller tries to add the volume, which the API server refuses, as volumes of pods never
//!   change (`storageMatches` in `stateful_set_utils.go`).
//!
//! A pod that is not ready for a moment, as in every update, is not such a one: what is wrong for good is told by why its
//! containers wait, or by how long it has not been ready. Pods may be members of a quorum, so one goes at a time, and
//! none while another ends or starts.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::{
    Cluster, Deleted, Error, Kind, ObjectRef, Preconditions, Propagation,
    apply::{OwnerCheck, check_owner},
    object::{label, resource_version, uid},
    probe::{NOT_PULLED, PULLED},
};

/// The label by which a pod tells from which revision of the template it was made.
const REVISION: &str = "controller-revision-hash";

/// Of a set with more pods than this, none is deleted.
const MAX_PODS: usize = 5000;

/// A pod that has not been ready for longer than this is not waited for.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);

impl Cluster {
    /// Deletes the one pod of a StatefulSet of the application that its controller waits for although it would replace
    /// it: its own pod, of another revision than the wanted one, that cannot start or has not been ready for a minute; or,
    /// once all are ready, the first of those that lack the volume of a claim template. Returns its name.
    ///
    /// The controller makes it anew from the template that is wanted now. None is deleted while another pod of the set
    /// ends, or one of the wanted revision is not ready: then the controller waits for that. A set whose last change its
    /// controller has not seen yet, and one that updates no pods by itself (`OnDelete`), is left alone; so are pods below
    /// its partition. An object of another kind has no such pods. One request tells that nothing is stuck, so this may be
    /// called again and again while a set is waited for.
    ///
    /// A set that is not the application's is refused as by [`Cluster::delete`].
    pub async fn delete_stuck_pod(
        &self,
        reference: &ObjectRef,
        preconditions: &Preconditions,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Error> {
        if reference.kind != "StatefulSet" || !reference.api_version.starts_with("apps/") {
            return Ok(None);
        }
        let Some(set) = self.get(reference).await? else { return Ok(None) };
        let owner = OwnerCheck {
            application: preconditions.application.clone(),
            known_uid: Some(preconditions.uid.clone()),
            may_create: false,
        };
        check_owner(reference, &set, &owner)?;
        if !may_be_stuck(&set) {
            return Ok(None);
        }
        let Some(own) = self.pods_of(&set, reference.namespace.as_deref()).await? else { return Ok(None) };
        let Some(pod) = stuck(&set, &own, now) else { return Ok(None) };
        let (Some(pod_uid), version) = (uid(pod), resource_version(pod)) else { return Ok(None) };
        let pod = ObjectRef::of(pod)?;
        match self.delete_exactly(&pod, pod_uid, version, Propagation::Background).await {
            Ok(Deleted::Requested) => Ok(Some(pod.name)),
            // Somebody else was faster, or the pod is no longer as it was judged.
            Ok(Deleted::Gone) | Err(Error::Replaced { .. } | Error::Conflict { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// All pods of a set; None if there are too many.
    async fn pods_of(&self, set: &Value, namespace: Option<&str>) -> Result<Option<Vec<Value>>, Error> {
        let (pods, selector) = (Kind::new("v1", "Pod"), selector(set));
        let (mut own, mut seen, mut after) = (Vec::new(), 0, None::<String>);
        loop {
            let page = self.list_page(&pods, namespace, selector.as_deref(), 500, after.as_deref()).await?;
            seen += page.items.len();
            own.extend(page.items.into_iter().filter(|pod| is_own(set, pod)));
            after = page.next;
            if after.is_none() {
                return Ok(Some(own));
            }
            if seen >= MAX_PODS {
                return Ok(None);
            }
        }
    }
}

/// The pod that the controller of a set waits for without end, although it would replace it.
fn stuck<'a>(set: &Value, own: &'a [Value], now: DateTime<Utc>) -> Option<&'a Value> {
    if own.iter().any(is_deleted) {
        return None;
    }
    let mut waited_for: Vec<&Value> = own.iter().filter(|pod| !is_ready(pod)).collect();
    if waited_for.is_empty() {
        return lacking(set, own);
    }
    if waited_for.iter().any(|pod| is_updated(set, pod)) {
        return None;
    }
    // In the order in which the controller looks at them. Unless it starts them all at once, the first stops it.
    waited_for.sort_by_key(|pod| ordinal(pod));
    let at_once = text(set, "/spec/podManagementPolicy") == "Parallel";
    let count = if at_once { waited_for.len() } else { 1 };
    waited_for.into_iter().take(count).find(|pod| is_outdated(set, pod) && is_broken(pod, now))
}

/// The first pod that lacks the volume of a claim template, of a set that can do without one: it has as many as are
/// wanted, and all of them are ready.
fn lacking<'a>(set: &Value, own: &'a [Value]) -> Option<&'a Value> {
    if u64::try_from(own.len()).ok() != Some(number(set, "/spec/replicas")) {
        return None;
    }
    let lacking = own.iter().filter(|pod| is_outdated(set, pod) && lacks_claim(set, pod));
    // In the order in which the controller looks at them: it gets to a pod when those before it are as they should be.
    lacking.min_by_key(|pod| ordinal(pod))
}

/// What the status of a set alone can tell: whether some pod may be of another revision, and not ready or without a
/// volume.
fn may_be_stuck(set: &Value) -> bool {
    let count = |field: &str| number(set, &format!("/status/{field}"));
    let rolls = text(set, "/spec/updateStrategy/type") != "OnDelete";
    let is_seen = set.pointer("/status/observedGeneration") == set.pointer("/metadata/generation");
    let has_claims = !claim_templates(set).is_empty();
    rolls
        && is_seen
        && !is_deleted(set)
        && !text(set, "/status/updateRevision").is_empty()
        && count("updatedReplicas") < count("replicas")
        && (has_claims || count("readyReplicas") < count("replicas"))
}

/// Whether a pod is the set's.
fn is_own(set: &Value, pod: &Value) -> bool {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    owners
        .filter(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
        .any(|owner| uid(set).is_some() && owner.get("uid").and_then(Value::as_str) == uid(set))
}

/// Whether a set would replace this pod of its own: it is of another revision.
fn is_outdated(set: &Value, pod: &Value) -> bool {
    // Below the partition it would be made anew from the earlier template.
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    let is_replaced = ordinal(pod).is_some_and(|ordinal| ordinal >= partition);
    label(pod, REVISION).is_some_and(|revision| !revision.is_empty()) && !is_updated(set, pod) && is_replaced
}

/// Whether a pod is of the revision that is wanted.
fn is_updated(set: &Value, pod: &Value) -> bool {
    label(pod, REVISION) == Some(text(set, "/status/updateRevision"))
}

/// Whether a pod that is not ready will not become so: it cannot start, or it has had its time. One that has ended is
/// replaced by its controller.
fn is_broken(pod: &Value, now: DateTime<Utc>) -> bool {
    let late = || unready_since(pod).is_some_and(|since| now.signed_duration_since(since) > PATIENCE);
    match text(pod, "/status/phase") {
        "Pending" => cannot_start(pod) || late(),
        "Running" => late(),
        _ => false,
    }
}

/// Whether no node takes a pod, or one of its containers waits for a reason that does not pass by itself.
fn cannot_start(pod: &Value) -> bool {
    if condition(pod, "PodScheduled").is_some_and(|scheduled| text(scheduled, "/status") == "False") {
        return true;
    }
    let containers = |field: &str| pod.pointer(field).and_then(Value::as_array).into_iter().flatten();
    let mut all = containers("/status/initContainerStatuses").chain(containers("/status/containerStatuses"));
    all.any(|status| {
        let reason = text(status, "/state/waiting/reason");
        NOT_PULLED.contains(&reason) || PULLED.contains(&reason)
    })
}

/// Since when a pod has not been ready: since it was made, where it has not said so yet.
fn unready_since(pod: &Value) -> Option<DateTime<Utc>> {
    let since = match condition(pod, "Ready") {
        Some(condition) => text(condition, "/lastTransitionTime"),
        None => text(pod, "/metadata/creationTimestamp"),
    };
    DateTime::parse_from_rfc3339(since).ok().map(|since| since.to_utc())
}

fn is_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running"
        && condition(pod, "Ready").is_some_and(|condition| text(condition, "/status") == "True")
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.find(|condition| text(condition, "/type") == kind)
}

fn is_deleted(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether a pod has no volume of a claim that a template of its set describes.
fn lacks_claim(set: &Value, pod: &Value) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    claim_templates(set).iter().map(|template| text(template, "/metadata/name")).any(|template| {
        let claim = format!("{template}-{}", text(pod, "/metadata/name"));
        !volumes.iter().any(|volume| {
            text(volume, "/name") == template && text(volume, "/persistentVolumeClaim/claimName") == claim
        })
    })
}

fn claim_templates(set: &Value) -> &[Value] {
    set.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn ordinal(pod: &Value) -> Option<u64> {
    text(pod, "/metadata/name").rsplit_once('-')?.1.parse().ok()
}

/// A label selector that all pods of a set match.
fn selector(set: &Value) -> Option<String> {
    let labels = set.pointer("/spec/selector/matchLabels").and_then(Value::as_object)?;
    let pairs: Vec<String> =
        labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> Value {
        json!({
            "metadata": {"uid": "set", "generation": 3},
            "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
            "status": {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2,
                       "updateRevision": "db-a", "currentRevision": "db-a"},
        })
    }

    fn pod() -> Value {
        json!({
            "metadata": {"name": "db-2", "uid": "pod", "labels": {"controller-revision-hash": "db-b"},
                         "ownerReferences": [{"kind": "StatefulSet", "uid": "set", "controller": true}]},
            "status": {"phase": "Pending",
                       "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                       "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
        })
    }

    fn ready(pod: &mut Value) {
        pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    }

    /// So many seconds after the pod became unready.
    fn after(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + seconds, 0).expect("an instant")
    }

    #[test]
    fn the_status_of_a_set_tells_that_nothing_can_be_stuck() {
        assert!(may_be_stuck(&set()));
        for (pointer, value) in [
            ("/status/observedGeneration", json!(2)),
            ("/status/updatedReplicas", json!(3)),
            ("/status/readyReplicas", json!(3)),
            ("/status/updateRevision", json!("")),
            ("/spec/updateStrategy/type", json!("OnDelete")),
            ("/metadata", json!({"generation": 3, "deletionTimestamp": "2026-01-01T00:00:00Z"})),
            ("/status", json!({})),
        ] {
            let mut other = set();
            *other.pointer_mut(pointer).expect("field") = value;
            assert!(!may_be_stuck(&other), "{pointer}");
        }
    }

    fn name_at(set: &Value, pods: &[Value], now: DateTime<Utc>) -> String {
        let own: Vec<Value> = pods.iter().filter(|pod| is_own(set, pod)).cloned().collect();
        stuck(set, &own, now).map_or_else(String::new, |pod| text(pod, "/metadata/name").to_owned())
    }

    fn name(set: &Value, pods: &[Value]) -> String {
        name_at(set, pods, after(1))
    }

    #[test]
    fn a_pod_is_stuck_only_if_it_is_the_sets_own_of_another_revision_and_not_ready() {
        assert_eq!(name(&set(), &[pod()]), "db-2");
        for (pointer, value) in [
            ("/metadata/labels/controller-revision-hash", json!("db-a")),
            ("/metadata/labels", json!({})),
            ("/metadata/ownerReferences/0/uid", json!("another")),
            ("/metadata/ownerReferences/0/controller", json!(false)),
            ("/metadata/ownerReferences", json!([])),
            ("/metadata/name", json!("db-x")),
            ("/status/phase", json!("Failed")),
            ("/status/phase", json!("Succeeded")),
        ] {
            let mut other = pod();
            *other.pointer_mut(pointer).expect("field") = value;
            assert_eq!(name_at(&set(), &[other], after(3600)), "", "{pointer}");
        }
        let mut well = pod();
        ready(&mut well);
        assert_eq!(name_at(&set(), &[well], after(3600)), "");
        let mut parted = set();
        parted["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 3.into();
        assert_eq!(name(&parted, &[pod()]), "");
    }

    #[test]
    fn a_pod_that_may_still_become_ready_has_a_minute() {
        let ready = json!([{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let waiting = |reason: &str| json!([{"state": {"waiting": {"reason": reason}}}]);
        for (status, seconds, is_stuck) in [
            (json!({"phase": "Running", "conditions": ready}), 60, false),
            (json!({"phase": "Running", "conditions": ready}), 61, true),
            (
                json!({"phase": "Running", "conditions": ready, "containerStatuses": waiting("CrashLoopBackOff")}),
                9,
                false,
            ),
            (
                json!({"phase": "Running", "conditions": ready, "containerStatuses": waiting("CrashLoopBackOff")}),
                61,
                true,
            ),
            (
                json!({"phase": "Pending", "conditions": ready, "containerStatuses": waiting("ContainerCreating")}),
                60,
                false,
            ),
            (
                json!({"phase": "Pending", "conditions": ready, "containerStatuses": waiting("ContainerCreating")}),
                61,
                true,
            ),
            (
                json!({"phase": "Pending", "conditions": ready, "containerStatuses": waiting("CreateContainerConfigError")}),
                0,
                true,
            ),
            (
                json!({"phase": "Pending", "conditions": ready, "initContainerStatuses": waiting("CrashLoopBackOff")}),
                0,
                true,
            ),
            (json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}), 0, true),
            // It never said whether it is ready.
            (json!({"phase": "Pending"}), 60, false),
            (json!({"phase": "Pending"}), 61, true),
            (json!({}), 3600, false),
        ] {
            let mut one = pod();
            one["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            one["status"] = status;
            let expected = if is_stuck { "db-2" } else { "" };
            assert_eq!(
                name_at(&set(), std::slice::from_ref(&one), after(seconds)),
                expected,
                "{} {seconds}",
                one["status"]
            );
        }
    }

    /// Three pods of an earlier revision, all broken.
    fn broken() -> Vec<Value> {
        let pods = (0..3).rev().map(|ordinal| {
            let mut pod = pod();
            pod["metadata"]["name"] = format!("db-{ordinal}").into();
            pod
        });
        pods.collect()
    }

    #[test]
    fn broken_pods_go_one_after_another() {
        let mut pods = broken();
        assert_eq!(name(&set(), &pods), "db-0");
        pods[2]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(name(&set(), &pods), "", "it still ends");
        pods[2] = pod();
        pods[2]["metadata"]["name"] = "db-0".into();
        pods[2]["metadata"]["labels"][REVISION] = "db-a".into();
        assert_eq!(name_at(&set(), &pods, after(3600)), "", "the set waits for its new pod");
        ready(&mut pods[2]);
        assert_eq!(name(&set(), &pods), "db-1");
    }

    #[test]
    fn only_the_pod_that_stops_the_controller_is_stuck() {
        let mut pods = broken();
        // The first is not ready, but may become so: the controller has not got to the others.
        pods[2]["status"] = json!({"phase": "Running", "conditions": pods[2]["status"]["conditions"]});
        assert_eq!(name(&set(), &pods), "");
        let mut at_once = set();
        at_once["spec"]["podManagementPolicy"] = "Parallel".into();
        assert_eq!(name(&at_once, &pods), "db-1");
    }

    /// A set with a claim template that was not there when its pods were made, and its pods, all ready.
    fn with_another_claim() -> (Value, Vec<Value>) {
        let mut set = set();
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}, {"metadata": {"name": "logs"}}]);
        set["status"]["readyReplicas"] = 3.into();
        set["status"].as_object_mut().expect("a status").remove("updatedReplicas");
        let pods = (0..3).rev().map(|ordinal| {
            let mut pod = pod();
            let name = format!("db-{ordinal}");
            pod["spec"]["volumes"] =
                json!([{"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{name}")}}]);
            pod["metadata"]["name"] = name.into();
            ready(&mut pod);
            pod
        });
        (set, pods.collect())
    }

    #[test]
    fn pods_that_lack_a_claim_go_one_after_another() {
        let (set, mut pods) = with_another_claim();
        assert!(may_be_stuck(&set));
        assert_eq!(name(&set, &pods), "db-0");
        // It is made anew, with all its claims.
        pods[2]["status"] = json!({"phase": "Pending"});
        pods[2]["metadata"]["labels"][REVISION] = "db-a".into();
        let logs = json!({"name": "logs", "persistentVolumeClaim": {"claimName": "logs-db-0"}});
        pods[2]["spec"]["volumes"].as_array_mut().expect("volumes").push(logs);
        assert_eq!(name(&set, &pods), "", "the next one waits until it is ready");
        pods[2]["status"] = pods[1]["status"].clone();
        assert_eq!(name(&set, &pods), "db-1");
    }

    #[test]
    fn no_pod_that_lacks_a_claim_goes_while_another_is_missing_or_ends() {
        let (set, pods) = with_another_claim();
        assert_eq!(name(&set, &pods[1..]), "", "one is missing");
        let mut ending = pods.clone();
        ending[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(name(&set, &ending), "");
        let mut complete = set.clone();
        complete["spec"]["volumeClaimTemplates"].as_array_mut().expect("templates").pop();
        assert_eq!(name(&complete, &pods), "", "none lacks a claim: the controller replaces them itself");
        complete["spec"].as_object_mut().expect("spec").remove("volumeClaimTemplates");
        assert!(!may_be_stuck(&complete));
    }
}
