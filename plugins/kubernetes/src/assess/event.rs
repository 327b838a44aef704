//! Kubernetes events: what controllers say about what they could not do.

use super::Verdict;
use crate::json::text;
use serde_json::Value as Json;

/// Nothing comes of it before somebody does something, or room is made.
const DEGRADING: &[&str] =
    &["FailedCreate", "FailedScheduling", "InvalidImageName", "ProvisioningFailed", "SyncLoadBalancerFailed"];

/// It may be over in a moment.
const DELAYING: &[&str] = &[
    "FailedAttachVolume",
    "FailedBinding",
    "FailedCreatePodSandBox",
    "FailedMount",
    "Unhealthy",
    "VolumeResizeFailed",
];

/// What the last event that says something says.
pub(super) fn verdict(events: &[Json]) -> Option<Verdict> {
    verdict_but(events, &[])
}

/// As [`verdict`], leaving out reasons that are known to be over.
pub(super) fn verdict_but(events: &[Json], over: &[&str]) -> Option<Verdict> {
    let warnings = events.iter().filter(|event| text(event, "/type") == "Warning");
    let latest = warnings
        .filter(|event| !over.contains(&text(event, "/reason")))
        .filter_map(|event| {
            let (reason, message) = (text(event, "/reason"), said(event));
            let verdict = if DEGRADING.contains(&reason) {
                Verdict::degraded(reason, message)
            } else if DELAYING.contains(&reason) {
                Verdict::progressing(reason, message)
            } else {
                return None;
            };
            Some((at(event), verdict))
        })
        // Of several at the same time the last one: they come oldest first.
        .max_by(|(a, _), (b, _)| a.cmp(b));
    latest.map(|(_, verdict)| verdict)
}

/// What an event says. Events of the newer API group say it in another field.
fn said(event: &Json) -> &str {
    let message = text(event, "/message");
    if message.is_empty() { text(event, "/note") } else { message }
}

/// When it happened last. The texts of RFC 3339 in UTC sort by time.
fn at(event: &Json) -> &str {
    ["/series/lastObservedTime", "/lastTimestamp", "/deprecatedLastTimestamp", "/eventTime", "/firstTimestamp"]
        .iter()
        .map(|pointer| text(event, pointer))
        .find(|time| !time.is_empty())
        .unwrap_or_default()
}
