//! Finds out from inside a cluster whether its nodes can pull an image: with a pod that lives for seconds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::{ConstantBuilder, Retryable};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Cluster, Error, Kind, ObjectRef, Observed, Propagation, PullSecretName, Refusal, Verdict, Watch,
    error::bounded_to,
    object::{check_segment, labels, uid},
    pull_secret,
};

/// The namespace of everything that a probe makes.
pub const PROBE_NAMESPACE: &str = "ropeway-system";

/// Leftovers of probes whose process died are removed by a later one when they are older than this.
const LEFTOVER_AFTER: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// After this many seconds a pod that nobody removed stops by itself.
const POD_SECONDS: u32 = 600;

/// Time for removing what a probe made.
const CLEAN_UP: Duration = Duration::from_secs(15);

/// States in which a container waits because its image cannot be had.
pub(crate) const NOT_PULLED: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Those of them that no further attempt changes.
const NEVER_PULLED: [&str; 2] = ["InvalidImageName", "ErrImageNeverPull"];

/// States in which a container waits after its image was pulled.
pub(crate) const PULLED: [&str; 5] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
    "PostStartHookError",
];

/// What to find out.
#[derive(Clone)]
pub struct ProbeRequest {
    /// Makes the names of this probe unique: 1 to 40 lower case letters, digits and hyphens.
    pub id: String,
    /// The image to pull, tiny; its entry point need not exist.
    pub image: String,
    /// Credentials to pull it with, see [`crate::docker_config_json`].
    pub docker_config: Option<Value>,
    /// The architectures of the nodes to ask; none asks any node.
    pub architectures: Vec<String>,
    /// When to give up.
    pub deadline: Instant,
    /// The current time, by which leftovers of earlier probes are recognised.
    pub now: DateTime<Utc>,
}

/// What was found on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeOutcome {
    /// The architecture asked for, if one was.
    pub architecture: Option<String>,
    /// Whether a node pulled the image.
    pub reachable: bool,
    /// Why not, or how it was found out.
    pub reason: String,
}

impl Cluster {
    /// Lets a pod per architecture pull an image. What was made is removed in any case, also when this future is
    /// dropped. An error means that nothing was found out, not that the image cannot be pulled.
    pub async fn run_probe_pod(&self, request: &ProbeRequest) -> Result<Vec<ProbeOutcome>, Error> {
        check_segment(&request.id)?;
        self.ensure_namespace(PROBE_NAMESPACE, &BTreeMap::new()).await?;
        self.remove_leftovers(request.now).await?;
        let architectures: Vec<Option<String>> = match request.architectures.as_slice() {
            [] => vec![None],
            some => some.iter().take(8).cloned().map(Some).collect(),
        };
        let mut made = Made { cluster: self.clone(), objects: Vec::new() };
        let outcome = self.probe_all(request, &architectures, &mut made).await;
        let removed = made.remove().await;
        let outcome = outcome?;
        removed?;
        Ok(outcome)
    }

    async fn probe_all(
        &self,
        request: &ProbeRequest,
        architectures: &[Option<String>],
        made: &mut Made,
    ) -> Result<Vec<ProbeOutcome>, Error> {
        let name = format!("ropeway-probe-{}", request.id);
        let secret = match &request.docker_config {
            None => None,
            Some(config) => {
                let at = PullSecretName { namespace: PROBE_NAMESPACE.into(), name: name.clone() };
                let mut secret = pull_secret(&at, config);
                secret["metadata"]["labels"][labels::PROBE] = "image".into();
                made.create(&secret, request.deadline).await?;
                Some(name.as_str())
            }
        };
        let mut pods = Vec::new();
        for (at, architecture) in architectures.iter().enumerate() {
            let pod = probe_pod(&format!("{name}-{at}"), &request.image, secret, architecture.as_deref());
            pods.push(made.create(&pod, request.deadline).await?);
        }
        let waits = pods.iter().zip(architectures).map(|(pod, architecture)| async move {
            let watch = Watch {
                references: vec![pod.clone()],
                namespace: PROBE_NAMESPACE.into(),
                selector: None,
                details: true,
            };
            let refused = Mutex::new(None);
            let judge = |seen: Arc<[Observed]>| {
                let found = match judge(&seen) {
                    Seen::Known(reachable, reason) => Verdict::Done((reachable, reason)),
                    Seen::NotPulled(reason) => {
                        *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
                        Verdict::Continue(reason)
                    }
                    Seen::Nothing(reason) => Verdict::Continue(reason),
                    Seen::Over(reason) => Verdict::Fail(reason),
                };
                async move { found }
            };
            let waited = self.watch_until(&watch, request.deadline, judge).await;
            let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (reachable, reason) = match (waited, refused) {
                (Ok(found), _) => found,
                // A node tried, again and again. That no node tried, or the cluster did not answer, tells nothing.
                (Err(Error::Timeout { .. } | Error::Failed { .. }), Some(reason)) => {
                    (false, format!("not within the time given: {reason}"))
                }
                (Err(other), _) => return Err(other),
            };
            Ok(ProbeOutcome { architecture: architecture.clone(), reachable, reason: bounded_to(&reason, 500) })
        });
        join_all(waits).await.into_iter().collect()
    }

