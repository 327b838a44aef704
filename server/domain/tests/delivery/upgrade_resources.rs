//! Components as wholes, dependencies, chosen subsets, and Kubernetes resources.

use crate::support::{
    Upgrade, component, component_owner, content, decision, generated, image, installed, key, line, resource,
    resource_key, roll_back, text, variable, version, with_resources,
};
use ropeway_domain::{
    ChangeId, Digest,
    change::{
        ChangeKind,
        Decision::{Apply, Keep},
    },
    upgrade::{AcceptError, UpgradeError},
};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_new_component_is_created_after_what_it_depends_on() {
    let base = content([component(1, "Web")]);
    let mut new = component(2, "Cache");
    new.scale.rule.min_replicas = 2;
    new.scale.replicas = 7;
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let target = content([web, new]);
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let cache = &outcome.after.components[&key(2)];
    assert_eq!(cache.spec.scale.replicas, 2, "it starts with the minimum");
    assert_eq!(cache.cluster_name, "shop-cache");
    assert_eq!(decision(&outcome.changes, "component"), Some(Apply));
    assert_eq!(decision(&outcome.changes, &format!("dependencies/{}", key(2))), Some(Apply));
    assert_eq!(outcome.apply, BTreeSet::from([key(1), key(2)]));
    let waves = ropeway_domain::plan::start_order(&outcome.after).unwrap();
    assert_eq!(waves, [vec![key(2)], vec![key(1)]]);
}

#[test]
fn a_component_that_is_no_longer_in_the_template_keeps_running_and_is_marked() {
    let base = content([component(1, "Web"), component(2, "Old")]);
    let target = content([component(1, "Web")]);
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let old = &outcome.after.components[&key(2)];
    assert!(old.no_longer_in_template);
    assert_eq!(old.spec, before.components[&key(2)].spec);
    assert_eq!(old.version, Some(version(1)));
    assert_eq!(outcome.left, BTreeSet::from([key(2)]));
    let change = line(&outcome.changes, "component").unwrap();
    assert_eq!((change.kind, change.decision), (ChangeKind::Remove, Keep));
    assert!(outcome.is_complete && outcome.apply.is_empty());
}

#[test]
fn components_match_by_key_whatever_they_are_called() {
    let base = content([component(1, "Web")]);
    let mut renamed = component(1, "Frontend");
    renamed.image = image("two");
    let target = content([renamed, component(2, "Web")]);
    let before = installed(&base).after;
    let after = Upgrade::new(&base, &target, &before).run().unwrap().after;
    assert_eq!(after.components.len(), 2);
    assert_eq!(after.components[&key(1)].cluster_name, "shop-web", "names in the cluster are for life");
    assert_eq!(after.components[&key(1)].spec.image, image("two"));
    assert_eq!(after.components[&key(1)].spec.slug.as_str(), "web");
}

#[test]
fn a_component_that_was_deleted_here_is_offered_and_its_dependents_say_what_they_lack() {
    let base = content([component(1, "Web"), component(2, "Cache")]);
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let target = content([web, component(2, "Cache")]);
    let mut before = installed(&base).after;
    before.components.remove(&key(2));
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert!(!outcome.after.components.contains_key(&key(2)));
    assert!(outcome.after.components[&key(1)].spec.dependencies.is_empty());
    assert_eq!(decision(&outcome.changes, &format!("dependencies/{}", key(2))), Some(Keep));
    let offer = line(&outcome.changes, "component").unwrap();
    assert_eq!((offer.owner, offer.decision), (component_owner(2), Keep));

    let outcome = Upgrade::new(&base, &target, &before).accepting([offer.id.clone()]).run().unwrap();
    assert!(outcome.after.components.contains_key(&key(2)));
    assert!(outcome.after.components[&key(1)].spec.dependencies.contains(&key(2)));
}

#[test]
fn a_dependency_that_is_gone_is_cut_and_one_that_was_added_here_stays() {
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let others = [component(2, "Cache"), component(3, "Mail")];
    let base = content([web].into_iter().chain(others.clone()));
    let target = content([component(1, "Web")].into_iter().chain(others));
    let mut before = installed(&base).after;
    before.components.get_mut(&key(1)).unwrap().spec.dependencies.insert(key(3));
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert_eq!(outcome.after.components[&key(1)].spec.dependencies, BTreeSet::from([key(3)]));
}

#[test]
fn a_dependency_on_an_unselected_new_component_is_an_error_that_names_both() {
    let base = content([component(1, "Web")]);
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let target = content([web, component(2, "Cache")]);
    let before = installed(&base).after;
    let mut upgrade = Upgrade::new(&base, &target, &before);
    upgrade.selection = Some(BTreeSet::from([key(1)]));
    let missing = vec![("Web".to_owned(), "Cache".to_owned())];
    let error = upgrade.run().unwrap_err();
    assert_eq!(error.to_string(), "choose these as well: Cache (needed by Web)");
    assert_eq!(error, UpgradeError::UnselectedDependency { missing });
}

