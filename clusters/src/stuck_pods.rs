//! Helps a StatefulSet over pods that its controller would wait for without end.
//!
//! Before the controller replaces pods of an earlier template it goes through all of them in order: `processReplica` and
//! `updateStatefulSet` in `pkg/controller/statefulset/stateful_set_control.go` of Kubernetes 1.36.3. There are two pods
//! that it does not get over:
//!
//! - One that is not running and ready. So a template that cannot start is not rolled back by another template: its pod
//!   has to be deleted by hand (kubernetes/kubernetes issue 67250).
//! - One without a volume for each claim template, as every pod that was there before its set was made anew with another
//!   claim template. The controller tries to add the volume, which the API server refuses, as volumes of pods never
//!   change (`storageMatches` in `stateful_set_utils.go`).

use serde_json::Value;

use crate::{
    Cluster, Deleted, Error, Kind, ObjectRef, Preconditions, Propagation,
    apply::{OwnerCheck, check_owner},
    object::{label, uid},
};

/// The label by which a pod tells from which revision of the template it was made.
const REVISION: &str = "controller-revision-hash";

/// More pods than this are not looked at in one call.
const MAX_PODS: usize = 5000;

impl Cluster {
    /// Deletes the pods of a StatefulSet of the application that its controller waits for although it would replace
    /// them: its own pods, of another revision than the wanted one, that are not running and ready; or, once all are,
    /// the first of those that lack the volume of a claim template, so that they go one after another. Returns their
    /// names.
    ///
    /// The controller makes them anew from the template that is wanted now. A set whose last change its controller has
    /// not seen yet, and one that updates no pods by itself (`OnDelete`), is left alone; so are pods below its
    /// partition. An object of another kind has no such pods. One request tells that nothing is stuck, so this may be
    /// called again and again while a set is waited for.
    ///
    /// A set that is not the application's is refused as by [`Cluster::delete`].
    pub async fn delete_stuck_pods(
        &self,
        reference: &ObjectRef,
        preconditions: &Preconditions,
    ) -> Result<Vec<String>, Error> {
        if reference.kind != "StatefulSet" || !reference.api_version.starts_with("apps/") {
            return Ok(Vec::new());
        }
        let Some(set) = self.get(reference).await? else { return Ok(Vec::new()) };
        let owner = OwnerCheck {
            application: preconditions.application.clone(),
            known_uid: Some(preconditions.uid.clone()),
            may_create: false,
        };
        check_owner(reference, &set, &owner)?;
        if !may_be_stuck(&set) {
            return Ok(Vec::new());
        }
        let (pods, selector) = (Kind::new("v1", "Pod"), selector(&set));
        let namespace = reference.namespace.as_deref();
        let (mut own, mut seen, mut after) = (Vec::new(), 0, None::<String>);
        loop {
            let page = self.list_page(&pods, namespace, selector.as_deref(), 500, after.as_deref()).await?;
            seen += page.items.len();
            own.extend(page.items.into_iter().filter(|pod| is_own(&set, pod)));
            after = page.next;
            if after.is_none() || seen >= MAX_PODS {
                break;
            }
        }
        let mut deleted = Vec::new();
        for pod in stuck(&set, &own) {
            let Some(pod_uid) = uid(pod) else { continue };
            let pod = ObjectRef::of(pod)?;
            match self.delete_by_uid(&pod, pod_uid, Propagation::Background).await {
                Ok(Deleted::Requested) => deleted.push(pod.name),
                // Somebody else was faster.
                Ok(Deleted::Gone) | Err(Error::Replaced { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(deleted)
    }
}

/// The pods that the controller of a set waits for, although it would replace them.
fn stuck<'a>(set: &Value, own: &'a [Value]) -> Vec<&'a Value> {
    let broken: Vec<&Value> = own.iter().filter(|pod| is_outdated(set, pod) && !is_ready(pod)).collect();
    if !broken.is_empty() {
        return broken;
    }
    // As many as are wanted, and all of them ready: the set can do without one.
    let wanted = number(set, "/spec/replicas");
    if u64::try_from(own.len()).ok() != Some(wanted) || own.iter().any(|pod| is_deleted(pod) || !is_ready(pod)) {
        return Vec::new();
    }
    let lacking = own.iter().filter(|pod| is_outdated(set, pod) && lacks_claim(set, pod));
    // In the order in which the controller looks at them: it gets to a pod when those before it are as they should be.
    lacking.min_by_key(|pod| ordinal(pod)).into_iter().collect()
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

/// Whether a set would replace this pod of its own: it is of another revision, and does not end already.
fn is_outdated(set: &Value, pod: &Value) -> bool {
    let revision = label(pod, REVISION).unwrap_or_default();
    // Below the partition it would be made anew from the earlier template.
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    let is_updated = ordinal(pod).is_some_and(|ordinal| ordinal >= partition);
    !revision.is_empty() && revision != text(set, "/status/updateRevision") && is_updated && !is_deleted(pod)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    text(pod, "/status/phase") == "Running"
        && conditions
            .filter(|condition| text(condition, "/type") == "Ready")
            .any(|condition| text(condition, "/status") == "True")
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
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
        })
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

    fn names(set: &Value, pods: &[Value]) -> Vec<String> {
        let own: Vec<Value> = pods.iter().filter(|pod| is_own(set, pod)).cloned().collect();
        stuck(set, &own).into_iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect()
    }

    #[test]
    fn a_pod_is_stuck_only_if_it_is_the_sets_own_of_another_revision_and_not_ready() {
        assert_eq!(names(&set(), &[pod()]), ["db-2"]);
        let mut pending = pod();
        pending["status"] = json!({"phase": "Pending"});
        assert_eq!(names(&set(), &[pending]), ["db-2"]);
        for (pointer, value) in [
            ("/metadata/labels/controller-revision-hash", json!("db-a")),
            ("/metadata/labels", json!({})),
            ("/metadata/ownerReferences/0/uid", json!("another")),
            ("/metadata/ownerReferences/0/controller", json!(false)),
            ("/metadata/ownerReferences", json!([])),
            ("/status/conditions/0/status", json!("True")),
            ("/metadata/name", json!("db-x")),
        ] {
            let mut other = pod();
            *other.pointer_mut(pointer).expect("field") = value;
            assert_eq!(names(&set(), &[other]), [""; 0], "{pointer}");
        }
        let mut ending = pod();
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(names(&set(), &[ending]), [""; 0]);
        let mut parted = set();
        parted["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 3.into();
        assert_eq!(names(&parted, &[pod()]), [""; 0]);
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
            pod["status"]["conditions"][0]["status"] = "True".into();
            pod
        });
        (set, pods.collect())
    }