    /// Removes what probes left behind whose process died.
    async fn remove_leftovers(&self, now: DateTime<Utc>) -> Result<(), Error> {
        for kind in ["Pod", "Secret"] {
            let kind = Kind::new("v1", kind);
            let selector = format!("{}=image", labels::PROBE);
            let page = self.list_page(&kind, Some(PROBE_NAMESPACE), Some(&selector), 100, None).await?;
            for object in page.items {
                let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
                let created = created.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
                if created.is_some_and(|created| now.signed_duration_since(created) > LEFTOVER_AFTER)
                    && let Some(uid) = uid(&object)
                {
                    self.delete_by_uid(&ObjectRef::of(&object)?, uid, Propagation::Background).await?;
                }
            }
        }
        Ok(())
    }
}

/// What a probe made and has to remove.
struct Made {
    cluster: Cluster,
    objects: Vec<(ObjectRef, String)>,
}

impl Made {
    /// Makes an object. A namespace that was made a moment ago does not take pods yet: that is tried again.
    async fn create(&mut self, object: &Value, deadline: Instant) -> Result<ObjectRef, Error> {
        let reference = ObjectRef::of(object)?;
        let resource = self.cluster.resource(&reference.kind()).await?;
        let pause = ConstantBuilder::default().with_delay(Duration::from_millis(200)).without_max_times();
        let attempts = (|| self.cluster.create(&reference, &resource, object)).retry(pause).when(|error| match error {
            Error::Forbidden { message, refusal: Refusal::Policy } => message.contains("service account"),
            other => other.transient(),
        });
        let made = tokio::time::timeout_at(deadline, attempts)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { what: format!("making {reference}"), last: None }));
        let made = match made {
            // The answer to an earlier attempt was lost.
            Err(Error::AlreadyExists { .. }) => self.cluster.get(&reference).await?,
            other => Some(other?),
        };
        let uid = made
            .as_ref()
            .and_then(uid)
            .map(str::to_owned)
            .ok_or_else(|| Error::Internal { message: format!("{reference} has no uid") })?;
        self.objects.push((reference.clone(), uid));
        Ok(reference)
    }

    async fn remove(mut self) -> Result<(), Error> {
        while let Some((reference, uid)) = self.objects.last().cloned() {
            self.cluster.delete_by_uid(&reference, &uid, Propagation::Background).await?;
            self.objects.pop();
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let objects = std::mem::take(&mut self.objects);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if objects.is_empty() {
            return;
        }
        let cluster = self.cluster.clone();
        runtime.spawn(async move {
            let removal = async {
                for (reference, uid) in objects.iter().rev() {
                    if let Err(error) = cluster.delete_by_uid(reference, uid, Propagation::Background).await {
                        tracing::warn!(cluster.name = cluster.name(), object = %reference, %error, "A probe left an object behind");
                    }
                }
            };
            let _late = tokio::time::timeout(CLEAN_UP, removal).await;
        });
    }
}

