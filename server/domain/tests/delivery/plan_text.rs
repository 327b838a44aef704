//! Plans as people read them.

use crate::support::{
    Upgrade, asked, component, component_owner, content, generated, image, installed, key, resource, roll_back, text,
    variable, with_resources,
};
use ropeway_domain::{
    Change, ChangeId, Digest, Installed, Text, VersionContent,
    install::InstallOutcome,
    plan::{LeftForPeople, Plan, PlanBasis, plan_digest, planned_steps},
    upgrade::UpgradeOutcome,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn shop(tag: &str, level: &str, replicas: u32) -> VersionContent {
    let names = BTreeMap::from([("db".to_owned(), key(2))]);
    let mut web = component(1, "Web");
    web.image = image(tag);
    web.dependencies.insert(key(2));
    web.environment.push(variable("LEVEL", text(level)));
    let url = Text::parse("postgres://db:5432/shop", &names);
    web.environment.push(variable("DB_URL", ropeway_domain::PublishedValue::Text(url)));
    web.scale.replicas = replicas;
    let mut db = component(2, "Db");
    db.environment.push(variable("PASSWORD", generated(Some("db"))));
    with_resources([web, db], [resource(1, "ConfigMap", &json!({"data": {"motd": level}}))])
}

fn plan(
    changes: Vec<Change>,
    left: Vec<LeftForPeople>,
    after: &Installed,
    apply: &BTreeSet<ropeway_domain::ComponentKey>,
) -> Plan {
    Plan {
        digest: Digest::of(b"a plan"),
        blockers: vec![],
        warnings: vec![],
        changes,
        left,
        steps: planned_steps(after, apply, &BTreeSet::new()).unwrap(),
        asks: vec![],
    }
}

fn upgrade_plan(outcome: UpgradeOutcome) -> Plan {
    let UpgradeOutcome { after, changes, asks, blockers, warnings, apply, .. } = outcome;
    Plan { asks, blockers, warnings, ..plan(changes, vec![], &after, &apply) }
}

#[test]
fn an_installation() {
    let InstallOutcome { after, changes, .. } = installed(&shop("one", "info", 1));
    let apply = after.components.keys().copied().collect();
    insta::assert_snapshot!(plan(changes, vec![], &after, &apply).text());
}

#[test]
fn an_upgrade_with_kept_and_asked_values() {
    let (base, mut target) = (shop("one", "info", 1), shop("two", "debug\nand more", 3));
    let mut licence = variable("LICENCE", asked());
    licence.description = Some("the key that you bought".to_owned());
    target.components[0].environment.push(licence);
    target.components.push(component(3, "Cache"));
    let before = installed(&base).after;
    let outcome = Upgrade::new(&base, &target, &before).run_with(&BTreeMap::new()).unwrap();
    let plan = upgrade_plan(outcome);
    assert!(!plan.is_executable());
    insta::assert_snapshot!(plan.text());
}

#[test]
fn an_upgrade_with_nothing_to_apply() {
    let base = shop("one", "info", 1);
    let before = installed(&base).after;
    insta::assert_snapshot!(upgrade_plan(Upgrade::new(&base, &base, &before).run().unwrap()).text());
}

#[test]
fn secrets_are_never_shown() {
    let web = |value| {
        let mut web = component(1, "Web");
        web.environment.push(variable("API_TOKEN", value));
        web.environment.push(variable("OTHER", generated(None)));
        content([web])
    };
    let (base, mut target) = (web(text("canary")), web(generated(None)));
    target.components[0].environment[1].value = text("public");
    let before = installed(&base).after;
    let text = upgrade_plan(Upgrade::new(&base, &target, &before).run().unwrap()).text();
    assert!(!text.contains("canary"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_rollback_with_what_it_leaves() {
    let (base, mut target) = (shop("one", "info", 1), shop("two", "info", 1));
    target.components.push(component(3, "Cache"));
    target.components[0].environment.push(variable("NEW", text("1")));
    let before = installed(&base).after;
    let written = Upgrade::new(&base, &target, &before).run().unwrap().after;
    let outcome = roll_back(&before, &written, &written).unwrap();
    insta::assert_snapshot!(plan(outcome.changes, outcome.left_for_people, &outcome.after, &outcome.apply).text());
}

#[test]
fn a_digest_changes_with_everything_that_a_plan_rests_on() {
    let basis = PlanBasis {
        operation: "UPGRADE".to_owned(),
        generation: 3,
        version: Some(Digest::of(b"version")),
        driver: Digest::of(b"driver"),
        driver_config: Digest::of(b"config"),
        selection: None,
        accepted: BTreeSet::new(),
        supplied: BTreeSet::new(),
        live_fields: json!({"replicas": 2}),
    };
    let id: ChangeId = Digest::of(b"change").hex()[..32].parse().unwrap();
    let others = [
        PlanBasis { operation: "ROLLBACK".to_owned(), ..basis.clone() },
        PlanBasis { generation: 4, ..basis.clone() },
        PlanBasis { version: None, ..basis.clone() },
        PlanBasis { driver: Digest::of(b"other"), ..basis.clone() },
        PlanBasis { driver_config: Digest::of(b"other"), ..basis.clone() },
        PlanBasis { selection: Some(BTreeSet::new()), ..basis.clone() },
        PlanBasis { accepted: BTreeSet::from([id]), ..basis.clone() },
        PlanBasis { supplied: BTreeSet::from([(component_owner(1), "environment/A".to_owned())]), ..basis.clone() },
        PlanBasis { live_fields: json!({"replicas": 3}), ..basis.clone() },
    ];
    let digests: BTreeSet<_> = others.iter().chain([&basis]).map(plan_digest).collect();
    assert_eq!(digests.len(), others.len() + 1);
    assert_eq!(plan_digest(&basis), plan_digest(&basis.clone()));
}
