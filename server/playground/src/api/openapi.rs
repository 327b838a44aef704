//! OpenAPI documents, as far as kubectl needs them: which requests there are, and that they check fields themselves.

use serde_json::{Map, Value, json};

use super::discovery::groups;
use crate::kind::Kind;
use crate::status::Status;

/// The documents that there are.
pub(super) fn index() -> Value {
    let mut paths = Map::new();
    for (group, version) in groups(|_| true) {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let address = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        paths.insert(path, address);
    }
    json!({"paths": paths})
}

/// The document of a group and version: `["api", "v1"]`, `["apis", "apps", "v1"]`.
pub(super) fn document(parts: &[&str], (major, minor): (u32, u32)) -> Result<Value, Status> {
    let (group, version, base) = match parts {
        ["api", version] => ("", *version, format!("/api/{version}")),
        ["apis", group, version] => (*group, *version, format!("/apis/{group}/{version}")),
        _ => return Err(Status::no_such_path()),
    };
    let mut paths = Map::new();
    for kind in Kind::ALL.into_iter().map(Kind::description) {
        if (kind.group, kind.version) != (group, version) {
            continue;
        }
        let space = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let all = format!("{base}{space}/{}", kind.plural);
        let operation = |verb: &str, parameters: &[&str]| {
            let parameters: Vec<Value> = parameters
                .iter()
                .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}))
                .collect();
            json!({
                "operationId": format!("{verb}{}", kind.kind), "parameters": parameters, "responses": {},
                "x-kubernetes-action": verb,
                "x-kubernetes-group-version-kind": {"group": group, "kind": kind.kind, "version": version},
            })
        };
        let writes = ["dryRun", "fieldManager", "fieldValidation"];
        let one = json!({
            "get": operation("get", &[]), "put": operation("put", &writes),
            "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
        });
        paths.insert(format!("{all}/{{name}}"), one);
        let lists = ["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"];
        paths.insert(all, json!({"get": operation("list", &lists), "post": operation("post", &writes)}));
    }
    if paths.is_empty() {
        return Err(Status::no_such_path());
    }
    let version = format!("v{major}.{minor}.0");
    Ok(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": version}, "paths": paths}))
}
