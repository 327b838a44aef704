//! What a node would do with a pod and report of it: pull its images, then say that it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Pulled;
use crate::clock;
use crate::cluster::Cluster;
use crate::image::{self, Keychain};
use crate::kind::Kind;
use crate::object::{items, label, set_condition, text, uid};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Part, Writer, change, event};

/// The condition of a pod whose volumes are with it.
pub(super) const MOUNTED: &str = "PodReadyToStartContainers";

/// What a pull needs to know.
#[derive(Debug)]
pub(super) struct Pull {
    /// The pod's unique id.
    pub(super) uid: String,
    images: Vec<String>,
    architecture: String,
    keychain: Keychain,
}

impl Pull {
    /// The images of a pod, init containers first, and its pull secrets.
    pub(super) fn of(state: &State, key: &Key, pod: &Value) -> Self {
        let mut keychain = Keychain::default();
        for reference in items(pod, "/spec/imagePullSecrets") {
            if let Some(secret) = state.get(&Key::new(Kind::Secret, &key.namespace, text(reference, "/name"))) {
                keychain.add(&secret);
            }
        }
        let node = state.get(&Key::new(Kind::Node, "", text(pod, "/spec/nodeName")));
        let architecture = node.as_ref().map_or("", |node| label(node, "kubernetes.io/arch")).to_owned();
        let containers = items(pod, "/spec/initContainers").iter().chain(items(pod, "/spec/containers"));
        let images = containers.map(|one| text(one, "/image").to_owned()).collect();
        Self { uid: uid(pod).to_owned(), images, architecture, keychain }
    }
}

/// Asks the registries for the images of a pod.
pub(super) async fn pull(cluster: Arc<Cluster>, key: Key, pull: Pull) -> Pulled {
    let mut digests = BTreeMap::new();
    for image in &pull.images {
        if digests.contains_key(image) {
            continue;
        }
        let trust = cluster.options.trust_elsewhere;
        match image::resolve(&cluster.http, image, &pull.architecture, &pull.keychain, trust).await {
            Ok(digest) => {
                digests.insert(image.clone(), digest);
            }
            Err(why) => return (key, pull.uid, Err(format!("failed to pull image \"{image}\": {why}"))),
        }
    }
    (key, pull.uid, Ok(digests))
}

/// Reports what came of a pull. Says whether the pod is still waiting for it.
pub(super) fn pulled(
    cluster: &Cluster,
    state: &mut State,
    key: &Key,
    uid_then: &str,
    result: Result<BTreeMap<String, String>, String>,
) -> Result<bool, Status> {
    let Some(pod) = state.get(key).filter(|pod| uid(pod) == uid_then && !crate::object::deleting(pod)) else {
        return Ok(false);
    };
    match result {
        Err(why) => {
            let before = state_of(&pod);
            let back = matches!(before, "ErrImagePull" | "ImagePullBackOff");
            let word = if back { "ImagePullBackOff" } else { "ErrImagePull" };
            describe(cluster, state, key, word, &why, None)?;
            let message = format!("Failed to pull image: {why}");
            event(state, (Kind::Pod, &pod), "kubelet", "Warning", "Failed", &message);
            Ok(true)
        }
        Ok(digests) => {
            if let Some(missing) = missing_environment(state, key, &pod) {
                describe(cluster, state, key, "CreateContainerConfigError", &missing, Some(&digests))?;
                event(state, (Kind::Pod, &pod), "kubelet", "Warning", "Failed", &format!("Error: {missing}"));
                return Ok(false);
            }
            describe(cluster, state, key, "Running", "", Some(&digests))?;
            for container in items(&pod, "/spec/containers") {
                let message = format!("Container started: {}", text(container, "/name"));
                event(state, (Kind::Pod, &pod), "kubelet", "Normal", "Started", &message);
            }
            Ok(false)
        }
    }
}

/// The state that a pod was described in.
pub(super) fn state_of(pod: &Value) -> &str {
    match text(pod, "/status/phase") {
        "Failed" => return "Failed",
        "Succeeded" => return "Completed",
        _ => {}
    }
    if crate::object::is_condition(pod, "ContainersReady") {
        return "Running";
    }
    let containers = items(pod, "/status/containerStatuses");
    let all = items(pod, "/status/initContainerStatuses").iter().chain(containers);
    let mut reasons = all.filter_map(|one| one["state"]["waiting"]["reason"].as_str());
    if let Some(reason) = reasons.find(|reason| *reason != "PodInitializing") {
        return reason;
    }
    if containers.iter().any(|one| one["state"]["running"].is_object()) { "NotReady" } else { "" }
}

