//! Waits until the driver finds objects healthy.

use crate::{
    clock::Clock,
    operation::{Outcome, StepContext},
};
use ropeway_clusters::{Cluster, ObjectRef, Observed, Preconditions, Verdict, Watch, labels, uid};
use ropeway_drivers as drivers;
use ropeway_drivers::{Driver, HealthState, Target};

/// How many objects that are not healthy are named.
const NAMED: usize = 3;

/// Waits until the driver finds all of these objects healthy. A deadline that passes is a failure, with what was last
/// seen. The contents of Secrets are never shown to a driver: a Secret is as it should be once it is applied.
pub(super) async fn await_healthy(
    step: &StepContext,
    cluster: &Cluster,
    driver: &Driver,
    target: &Target,
    application: &str,
    clock: &Clock,
    references: &[ObjectRef],
) -> Result<(), Outcome> {
    let references: Vec<ObjectRef> = references.iter().filter(|reference| !is_secret(reference)).cloned().collect();
    if references.is_empty() {
        return Ok(());
    }
    let watch = Watch {
        references,
        namespace: target.namespace.clone(),
        selector: Some(format!("{}={application}", labels::APPLICATION)),
        details: true,
    };
    let judge = |observed: std::sync::Arc<[Observed]>| async move {
        let verdict = judge(driver, target, &observed).await;
        if matches!(verdict, Verdict::Continue(_)) {
            help_over_stuck_pods(step, cluster, application, clock, &observed).await;
        }
        verdict
    };
    match cluster.watch_until(&watch, step.deadline(), judge).await {
        Ok(()) => Ok(()),
        // What it waited for did not come: that is no fault of the transport, and waiting again is of no use.
        Err(error @ ropeway_clusters::Error::Timeout { .. }) => Err(Outcome::failed(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// A StatefulSet waits without end for a pod whose earlier template could not start, and for one that lacks the volume
/// of a new claim template, whatever its template is now. Where that cannot be mended the wait goes on and ends at its
/// deadline, with what was seen.
async fn help_over_stuck_pods(
    step: &StepContext,
    cluster: &Cluster,
    application: &str,
    clock: &Clock,
    observed: &[Observed],
) {
    for found in observed.iter().filter(|found| found.reference.kind == "StatefulSet") {
        let Some(uid) = found.object.as_ref().and_then(uid) else { continue };
        let preconditions = Preconditions { application: application.to_owned(), uid: uid.to_owned() };
        match cluster.delete_stuck_pod(&found.reference, &preconditions, clock.now().0).await {
            Ok(None) => {}
            Ok(Some(pod)) => {
                let message =
                    format!("{} waited for the pod {pod} of an earlier template, which is ended", found.reference);
                if let Err(error) = step.tell(&message).await {
                    tracing::warn!(message, error = &error as &dyn std::error::Error, "an event could not be written");
                }
            }
            Err(error) => tracing::warn!(
                object = %found.reference,
                error = &error as &dyn std::error::Error,
                "a pod of an earlier template that the StatefulSet may wait for could not be deleted"
            ),
        }
    }
}

async fn judge(driver: &Driver, target: &Target, observed: &[Observed]) -> Verdict<()> {
    let objects: Vec<drivers::Observed> = observed.iter().flat_map(shown_to_driver).collect();
    match driver.assess(target, &objects).await {
        Ok(health) if health.state == HealthState::Healthy => Verdict::Done(()),
        Ok(health) => {
            let is_final = |item: &drivers::HealthItem| {
                let is_it =
                    |found: &&Observed| found.reference.kind == "Job" && found.reference.name == item.reference.name;
                item.reference.kind == "Job" && observed.iter().filter(is_it).any(has_failed)
            };
            let ill = health.items.iter().filter(|item| item.state != HealthState::Healthy);
            // What ends the wait is told first.
            let (failed, waiting): (Vec<_>, Vec<_>) = ill.partition(|item| is_final(item));
            let told = |item: &&drivers::HealthItem| {
                format!("{} {}: {}", item.reference.kind, item.reference.name, item.message)
            };
            let mut named: Vec<String> = failed.iter().chain(&waiting).take(NAMED).map(told).collect();
            let more = (failed.len() + waiting.len()).saturating_sub(NAMED);
            if more > 0 {
                named.push(format!("and {more} more"));
            }
            let named = named.join("; ");
            if failed.is_empty() { Verdict::Continue(named) } else { Verdict::Fail(named) }
        }
        Err(error) if error.retryable() => Verdict::Continue(error.to_string()),
        Err(error) => Verdict::Fail(error.to_string()),
    }
}

/// Whether an object is a Job that has failed: that is final, so waiting on is of no use.
fn has_failed(observed: &Observed) -> bool {
    let conditions = observed.object.as_ref().and_then(|object| object.pointer("/status/conditions")?.as_array());
    let failed = conditions.into_iter().flatten().any(|one| one["type"] == "Failed" && one["status"] == "True");
    failed && observed.reference.kind == "Job" && observed.reference.api_version.starts_with("batch/")
}

/// An object and its pods: they explain why it is not healthy.
fn shown_to_driver(observed: &Observed) -> Vec<drivers::Observed> {
    let reference = &observed.reference;
    let itself = drivers::Observed {
        reference: drivers::ObjectRef {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            name: reference.name.clone(),
        },
        object: observed.object.clone(),
        events: observed.events.clone(),
    };
    let pods = observed.pods.iter().filter_map(|pod| {
        let name = pod.pointer("/metadata/name")?.as_str()?.to_owned();
        Some(drivers::Observed {
            reference: drivers::ObjectRef { api_version: "v1".into(), kind: "Pod".into(), name },
            object: Some(pod.clone()),
            events: Vec::new(),
        })
    });
    std::iter::once(itself).chain(pods).collect()
}

fn is_secret(reference: &ObjectRef) -> bool {
    reference.api_version == "v1" && reference.kind == "Secret"
}
