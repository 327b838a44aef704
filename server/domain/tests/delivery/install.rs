//! Installations.

use crate::support::{
    asked, component, component_owner, content, generated, here, installed, key, resource, supply, text, variable,
    version, with_fresh, with_resources,
};
use ropeway_domain::{
    ComponentKey, PublishedValue, SecretId, Value, VersionContent,
    change::Decision,
    install::{InstallOutcome, install},
    installed::Installed,
    model::{GenerateRule, Volume, VolumeKind},
    secrets::SuppliedValues,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[test]
fn entries_of_a_group_share_one_secret_of_the_greatest_length() {
    let mut db = component(1, "Db");
    db.environment.push(variable("PASSWORD", generated(Some("db"))));
    let mut web = component(2, "Web");
    let long = GenerateRule::new(40, Some("db".to_owned())).unwrap();
    web.environment.push(variable("DB_PASSWORD", PublishedValue::Generate { generate: long }));
    web.environment.push(variable("TOKEN", generated(None)));
    let outcome = installed(&content([db, web]));
    assert_eq!(outcome.new_secrets.len(), 2);
    assert_eq!(outcome.new_secrets[0].rule.length, 40);
    let id = outcome.new_secrets[0].id;
    assert_eq!(outcome.after.secret_groups, BTreeMap::from([("db".to_owned(), id)]));
    for n in [1, 2] {
        assert_eq!(outcome.after.components[&key(n)].spec.environment[0].value, Value::Sealed { sealed: id });
    }
    assert_eq!(outcome.after.secrets().len(), 2);
}

/// What an installation ended with comes back with its volumes: names and secrets, whatever a new one would get.
#[test]
fn what_an_ended_installation_left_keeps_its_names_and_its_secrets() {
    let mut db = component(1, "Db");
    db.environment = vec![
        variable("PASSWORD", generated(Some("db"))),
        variable("TOKEN", generated(None)),
        variable("LICENCE", asked()),
        variable("MODE", text("fast")),
    ];
    let config = resource(1, "ConfigMap", &json!({"data": {}}));
    let first = installed(&with_resources([db.clone()], [config.clone()]));
    let mut left = first.after.clone();
    left.components.get_mut(&key(1)).unwrap().spec.environment[3].value = here("slow");
    db.environment.push(variable("SALT", generated(None)));
    let content = with_resources([db, component(2, "Web")], [config]);

    let again = go(&content, &SuppliedValues::new(), &left);
    let (before, after) = (&left.components[&key(1)], &again.after.components[&key(1)]);
    assert_eq!((&after.own_key, &after.cluster_name), (&before.own_key, &before.cluster_name));
    assert_eq!(after.spec.environment[..3], before.spec.environment[..3]);
    assert_eq!(after.spec.environment[3].value, here("fast"), "what is no secret is the version's");
    assert_eq!(again.new_secrets.len(), 1, "of SALT");
    assert!(again.asks.is_empty() && again.blockers.is_empty());
    assert_eq!(again.after.secret_groups, left.secret_groups);
    let own_keys = |state: &Installed| state.resources.values().map(|one| one.own_key).collect::<Vec<_>>();
    assert_eq!(own_keys(&again.after), own_keys(&left));

    let licence = (component_owner(1), "environment/LICENCE".to_owned());
    let again = go(&content, &SuppliedValues::from([(licence, here("new"))]), &left);
    assert_eq!(again.after.components[&key(1)].spec.environment[2].value, here("new"), "what is supplied goes first");
    assert_eq!(
        again.warnings,
        ["the value supplied for environment/LICENCE of Db takes the place of the one that its volumes know"]
    );
}

/// What was at a place goes before what its group had, and the group follows.
#[test]
fn a_secret_that_was_changed_here_is_left_as_it_was_changed() {
    let mut db = component(1, "Db");
    db.environment = vec![variable("PASSWORD", generated(Some("db")))];
    let mut left = installed(&content([db.clone()])).after;
    let changed = Value::Sealed { sealed: SecretId(Uuid::from_u128(77)) };
    left.components.get_mut(&key(1)).unwrap().spec.environment[0].value = changed.clone();
    let mut web = component(2, "Web");
    web.environment = vec![variable("DB_PASSWORD", generated(Some("db")))];
    let again = go(&content([db, web]), &SuppliedValues::new(), &left).after;
    for n in [1, 2] {
        assert_eq!(again.components[&key(n)].spec.environment[0].value, changed);
    }
    assert_eq!(again.secret_groups["db"], SecretId(Uuid::from_u128(77)));
}

#[test]
fn what_another_installation_had_since_is_as_that_left_it() {
    let mut db = component(1, "Db");
    db.environment = vec![variable("PASSWORD", generated(Some("db")))];
    let first = installed(&content([db.clone(), component(2, "Web")])).after;
    let mut later = go(&content([db]), &SuppliedValues::new(), &first).after;
    let changed = SecretId(Uuid::from_u128(77));
    later.components.get_mut(&key(1)).unwrap().spec.environment[0].value = Value::Sealed { sealed: changed };
    later.secret_groups.insert("db".to_owned(), changed);
    let mut left = first.clone();
    left.had_since(&later);
    assert_eq!(left.components[&key(1)], later.components[&key(1)]);
    assert_eq!(left.components[&key(2)], first.components[&key(2)], "it was not taken over");
    assert_eq!(left.secret_groups, later.secret_groups);

    // One beside it has other own keys, and secrets of its own.
    let mut beside = later.clone();
    beside.components.get_mut(&key(1)).unwrap().own_key = ComponentKey(Uuid::from_u128(78));
    let mut left = first.clone();
    left.had_since(&beside);
    assert_eq!(left, first);
}

/// A version that publishes it openly does not make the volumes forget it.
#[test]
fn a_secret_that_was_left_stays_where_the_version_has_a_text_and_is_listed() {
    let mut db = component(1, "Db");
    db.environment = vec![variable("PASSWORD", generated(None))];
    let left = installed(&content([db.clone()])).after;
    db.environment = vec![variable("PASSWORD", text("open"))];
    let again = go(&content([db]), &SuppliedValues::new(), &left);
    let kept = |state: &Installed| state.components[&key(1)].spec.environment[0].value.clone();
    assert_eq!(kept(&again.after), kept(&left));
    let line = again.changes.iter().find(|change| change.path == "environment/PASSWORD").unwrap();
    assert_eq!((line.decision, line.before.as_deref()), (Decision::Keep, Some("(secret)")));
}

#[test]
fn volumes_that_were_left_stay_as_they_are_and_differences_are_listed() {
    let disk = |name: &str, path: &str, size: &str| volume(name, path, VolumeKind::Exclusive, Some(size));
    let mut db = component(1, "Db");
    db.volumes = vec![
        disk("data", "/data", "1Gi"),
        disk("logs", "/logs", "1Gi"),
        volume("scratch", "/scratch", VolumeKind::Ephemeral, None),
    ];
    let mut left = installed(&content([db.clone()])).after;
    let volumes = &mut left.components.get_mut(&key(1)).unwrap().spec.volumes;
    volumes[0].storage_class = Some("fast".to_owned());
    volumes[0].size = Some("5Gi".parse().unwrap());
    let data = volumes[0].clone();
    db.volumes = vec![
        disk("data", "/data", "9Gi"),
        disk("journal", "/logs", "1Gi"),
        volume("tmp", "/tmp", VolumeKind::Memory, None),
    ];
    let again = go(&content([db.clone()]), &SuppliedValues::new(), &left);
    let after = &again.after.components[&key(1)].spec.volumes;
    assert_eq!(after[0], data);
    assert_eq!(after[1].name, "logs", "under another name an empty volume would be mounted");
    assert_eq!(after[2..], db.volumes[2..]);
    let lines = again.changes.iter().filter(|change| change.path.starts_with("volumes/"));
    let lines: Vec<_> = lines.map(|change| (change.path.as_str(), change.decision)).collect();
    assert_eq!(
        lines,
        [
            ("volumes/data/size", Decision::Keep),
            ("volumes/logs/name", Decision::Keep),
            ("volumes/tmp", Decision::Apply)
        ]
    );
}

fn volume(name: &str, path: &str, kind: VolumeKind, size: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        sub_path: None,
        kind,
        size: size.map(|size| size.parse().unwrap()),
        storage_class: None,
        read_only: false,
        shared_from: None,
    }
}

