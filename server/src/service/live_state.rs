//! How applications are in their clusters, as the drivers judge it. One list for each kind of object of an application,
//! with a budget of time for each cluster: one that does not answer slows nobody, and nothing is concluded from silence.

use crate::{
    app::App,
    clusters::Reached,
    error::Result,
    id::{ApplicationId, ClusterId},
    service::{
        edit,
        find_application::{Whole, load_resources, load_wholes},
    },
    store::{component::Component as ComponentRow, resource::KubernetesResource as ResourceRow},
};
use futures::{StreamExt as _, future::try_join_all, stream};
use ropeway_clusters::{Kind, labels, strip_managed_fields};
use ropeway_domain::model::WorkloadKind;
use ropeway_drivers::{Health, HealthState, ObjectRef, Observed};
use serde_json::Value as Json;
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// How long one cluster may take, for all applications that are asked about at once.
const BUDGET: Duration = Duration::from_secs(3);

/// Applications of one cluster that are asked about at the same time.
const CONCURRENT: usize = 8;

/// Objects of one kind that are looked at.
const PAGE: u16 = 500;

/// Pages of events that are looked at.
const EVENT_PAGES: usize = 3;

/// How something that runs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It was never deployed.
    Undeployed,
    /// It is on its way.
    Starting,
    /// It is as wanted.
    Running,
    /// Something is wrong with it.
    Degraded,
    /// It is wanted to be stopped, and is.
    Stopped,
    /// It ran to its end.
    Completed,
    /// Its cluster does not answer.
    Unknown,
}

/// How an application is.
#[derive(Debug, Clone)]
pub enum Live {
    /// As its cluster answered.
    Seen(Seen),
    /// The cluster did not answer, and why.
    Silent(String),
}

/// What a cluster has of an application.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its workloads, by kind and name, and what the driver says of each.
    workloads: HashMap<(String, String), (Json, Judged)>,
    /// Its pods.
    pods: Vec<Json>,
}

/// What a driver says of an object.
#[derive(Debug, Clone)]
struct Judged {
    state: HealthState,
    reason: String,
    message: String,
}

/// How a component, or a Kubernetes resource, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The state.
    pub state: RunState,
    /// Why, where it is not as wanted.
    pub reason: Option<String>,
    /// The replicas that are ready.
    pub ready_replicas: i64,
}

/// The kinds of object whose changes are followed.
pub fn followed_kinds() -> Vec<Kind> {
    let kinds = [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("v1", "Pod")];
    kinds.map(|(api_version, kind)| Kind::new(api_version, kind)).into()
}

/// How applications are, each with its components. Each cluster is asked on its own.
pub async fn observe(app: &App, ids: &[ApplicationId]) -> Result<HashMap<ApplicationId, Arc<Live>>> {
    let wholes = load_wholes(app, ids).await?;
    let mut of_cluster: HashMap<ClusterId, Vec<Arc<Whole>>> = HashMap::new();
    for whole in wholes.into_values() {
        of_cluster.entry(whole.application.cluster_id).or_default().push(whole);
    }
    let clusters = of_cluster.into_iter().map(async |(cluster, wholes)| {
        let look = async |reached: &Reached, whole: Arc<Whole>| look(reached, &whole).await;
        ask(app, cluster, wholes, |whole| whole.application.id, look).await
    });
    let answers = futures::future::join_all(clusters).await;
    Ok(answers.into_iter().flatten().map(|(id, answer)| (id, Arc::new(answer.unwrap_or_else(Live::Silent)))).collect())
}

/// How Kubernetes resources are, by their keys.
pub type ResourceConditions = HashMap<uuid::Uuid, Condition>;