#[test]
fn unselected_components_and_resources_stay_until_the_last_component_goes() {
    let two = |tag: &str| {
        let mut both = [component(1, "Web"), component(2, "Cache")];
        for component in &mut both {
            component.image = image(tag);
        }
        with_resources(both, [resource(1, "NetworkPolicy", &json!({"spec": {"tag": tag}}))])
    };
    let (base, target) = (two("one"), two("two"));
    let before = installed(&base).after;
    let mut first = Upgrade::new(&base, &target, &before);
    first.selection = Some(BTreeSet::from([key(1)]));
    let outcome = first.run().unwrap();
    assert!(!outcome.is_complete);
    assert_eq!(outcome.after.components[&key(2)], before.components[&key(2)]);
    assert_eq!(outcome.after.resources, before.resources);
    assert_eq!(outcome.apply, BTreeSet::from([key(1)]));

    let mut second = Upgrade::new(&base, &target, &outcome.after);
    second.selection = Some(BTreeSet::from([key(2)]));
    let outcome = second.run().unwrap();
    assert!(outcome.is_complete);
    assert_eq!(outcome.apply, BTreeSet::from([key(2)]));
    assert_eq!(outcome.apply_resources, BTreeSet::from([resource_key(1)]));
}

#[test]
fn unknown_acceptances_and_selections_are_errors_that_list_them() {
    let base = content([component(1, "Web")]);
    let before = installed(&base).after;
    let id: ChangeId = Digest::of(b"nothing").hex()[..32].parse().unwrap();
    let error = Upgrade::new(&base, &base, &before).accepting([id.clone()]).run().unwrap_err();
    assert!(error.to_string().contains(id.as_str()));
    assert_eq!(error, UpgradeError::Accept(AcceptError::Unknown { ids: vec![id] }));
    let mut upgrade = Upgrade::new(&base, &base, &before);
    upgrade.selection = Some(BTreeSet::from([key(9)]));
    assert_eq!(upgrade.run().unwrap_err(), UpgradeError::UnknownSelection { keys: vec![key(9)] });
}

#[test]
fn those_that_depend_on_changed_connection_info_are_applied_too() {
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let mut db = component(2, "Db");
    let base = content([web.clone(), db.clone()]);
    db.connection_info.push(variable("DB_PORT", text("5432")));
    let target = content([web, db]);
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert_eq!(outcome.apply, BTreeSet::from([key(1), key(2)]));
}

#[test]
fn resources_are_created_and_their_fields_taken_over_local_ones() {
    let policy = |ports: &serde_json::Value| resource(1, "NetworkPolicy", &json!({"spec": {"ports": ports}}));
    let base = with_resources([], [policy(&json!([80]))]);
    let target = with_resources([], [policy(&json!([443])), resource(2, "Service", &json!({}))]);
    let mut before = installed(&base).after;
    let live = before.resources.get_mut(&resource_key(1)).unwrap();
    live.spec.manifest.insert("mine".to_owned(), json!(1));
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let manifest = &outcome.after.resources[&resource_key(1)].spec.manifest;
    assert_eq!(manifest["spec"], json!({"ports": [443]}));
    assert_eq!(manifest["mine"], 1);
    assert_eq!(manifest["metadata"]["name"], "thing");
    assert_eq!(decision(&outcome.changes, "manifest/spec/ports"), Some(Apply));
    assert_eq!(outcome.apply_resources, BTreeSet::from([resource_key(1), resource_key(2)]));
}

#[test]
fn config_maps_secrets_and_claims_are_kept_and_offered() {
    let build = |value: &str, size: &str, with_key: bool| {
        let mut data = json!({"a": value});
        if with_key {
            data["b"] = json!("new");
        }
        let mut secret = resource(2, "Secret", &json!({}));
        secret.secret_data.push(variable("password", if with_key { text(value) } else { generated(None) }));
        let claim = json!({"spec": {"resources": {"requests": {"storage": size}}, "accessModes": [value]}});
        let claim = resource(3, "PersistentVolumeClaim", &claim);
        with_resources([], [resource(1, "ConfigMap", &json!({"data": data})), secret, claim])
    };
    let (base, target) = (build("1", "1Gi", false), build("2", "2Gi", true));
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert!(outcome.applies_nothing());
    let specs = |installed: &ropeway_domain::Installed| -> Vec<_> {
        installed.resources.values().map(|resource| resource.spec.clone()).collect()
    };
    assert_eq!(specs(&outcome.after), specs(&before));
    for path in
        ["manifest/data/a", "manifest/data/b", "secretData/password", "manifest/spec/resources/requests/storage"]
    {
        let change = line(&outcome.changes, path).unwrap();
        assert_eq!(change.decision, Keep, "{path}");
        let accepted = Upgrade::new(&base, &target, &before).accepting([change.id.clone()]).run().unwrap();
        assert_eq!(accepted.apply_resources.len(), 1, "{path}");
        assert_eq!(decision(&accepted.changes, path), Some(Apply));
    }
    let modes = line(&outcome.changes, "manifest/spec/accessModes").unwrap().id.clone();
    let refused = Upgrade::new(&base, &target, &before).accepting([modes]).run();
    assert!(matches!(refused, Err(UpgradeError::Accept(AcceptError::Refused { .. }))), "{refused:?}");
}

