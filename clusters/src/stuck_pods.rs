//! Helps a StatefulSet over broken pods that its controller would wait for without end.
//!
//! Before the controller replaces pods of an earlier template it goes through all of them in order, and returns at the
//! first that is not running and ready: `processReplica` and `updateStatefulSet` in
//! `pkg/controller/statefulset/stateful_set_control.go` of Kubernetes 1.36.3. So a template that cannot start is not
//! rolled back by another template: its pod has to be deleted by hand (kubernetes/kubernetes issue 67250).

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
    /// them: its own pods, of another revision than the wanted one, that are not running and ready. Returns their names.
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
        let (mut deleted, mut seen, mut after) = (Vec::new(), 0, None::<String>);
        loop {
            let namespace = reference.namespace.as_deref();
            let page = self.list_page(&pods, namespace, selector.as_deref(), 500, after.as_deref()).await?;
            seen += page.items.len();
            for pod in page.items.iter().filter(|pod| is_stuck(&set, pod)) {
                let Some(pod_uid) = uid(pod) else { continue };
                let pod = ObjectRef::of(pod)?;
                match self.delete_by_uid(&pod, pod_uid, Propagation::Background).await {
                    Ok(Deleted::Requested) => deleted.push(pod.name),
                    // Somebody else was faster.
                    Ok(Deleted::Gone) | Err(Error::Replaced { .. }) => {}
                    Err(other) => return Err(other),
                }
            }
            after = page.next;
            if after.is_none() || seen >= MAX_PODS {
                return Ok(deleted);
            }
        }
    }
}

/// What the status of a set alone can tell: whether some pod may be of another revision, and some not ready.
fn may_be_stuck(set: &Value) -> bool {
    let count = |field: &str| number(set, &format!("/status/{field}"));
    let is_deleted = set.pointer("/metadata/deletionTimestamp").is_some();
    let rolls = text(set, "/spec/updateStrategy/type") != "OnDelete";
    let is_seen = set.pointer("/status/observedGeneration") == set.pointer("/metadata/generation");
    rolls
        && is_seen
        && !is_deleted
        && !text(set, "/status/updateRevision").is_empty()
        && count("updatedReplicas") < count("replicas")
        && count("readyReplicas") < count("replicas")
}

/// Whether the controller of a set waits for this pod, although it would replace it.
fn is_stuck(set: &Value, pod: &Value) -> bool {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let is_own = owners
        .filter(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
        .any(|owner| uid(set).is_some() && owner.get("uid").and_then(Value::as_str) == uid(set));
    let revision = label(pod, REVISION).unwrap_or_default();
    let is_outdated = !revision.is_empty() && revision != text(set, "/status/updateRevision");
    let is_ready = text(pod, "/status/phase") == "Running"
        && pod
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True");
    let is_deleted = pod.pointer("/metadata/deletionTimestamp").is_some();
    // Below the partition it would be made anew from the earlier template.
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    let ordinal = text(pod, "/metadata/name").rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<u64>().ok());
    let is_updated = ordinal.is_some_and(|ordinal| ordinal >= partition);
    is_own && is_outdated && is_updated && !is_ready && !is_deleted
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

    #[test]
    fn a_pod_is_stuck_only_if_it_is_the_sets_own_of_another_revision_and_not_ready() {
        assert!(is_stuck(&set(), &pod()));
        let mut pending = pod();
        pending["status"] = json!({"phase": "Pending"});
        assert!(is_stuck(&set(), &pending));
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
            assert!(!is_stuck(&set(), &other), "{pointer}");
        }
        let mut ending = pod();
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!is_stuck(&set(), &ending));
        let mut parted = set();
        parted["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 3.into();
        assert!(!is_stuck(&parted, &pod()));
    }
}
