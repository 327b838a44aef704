//! The rules that an object must keep, with the API server's words for breaking them.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::object::{items, name, number, text};
use crate::quantity;
use crate::selector::Labels;
use crate::status::{Cause, Status};

pub(crate) mod names;
pub(crate) mod pod;
pub(crate) mod update;

/// Total size of a ConfigMap's or Secret's data.
const MAXIMUM_DATA: usize = 1024 * 1024;

/// Checks a new state of an object.
pub(crate) fn object(kind: Kind, object: &Value) -> Result<(), Status> {
    let mut causes = Vec::new();
    names::metadata(kind, object, &mut causes);
    match kind {
        Kind::Pod => pod::spec(&object["spec"], "spec", &mut causes),
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet => workload(kind, object, &mut causes),
        Kind::Job => job(object, &mut causes),
        Kind::Service => service(object, &mut causes),
        Kind::ConfigMap | Kind::Secret => data(object, &mut causes),
        Kind::PersistentVolumeClaim => claim(&object["spec"], "spec", &mut causes),
        Kind::Ingress => ingress(object, &mut causes),
        Kind::HorizontalPodAutoscaler => autoscaler(object, &mut causes),
        Kind::PodDisruptionBudget => {
            let spec = &object["spec"];
            if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
                let why = "minAvailable and maxUnavailable cannot be both set";
                causes.push(Cause::invalid("spec", spec, why));
            }
        }
        Kind::StorageClass if text(object, "/provisioner").is_empty() => {
            causes.push(Cause::required("provisioner", ""));
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name(object), &causes)) }
}

fn workload(kind: Kind, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    not_negative(spec, "replicas", "spec.replicas", causes);
    not_negative(spec, "minReadySeconds", "spec.minReadySeconds", causes);
    not_negative(spec, "revisionHistoryLimit", "spec.revisionHistoryLimit", causes);
    let selector = Labels::of(&spec["selector"]);
    if spec["selector"].is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if selector.is_empty() {
        let why = format!("empty selector is invalid for {}", kind.description().singular);
        causes.push(Cause::invalid("spec.selector", &spec["selector"], &why));
    } else if !selector.matches(&spec["template"]) {
        let labels = spec["template"]["metadata"].get("labels").unwrap_or(&Value::Null);
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
    names::labels(&spec["template"], "spec.template", causes);
    let claims = items(spec, "/volumeClaimTemplates");
    pod::with_claims(&spec["template"]["spec"], claims, "spec.template.spec", causes);
    let restart = text(spec, "/template/spec/restartPolicy");
    if restart != "Always" {
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", restart, &["Always"]));
    }
    if kind == Kind::StatefulSet {
        let length = name(object).len();
        if length > 63 {
            causes.push(Cause::invalid("metadata.name", &json!(name(object)), "must be no more than 63 characters"));
        }
        for (index, claim_) in items(spec, "/volumeClaimTemplates").iter().enumerate() {
            claim(&claim_["spec"], &format!("spec.volumeClaimTemplates[{index}].spec"), causes);
        }
    }
    if kind == Kind::Deployment {
        let strategy = text(spec, "/strategy/type");
        if !matches!(strategy, "RollingUpdate" | "Recreate") {
            causes.push(Cause::unsupported("spec.strategy.type", strategy, &["Recreate", "RollingUpdate"]));
        }
        if strategy == "Recreate" && !spec["strategy"]["rollingUpdate"].is_null() {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
        let zero = |value: &Value| value == 0 || value == "0%";
        let update = &spec["strategy"]["rollingUpdate"];
        if strategy == "RollingUpdate" && zero(&update["maxSurge"]) && zero(&update["maxUnavailable"]) {
            let why = "may not be 0 when `maxSurge` is 0";
            causes.push(Cause::invalid("spec.strategy.rollingUpdate.maxUnavailable", &update["maxUnavailable"], why));
        }
        let deadline = number(spec, "/progressDeadlineSeconds");
        if deadline <= number(spec, "/minReadySeconds") {
            let why = "must be greater than minReadySeconds";
            causes.push(Cause::invalid("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"], why));
        }
    }
}

fn job(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
        not_negative(spec, field, &format!("spec.{field}"), causes);
    }
    pod::spec(&spec["template"]["spec"], "spec.template.spec", causes);
    let restart = text(spec, "/template/spec/restartPolicy");
    if !matches!(restart, "OnFailure" | "Never") {
        let field = "spec.template.spec.restartPolicy";
        causes.push(Cause::unsupported(field, restart, &["OnFailure", "Never"]));
    }
}

