//! The conformance kit finds what is wrong with a driver, and each fault by name.

use ropeway_driver_sdk::{
    ApplyMode, Description, Diagnostic, Driver, DriverError, Health, HealthItem, HealthState, Manifest, Observed,
    RenderRequest, Rendered, Target,
    conformance::{self, Native},
};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

/// Breaks every rule that the kit checks.
struct Broken;

impl Driver for Broken {
    fn describe() -> Description {
        Description {
            id: "Not A Label".to_owned(),
            display_name: "Broken".to_owned(),
            version: "one".to_owned(),
            config_schema: "[]".to_owned(),
            features: Vec::new(),
        }
    }

    fn check_config(_config: &str) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn render(_request: &RenderRequest) -> Result<Rendered, DriverError> {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let count = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "one", "namespace": "elsewhere", "annotations": { "count": count } },
            "spec": { "template": { "metadata": { "labels": { "ropeway.dev/revision": "r1" } } } },
            "data": { "leak": "ropeway-secret:00000000-0000-0000-0000-000000000001" },
            "status": {},
        });
        let manifest = |object: String| Manifest {
            wave: 0,
            mode: ApplyMode::ServerSideApply,
            component: Some("nobody".to_owned()),
            object,
        };
        let manifests = vec![manifest(object.to_string()), manifest(object.to_string()), manifest("{".to_owned())];
        Ok(Rendered { manifests, diagnostics: vec![Diagnostic::error("", "late", "an error too late")] })
    }

    fn assess(_target: &Target, objects: &[Observed]) -> Health {
        let item = |observed: &Observed| HealthItem {
            reference: observed.reference.clone(),
            state: HealthState::Unknown,
            reason: String::new(),
            message: String::new(),
        };
        Health { state: HealthState::Healthy, items: objects.iter().rev().map(item).collect() }
    }

    fn rewrite_image(_target: &Target, _image: &str) -> Option<String> {
        Some("example.org/other:1".to_owned())
    }
}

#[test]
fn every_fault_of_a_broken_driver_is_found() {
    let report = conformance::check(&Native::<Broken>::new(), "{}");
    for fault in [
        "is no DNS label",
        "is no semantic version",
        "the schema is no JSON object",
        "\"{\" is accepted",
        "the same input gave two outputs",
        "an error is no refusal",
        "an object is no JSON",
        "is not in the namespace of the target",
        "has a status",
        "is twice",
        "nothing was rendered of",
        "the label app.kubernetes.io/managed-by is None",
        "belongs to nothing in the model",
        "changes with versions and is in",
        "is outside of stringData of a Secret",
        "is no model and is rendered",
        "[Unknown], not Missing",
        "neither reason nor message may be empty",
        "together Healthy",
        "items are not those asked about, in their order",
        "which is another image",
    ] {
        assert!(report.failures().iter().any(|failure| failure.contains(fault)), "{fault}: {:#?}", report.failures());
    }
}
