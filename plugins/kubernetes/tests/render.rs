//! What is rendered, and what is refused.

use ropeway_driver_kubernetes::Kubernetes;
use ropeway_driver_sdk::{Diagnostic, Driver, DriverError, RenderRequest, Rendered, Severity, Target, conformance};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

#[test]
fn a_full_application_becomes_these_objects() {
    insta::assert_snapshot!(shown(&render(&corpus("everything")).unwrap()));
}

#[test]
fn a_stopped_application_keeps_its_objects_with_no_replicas() {
    insta::assert_snapshot!(shown(&render(&corpus("stopped")).unwrap()));
}

#[test]
fn another_version_changes_labels_of_objects_and_nothing_of_pods() {
    let model = corpus("everything");
    let mut newer = model.clone();
    for component in newer["components"].as_array_mut().unwrap() {
        component["version"] = "2.0.0".into();
        component["installation"] = "00000000-0000-0000-0000-0000000000f2".into();
    }
    let target = conformance::target("{}");
    let before = objects(&render_at(&model, &target, "r1").unwrap());
    let after = objects(&render_at(&newer, &target, "r2").unwrap());
    let mut compared = 0;
    for (mut before, mut after) in before.into_iter().zip(after) {
        if before["kind"] == "Job" {
            assert_ne!(before["metadata"]["name"], after["metadata"]["name"], "a Job is named by revision");
            continue;
        }
        assert_ne!(before["metadata"]["labels"], after["metadata"]["labels"]);
        before["metadata"]["labels"] = Json::Null;
        after["metadata"]["labels"] = Json::Null;
        assert_eq!(before, after);
        compared += 1;
    }
    assert!(compared > 10);
}

#[test]
fn another_content_hash_changes_the_pods() {
    let mut model = corpus("minimal");
    let before = objects(&render(&model).unwrap());
    model["components"][0]["contentHash"] = "other".into();
    let after = objects(&render(&model).unwrap());
    assert_ne!(before[0]["spec"]["template"], after[0]["spec"]["template"]);
}

/// What is not said is defaulted by the cluster and belongs to nobody: it would stay when the other strategy is said.
#[test]
fn a_deployment_says_its_strategy_with_and_without_a_disk() {
    let mut model = corpus("minimal");
    let strategy = |model: &Json| {
        let objects = objects(&render(model).unwrap());
        objects.into_iter().find(|object| object["kind"] == "Deployment").unwrap()["spec"]["strategy"].clone()
    };
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } });
    assert_eq!(strategy(&model), rolling);
    model["components"][0]["volumes"] =
        json!([{ "name": "data", "mountPath": "/data", "kind": "exclusive", "size": "1Gi" }]);
    assert_eq!(strategy(&model), json!({ "type": "Recreate" }));
}