#[test]
fn a_resource_that_is_gone_is_kept_and_offered_for_deletion() {
    let base = with_resources([component(1, "Web")], [resource(1, "NetworkPolicy", &json!({}))]);
    let target = content([component(1, "Web")]);
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert!(outcome.after.resources[&resource_key(1)].no_longer_in_template);
    let offer = line(&outcome.changes, "resource").unwrap();
    assert_eq!((offer.kind, offer.decision), (ChangeKind::Remove, Keep));
    let accepted = Upgrade::new(&base, &target, &before).accepting([offer.id.clone()]).run().unwrap();
    assert!(accepted.after.resources.is_empty());
    assert_eq!(accepted.apply_resources, BTreeSet::from([resource_key(1)]));
}

#[test]
fn environment_inside_a_resource_that_runs_pods_is_kept() {
    let daemon = |image: &str, level: &str| {
        let container = json!({"name": "agent", "image": image, "env": [{"name": "LEVEL", "value": level}]});
        resource(1, "DaemonSet", &json!({"spec": {"template": {"spec": {"containers": [container]}}}}))
    };
    let (base, target) = (with_resources([], [daemon("a", "info")]), with_resources([], [daemon("b", "debug")]));
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let container =
        &outcome.after.resources[&resource_key(1)].spec.manifest["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "b");
    assert_eq!(container["env"][0]["value"], "info");
    let path = "manifest/spec/template/spec/containers/agent/env/LEVEL";
    assert_eq!(decision(&outcome.changes, path), Some(Keep));
}

#[test]
fn a_resource_that_was_removed_and_made_again_is_the_same_one_and_goes_back() {
    let policy = |n: u128, ports: u16| resource(n, "NetworkPolicy", &json!({"spec": {"ports": ports}}));
    let base = with_resources([component(1, "Web")], [policy(1, 80)]);
    let target = with_resources([component(1, "Web")], [policy(2, 8080)]);
    let mut before = installed(&base).after;
    before.resources.get_mut(&resource_key(1)).unwrap().no_longer_in_template = true;
    let own = before.resources[&resource_key(1)].own_key;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    assert_eq!(outcome.after.resources.keys().copied().collect::<Vec<_>>(), [resource_key(2)]);
    let after = &outcome.after.resources[&resource_key(2)];
    assert_eq!((after.own_key, after.spec.key, after.no_longer_in_template), (own, resource_key(2), false));
    assert_eq!(after.spec.manifest["spec"]["ports"], 8080);
    assert_eq!(outcome.changes.len(), 1, "it is compared with what it was: {:?}", outcome.changes);

    let back = roll_back(&before, &outcome.after, &outcome.after).unwrap();
    assert_eq!(back.after.resources, before.resources);
    assert!(back.left_for_people.is_empty(), "{:?}", back.left_for_people);

    // Its version has it under the old key still: that is found by what it is.
    let mut failed = outcome.after.clone();
    failed.resources.get_mut(&resource_key(2)).unwrap().version = Some(version(1));
    failed.resources.get_mut(&resource_key(2)).unwrap().spec.manifest["spec"]["ports"] = json!(80);
    let again = Upgrade::new(&base, &target, &failed).run().unwrap();
    assert_eq!(again.after.resources[&resource_key(2)].spec, after.spec);
}

#[test]
fn a_component_is_applied_again_when_a_resource_that_it_names_changes() {
    let build = |level: &str| {
        let mut web = component(1, "Web");
        web.attributes.insert("envFrom".into(), json!([{"configMapRef": {"name": "thing"}}]));
        with_resources(
            [web, component(2, "Other")],
            [resource(1, "ConfigMap", &json!({"data": {"level": level}})), resource(2, "Service", &json!({}))],
        )
    };
    let (base, target) = (build("one"), build("two"));
    let before = installed(&base).after;
    let kept = Upgrade::new(&base, &target, &before).run().unwrap();
    assert!(kept.apply.is_empty(), "what was kept changes nothing");
    let change = line(&kept.changes, "manifest/data/level").unwrap().id.clone();
    let accepted = Upgrade::new(&base, &target, &before).accepting([change]).run().unwrap();
    assert_eq!(accepted.apply, BTreeSet::from([key(1)]));
}