fn probe_pod(name: &str, image: &str, secret: Option<&str>, architecture: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": PROBE_NAMESPACE,
            "labels": {labels::MANAGED_BY: labels::ROPEWAY, labels::PROBE: "image"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": POD_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe",
                "image": image,
                // An image that the node has already says nothing about the registry.
                "imagePullPolicy": "Always",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
            }],
        },
    });
    if let Some(secret) = secret {
        pod["spec"]["imagePullSecrets"] = json!([{"name": secret}]);
    }
    if let Some(architecture) = architecture {
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": architecture});
    }
    pod
}

/// What a pod tells of its image.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Whether it can be pulled, and how that is known.
    Known(bool, String),
    /// A node could not pull it, and tries again.
    NotPulled(String),
    /// Nothing yet.
    Nothing(String),
    /// Nothing, and the pod has ended.
    Over(String),
}

/// Whether the pod's image was pulled.
fn judge(seen: &[Observed]) -> Seen {
    let Some((observed, pod)) = seen.first().and_then(|one| Some((one, one.object.as_ref()?))) else {
        return Seen::Nothing("the probe pod does not exist".into());
    };
    let container = pod.pointer("/status/containerStatuses/0");
    let state = |path: &str| container.and_then(|container| container.pointer(path)).and_then(Value::as_str);
    let waiting = state("/state/waiting/reason").unwrap_or_default();
    let has = |state: &str| container.and_then(|container| container.pointer(state)).is_some_and(Value::is_object);
    if has("/state/running") || has("/state/terminated") || has("/lastState/terminated") || PULLED.contains(&waiting) {
        return Seen::Known(true, "a node pulled the image".into());
    }
    if NOT_PULLED.contains(&waiting) {
        let message = state("/state/waiting/message").filter(|message| !message.is_empty());
        let event = observed.events.iter().rev().find(|event| event["reason"] == "Failed");
        let message = message.or_else(|| event?.get("message")?.as_str()).unwrap_or("no reason was given");
        let reason = format!("{waiting}: {message}");
        return if NEVER_PULLED.contains(&waiting) { Seen::Known(false, reason) } else { Seen::NotPulled(reason) };
    }
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    if phase == "Failed" {
        let message =
            pod.pointer("/status/message").and_then(Value::as_str).unwrap_or("the pod was refused by its node");
        return Seen::Over(message.to_owned());
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let unscheduled = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False");
    let message = unscheduled.and_then(|condition| condition.get("message")?.as_str());
    Seen::Nothing(message.map_or_else(
        || if waiting.is_empty() { format!("the pod is {phase}") } else { format!("the container is {waiting}") },
        |message| format!("no node takes the pod: {message}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: &Value) -> Seen {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": status});
        let reference = ObjectRef::of(&pod).expect("reference");
        judge(&[Observed { reference, object: Some(pod), pods: Vec::new(), events: Vec::new() }])
    }

    #[test]
    fn a_container_that_could_not_start_has_its_image() {
        for state in [
            json!({"terminated": {"exitCode": 128, "reason": "StartError"}}),
            json!({"running": {}}),
            json!({"waiting": {"reason": "CreateContainerError"}}),
        ] {
            let found = verdict(&json!({"containerStatuses": [{"state": state}]}));
            assert!(matches!(found, Seen::Known(true, _)), "{found:?}");
        }
    }

    #[test]
    fn an_image_that_was_not_pulled_is_told_with_the_reason() {
        let waiting = |reason: &str| {
            let state = json!({"waiting": {"reason": reason, "message": "connection refused"}});
            verdict(&json!({"containerStatuses": [{"state": state}]}))
        };
        // The next attempt may succeed.
        for reason in ["ErrImagePull", "ImagePullBackOff"] {
            assert_eq!(waiting(reason), Seen::NotPulled(format!("{reason}: connection refused")));
        }
        assert_eq!(waiting("InvalidImageName"), Seen::Known(false, "InvalidImageName: connection refused".into()));
    }

    #[test]
    fn a_pod_without_a_node_is_waited_for() {
        let found = verdict(&json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}));
        assert_eq!(found, Seen::Nothing("no node takes the pod: 0/3 nodes are available".into()));
    }
}
