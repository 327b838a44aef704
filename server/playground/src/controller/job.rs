//! Jobs: pods until enough have succeeded or too many have failed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Next, children, garbage};
use crate::clock;
use crate::kind::Kind;
use crate::object::{
    condition, controller, deleting, has_finalizer, is_condition, items, list_mut, name, number, set_condition, text,
    uid,
};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Deletion, delete, event};

/// Holds a pod until its Job has counted it.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The pause after the first failure; it doubles with each that follows.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(10);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// How a Job ends.
struct Verdict {
    complete: bool,
    reason: String,
    message: String,
}

/// Moves a job on, and reports.
pub(super) fn reconcile(state: &mut State, key: &Key, job: &Value) -> Result<Next, Status> {
    if is_finished(job) {
        return if deleting(job) { Ok(Next::Done) } else { expire(state, key, job) };
    }
    let pods = children::of(state, Kind::Pod, Kind::Job, job)?;
    let (succeeded, failed) = count(state, job, &pods)?;
    let active: Vec<_> = pods.iter().filter(|pod| children::is_active(pod)).cloned().collect();
    let suspended = job["spec"]["suspend"] == true;
    let mut status = job["status"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    if status.get("startTime").is_none() && !suspended {
        status["startTime"] = json!(clock::timestamp());
    }
    let left = deadline(job, &status).filter(|_| !suspended);
    let ready = active.iter().filter(|pod| children::is_ready(pod)).count();
    let mut running = active.len();
    let mut next = left.map_or(Next::Done, |left| Next::After(Duration::from_secs(left.max(1).unsigned_abs())));
    let mut problem = None;
    let mut verdict = decided(job).or_else(|| lost(job, failed, &active, left));
    if verdict.is_some() {
        for pod in &active {
            remove(state, job, pod)?;
        }
        running = 0;
    } else if !deleting(job) {
        match manage(state, job, &pods, &active, succeeded) {
            Ok((now, pause)) => {
                running = now;
                if let Some(pause) = pause {
                    next = Next::After(match next {
                        Next::After(other) => other.min(pause),
                        _ => pause,
                    });
                }
            }
            Err(status) => problem = Some(status),
        }
        verdict = won(job, succeeded, running);
        if verdict.is_none() {
            suspend(state, job, &mut status, suspended);
        }
    }
    if let Some(verdict) = &verdict {
        let waits = pods.iter().any(|pod| deleting(pod)) || !active.is_empty();
        conclude(state, job, &mut status, verdict, waits);
        next = Next::Done;
    }
    for (field, value) in [("active", index(running)), ("succeeded", succeeded), ("failed", failed)] {
        if value > 0 {
            status[field] = json!(value);
        } else if let Some(fields) = status.as_object_mut() {
            fields.remove(field);
        }
    }
    status["ready"] = json!(if running == 0 { 0 } else { ready });
    status["terminating"] = json!(pods.iter().filter(|pod| deleting(pod) && !is_over(pod)).count());
    status["uncountedTerminatedPods"] = json!({});
    children::write_status(state, key, status)?;
    match problem {
        Some(problem) => Err(problem),
        None => Ok(next),
    }
}

/// Whether nobody will count a pod any more that waits to be counted.
pub(super) fn is_lost(state: &State, key: &Key, pod: &Value) -> bool {
    let Some(owner) = controller(pod).filter(|owner| owner["kind"] == "Job") else { return true };
    let job = state.get(&Key::new(Kind::Job, &key.namespace, text(owner, "/name")));
    job.is_none_or(|job| uid(&job) != text(owner, "/uid") || is_finished(&job))
}

fn is_finished(job: &Value) -> bool {
    is_condition(job, "Complete") || is_condition(job, "Failed")
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// How many pods have succeeded and failed so far. Those that are new are counted, and let go.
fn count(state: &mut State, job: &Value, pods: &[Object]) -> Result<(i64, i64), Status> {
    let patient = job["spec"]["podReplacementPolicy"] == "Failed";
    let (mut succeeded, mut failed) = (number(job, "/status/succeeded"), number(job, "/status/failed"));
    for pod in pods.iter().filter(|pod| has_finalizer(pod, TRACKING)) {
        match text(pod, "/status/phase") {
            "Succeeded" => succeeded += 1,
            "Failed" => failed += 1,
            _ if deleting(pod) && !patient => failed += 1,
            _ => continue,
        }
        garbage::release(state, &Key::of(Kind::Pod, pod), TRACKING)?;
    }
    Ok((succeeded, failed))
}

/// The verdict that was reached before, while pods were still there.
fn decided(job: &Value) -> Option<Verdict> {
    ["FailureTarget", "SuccessCriteriaMet"].into_iter().find(|kind| is_condition(job, kind)).map(|kind| {
        let found = condition(job, kind).unwrap_or(&Value::Null);
        Verdict {
            complete: kind == "SuccessCriteriaMet",
            reason: text(found, "/reason").to_owned(),
            message: text(found, "/message").to_owned(),
        }
    })
}

/// Whether a job has failed.
fn lost(job: &Value, failed: i64, active: &[Object], left: Option<i64>) -> Option<Verdict> {
    let limit = number(job, "/spec/backoffLimit");
    let restarts: i64 = active
        .iter()
        .filter(|_| job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure")
        .flat_map(|pod| items(pod, "/status/containerStatuses"))
        .map(|container| number(container, "/restartCount"))
        .sum();
    let (reason, message) = if failed > limit || restarts > 0 && restarts >= limit {
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    } else if left.is_some_and(|left| left <= 0) {
        ("DeadlineExceeded", "Job was active longer than specified deadline")
    } else {
        return None;
    };
    Some(Verdict { complete: false, reason: reason.to_owned(), message: message.to_owned() })
}

/// Whether a job is complete.
fn won(job: &Value, succeeded: i64, running: usize) -> Option<Verdict> {
    let enough = job["spec"]["completions"].as_i64().map_or(succeeded > 0, |wanted| succeeded >= wanted);
    (enough && running == 0).then(|| Verdict {
        complete: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}

/// Creates or deletes pods. How many run then, and when to look again where a failure makes it wait.
fn manage(
    state: &mut State,
    job: &Value,
    pods: &[Object],
    active: &[Object],
    succeeded: i64,
) -> Result<(usize, Option<Duration>), Status> {
    let running = active.len();
    let parallel = number(job, "/spec/parallelism");
    let wanted = match job["spec"]["completions"].as_i64() {
        _ if job["spec"]["suspend"] == true => 0,
        Some(wanted) => (wanted - succeeded).clamp(0, parallel),
        // One that starts again after a success without a number of completions is not wanted.
        None if succeeded > 0 => index(running),
        None => parallel,
    };
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if running > wanted {
        // First those that are of least use: not ready, young.
        let mut surplus = active.to_vec();
        surplus.sort_by_key(|pod| {
            let age = std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned());
            (children::is_ready(pod), age, name(pod).to_owned())
        });
        for pod in &surplus[..running - wanted] {
            remove(state, job, pod)?;
        }
        return Ok((wanted, None));
    }
    let leaving = match job["spec"]["podReplacementPolicy"].as_str() {
        Some("Failed") => pods.iter().filter(|pod| deleting(pod) && !is_over(pod)).count(),
        _ => 0,
    };
    let missing = wanted.saturating_sub(running + leaving);
    if missing == 0 {
        return Ok((running, None));
    }
    if let Some(pause) = pause(pods) {
        return Ok((running, Some(pause)));
    }
    for _ in 0..missing {
        let made = children::create_pod(state, Kind::Job, job, |pod| {
            list_mut(&mut pod["metadata"], "finalizers").push(json!(TRACKING));
        });
        let about = (Kind::Job, job);
        match made {
            Ok(pod) => {
                let message = format!("Created pod: {}", name(&pod));
                event(state, about, "job-controller", "Normal", "SuccessfulCreate", &message);
            }
            Err(status) => {
                let message = format!("Error creating: {}", status.message);
                event(state, about, "job-controller", "Warning", "FailedCreate", &message);
                return Err(status);
            }
        }
    }
    Ok((running + missing, None))
}

/// How long to wait with the next pod, for those that have failed since the last success.
fn pause(pods: &[Object]) -> Option<Duration> {
    let ended = |phase: &str| -> Vec<DateTime<Utc>> {
        pods.iter().filter(|pod| text(pod, "/status/phase") == phase).filter_map(|pod| end(pod)).collect()
    };
    let success = ended("Succeeded").into_iter().max();
    let failures: Vec<_> =
        ended("Failed").into_iter().filter(|at| success.is_none_or(|success| *at > success)).collect();
    let last = failures.iter().max()?;
    let doubled = i32::try_from(failures.len() - 1).unwrap_or(i32::MAX).min(10);
    let pause = (FIRST_PAUSE * 2_i32.pow(doubled.unsigned_abs())).min(LONGEST_PAUSE);
    (pause - (clock::now() - *last)).to_std().ok().filter(|pause| !pause.is_zero())
}

/// When the last container of a pod ended.
fn end(pod: &Value) -> Option<DateTime<Utc>> {
    let containers = items(pod, "/status/containerStatuses").iter();
    let ends = containers.filter_map(|one| text(one, "/state/terminated/finishedAt").parse().ok());
    ends.max().or_else(|| text(pod, "/metadata/creationTimestamp").parse().ok())
}

fn remove(state: &mut State, job: &Value, pod: &Value) -> Result<(), Status> {
    children::remove(state, Kind::Pod, pod)?;
    let message = format!("Deleted pod: {}", name(pod));
    event(state, (Kind::Job, job), "job-controller", "Normal", "SuccessfulDelete", &message);
    Ok(())
}

/// Says that a job is suspended, or goes on.
fn suspend(state: &mut State, job: &Value, status: &mut Value, suspended: bool) {
    if suspended == is_condition(job, "Suspended") {
        return;
    }
    let (value, reason, word, message) = if suspended {
        ("True", "JobSuspended", "Suspended", "Job suspended")
    } else {
        ("False", "JobResumed", "Resumed", "Job resumed")
    };
    if suspended {
        if let Some(fields) = status.as_object_mut() {
            fields.remove("startTime");
        }
    } else {
        status["startTime"] = json!(clock::timestamp());
    }
    let now = clock::timestamp();
    let condition =
        json!({"type": "Suspended", "status": value, "reason": reason, "message": message, "lastProbeTime": now});
    set_condition(status, condition);
    event(state, (Kind::Job, job), "job-controller", "Normal", word, message);
}

/// Says how a job ends, and that it has ended once no pod is left that `waits`.
fn conclude(state: &mut State, job: &Value, status: &mut Value, verdict: &Verdict, waits: bool) {
    let Verdict { complete, reason, message } = verdict;
    let (earlier, last) = if *complete { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
    for kind in [Some(earlier), (!waits).then_some(last)].into_iter().flatten() {
        if is_condition(job, kind) {
            continue;
        }
        let condition = json!({
            "type": kind, "status": "True", "reason": reason, "message": message, "lastProbeTime": clock::timestamp(),
        });
        set_condition(status, condition);
    }
    if waits {
        return;
    }
    let about = (Kind::Job, job);
    if *complete {
        event(state, about, "job-controller", "Normal", "Completed", "Job completed");
        status["completionTime"] = json!(clock::timestamp());
    } else {
        event(state, about, "job-controller", "Warning", reason, message);
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
    let finished = ["Complete", "Failed"].into_iter().find_map(|kind| condition(job, kind));
    let since = finished.and_then(|one| text(one, "/lastTransitionTime").parse::<DateTime<Utc>>().ok());
    let left = since.map_or(0, |since| limit - (clock::now() - since).num_seconds());
    if left > 0 {
        return Ok(Next::After(Duration::from_secs(left.unsigned_abs())));
    }
    let how = Deletion { propagation_policy: Some("Foreground".to_owned()), ..Deletion::default() };
    delete(state, key, &how, false)?;
    Ok(Next::Done)
}

fn index(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
