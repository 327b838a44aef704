//! Checks of the attributes that go into a pod as they are.

use super::{Code, Problem, checker::Checker, syntax};
use serde_json::{Map, Value as Json};

/// Fields of a PodSpec that may be set, `labels` and `annotations` of the workload, and what an application that was not
/// composed here carries as environment and storage.
const ALLOWED: [&str; 33] = [
    "activeDeadlineSeconds",
    "affinity",
    "annotations",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "env",
    "envFrom",
    "hostAliases",
    "hostname",
    "labels",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumeClaimTemplates",
    "volumeMounts",
    "volumes",
];

/// Those of them that are lists of objects.
const LISTS: [&str; 9] = [
    "env",
    "envFrom",
    "hostAliases",
    "readinessGates",
    "tolerations",
    "topologySpreadConstraints",
    "volumeClaimTemplates",
    "volumeMounts",
    "volumes",
];

/// Those of them that are objects.
const OBJECTS: [&str; 6] = ["affinity", "dnsConfig", "nodeSelector", "os", "overhead", "securityContext"];

/// Fields that lead out of the pod, and why none of them may be set.
const FORBIDDEN: [(&str, &str); 6] = [
    ("hostNetwork", "a pod on the node's network reaches what other tenants run there"),
    ("hostPID", "a pod that sees the node's processes sees those of other tenants"),
    ("hostIPC", "a pod that shares the node's memory shares that of other tenants"),
    ("hostUsers", "a pod's users are the cluster's choice"),
    ("nodeName", "a pod that names its node goes round the scheduler; use nodeSelector"),
    ("privileged", "a privileged container owns its node, and with it every other tenant's pods"),
];

/// Capabilities that the baseline of the Pod Security Standards lets a container add.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const MAX_ATTRIBUTES: usize = 256 << 10;
const MAX_DEPTH: usize = 32;

/// What is wrong in the attributes of a component.
pub fn attributes(attributes: &Map<String, Json>) -> Vec<Problem> {
    let mut c = Checker::default();
    let whole = serde_json::to_vec(attributes).map_or(usize::MAX, |bytes| bytes.len());
    if whole > MAX_ATTRIBUTES {
        c.size(whole, MAX_ATTRIBUTES);
        return c.finish();
    }
    for (name, value) in attributes {
        c.at(name.as_str(), |c| {
            if syntax::is_deeper_than(value, MAX_DEPTH) {
                c.problem(Code::TooLong, format!("at most {MAX_DEPTH} levels"));
                return;
            }
            match name.as_str() {
                "labels" => labels(c, value),
                "annotations" => annotations(c, value),
                name if FORBIDDEN.iter().any(|(field, _)| *field == name) => {}
                name if !ALLOWED.contains(&name) => {
                    c.problem(Code::Unknown, "no attribute of a pod that can be set here");
                }
                "serviceAccountName" | "priorityClassName" | "runtimeClassName"
                    if !value.as_str().is_some_and(syntax::is_dns_subdomain) =>
                {
                    c.problem(Code::Invalid, "the name of an object in the cluster");
                }
                name if LISTS.contains(&name) && !is_list_of_objects(value) => {
                    c.problem(Code::Invalid, "a list of objects");
                }
                name if OBJECTS.contains(&name) && !value.is_object() => c.problem(Code::Invalid, "an object"),
                _ => {}
            }
            powers(c, value);
        });
        if let Some((_, why)) = FORBIDDEN.iter().find(|(field, _)| field == name)
            && *value != Json::Bool(false)
        {
            c.field(name, Code::Forbidden, *why);
        }
    }
    c.finish()
}

/// Whether a key is one of those by which Ropeway knows its objects.
pub(crate) fn is_reserved(key: &str) -> bool {
    key == "app.kubernetes.io/managed-by" || key.split_once('/').is_some_and(|(prefix, _)| is_ours(prefix))
}

fn is_ours(prefix: &str) -> bool {
    prefix == "ropeway.dev" || prefix.ends_with(".ropeway.dev")
}

fn is_list_of_objects(value: &Json) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Json::is_object))
}

/// Looks at every depth for what leads out of the pod.
fn powers(c: &mut Checker, value: &Json) {
    match value {
        Json::Object(fields) => {
            for (name, inner) in fields {
                c.at(name.as_str(), |c| {
                    if let Some((_, why)) = FORBIDDEN.iter().find(|(field, _)| field == name)
                        && *inner == Json::Bool(true)
                    {
                        c.problem(Code::Forbidden, *why);
                    }
                    if name == "hostPath" && !inner.is_null() {
                        c.problem(Code::Forbidden, "a folder of the node holds what belongs to other tenants");
                    }
                    if name == "hostPort" && !inner.is_null() {
                        c.problem(Code::Forbidden, "a port of the node is taken from other tenants; open a route");
                    }
                    if name == "capabilities" {
                        capabilities(c, inner);
                    }
                    powers(c, inner);
                });
            }
        }
        Json::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                c.at(&index, |c| powers(c, inner));
            }
        }
        _ => {}
    }
}

fn capabilities(c: &mut Checker, value: &Json) {
    let added = value.get("add").and_then(Json::as_array).into_iter().flatten();
    for name in added.map(|name| name.as_str().unwrap_or_default()) {
        if !CAPABILITIES.contains(&name.trim_start_matches("CAP_")) {
            let message = "beyond the capabilities that the baseline of the Pod Security Standards permits";
            c.field("add", Code::Forbidden, message);
        }
    }
}

fn labels(c: &mut Checker, value: &Json) {
    each_entry(c, value, |c, value| {
        if !syntax::is_label_value(value) {
            c.problem(Code::Invalid, "at most 63 letters, digits, \"_\", \".\" and \"-\" between them");
        }
    });
}

fn annotations(c: &mut Checker, value: &Json) {
    each_entry(c, value, |c, value| c.size(value.len(), MAX_ATTRIBUTES));
}

fn each_entry(c: &mut Checker, value: &Json, mut check: impl FnMut(&mut Checker, &str)) {
    let Some(entries) = value.as_object() else {
        c.problem(Code::Invalid, "an object of texts");
        return;
    };
    c.most(entries.len(), 100);
    for (key, value) in entries {
        c.at(key.as_str(), |c| {
            if is_reserved(key) {
                c.problem(Code::Reserved, "Ropeway knows its own objects by this key");
            } else if !syntax::is_qualified_name(key) {
                c.problem(Code::Invalid, "a name such as example.org/purpose");
            }
            match value.as_str() {
                Some(text) => check(c, text),
                None => c.problem(Code::Invalid, "a text"),
            }
        });
    }
}
