//! What a cluster says of a rollout before anything is changed: what it would refuse, what is not ours, and which
//! fields other managers own.

use crate::{
    clusters::{Reached, cluster_error},
    error::Result,
    service::rollout::{Rollout, Scope, blocker},
    store::cluster_object::ClusterObject,
};
use futures::{StreamExt as _, stream};
use ropeway_clusters::{Error as ClusterError, Scope as Reach, label, labels, uid};
use ropeway_domain::plan::Blocker;
use ropeway_drivers::{Manifest, Owner};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Requests under way at the same time.
const CONCURRENT: usize = 8;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Reasons against the rollout.
    pub blockers: Vec<Blocker>,
    /// Fields that are taken over from other managers.
    pub warnings: Vec<String>,
}

/// Asks the cluster about everything that is in scope. A namespace that does not exist yet is left out, and so is what
/// needs it. Replicas are taken as they are live.
pub async fn dry_run(
    reached: &Reached,
    application: &str,
    namespace: &str,
    rollout: &Rollout,
    scope: &Scope,
    recorded: &[ClusterObject],
) -> Result<Findings> {
    let uids: HashMap<(&str, &str, &str), &str> = recorded
        .iter()
        .map(|object| ((object.api_version.as_str(), object.kind.as_str(), object.name.as_str()), object.uid.as_str()))
        .collect();
    let reach = Reach::namespace(namespace);
    let mut asked = Vec::new();
    for manifest in rollout.manifests.iter().filter(|manifest| in_scope(manifest, scope)) {
        let reach = &reach;
        asked.push(async move { (manifest, reached.cluster.dry_run(&manifest.object, reach).await) });
    }
    let answers: Vec<_> = stream::iter(asked).buffered(CONCURRENT).collect().await;
    let mut findings = Findings::default();
    for (manifest, answer) in answers {
        let name = name_of(&manifest.object);
        let answer = match answer {
            Ok(answer) => answer,
            Err(ClusterError::NamespaceMissing { .. }) => continue,
            Err(error) => return Err(cluster_error(&reached.row.name, error)),
        };
        if let Some(live) = &answer.live_before {
            let text = |pointer: &str| manifest.object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
            let known = uids.get(&(text("/apiVersion"), text("/kind"), text("/metadata/name")));
            let ours = label(live, labels::APPLICATION) == Some(application)
                && known.is_none_or(|known| uid(live) == Some(*known));
            if !ours {
                let message = format!("{name} is in the namespace {namespace} already and is not this application's");
                findings.blockers.push(blocker("NAME_IN_USE", message));
                continue;
            }
        }
        match answer.refused {
            None | Some(ClusterError::NamespaceMissing { .. }) => {}
            Some(error @ ClusterError::Immutable { .. }) => {
                let message = format!("{name} would have to be made anew: {error}");
                findings.blockers.push(blocker("IMMUTABLE", message));
            }
            Some(error) => findings.blockers.push(blocker("REFUSED_BY_CLUSTER", format!("{name}: {error}"))),
        }
        for conflict in &answer.conflicts {
            findings.warnings.push(format!("{name}: {} is taken over from {}", conflict.path, conflict.manager));
        }
    }
    findings.blockers.sort();
    findings.blockers.dedup();
    Ok(findings)
}

fn in_scope(manifest: &Manifest, scope: &Scope) -> bool {
    match manifest.owner {
        Owner::Application => true,
        Owner::Component(key) => scope.components.contains(&key),
        Owner::Resource(key) => scope.resources.contains(&key),
    }
}

/// Kind and name of an object, for people.
pub fn name_of(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}
