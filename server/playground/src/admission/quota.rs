//! Resource quotas: what a namespace uses, and whether one more object fits.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kind::Kind;
use crate::object::{at, items, name, namespace, text};
use crate::quantity;
use crate::status::Status;
use crate::store::State;

type Amounts = BTreeMap<String, i128>;

/// Refuses a new object, or one that asks for more than before, that a quota of its namespace has no room for.
pub(crate) fn check(state: &State, kind: Kind, old: Option<&Value>, object: &Value) -> Result<(), Status> {
    let mut asked = cost(kind, object);
    for (resource, amount) in old.into_iter().flat_map(|old| cost(kind, old)) {
        *asked.entry(resource).or_default() -= amount;
    }
    if old.is_some() {
        asked.retain(|_, amount| *amount > 0);
    }
    if asked.is_empty() {
        return Ok(());
    }
    let space = namespace(object);
    let quotas = state.list(Kind::ResourceQuota, Some(space));
    for quota in &quotas {
        let hard = amounts(&quota["spec"]["hard"]);
        if kind == Kind::Pod && old.is_none() {
            let missing: Vec<String> = hard
                .keys()
                .filter(|resource| is_compute(resource))
                .filter_map(|resource| {
                    let names = without(object, resource);
                    (!names.is_empty()).then(|| format!("{resource} for: {}", names.join(",")))
                })
                .collect();
            if !missing.is_empty() {
                let why = format!("failed quota: {}: must specify {}", name(quota), missing.join("; "));
                return Err(Status::forbidden(kind, name(object), &why));
            }
        }
        let used = used(state, space);
        let over: Vec<&String> = hard
            .iter()
            .filter(|(resource, limit)| {
                asked.get(*resource).is_some_and(|asked| asked + used.get(*resource).unwrap_or(&0) > **limit)
            })
            .map(|(resource, _)| resource)
            .collect();
        if !over.is_empty() {
            let show = |amounts: &Amounts| {
                let one = |resource: &&String| {
                    let amount = amounts.get(*resource).copied().unwrap_or(0);
                    format!("{resource}={}", quantity::spell(amount, is_bytes(resource)))
                };
                over.iter().map(one).collect::<Vec<_>>().join(",")
            };
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                name(quota),
                show(&asked),
                show(&used),
                show(&hard)
            );
            return Err(Status::forbidden(kind, name(object), &why));
        }
    }
    Ok(())
}

/// What the objects of a namespace use, by resource.
pub(crate) fn used(state: &State, space: &str) -> Amounts {
    let mut sum = Amounts::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.description().namespaced) {
        for object in state.list(kind, Some(space)) {
            let finished = matches!(text(&object, "/status/phase"), "Succeeded" | "Failed");
            if kind == Kind::Pod && finished {
                continue;
            }
            for (resource, amount) in cost(kind, &object) {
                *sum.entry(resource).or_default() += amount;
            }
        }
    }
    sum
}

/// Whether the unit of a resource is the byte.
pub(crate) fn is_bytes(resource: &str) -> bool {
    resource.ends_with("memory") || resource.ends_with("storage")
}

/// The containers of a pod that do not say how much of a resource they want.
fn without<'a>(pod: &'a Value, resource: &str) -> Vec<&'a str> {
    let (field, resource) = resource.split_once('.').unwrap_or(("requests", resource));
    let lacks = |container: &&Value| container["resources"][field][resource].is_null();
    let lists = ["/spec/initContainers", "/spec/containers"];
    let mut names: Vec<&str> =
        lists.iter().flat_map(|list| items(pod, list)).filter(lacks).map(|one| text(one, "/name")).collect();
    names.sort_unstable();
    names
}

fn is_compute(resource: &str) -> bool {
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"].contains(&resource)
}

fn amounts(map: &Value) -> Amounts {
    let amounts = map.as_object().into_iter().flatten();
    amounts.map(|(resource, amount)| (resource.clone(), quantity::of(amount))).collect()
}

/// What one object uses.
fn cost(kind: Kind, object: &Value) -> Amounts {
    let one = 1_000_000_000;
    let mut cost = Amounts::from([(format!("count/{}", kind.qualified()), one)]);
    let mut count = |resource: &str| {
        cost.insert(resource.to_owned(), one);
    };
    match kind {
        Kind::Pod => count("pods"),
        Kind::Service => {
            count("services");
            if text(object, "/spec/type") == "LoadBalancer" {
                count("services.loadbalancers");
            }
        }
        Kind::ConfigMap | Kind::Secret | Kind::PersistentVolumeClaim | Kind::ResourceQuota => {
            count(kind.description().plural);
        }
        Kind::Event | Kind::Lease => return Amounts::new(),
        _ => {}
    }
    if kind == Kind::Pod {
        for field in ["requests", "limits"] {
            let lists = ["/spec/initContainers", "/spec/containers"];
            let containers = lists.iter().flat_map(|list| items(object, list));
            let named = containers.flat_map(|one| amounts(&one["resources"][field]).into_keys());
            for resource in named.collect::<std::collections::BTreeSet<_>>() {
                let amount = quantity::of_pod(&object["spec"], field, &resource);
                if field == "requests" {
                    cost.insert(resource.clone(), amount);
                }
                cost.insert(format!("{field}.{resource}"), amount);
            }
        }
    }
    if kind == Kind::Service {
        let ports = items(object, "/spec/ports").iter().filter(|port| port["nodePort"].as_i64().unwrap_or(0) > 0);
        let ports = i128::try_from(ports.count()).unwrap_or(i128::MAX);
        if ports > 0 {
            cost.insert("services.nodeports".to_owned(), ports * one);
        }
    }
    if kind == Kind::PersistentVolumeClaim {
        let size = quantity::of(at(object, "/spec/resources/requests/storage"));
        cost.insert("requests.storage".to_owned(), size);
        let class = text(object, "/spec/storageClassName");
        if !class.is_empty() {
            cost.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
            cost.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one);
        }
    }
    cost
}
