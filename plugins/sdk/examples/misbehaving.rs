//! A driver that does everything wrong, for the tests of the host: the revision of a request says which fault to show.

use ropeway_driver_sdk::{
    ApplyMode, Description, Diagnostic, Driver, DriverError, Health, HealthItem, HealthState, Manifest, ObjectRef,
    Observed, RenderRequest, Rendered, Target, export_driver, log,
};
use serde_json::{Value as Json, json};
use std::hint::black_box;

/// Shows the fault that the revision of a request names.
pub struct Misbehaving;

impl Driver for Misbehaving {
    fn describe() -> Description {
        Description {
            id: "misbehaving".to_owned(),
            display_name: "Misbehaving".to_owned(),
            version: "0.1.0".to_owned(),
            config_schema: "{}".to_owned(),
            features: Vec::new(),
        }
    }

    fn check_config(_config: &str) -> Vec<Diagnostic> {
        // Far more findings than anybody reads.
        vec![Diagnostic::error("", "many", "one of many"); 20_000]
    }

    fn render(request: &RenderRequest) -> Result<Rendered, DriverError> {
        match request.revision.as_str() {
            "loop" => loop {
                black_box(0);
            },
            "bomb" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                    black_box(&hoard);
                }
            }
            "panic" => panic!("no port {}", black_box(3)),
            "recursion" => {
                black_box(descend(0));
                objects([])
            }
            "list" => Ok(Rendered {
                manifests: (0..400_000).map(|_| manifest(String::new())).collect(),
                diagnostics: Vec::new(),
            }),
            "count" => objects((0..5001).map(|n| config_map(request, &format!("n-{n}")))),
            "string" => Ok(Rendered { manifests: vec![manifest("x".repeat(40 << 20))], diagnostics: Vec::new() }),
            "large" => objects([with(config_map(request, "large"), "/data/text", json!("x".repeat(2 << 20)))]),
            "json" => Ok(Rendered { manifests: vec![manifest("{not json".to_owned())], diagnostics: Vec::new() }),
            "deep" => Ok(Rendered {
                manifests: vec![manifest(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))],
                diagnostics: Vec::new(),
            }),
            "namespace" => objects([with(config_map(request, "stray"), "/metadata/namespace", json!("kube-system"))]),
            "no-namespace" => objects([with(config_map(request, "stray"), "/metadata/namespace", Json::Null)]),
            "cluster-scoped" => objects([with(config_map(request, "stray"), "/kind", json!("Namespace"))]),
            "rbac" => {
                let binding = with(config_map(request, "stray"), "/kind", json!("ClusterRoleBinding"));
                objects([with(binding, "/apiVersion", json!("rbac.authorization.k8s.io/v1"))])
            }
            "name" => objects([config_map(request, "../Stray")]),
            "twice" => objects([config_map(request, "same"), config_map(request, "same")]),
            "labels" => objects([with(config_map(request, "bare"), "/metadata/labels", json!({}))]),
            "placeholder" => {
                let text = "ropeway-secret:00000000-0000-0000-0000-000000000001";
                objects([with(config_map(request, "leak"), "/data/text", json!(text))])
            }
            "foreign-secret" => {
                let text = "ropeway-secret:00000000-0000-0000-0000-0000000000ff";
                let secret = with(config_map(request, "theft"), "/kind", json!("Secret"));
                objects([with(secret, "/stringData", json!({ "text": text }))])
            }
            "image" => {
                let pod = with(config_map(request, "miner"), "/kind", json!("Pod"));
                objects([with(pod, "/spec", json!({ "containers": [{ "name": "a", "image": "evil.test/miner:1" }] }))])
            }
            "component" => {
                let mut rendered = objects([config_map(request, "whose")])?;
                rendered.manifests[0].component = Some("00000000-0000-0000-0000-0000000000ee".to_owned());
                Ok(rendered)
            }
            "chatter" => {
                for _ in 0..1000 {
                    log::info(&"blah ".repeat(200));
                }
                objects([])
            }
            "empty-refusal" => Err(DriverError::Invalid(Vec::new())),
            other => Err(DriverError::Internal(format!("no such fault: {other}"))),
        }
    }

    /// Says that all is well without looking.
    fn assess(_target: &Target, objects: &[Observed]) -> Health {
        let reference = |observed: &Observed| match observed.reference.name.as_str() {
            "renamed" => ObjectRef { name: "other".to_owned(), ..observed.reference.clone() },
            _ => observed.reference.clone(),
        };
        let items = objects.iter().map(|observed| HealthItem {
            reference: reference(observed),
            state: if observed.reference.name == "sick" { HealthState::Degraded } else { HealthState::Healthy },
            reason: "Fine".to_owned(),
            message: String::new(),
        });
        Health { state: HealthState::Healthy, items: items.collect() }
    }

    fn rewrite_image(_target: &Target, _image: &str) -> Option<String> {
        Some("evil.test/miner:1".to_owned())
    }
}

export_driver!(Misbehaving);

#[expect(clippy::unnecessary_wraps, reason = "it is what a rendering returns")]
fn objects(objects: impl IntoIterator<Item = Json>) -> Result<Rendered, DriverError> {
    let manifests = objects.into_iter().map(|object| manifest(object.to_string())).collect();
    Ok(Rendered { manifests, diagnostics: Vec::new() })
}

fn manifest(object: String) -> Manifest {
    Manifest { wave: 0, mode: ApplyMode::ServerSideApply, component: None, object }
}

/// A ConfigMap with nothing wrong, for the application and revision of the tests.
fn config_map(request: &RenderRequest, name: &str) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": request.target.namespace, "labels": {
            "app.kubernetes.io/managed-by": "ropeway",
            "ropeway.dev/application": "00000000-0000-0000-0000-00000000000a",
            "ropeway.dev/revision": request.revision,
        } },
        "data": { "text": "" },
    })
}

/// Sets a field whose parent is there.
fn with(mut object: Json, pointer: &str, value: Json) -> Json {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(Json::Object(parent)) = object.pointer_mut(parent) {
        parent.insert(key.to_owned(), value);
    }
    object
}

fn descend(n: u64) -> u64 {
    let frame = black_box([n; 64]);
    if black_box(true) { descend(n + 1) + frame[3] } else { 0 }
}
