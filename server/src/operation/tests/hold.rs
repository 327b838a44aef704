//! Who may change an operation, and an application.

use super::{
    bed::{Bed, is, succeed, worker},
    on_both,
};
use crate::{
    error::Error,
    id::OperationId,
    operation::{
        JournalError, Outcome, StepContext,
        journal::{EventKind, Lock, NewObject, NewOperation, Start},
        run::{DRAIN, Left, run},
    },
    store::{application_lock, cluster_object},
};
use ropeway_clusters::ObjectRef;
use ropeway_domain::operation::{OperationKind, OperationState, StepState};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

on_both! {
    every_operation_is_claimed_by_one_worker
    a_lease_that_has_not_ended_is_respected
    a_worker_that_lost_its_lease_changes_nothing
    a_worker_that_lost_its_lease_gives_its_calls_up
    an_application_is_changed_by_one_operation_at_a_time
    a_finished_operation_hands_its_application_over
    a_cancelled_operation_that_never_ran_frees_its_application
    a_process_that_stops_leaves_the_rest_to_others
    a_process_that_stops_leaves_a_long_step_to_others
    a_cancelled_operation_does_not_end_before_its_running_steps
    what_is_slow_leaves_room_for_the_rest
}

async fn every_operation_is_claimed_by_one_worker(bed: Bed) {
    let mut begun = BTreeSet::new();
    for _ in 0..20 {
        begun.insert(bed.begin(bed.plan(&[("a", &[])])).await);
    }
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let bed = bed.clone();
        workers.spawn(async move {
            let mut claimed = Vec::new();
            // A worker that finds nothing may have been passed over by those who were just claiming.
            while let Some(claim) = bed.claim().await {
                claimed.push(claim.operation.id);
            }
            claimed
        });
    }
    let mut claimed = workers.join_all().await.concat();
    while let Some(claim) = bed.claim().await {
        claimed.push(claim.operation.id);
    }
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), begun);
}

async fn a_lease_that_has_not_ended_is_respected(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[])])).await;
    let claim = bed.claim().await.unwrap();
    assert!(bed.claim().await.is_none());
    bed.clock.advance(Duration::from_secs(10));
    bed.journal().renew(claim.hold, bed.lease()).await.unwrap();
    bed.clock.advance(Duration::from_secs(10));
    assert!(bed.claim().await.is_none(), "renewed");
    bed.clock.advance(Duration::from_secs(6));
    let next = bed.claim().await.unwrap();
    assert_eq!((next.operation.id, next.hold.generation), (id, claim.hold.generation + 1));
}

async fn a_worker_that_lost_its_lease_changes_nothing(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[])])).await;
    let journal = bed.journal();
    let old = bed.claim().await.unwrap().hold;
    let limit = Duration::from_secs(60);
    assert!(matches!(journal.start_step(old, 1, limit).await, Ok(Start::Run { .. })));
    bed.outlive_lease();
    let new = bed.claim().await.unwrap().hold;
    let before = (bed.operation(id).await, bed.steps(id).await, bed.events(id).await);

    let object = NewObject {
        cluster_id: bed.cluster,
        application_id: bed.application,
        owner_key: None,
        reference: ObjectRef::namespaced("v1", "Service", "team", "shop"),
        uid: "1".into(),
    };
    let refused = [
        journal.renew(old, bed.lease()).await.map(drop),
        journal.start_step(old, 2, limit).await.map(drop),
        journal.complete_step(old, 1).await.map(drop),
        journal.fail_step(old, 1, "no").await.map(drop),
        journal.note(old, 1, EventKind::StepProgress, "half", None, None).await,
        journal.record_object(old, &object).await,
        journal.finish(old).await.map(drop),
        journal.release(old).await,
    ];
    for entry in refused {
        assert!(matches!(entry, Err(JournalError::LostLease)), "{entry:?}");
    }
    let after = (bed.operation(id).await, bed.steps(id).await, bed.events(id).await);
    assert_eq!(before, after);
    assert_eq!(cluster_object::of_application(&mut bed.read().await, bed.application).await.unwrap(), []);

    journal.complete_step(new, 1).await.unwrap();
    journal.record_object(new, &object).await.unwrap();
    let listed = cluster_object::of_application(&mut bed.read().await, bed.application).await.unwrap();
    assert_eq!(listed.len(), 1);
    journal.forget_object(new, &listed[0]).await.unwrap();
    assert_eq!(cluster_object::of_application(&mut bed.read().await, bed.application).await.unwrap(), []);
}

