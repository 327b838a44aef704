//! What upgrades keep stays listed while it is true, and can be accepted at any time.

use crate::support::{Upgrade, component, content, here, installed, key, line, text, variable, version, with_fresh};
use ropeway_domain::{
    Change, Installed, VersionContent,
    change::Decision,
    kept::{AcceptInput, accept_kept, still_kept},
    secrets::SuppliedValues,
};
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
