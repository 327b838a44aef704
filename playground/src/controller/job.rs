//! Jobs: pods until enough have succeeded or too many have failed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Next, children};
use crate::clock;
use crate::kind::Kind;
use crate::object::{deleting, is_condition, name, number, set_condition, text};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Deletion, delete, event};

/// Moves a job on, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, job: &Value) -> Result<Next, Status> {
    if deleting(job) {
        return Ok(Next::Done);
    }
    if is_condition(job, "Complete") || is_condition(job, "Failed") {
        return expire(state, key, job);
    }
    let pods = children::of(state, Kind::Pod, Kind::Job, job)?;
    let phase = |wanted: &str| pods.iter().filter(|pod| text(pod, "/status/phase") == wanted).count();
    let (succeeded, failed) = (phase("Succeeded"), phase("Failed"));
    let active: Vec<_> = pods.iter().filter(|pod| children::is_active(pod)).cloned().collect();
    let mut status = job["status"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    if job["spec"]["suspend"] == true {
        for pod in &active {
            children::remove(state, Kind::Pod, pod)?;
        }
        let condition =
            json!({"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"});
        set_condition(&mut status, condition);
        children::write_status(state, key, status)?;
        return Ok(Next::Done);
    }
    if status.get("startTime").is_none() {
        status["startTime"] = json!(clock::timestamp());
    }
    let parallel = usize::try_from(number(job, "/spec/parallelism")).unwrap_or(0);
    let wanted = job["spec"]["completions"].as_u64().map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    let limit = usize::try_from(number(job, "/spec/backoffLimit")).unwrap_or(0);
    let left = deadline(job, &status);
    let complete = wanted.map_or(succeeded > 0 && active.is_empty(), |wanted| succeeded >= wanted);
    let verdict = if complete {
        Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
    } else if failed > limit {
        Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if left.is_some_and(|left| left <= 0) {
        Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    } else {
        None
    };
    let mut running = active.len();
    let mut problem = None;
    if let Some((kind, reason, message)) = verdict {
        for pod in &active {
            children::remove(state, Kind::Pod, pod)?;
        }
        running = 0;
        let earlier = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        for kind in [earlier, kind] {
            let condition = json!({
                "type": kind, "status": "True", "reason": reason, "message": message, "lastProbeTime": clock::timestamp(),
            });
            set_condition(&mut status, condition);
        }
        let (word, about) = if kind == "Complete" { ("Normal", "Completed") } else { ("Warning", reason) };
        let text = if kind == "Complete" { "Job completed" } else { message };
        event(state, (Kind::Job, job), "job-controller", word, about, text);
        if kind == "Complete" {
            status["completionTime"] = json!(clock::timestamp());
        }
    } else {
        let missing = wanted.map_or(parallel, |wanted| parallel.min(wanted - succeeded));
        // One that starts again after a success without a number of completions is not wanted.
        let missing = if wanted.is_none() && succeeded > 0 { running } else { missing };
        for _ in 0..missing.saturating_sub(running) {
            match children::create_pod(state, Kind::Job, job, |_| ()) {
                Ok(pod) => {
                    let message = format!("Created pod: {}", name(&pod));
                    event(state, (Kind::Job, job), "job-controller", "Normal", "SuccessfulCreate", &message);
                    running += 1;
                }
                Err(status) => {
                    let message = format!("Error creating: {}", status.message);
                    event(state, (Kind::Job, job), "job-controller", "Warning", "FailedCreate", &message);
                    problem = Some(status);
                    break;
                }
            }
        }
        for pod in active.iter().skip(missing) {
            children::remove(state, Kind::Pod, pod)?;
            running -= 1;
        }
    }
    let ready = active.iter().filter(|pod| children::is_ready(pod)).count();
    for (field, value) in [("active", running), ("succeeded", succeeded), ("failed", failed)] {
        if value > 0 {
            status[field] = json!(value);
        } else if let Some(fields) = status.as_object_mut() {
            fields.remove(field);
        }
    }
    status["ready"] = json!(if running == 0 { 0 } else { ready });
    status["terminating"] = json!(pods.iter().filter(|pod| deleting(pod)).count());
    status["uncountedTerminatedPods"] = json!({});
    children::write_status(state, key, status)?;
    match (problem, left) {
        (Some(problem), _) => Err(problem),
        (None, Some(left)) if verdict.is_none() => Ok(Next::After(Duration::from_secs(left.max(1).unsigned_abs()))),
        (None, _) => Ok(Next::Done),
    }
}

/// Seconds that an active job has left.
fn deadline(job: &Value, status: &Value) -> Option<i64> {
    let limit = job["spec"]["activeDeadlineSeconds"].as_i64()?;
    let since: DateTime<Utc> = text(status, "/startTime").parse().ok()?;
    Some(limit - (clock::now() - since).num_seconds())
}

/// Deletes a finished job when its time is over.
fn expire(state: &mut State, key: &Key, job: &Value) -> Result<Next, Status> {
    let Some(limit) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else { return Ok(Next::Done) };
    let finished = ["Complete", "Failed"].into_iter().find_map(|kind| crate::object::condition(job, kind));
    let since = finished.and_then(|one| text(one, "/lastTransitionTime").parse::<DateTime<Utc>>().ok());
    let left = since.map_or(0, |since| limit - (clock::now() - since).num_seconds());
    if left > 0 {
        return Ok(Next::After(Duration::from_secs(left.unsigned_abs())));
    }
    let how = Deletion { propagation_policy: Some("Foreground".to_owned()), ..Deletion::default() };
    delete(state, key, &how, false)?;
    Ok(Next::Done)
}
