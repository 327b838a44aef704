//! Which steps run, and what becomes of them.

use super::{
    bed::{Bed, overwrite_action, succeed},
    on_both,
};
use crate::{
    operation::{
        Action, Outcome, StepContext,
        action::Effect,
        journal::{EventKind, NewStep, Start},
        retry, worker,
    },
    store::{
        Stored,
        component::{self, Component},
    },
};
use futures::future::join_all;
use ropeway_domain::{Component as Spec, ComponentKey, Value, operation::OperationKind};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

on_both! {
    steps_run_after_what_they_need
    a_retry_runs_exactly_what_failed_and_what_was_skipped
    a_panic_fails_its_step_and_nothing_else
    an_action_that_cannot_be_read_fails_its_step_and_nothing_else
    cancelling_stops_after_the_running_steps
    sequences_have_no_gaps_when_steps_end_together
    what_may_succeed_later_is_tried_again
    a_deadline_is_not_prolonged_by_a_restart
    a_step_whose_time_passed_while_nobody_worked_is_tried_once_more
    what_a_step_deployed_is_written_when_it_succeeds
    a_worker_takes_what_is_begun_while_it_waits
    a_step_that_always_kills_its_worker_fails_at_last
}

type Ran = Arc<Mutex<Vec<String>>>;

fn noting(ran: &Ran) -> impl Fn(&StepContext) + Clone + Send + Sync + use<> {
    let ran = ran.clone();
    move |step| ran.lock().unwrap().push(step.name().to_owned())
}

fn names(ran: &Ran) -> Vec<String> {
    ran.lock().unwrap().clone()
}

async fn steps_run_after_what_they_need(bed: Bed) {
    let id = bed.begin(bed.plan(&[("d", &[2, 3]), ("b", &[4]), ("c", &[4]), ("a", &[])])).await;
    let ran = Ran::default();
    let note = noting(&ran);
    bed.finish_all(move |step: StepContext, _| {
        note(&step);
        async { Outcome::Succeeded }
    })
    .await;
    let ran = names(&ran);
    assert_eq!(ran.first().map(String::as_str), Some("a"));
    assert_eq!(ran.last().map(String::as_str), Some("d"));
    assert_eq!(ran.len(), 4);
    assert_eq!(bed.states(id).await, "SUCCEEDED: d SUCCEEDED, b SUCCEEDED, c SUCCEEDED, a SUCCEEDED");
    let operation = bed.operation(id).await;
    assert!((operation.progress - 1.0).abs() < 1e-9);
    assert!(operation.finished_at.is_some() && operation.lease_owner.is_none());
    bed.assert_no_gaps(id).await;
}

async fn a_retry_runs_exactly_what_failed_and_what_was_skipped(bed: Bed) {
    let first = bed.begin(bed.plan(&[("a", &[]), ("b", &[1]), ("c", &[2]), ("d", &[1]), ("e", &[3, 4])])).await;
    bed.finish_all(|step: StepContext, _| async move {
        if step.name() == "b" { Outcome::failed("disk full") } else { Outcome::Succeeded }
    })
    .await;
    assert_eq!(bed.states(first).await, "PARTIAL: a SUCCEEDED, b FAILED, c SKIPPED, d SUCCEEDED, e SKIPPED");
    let operation = bed.operation(first).await;
    assert_eq!(operation.error_code.as_deref(), Some("STEP_FAILED"));
    assert_eq!(operation.error_message.as_deref(), Some("Partly done: 2 of 5 steps done; b: disk full"));

    let mut plan = bed.plan(&[]);
    plan.retry_of = Some(first);
    plan.steps = retry::steps(&bed.steps(first).await).unwrap();
    let second = bed.begin(plan).await;
    let ran = Ran::default();
    let note = noting(&ran);
    bed.finish_all(move |step: StepContext, _| {
        note(&step);
        async { Outcome::Succeeded }
    })
    .await;
    assert_eq!(names(&ran), ["b", "c", "e"]);
    assert_eq!(bed.states(second).await, "SUCCEEDED: b SUCCEEDED, c SUCCEEDED, e SUCCEEDED");
    assert_eq!(retry::unfinished(&bed.steps(second).await).count(), 0);
}

async fn a_panic_fails_its_step_and_nothing_else(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[]), ("c", &[1])])).await;
    bed.finish_all(|step: StepContext, _| async move {
        assert_ne!(step.name(), "a", "the canary of an internal cause");
        Outcome::Succeeded
    })
    .await;
    assert_eq!(bed.states(id).await, "PARTIAL: a FAILED, b SUCCEEDED, c SKIPPED");
    for event in bed.events(id).await {
        assert!(!event.message.contains("canary"), "{}", event.message);
    }
    assert_eq!(bed.steps(id).await[0].error.as_deref(), Some("an internal error; it was logged"));
}