/// How the Kubernetes resources of applications are.
pub async fn observe_resources(
    app: &App,
    ids: &[ApplicationId],
) -> Result<HashMap<ApplicationId, Arc<ResourceConditions>>> {
    type Looked = (Arc<Whole>, Vec<ResourceRow>);
    let wholes = load_wholes(app, ids).await?;
    let mut resources = load_resources(app, ids).await?;
    let mut of_cluster: HashMap<ClusterId, Vec<Looked>> = HashMap::new();
    for (id, whole) in wholes {
        let rows = resources.remove(&id).unwrap_or_default();
        of_cluster.entry(whole.application.cluster_id).or_default().push((whole, rows));
    }
    let clusters = of_cluster.into_iter().map(async |(cluster, all)| {
        let unknown: HashMap<ApplicationId, Vec<ResourceRow>> =
            all.iter().map(|(whole, rows)| (whole.application.id, rows.clone())).collect();
        let look = async |reached: &Reached, (whole, rows): (Arc<Whole>, Vec<ResourceRow>)| {
            look_at_resources(reached, &whole, &rows).await
        };
        let answers = ask(app, cluster, all, |(whole, _)| whole.application.id, look).await;
        answers
            .into_iter()
            .map(move |(id, answer)| {
                let rows = unknown.get(&id).map(Vec::as_slice).unwrap_or_default();
                let silent = |why: String| -> HashMap<uuid::Uuid, Condition> {
                    let conditions = rows.iter().map(|row| {
                        let condition = if row.deployed.is_none() { undeployed() } else { Condition::unknown(&why) };
                        (row.key.0.0, condition)
                    });
                    conditions.collect()
                };
                (id, Arc::new(answer.unwrap_or_else(silent)))
            })
            .collect::<Vec<_>>()
    });
    Ok(futures::future::join_all(clusters).await.into_iter().flatten().collect())
}

/// A namespace of a cluster.
pub type Namespace = (ClusterId, String);

/// The Kubernetes events of namespaces, or why their cluster did not tell them. Each cluster is asked on its own.
pub async fn events(app: &App, of: &[Namespace]) -> HashMap<Namespace, Result<Arc<Vec<Json>>, String>> {
    let mut of_cluster: HashMap<ClusterId, BTreeSet<&str>> = HashMap::new();
    for (cluster, namespace) in of {
        of_cluster.entry(*cluster).or_default().insert(namespace);
    }
    let clusters = of_cluster.into_iter().map(async |(cluster, namespaces)| {
        let look = async |reached: &Reached, namespace: &str| events_of(reached, namespace).await;
        let answers = ask(app, cluster, namespaces.into_iter().collect(), |namespace| *namespace, look).await;
        let named = |(namespace, answer): (&str, Result<_, String>)| ((cluster, namespace.to_owned()), answer);
        answers.into_iter().map(named).collect::<Vec<_>>()
    });
    let answers = futures::future::join_all(clusters).await;
    answers.into_iter().flatten().map(|(key, answer)| (key, answer.map(Arc::new))).collect()
}

impl Live {
    /// How a component is.
    pub fn condition(&self, row: &ComponentRow) -> Condition {
        let seen = match self {
            Self::Seen(seen) => seen,
            Self::Silent(_) if row.deployed.is_none() => return undeployed(),
            Self::Silent(reason) => return Condition::unknown(reason),
        };
        let Some(spec) = edit::spec(row) else { return undeployed() };
        let (_, kind) = kind_of(spec.kind);
        let Some((workload, judged)) = workload(seen, spec.kind, &row.cluster_name) else {
            if row.deployed.is_none() {
                return undeployed();
            }
            let reason = format!("the cluster has no {kind} named {:?}", row.cluster_name);
            return Condition { state: RunState::Degraded, reason: Some(reason), ready_replicas: 0 };
        };
        let number = |pointer: &str| workload.pointer(pointer).and_then(Json::as_i64);
        let ready =
            if spec.kind == WorkloadKind::Job { number("/status/ready") } else { number("/status/readyReplicas") };
        let state = match judged.state {
            HealthState::Healthy if judged.reason == "Stopped" || number("/spec/replicas") == Some(0) => {
                RunState::Stopped
            }
            HealthState::Healthy if spec.kind == WorkloadKind::Job => RunState::Completed,
            other => run_state(other),
        };
        Condition { state, reason: judged.explained(state), ready_replicas: ready.unwrap_or(0) }
    }

