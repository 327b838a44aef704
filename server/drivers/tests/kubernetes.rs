//! The driver for Kubernetes as a component: it conforms, it is found again, and many calls run at a time.

use futures::future::join_all;
use ropeway_domain::{
    Digest,
    model::WorkloadKind,
    rendering::{ApplicationModel, ModelValue},
};
use ropeway_driver_sdk::{self as sdk, conformance};
use ropeway_drivers::{
    ApplyMode, CallError, Driver, Engine, Health, HealthState, Limits, LoadError, ObjectRef, Observed, Owner,
    RenderRequest, Severity, Target,
};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A component that answers the conformance kit through the host, with all of the host's checks.
struct Hosted {
    runtime: Runtime,
    driver: Driver,
}

#[test]
fn the_component_conforms_behind_the_checks_of_the_host() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = Engine::new(few_places()).unwrap();
    let driver = runtime.block_on(Driver::built_in(&engine)).unwrap();
    let report = conformance::check(&Hosted { runtime, driver }, "{}");
    report.assert_passed();
    assert!(report.checks() > 300, "{} checks", report.checks());
}

#[tokio::test]
async fn the_driver_says_who_it_is_and_asks_for_a_log_only() {
    let driver = Driver::built_in(&Engine::new(few_places()).unwrap()).await.unwrap();
    assert_eq!((driver.id(), driver.display_name()), ("kubernetes", "Kubernetes"));
    assert_eq!(driver.imports(), ["ropeway:driver/log@0.1.0"]);
    assert!(driver.features().contains(&"storage.shared".to_owned()));
    assert_eq!(driver.config_schema()["additionalProperties"], false);
}

