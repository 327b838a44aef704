//! Facts, reading and paging, and probe pods.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeZone, Utc};
use futures::TryStreamExt;
use ropeway_clusters::{Error, Kind, PROBE_NAMESPACE, ProbeRequest, Scope, docker_config_json, labels};
use serde_json::Value;

use crate::support::{APPLICATION, clusters, soon, text};

#[tokio::test]
async fn a_probe_tells_what_a_cluster_is_and_has() {
    for at in clusters("facts").await {
        let facts = at.cluster.probe().await.expect("facts");
        assert!(facts.version.starts_with("1.") && facts.git_version.starts_with('v'), "{facts:?}");
        assert_eq!(facts.architectures, BTreeSet::from(["amd64".to_owned()]));
        assert!(!facts.zones.is_empty());
        let nodes = facts.nodes.expect("nodes");
        assert!(nodes.ready >= 1 && nodes.allocatable_memory_bytes > 0 && nodes.allocatable_cpu_millis > 0);
        assert!(nodes.requested_memory_bytes.is_some_and(|used| used < nodes.allocatable_memory_bytes));
        for kind in ["v1/Pod", "apps/v1/Deployment", "batch/v1/Job", "networking.k8s.io/v1/Ingress"] {
            assert!(facts.api_resources.contains(kind), "{kind}");
        }
        let classes = facts.storage_classes.expect("storage classes");
        let default: Vec<_> = classes.iter().filter(|class| class.is_default).collect();
        assert_eq!(default.len(), 1, "{classes:?}");
        assert_eq!(text(&default[0].raw, "/kind"), "StorageClass");
        assert!(facts.capabilities.contains("ingress"));
    }
}

#[tokio::test]
async fn a_list_comes_in_pages_and_is_complete() {
    for at in clusters("pages").await {
        for number in 0..7 {
            let object = at.config_map(&format!("item-{number}"), &[]);
            at.cluster.apply(&object, &at.options(None)).await.expect("made");
        }
        let kind = Kind::new("v1", "ConfigMap");
        let selector = format!("{}={APPLICATION}", labels::APPLICATION);
        let pages: Vec<Vec<Value>> = at
            .cluster
            .list(kind.clone(), Some(at.namespace.clone()), Some(selector), 3)
            .try_collect()
            .await
            .expect("pages");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        let names: BTreeSet<&str> = pages.iter().flatten().map(|object| text(object, "/metadata/name")).collect();
        assert_eq!(names.len(), 7);
        assert!(pages.iter().flatten().all(|object| text(object, "/kind") == "ConfigMap"));
        let none = at.cluster.list_page(&kind, Some(&at.namespace), Some("a=b"), 3, None).await.expect("page");
        assert!(none.items.is_empty() && none.next.is_none());
    }
}

#[tokio::test]
async fn many_objects_are_read_in_the_order_asked_for() {
    for at in clusters("many").await {
        at.cluster.apply(&at.config_map("here", &[]), &at.options(None)).await.expect("made");
        let references = [
            at.reference("v1", "ConfigMap", "missing"),
            at.reference("v1", "ConfigMap", "here"),
            at.reference("example.com/v1", "Strange", "x"),
        ];
        let seen = at.cluster.get_many(&references).await.expect("read");
        assert_eq!(seen.iter().map(|one| one.object.is_some()).collect::<Vec<_>>(), [false, true, false]);
        assert!(seen.iter().zip(&references).all(|(seen, asked)| seen.reference == *asked));
        let bad = at.reference("v1", "ConfigMap", "../../secrets");
        assert!(matches!(at.cluster.get(&bad).await, Err(Error::Invalid { .. })));
    }
}

#[tokio::test]
async fn a_probe_pod_finds_out_whether_nodes_can_pull_and_leaves_nothing() {
    for at in clusters("probe").await {
        let request = |id: &str, image: &str| ProbeRequest {
            id: format!("{}-{id}", at.namespace),
            image: image.into(),
            docker_config: Some(docker_config_json("registry.example", "robot", "canary-password")),
            architectures: vec!["amd64".into()],
            deadline: soon(30),
            now: DateTime::UNIX_EPOCH,
        };
        let good = at.cluster.run_probe_pod(&request("good", "registry.example/tiny:1")).await.expect("outcome");
        assert!(good.len() == 1 && good[0].reachable, "{good:?}");
        // Nothing listens on this port.
        let mut bad = request("bad", "127.0.0.1:1/tiny:1");
        bad.deadline = soon(5);
        let bad = at.cluster.run_probe_pod(&bad).await.expect("outcome");
        assert!(!bad[0].reachable, "{bad:?}");
        assert!(bad[0].reason.contains("Pull"), "{bad:?}");
        assert!(!bad[0].reason.contains("canary-password"));
        let mut nowhere = request("arch", "registry.example/tiny:1");
        nowhere.architectures = vec!["s390x".into()];
        nowhere.deadline = soon(2);
        let nowhere = at.cluster.run_probe_pod(&nowhere).await;
        assert!(matches!(nowhere, Err(Error::Timeout { .. })), "no node tried, so nothing is known: {nowhere:?}");
        // What a probe left behind whose process died long ago.
        let mut left = at.config_map(&format!("{}-left", at.namespace), &[]);
        left["kind"] = "Secret".into();
        left["metadata"]["namespace"] = PROBE_NAMESPACE.into();
        left["metadata"]["labels"] = serde_json::json!({labels::PROBE: "image"});
        at.cluster.create_if_absent(&left, &Scope::namespace(PROBE_NAMESPACE)).await.expect("left behind");
        let mut later = request("later", "registry.example/tiny:1");
        later.now = Utc.with_ymd_and_hms(2100, 1, 1, 0, 0, 0).single().expect("a date");
        at.cluster.run_probe_pod(&later).await.expect("outcome");
        for kind in ["Pod", "Secret"] {
            let selector = format!("{}=image", labels::PROBE);
            let kind = Kind::new("v1", kind);
            let left =
                at.cluster.list_page(&kind, Some(PROBE_NAMESPACE), Some(&selector), 100, None).await.expect("list");
            let left: Vec<&Value> = left
                .items
                .iter()
                .filter(|object| text(object, "/metadata/name").contains(&at.namespace))
                .filter(|object| object.pointer("/metadata/deletionTimestamp").is_none())
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}