fn service(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let kind = text(spec, "/type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", kind, &kinds));
    }
    if kind == "ExternalName" && text(spec, "/externalName").is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let ports = items(spec, "/ports");
    if ports.is_empty() && kind != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let (mut seen, mut seen_names) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        pod::port_number(&port["port"], &format!("{path}.port"), causes);
        if port["targetPort"].is_number() {
            pod::port_number(&port["targetPort"], &format!("{path}.targetPort"), causes);
        }
        let called = text(port, "/name");
        if called.is_empty() {
            if ports.len() > 1 {
                causes.push(Cause::required(format!("{path}.name"), ""));
            }
        } else {
            if !names::is_label(called) {
                causes.push(Cause::invalid(format!("{path}.name"), &port["name"], names::LABEL));
            }
            if !seen_names.insert(called) {
                causes.push(Cause::duplicate(format!("{path}.name"), &port["name"]));
            }
        }
        if !seen.insert((number(port, "/port"), text(port, "/protocol"))) {
            let value = json!({"port": port["port"], "protocol": port["protocol"]});
            causes.push(Cause::duplicate(path, &value));
        }
    }
}

fn data(object: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            size += value.as_str().map_or(0, str::len);
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if key.is_empty() || key.len() > 253 || !key.chars().all(legal) || key == "." || key == ".." {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                    'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
                causes.push(Cause::invalid(format!("{field}[{key}]"), &json!(key), why));
            }
        }
    }
    if size > MAXIMUM_DATA * 4 / 3 {
        causes.push(Cause::forbidden("data", "must have at most 1048576 bytes"));
    }
    let needed = match object["type"].as_str() {
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"][..],
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        _ => &[],
    };
    for key in needed {
        let field = format!("data[{key}]");
        match &object["data"][*key] {
            Value::Null => causes.push(Cause::required(field, "")),
            login if *key == ".dockerconfigjson" => not_json(login, field, causes),
            _ => {}
        }
    }
}

fn not_json(login: &Value, field: String, causes: &mut Vec<Cause>) {
    let bytes = login.as_str().and_then(|login| STANDARD.decode(login).ok()).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<Option<Map<String, Value>>>(&bytes) {
        causes.push(Cause::invalid(field, &json!("<secret contents redacted>"), &error.to_string()));
    }
}

fn claim(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let modes = items(spec, "/accessModes");
    if modes.is_empty() {
        causes.push(Cause::required(format!("{path}.accessModes"), "at least 1 access mode is required"));
    }
    let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in modes.iter().filter_map(Value::as_str).filter(|mode| !known.contains(mode)) {
        causes.push(Cause::unsupported(format!("{path}.accessModes"), mode, &known));
    }
    let field = format!("{path}.resources[storage]");
    match spec["resources"]["requests"]["storage"].as_str() {
        None => causes.push(Cause::required(field, "")),
        Some(size) if quantity::nanos(size).is_none_or(|size| size <= 0) => {
            causes.push(Cause::invalid(field, &json!(size), "must be greater than zero"));
        }
        Some(_) => {}
    }
}

fn ingress(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if items(spec, "/rules").is_empty() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", spec, why));
    }
    for (rule_at, rule) in items(spec, "/rules").iter().enumerate() {
        for (path_at, path) in items(rule, "/http/paths").iter().enumerate() {
            let at = format!("spec.rules[{rule_at}].http.paths[{path_at}]");
            match path["pathType"].as_str() {
                None => causes.push(Cause::required(format!("{at}.pathType"), "pathType must be specified")),
                Some("Exact" | "Prefix") if !text(path, "/path").starts_with('/') => {
                    let why = "must be an absolute path";
                    causes.push(Cause::invalid(format!("{at}.path"), &json!(text(path, "/path")), why));
                }
                Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
                Some(other) => {
                    let known = ["Exact", "ImplementationSpecific", "Prefix"];
                    causes.push(Cause::unsupported(format!("{at}.pathType"), other, &known));
                }
            }
        }
    }
}

fn autoscaler(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let (least, most) = (number(spec, "/minReplicas"), number(spec, "/maxReplicas"));
    if least < 1 {
        causes.push(Cause::invalid("spec.minReplicas", &json!(least), "must be greater than or equal to 1"));
    }
    if most < 1 {
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), "must be greater than 0"));
    }
    if most < least {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &json!(most), why));
    }
    for field in ["kind", "name"] {
        if spec["scaleTargetRef"][field].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
}

fn not_negative(spec: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    if spec[field].as_i64().is_some_and(|value| value < 0) {
        causes.push(Cause::invalid(path, &spec[field], "must be greater than or equal to 0"));
    }
}
