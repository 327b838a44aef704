//! The values that the API server fills in where an object leaves them out, and those that it leaves out where an object
//! has them.

use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::object::{map_mut, set_default};

type Fields = Map<String, Value>;

/// Fills in what is left out of an object.
pub(crate) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Namespace => {
            let name = object["metadata"]["name"].clone();
            map_mut(object, &["metadata", "labels"]).insert("kubernetes.io/metadata.name".to_owned(), name);
        }
        Kind::Pod => {
            let spec = map_mut(object, &["spec"]);
            pod_spec(spec);
            set_default(spec, "enableServiceLinks", true);
            requests_from_limits(spec);
            host_ports(spec);
        }
        Kind::Deployment => {
            let spec = map_mut(object, &["spec"]);
            leave_out_zeros(spec, &["minReadySeconds", "paused"]);
            set_default(spec, "replicas", 1);
            set_default(spec, "revisionHistoryLimit", 10);
            set_default(spec, "progressDeadlineSeconds", 600);
            set_default(spec, "strategy", json!({}));
            rolling_update(&mut spec["strategy"], &[("maxSurge", json!("25%")), ("maxUnavailable", json!("25%"))]);
            template(object);
        }
        Kind::ReplicaSet => {
            let spec = map_mut(object, &["spec"]);
            leave_out_zeros(spec, &["minReadySeconds"]);
            set_default(spec, "replicas", 1);
            template(object);
        }
        Kind::StatefulSet => stateful_set(object),
        Kind::Job => {
            let spec = map_mut(object, &["spec"]);
            if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
                set_default(spec, "completions", 1);
            }
            set_default(spec, "parallelism", 1);
            set_default(spec, "backoffLimit", 6);
            set_default(spec, "completionMode", "NonIndexed");
            set_default(spec, "suspend", false);
            set_default(spec, "podReplacementPolicy", "TerminatingOrFailed");
            template(object);
        }
        Kind::Service => service(map_mut(object, &["spec"])),
        Kind::Secret => {
            if let Some(Value::Object(text)) = object.as_object_mut().and_then(|object| object.remove("stringData")) {
                use base64::Engine;
                let data = map_mut(object, &["data"]);
                for (key, value) in text {
                    let bytes = value.as_str().unwrap_or_default().as_bytes();
                    data.insert(key, json!(base64::engine::general_purpose::STANDARD.encode(bytes)));
                }
            }
            leave_out_zeros(map_mut(object, &[]), &["type"]);
            set_default(map_mut(object, &[]), "type", "Opaque");
        }
        Kind::PersistentVolumeClaim => {
            set_default(map_mut(object, &["spec"]), "volumeMode", "Filesystem");
            set_default(map_mut(object, &["status"]), "phase", "Pending");
        }
        Kind::PersistentVolume => {
            let spec = map_mut(object, &["spec"]);
            leave_out_zeros(spec, &["persistentVolumeReclaimPolicy"]);
            set_default(spec, "volumeMode", "Filesystem");
            set_default(spec, "persistentVolumeReclaimPolicy", "Retain");
            set_default(map_mut(object, &["status"]), "phase", "Pending");
        }
        Kind::StorageClass => {
            set_default(map_mut(object, &[]), "reclaimPolicy", "Delete");
            set_default(map_mut(object, &[]), "volumeBindingMode", "Immediate");
        }
        Kind::NetworkPolicy => network_policy(map_mut(object, &["spec"])),
        Kind::HorizontalPodAutoscaler => {
            let spec = map_mut(object, &["spec"]);
            set_default(spec, "minReplicas", 1);
            let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
            set_default(spec, "metrics", json!([{"type": "Resource", "resource": cpu}]));
        }
        Kind::LimitRange => {
            for limit in object["spec"]["limits"].as_array_mut().into_iter().flatten() {
                limit_item(limit);
            }
        }
        Kind::RoleBinding => {
            leave_out_zeros(map_mut(object, &["roleRef"]), &["apiGroup"]);
            set_default(map_mut(object, &["roleRef"]), "apiGroup", "rbac.authorization.k8s.io");
            for subject in object["subjects"].as_array_mut().into_iter().flatten() {
                leave_out_zeros(map_mut(subject, &[]), &["apiGroup"]);
                let group = if subject["kind"] == "ServiceAccount" { "" } else { "rbac.authorization.k8s.io" };
                if !group.is_empty() {
                    set_default(map_mut(subject, &[]), "apiGroup", group);
                }
            }
        }
        _ => {}
    }
}

