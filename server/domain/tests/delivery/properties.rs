//! What must hold for every application, every edit and every acceptance.

use crate::{
    generate::{edit, edits, version as any_version},
    support::{Upgrade, installed, roll_back, version},
};
use proptest::{prelude::*, sample::Index};
use ropeway_domain::{
    Change, ChangeId, Component, Installed, PublishedValue, Value, VersionContent,
    change::{Decision, Owner},
    deploy::plan_deployment,
    upgrade::{AcceptError, UpgradeError, UpgradeOutcome},
};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Each property of a component by a path, in a form of its own: nothing here is taken from what is tested.
fn properties<V: Serialize>(spec: &Component<V>) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::from([
        ("image".to_owned(), json!(spec.image.digest())),
        ("command".to_owned(), json!(spec.command)),
        ("arguments".to_owned(), json!(spec.arguments)),
        ("kind".to_owned(), json!(spec.kind)),
        ("resources".to_owned(), json!(spec.resources)),
        ("scale/rule".to_owned(), json!(spec.scale.rule)),
        ("scale/replicas".to_owned(), json!(spec.scale.replicas)),
    ]);
    let variables = |prefix: &str, variables: &[ropeway_domain::model::Variable<V>]| -> Vec<(String, Json)> {
        variables.iter().map(|variable| (format!("{prefix}/{}", variable.name), json!(variable.value))).collect()
    };
    all.extend(variables("environment", &spec.environment));
    all.extend(variables("connectionInfo", &spec.connection_info));
    for file in &spec.config_files {
        all.insert(format!("configFiles/{}", file.path), json!(file.content));
        all.insert(format!("configFiles/{}/mode", file.path), json!(file.mode));
    }
    for port in &spec.ports {
        for (field, value) in json!(port).as_object().unwrap() {
            all.insert(format!("ports/{}/{field}", port.number), value.clone());
        }
    }
    all.extend(spec.volumes.iter().map(|volume| (format!("volumes/{}", volume.name), json!(volume))));
    all.extend(
        spec.probes.iter().map(|probe| (format!("probes/{}", json!(probe.kind).as_str().unwrap()), json!(probe))),
    );
    all.extend(spec.dependencies.iter().map(|key| (format!("dependencies/{key}"), json!(true))));
    for (name, value) in &spec.attributes {
        match (name.as_str(), value) {
            ("labels", Json::Object(labels)) => {
                all.extend(labels.iter().map(|(label, value)| (format!("attributes/labels/{label}"), value.clone())));
            }
            ("env", Json::Array(items)) => all.extend(
                items.iter().map(|item| (format!("attributes/env/{}", item["name"].as_str().unwrap()), item.clone())),
            ),
            ("initContainers", Json::Array(items)) => {
                all.insert("attributes/initContainers/i/image".to_owned(), items[0]["image"].clone());
                if let Some(env) = items[0].get("env") {
                    all.insert("attributes/initContainers/i/env".to_owned(), env.clone());
                }
            }
            _ => _ = all.insert(format!("attributes/{name}"), value.clone()),
        }
    }
    all
}

/// What an upgrade must not touch by itself.
fn is_protected(path: &str) -> bool {
    ["environment/", "connectionInfo/", "configFiles/", "volumes/", "scale/", "resources", "attributes/env/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
        || path == "attributes/initContainers/i/env"
}

/// Whether a live value is what a published one wants.
fn holds(published: &Json, live: Option<&Json>) -> bool {
    let wants_secret = published.get("generate").is_some() || published.get("ask").is_some();
    live == Some(published) || wants_secret && live.is_some_and(|live| live.get("sealed").is_some())
}

fn related(one: &str, other: &str) -> bool {
    let under =
        |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']));
    under(one, other) || under(other, one)
}

fn covered(changes: &[Change], owner: Owner, path: &str, decision: Decision) -> bool {
    // Ports and volumes match by a second key, so that their paths follow what is here.
    let family = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let plain = |path: &str| path.replace("labels[b/c]", "labels/b/c");
    let loose = matches!(family(path).as_str(), "ports" | "volumes");
    changes.iter().any(|change| {
        change.owner == owner
            && change.decision == decision
            && (related(&plain(&change.path), &plain(path))
                || change.path == "component"
                || change.path == "resource"
                || loose && family(&change.path) == family(path))
    })
}

fn accepting(base: &VersionContent, target: &VersionContent, before: &Installed, picks: &[Index]) -> UpgradeOutcome {
    let plain = Upgrade::new(base, target, before).run().unwrap();
    let mut accept: BTreeSet<ChangeId> = BTreeSet::new();
    let kept = plain.kept();
    if !kept.is_empty() {
        accept.extend(picks.iter().map(|pick| kept[pick.index(kept.len())].id.clone()));
    }
    // One acceptance may take the place of another: leave out what cannot be accepted, and try again.
    loop {
        match Upgrade::new(base, target, before).accepting(accept.clone()).run() {
            Ok(outcome) => return outcome,
            Err(UpgradeError::Accept(AcceptError::Refused { changes })) => {
                for (id, _) in &changes {
                    accept.remove(id);
                }
            }
            Err(UpgradeError::Accept(AcceptError::Unknown { ids })) => accept.retain(|id| !ids.contains(id)),
            Err(other) => panic!("{other}"),
        }
    }
}

fn spec_of<'a>(
    content: &'a VersionContent,
    key: &ropeway_domain::ComponentKey,
) -> Option<&'a Component<PublishedValue>> {
    content.components.iter().find(|component| component.key == *key)
}

