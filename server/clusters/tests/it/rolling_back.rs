//! A StatefulSet whose template cannot start gets over it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use chrono::DateTime;
use ropeway_clusters::{Error, Observed, Preconditions, Verdict, Watch, labels};
use serde_json::{Value, json};

use crate::support::{APPLICATION, TestCluster, clusters, real_cluster, soon, text};

/// A StatefulSet, whose pods stay in a state of failure where one is given.
fn stateful_set(at: &TestCluster, fault: Option<&str>) -> Value {
    let mut set = at.object(
        "apps/v1",
        "StatefulSet",
        "db",
        &json!({"spec": {
            "serviceName": "db", "replicas": 2, "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}},
                         "spec": {"containers": [{"name": "db", "image": "registry.example/db:1"}]}},
        }}),
    );
    if let Some(fault) = fault {
        let annotations = json!({"controlplane.test/fault": fault, "playground.ropeway.dev/fault": fault});
        set["spec"]["template"]["metadata"]["annotations"] = annotations;
    }
    set
}

/// Waits until both pods are ready and of the wanted template, and returns the pods that were deleted on the way.
async fn settle(at: &TestCluster, preconditions: &Preconditions) -> Result<BTreeSet<String>, Error> {
    let watched = Watch {
        references: vec![at.reference("apps/v1", "StatefulSet", "db")],
        namespace: at.namespace.clone(),
        selector: Some(format!("{}={APPLICATION}", labels::APPLICATION)),
        details: true,
    };
    let deleted = Arc::new(Mutex::new(BTreeSet::new()));
    at.cluster
        .watch_until(&watched, soon(60), |seen: Arc<[Observed]>| {
            let deleted = Arc::clone(&deleted);
            async move {
                let gone = at
                    .cluster
                    .delete_stuck_pod(&seen[0].reference, preconditions, DateTime::UNIX_EPOCH)
                    .await
                    .expect("deleted");
                deleted.lock().expect("names").extend(gone);
                let set = seen[0].object.as_ref().expect("it exists");
                let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
                let seen = number("/status/observedGeneration") == number("/metadata/generation");
                if seen && number("/status/updatedReplicas") == 2 && number("/status/readyReplicas") == 2 {
                    Verdict::Done(())
                } else {
                    Verdict::Continue(set["status"].to_string())
                }
            }
        })
        .await?;
    let deleted = deleted.lock().expect("names").clone();
    Ok(deleted)
}

/// Makes a set, breaks it, waits until a pod is broken, and applies the first template again.
async fn broken_and_rolled_back(at: &TestCluster) -> Preconditions {
    let made = at.cluster.apply(&stateful_set(at, None), &at.options(None)).await.expect("made");
    let ours = Preconditions { application: APPLICATION.into(), uid: made.uid };
    assert_eq!(settle(at, &ours).await.expect("healthy"), BTreeSet::new(), "nothing is stuck while a set starts");
    let known = at.options(Some(&ours.uid));
    at.cluster.apply(&stateful_set(at, Some("ImagePullBackOff")), &known).await.expect("broken");
    let pod = at.reference("v1", "Pod", "db-1");
    at.until(&pod, |pod| {
        pod.is_some_and(|pod| text(pod, "/status/containerStatuses/0/state/waiting/reason") == "ImagePullBackOff")
    })
    .await;
    let reference = at.reference("apps/v1", "StatefulSet", "db");
    let left = at.cluster.delete_stuck_pod(&reference, &ours, DateTime::UNIX_EPOCH).await.expect("looked at");
    assert!(left.is_none(), "a broken pod of the wanted template is the set's own business: {left:?}");
    at.cluster.apply(&stateful_set(at, None), &known).await.expect("rolled back");
    ours
}

#[tokio::test]
async fn a_stateful_set_with_a_broken_template_is_rolled_back() {
    for at in clusters("stuck").await {
        let ours = broken_and_rolled_back(&at).await;
        settle(&at, &ours).await.expect("healthy again");
    }
}

#[tokio::test]
async fn the_one_pod_that_blocks_a_real_controller_is_deleted() {
    let Some(at) = real_cluster("blocked").await else { return };
    let ours = broken_and_rolled_back(&at).await;
    assert_eq!(settle(&at, &ours).await.expect("healthy again"), BTreeSet::from(["db-1".to_owned()]));
}

#[tokio::test]
async fn pods_of_another_set_are_left_alone() {
    for at in clusters("unstuck").await {
        let made = at.cluster.apply(&stateful_set(&at, None), &at.options(None)).await.expect("made");
        let set = at.reference("apps/v1", "StatefulSet", "db");
        let another = Preconditions { application: "another".into(), uid: made.uid.clone() };
        let refused = at.cluster.delete_stuck_pod(&set, &another, DateTime::UNIX_EPOCH).await;
        assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
        let earlier =
            Preconditions { application: APPLICATION.into(), uid: "00000000-0000-0000-0000-000000000000".into() };
        let refused = at.cluster.delete_stuck_pod(&set, &earlier, DateTime::UNIX_EPOCH).await;
        assert!(matches!(refused, Err(Error::Replaced { .. })), "{refused:?}");
        let ours = Preconditions { application: APPLICATION.into(), uid: made.uid };
        for kind in [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")] {
            let absent = at.reference(kind.0, kind.1, "absent");
            assert_eq!(at.cluster.delete_stuck_pod(&absent, &ours, DateTime::UNIX_EPOCH).await, Ok(None));
        }
    }
}
