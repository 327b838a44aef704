//! Lets pods of a cluster pull a tiny image from the library, and records whether they could.

use crate::{
    app::App,
    error::Error as ServiceError,
    libraries::PullAccess,
    operation::{Outcome, StepContext, action::ProbeLibrary},
    service::check_library::{PROBE_ARCHITECTURES, explain, push_probe_image},
    store::cluster::Reachability,
};
use ropeway_clusters::{ProbeOutcome, ProbeRequest, docker_config_json};
use std::time::Duration;
use tokio::time::Instant;

/// How long pods may take to pull a tiny image.
const PULL: Duration = Duration::from_secs(120);

/// What is left before the step's deadline to remove the pods.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Pulls and records. A cluster that does not answer leaves the record as it was: nothing was found out.
pub(super) async fn probe(app: &App, step: &StepContext, action: &ProbeLibrary) -> Result<(), Outcome> {
    let library = app.library(action.enterprise_id).await?;
    if library.generation != action.library_generation {
        return Err(Outcome::failed("the library was configured anew meanwhile; that begins a check of its own"));
    }
    let registry = app.library_registry(&library).await?;
    let pushed = push_probe_image(&registry, &library.prefix).await;
    let (repository, digest) = match pushed {
        Ok(pushed) => pushed,
        Err(error) => {
            let retryable = error.retryable();
            step.note_library(&library, Some(&explain(&error))).await?;
            return Err(Outcome::Failed { message: explain(&error), retryable });
        }
    };
    step.note_library(&library, None).await?;

    let docker_config = match PullAccess::of(&library) {
        Some(access) => {
            let mut conn = app.database.read().await.map_err(ServiceError::from)?;
            let password = app.unseal(&mut conn, library.enterprise_id, access.password).await?;
            Some(docker_config_json(&access.registry, &access.username, password.expose()))
        }
        None => None,
    };
    let reached = app.reach(action.cluster_id).await?;
    let known = reached.row.facts.as_ref().map(|facts| facts.0.architectures.clone()).unwrap_or_default();
    let request = ProbeRequest {
        id: format!("{}-{}", step.operation().id.0.simple(), step.number()),
        image: format!("{}/{repository}@{digest}", library.public_url),
        docker_config,
        architectures: PROBE_ARCHITECTURES.map(str::to_owned).into_iter().filter(|a| known.contains(a)).collect(),
        deadline: (Instant::now() + PULL).min(step.deadline() - CLEAN_UP),
        now: app.clock.now().0,
    };
    let outcomes = reached.cluster.run_probe_pod(&request).await?;
    let failure = failure(&outcomes);
    let found = Reachability {
        cluster_id: action.cluster_id,
        enterprise_id: action.enterprise_id,
        library_generation: action.library_generation,
        reachable: failure.is_none(),
        checked_at: app.clock.now(),
        message: failure.clone(),
    };
    step.note_reachability(&found).await?;
    match failure {
        None => Ok(()),
        Some(message) => Err(Outcome::failed(message)),
    }
}

/// Why not all kinds of node could pull; none if they could.
fn failure(outcomes: &[ProbeOutcome]) -> Option<String> {
    if outcomes.is_empty() {
        return Some("no node was asked".into());
    }
    let reasons: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.reachable)
        .map(|outcome| match &outcome.architecture {
            Some(architecture) => format!("{architecture} nodes: {}", outcome.reason),
            None => outcome.reason.clone(),
        })
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_reached_when_every_kind_of_node_pulled() {
        let outcome = |architecture: &str, reachable| ProbeOutcome {
            architecture: Some(architecture.into()),
            reachable,
            reason: "ErrImagePull: refused".into(),
        };
        assert_eq!(failure(&[outcome("amd64", true), outcome("arm64", true)]), None);
        let message = failure(&[outcome("amd64", true), outcome("arm64", false)]);
        assert_eq!(message.as_deref(), Some("arm64 nodes: ErrImagePull: refused"));
        assert!(failure(&[]).is_some());
    }
}