fn state(base: &VersionContent, local: &(VersionContent, Vec<u16>)) -> Installed {
    let mut before = installed(base).after;
    edit(&mut before, local);
    before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_upgrade_without_acceptances_changes_no_configuration_storage_or_scale(
        base in any_version(), target in any_version(), local in edits(),
    ) {
        let before = state(&base, &local);
        let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
        for (key, was) in &before.components {
            let now = properties(&outcome.after.components[key].spec);
            for (path, value) in properties(&was.spec).into_iter().filter(|(path, _)| is_protected(path)) {
                prop_assert_eq!(now.get(&path), Some(&value), "{}", path);
            }
        }
        for (key, was) in before.resources.iter().filter(|(_, resource)| resource.spec.is_configuration()) {
            prop_assert_eq!(&outcome.after.resources[key].spec, &was.spec);
        }
        for (group, id) in &before.secret_groups {
            prop_assert_eq!(outcome.after.secret_groups.get(group), Some(id));
        }
    }

    #[test]
    fn every_difference_has_a_line(
        base in any_version(), target in any_version(), local in edits(), picks in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let before = state(&base, &local);
        let outcome = accepting(&base, &target, &before, &picks);
        // What was done.
        for change in plan_deployment(&before, &outcome.after) {
            prop_assert!(covered(&outcome.changes, change.owner, &change.path, Decision::Apply), "{:?}", change);
        }
        for (key, after) in &outcome.after.components {
            let owner = Owner::Component(*key);
            let now = properties(&after.spec);
            if let Some(was) = before.components.get(key) {
                let was = properties(&was.spec);
                for path in was.keys().chain(now.keys()).filter(|path| was.get(*path) != now.get(*path)) {
                    prop_assert!(covered(&outcome.changes, owner, path, Decision::Apply), "{} {:#?}", path, outcome.changes);
                }
            } else {
                continue;
            }
            // What was not done: kept, or a local edit of what both versions agree upon.
            let Some(wanted) = spec_of(&target, key).map(properties) else { continue };
            let agreed = spec_of(&base, key).map(properties).unwrap_or_default();
            for (path, value) in &wanted {
                let local = agreed.get(path).is_some_and(|base| holds(value, Some(base)) || is_rule(value) && is_rule(base));
                // Of a file that was deleted here, the contents alone count.
                let of_none = path.strip_suffix("/mode").is_some_and(|file| !now.contains_key(file));
                if !local && !of_none && !holds(value, now.get(path)) {
                    prop_assert!(covered(&outcome.changes, owner, path, Decision::Keep)
                        || loosely_applied(&outcome.changes, owner, path), "{} {:#?}", path, outcome.changes);
                }
            }
            for path in now.keys().filter(|path| !wanted.contains_key(*path) && agreed.contains_key(*path)) {
                prop_assert!(covered(&outcome.changes, owner, path, Decision::Keep)
                    || loosely_applied(&outcome.changes, owner, path), "{} {:#?}", path, outcome.changes);
            }
        }
    }

    #[test]
    fn a_second_upgrade_to_the_same_version_applies_nothing(
        base in any_version(), target in any_version(), local in edits(), picks in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let before = state(&base, &local);
        let outcome = accepting(&base, &target, &before, &picks);
        let mut again = Upgrade::new(&base, &target, &outcome.after);
        again.installation = version(2);
        again.kept = outcome.kept();
        let second = again.run().unwrap();
        prop_assert!(second.applies_nothing(), "{:#?}", second.changes);
        prop_assert!(second.apply.is_empty() && second.new_secrets.is_empty());
        prop_assert_eq!(&second.after, &outcome.after);
        let ids = |outcome: &UpgradeOutcome| outcome.kept().into_iter().map(|change| (change.path, change.id)).collect::<BTreeSet<_>>();
        let (first, second) = (ids(&outcome), ids(&second));
        prop_assert!(second.is_subset(&first) , "{:#?} {:#?}", first, second);
    }

    #[test]
    fn accepting_one_change_changes_just_that(
        base in any_version(), target in any_version(), local in edits(), pick in any::<Index>(),
    ) {
        let before = state(&base, &local);
        let plain = Upgrade::new(&base, &target, &before).run().unwrap();
        let kept = plain.kept();
        prop_assume!(!kept.is_empty());
        let change = &kept[pick.index(kept.len())];
        match Upgrade::new(&base, &target, &before).accepting([change.id.clone()]).run() {
            Err(UpgradeError::Accept(AcceptError::Refused { changes })) => {
                prop_assert_eq!(&changes[0], &(change.id.clone(), change.reason.clone()));
            }
            Ok(outcome) => {
                let differences = plan_deployment(&plain.after, &outcome.after);
                prop_assert!(!differences.is_empty());
                // Ids of secrets are drawn anew in each run.
                let redrawn = |other: &Change| other.after.as_deref() == Some("(secret, changed)");
                for difference in differences.into_iter().filter(|other| !redrawn(other)) {
                    prop_assert_eq!(difference.owner, change.owner);
                    // A volume that is mounted elsewhere makes room for another.
                    let makes_room = change.path.ends_with("/mountPath") && difference.path.starts_with("volumes/");
                    prop_assert!(makes_room || related(&difference.path, &change.path), "{difference:?} {change:?}");
                }
                prop_assert!(!outcome.kept().iter().any(|other| other.id == change.id));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn ids_of_changes_do_not_depend_on_random_ids(base in any_version(), target in any_version(), local in edits()) {
        let before = state(&base, &local);
        let mut one = Upgrade::new(&base, &target, &before);
        let first = one.run().unwrap();
        one.start = 900_000;
        let second = one.run().unwrap();
        let ids = |outcome: &UpgradeOutcome| outcome.changes.iter().map(|change| change.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&first), ids(&second));
        let distinct: BTreeSet<_> = ids(&first).into_iter().collect();
        prop_assert_eq!(distinct.len(), first.changes.len());
    }

    #[test]
    fn a_rollback_gives_the_snapshot_back_and_only_adds_to_it(
        base in any_version(), target in any_version(), local in edits(), picks in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let before = state(&base, &local);
        let written = accepting(&base, &target, &before, &picks).after;
        let outcome = roll_back(&before, &written, &written).unwrap();
        for (key, was) in &before.components {
            let (was_spec, now) = (properties(&was.spec), properties(&outcome.after.components[key].spec));
            prop_assert_eq!(&outcome.after.components[key].version, &was.version);
            for (path, value) in &was_spec {
                // Volumes cannot shrink, and their difference stays on the list.
                let kept = covered(&outcome.changes, Owner::Component(*key), path, Decision::Keep);
                prop_assert!(now.get(path) == Some(value) || path.starts_with("volumes/") && kept, "{}", path);
            }
            for path in now.keys().filter(|path| !was_spec.contains_key(*path)) {
                let path = match path.strip_prefix("ports/") {
                    Some(rest) => &format!("ports/{}", rest.split('/').next().unwrap()),
                    None => path,
                };
                let is_left = outcome.left_for_people.iter().any(|left| {
                    left.owner == Owner::Component(*key) && related(path, &format!("{}/{}", left.kind, left.name))
                });
                prop_assert!(is_left, "{} {:#?}", path, outcome.left_for_people);
            }
        }
        for (key, was) in &before.resources {
            let now = &outcome.after.resources[key];
            prop_assert_eq!(&now.version, &was.version);
            if !was.spec.is_configuration() {
                prop_assert_eq!(&now.spec, &was.spec);
            }
        }
        for key in written.components.keys() {
            prop_assert!(outcome.after.components.contains_key(key), "nothing is deleted");
        }
        prop_assert!(outcome.changes.iter().all(|change| change.before != change.after || change.path.contains('/')));
    }

    #[test]
    fn a_rollback_touches_no_configuration_that_a_person_changed_or_the_upgrade_did_not(
        base in any_version(), target in any_version(), local in edits(), since in edits(),
        picks in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let before = state(&base, &local);
        let written = accepting(&base, &target, &before, &picks).after;
        let mut now = written.clone();
        edit(&mut now, &since);
        let outcome = roll_back(&before, &written, &now).unwrap();
        for (key, here) in &now.components {
            let here = properties(&here.spec);
            let after = properties(&outcome.after.components[key].spec);
            let wrote = written.components.get(key).map(|one| properties(&one.spec)).unwrap_or_default();
            let Some(was) = before.components.get(key).map(|one| properties(&one.spec)) else {
                prop_assert_eq!(here, after);
                continue;
            };
            for (path, value) in here.iter().filter(|(path, _)| is_protected(path) && !path.starts_with("resources")) {
                // A container that the upgrade added goes as a whole.
                if path == "attributes/initContainers/i/env" && !was.contains_key("attributes/initContainers/i/image") {
                    continue;
                }
                let by_person = wrote.get(path) != Some(value);
                let by_upgrade = wrote.get(path) != was.get(path);
                if by_person || !by_upgrade {
                    prop_assert_eq!(after.get(path), Some(value), "{}", path);
                }
            }
            for path in ["image", "command", "arguments"].into_iter().map(str::to_owned).chain(
                was.keys().filter(|path| path.starts_with("probes/") || path.starts_with("dependencies/")).cloned(),
            ) {
                prop_assert_eq!(after.get(&path), was.get(&path), "{}", path);
            }
        }
    }

    #[test]
    fn a_rollback_can_be_rolled_back(
        base in any_version(), target in any_version(), local in edits(), picks in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let before = state(&base, &local);
        let written = accepting(&base, &target, &before, &picks).after;
        let back = roll_back(&before, &written, &written).unwrap().after;
        let forth = roll_back(&written, &back, &back).unwrap().after;
        for (key, was) in &written.components {
            let (was_spec, now) = (properties(&was.spec), properties(&forth.components[key].spec));
            prop_assert_eq!(&forth.components[key].version, &was.version);
            for (path, value) in was_spec {
                prop_assert_eq!(now.get(&path), Some(&value), "{}", path);
            }
        }
        for (key, was) in written.resources.iter().filter(|(_, one)| !one.spec.is_configuration()) {
            prop_assert_eq!(&forth.resources[key].spec, &was.spec);
        }
    }
}

fn is_rule(value: &Json) -> bool {
    value.get("generate").is_some() || value.get("ask").is_some()
}

/// A port or volume that is here under another path than in the version, and whose line is about that path.
fn loosely_applied(changes: &[Change], owner: Owner, path: &str) -> bool {
    (path.starts_with("ports/") || path.starts_with("volumes/")) && covered(changes, owner, path, Decision::Apply)
}

#[test]
fn a_sealed_value_is_shown_by_no_id() {
    let sealed = Value::Sealed { sealed: ropeway_domain::SecretId(uuid::Uuid::from_u128(0x00C0_FFEE)) };
    let mut web = crate::support::component(1, "Web");
    web.environment.push(crate::support::variable("A", crate::support::text("1")));
    let before = installed(&crate::support::content([web])).after;
    let mut after = before.clone();
    after.components.get_mut(&crate::support::key(1)).unwrap().spec.environment[0].value = sealed.clone();
    let mut other = after.clone();
    let id = ropeway_domain::SecretId(uuid::Uuid::from_u128(0xBEEF));
    other.components.get_mut(&crate::support::key(1)).unwrap().spec.environment[0].value = Value::Sealed { sealed: id };
    let first = &plan_deployment(&before, &after)[0];
    let second = &plan_deployment(&after, &other)[0];
    assert_eq!((first.before.as_deref(), first.after.as_deref()), (Some("1"), Some("(secret)")));
    assert_eq!((second.before.as_deref(), second.after.as_deref()), (Some("(secret)"), Some("(secret, changed)")));
    assert_ne!(first.id, second.id);
}