#[test]
fn what_cannot_be_rendered_is_refused_with_its_place() {
    for (change, value, path, code) in [
        ("/components/0/name", json!("Shop_Web"), "/components/0/name", "component.name"),
        ("/components/0/name", json!("a".repeat(53)), "/components/0/name", "component.name"),
        (
            "/components/0/volumes",
            json!([{ "name": "data", "mountPath": "/data", "kind": "exclusive" }]),
            "/components/0/volumes/0/size",
            "volume.size",
        ),
        (
            "/components/0/volumes",
            json!([{ "name": "a", "mountPath": "/a", "kind": "memory" }, { "name": "b", "mountPath": "/a", "kind": "memory" }]),
            "/components/0/volumes/1/mountPath",
            "volume.twice",
        ),
        (
            "/components/0/volumes",
            json!([{ "name": "a", "mountPath": "/a", "subPath": "../b", "kind": "memory" }]),
            "/components/0/volumes/0/subPath",
            "volume.path",
        ),
        (
            "/components/0/configFiles",
            json!([{ "path": "etc/relative", "content": "" }]),
            "/components/0/configFiles/0/path",
            "file.path",
        ),
        (
            "/components/0/environment",
            json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }]),
            "/components/0/environment/1/name",
            "environment.twice",
        ),
        (
            "/components/0/environment",
            json!([{ "name": "no key", "value": { "secret": "ropeway-secret:00000000-0000-0000-0000-000000000001" } }]),
            "/components/0/environment/0/name",
            "environment.name",
        ),
        ("/components/0/attributes", json!({ "noSuch": 1 }), "/components/0/attributes/noSuch", "attribute.unknown"),
        ("/components/0/attributes", json!({ "env": {} }), "/components/0/attributes/env", "attribute.type"),
        (
            "/components/0/attributes",
            json!({ "containers": [] }),
            "/components/0/attributes/containers",
            "attribute.reserved",
        ),
        (
            "/components/0/attributes",
            json!({ "restartPolicy": "Never" }),
            "/components/0/attributes/restartPolicy",
            "attribute.value",
        ),
        (
            "/components/0/attributes",
            json!({ "volumeClaimTemplates": [] }),
            "/components/0/attributes/volumeClaimTemplates",
            "attribute.kind",
        ),
        (
            "/resources",
            json!([resource("rbac.authorization.k8s.io/v1", "ClusterRole", "all")]),
            "/resources/0/manifest/kind",
            "resource.kind",
        ),
        ("/resources", json!([resource("apps/v1", "Deployment", "shop-web")]), "", "name.twice"),
    ] {
        let mut model = corpus("minimal");
        let (parent, field) = change.rsplit_once('/').unwrap();
        model.pointer_mut(parent).unwrap()[field] = value.clone();
        match render(&model) {
            Err(DriverError::Invalid(found)) => {
                let found: Vec<_> = found.iter().map(|it| (it.path.as_str(), it.code.as_str())).collect();
                assert_eq!(found, [(path, code)], "{value}");
            }
            other => panic!("{value} gives {other:?}"),
        }
    }
}

