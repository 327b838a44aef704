//! Rollbacks.

use crate::support::{
    Upgrade, component, content, decision, here, image, installed, key, line, resource, resource_key, roll_back, text,
    variable, version, with_resources,
};
use ropeway_domain::{
    change::Decision,
    model::WorkloadKind,
    rollback::{RollbackInput, rollback},
};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_rollback_of_an_upgrade_that_only_added_components_succeeds_and_says_what_it_left() {
    let base = content([component(1, "Web")]);
    let target = content([component(1, "Web"), component(2, "Cache")]);
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let outcome = roll_back(&before, &written, &written).unwrap();
    assert!(outcome.changes.is_empty() && outcome.apply.is_empty());
    assert!(outcome.after.components.contains_key(&key(2)), "an added component is not deleted");
    assert_eq!(outcome.after.components[&key(1)].version, Some(version(1)));
    let left: Vec<_> = outcome.left_for_people.iter().map(|left| (left.kind.as_str(), left.name.as_str())).collect();
    assert_eq!(left, [("component", "Cache")]);
}

#[test]
fn what_was_deleted_since_is_listed_and_not_revived() {
    let base = with_resources([component(1, "Web"), component(2, "Db")], [resource(1, "Service", &json!({}))]);
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &base, &before).run().unwrap().after;
    let mut now = written.clone();
    now.components.remove(&key(2));
    now.resources.remove(&resource_key(1));
    let outcome = roll_back(&before, &written, &now).unwrap();
    assert!(!outcome.after.components.contains_key(&key(2)) && outcome.after.resources.is_empty());
    let left: Vec<_> = outcome.left_for_people.iter().map(|left| (left.kind.as_str(), left.name.as_str())).collect();
    assert_eq!(left, [("component", "Db"), ("resource", "Service thing")]);
}

#[test]
fn what_was_accepted_goes_back_only_where_it_is_still_what_the_upgrade_wrote() {
    let web = |value: &str| {
        let mut web = component(1, "Web");
        web.environment.push(variable("A", text(value)));
        web.environment.push(variable("B", text(value)));
        web.scale.replicas = value.parse().unwrap();
        content([web])
    };
    let (base, target) = (web("1"), web("2"));
    let before = installed(&base).after;
    let offered = Upgrade::new(&base, &target, &before).run().unwrap().kept();
    let upgrade = Upgrade::new(&base, &target, &before).accepting(offered.into_iter().map(|change| change.id));
    let written = upgrade.run().unwrap().after;
    let mut now = written.clone();
    let spec = &mut now.components.get_mut(&key(1)).unwrap().spec;
    spec.environment[1].value = here("mine");
    spec.scale.replicas = 5;
    let outcome = roll_back(&before, &written, &now).unwrap();
    let spec = &outcome.after.components[&key(1)].spec;
    assert_eq!((&spec.environment[0].value, &spec.environment[1].value), (&here("1"), &here("mine")));
    assert_eq!(spec.scale.replicas, 5);
    assert_eq!(decision(&outcome.changes, "environment/B"), Some(Decision::Keep));
    let accept = BTreeSet::from([line(&outcome.changes, "environment/B").unwrap().id.clone()]);
    let input = RollbackInput { snapshot: &before, written: &written, now: &now, accept: &accept };
    let spec = &rollback(&input).unwrap().after.components[&key(1)].spec;
    assert_eq!(spec.environment[1].value, here("1"), "a person may take it back all the same");
}

#[test]
fn what_a_person_changed_since_and_the_upgrade_did_not_stays() {
    let mut web = component(1, "Web");
    web.environment.push(variable("A", text("1")));
    let base = content([web.clone()]);
    web.image = image("two");
    let target = content([web]);
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let mut now = written.clone();
    let spec = &mut now.components.get_mut(&key(1)).unwrap().spec;
    spec.environment[0].value = here("mine");
    spec.environment.push(variable("NEW", here("mine")));
    let outcome = roll_back(&before, &written, &now).unwrap();
    let after = &outcome.after.components[&key(1)].spec;
    assert_eq!(after.environment, now.components[&key(1)].spec.environment);
    assert_eq!(after.image, image("one"));
    assert_eq!(outcome.changes.len(), 1);
    assert!(outcome.left_for_people.is_empty());
}

#[test]
fn what_the_upgrade_added_stays_and_is_listed_but_attributes_and_probes_go_back() {
    let base = content([component(1, "Web")]);
    let mut web = component(1, "Web");
    web.environment.push(variable("A", text("1")));
    web.attributes.insert("hostNetwork".to_owned(), json!(true));
    let target = with_resources([web], [resource(1, "ConfigMap", &json!({}))]);
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let outcome = roll_back(&before, &written, &written).unwrap();
    let spec = &outcome.after.components[&key(1)].spec;
    assert!(spec.attributes.is_empty());
    assert_eq!(spec.environment.len(), 1);
    assert_eq!(outcome.after.resources.len(), 1);
    let left: Vec<_> = outcome.left_for_people.iter().map(|left| (left.kind.as_str(), left.name.as_str())).collect();
    assert_eq!(left, [("environment", "A"), ("resource", "ConfigMap thing")]);
}

#[test]
fn a_dependency_on_an_added_component_is_cut_and_the_component_stays() {
    let base = content([component(1, "Web")]);
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let target = content([web, component(2, "Cache")]);
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let outcome = roll_back(&before, &written, &written).unwrap();
    assert!(outcome.after.components[&key(1)].spec.dependencies.is_empty());
    assert!(outcome.after.components.contains_key(&key(2)));
}

#[test]
fn a_resource_goes_back_field_by_field_and_a_deleted_one_is_made_again() {
    let policy = |n: u128, port: u16| resource(n, "NetworkPolicy", &json!({"spec": {"port": port}}));
    let base = with_resources([], [policy(1, 80), policy(2, 80)]);
    let target = with_resources([], [policy(1, 443)]);
    let before = installed(&base).after;
    let offer = line(&Upgrade::new(&base, &target, &before).run().unwrap().changes, "resource").unwrap().id.clone();
    let written = Upgrade::new(&base, &target, &before).accepting([offer]).run().unwrap().after;
    assert_eq!(written.resources.len(), 1);
    let outcome = roll_back(&before, &written, &written).unwrap();
    assert_eq!(outcome.after.resources, before.resources);
    assert_eq!(outcome.apply_resources.len(), 2);
}

#[test]
fn a_job_goes_back_in_what_is_desired_and_is_not_run_again() {
    let job = |tag: &str| {
        let mut job = component(1, "Migrate");
        job.kind = WorkloadKind::Job;
        job.image = image(tag);
        content([job])
    };
    let (base, target) = (job("one"), job("two"));
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let outcome = roll_back(&before, &written, &written).unwrap();
    assert_eq!(outcome.after, before);
    assert!(outcome.apply.is_empty());
    assert_eq!(outcome.left_for_people.len(), 1);
}
