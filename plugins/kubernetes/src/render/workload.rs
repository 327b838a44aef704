//! Deployments, StatefulSets and Jobs.

use super::{
    Context, Problems,
    attributes::{self, Parts},
    container,
    environment::Environment,
    files::Files,
    is_dns_label, labels, service,
    volumes::Storage,
};
use ropeway_domain::{Digest, model::WorkloadKind, rendering::ComponentModel};
use ropeway_driver_sdk::ApplyMode;
use serde_json::{Map, Value as Json, json};

/// Changes whenever a secret or a configuration file does.
const CONTENT: &str = "ropeway.dev/content";

/// How often the pod of a Job is tried again.
const JOB_RETRIES: u32 = 3;

/// Renders the workload of a component.
pub(super) fn render(
    context: &Context<'_>,
    index: usize,
    component: &ComponentModel,
    environment: Environment,
    files: Files,
    storage: Storage,
    problems: &mut Problems,
) -> (ApplyMode, Json) {
    let mut parts = Parts {
        labels: labels::of_component(context, component),
        annotations: Map::new(),
        pod: pod_spec(component),
        env: environment.entries,
        env_from: Vec::new(),
        mounts: storage.mounts.into_iter().chain(files.mounts).collect(),
        volumes: storage.volumes.into_iter().chain(files.volume).collect(),
        templates: storage.templates,
    };
    let pod_labels = labels::of_pods(context, component);
    attributes::merge(index, component, &pod_labels, &mut parts, problems);

    let mut container = container::render(index, component, problems);
    for (field, list) in [("env", parts.env), ("envFrom", parts.env_from), ("volumeMounts", parts.mounts)] {
        if !list.is_empty() {
            container.insert(field.to_owned(), Json::from(list));
        }
    }
    parts.pod.insert("containers".to_owned(), json!([container]));
    if !parts.volumes.is_empty() {
        parts.pod.insert("volumes".to_owned(), Json::from(parts.volumes));
    }
    let template = json!({
        "metadata": { "labels": pod_labels, "annotations": { CONTENT: component.content_hash } },
        "spec": parts.pod,
    });

    let selector = json!({ "matchLabels": labels::selector(component) });
    let (api_version, kind, name, mode, spec) = match component.kind {
        WorkloadKind::Deployment => {
            // A new pod on another node would wait for a disk that the old one holds, and the old one for it. The other
            // strategy is said too, although it is Kubernetes' own default: what it defaults is nobody's, so it would
            // stay, and contradict, when the component gets a disk.
            let strategy = if storage.has_single_writer {
                json!({ "type": "Recreate" })
            } else {
                json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } })
            };
            let spec = json!({
                "replicas": component.replicas,
                "selector": selector,
                "strategy": strategy,
                "template": template,
            });
            ("apps/v1", "Deployment", component.name.clone(), ApplyMode::ServerSideApply, spec)
        }
        WorkloadKind::StatefulSet => {
            let mut spec = json!({
                "replicas": component.replicas,
                "selector": selector,
                "serviceName": service::headless_name(component),
                "template": template,
            });
            if !parts.templates.is_empty() {
                spec["volumeClaimTemplates"] = Json::from(parts.templates);
            }
            ("apps/v1", "StatefulSet", component.name.clone(), ApplyMode::ServerSideApply, spec)
        }
        WorkloadKind::Job => {
            let mut spec = json!({ "backoffLimit": JOB_RETRIES, "template": template });
            if component.replicas == 0 {
                spec["suspend"] = Json::Bool(true);
            } else if component.replicas > 1 {
                let message = format!("a Job runs once, not as {} replicas", component.replicas);
                problems.warning(&format!("/components/{index}/replicas"), "job.replicas", message);
            }
            ("batch/v1", "Job", job_name(&component.name, context.revision), ApplyMode::CreateOnly, spec)
        }
    };
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name, "namespace": context.target.namespace, "labels": parts.labels },
        "spec": spec,
    });
    if !parts.annotations.is_empty() {
        object["metadata"]["annotations"] = Json::Object(parts.annotations);
    }
    (mode, object)
}

fn pod_spec(component: &ComponentModel) -> Map<String, Json> {
    let mut pod = Map::new();
    // Variables named after every Service of the namespace: more than is wanted, and they change pods by chance.
    pod.insert("enableServiceLinks".to_owned(), Json::Bool(false));
    if let Some(secret) = &component.pull_secret {
        pod.insert("imagePullSecrets".to_owned(), json!([{ "name": secret }]));
    }
    if component.kind == WorkloadKind::Job {
        pod.insert("restartPolicy".to_owned(), Json::from("Never"));
    }
    pod
}

/// A Job cannot be changed, so each revision makes another one.
fn job_name(component: &str, revision: &str) -> String {
    let plain = format!("{component}-{revision}");
    if is_dns_label(&plain, 63) {
        plain
    } else {
        format!("{component}-{}", &Digest::of(revision.as_bytes()).hex()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_job_is_a_label_for_every_revision() {
        assert_eq!(job_name("shop-migrate", "r7"), "shop-migrate-r7");
        for revision in ["Upper_Case.1", &"9".repeat(63)] {
            let name = job_name(&"a".repeat(52), revision);
            assert!(is_dns_label(&name, 63), "{name}");
        }
        assert_ne!(job_name("a", "X"), job_name("a", "Y"));
    }
}
