//! Rendering: determinism, shape, labels, placeholders, refusals.

use super::{REVISION, Report, Subject, corpus};
use crate::{DriverError, Manifest, RenderRequest, Rendered, Severity, Target};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What every placeholder begins with.
const PLACEHOLDER: &str = "ropeway-secret:";
/// Labels that change from version to version.
const PASSING: &[&str] = &["app.kubernetes.io/version", "ropeway.dev/installation", "ropeway.dev/revision"];

pub(super) fn check<S: Subject>(subject: &S, target: &Target, report: &mut Report) {
    for model in corpus() {
        let request =
            RenderRequest { application: model.json.to_owned(), target: target.clone(), revision: REVISION.to_owned() };
        let call = format!("render of {:?}", model.name);
        let Some(first) = report.answer(&call, subject.render(&request)) else { continue };
        let Some(second) = report.answer(&call, subject.render(&request)) else { continue };
        report.hold(first == second, || format!("{call}: the same input gave two outputs"));
        match first {
            Ok(rendered) => check_rendered(&call, model.json, target, &rendered, report),
            Err(refusal) => check_refusal(&call, &refusal, report),
        }
    }
    for wrong in ["", "{}", r#"{"modelVersion": "1"}"#] {
        let request =
            RenderRequest { application: wrong.to_owned(), target: target.clone(), revision: REVISION.to_owned() };
        if let Some(answer) = report.answer("render", subject.render(&request)) {
            report.hold(answer.is_err(), || format!("render: {wrong:?} is no model and is rendered"));
        }
    }
}

fn check_refusal(call: &str, refusal: &DriverError, report: &mut Report) {
    match refusal {
        DriverError::Invalid(found) => {
            let says_why = found.iter().any(|finding| finding.severity == Severity::Error);
            report.hold(says_why, || format!("{call}: refused without an error among the findings"));
        }
        DriverError::Unsupported(why) => {
            report.hold(!why.is_empty(), || format!("{call}: unsupported, and not said why"));
        }
        DriverError::Internal(why) => report.hold(false, || format!("{call}: the driver failed: {why}")),
    }
}

fn check_rendered(call: &str, model: &str, target: &Target, rendered: &Rendered, report: &mut Report) {
    let model: Json = serde_json::from_str(model).unwrap_or_default();
    let has_error = rendered.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
    report.hold(!has_error, || format!("{call}: an error is no refusal"));
    let mut names = BTreeSet::new();
    for manifest in &rendered.manifests {
        let Ok(object) = serde_json::from_str::<Json>(&manifest.object) else {
            report.hold(false, || format!("{call}: an object is no JSON"));
            continue;
        };
        let (api, kind, name) = (at(&object, "/apiVersion"), at(&object, "/kind"), at(&object, "/metadata/name"));
        let which = format!("{call}: {kind} {name:?}");
        report.hold(!api.is_empty() && !kind.is_empty() && !name.is_empty(), || {
            format!("{which} lacks apiVersion, kind or metadata.name")
        });
        report.hold(at(&object, "/metadata/namespace") == target.namespace, || {
            format!("{which} is not in the namespace of the target")
        });
        report.hold(object.get("status").is_none(), || format!("{which} has a status"));
        report.hold(names.insert((api.to_owned(), kind.to_owned(), name.to_owned())), || format!("{which} is twice"));
        check_labels(&which, &model, manifest, &object, report);
        check_placeholders(&which, &object, report);
    }
    for part in parts(&model) {
        let key = at(part, "/key");
        let is_there = rendered.manifests.iter().any(|manifest| manifest.component.as_deref() == Some(key));
        report.hold(is_there, || format!("{call}: nothing was rendered of {key}"));
    }
}

fn check_labels(which: &str, model: &Json, manifest: &Manifest, object: &Json, report: &mut Report) {
    let label = |name: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(name)?.as_str());
    let owner = manifest.component.as_deref().and_then(|key| parts(model).find(|part| at(part, "/key") == key));
    report.hold(manifest.component.is_none() == owner.is_none(), || format!("{which} belongs to nothing in the model"));
    let slug = at(model, "/application/slug");
    let installation = owner.and_then(|owner| owner.get("installation")?.as_str());
    for (name, wanted) in [
        ("app.kubernetes.io/instance", Some(slug)),
        ("app.kubernetes.io/part-of", Some(slug)),
        ("app.kubernetes.io/managed-by", Some("ropeway")),
        ("ropeway.dev/application", Some(at(model, "/application/id"))),
        ("ropeway.dev/component", manifest.component.as_deref()),
        ("ropeway.dev/installation", installation),
        ("ropeway.dev/revision", Some(REVISION)),
    ] {
        report
            .hold(label(name) == wanted, || format!("{which}: the label {name} is {:?}, not {wanted:?}", label(name)));
    }
    report.hold(label("app.kubernetes.io/name").is_some(), || format!("{which} lacks app.kubernetes.io/name"));
    let has_version = owner.is_some_and(|owner| owner.get("version").is_some_and(Json::is_string));
    report.hold(label("app.kubernetes.io/version").is_some() == has_version, || {
        format!("{which}: app.kubernetes.io/version is there exactly if the model has a version")
    });

    let templates = object.pointer("/spec/volumeClaimTemplates").and_then(Json::as_array).into_iter().flatten();
    let lasting = templates
        .filter_map(|template| template.pointer("/metadata/labels"))
        .chain(object.pointer("/spec/template/metadata/labels"))
        .chain(object.pointer("/spec/selector"));
    for labels in lasting {
        let text = labels.to_string();
        let passing = PASSING.iter().find(|label| text.contains(&format!("{label:?}")));
        report.hold(passing.is_none(), || format!("{which}: {passing:?} changes with versions and is in {text}"));
    }
    if let Some(selector) = object.pointer("/spec/selector/matchLabels") {
        let wanted = serde_json::json!({ "ropeway.dev/component": manifest.component });
        report.hold(owner.is_none_or(|owner| owner.get("image").is_none()) || *selector == wanted, || {
            format!("{which} selects its pods by more than ropeway.dev/component")
        });
    }
}

fn check_placeholders(which: &str, object: &Json, report: &mut Report) {
    let mut rest = object.clone();
    if at(object, "/apiVersion") == "v1" && at(object, "/kind") == "Secret" {
        let entries = rest.as_object_mut().and_then(|fields| fields.remove("stringData"));
        for value in entries.iter().filter_map(Json::as_object).flat_map(serde_json::Map::values) {
            let text = value.as_str().unwrap_or_default();
            let is_whole =
                !text.contains(PLACEHOLDER) || text.starts_with(PLACEHOLDER) && text.len() == PLACEHOLDER.len() + 36;
            report.hold(is_whole, || format!("{which}: a placeholder is only a part of a value"));
        }
    }
    report.hold(!rest.to_string().contains(PLACEHOLDER), || {
        format!("{which}: the placeholder of a secret is outside of stringData of a Secret")
    });
}

/// Components and resources of a model.
fn parts(model: &Json) -> impl Iterator<Item = &Json> {
    ["/components", "/resources"].into_iter().filter_map(|list| model.pointer(list).and_then(Json::as_array)).flatten()
}

fn at<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}