#[test]
fn shared_files_without_a_class_for_many_writers_are_unsupported_and_the_volume_is_named() {
    let mut target = conformance::target("{}");
    target.storage_classes.truncate(1);
    match render_at(&corpus("everything"), &target, "r1") {
        Err(DriverError::Unsupported(why)) => {
            assert!(
                why.contains("\"uploads\" of \"shop-web\"") && why.contains("\"reports\" of \"shop-jobs\""),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_configured_class_is_used_for_claims_that_name_none() {
    let target = conformance::target(r#"{"storageClasses": {"exclusive": "files", "shared": "disk"}}"#);
    let rendered = render_at(&corpus("everything"), &target, "r1").unwrap();
    let classes: Vec<_> = objects(&rendered)
        .iter()
        .filter(|object| object["kind"] == "PersistentVolumeClaim")
        .map(|claim| (claim["spec"]["accessModes"][0].clone(), claim["spec"]["storageClassName"].clone()))
        .collect();
    assert_eq!(
        classes,
        [
            (json!("ReadWriteMany"), json!("disk")),
            (json!("ReadWriteOnce"), json!("files")),
            (json!("ReadWriteMany"), json!("disk")),
        ]
    );
}

#[test]
fn attributes_add_and_never_replace_what_is_given() {
    let mut model = corpus("minimal");
    model["components"][0]["environment"] = json!([{ "name": "MODE", "value": "model" }]);
    model["components"][0]["volumes"] = json!([{ "name": "tmp", "mountPath": "/tmp", "kind": "memory" }]);
    model["components"][0]["attributes"] = json!({
        "labels": { "ropeway.dev/component": "forged", "app.kubernetes.io/managed-by": "forged", "a": "b" },
        "annotations": { "ropeway.dev/content": "forged", "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-spec": "s" },
        "env": [{ "name": "MODE", "value": "attribute" }, { "name": "MORE", "value": "1" }],
        "volumes": [{ "name": "tmp", "hostPath": { "path": "/" } }],
        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
    });
    let rendered = render(&model).unwrap();
    let object = &objects(&rendered)[0];
    assert_eq!(object["metadata"]["labels"]["ropeway.dev/component"], "00000000-0000-0000-0000-000000000c01");
    assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "ropeway");
    assert_eq!(object["metadata"]["labels"]["a"], "b");
    let pod = &object["spec"]["template"]["spec"];
    let env = json!([{ "name": "MODE", "value": "model" }, { "name": "MORE", "value": "1" }]);
    assert_eq!(pod["containers"][0]["env"], env);
    assert_eq!(pod["volumes"], json!([{ "name": "tmp", "emptyDir": { "medium": "Memory" } }]));
    assert_eq!(pod["containers"][0]["volumeMounts"], json!([{ "name": "tmp", "mountPath": "/tmp" }]));
    let warnings: Vec<_> = rendered.diagnostics.iter().map(warning).collect();
    let at = "/components/0/attributes";
    assert_eq!(
        warnings,
        [
            (
                format!("{at}/annotations/service.beta.kubernetes.io~1alibaba-cloud-loadbalancer-spec"),
                "annotation.provider"
            ),
            (format!("{at}/annotations/ropeway.dev~1content"), "attribute.reserved"),
            (format!("{at}/env/0"), "attribute.twice"),
            (format!("{at}/labels/app.kubernetes.io~1managed-by"), "attribute.reserved"),
            (format!("{at}/labels/ropeway.dev~1component"), "attribute.reserved"),
            (format!("{at}/volumeMounts/0"), "attribute.twice"),
            (format!("{at}/volumes/0"), "attribute.twice"),
        ]
    );
}

#[test]
fn files_whose_paths_read_alike_get_keys_of_their_own() {
    let mut model = corpus("minimal");
    model["components"][0]["configFiles"] = json!([{ "path": "/a/b", "content": "1" }, { "path": "/a.b", "content": "2" }, { "path": "/c", "content": "3" }]);
    let rendered = objects(&render(&model).unwrap());
    let data = rendered[0]["data"].as_object().unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!(data["c"], "3");
    let pod = &rendered[1]["spec"]["template"]["spec"];
    for mount in pod["containers"][0]["volumeMounts"].as_array().unwrap() {
        let wanted = match mount["mountPath"].as_str().unwrap() {
            "/a/b" => "1",
            "/a.b" => "2",
            _ => "3",
        };
        assert_eq!(data[mount["subPath"].as_str().unwrap()], wanted);
    }
}

#[test]
fn replicas_that_share_a_disk_are_warned_of_and_replaced_at_once() {
    let mut model = corpus("minimal");
    model["components"][0]["replicas"] = 2.into();
    model["components"][0]["volumes"] =
        json!([{ "name": "data", "mountPath": "/data", "kind": "exclusive", "size": "1Gi" }]);
    let rendered = render(&model).unwrap();
    assert_eq!(
        rendered.diagnostics.iter().map(warning).collect::<Vec<_>>(),
        [("/components/0/replicas".to_owned(), "volume.writers")]
    );
    assert_eq!(objects(&rendered)[1]["spec"]["strategy"]["type"], "Recreate");
}

fn render(model: &Json) -> Result<Rendered, DriverError> {
    render_at(model, &conformance::target("{}"), "r1")
}

fn render_at(model: &Json, target: &Target, revision: &str) -> Result<Rendered, DriverError> {
    Kubernetes::render(&RenderRequest {
        application: model.to_string(),
        target: target.clone(),
        revision: revision.to_owned(),
    })
}

fn corpus(name: &str) -> Json {
    let model = conformance::corpus().iter().find(|model| model.name == name).unwrap();
    serde_json::from_str(model.json).unwrap()
}

fn resource(api_version: &str, kind: &str, name: &str) -> Json {
    let manifest = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } });
    json!({ "key": "00000000-0000-0000-0000-000000000d01", "manifest": manifest })
}

fn objects(rendered: &Rendered) -> Vec<Json> {
    rendered.manifests.iter().map(|manifest| serde_json::from_str(&manifest.object).unwrap()).collect()
}

fn warning(found: &Diagnostic) -> (String, &str) {
    assert_eq!(found.severity, Severity::Warning, "{found:?}");
    (found.path.clone(), &found.code)
}

/// A rendering as a text that can be read.
fn shown(rendered: &Rendered) -> String {
    let mut text = String::new();
    for manifest in &rendered.manifests {
        let object: Json = serde_json::from_str(&manifest.object).unwrap();
        let component = manifest.component.as_deref().unwrap_or("-");
        writeln!(text, "# wave {}, {:?}, of {component}", manifest.wave, manifest.mode).unwrap();
        writeln!(text, "{object:#}").unwrap();
    }
    for found in &rendered.diagnostics {
        writeln!(text, "# {:?} {} at {}: {}", found.severity, found.code, found.path, found.message).unwrap();
    }
    text
}