#[tokio::test]
async fn the_same_bytes_are_compiled_once_and_other_bytes_are_not_taken() {
    let engine = Engine::new(few_places()).unwrap();
    let first = Driver::built_in(&engine).await.unwrap();
    let started = std::time::Instant::now();
    for _ in 0..20 {
        Driver::built_in(&engine).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let other = Digest::of(b"other");
    match Driver::load(&engine, b"\0asm", Some(&other)).await {
        Err(LoadError::Digest { expected, actual }) => {
            assert_eq!((expected, actual), (other, Digest::of(b"\0asm")));
        }
        loaded => panic!("{loaded:?}"),
    }
    assert_ne!(first.digest(), &Digest::of(b"\0asm"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_renderings_at_a_time_give_the_same() {
    let engine = Engine::new(Limits { calls: 4, ..Limits::default() }).unwrap();
    let driver = Driver::built_in(&engine).await.unwrap();
    let alone = render(driver.clone()).await;
    let tasks = (0..64).map(|_| tokio::spawn(render(driver.clone())));
    for rendered in join_all(tasks).await {
        assert_eq!(rendered.unwrap(), alone);
    }
}

#[tokio::test]
async fn what_was_rendered_is_typed() {
    let driver = Driver::built_in(&Engine::new(few_places()).unwrap()).await.unwrap();
    let model = model("everything");
    let rendered = render(driver).await;
    for component in &model.components {
        let of: Vec<_> = rendered.iter().filter(|(_, _, owner, _)| *owner == Owner::Component(component.key)).collect();
        let waves: Vec<_> = of.iter().map(|(wave, ..)| *wave).collect();
        assert!(waves.is_sorted() && waves.last() == Some(&2), "{waves:?}");
        let created_only = of.iter().filter(|(_, mode, ..)| *mode == ApplyMode::CreateOnly).count();
        assert_eq!(created_only, usize::from(component.kind == WorkloadKind::Job));
    }
    for resource in &model.resources {
        assert!(rendered.iter().any(|(_, _, owner, _)| *owner == Owner::Resource(resource.key)));
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let driver = Driver::built_in(&Engine::new(few_places()).unwrap()).await.unwrap();
    let mut model = model("everything");
    let mut target = target(&conformance::target("{}"));
    target.storage_classes.truncate(1);
    let request = RenderRequest { application: &model, target: &target, revision: "r1" };
    assert!(matches!(driver.render(request).await, Err(CallError::Unsupported(why)) if why.contains("uploads")));
    model.components[0].name = "Not A Name".to_owned();
    let request = RenderRequest { application: &model, target: &target, revision: "r1" };
    match driver.render(request).await {
        Err(CallError::Invalid(found)) => assert_eq!(found[0].path, "/components/0/name"),
        other => panic!("{other:?}"),
    }
    let found = driver.check_config(&json!({ "storageClass": "x" })).await.unwrap();
    assert_eq!((found[0].severity, found[0].path.as_str()), (Severity::Error, "/storageClass"));
}

#[tokio::test]
async fn a_plain_value_that_looks_like_a_placeholder_never_becomes_one() {
    let driver = Driver::built_in(&Engine::new(few_places()).unwrap()).await.unwrap();
    let mut model = model("everything");
    let foreign = "ropeway-secret:00000000-0000-0000-0000-0000000000ff";
    model.components[0].environment[0].value = ModelValue::Plain(foreign.to_owned());
    let target = target(&conformance::target("{}"));
    let request = RenderRequest { application: &model, target: &target, revision: "r1" };
    match driver.render(request).await {
        Err(CallError::Output(output)) => assert!(output.problem.contains("placeholder"), "{output}"),
        other => panic!("{other:?}"),
    }
}

async fn render(driver: Driver) -> Vec<(u32, ApplyMode, Owner, Json)> {
    let target = target(&conformance::target("{}"));
    let model = model("everything");
    let request = RenderRequest { application: &model, target: &target, revision: "r1" };
    let rendered = driver.render(request).await.unwrap();
    rendered.manifests.into_iter().map(|it| (it.wave, it.mode, it.owner, it.object)).collect()
}

fn model(name: &str) -> ApplicationModel {
    let model = conformance::corpus().iter().find(|model| model.name == name).unwrap();
    serde_json::from_str(model.json).unwrap()
}

fn few_places() -> Limits {
    Limits { calls: 2, ..Limits::default() }
}

fn target(target: &sdk::Target) -> Target {
    Target {
        cluster: target.cluster.clone(),
        namespace: target.namespace.clone(),
        kubernetes_version: target.kubernetes_version.clone(),
        api_resources: target.api_resources.clone(),
        storage_classes: target.storage_classes.iter().map(|class| serde_json::from_str(class).unwrap()).collect(),
        config: serde_json::from_str(&target.config).unwrap(),
    }
}

impl conformance::Subject for Hosted {
    type Error = CallError;

    fn describe(&self) -> Result<sdk::Description, CallError> {
        Ok(sdk::Description {
            id: self.driver.id().to_owned(),
            display_name: self.driver.display_name().to_owned(),
            version: self.driver.version().to_owned(),
            config_schema: self.driver.config_schema().to_string(),
            features: self.driver.features().to_vec(),
        })
    }

    fn check_config(&self, config: &str) -> Result<Vec<sdk::Diagnostic>, CallError> {
        // The host has read every configuration as JSON before.
        let Ok(config) = serde_json::from_str(config) else {
            return Ok(vec![sdk::Diagnostic::error("", "json", "no JSON")]);
        };
        let found = self.runtime.block_on(self.driver.check_config(&config))?;
        Ok(found.into_iter().map(diagnostic).collect())
    }

    fn render(&self, request: &sdk::RenderRequest) -> Result<Result<sdk::Rendered, sdk::DriverError>, CallError> {
        let Ok(model) = serde_json::from_str(&request.application) else {
            return Ok(Err(sdk::DriverError::Internal("the host has no such model".to_owned())));
        };
        let target = target(&request.target);
        let request = RenderRequest { application: &model, target: &target, revision: &request.revision };
        match self.runtime.block_on(self.driver.render(request)) {
            Ok(rendered) => {
                let manifest = |it: ropeway_drivers::Manifest| sdk::Manifest {
                    wave: it.wave,
                    mode: match it.mode {
                        ApplyMode::ServerSideApply => sdk::ApplyMode::ServerSideApply,
                        ApplyMode::CreateOnly => sdk::ApplyMode::CreateOnly,
                        ApplyMode::RecreateOnImmutable => sdk::ApplyMode::RecreateOnImmutable,
                    },
                    component: match it.owner {
                        Owner::Application => None,
                        Owner::Component(key) => Some(key.to_string()),
                        Owner::Resource(key) => Some(key.to_string()),
                    },
                    object: it.object.to_string(),
                };
                Ok(Ok(sdk::Rendered {
                    manifests: rendered.manifests.into_iter().map(manifest).collect(),
                    diagnostics: rendered.diagnostics.into_iter().map(diagnostic).collect(),
                }))
            }
            Err(CallError::Invalid(found)) => {
                Ok(Err(sdk::DriverError::Invalid(found.into_iter().map(diagnostic).collect())))
            }
            Err(CallError::Unsupported(what)) => Ok(Err(sdk::DriverError::Unsupported(what))),
            Err(CallError::Internal(what)) => Ok(Err(sdk::DriverError::Internal(what))),
            Err(error) => Err(error),
        }
    }

    fn assess(&self, at: &sdk::Target, objects: &[sdk::Observed]) -> Result<sdk::Health, CallError> {
        let observed = |it: &sdk::Observed| Observed {
            reference: ObjectRef {
                api_version: it.reference.api_version.clone(),
                kind: it.reference.kind.clone(),
                name: it.reference.name.clone(),
            },
            object: it.object.as_ref().map(|object| serde_json::from_str(object).unwrap()),
            events: it.events.iter().map(|event| serde_json::from_str(event).unwrap()).collect(),
        };
        let objects: Vec<_> = objects.iter().map(observed).collect();
        let health: Health = self.runtime.block_on(self.driver.assess(&target(at), &objects))?;
        let state = |state| match state {
            HealthState::Healthy => sdk::HealthState::Healthy,
            HealthState::Progressing => sdk::HealthState::Progressing,
            HealthState::Degraded => sdk::HealthState::Degraded,
            HealthState::Missing => sdk::HealthState::Missing,
            HealthState::Unknown => sdk::HealthState::Unknown,
        };
        let items = health.items.into_iter().map(|it| sdk::HealthItem {
            reference: sdk::ObjectRef {
                api_version: it.reference.api_version,
                kind: it.reference.kind,
                name: it.reference.name,
            },
            state: state(it.state),
            reason: it.reason,
            message: it.message,
        });
        Ok(sdk::Health { state: state(health.state), items: items.collect() })
    }

    fn rewrite_image(&self, at: &sdk::Target, image: &str) -> Result<Option<String>, CallError> {
        self.runtime.block_on(self.driver.rewrite_image(&target(at), image))
    }
}

fn diagnostic(found: ropeway_drivers::Diagnostic) -> sdk::Diagnostic {
    let severity = match found.severity {
        Severity::Info => sdk::Severity::Info,
        Severity::Warning => sdk::Severity::Warning,
        Severity::Error => sdk::Severity::Error,
    };
    sdk::Diagnostic { severity, path: found.path, code: found.code, message: found.message }
}
