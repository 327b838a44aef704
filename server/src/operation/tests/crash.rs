//! The process dies between any two entries, and the operation goes on by itself (L20).

use super::{
    bed::{Bed, is},
    on_both,
};
use crate::{
    operation::{Action, JournalError, Outcome, StepContext, journal::NewObject},
    store::{application_lock, cluster_object},
};
use ropeway_clusters::ObjectRef;
use ropeway_domain::operation::{OperationKind, OperationState};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

on_both! {
    an_operation_ends_alike_wherever_its_worker_dies
}

/// What stands for the cluster: objects by name, each with the UID of its first making.
type World = Arc<Mutex<BTreeMap<String, String>>>;

/// Makes an object, unless it is there, and lists it.
fn making(bed: &Bed, world: &World) -> impl Fn(StepContext, Action) -> Work + Clone + Send + Sync + 'static + use<> {
    let (cluster_id, application_id, world) = (bed.cluster, bed.application, world.clone());
    move |step, _| {
        let world = world.clone();
        Box::pin(async move {
            let name = step.name().to_owned();
            let uid = {
                let mut world = world.lock().unwrap();
                let next = format!("uid {}", world.len());
                world.entry(name.clone()).or_insert(next).clone()
            };
            let reference = ObjectRef::namespaced("v1", "Service", "team", &name);
            let object = NewObject { cluster_id, application_id, owner_key: None, reference, uid };
            match step.record_object(&object).await {
                Ok(()) if name == "bad" => Outcome::failed("no"),
                Ok(()) => Outcome::Succeeded,
                Err(error) => error.into(),
            }
        })
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>;

async fn an_operation_ends_alike_wherever_its_worker_dies(bed: Bed) {
    let mut deaths = 0;
    for points in 0.. {
        let plan = bed.plan_of(OperationKind::Deploy, &[("a", &[]), ("bad", &[]), ("b", &[1]), ("c", &[2])]);
        let id = bed.begin(plan).await;
        let world = World::default();
        let perform = making(&bed, &world);

        let dying = bed.dying(points);
        let first = bed.carry_on(&dying, &perform).await;
        let died = dying.faults.has_struck();
        if died {
            deaths += 1;
            assert!(matches!(first, Err(JournalError::LostLease)), "{first:?}");
            // Nobody looks after it until its lease has ended; then another worker goes on.
            bed.outlive_lease();
        }
        // The database may need a moment to see that the dead process's transactions are dead too.
        let ended = async {
            while !bed.operation(id).await.state.0.is_finished() {
                bed.finish_all(perform.clone()).await;
            }
        };
        timeout(Duration::from_secs(20), ended).await.unwrap();

        assert_eq!(
            bed.states(id).await,
            "PARTIAL: a SUCCEEDED, bad FAILED, b SUCCEEDED, c SKIPPED",
            "died after {points} points"
        );
        bed.assert_no_gaps(id).await;
        let operation = bed.operation(id).await;
        assert_eq!(operation.state, is(OperationState::Partial));
        assert_eq!(application_lock::holder(&mut bed.read().await, bed.application).await.unwrap(), None);
        let mut listed: BTreeMap<String, String> = BTreeMap::new();
        for object in cluster_object::of_application(&mut bed.read().await, bed.application).await.unwrap() {
            listed.insert(object.name, object.uid);
        }
        assert_eq!(listed, *world.lock().unwrap());
        let ended = bed.events(id).await.iter().filter(|event| event.kind == "FINISHED").count();
        assert_eq!(ended, 1);
        if !died {
            break;
        }
    }
    // Claim, three steps of three entries each, and the end: before and after each.
    assert_eq!(deaths, 22);
}