/// What a container gets that says nothing follows from the bounds.
fn limit_item(limit: &mut Value) {
    if limit["type"] != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        for (resource, amount) in limit[from].as_object().cloned().into_iter().flatten() {
            set_default(map_mut(limit, &[to]), &resource, amount);
        }
    }
}

fn template(object: &mut Value) {
    map_mut(object, &["spec", "template", "metadata"]);
    pod_spec(map_mut(object, &["spec", "template", "spec"]));
}

fn rolling_update(strategy: &mut Value, values: &[(&str, Value)]) {
    let strategy = map_mut(strategy, &[]);
    leave_out_zeros(strategy, &["type"]);
    set_default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set_default(strategy, "rollingUpdate", json!({}));
        let update = map_mut(&mut strategy["rollingUpdate"], &[]);
        for (field, value) in values {
            set_default(update, field, value.clone());
        }
    }
}

fn stateful_set(object: &mut Value) {
    let spec = map_mut(object, &["spec"]);
    leave_out_zeros(spec, &["minReadySeconds", "podManagementPolicy"]);
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "podManagementPolicy", "OrderedReady");
    set_default(spec, "serviceName", "");
    set_default(spec, "updateStrategy", json!({}));
    rolling_update(&mut spec["updateStrategy"], &[("partition", json!(0))]);
    if let Some(Value::Object(update)) = spec["updateStrategy"].get_mut("rollingUpdate") {
        // The API server drops it: its feature (MaxUnavailableStatefulSet) is off unless asked for.
        update.remove("maxUnavailable");
    }
    set_default(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    let policy = map_mut(&mut spec["persistentVolumeClaimRetentionPolicy"], &[]);
    leave_out_zeros(policy, &["whenDeleted", "whenScaled"]);
    set_default(policy, "whenDeleted", "Retain");
    set_default(policy, "whenScaled", "Retain");
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        let fields = map_mut(claim, &[]);
        set_default(fields, "apiVersion", "v1");
        set_default(fields, "kind", "PersistentVolumeClaim");
        fill(Kind::PersistentVolumeClaim, claim);
    }
    template(object);
}

