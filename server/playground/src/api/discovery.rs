//! Discovery: which groups, versions and kinds there are.

use serde_json::{Value, json};

use super::openapi;
use crate::kind::Kind;
use crate::status::Status;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What can be done with the objects of a kind: namespaces go one by one.
fn verbs_of(kind: &str) -> Vec<&'static str> {
    VERBS.into_iter().filter(|verb| kind != "Namespace" || *verb != "deletecollection").collect()
}

/// What lies at an address that is no object's.
pub(crate) fn answer(parts: &[String], version: (u32, u32), accept: &str) -> Result<Value, Status> {
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let aggregated = accept.contains("g=apidiscovery.k8s.io") && accept.contains("v=v2");
    match words.as_slice() {
        ["version"] => Ok(json!({
            "major": version.0.to_string(), "minor": version.1.to_string(),
            "gitVersion": format!("v{}.{}.0+playground", version.0, version.1),
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
        })),
        ["api"] if aggregated => Ok(groups_aggregated(str::is_empty)),
        ["apis"] if aggregated => Ok(groups_aggregated(|group| !group.is_empty())),
        ["api"] => Ok(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => Ok(json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups(|group| !group.is_empty()).into_iter().map(|(name, version)| group(name, version)).collect::<Vec<_>>(),
        })),
        ["apis", name] => groups(|_| true)
            .into_iter()
            .find(|(group, _)| group == name)
            .map(|(name, version)| {
                let mut answer = group(name, version);
                answer["kind"] = json!("APIGroup");
                answer["apiVersion"] = json!("v1");
                answer
            })
            .ok_or_else(Status::no_such_path),
        ["api", "v1"] => resources("", "v1"),
        ["apis", group, version] => resources(group, version),
        ["openapi", "v3"] => Ok(openapi::index()),
        ["openapi", "v3", rest @ ..] => openapi::document(rest, version),
        ["openapi", ..] => Err(Status::not_implemented("OpenAPI documents of version 2")),
        _ => Err(Status::no_such_path()),
    }
}

pub(super) fn groups(wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    let mut groups = Vec::new();
    for kind in Kind::ALL {
        let description = kind.description();
        let group = (description.group, description.version);
        if wanted(description.group) && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, version: &str) -> Result<Value, Status> {
    let mut list = Vec::new();
    for kind in Kind::ALL {
        let d = kind.description();
        if (d.group, d.version) != (group, version) {
            continue;
        }
        let mut one = json!({
            "name": d.plural, "singularName": d.singular, "namespaced": d.namespaced, "kind": d.kind, "verbs": verbs_of(d.kind),
        });
        if !d.short.is_empty() {
            one["shortNames"] = json!(d.short);
        }
        if d.all {
            one["categories"] = json!(["all"]);
        }
        list.push(one);
        let verbs = ["get", "patch", "update"];
        if d.status {
            list.push(json!({
                "name": format!("{}/status", d.plural), "singularName": "", "namespaced": d.namespaced, "kind": d.kind,
                "verbs": verbs,
            }));
        }
        if d.scale {
            list.push(json!({
                "name": format!("{}/scale", d.plural), "singularName": "", "namespaced": d.namespaced,
                "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": verbs,
            }));
        }
    }
    if list.is_empty() {
        return Err(Status::no_such_path());
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list}))
}

fn groups_aggregated(wanted: impl Fn(&str) -> bool) -> Value {
    let items: Vec<Value> = groups(wanted)
        .into_iter()
        .map(|(group, version)| {
            let kinds = Kind::ALL.into_iter().map(Kind::description);
            let resources: Vec<Value> = kinds
                .filter(|d| (d.group, d.version) == (group, version))
                .map(|d| {
                    let own = json!({"group": d.group, "version": d.version, "kind": d.kind});
                    let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
                    let verbs = ["get", "patch", "update"];
                    let mut parts = Vec::new();
                    for (there, part, kind) in [(d.status, "status", &own), (d.scale, "scale", &scale)] {
                        if there {
                            parts.push(json!({"subresource": part, "responseKind": kind, "verbs": verbs}));
                        }
                    }
                    let mut one = json!({
                        "resource": d.plural, "responseKind": own, "singularResource": d.singular, "verbs": verbs_of(d.kind),
                        "scope": if d.namespaced { "Namespaced" } else { "Cluster" },
                    });
                    if !d.short.is_empty() {
                        one["shortNames"] = json!(d.short);
                    }
                    if d.all {
                        one["categories"] = json!(["all"]);
                    }
                    if !parts.is_empty() {
                        one["subresources"] = json!(parts);
                    }
                    one
                })
                .collect();
            json!({
                "metadata": {"name": group},
                "versions": [{"version": version, "freshness": "Current", "resources": resources}],
            })
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}