    /// Whether anything of it is in the cluster. Its namespace may be somebody else's until then, and what goes on
    /// there theirs.
    pub fn is_there(&self, row: &ComponentRow) -> bool {
        let Self::Seen(seen) = self else { return false };
        let has_workload = |kind| workload(seen, kind, &row.cluster_name).is_some();
        edit::spec(row).is_some_and(|spec| has_workload(spec.kind)) || !self.pods(row).is_empty()
    }

    /// How the whole is: the worst of its components decides.
    pub fn aggregate(&self, components: &[Arc<ComponentRow>]) -> RunState {
        let states: BTreeSet<u8> = components
            .iter()
            .filter(|row| edit::spec(row).is_some())
            .map(|row| rank(self.condition(row).state))
            .collect();
        aggregate(&states)
    }

    /// The pods of a component, by name.
    pub fn pods(&self, row: &ComponentRow) -> Vec<Json> {
        let Self::Seen(seen) = self else { return Vec::new() };
        let key = row.key.0.to_string();
        let of = |pod: &&Json| ropeway_clusters::label(pod, "ropeway.dev/component") == Some(key.as_str());
        let mut pods: Vec<Json> = seen.pods.iter().filter(of).cloned().collect();
        pods.sort_by_key(|pod| pod.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default().to_owned());
        pods
    }
}

impl Condition {
    fn unknown(reason: &str) -> Self {
        Self { state: RunState::Unknown, reason: Some(reason.to_owned()), ready_replicas: 0 }
    }
}

impl Judged {
    /// The reason, where a person wants to know one.
    fn explained(&self, state: RunState) -> Option<String> {
        let fine = matches!(state, RunState::Running | RunState::Stopped | RunState::Completed);
        (!fine).then(|| if self.message.is_empty() { self.reason.clone() } else { self.message.clone() })
    }
}

/// Asks one cluster about several things within one budget of time. What was not answered in time stays unanswered.
async fn ask<T, K: Copy + Eq + Hash, R>(
    app: &App,
    cluster: ClusterId,
    all: Vec<T>,
    id: impl Fn(&T) -> K,
    look: impl AsyncFn(&Reached, T) -> Result<R, String>,
) -> Vec<(K, Result<R, String>)> {
    let ids: Vec<K> = all.iter().map(&id).collect();
    let mut answers: HashMap<K, Result<R, String>> = HashMap::new();
    let mut name = "the cluster".to_owned();
    let work = async {
        let reached = match app.reach(cluster).await {
            Ok(reached) => reached,
            Err(error) => {
                let why = error.to_string();
                answers.extend(ids.iter().map(|id| (*id, Err(why.clone()))));
                return;
            }
        };
        name.clone_from(&reached.row.display_name);
        let asked = all.into_iter().map(|one| {
            let id = id(&one);
            let (look, reached) = (&look, &reached);
            async move { (id, look(reached, one).await) }
        });
        let mut asked = stream::iter(asked).buffer_unordered(CONCURRENT);
        while let Some((id, answer)) = asked.next().await {
            answers.insert(id, answer);
        }
    };
    let in_time = timeout(BUDGET, work).await.is_ok();
    let unanswered = || if in_time { "nothing is known".to_owned() } else { late(&name) };
    ids.into_iter().map(|id| (id, answers.remove(&id).unwrap_or_else(|| Err(unanswered())))).collect()
}

