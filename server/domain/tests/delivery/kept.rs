//! What upgrades keep stays listed while it is true, and can be accepted at any time.

use crate::support::{
    Upgrade, component, content, here, image, installed, key, line, resource, text, variable, version, with_fresh,
    with_resources,
};
use ropeway_domain::{
    Change, Installed, VersionContent,
    change::Decision,
    kept::{AcceptInput, accept_kept, still_kept},
    secrets::SuppliedValues,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn web(value: &str) -> VersionContent {
    let mut web = component(1, "Web");
    web.environment.push(variable("A", text(value)));
    web.environment.push(variable("B", text(value)));
    content([web])
}

fn upgraded() -> (VersionContent, VersionContent, Installed, Vec<Change>) {
    let (base, target) = (web("1"), web("2"));
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let kept = outcome.kept();
    assert_eq!(kept.len(), 2);
    (base, target, outcome.after, kept)
}

#[test]
fn what_was_kept_stays_listed_through_an_upgrade_that_does_not_touch_it() {
    let (_, target, after, kept) = upgraded();
    let mut upgrade = Upgrade::new(&target, &target, &after);
    upgrade.installation = version(2);
    upgrade.kept.clone_from(&kept);
    let outcome = upgrade.run().unwrap();
    assert!(outcome.applies_nothing());
    let ids = |changes: &[Change]| changes.iter().map(|change| change.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&outcome.kept()), ids(&kept));
    upgrade.kept.clear();
    assert!(upgrade.run().unwrap().kept().is_empty(), "the versions agree, so only what was kept is listed");
}

#[test]
fn what_was_kept_can_be_accepted_later_and_leaves_the_list() {
    let (_, target, after, kept) = upgraded();
    let contents = BTreeMap::from([(version(2).id, &target)]);
    let a = line(&kept, "environment/A").unwrap();
    let accept = BTreeSet::from([a.id.clone()]);
    let supplied = SuppliedValues::new();
    let input = AcceptInput {
        installed: &after,
        installation: &version(2),
        contents: &contents,
        kept: &kept,
        accept: &accept,
        supplied: &supplied,
    };
    let outcome = with_fresh(1, |fresh| accept_kept(&input, fresh)).unwrap();
    let spec = &outcome.after.components[&key(1)].spec;
    assert_eq!((&spec.environment[0].value, &spec.environment[1].value), (&here("2"), &here("1")));
    assert_eq!(outcome.kept().len(), 1);
    assert_eq!(line(&outcome.changes, "environment/A").unwrap().decision, Decision::Apply);
    assert_eq!(outcome.apply, BTreeSet::from([key(1)]));
    assert_eq!(outcome.after.components[&key(1)].version, Some(version(2)));
}

#[test]
fn an_edit_that_makes_it_true_takes_it_off_the_list() {
    let (_, target, mut after, kept) = upgraded();
    let contents = BTreeMap::from([(version(2).id, &target)]);
    let spec = &mut after.components.get_mut(&key(1)).unwrap().spec;
    spec.environment[0].value = here("2");
    spec.environment[1].value = here("other");
    let still = still_kept(&after, &version(2), &contents, &kept).unwrap();
    assert_eq!(still.len(), 1);
    assert_eq!((still[0].path.as_str(), still[0].before.as_deref()), ("environment/B", Some("other")));
}

/// An edit of something else.
fn elsewhere(mut after: Installed) -> Installed {
    after.components.get_mut(&key(1)).unwrap().spec.environment.push(variable("Z", here("z")));
    after
}

#[test]
fn a_whole_that_was_kept_stays_listed_while_its_parts_are_missing() {
    let config = |body: serde_json::Value| with_resources([component(1, "Web")], [resource(9, "ConfigMap", &body)]);
    let base = config(json!({}));
    let target = config(json!({ "data": { "a": "1", "b": "2" } }));
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let kept = outcome.kept();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let contents = BTreeMap::from([(version(2).id, &target)]);
    let still = still_kept(&elsewhere(outcome.after), &version(2), &contents, &kept).unwrap();
    let what = |change: &Change| (change.id.clone(), change.path.clone(), change.decision);
    assert_eq!(still.iter().map(what).collect::<Vec<_>>(), kept.iter().map(what).collect::<Vec<_>>());
}

#[test]
fn what_has_become_possible_is_still_listed_since_nobody_did_it() {
    let (_, target, after, kept) = upgraded();
    let contents = BTreeMap::from([(version(2).id, &target)]);
    let now = Change { path: "image".to_owned(), ..kept[0].clone() };
    let mut after = after;
    after.components.get_mut(&key(1)).unwrap().spec.image = image("edited");
    let still = still_kept(&after, &version(2), &contents, std::slice::from_ref(&now)).unwrap();
    assert_eq!(still, [now], "the image would be taken by an upgrade, and was not");
}

#[test]
fn an_edit_lists_nothing_that_no_upgrade_kept() {
    let base = content([component(1, "Web"), component(2, "Old")]);
    let target = content([component(1, "Web"), component(2, "Old")]);
    let mut after = installed(&base).after;
    after.components.remove(&key(2));
    let contents = BTreeMap::from([(version(1).id, &target)]);
    assert_eq!(still_kept(&after, &version(1), &contents, &[]).unwrap(), []);
}

#[test]
fn a_component_that_is_in_no_version_any_more_stays_listed_while_it_is_here() {
    let base = content([component(1, "Web"), component(2, "Old")]);
    let target = content([component(1, "Web")]);
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
    let kept = outcome.kept();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let contents = BTreeMap::from([(version(1).id, &base), (version(2).id, &target)]);
    let mut after = elsewhere(outcome.after);
    assert_eq!(still_kept(&after, &version(2), &contents, &kept).unwrap(), kept);
    after.components.remove(&key(2));
    assert_eq!(still_kept(&after, &version(2), &contents, &kept).unwrap(), []);
}