/// The image of a container that a node may not pull: it is on no node.
pub(super) fn never_pulled(pod: &Value) -> Option<&str> {
    let mut containers = items(pod, "/spec/initContainers").iter().chain(items(pod, "/spec/containers"));
    containers.find(|one| one["imagePullPolicy"] == "Never").map(|one| text(one, "/image"))
}

/// Says that the volumes of a pod are with it.
pub(super) fn mount(state: &mut State, key: &Key) -> Result<(), Status> {
    change(state, key, Part::Status, &Writer::controller("kubelet"), |pod| {
        let mut pod = pod.clone();
        set_condition(&mut pod["status"], json!({"type": MOUNTED, "status": "True"}));
        Ok(pod)
    })?;
    Ok(())
}

/// Says of a pod as a whole why it is as it is.
pub(super) fn blame(state: &mut State, key: &Key, reason: &str, message: &str) -> Result<(), Status> {
    change(state, key, Part::Status, &Writer::controller("kubelet"), |pod| {
        let mut pod = pod.clone();
        pod["status"]["reason"] = json!(reason);
        pod["status"]["message"] = json!(message);
        Ok(pod)
    })?;
    Ok(())
}

/// Says of a pod that runs whether it is ready: as soon as all of its readiness gates are open.
pub(super) fn gate(state: &mut State, key: &Key) -> Result<(), Status> {
    change(state, key, Part::Status, &Writer::controller("kubelet"), |pod| {
        let mut pod = pod.clone();
        let condition = ready(&pod);
        set_condition(&mut pod["status"], condition);
        Ok(pod)
    })?;
    Ok(())
}

/// The condition of a pod whose containers are ready.
fn ready(pod: &Value) -> Value {
    let gates = items(pod, "/spec/readinessGates").iter().map(|gate| text(gate, "/conditionType"));
    let closed = gates.into_iter().find(|gate| !crate::object::is_condition(pod, gate));
    match closed {
        None => json!({"type": "Ready", "status": "True"}),
        Some(gate) => json!({
            "type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
            "message": format!("corresponding condition of pod readiness gate {gate:?} is not True"),
        }),
    }
}

/// Writes into the status what a node reports of a pod in a state.
pub(super) fn describe(
    cluster: &Cluster,
    state: &mut State,
    key: &Key,
    word: &str,
    message: &str,
    digests: Option<&BTreeMap<String, String>>,
) -> Result<(), Status> {
    let now = clock::timestamp();
    let address = cluster.next_address();
    change(state, key, Part::Status, &Writer::controller("kubelet"), |pod| {
        let mut pod = pod.clone();
        let started = matches!(word, "Running" | "NotReady" | "CrashLoopBackOff");
        let ended = matches!(word, "Completed" | "Failed");
        let mounted = !ended && (word != "ContainerCreating" || crate::object::is_condition(&pod, MOUNTED));
        // What was pulled before is on the node.
        let mut known: BTreeMap<String, String> = ["initContainerStatuses", "containerStatuses"]
            .iter()
            .flat_map(|list| items(&pod, &format!("/status/{list}")))
            .map(|one| (text(one, "/image").to_owned(), text(one, "/imageID").to_owned()))
            .collect();
        known.extend(digests.into_iter().flatten().map(|(image, digest)| (image.clone(), digest.clone())));
        let phase = match word {
            "Completed" => "Succeeded",
            "Failed" => "Failed",
            _ if started => "Running",
            _ => "Pending",
        };
        // An init container that cannot be pulled holds all others back.
        let names = |one: &Value| message.contains(&format!("\"{}\"", text(one, "/image")));
        let pulling = matches!(word, "ErrImagePull" | "ImagePullBackOff");
        let blocked = pulling && items(&pod, "/spec/initContainers").iter().any(names);
        let lists: Vec<(&str, Value)> =
            [("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")]
                .into_iter()
                .filter(|(list, _)| !items(&pod, &format!("/spec/{list}")).is_empty())
                .map(|(list, field)| {
                    let init = list == "initContainers";
                    let all = items(&pod, &format!("/spec/{list}"));
                    let all: Vec<Value> = all
                        .iter()
                        .map(|one| {
                            let held = blocked && !(init && names(one));
                            let (word, message) = if held { ("PodInitializing", "") } else { (word, message) };
                            container(one, init, started || word == "Completed", word, message, &known, &now)
                        })
                        .collect();
                    (field, Value::Array(all))
                })
                .collect();
        let status = &mut pod["status"];
        status["phase"] = json!(phase);
        if status.get("startTime").is_none() {
            status["startTime"] = json!(now);
        }
        if mounted && status.get("podIP").is_none() {
            let ip = format!("10.{}.{}.{}", 64 + (address >> 16 & 63), address >> 8 & 255, address & 255);
            status["podIP"] = json!(ip);
            status["podIPs"] = json!([{"ip": ip}]);
            status["hostIP"] = json!("127.0.0.1");
            status["hostIPs"] = json!([{"ip": "127.0.0.1"}]);
        }
        for (field, list) in lists {
            status[field] = list;
        }
        let well = word == "Running";
        for (kind, met) in [
            (MOUNTED, mounted),
            ("Initialized", started || word == "Completed"),
            ("ContainersReady", well),
            ("Ready", well),
        ] {
            let mut condition = json!({"type": kind, "status": if met { "True" } else { "False" }});
            if !met {
                condition["reason"] = json!(match word {
                    "Completed" => "PodCompleted",
                    "Failed" => "PodFailed",
                    other => other,
                });
            }
            set_condition(status, condition);
        }
        if well {
            let condition = ready(&pod);
            set_condition(&mut pod["status"], condition);
        }
        Ok(pod)
    })?;
    Ok(())
}

