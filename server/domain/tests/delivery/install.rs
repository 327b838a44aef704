//! Installations.

use crate::support::{
    asked, component, component_owner, content, generated, here, installed, key, resource, supply, text, variable,
    version, with_fresh, with_resources,
};
use ropeway_domain::{
    PublishedValue, SecretId, Value, change::Decision, install::install, model::GenerateRule, secrets::SuppliedValues,
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

#[test]
fn the_groups_of_an_earlier_installation_keep_their_values() {
    let mut db = component(1, "Db");
    db.environment.push(variable("PASSWORD", generated(Some("db"))));
    let id = SecretId(Uuid::from_u128(77));
    let groups = BTreeMap::from([("db".to_owned(), id)]);
    let outcome = with_fresh(1, |fresh| install(&content([db]), &version(1), &SuppliedValues::new(), &groups, fresh));
    assert!(outcome.new_secrets.is_empty());
    assert_eq!(outcome.after.components[&key(1)].spec.environment[0].value, Value::Sealed { sealed: id });
}

#[test]
fn what_is_asked_for_blocks_until_it_is_supplied() {
    let mut web = component(1, "Web");
    web.environment.push(variable("LICENCE", asked()));
    let content = content([web]);
    let go = |supplied: &SuppliedValues| {
        with_fresh(1, |fresh| install(&content, &version(1), supplied, &BTreeMap::new(), fresh))
    };
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
    assert_eq!(serde_json::from_str::<ropeway_domain::Installed>(&json).unwrap(), outcome.after);
}
