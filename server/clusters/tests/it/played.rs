//! What only a playground can show: watches that expire, a cluster that is away for a moment.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use ropeway_clusters::{ClusterEvent, Error, Kind, Observed, labels};
use ropeway_playground::{Options, Playground};
use serde_json::Value;

use crate::{
    support::{APPLICATION, TestCluster, chosen, soon},
    watching::{judge, watch},
};

/// A playground of its own. None if it was not asked for.
pub(crate) async fn own_playground(test: &str) -> Option<(Arc<Playground>, TestCluster)> {
    if !chosen("playground") {
        return None;
    }
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut options = Options::new("played", "token-of-the-test");
    options.trust_elsewhere = true;
    options.pod_delay = Duration::from_millis(50);
    let playground = Arc::new(Playground::start(options).await.expect("the playground starts"));
    let kubeconfig = playground.kubeconfig();
    let cluster = TestCluster::new(kubeconfig, test, Arc::<Playground>::clone(&playground)).await;
    Some((playground, cluster))
}

#[tokio::test]
async fn a_wait_and_a_follower_survive_expired_watches() {
    let Some((playground, at)) = own_playground("expired").await else { return };
    let first = at.cluster.apply(&at.deployment("web", 1, Some("NotReady")), &at.options(None)).await.expect("made");
    let selector = format!("{}={APPLICATION}", labels::APPLICATION);
    let mut followed = Box::pin(at.cluster.follow(&at.namespace, &selector, &[Kind::new("apps/v1", "Deployment")]));
    while !matches!(followed.next().await, Some(ClusterEvent::Synced(_))) {}
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (cluster, watched) = (at.cluster.clone(), watch(&at, "web"));
    let waiting = tokio::spawn(async move {
        let mut begun = Some(begun);
        cluster
            .watch_until(&watched, soon(60), |seen: Arc<[Observed]>| {
                if let Some(begun) = begun.take() {
                    let _told = begun.send(());
                }
                async move { judge(&seen) }
            })
            .await
    });
    has_begun.await.expect("the judge was called");
    playground.expire_watches();
    let known = at.options(Some(&first.uid));
    at.cluster.apply(&at.deployment("web", 1, None), &known).await.expect("repaired");
    waiting.await.expect("task").expect("healthy after all");
    let told = async {
        // An interruption, then everything again as it is now.
        let mut again = false;
        while let Some(event) = followed.next().await {
            again |= matches!(event, ClusterEvent::Interrupted(Error::Expired));
            if let ClusterEvent::Changed(object) = &event
                && again
                && object.pointer("/status/readyReplicas").and_then(Value::as_u64) == Some(1)
            {
                return;
            }
        }
    };
    tokio::time::timeout_at(soon(60), told).await.expect("the follower goes on");
}

#[tokio::test]
async fn a_wait_outlives_a_time_in_which_the_cluster_is_unavailable() {
    let Some((playground, at)) = own_playground("away").await else { return };
    at.cluster.apply(&at.deployment("web", 1, None), &at.options(None)).await.expect("made");
    playground.set_unavailable(true);
    playground.expire_watches();
    let (cluster, watched) = (at.cluster.clone(), watch(&at, "web"));
    let waiting = tokio::spawn(async move {
        cluster.watch_until(&watched, soon(60), |seen: Arc<[Observed]>| async move { judge(&seen) }).await
    });
    let error = at.cluster.get(&at.reference("v1", "ConfigMap", "x")).await.expect_err("unavailable");
    assert!(matches!(error, Error::Busy { status: 503, .. }) && error.retryable(), "{error:?}");
    assert!(!waiting.is_finished(), "nothing is concluded while the cluster does not answer");
    playground.set_unavailable(false);
    waiting.await.expect("task").expect("healthy after all");
}