fn service(spec: &mut Fields) {
    leave_out_zeros(
        spec,
        &[
            "type",
            "sessionAffinity",
            "externalTrafficPolicy",
            "clusterIP",
            "externalName",
            "healthCheckNodePort",
            "loadBalancerIP",
            "publishNotReadyAddresses",
        ],
    );
    set_default(spec, "type", "ClusterIP");
    set_default(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == "ClientIP"
        && spec.get("sessionAffinityConfig").is_none_or(|config| config["clientIP"]["timeoutSeconds"].is_null())
    {
        spec.insert("sessionAffinityConfig".to_owned(), json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    let outside = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || kind == "ClusterIP" && outside {
        set_default(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let port = map_mut(port, &[]);
        leave_out_zeros(port, &["name", "protocol", "targetPort", "nodePort"]);
        set_default(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        set_default(port, "targetPort", number);
    }
}

fn network_policy(spec: &mut Fields) {
    set_default(spec, "podSelector", json!({}));
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    set_default(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    for direction in ["ingress", "egress"] {
        for rule in spec.get_mut(direction).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in rule.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                set_default(map_mut(port, &[]), "protocol", "TCP");
            }
        }
    }
}

/// A field that is the zero of its type is not stored, unless leaving it out would mean something else.
fn leave_out_zeros(fields: &mut Fields, names: &[&str]) {
    for name in names {
        let zero = match fields.get(*name) {
            Some(Value::Bool(value)) => !value,
            Some(Value::Number(number)) => number.as_f64() == Some(0.0),
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            _ => false,
        };
        if zero {
            fields.remove(*name);
        }
    }
}

fn pod_spec(spec: &mut Fields) {
    leave_out_zeros(
        spec,
        &[
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "hostname",
            "subdomain",
            "nodeName",
            "nodeSelector",
            "tolerations",
            "imagePullSecrets",
            "initContainers",
            "volumes",
            "serviceAccountName",
            "priorityClassName",
            "restartPolicy",
            "dnsPolicy",
            "schedulerName",
        ],
    );
    set_default(spec, "restartPolicy", "Always");
    set_default(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "schedulerName", "default-scheduler");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default(spec, "securityContext", json!({}));
    if let Some(account) = spec.get("serviceAccountName").filter(|name| !name.is_null()).cloned() {
        set_default(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers"] {
        for one in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container(map_mut(one, &[]));
        }
    }
    for one in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        volume(map_mut(one, &[]));
    }
}

fn container(fields: &mut Fields) {
    leave_out_zeros(
        fields,
        &[
            "stdin",
            "stdinOnce",
            "tty",
            "workingDir",
            "command",
            "args",
            "env",
            "envFrom",
            "ports",
            "volumeMounts",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "imagePullPolicy",
        ],
    );
    for mount in fields.get_mut("volumeMounts").and_then(Value::as_array_mut).into_iter().flatten() {
        leave_out_zeros(map_mut(mount, &[]), &["readOnly", "subPath", "subPathExpr"]);
    }
    set_default(fields, "resources", json!({}));
    set_default(fields, "terminationMessagePath", "/dev/termination-log");
    set_default(fields, "terminationMessagePolicy", "File");
    let image = fields.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map_or("latest", |(_, tag)| tag);
    let always = !image.contains('@') && tag == "latest";
    set_default(fields, "imagePullPolicy", if always { "Always" } else { "IfNotPresent" });
    for port in fields.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let port = map_mut(port, &[]);
        leave_out_zeros(port, &["name", "hostPort", "hostIP", "protocol"]);
        set_default(port, "protocol", "TCP");
    }
    for variable in fields.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        leave_out_zeros(map_mut(variable, &[]), &["value"]);
        if variable["valueFrom"]["fieldRef"].is_object() {
            let field = map_mut(variable, &["valueFrom", "fieldRef"]);
            leave_out_zeros(field, &["apiVersion"]);
            set_default(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = fields.get_mut(name) {
            leave_out_zeros(
                probe,
                &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
            );
            for (field, value) in
                [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
            {
                set_default(probe, field, value);
            }
            action(probe);
        }
    }
    for name in ["postStart", "preStop"] {
        if let Some(Value::Object(handler)) = fields.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(name))
        {
            action(handler);
        }
    }
}

fn action(handler: &mut Fields) {
    if let Some(Value::Object(get)) = handler.get_mut("httpGet") {
        leave_out_zeros(get, &["host", "path", "scheme"]);
        set_default(get, "path", "/");
        set_default(get, "scheme", "HTTP");
    }
    if let Some(Value::Object(grpc)) = handler.get_mut("grpc") {
        set_default(grpc, "service", "");
    }
}

fn volume(fields: &mut Fields) {
    if fields.len() <= 1 {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(Value::Object(source)) = fields.get_mut(source) {
            set_default(source, "defaultMode", 420);
        }
    }
    if let Some(Value::Object(path)) = fields.get_mut("hostPath") {
        set_default(path, "type", "");
    }
    let sources = fields.get_mut("projected").and_then(|projected| projected.get_mut("sources"));
    for source in sources.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::Object(token)) = source.get_mut("serviceAccountToken") {
            set_default(token, "expirationSeconds", 3600);
        }
    }
}

/// A pod in the network of its node takes there the ports that it has.
fn host_ports(spec: &mut Fields) {
    if spec.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for one in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in one.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                let number = port["containerPort"].clone();
                set_default(map_mut(port, &[]), "hostPort", number);
            }
        }
    }
}

fn requests_from_limits(spec: &mut Fields) {
    for list in ["initContainers", "containers"] {
        for one in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(Value::Object(limits)) = one["resources"].get("limits").cloned() else { continue };
            let requests = map_mut(one, &["resources", "requests"]);
            for (resource, limit) in limits {
                set_default(requests, &resource, limit);
            }
        }
    }
}
