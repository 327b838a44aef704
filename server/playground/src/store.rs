//! The cluster's memory: the objects, a counter of versions, and a bounded history that watches read.
//!
//! A watcher has no buffer of its own: it reads the history from where it stopped. One that is slower than the
//! history is long learns that its version has expired, exactly as with the API server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::kind::Kind;
use crate::object::{name, namespace};
use crate::status::Status;

/// Changes that are remembered for watches.
const HISTORY: usize = 8192;

/// An object as it was at one version; never changed.
pub(crate) type Object = Arc<Value>;

/// The address of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its namespace, empty where the kind has none.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The version that it made.
    pub(crate) version: u64,
    /// The object's kind.
    pub(crate) kind: Kind,
    /// The object before, if there was one.
    pub(crate) before: Option<Object>,
    /// The object after, if there is one.
    pub(crate) after: Option<Object>,
    /// The last state of the object: after, or what was deleted, with the version of this change.
    pub(crate) object: Object,
}

/// The objects and their history.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

/// What a transaction works on.
#[derive(Debug, Default)]
pub(crate) struct State {
    version: u64,
    /// The first version that a watch can still begin after.
    oldest: u64,
    /// Grows when all watches are made to expire.
    epoch: u64,
    objects: BTreeMap<Kind, BTreeMap<(String, String), Object>>,
    history: VecDeque<Arc<Change>>,
}

impl Key {
    /// The address of the object with this name.
    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.description().namespaced { namespace } else { "" };
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The address of this object.
    pub(crate) fn of(kind: Kind, object: &Value) -> Self {
        Self::new(kind, namespace(object), name(object))
    }
}

impl Store {
    /// An empty memory.
    pub(crate) fn new() -> Self {
        let state = State { version: 1, oldest: 1, ..State::default() };
        Self { state: Mutex::new(state), latest: watch::Sender::new(1) }
    }

    /// Runs one transaction and wakes the watchers.
    pub(crate) fn write<T>(&self, transaction: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.version;
        let result = transaction(&mut state);
        if state.version != before {
            self.latest.send_replace(state.version);
        }
        result
    }

    /// Looks without changing.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.read(|state| state.get(key))
    }

    /// Tells of new versions.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Forgets the history: a watch can begin only after the present version.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        state.oldest = state.version;
        state.history.clear();
    }

    /// Ends all watches with 410, and forgets the history.
    pub(crate) fn expire_watches(&self) {
        self.compact();
        self.lock().epoch += 1;
        self.latest.send_modify(|_| ());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The present version.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Grows when all watches are made to expire.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.objects.get(&key.kind)?.get(&(key.namespace.clone(), key.name.clone())).cloned()
    }

    /// One object, or the answer that it is not there.
    pub(crate) fn require(&self, key: &Key) -> Result<Object, Status> {
        self.get(key).ok_or_else(|| Status::not_found(key.kind, &key.name))
    }

    /// The objects of a kind in a namespace, or everywhere, by namespace and name.
    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Object> {
        let Some(objects) = self.objects.get(&kind) else { return Vec::new() };
        match namespace {
            Some(namespace) => objects
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((found, _), _)| found == namespace)
                .map(|(_, object)| object.clone())
                .collect(),
            None => objects.values().cloned().collect(),
        }
    }

    /// The objects of a kind as they were at a version.
    pub(crate) fn list_at(&self, kind: Kind, namespace: Option<&str>, version: u64) -> Result<Vec<Object>, Status> {
        if version > self.version {
            return Err(Status::version_too_large(version, self.version));
        }
        if version < self.oldest {
            return Err(Status::expired(
                "The provided continue parameter or resource version is too old to display a consistent list result.",
            ));
        }
        let mut objects = self.objects.get(&kind).cloned().unwrap_or_default();
        for change in self.history.iter().rev().take_while(|change| change.version > version) {
            if change.kind != kind {
                continue;
            }
            let place = (namespace_of(&change.object), name(&change.object).to_owned());
            match &change.before {
                Some(before) => objects.insert(place, before.clone()),
                None => objects.remove(&place),
            };
        }
        let wanted = |found: &str| namespace.is_none_or(|namespace| namespace == found);
        Ok(objects.into_iter().filter(|((found, _), _)| wanted(found)).map(|(_, object)| object).collect())
    }

    /// All objects, of every kind.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Kind, &Object)> {
        self.objects.iter().flat_map(|(kind, objects)| objects.values().map(|object| (*kind, object)))
    }

    /// Up to `limit` changes after a version, or that the version has expired.
    pub(crate) fn changes_after(&self, version: u64, limit: usize) -> Result<Vec<Arc<Change>>, Status> {
        if version < self.oldest {
            return Err(Status::expired(format!("too old resource version: {version} ({})", self.oldest)));
        }
        let start = self.history.partition_point(|change| change.version <= version);
        Ok(self.history.range(start..).take(limit).cloned().collect())
    }

    /// Stores an object under a new version.
    pub(crate) fn put(&mut self, kind: Kind, mut object: Value) -> Object {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let place = (namespace_of(&object), name(&object).to_owned());
        let before = self.objects.entry(kind).or_default().insert(place, object.clone());
        self.record(Change {
            version: self.version,
            kind,
            before,
            after: Some(object.clone()),
            object: object.clone(),
        });
        object
    }

    /// Removes an object, if it is there, and returns its last state.
    pub(crate) fn remove(&mut self, key: &Key, last: Option<Value>) -> Option<Object> {
        let before = self.objects.get_mut(&key.kind)?.remove(&(key.namespace.clone(), key.name.clone()))?;
        self.version += 1;
        let mut object = last.unwrap_or_else(|| Value::clone(&before));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let before = Some(before);
        self.record(Change { version: self.version, kind: key.kind, before, after: None, object: object.clone() });
        Some(object)
    }

    fn record(&mut self, change: Change) {
        self.history.push_back(Arc::new(change));
        if self.history.len() > HISTORY
            && let Some(forgotten) = self.history.pop_front()
        {
            self.oldest = forgotten.version;
        }
    }
}

fn namespace_of(object: &Value) -> String {
    namespace(object).to_owned()
}
