//! Checks that a driver keeps the contract.
//!
//! The checks run against anything that answers like a driver: [`Native`] wraps a [`Driver`] without WebAssembly, a host
//! wraps a component. They ask for the same things twice, hand in the models of a [`corpus`], and a table of live
//! objects whose health nobody disputes.

mod health;
mod render;

use crate::{
    Description, Diagnostic, Driver, DriverError, Health, Observed, RenderRequest, Rendered, Severity, Target,
};
use serde_json::Value as Json;
use std::{fmt::Debug, marker::PhantomData};

/// What answers like a driver.
pub trait Subject {
    /// Why a call gave nothing, where the driver itself did not say so.
    type Error: Debug;

    /// See [`Driver::describe`].
    fn describe(&self) -> Result<Description, Self::Error>;

    /// See [`Driver::check_config`].
    fn check_config(&self, config: &str) -> Result<Vec<Diagnostic>, Self::Error>;

    /// See [`Driver::render`].
    fn render(&self, request: &RenderRequest) -> Result<Result<Rendered, DriverError>, Self::Error>;

    /// See [`Driver::assess`].
    fn assess(&self, target: &Target, objects: &[Observed]) -> Result<Health, Self::Error>;

    /// See [`Driver::rewrite_image`].
    fn rewrite_image(&self, target: &Target, image: &str) -> Result<Option<String>, Self::Error>;
}

/// A [`Driver`] as it is, without WebAssembly.
#[derive(Debug, Default)]
pub struct Native<D>(PhantomData<D>);

/// What the checks found.
#[derive(Debug, Default)]
pub struct Report {
    checks: usize,
    failures: Vec<String>,
}

/// An application model with a name.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Says what is in it.
    pub name: &'static str,
    /// JSON text.
    pub json: &'static str,
}

/// The revision of all renderings of the kit.
pub const REVISION: &str = "r1";

/// Application models that every driver renders or refuses with a reason.
pub fn corpus() -> &'static [Model] {
    &[
        Model { name: "empty", json: include_str!("../corpus/empty.json") },
        Model { name: "everything", json: include_str!("../corpus/everything.json") },
        Model { name: "minimal", json: include_str!("../corpus/minimal.json") },
        Model { name: "stopped", json: include_str!("../corpus/stopped.json") },
    ]
}

/// A cluster with disks, shared files and nothing special.
pub fn target(config: &str) -> Target {
    Target {
        cluster: "conformance".to_owned(),
        namespace: "team-a".to_owned(),
        kubernetes_version: "1.33".to_owned(),
        api_resources: [
            "v1/ConfigMap",
            "v1/PersistentVolumeClaim",
            "v1/Secret",
            "v1/Service",
            "apps/v1/Deployment",
            "apps/v1/StatefulSet",
            "batch/v1/Job",
            "networking.k8s.io/v1/Ingress",
            "networking.k8s.io/v1/NetworkPolicy",
            "policy/v1/PodDisruptionBudget",
        ]
        .map(str::to_owned)
        .to_vec(),
        storage_classes: vec![
            r#"{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"disk","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"disk.example.org","volumeBindingMode":"WaitForFirstConsumer","allowVolumeExpansion":true}"#.to_owned(),
            r#"{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"files"},"provisioner":"nfs.csi.k8s.io","volumeBindingMode":"Immediate"}"#.to_owned(),
        ],
        config: config.to_owned(),
    }
}

/// Runs all checks with a configuration that the driver accepts.
pub fn check<S: Subject>(subject: &S, config: &str) -> Report {
    let mut report = Report::default();
    description(subject, &mut report);
    configuration(subject, config, &mut report);
    render::check(subject, &target(config), &mut report);
    health::check(subject, &target(config), &mut report);
    images(subject, &target(config), &mut report);
    report
}

impl Report {
    /// What does not hold, each with the check that found it.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// How many checks were made.
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// Panics with all that does not hold.
    pub fn assert_passed(&self) {
        assert!(self.failures.is_empty(), "the driver breaks the contract:\n- {}", self.failures.join("\n- "));
    }

    /// Notes whether something holds.
    fn hold(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.failures.push(what());
        }
    }

    /// The answer of a call, if there was one.
    fn answer<T, E: Debug>(&mut self, call: &str, answer: Result<T, E>) -> Option<T> {
        self.checks += 1;
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.failures.push(format!("{call}: no answer: {error:?}"));
                None
            }
        }
    }
}

impl<D> Native<D> {
    /// A driver as it is.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D: Driver> Subject for Native<D> {
    type Error = std::convert::Infallible;

    fn describe(&self) -> Result<Description, Self::Error> {
        Ok(D::describe())
    }

    fn check_config(&self, config: &str) -> Result<Vec<Diagnostic>, Self::Error> {
        Ok(D::check_config(config))
    }

    fn render(&self, request: &RenderRequest) -> Result<Result<Rendered, DriverError>, Self::Error> {
        Ok(D::render(request))
    }

    fn assess(&self, target: &Target, objects: &[Observed]) -> Result<Health, Self::Error> {
        Ok(D::assess(target, objects))
    }

    fn rewrite_image(&self, target: &Target, image: &str) -> Result<Option<String>, Self::Error> {
        Ok(D::rewrite_image(target, image))
    }
}

fn description<S: Subject>(subject: &S, report: &mut Report) {
    let Some(description) = report.answer("describe", subject.describe()) else { return };
    let id = description.id.as_str();
    let is_label = (1..=63).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.starts_with('-')
        && !id.ends_with('-');
    report.hold(is_label, || format!("describe: the id {id:?} is no DNS label"));
    let numbers: Vec<_> = description.version.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    let is_semantic = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u64>().is_ok());
    report.hold(is_semantic, || format!("describe: {:?} is no semantic version", description.version));
    let schema: Option<Json> = serde_json::from_str(&description.config_schema).ok();
    report
        .hold(schema.is_some_and(|schema| schema.is_object()), || "describe: the schema is no JSON object".to_owned());
}

fn configuration<S: Subject>(subject: &S, config: &str, report: &mut Report) {
    let is_refused = |found: &[Diagnostic]| found.iter().any(|finding| finding.severity == Severity::Error);
    if let Some(found) = report.answer("check-config", subject.check_config(config)) {
        report.hold(!is_refused(&found), || format!("check-config: {config} is refused: {found:?}"));
    }
    for wrong in ["", "{", "[]", "null", r#"{"noSuchKeyOfAnyDriver": true}"#] {
        if let Some(found) = report.answer("check-config", subject.check_config(wrong)) {
            report.hold(is_refused(&found), || format!("check-config: {wrong:?} is accepted"));
        }
    }
}

fn images<S: Subject>(subject: &S, target: &Target, report: &mut Report) {
    let digest = format!("sha256:{}", "0".repeat(64));
    for image in [format!("registry.example.org/team/web@{digest}"), "nginx:1.29".to_owned()] {
        let Some(rewritten) = report.answer("rewrite-image", subject.rewrite_image(target, &image)) else { continue };
        let end = image.rsplit('/').next().unwrap_or_default();
        let keeps = rewritten.as_ref().is_none_or(|rewritten| rewritten.ends_with(end));
        report.hold(keeps, || format!("rewrite-image: {image} becomes {rewritten:?}, which is another image"));
    }
}
