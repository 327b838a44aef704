//! Resource quotas: what a namespace uses, and whether one more object fits.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kind::Kind;
use crate::object::{at, items, name, namespace, text};
use crate::quantity;
use crate::status::Status;
use crate::store::State;

type Amounts = BTreeMap<String, i128>;

/// Refuses a new object that a quota of its namespace has no room for.
pub(crate) fn check(state: &State, kind: Kind, object: &Value) -> Result<(), Status> {
    let asked = cost(kind, object);
    if asked.is_empty() {
        return Ok(());
    }
    let space = namespace(object);
    let quotas = state.list(Kind::ResourceQuota, Some(space));
    for quota in quotas.iter().filter(|quota| applies(quota)) {
        let hard = amounts(&quota["spec"]["hard"]);
        if kind == Kind::Pod {
            let missing: Vec<String> = hard
                .keys()
                .filter(|resource| is_compute(resource) && !asked.contains_key(*resource))
                .map(|resource| {
                    let names: Vec<&str> =
                        items(object, "/spec/containers").iter().map(|one| text(one, "/name")).collect();
                    format!("{resource} for: {}", names.join(","))
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

fn applies(quota: &Value) -> bool {
    quota["spec"]["scopes"].is_null() && quota["spec"]["scopeSelector"].is_null()
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
            match text(object, "/spec/type") {
                "LoadBalancer" => {
                    count("services.loadbalancers");
                    count("services.nodeports");
                }
                "NodePort" => count("services.nodeports"),
                _ => {}
            }
        }
        Kind::ConfigMap | Kind::Secret | Kind::PersistentVolumeClaim | Kind::ResourceQuota => {
            count(kind.description().plural);
        }
        Kind::Event | Kind::Lease => return Amounts::new(),
        _ => {}
    }
    if kind == Kind::Pod {
        for container in items(object, "/spec/containers") {
            for field in ["requests", "limits"] {
                for (resource, amount) in amounts(&container["resources"][field]) {
                    *cost.entry(format!("{field}.{resource}")).or_default() += amount;
                    if field == "requests" {
                        *cost.entry(resource).or_default() += amount;
                    }
                }
            }
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