async fn an_action_that_cannot_be_read_fails_its_step_and_nothing_else(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[])])).await;
    overwrite_action(&bed, id, 1, b"{\"type\":\"sing\"}").await;
    bed.finish_all(succeed).await;
    assert_eq!(bed.states(id).await, "PARTIAL: a FAILED, b SUCCEEDED");
}

async fn cancelling_stops_after_the_running_steps(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[1]), ("c", &[2])])).await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let perform = {
        let (begun, go) = (begun.clone(), go.clone());
        move |_: StepContext, _| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.notify_one();
                go.notified().await;
                Outcome::Succeeded
            }
        }
    };
    let running = tokio::spawn({
        let bed = bed.clone();
        async move { bed.finish_all(perform).await }
    });
    begun.notified().await;
    assert!(bed.cancel(id).await.unwrap().cancel_requested);
    bed.cancel(id).await.unwrap();
    go.notify_one();
    running.await.unwrap();
    assert_eq!(bed.states(id).await, "CANCELLED: a SUCCEEDED, b SKIPPED, c SKIPPED");
    bed.assert_no_gaps(id).await;
    let told: Vec<String> = bed.events(id).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(told.iter().filter(|kind| *kind == EventKind::CancelRequested.as_str()).count(), 1);
    assert_eq!(told.last().map(String::as_str), Some("FINISHED"));
}

async fn sequences_have_no_gaps_when_steps_end_together(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[][..]); 12])).await;
    let journal = bed.journal();
    let hold = bed.claim().await.unwrap().hold;
    let ended = join_all((1..=12).map(|number| {
        let journal = journal.clone();
        tokio::spawn(async move {
            journal.start_step(hold, number, Duration::from_secs(60)).await.unwrap();
            for part in 0..3_u32 {
                let progress = f64::from(part) / 3.0;
                journal.note(hold, number, EventKind::StepProgress, "on", Some(progress), None).await.unwrap();
            }
            if number % 3 == 0 {
                journal.fail_step(hold, number, "no").await.unwrap();
            } else {
                journal.complete_step(hold, number).await.unwrap();
            }
        })
    }))
    .await;
    for end in ended {
        end.unwrap();
    }
    let finished = journal.finish(hold).await.unwrap();
    assert_eq!(finished.next_sequence - 1, 2 + 12 * 5 + 1);
    bed.assert_no_gaps(id).await;
}

async fn what_may_succeed_later_is_tried_again(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[])])).await;
    let ran = Ran::default();
    let note = noting(&ran);
    let again = ran.clone();
    bed.finish_all(move |step: StepContext, _| {
        note(&step);
        let first = again.lock().unwrap().len() == 1;
        async move {
            if first {
                Outcome::Failed { message: "the cluster does not answer".into(), retryable: true }
            } else {
                Outcome::Succeeded
            }
        }
    })
    .await;
    assert_eq!(names(&ran), ["a", "a"]);
    assert_eq!(bed.states(id).await, "SUCCEEDED: a SUCCEEDED");
    let retried = bed.events(id).await.into_iter().find(|event| event.kind == "STEP_RETRIED").unwrap();
    assert_eq!(retried.message, "Trying again: the cluster does not answer");
}

async fn a_deadline_is_not_prolonged_by_a_restart(bed: Bed) {
    bed.begin(bed.plan(&[("a", &[])])).await;
    let journal = bed.journal();
    let limit = Duration::from_secs(600);
    let mut deadlines = BTreeSet::new();
    for attempt in 1..=3 {
        let hold = bed.claim().await.unwrap().hold;
        let Start::Run { step, deadline_at } = journal.start_step(hold, 1, limit).await.unwrap() else {
            panic!("cancelled")
        };
        assert_eq!(step.attempts, attempt);
        deadlines.insert(deadline_at);
        bed.outlive_lease();
    }
    assert_eq!(deadlines.len(), 1);
}

async fn a_step_whose_time_passed_while_nobody_worked_is_tried_once_more(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[])])).await;
    let hold = bed.claim().await.unwrap().hold;
    let journal = bed.journal();
    journal.start_step(hold, 1, Duration::from_secs(5)).await.unwrap();
    journal.start_step(hold, 2, Duration::from_secs(5)).await.unwrap();
    let deadlines = async || bed.steps(id).await.iter().map(|step| step.deadline_at).collect::<Vec<_>>();
    let before = deadlines().await;
    // The process was away for a day.
    bed.clock.advance(Duration::from_secs(86_400));
    let left = Arc::new(Mutex::new(Vec::new()));
    let told = left.clone();
    bed.finish_all(move |step: StepContext, _| {
        told.lock().unwrap().push(step.deadline().saturating_duration_since(tokio::time::Instant::now()));
        async move { if step.name() == "b" { Outcome::failed("not healthy") } else { Outcome::Succeeded } }
    })
    .await;
    assert_eq!(bed.states(id).await, "PARTIAL: a SUCCEEDED, b FAILED");
    let left = left.lock().unwrap().clone();
    // A tenth of the ten minutes that are configured.
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|left| (30..=60).contains(&left.as_secs())), "{left:?}");
    assert_eq!(deadlines().await, before, "no restart prolongs a deadline");
}