/// Tells when it is dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn a_worker_that_lost_its_lease_gives_its_calls_up(mut bed: Bed) {
    bed.config.lease_seconds = 3;
    let id = bed.begin(bed.plan(&[("a", &[])])).await;
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let perform = {
        let (begun, dropped) = (begun.clone(), dropped.clone());
        move |_: StepContext, _| {
            let (begun, dropped) = (begun.clone(), OnDrop(dropped.clone()));
            async move {
                begun.notify_one();
                let _dropped = dropped;
                std::future::pending::<Outcome>().await
            }
        }
    };
    let journal = bed.journal();
    let first = tokio::spawn({
        let bed = bed.clone();
        async move { bed.carry_on(&journal, &perform).await }
    });
    begun.notified().await;
    bed.outlive_lease();
    let new = bed.claim().await.unwrap();
    // By its next renewal at the latest, and before its own lease would have ended.
    timeout(Duration::from_secs(3), dropped.notified()).await.unwrap();
    assert!(matches!(first.await.unwrap(), Err(JournalError::LostLease)));
    assert_eq!(bed.operation(id).await, new.operation);
}

async fn an_application_is_changed_by_one_operation_at_a_time(bed: Bed) {
    let deploy = || bed.plan_of(OperationKind::Deploy, &[("a", &[])]);
    let first = bed.begin(deploy()).await;
    for kind in [OperationKind::Deploy, OperationKind::Upgrade, OperationKind::Uninstall] {
        let refused = bed.try_begin(bed.plan_of(kind, &[("a", &[])])).await.unwrap_err();
        assert!(matches!(refused, JournalError::Busy { operation_id } if operation_id == first));
        let Error::Invalid(errors) = Error::from(refused) else { panic!("no user error") };
        assert_eq!(errors[0].code, "APPLICATION_BUSY");
        assert_eq!(errors[0].objects, [crate::graphql::id::encode_text(first)]);
    }
    // What does not change the application is not in the way of anything.
    bed.begin(bed.plan(&[("a", &[])])).await;
    bed.finish_all(succeed).await;
    assert_eq!(bed.operation(first).await.state, is(OperationState::Succeeded));
    bed.begin(deploy()).await;

    let mut gone = deploy();
    gone.application_id = Some(crate::clock::new_id());
    assert!(bed.try_begin(gone).await.is_err());
}

async fn a_finished_operation_hands_its_application_over(bed: Bed) {
    let first = bed.begin(bed.plan_of(OperationKind::Upgrade, &[("a", &[])])).await;
    let mut next = bed.plan_of(OperationKind::Rollback, &[("a", &[])]);
    next.lock = Lock::HandedOverBy(first);
    let next = bed.begin(next).await;
    // The end of the first does not free what the second holds.
    bed.cancel(first).await.unwrap();
    assert_eq!(application_lock::holder(&mut bed.read().await, bed.application).await.unwrap(), Some(next));
    let mut third = bed.plan_of(OperationKind::Rollback, &[("a", &[])]);
    third.lock = Lock::HandedOverBy(first);
    assert!(matches!(bed.try_begin(third).await, Err(JournalError::Busy { operation_id }) if operation_id == next));
}

async fn a_cancelled_operation_that_never_ran_frees_its_application(bed: Bed) {
    let id = bed.begin(bed.plan_of(OperationKind::Deploy, &[("a", &[]), ("b", &[1])])).await;
    let cancelled = bed.cancel(id).await.unwrap();
    assert_eq!(cancelled.state, is(OperationState::Cancelled));
    assert_eq!(bed.states(id).await, "CANCELLED: a SKIPPED, b SKIPPED");
    assert_eq!(application_lock::holder(&mut bed.read().await, bed.application).await.unwrap(), None);
    assert!(bed.claim().await.is_none());
    assert!(matches!(bed.cancel(id).await, Err(JournalError::Transition(_))));
    bed.assert_no_gaps(id).await;
}

async fn a_process_that_stops_leaves_the_rest_to_others(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[1])])).await;
    let shutdown = CancellationToken::new();
    let perform = {
        let shutdown = shutdown.clone();
        move |_: StepContext, _| {
            shutdown.cancel();
            async { Outcome::Succeeded }
        }
    };
    let claim = bed.claim().await.unwrap();
    let now = tokio::time::Instant::now();
    let left = run(&bed.journal(), &perform, &bed.config, claim, now, &shutdown, DRAIN).await.unwrap();
    assert_eq!(left, Left::Released);
    assert_eq!(bed.states(id).await, "RUNNING: a SUCCEEDED, b PENDING");
    let next = bed.claim().await;
    assert_eq!(next.unwrap().operation.id, id, "at once, without waiting for a lease to end");
}

