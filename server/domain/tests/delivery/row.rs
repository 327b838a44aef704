//! One line of the table of upgrades, and its check.

use crate::support::{Upgrade, component, content, decision, installed, key, line, version};
use ropeway_domain::{
    Component, PublishedValue, Value,
    change::Decision::{self, Apply, Keep},
    upgrade::{AcceptError, UpgradeError},
};

pub(crate) type Spec = Component<PublishedValue>;

/// One line of the table: what base and target have, what a person edited here, and what comes of it.
pub(crate) struct Row {
    pub(crate) rule: &'static str,
    pub(crate) base: fn(&mut Spec),
    pub(crate) target: fn(&mut Spec),
    pub(crate) edit: fn(&mut Component<Value>),
    pub(crate) path: &'static str,
    pub(crate) decision: Option<Decision>,
    /// Whether it holds afterwards.
    pub(crate) holds: fn(&Component<Value>) -> bool,
    /// What accepting it does: none, it cannot be accepted.
    pub(crate) accepted: Option<fn(&Component<Value>) -> bool>,
}

pub(crate) fn check(rows: &[Row]) {
    for row in rows {
        let rule = row.rule;
        let (mut base, mut target) = (component(1, "Web"), component(1, "Web"));
        (row.base)(&mut base);
        (row.target)(&mut target);
        let (base, target) = (content([base]), content([target]));
        let mut before = installed(&base).after;
        (row.edit)(&mut before.components.get_mut(&key(1)).unwrap().spec);

        let outcome = Upgrade::new(&base, &target, &before).run().unwrap();
        assert_eq!(decision(&outcome.changes, row.path), row.decision, "{rule}: {:#?}", outcome.changes);
        assert!((row.holds)(&outcome.after.components[&key(1)].spec), "{rule}: {:#?}", outcome.after);
        assert_eq!(outcome.apply.contains(&key(1)), row.decision == Some(Apply), "{rule}");
        assert_eq!(outcome.after.components[&key(1)].version, Some(version(2)), "{rule}");

        if row.decision != Some(Keep) {
            continue;
        }
        let id = line(&outcome.changes, row.path).unwrap().id.clone();
        let result = Upgrade::new(&base, &target, &before).accepting([id.clone()]).run();
        match row.accepted {
            Some(holds) => {
                let outcome = result.unwrap();
                assert_eq!(decision(&outcome.changes, row.path), Some(Apply), "{rule}");
                assert!(holds(&outcome.after.components[&key(1)].spec), "{rule}: {:#?}", outcome.after);
            }
            None => match result {
                Err(UpgradeError::Accept(AcceptError::Refused { changes })) => assert_eq!(changes[0].0, id, "{rule}"),
                other => panic!("{rule}: {other:?}"),
            },
        }
    }
}

pub(crate) fn same<T>(_: &mut T) {}
