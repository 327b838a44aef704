//! What the watches of one wait have seen so far.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Watch, events,
    source::{Change, Role, Source},
};
use crate::{ObjectRef, Observed};

/// Pods and events kept for each judged object.
const MAX_DETAILS: usize = 20;

/// Objects kept of one source; more are left out, oldest first for events.
const MAX_OBJECTS: usize = 5000;

/// See the module.
pub(super) struct Tables {
    references: Vec<ObjectRef>,
    tables: Vec<Table>,
}

struct Table {
    role: Role,
    wanted: HashSet<ObjectRef>,
    current: BTreeMap<Key, Value>,
    filling: Option<BTreeMap<Key, Value>>,
    complete: bool,
}

/// Namespace and name.
type Key = (Option<String>, String);

impl Tables {
    pub(super) fn new(watch: &Watch, sources: &[Source]) -> Self {
        let tables = sources
            .iter()
            .map(|source| Table {
                role: source.role,
                wanted: match source.role {
                    Role::Judged => watch
                        .references
                        .iter()
                        .filter(|reference| {
                            reference.kind() == source.resource.kind
                                && (source.namespace.is_none() || reference.namespace == source.namespace)
                        })
                        .cloned()
                        .collect(),
                    Role::Pods | Role::Events => HashSet::new(),
                },
                current: BTreeMap::new(),
                filling: None,
                complete: false,
            })
            .collect();
        Self { references: watch.references.clone(), tables }
    }

    /// Whether nothing can be judged without this source.
    pub(super) fn is_needed(&self, at: usize) -> bool {
        self.tables[at].role == Role::Judged
    }

    /// Goes on without a source. Says whether that makes the rest complete.
    pub(super) fn give_up(&mut self, at: usize) -> bool {
        let was = std::mem::replace(&mut self.tables[at].complete, true);
        !was && self.complete()
    }

    /// Whether every source has been seen once as a whole.
    pub(super) fn complete(&self) -> bool {
        self.tables.iter().all(|table| table.complete)
    }

    /// Takes a change in. Says whether it is a reason to judge.
    pub(super) fn take(&mut self, at: usize, change: Change) -> bool {
        let table = &mut self.tables[at];
        match change {
            Change::Restart => {
                table.filling = Some(BTreeMap::new());
                false
            }
            Change::Initial(object) => {
                let object = table.relevant(object);
                if let (Some((key, object)), Some(filling)) = (object, &mut table.filling) {
                    insert(filling, key, object);
                }
                false
            }
            Change::Complete => {
                table.current = table.filling.take().unwrap_or_default();
                table.complete = true;
                true
            }
            Change::Applied(object) => match table.relevant(object) {
                Some((key, object)) => {
                    insert(&mut table.current, key, object);
                    true
                }
                None => false,
            },
            Change::Deleted(object) => match table.relevant(object) {
                // That an event expires says nothing.
                Some((key, _)) => table.current.remove(&key).is_some() && table.role != Role::Events,
                None => false,
            },
        }
    }

    /// Everything seen, for the judge.
    pub(super) fn observed(&self) -> Arc<[Observed]> {
        let of =
            |role: Role| self.tables.iter().filter(move |table| table.role == role).flat_map(|table| &table.current);
        let judged: HashMap<ObjectRef, &Value> =
            of(Role::Judged).filter_map(|(_, object)| Some((ObjectRef::of(object).ok()?, object))).collect();
        let pods: Vec<&Value> = of(Role::Pods).map(|(_, pod)| pod).collect();
        let events: Vec<&Value> = of(Role::Events).map(|(_, event)| event).collect();
        self.references
            .iter()
            .map(|reference| {
                let object = judged.get(reference).copied();
                let mut own: Vec<&Value> = match object {
                    Some(object) => pods.iter().copied().filter(|pod| is_pod_of(object, pod)).collect(),
                    None => Vec::new(),
                };
                own.sort_by_key(|pod| pod.pointer("/metadata/creationTimestamp").and_then(Value::as_str));
                let own = own.split_off(own.len().saturating_sub(MAX_DETAILS));
                Observed {
                    reference: reference.clone(),
                    events: events::about(reference, object, &own, &events, MAX_DETAILS),
                    pods: own.into_iter().cloned().collect(),
                    object: object.cloned(),
                }
            })
            .collect()
    }
}

impl Table {
    /// The key of an object that matters; events are cut down to what is told about them.
    fn relevant(&self, object: Value) -> Option<(Key, Value)> {
        let reference = ObjectRef::of(&object).ok()?;
        if self.role == Role::Judged && !self.wanted.contains(&reference) {
            return None;
        }
        let object = if self.role == Role::Events { events::shortened(&object) } else { object };
        Some(((reference.namespace, reference.name), object))
    }
}

fn insert(objects: &mut BTreeMap<Key, Value>, key: Key, object: Value) {
    if objects.len() >= MAX_OBJECTS && !objects.contains_key(&key) {
        let oldest = objects.iter().min_by(|a, b| events::time(a.1).cmp(events::time(b.1))).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            objects.remove(&oldest);
        }
    }
    objects.insert(key, object);
}

/// Whether a pod belongs to a workload: it is owned by it, or matches its selector.
fn is_pod_of(workload: &Value, pod: &Value) -> bool {
    let same_namespace = pod.pointer("/metadata/namespace") == workload.pointer("/metadata/namespace");
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let owned = owners.filter_map(|owner| owner.get("uid")).any(|uid| Some(uid) == workload.pointer("/metadata/uid"));
    let has_pods = workload.pointer("/spec/template").is_some();
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selected = has_pods
        && labels.is_some_and(|labels| {
            let carried = pod.pointer("/metadata/labels");
            !labels.is_empty() && labels.iter().all(|(key, value)| carried.and_then(|all| all.get(key)) == Some(value))
        });
    same_namespace && (owned || selected)
}
