//! Delete: only ours, and only the very object that was recorded.

use ropeway_clusters::{Deleted, Error, Preconditions, Propagation, label};
use serde_json::json;

use crate::support::{APPLICATION, clusters};

fn preconditions(uid: &str) -> Preconditions {
    Preconditions { application: APPLICATION.into(), uid: uid.into() }
}

#[tokio::test]
async fn deleting_needs_the_recorded_uid_and_our_label() {
    for at in clusters("delete").await {
        let made = at.cluster.apply(&at.config_map("settings", &[]), &at.options(None)).await.expect("made");
        let reference = at.reference("v1", "ConfigMap", "settings");
        let wrong = preconditions("00000000-0000-0000-0000-000000000000");
        let refused = at.cluster.delete(&reference, &wrong, Propagation::Background).await;
        assert!(matches!(refused, Err(Error::Replaced { .. })), "{refused:?}");
        let mut another = preconditions(&made.uid);
        another.application = "another".into();
        let refused = at.cluster.delete(&reference, &another, Propagation::Background).await;
        assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
        assert!(at.cluster.get(&reference).await.expect("get").is_some());
        let deleted = at.cluster.delete(&reference, &preconditions(&made.uid), Propagation::Background).await;
        assert_eq!(deleted, Ok(Deleted::Requested));
        at.until(&reference, |object| object.is_none()).await;
        let again = at.cluster.delete(&reference, &preconditions(&made.uid), Propagation::Background).await;
        assert_eq!(again, Ok(Deleted::Gone));
    }
}

#[tokio::test]
async fn an_orphaning_deletion_leaves_the_pods() {
    for at in clusters("orphan").await {
        let set = at.object(
            "apps/v1",
            "StatefulSet",
            "db",
            &json!({"spec": {
                "serviceName": "db", "replicas": 1, "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}},
                             "spec": {"containers": [{"name": "db", "image": "registry.example/db:1"}]}},
            }}),
        );
        let made = at.cluster.apply(&set, &at.options(None)).await.expect("made");
        let pod = at.reference("v1", "Pod", "db-0");
        at.until(&pod, |pod| pod.is_some()).await;
        let reference = at.reference("apps/v1", "StatefulSet", "db");
        at.cluster.delete(&reference, &preconditions(&made.uid), Propagation::Orphan).await.expect("deleted");
        at.until(&reference, |object| object.is_none()).await;
        let pod = at.cluster.get(&pod).await.expect("get").expect("the pod lives");
        assert_eq!(label(&pod, "app"), Some("db"));
        assert!(pod.pointer("/metadata/deletionTimestamp").is_none());
    }
}
