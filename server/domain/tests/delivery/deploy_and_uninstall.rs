//! Deployments of what was composed here, and ends.

use crate::support::{component, content, here, installed, key, resource, variable, with_resources};
use ropeway_domain::{
    change::{ChangeKind, Decision},
    deploy::plan_deployment,
    model::{Volume, VolumeKind},
    uninstall::uninstall,
};
use serde_json::json;

#[test]
fn every_difference_is_applied_and_what_is_not_wanted_is_removed() {
    let deployed = installed(&with_resources(
        [component(1, "Web"), component(2, "Old")],
        [resource(1, "ConfigMap", &json!({"data": {"a": "1"}}))],
    ))
    .after;
    assert!(plan_deployment(&deployed, &deployed).is_empty());
    let mut desired = deployed.clone();
    desired.components.remove(&key(2));
    let web = &mut desired.components.get_mut(&key(1)).unwrap().spec;
    web.environment.push(variable("A", here("1")));
    web.scale.replicas = 4;
    desired.resources.values_mut().next().unwrap().spec.manifest["data"]["a"] = json!("2");
    let changes = plan_deployment(&deployed, &desired);
    let lines: Vec<_> = changes.iter().map(|change| (change.path.as_str(), change.kind)).collect();
    let expected = [
        ("environment/A", ChangeKind::Add),
        ("scale/replicas", ChangeKind::Update),
        ("component", ChangeKind::Remove),
        ("manifest/data/a", ChangeKind::Update),
    ];
    assert_eq!(lines, expected);
    assert!(changes.iter().all(|change| change.decision == Decision::Apply));
}

#[test]
fn an_end_goes_against_the_dependencies_and_keeps_what_holds_data() {
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let mut db = component(2, "Db");
    db.volumes.push(Volume {
        name: "data".to_owned(),
        mount_path: "/data".to_owned(),
        sub_path: None,
        kind: VolumeKind::Exclusive,
        size: Some("1Gi".parse().unwrap()),
        storage_class: None,
        read_only: false,
        shared_from: None,
    });
    let state = installed(&with_resources(
        content([web, db]).components,
        [resource(1, "PersistentVolumeClaim", &json!({})), resource(2, "ConfigMap", &json!({}))],
    ))
    .after;
    let end = uninstall(&state, false).unwrap();
    assert_eq!(end.components, [vec![key(1)], vec![key(2)]]);
    assert_eq!((end.resources.len(), end.kept.len()), (1, 2));
    let end = uninstall(&state, true).unwrap();
    assert_eq!((end.resources.len(), end.kept.len()), (2, 0));
}