async fn events_of(reached: &Reached, namespace: &str) -> Result<Vec<Json>, String> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..EVENT_PAGES {
        let kind = Kind::new("v1", "Event");
        let page = reached.cluster.list_page(&kind, Some(namespace), None, PAGE, after.as_deref()).await;
        let page = page.map_err(|error| crate::clusters::cluster_error(&reached.row.name, error).to_string())?;
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn look(reached: &Reached, whole: &Whole) -> Result<Live, String> {
    let kinds: BTreeSet<(&str, &str)> = whole.specs.values().map(|spec| kind_of(spec.kind)).collect();
    if kinds.is_empty() {
        return Ok(Live::Seen(Seen::default()));
    }
    let kinds = kinds.into_iter().chain([("v1", "Pod")]).map(|(api_version, kind)| Kind::new(api_version, kind));
    let found = list(reached, whole, kinds.collect()).await?;
    let health = assess(reached, whole, &found).await?;
    let mut judged = judged(health);
    let (pods, workloads): (Vec<Json>, Vec<Json>) =
        found.into_iter().partition(|object| object.get("kind").and_then(Json::as_str) == Some("Pod"));
    let workloads = workloads.into_iter().filter_map(|object| {
        let name = name_of(&object)?;
        let verdict = judged.remove(&name)?;
        Some((name, (object, verdict)))
    });
    Ok(Live::Seen(Seen { workloads: workloads.collect(), pods }))
}

async fn look_at_resources(
    reached: &Reached,
    whole: &Whole,
    rows: &[ResourceRow],
) -> Result<HashMap<uuid::Uuid, Condition>, String> {
    let deployed = || rows.iter().filter(|row| row.deployed.is_some());
    let kinds: BTreeSet<Kind> = deployed().map(|row| Kind::new(&row.api_version, &row.kind)).collect();
    let mut found = list(reached, whole, kinds.into_iter().collect()).await?;
    for object in &mut found {
        hide_secret(object);
    }
    let judged = if found.is_empty() { HashMap::new() } else { judged(assess(reached, whole, &found).await?) };
    let condition = |row: &ResourceRow| {
        if row.deployed.is_none() {
            return undeployed();
        }
        match judged.get(&(row.kind.clone(), row.name.clone())) {
            Some(judged) => {
                let state = run_state(judged.state);
                Condition { state, reason: judged.explained(state), ready_replicas: 0 }
            }
            None => {
                let reason = format!("the cluster has no {} named {:?}", row.kind, row.name);
                Condition { state: RunState::Degraded, reason: Some(reason), ready_replicas: 0 }
            }
        }
    };
    Ok(rows.iter().map(|row| (row.key.0.0, condition(row))).collect())
}

/// The objects of an application of these kinds. A kind that the cluster does not serve has none.
async fn list(reached: &Reached, whole: &Whole, kinds: Vec<Kind>) -> Result<Vec<Json>, String> {
    let selector = format!("{}={}", labels::APPLICATION, whole.application.id);
    let lists = kinds.into_iter().map(|kind| {
        let (selector, namespace) = (&selector, Some(whole.application.namespace.as_str()));
        async move {
            match reached.cluster.list_page(&kind, namespace, Some(selector), PAGE, None).await {
                Ok(page) => Ok(page.items),
                Err(ropeway_clusters::Error::UnknownKind { .. }) => Ok(Vec::new()),
                Err(error) => Err(format!("the cluster {}: {error}", reached.row.display_name)),
            }
        }
    });
    let mut found: Vec<Json> = try_join_all(lists).await?.into_iter().flatten().collect();
    found.iter_mut().for_each(strip_managed_fields);
    Ok(found)
}

async fn assess(reached: &Reached, whole: &Whole, found: &[Json]) -> Result<Health, String> {
    let observed: Vec<Observed> = found
        .iter()
        .filter_map(|object| {
            let api_version = object.get("apiVersion")?.as_str()?.to_owned();
            let (kind, name) = name_of(object)?;
            let reference = ObjectRef { api_version, kind, name };
            Some(Observed { reference, object: Some(object.clone()), events: Vec::new() })
        })
        .collect();
    let target = reached.target(&whole.application.namespace);
    reached.driver.assess(&target, &observed).await.map_err(|error| error.to_string())
}

fn judged(health: Health) -> HashMap<(String, String), Judged> {
    let items = health.items.into_iter();
    items
        .map(|item| {
            let judged = Judged { state: item.state, reason: item.reason, message: item.message };
            ((item.reference.kind, item.reference.name), judged)
        })
        .collect()
}

fn workload<'a>(seen: &'a Seen, kind: WorkloadKind, name: &str) -> Option<(&'a Json, &'a Judged)> {
    let kind = kind_of(kind).1.to_owned();
    if let Some((object, judged)) = seen.workloads.get(&(kind.clone(), name.to_owned())) {
        return Some((object, judged));
    }
    // A Job is named by its revision: the newest one counts.
    let runs = seen.workloads.iter().filter(|((other, run), _)| {
        *other == kind && kind == "Job" && run.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
    });
    let created = |object: &Json| -> String {
        object.pointer("/metadata/creationTimestamp").and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    runs.max_by_key(|((_, run), (object, _))| (created(object), run.clone()))
        .map(|(_, (object, judged))| (object, judged))
}

fn kind_of(kind: WorkloadKind) -> (&'static str, &'static str) {
    match kind {
        WorkloadKind::Deployment => ("apps/v1", "Deployment"),
        WorkloadKind::StatefulSet => ("apps/v1", "StatefulSet"),
        WorkloadKind::Job => ("batch/v1", "Job"),
    }
}

fn run_state(health: HealthState) -> RunState {
    match health {
        HealthState::Healthy => RunState::Running,
        HealthState::Progressing => RunState::Starting,
        HealthState::Degraded | HealthState::Missing => RunState::Degraded,
        HealthState::Unknown => RunState::Unknown,
    }
}

fn undeployed() -> Condition {
    Condition { state: RunState::Undeployed, reason: None, ready_replicas: 0 }
}

const WORST_FIRST: [RunState; 7] = [
    RunState::Unknown,
    RunState::Degraded,
    RunState::Starting,
    RunState::Running,
    RunState::Stopped,
    RunState::Completed,
    RunState::Undeployed,
];

fn rank(state: RunState) -> u8 {
    WORST_FIRST.iter().zip(0..).find(|(one, _)| **one == state).map_or(0, |(_, rank)| rank)
}

/// The worst state decides; nothing at all is undeployed.
fn aggregate(ranks: &BTreeSet<u8>) -> RunState {
    let worst = ranks.first().copied().map_or(WORST_FIRST.len() - 1, usize::from);
    WORST_FIRST.get(worst).copied().unwrap_or(RunState::Unknown)
}

fn name_of(object: &Json) -> Option<(String, String)> {
    Some((object.get("kind")?.as_str()?.to_owned(), object.pointer("/metadata/name")?.as_str()?.to_owned()))
}

/// The entries of a Secret concern nobody who judges it.
fn hide_secret(object: &mut Json) {
    if object.get("kind").and_then(Json::as_str) == Some("Secret")
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("data");
    }
}

fn late(cluster: &str) -> String {
    format!("the cluster {cluster} did not answer within {} seconds", BUDGET.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_component_decides_over_the_application() {
        use RunState::{Completed, Degraded, Running, Starting, Stopped, Undeployed, Unknown};
        for (states, expected) in [
            (&[][..], Undeployed),
            (&[Undeployed, Undeployed], Undeployed),
            (&[Running, Completed, Undeployed], Running),
            (&[Running, Stopped], Running),
            (&[Stopped, Completed], Stopped),
            (&[Completed], Completed),
            (&[Running, Starting], Starting),
            (&[Starting, Degraded], Degraded),
            (&[Degraded, Unknown], Unknown),
        ] {
            assert_eq!(aggregate(&states.iter().map(|state| rank(*state)).collect()), expected, "{states:?}");
        }
    }
}