fn go(content: &VersionContent, supplied: &SuppliedValues, left: &Installed) -> InstallOutcome {
    with_fresh(1, |fresh| install(content, &version(1), supplied, left, fresh))
}

#[test]
fn what_is_asked_for_blocks_until_it_is_supplied() {
    let mut web = component(1, "Web");
    web.environment.push(variable("LICENCE", asked()));
    let content = content([web]);
    let go = |supplied: &SuppliedValues| go(&content, supplied, &Installed::default());
    let outcome = go(&SuppliedValues::new());
    assert_eq!((outcome.asks[0].owner, outcome.asks[0].name.as_str()), (component_owner(1), "environment/LICENCE"));
    assert_eq!(outcome.blockers[0].code, "VALUE_MISSING");
    let mut supplied = supply(&outcome.asks);
    supplied.insert((component_owner(9), "environment/X".to_owned()), here("x"));
    let outcome = go(&supplied);
    assert!(outcome.asks.is_empty() && outcome.blockers.is_empty());
    assert_eq!(outcome.warnings, ["nothing asks for the supplied value environment/X"]);
}

#[test]
fn everything_is_added_with_the_minimum_of_replicas_and_no_storage_class() {
    let mut web = component(1, "Web");
    web.scale.rule.min_replicas = 2;
    web.scale.replicas = 9;
    web.environment.push(variable("A", text("1")));
    let outcome = installed(&with_resources([web], [resource(1, "ConfigMap", &json!({"data": {}}))]));
    assert_eq!(outcome.after.components[&key(1)].spec.scale.replicas, 2);
    assert_eq!(outcome.after.components[&key(1)].version, Some(version(1)));
    assert_eq!(outcome.changes.len(), 2);
    assert!(outcome.changes.iter().all(|change| change.decision == Decision::Apply));
}

#[test]
fn keys_travel_to_the_application_and_back() {
    let mut web = component(1, "Web");
    web.dependencies.insert(key(2));
    let names = BTreeMap::from([("db".to_owned(), key(2))]);
    web.command.push(ropeway_domain::Text::parse("wait db:5432", &names));
    let outcome = installed(&content([web, component(2, "Db")]));
    let own = outcome.after.to_own_keys();
    let web = own.components.values().find(|component| component.spec.name == "Web").unwrap();
    assert_eq!(web.spec.key, web.own_key);
    let db = own.components.values().find(|component| component.spec.name == "Db").unwrap().own_key;
    assert_eq!((web.spec.dependencies.clone(), web.spec.hosts()), (BTreeSet::from([db]), BTreeSet::from([db])));
    let back = outcome.after.components.iter().map(|(key, component)| (component.own_key, *key)).collect();
    assert_eq!(own.to_template_keys(&back, &BTreeMap::new()), outcome.after);
    let json = serde_json::to_string(&outcome.after).unwrap();
    assert_eq!(serde_json::from_str::<Installed>(&json).unwrap(), outcome.after);
}