/// A process that stops while the step `a`, which does not end, runs. `meanwhile` happens after that has begun; the
/// other steps end at once when it lets them.
async fn stop_in_a_long_step(bed: &Bed, meanwhile: impl AsyncFnOnce(&Notify)) -> Left {
    let shutdown = CancellationToken::new();
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let perform = {
        let (begun, go) = (begun.clone(), go.clone());
        move |step: StepContext, _| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                if step.name() == "a" {
                    begun.notify_one();
                    std::future::pending::<()>().await;
                }
                go.notified().await;
                Outcome::Succeeded
            }
        }
    };
    let claim = bed.claim().await.unwrap();
    let (journal, now) = (bed.journal(), tokio::time::Instant::now());
    let running = run(&journal, &perform, &bed.config, claim, now, &shutdown, Duration::from_millis(50));
    let stopping = async {
        begun.notified().await;
        meanwhile(&go).await;
        shutdown.cancel();
    };
    timeout(Duration::from_secs(20), async { tokio::join!(running, stopping) }).await.unwrap().0.unwrap()
}

async fn a_process_that_stops_leaves_a_long_step_to_others(bed: Bed) {
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[1])])).await;
    assert_eq!(Box::pin(stop_in_a_long_step(&bed, async |_| ())).await, Left::Released);
    assert_eq!(bed.states(id).await, "RUNNING: a RUNNING, b PENDING");
    bed.finish_all(succeed).await;
    assert_eq!(bed.states(id).await, "SUCCEEDED: a SUCCEEDED, b SUCCEEDED");
    assert_eq!(bed.steps(id).await[0].attempts, 2);
}

async fn a_cancelled_operation_does_not_end_before_its_running_steps(mut bed: Bed) {
    bed.config.concurrent_steps = 2;
    let id = bed.begin(bed.plan(&[("a", &[]), ("b", &[]), ("c", &[])])).await;
    let left = stop_in_a_long_step(&bed, async |go| {
        // Before that it would not be begun.
        while bed.steps(id).await[1].state.0 != StepState::Running {
            tokio::task::yield_now().await;
        }
        bed.cancel(id).await.unwrap();
        // After it the worker looks for the next one, and learns that there is to be none.
        go.notify_one();
        while bed.steps(id).await[1].state.0 != StepState::Succeeded {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(Box::pin(left).await, Left::Released);
    assert_eq!(bed.states(id).await, "RUNNING: a RUNNING, b SUCCEEDED, c PENDING");
    // What ran runs again: whether it did what it had to is not known.
    bed.finish_all(succeed).await;
    assert_eq!(bed.states(id).await, "CANCELLED: a SUCCEEDED, b SUCCEEDED, c SKIPPED");
}

async fn what_is_slow_leaves_room_for_the_rest(bed: Bed) {
    let in_cluster = || bed.plan(&[("a", &[])]);
    let copying = || NewOperation { cluster_id: None, ..bed.plan_of(OperationKind::SyncImages, &[("a", &[])]) };
    let anywhere = || NewOperation { cluster_id: None, ..bed.plan(&[("a", &[])]) };
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push((bed.begin(copying()).await, bed.begin(in_cluster()).await));
    }
    let last = bed.begin(anywhere()).await;
    let (journal, one, share) = (bed.journal(), worker(), 2);
    let mut taken = Vec::new();
    while let Some(claim) = journal.claim(one, bed.lease(), share).await.unwrap() {
        taken.push(claim);
    }
    let ids: Vec<OperationId> = taken.iter().map(|claim| claim.operation.id).collect();
    assert_eq!(ids, [begun[0].0, begun[0].1, begun[1].0, begun[1].1, last], "the oldest, two of each sort");
    // Once one of a sort has ended there is room for the next.
    journal.release(taken[0].hold).await.unwrap();
    journal.start_step(taken[1].hold, 1, Duration::from_secs(60)).await.unwrap();
    journal.complete_step(taken[1].hold, 1).await.unwrap();
    journal.finish(taken[1].hold).await.unwrap();
    let next = journal.claim(one, bed.lease(), share).await.unwrap().unwrap();
    assert_eq!(next.operation.id, begun[0].0);
    let next = journal.claim(one, bed.lease(), share).await.unwrap().unwrap();
    assert_eq!(next.operation.id, begun[2].1);
    assert!(journal.claim(one, bed.lease(), share).await.unwrap().is_none());
    // Another process has room of its own.
    let next = journal.claim(worker(), bed.lease(), share).await.unwrap().unwrap();
    assert_eq!(next.operation.id, begun[2].0);
}