fn spec(key: ComponentKey, replicas: u32) -> Spec<Value> {
    serde_json::from_value(json!({
        "key": key, "name": "web", "slug": "web", "kind": "Deployment",
        "image": {"reference": "docker.io/library/nginx:1.29"},
        "scale": {"rule": {"minReplicas": 1, "maxReplicas": 9, "step": 1}, "replicas": replicas},
    }))
    .unwrap()
}

async fn what_a_step_deployed_is_written_when_it_succeeds(bed: Bed) {
    let [good, bad, gone] = [1, 2, 3].map(|n| ComponentKey(uuid::Uuid::from_u128(n)));
    let mut conn = bed.write().await;
    for (key, desired) in [(good, Some(9)), (bad, Some(9)), (gone, None)] {
        let row = Component {
            id: crate::clock::new_id(),
            application_id: bed.application,
            installation_id: None,
            key: crate::store::Key(key),
            template_key: None,
            version_id: None,
            no_longer_in_template: false,
            name: key.to_string(),
            slug: key.to_string(),
            cluster_name: key.to_string(),
            desired: desired.map(|replicas| Stored(spec(key, replicas))),
            deployed: Some(Stored(spec(key, 1))),
            created_at: bed.now(),
        };
        component::insert(&mut conn, &row).await.unwrap();
    }
    drop(conn);
    let step = |name: &str, key, effect| NewStep {
        name: name.into(),
        component_key: Some(key),
        component_name: Some("web".into()),
        needs: BTreeSet::new(),
        action: bed.action(vec![effect]),
    };
    let mut plan = bed.plan_of(OperationKind::Deploy, &[]);
    // What was planned is 5; a person has asked for 9 since.
    plan.steps = vec![
        step("good", good, Effect::ComponentDeployed(Box::new(spec(good, 5)))),
        step("bad", bad, Effect::ComponentDeployed(Box::new(spec(bad, 5)))),
        step("gone", gone, Effect::ComponentGone(gone)),
    ];
    let id = bed.begin(plan).await;
    bed.finish_all(|step: StepContext, _| async move {
        if step.name() == "bad" { Outcome::failed("no") } else { Outcome::Succeeded }
    })
    .await;
    assert_eq!(bed.states(id).await, "PARTIAL: good SUCCEEDED, bad FAILED, gone SUCCEEDED");
    assert_eq!(retry::components(&bed.steps(id).await), BTreeSet::from([bad]));
    let rows = component::of_applications(&mut bed.read().await, &[bed.application]).await.unwrap();
    let replicas: Vec<_> = rows
        .iter()
        .map(|row| {
            let of = |spec: &Option<Stored<Spec<Value>>>| spec.as_ref().map(|spec| spec.0.scale.replicas);
            (row.key.0, of(&row.desired), of(&row.deployed))
        })
        .collect();
    assert_eq!(replicas, [(good, Some(9), Some(5)), (bad, Some(9), Some(1))]);
}

async fn a_worker_takes_what_is_begun_while_it_waits(bed: Bed) {
    let shutdown = CancellationToken::new();
    let working =
        tokio::spawn(worker::work_with(bed.journal(), bed.feed.clone(), bed.config.clone(), succeed, shutdown.clone()));
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(bed.begin(bed.plan(&[("a", &[]), ("b", &[1])])).await);
    }
    for id in begun {
        let done = async {
            while !bed.operation(id).await.state.0.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), done).await.unwrap();
        assert_eq!(bed.states(id).await, "SUCCEEDED: a SUCCEEDED, b SUCCEEDED");
    }
    shutdown.cancel();
    timeout(Duration::from_secs(10), working).await.unwrap().unwrap();
}

async fn a_step_that_always_kills_its_worker_fails_at_last(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[])])).await;
    for _ in 0..20 {
        let hold = bed.claim().await.unwrap().hold;
        bed.journal().start_step(hold, 1, Duration::from_secs(86_400)).await.unwrap();
        bed.outlive_lease();
    }
    bed.finish_all(|step: StepContext, _: Action| async move {
        assert_ne!(step.name(), "a");
        Outcome::Succeeded
    })
    .await;
    assert_eq!(bed.states(id).await, "PARTIAL: a FAILED, b SUCCEEDED");
}
