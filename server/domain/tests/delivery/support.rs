//! Small applications, and what is done with them.

use ropeway_domain::{
    Change, ChangeId, Component, ComponentKey, Digest, Installed, PublishedValue, Resource, ResourceKey, SecretId,
    Text, Value, VersionContent, VersionRef,
    change::{Decision, Owner},
    install::{Fresh, InstallOutcome, install},
    model::{GenerateRule, Image, Scale, ScaleRule, Variable, WorkloadKind},
    rollback::{RollbackInput, RollbackOutcome, rollback},
    secrets::SuppliedValues,
    upgrade::{AcceptError, UpgradeError, UpgradeInput, UpgradeOutcome, upgrade},
    version::True,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(crate) fn key(n: u128) -> ComponentKey {
    ComponentKey(Uuid::from_u128(n))
}

pub(crate) fn resource_key(n: u128) -> ResourceKey {
    ResourceKey(Uuid::from_u128(n))
}

pub(crate) fn version(n: u128) -> VersionRef {
    VersionRef { id: Uuid::from_u128(n), number: format!("{n}.0") }
}

pub(crate) fn text(text: &str) -> PublishedValue {
    PublishedValue::Text(Text::literal(text))
}

pub(crate) fn here(text: &str) -> Value {
    Value::Text(Text::literal(text))
}

pub(crate) fn generated(group: Option<&str>) -> PublishedValue {
    PublishedValue::Generate { generate: GenerateRule::new(24, group.map(str::to_owned)).unwrap() }
}

pub(crate) fn asked() -> PublishedValue {
    PublishedValue::Ask { ask: True }
}

pub(crate) fn variable<V>(name: &str, value: V) -> Variable<V> {
    Variable { name: name.to_owned(), value, description: None, decision: None }
}

pub(crate) fn image(tag: &str) -> Image {
    Image::Library { repository: "library/app".to_owned(), digest: Digest::of(tag.as_bytes()) }
}

pub(crate) fn component(n: u128, name: &str) -> Component<PublishedValue> {
    Component {
        key: key(n),
        name: name.to_owned(),
        slug: name.to_lowercase().parse().unwrap(),
        kind: WorkloadKind::Deployment,
        image: image("one"),
        command: vec![],
        arguments: vec![],
        environment: vec![],
        connection_info: vec![],
        ports: vec![],
        volumes: vec![],
        config_files: vec![],
        probes: vec![],
        resources: ropeway_domain::model::Resources::default(),
        scale: Scale { rule: ScaleRule::default(), replicas: 1 },
        dependencies: BTreeSet::new(),
        attributes: serde_json::Map::new(),
    }
}

pub(crate) fn resource(n: u128, kind: &str, body: &serde_json::Value) -> Resource<PublishedValue> {
    let api_version = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "v1" };
    let mut manifest = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "thing"}});
    manifest.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    Resource {
        key: resource_key(n),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: "thing".to_owned(),
        manifest: manifest.as_object().unwrap().clone(),
        secret_data: vec![],
    }
}

pub(crate) fn content(components: impl IntoIterator<Item = Component<PublishedValue>>) -> VersionContent {
    with_resources(components, [])
}

pub(crate) fn with_resources(
    components: impl IntoIterator<Item = Component<PublishedValue>>,
    resources: impl IntoIterator<Item = Resource<PublishedValue>>,
) -> VersionContent {
    VersionContent {
        format: VersionContent::FORMAT,
        components: components.into_iter().collect(),
        resources: resources.into_iter().collect(),
    }
}

/// Calls something with identities counted from `start`.
pub(crate) fn with_fresh<T>(start: u128, act: impl FnOnce(&mut Fresh<'_>) -> T) -> T {
    let (mut components, mut resources, mut secrets) = (start, start, start);
    let next = |counter: &mut u128| {
        *counter += 1;
        Uuid::from_u128(*counter)
    };
    act(&mut Fresh {
        component: &mut |slug| (ComponentKey(next(&mut components)), format!("shop-{slug}")),
        resource: &mut || ResourceKey(next(&mut resources)),
        secret: &mut || SecretId(next(&mut secrets)),
    })
}

/// Sealed values for all that is asked for.
pub(crate) fn supply(outcome_asks: &[ropeway_domain::plan::AskedValue]) -> SuppliedValues {
    let sealed = |n: usize| Value::Sealed { sealed: SecretId(Uuid::from_u128(0xA5C_0000 + n as u128)) };
    outcome_asks.iter().enumerate().map(|(n, ask)| ((ask.owner, ask.name.clone()), sealed(n))).collect()
}

pub(crate) fn installed(content: &VersionContent) -> InstallOutcome {
    let go = |supplied: &SuppliedValues| {
        with_fresh(1000, |fresh| install(content, &version(1), supplied, &Installed::default(), fresh))
    };
    let first = go(&SuppliedValues::new());
    if first.asks.is_empty() { first } else { go(&supply(&first.asks)) }
}

/// An upgrade from version 1 to version 2, with all that can be set.
pub(crate) struct Upgrade<'a> {
    pub(crate) base: &'a VersionContent,
    pub(crate) target: &'a VersionContent,
    pub(crate) installed: &'a Installed,
    pub(crate) selection: Option<BTreeSet<ComponentKey>>,
    pub(crate) accept: BTreeSet<ChangeId>,
    pub(crate) kept: Vec<Change>,
    pub(crate) installation: VersionRef,
    pub(crate) start: u128,
}

impl<'a> Upgrade<'a> {
    pub(crate) fn new(base: &'a VersionContent, target: &'a VersionContent, installed: &'a Installed) -> Self {
        Self {
            base,
            target,
            installed,
            selection: None,
            accept: BTreeSet::new(),
            kept: vec![],
            installation: version(1),
            start: 5000,
        }
    }

    pub(crate) fn run_with(&self, supplied: &SuppliedValues) -> Result<UpgradeOutcome, UpgradeError> {
        let contents = BTreeMap::from([(version(1).id, self.base), (version(2).id, self.target)]);
        let input = UpgradeInput {
            installed: self.installed,
            installation: &self.installation,
            contents: &contents,
            target: self.target,
            target_ref: &version(2),
            selection: self.selection.as_ref(),
            accept: &self.accept,
            kept: &self.kept,
            supplied,
        };
        with_fresh(self.start, |fresh| upgrade(&input, fresh))
    }

    /// Supplies whatever is asked for.
    pub(crate) fn run(&self) -> Result<UpgradeOutcome, UpgradeError> {
        let first = self.run_with(&SuppliedValues::new())?;
        if first.asks.is_empty() { Ok(first) } else { self.run_with(&supply(&first.asks)) }
    }

    pub(crate) fn accepting(mut self, ids: impl IntoIterator<Item = ChangeId>) -> Self {
        self.accept.extend(ids);
        self
    }
}

pub(crate) fn roll_back(
    snapshot: &Installed,
    written: &Installed,
    now: &Installed,
) -> Result<RollbackOutcome, AcceptError> {
    rollback(&RollbackInput { snapshot, written, now, accept: &BTreeSet::new() })
}

/// The decision about a path, if there is a line about it.
pub(crate) fn decision(changes: &[Change], path: &str) -> Option<Decision> {
    line(changes, path).map(|change| change.decision)
}

pub(crate) fn line<'c>(changes: &'c [Change], path: &str) -> Option<&'c Change> {
    let mut lines = changes.iter().filter(|change| change.path == path);
    let first = lines.next();
    assert!(lines.next().is_none(), "{path} has one line: {changes:#?}");
    first
}

pub(crate) fn component_owner(n: u128) -> Owner {
    Owner::Component(key(n))
}