    #[test]
    fn pods_that_lack_a_claim_go_one_after_another() {
        let (set, mut pods) = with_another_claim();
        assert!(may_be_stuck(&set));
        assert_eq!(names(&set, &pods), ["db-0"]);
        // It is made anew, with all its claims.
        pods[2]["status"] = json!({"phase": "Pending"});
        pods[2]["metadata"]["labels"][REVISION] = "db-a".into();
        let logs = json!({"name": "logs", "persistentVolumeClaim": {"claimName": "logs-db-0"}});
        pods[2]["spec"]["volumes"].as_array_mut().expect("volumes").push(logs);
        assert_eq!(names(&set, &pods), [""; 0], "the next one waits until it is ready");
        pods[2]["status"] = pods[1]["status"].clone();
        assert_eq!(names(&set, &pods), ["db-1"]);
    }

    #[test]
    fn no_pod_that_lacks_a_claim_goes_while_another_is_missing_or_ends() {
        let (set, pods) = with_another_claim();
        assert_eq!(names(&set, &pods[1..]), [""; 0], "one is missing");
        let mut ending = pods.clone();
        ending[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(names(&set, &ending), [""; 0]);
        let mut complete = set.clone();
        complete["spec"]["volumeClaimTemplates"].as_array_mut().expect("templates").pop();
        assert_eq!(names(&complete, &pods), [""; 0], "none lacks a claim: the controller replaces them itself");
        complete["spec"].as_object_mut().expect("spec").remove("volumeClaimTemplates");
        assert!(!may_be_stuck(&complete));
    }
}