fn container(
    spec: &Value,
    init: bool,
    started: bool,
    word: &str,
    message: &str,
    known: &BTreeMap<String, String>,
    now: &str,
) -> Value {
    let image = text(spec, "/image");
    let digest = known.get(image).map_or(image, String::as_str);
    let sidecar = init && spec.get("restartPolicy").is_some();
    let mut status = json!({
        "name": spec["name"], "image": image, "imageID": digest, "ready": false, "restartCount": 0, "state": {},
        "lastState": {},
    });
    if matches!(word, "Completed" | "Failed") || (init && !sidecar && started) {
        let failed = word == "Failed";
        status["state"]["terminated"] = json!({
            "exitCode": i32::from(failed), "reason": if failed { "Error" } else { "Completed" },
            "startedAt": now, "finishedAt": now,
        });
        status["ready"] = json!(!failed);
    } else if matches!(word, "Running" | "NotReady") {
        status["state"]["running"] = json!({"startedAt": now});
        status["ready"] = json!(word == "Running");
        status["started"] = json!(true);
    } else {
        status["state"]["waiting"] = json!({"reason": word});
        if !message.is_empty() {
            status["state"]["waiting"]["message"] = json!(message);
        }
        if word == "CrashLoopBackOff" {
            status["restartCount"] = json!(3);
            status["lastState"]["terminated"] =
                json!({"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now});
        }
    }
    status
}

/// The first ConfigMap or Secret, or key of one, that the environment needs and that is not there.
fn missing_environment(state: &State, key: &Key, pod: &Value) -> Option<String> {
    let lacks = |kind: Kind, source: &Value, wanted: &str| -> Option<String> {
        let called = text(source, "/name");
        if source.is_null() || source["optional"] == true {
            return None;
        }
        let word = kind.description().singular;
        let Some(found) = state.get(&Key::new(kind, &key.namespace, called)) else {
            return Some(format!("{word} \"{called}\" not found"));
        };
        let has = wanted.is_empty() || found["data"].get(wanted).is_some();
        let kind = kind.description().kind;
        (!has).then(|| format!("couldn't find key {wanted} in {kind} {}/{called}", key.namespace))
    };
    items(pod, "/spec/initContainers").iter().chain(items(pod, "/spec/containers")).find_map(|container| {
        let single = items(container, "/env").iter().find_map(|variable| {
            let from = &variable["valueFrom"];
            let (map, secret) = (&from["configMapKeyRef"], &from["secretKeyRef"]);
            lacks(Kind::ConfigMap, map, text(map, "/key")).or_else(|| lacks(Kind::Secret, secret, text(secret, "/key")))
        });
        single.or_else(|| {
            items(container, "/envFrom").iter().find_map(|from| {
                lacks(Kind::ConfigMap, &from["configMapRef"], "")
                    .or_else(|| lacks(Kind::Secret, &from["secretRef"], ""))
            })
        })
    })
}
