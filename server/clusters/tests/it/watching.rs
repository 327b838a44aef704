//! Waiting for health, and following live state.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use ropeway_clusters::{ClusterEvent, Error, Kind, Observed, Preconditions, Propagation, Verdict, Watch, labels};
use serde_json::Value;

use crate::support::{APPLICATION, TestCluster, clusters, own_control_plane, soon, text};

pub(crate) fn watch(at: &TestCluster, name: &str) -> Watch {
    Watch {
        references: vec![at.reference("apps/v1", "Deployment", name)],
        namespace: at.namespace.clone(),
        selector: Some(format!("{}={APPLICATION}", labels::APPLICATION)),
        details: true,
    }
}

/// What a driver would say of a Deployment.
pub(crate) fn judge(seen: &[Observed]) -> Verdict<usize> {
    let Some(object) = &seen[0].object else { return Verdict::Continue("it does not exist".into()) };
    for pod in &seen[0].pods {
        let reason = text(pod, "/status/containerStatuses/0/state/waiting/reason");
        if matches!(reason, "ImagePullBackOff" | "CrashLoopBackOff") {
            return Verdict::Fail(format!("{} is in {reason}", text(pod, "/metadata/name")));
        }
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let ready = number("/status/readyReplicas");
    if ready == number("/spec/replicas") && number("/status/observedGeneration") == number("/metadata/generation") {
        return Verdict::Done(seen[0].pods.len());
    }
    Verdict::Continue(format!("{ready} pods are ready"))
}

#[tokio::test]
async fn a_wait_ends_when_the_workload_is_healthy_and_shows_its_pods_and_events() {
    for at in clusters("healthy").await {
        at.cluster.apply(&at.deployment("web", 2, None), &at.options(None)).await.expect("made");
        let mut saw_event = false;
        let pods = at
            .cluster
            .watch_until(&watch(&at, "web"), soon(60), |seen: Arc<[Observed]>| {
                saw_event |= !seen[0].events.is_empty();
                async move { judge(&seen) }
            })
            .await
            .expect("healthy");
        assert_eq!(pods, 2);
        assert!(saw_event, "scaling up is told in events");
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_judges_reason_when_the_workload_cannot_start() {
    for at in clusters("failing").await {
        let broken = at.deployment("web", 1, Some("ImagePullBackOff"));
        at.cluster.apply(&broken, &at.options(None)).await.expect("made");
        let outcome = at
            .cluster
            .watch_until(&watch(&at, "web"), soon(60), |seen: Arc<[Observed]>| async move { judge(&seen) })
            .await;
        let Err(Error::Failed { reason }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("ImagePullBackOff"), "{reason}");
    }
}

#[tokio::test]
async fn a_deadline_is_a_failure_with_the_last_verdict() {
    for at in clusters("deadline").await {
        at.cluster.apply(&at.deployment("web", 1, Some("NotReady")), &at.options(None)).await.expect("made");
        let outcome = at
            .cluster
            .watch_until(&watch(&at, "web"), soon(3), |seen: Arc<[Observed]>| async move { judge(&seen) })
            .await;
        let Err(Error::Timeout { last, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(last.as_deref(), Some("0 pods are ready"));
    }
}

#[tokio::test]
async fn a_wait_and_a_follower_survive_the_crash_of_the_api_server() {
    let Some((plane, at)) = own_control_plane("crash").await else { return };
    let first = at.cluster.apply(&at.deployment("web", 1, Some("NotReady")), &at.options(None)).await.expect("made");
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (cluster, watched) = (at.cluster.clone(), watch(&at, "web"));
    let waiting = tokio::spawn(async move {
        let mut begun = Some(begun);
        cluster
            .watch_until(&watched, soon(120), |seen: Arc<[Observed]>| {
                if let Some(begun) = begun.take() {
                    let _told = begun.send(());
                }
                async move { judge(&seen) }
            })
            .await
    });
    let selector = format!("{}={APPLICATION}", labels::APPLICATION);
    let mut followed = Box::pin(at.cluster.follow(&at.namespace, &selector, &[Kind::new("apps/v1", "Deployment")]));
    while !matches!(followed.next().await, Some(ClusterEvent::Synced(_))) {}
    has_begun.await.expect("the judge was called");
    plane.kill_api_server();
    let mut repaired = Err(Error::Expired);
    let until = soon(90);
    while repaired.is_err() && tokio::time::Instant::now() < until {
        repaired = at.cluster.apply(&at.deployment("web", 1, None), &at.options(Some(&first.uid))).await;
        if let Err(error) = &repaired {
            // An API server that has just begun refuses everybody until it has read its rules.
            let starting = matches!(error, Error::Forbidden { .. });
            assert!(error.retryable() || starting, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    repaired.expect("the API server is back");
    waiting.await.expect("task").expect("healthy after all");
    let gone = at.reference("apps/v1", "Deployment", "web");
    let preconditions = Preconditions { application: APPLICATION.into(), uid: first.uid };
    at.cluster.delete(&gone, &preconditions, Propagation::Background).await.expect("deleted");
    let told = async {
        while let Some(event) = followed.next().await {
            if event == ClusterEvent::Gone(gone.clone()) {
                return;
            }
        }
    };
    tokio::time::timeout_at(soon(60), told).await.expect("the follower is told");
}

#[tokio::test]
async fn a_follower_sees_what_is_there_what_changes_and_what_goes() {
    for at in clusters("follow").await {
        let made = at.cluster.apply(&at.config_map("one", &[("a", "1")]), &at.options(None)).await.expect("made");
        let selector = format!("{}={APPLICATION}", labels::APPLICATION);
        let kind = Kind::new("v1", "ConfigMap");
        let mut events = Box::pin(at.cluster.follow(&at.namespace, &selector, std::slice::from_ref(&kind)));
        let mut next =
            async || tokio::time::timeout_at(soon(30), events.next()).await.expect("in time").expect("event");
        let ClusterEvent::Changed(object) = next().await else { panic!("the object comes first") };
        assert_eq!(text(&object, "/data/a"), "1");
        assert!(object.pointer("/metadata/managedFields").is_none());
        assert_eq!(next().await, ClusterEvent::Synced(kind));
        let known = at.options(Some(&made.uid));
        at.cluster.apply(&at.config_map("one", &[("a", "2")]), &known).await.expect("changed");
        let ClusterEvent::Changed(object) = next().await else { panic!("a change") };
        assert_eq!(text(&object, "/data/a"), "2");
        let reference = at.reference("v1", "ConfigMap", "one");
        let preconditions = Preconditions { application: APPLICATION.into(), uid: made.uid };
        at.cluster.delete(&reference, &preconditions, Propagation::Background).await.expect("deleted");
        assert_eq!(next().await, ClusterEvent::Gone(reference));
    }
}
