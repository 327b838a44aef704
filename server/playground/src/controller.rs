//! The controllers: one task that follows the history and brings what is there closer to what is wanted.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::{controller, deleting, items, namespace, text};
use crate::status::Status;
use crate::store::{Change, Key, State};

mod autoscaler;
mod children;
mod claim;
mod deployment;
mod disruption;
mod garbage;
mod job;
mod kubelet;
mod namespace;
mod pod;
mod quota;
mod replicaset;
mod rollout;
mod scheduler;
mod seed;
mod service;
mod statefulset;

pub(crate) use seed::seed;

/// Changes read at once.
const BATCH: usize = 512;
/// The first pause after a failure; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be done next with an object.
#[derive(Debug)]
enum Next {
    /// Nothing, until something changes.
    Done,
    /// Look again after a while.
    After(Duration),
    /// Ask the registries for the images of this pod.
    Pull(Box<kubelet::Pull>),
}

/// What came of a pull: the digests by image, or why not.
type Pulled = (Key, String, Result<BTreeMap<String, String>, String>);

#[derive(Default)]
struct Queue {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    later: BTreeMap<(Instant, u64), Key>,
    /// When each key is next in `later`.
    timers: HashMap<Key, (Instant, u64)>,
    counter: u64,
    failures: HashMap<Key, u32>,
    /// When each pod, by its id, came to its node.
    started: HashMap<String, Instant>,
    pulling: HashSet<String>,
}

/// Runs until its task is aborted.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut news = cluster.store.subscribe();
    let mut queue = Queue::default();
    let mut pulls: JoinSet<Pulled> = JoinSet::new();
    let mut version = cluster.store.read(|state| queue.begin(state));
    loop {
        news.mark_unchanged();
        let read = cluster.store.read(|state| {
            if let Ok(changes) = state.changes_after(version, BATCH) {
                for change in &changes {
                    version = change.version;
                    queue.note(state, change);
                }
                changes.len()
            } else {
                version = queue.begin(state);
                0
            }
        });
        queue.wake(Instant::now());
        while let Some(finished) = pulls.try_join_next() {
            queue.pulled(&cluster, finished);
        }
        if let Some(key) = queue.pop() {
            let next = reconcile(&cluster, &mut queue, &key);
            queue.settle(&cluster, &mut pulls, key, next);
            tokio::task::yield_now().await;
            continue;
        }
        if read > 0 {
            continue;
        }
        let end = queue.later.keys().next().map_or_else(|| Instant::now() + Duration::from_mins(1), |(at, _)| *at);
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return },
            Some(finished) = pulls.join_next() => queue.pulled(&cluster, finished),
            () = sleep_until(end) => {}
        }
    }
}

fn reconcile(cluster: &Arc<Cluster>, queue: &mut Queue, key: &Key) -> Result<Next, Status> {
    cluster.store.write(|state| {
        if let Some(object) = state.get(key) {
            garbage::object(state, key, &object)?;
        }
        let Some(object) = state.get(key) else {
            return Ok(Next::Done);
        };
        match key.kind {
            Kind::Pod => pod::reconcile(cluster, queue, state, key, &object),
            Kind::Deployment => deployment::reconcile(state, key, &object),
            Kind::ReplicaSet => replicaset::reconcile(state, key, &object),
            Kind::StatefulSet => statefulset::reconcile(state, key, &object),
            Kind::Job => job::reconcile(state, key, &object),
            Kind::PersistentVolumeClaim => claim::reconcile(state, key, &object),
            Kind::PersistentVolume => claim::volume(state, key, &object),
            Kind::Service | Kind::Ingress => service::reconcile(cluster, state, key, &object),
            Kind::Namespace => namespace::reconcile(state, key, &object),
            Kind::ResourceQuota => quota::reconcile(state, key, &object),
            Kind::PodDisruptionBudget => disruption::reconcile(state, key, &object),
            Kind::HorizontalPodAutoscaler => autoscaler::reconcile(state, key, &object),
            _ => Ok(Next::Done),
        }
    })
}

impl Queue {
    /// Looks at everything; the version from which to follow.
    fn begin(&mut self, state: &State) -> u64 {
        for (kind, object) in state.all() {
            self.push(Key::of(kind, object));
        }
        state.version()
    }

    fn push(&mut self, key: Key) {
        if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn pop(&mut self) -> Option<Key> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        Some(key)
    }

    fn push_after(&mut self, key: Key, pause: Duration) {
        let at = Instant::now() + pause;
        if let Some(before) = self.timers.get(&key) {
            if before.0 <= at {
                // It is looked at before, and says then how much longer it needs.
                return;
            }
            self.later.remove(before);
        }
        self.counter += 1;
        self.timers.insert(key.clone(), (at, self.counter));
        self.later.insert((at, self.counter), key);
    }

    fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.timers.remove(&key);
            self.push(key);
        }
    }

    /// What a change makes necessary to look at.
    fn note(&mut self, state: &State, change: &Change) {
        let object = &change.object;
        let space = namespace(object);
        if change.kind == Kind::HorizontalPodAutoscaler {
            // Changes do not hurry it.
            self.push_after(Key::of(change.kind, object), autoscaler::PERIOD);
        } else {
            self.push(Key::of(change.kind, object));
        }
        if change.after.is_none() {
            self.forget(object);
            for key in garbage::dependents(state, object) {
                self.push(key);
            }
        }
        for owner in items(object, "/metadata/ownerReferences") {
            let kind = Kind::ALL.into_iter().find(|kind| kind.description().kind == text(owner, "/kind"));
            if let Some(kind) = kind {
                self.push(Key::new(kind, space, text(owner, "/name")));
            }
        }
        let all = |queue: &mut Self, kind: Kind, space: Option<&str>| {
            for object in state.list(kind, space) {
                queue.push(Key::of(kind, &object));
            }
        };
        match change.kind {
            Kind::Pod | Kind::ReplicaSet if controller(object).is_none() => {
                for kind in [Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet, Kind::Job] {
                    all(self, kind, Some(space));
                }
            }
            Kind::StorageClass => all(self, Kind::PersistentVolumeClaim, None),
            Kind::PersistentVolumeClaim => {
                self.push(Key::new(Kind::PersistentVolume, "", text(object, "/spec/volumeName")));
            }
            Kind::PersistentVolume => {
                let claim = &object["spec"]["claimRef"];
                let (space, name) = (text(claim, "/namespace"), text(claim, "/name"));
                self.push(Key::new(Kind::PersistentVolumeClaim, space, name));
            }
            _ => {}
        }
        if matches!(change.kind, Kind::Pod | Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet) {
            all(self, Kind::PodDisruptionBudget, Some(space));
        }
        let over = change.kind == Kind::Pod && matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
        let frees = change.after.is_none() || deleting(object) || over;
        if matches!(change.kind, Kind::ConfigMap | Kind::Secret | Kind::PersistentVolumeClaim | Kind::Node)
            || (change.kind == Kind::Pod && frees)
        {
            let here = if matches!(change.kind, Kind::Node | Kind::Pod) { None } else { Some(space) };
            for pod in state.list(Kind::Pod, here).iter().filter(|pod| text(pod, "/status/phase") == "Pending") {
                self.push(Key::of(Kind::Pod, pod));
            }
        }
        if change.kind == Kind::Pod && frees {
            for volume in items(object, "/spec/volumes") {
                let claim = text(volume, "/persistentVolumeClaim/claimName");
                if !claim.is_empty() {
                    self.push(Key::new(Kind::PersistentVolumeClaim, space, claim));
                }
            }
        }
        if !space.is_empty() && change.kind != Kind::Event {
            if change.kind != Kind::ResourceQuota {
                all(self, Kind::ResourceQuota, Some(space));
            }
            if frees || matches!(change.kind, Kind::ServiceAccount | Kind::ConfigMap) {
                self.push(Key::new(Kind::Namespace, "", space));
            }
        }
    }

    fn forget(&mut self, object: &Value) {
        self.started.remove(text(object, "/metadata/uid"));
    }

    fn settle(&mut self, cluster: &Arc<Cluster>, pulls: &mut JoinSet<Pulled>, key: Key, next: Result<Next, Status>) {
        match next {
            Ok(Next::Done) => {
                if key.kind != Kind::Pod {
                    self.failures.remove(&key);
                }
            }
            Ok(Next::After(pause)) => self.push_after(key, pause),
            Ok(Next::Pull(pull)) => {
                if self.pulling.insert(pull.uid.clone()) {
                    pulls.spawn(kubelet::pull(cluster.clone(), key, *pull));
                }
            }
            Err(status) => {
                tracing::debug!(
                    object.kind = key.kind.description().kind,
                    object.name = key.name,
                    "a controller failed: {}",
                    status.message
                );
                self.fail(key);
            }
        }
    }

    fn fail(&mut self, key: Key) {
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE);
        *failures += 1;
        self.push_after(key, pause);
    }

    fn pulled(&mut self, cluster: &Cluster, finished: Result<Pulled, tokio::task::JoinError>) {
        let Ok((key, uid, result)) = finished else { return };
        self.pulling.remove(&uid);
        let failed = result.is_err();
        let written = cluster.store.write(|state| kubelet::pulled(cluster, state, &key, &uid, result));
        match written {
            Ok(true) if failed => self.fail(key),
            Ok(_) => {
                self.failures.remove(&key);
                if cluster.store.get(&key).is_some_and(|pod| kubelet::state_of(&pod) == "Running") {
                    // One that is to end runs for a while first.
                    self.started.insert(uid, Instant::now());
                    self.push_after(key, cluster.options.pod_delay);
                }
            }
            Err(status) => {
                tracing::debug!(pod.name = key.name, "the pod's status was not written: {}", status.message);
                self.fail(key);
            }
        }
    }
}
