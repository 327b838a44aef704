//! What is asked of a cluster, and how much of it at a time: seen by a server that stands in for one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ropeway_clusters::{
    Access, Applied, ApplyOptions, Clock, Cluster, Error, Limits, NamespaceState, ObjectRef, OwnerCheck, Refusal, Scope,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
};

/// A server that answers with a status and a document; it is told the method and the path of each request.
async fn standing_in<F, R>(answer: F) -> String
where
    F: Fn(String) -> R + Send + Sync + 'static,
    R: Future<Output = (u16, Value)> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let line = request.split(" HTTP/").next().unwrap_or_default().to_owned();
                let (status, document) = answer(line).await;
                let body = document.to_string();
                let head =
                    format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _written = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    address
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

async fn connect(server: &str, limits: Limits, clock: Clock) -> Cluster {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{token: x}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
    );
    Cluster::connect("stand-in", &Access::new(kubeconfig, None), limits, clock).await.expect("connect")
}

fn kinds() -> Value {
    let kind = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "kind": kind, "namespaced": namespaced});
    json!({"resources": [kind("pods", "Pod", true), kind("nodes", "Node", false), kind("namespaces", "Namespace", false)]})
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_the_limit_allows() {
    const LIMIT: usize = 3;
    let (under_way, _) = watch::channel(0_usize);
    let (under_way, most) = (Arc::new(under_way), Arc::new(AtomicUsize::new(0)));
    let (counter, largest) = (Arc::clone(&under_way), Arc::clone(&most));
    let server = standing_in(move |line| {
        let (counter, largest) = (Arc::clone(&counter), Arc::clone(&largest));
        async move {
            if line == "GET /api/v1" {
                return (200, kinds());
            }
            counter.send_modify(|number| *number += 1);
            largest.fetch_max(*counter.borrow(), Ordering::SeqCst);
            // Held until one more is under way than may be, for as long as that would take.
            let mut seen = counter.subscribe();
            let _late = tokio::time::timeout(Duration::from_millis(200), seen.wait_for(|number| *number > LIMIT)).await;
            counter.send_modify(|number| *number -= 1);
            (200, json!({}))
        }
    })
    .await;
    let limits = Limits { concurrent_requests: LIMIT, ..Limits::default() };
    let cluster = connect(&server, limits, Clock::system()).await;
    let references: Vec<ObjectRef> =
        (0..10).map(|number| ObjectRef::namespaced("v1", "Pod", "a", format!("pod-{number}"))).collect();
    // Two that read many, and one that reads one: clones share the limit.
    let other = cluster.clone();
    let (first, second, one) =
        tokio::join!(cluster.get_many(&references), other.get_many(&references), other.get(&references[0]));
    assert!(first.is_ok() && second.is_ok() && one.is_ok(), "{first:?} {second:?} {one:?}");
    assert_eq!(most.load(Ordering::SeqCst), LIMIT, "all places are used, and no more");
}

#[tokio::test]
async fn a_namespace_that_is_there_is_used_by_credentials_that_may_make_none() {
    let labels = json!({"app.kubernetes.io/managed-by": "ropeway", "ropeway.dev/team": "a"});
    let server = standing_in(move |line| {
        let labels = labels.clone();
        async move {
            match line.as_str() {
                "GET /api/v1" => (200, kinds()),
                "GET /api/v1/namespaces/team-a" => (200, json!({"metadata": {"uid": "1", "labels": labels}})),
                "GET /api/v1/namespaces/team-b" => {
                    (404, json!({"reason": "NotFound", "details": {"name": "team-b", "kind": "namespaces"}}))
                }
                _ => (403, json!({"reason": "Forbidden", "message": "User \"u\" cannot do this"})),
            }
        }
    })
    .await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let labels = BTreeMap::from([("ropeway.dev/team".to_owned(), "a".to_owned())]);
    let there = cluster.ensure_namespace("team-a", &labels).await;
    assert_eq!(there, Ok(NamespaceState::Ours { uid: "1".into() }));
    let missing = cluster.ensure_namespace("team-b", &labels).await;
    assert!(matches!(missing, Err(Error::Forbidden { refusal: Refusal::Permission, .. })), "{missing:?}");
}

#[tokio::test]
async fn a_namespace_that_may_not_be_looked_at_may_still_be_made() {
    let server = standing_in(|line| async move {
        match line.as_str() {
            "GET /api/v1" => (200, kinds()),
            line if line.starts_with("POST /api/v1/namespaces") => (201, json!({"metadata": {"uid": "1"}})),
            _ => (403, json!({"reason": "Forbidden", "message": "User \"u\" cannot do this"})),
        }
    })
    .await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let made = cluster.ensure_namespace("team", &BTreeMap::new()).await;
    assert_eq!(made, Ok(NamespaceState::Made { uid: "1".into() }));
}

/// A cluster with one node and pods that are answered by a function of the number of the request for them.
async fn with_pods(pods: fn(usize) -> (u16, Value)) -> (Cluster, Arc<AtomicUsize>, Arc<Mutex<Instant>>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = standing_in(move |line| {
        let counter = Arc::clone(&counter);
        async move {
            match line.as_str() {
                "GET /version" => (200, json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})),
                "GET /apis" => (200, json!({"groups": []})),
                "GET /api/v1" => (200, kinds()),
                line if line.starts_with("GET /api/v1/nodes") => {
                    let status = json!({"conditions": [{"type": "Ready", "status": "True"}],
                                        "allocatable": {"memory": "8Gi", "cpu": "4"}});
                    (200, json!({"items": [{"metadata": {"name": "node-1"}, "status": status}]}))
                }
                line if line.starts_with("GET /api/v1/pods") => pods(counter.fetch_add(1, Ordering::SeqCst)),
                _ => (404, json!({})),
            }
        }
    })
    .await;
    let time = Arc::new(Mutex::new(Instant::now()));
    let told = Arc::clone(&time);
    let clock = Clock::from_fn(move || *told.lock().expect("clock"));
    (connect(&server, Limits::default(), clock).await, asked, time)
}

fn pod(node: &str, memory: &str) -> Value {
    json!({"spec": {"nodeName": node, "containers": [{"resources": {"requests": {"memory": memory, "cpu": "1"}}}]}})
}

#[tokio::test]
async fn pods_are_summed_rarely_and_over_all_their_pages() {
    let (cluster, asked, time) = with_pods(|number| match number {
        0 => (200, json!({"metadata": {"continue": "x"}, "items": [pod("node-1", "1Gi"), pod("node-2", "5Gi")]})),
        1 => (200, json!({"items": [pod("node-1", "2Gi")]})),
        _ => (200, json!({"items": [pod("node-1", "1Gi")]})),
    })
    .await;
    for (wait, gigabytes, requests) in [(0, 3, 2), (30, 3, 2), (11 * 60, 1, 3)] {
        *time.lock().expect("clock") += Duration::from_secs(wait);
        let nodes = cluster.probe().await.expect("facts").nodes.expect("nodes");
        assert_eq!(nodes.requested_memory_bytes, Some(gigabytes << 30), "after {wait} s");
        assert_eq!(asked.load(Ordering::SeqCst), requests, "after {wait} s");
    }
}

#[tokio::test]
async fn a_sum_whose_pages_have_expired_begins_again_at_once() {
    let (cluster, asked, _) = with_pods(|number| match number {
        0 => (200, json!({"metadata": {"continue": "x"}, "items": [pod("node-1", "1Gi")]})),
        1 => (410, json!({"reason": "Expired"})),
        2 => (200, json!({"metadata": {"continue": "y"}, "items": [pod("node-1", "2Gi")]})),
        _ => (200, json!({"items": [pod("node-1", "1Gi")]})),
    })
    .await;
    let nodes = cluster.probe().await.expect("facts").nodes.expect("nodes");
    assert_eq!((nodes.requested_memory_bytes, asked.load(Ordering::SeqCst)), (Some(3 << 30), 4));
}

#[tokio::test]
async fn storage_classes_that_may_not_be_read_are_not_known() {
    let server = standing_in(|line| async move {
        match line.as_str() {
            "GET /version" => (200, json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})),
            "GET /apis" => {
                let version = json!({"groupVersion": "storage.k8s.io/v1", "version": "v1"});
                (
                    200,
                    json!({"groups": [{"name": "storage.k8s.io", "versions": [version], "preferredVersion": version}]}),
                )
            }
            "GET /apis/storage.k8s.io/v1" => {
                let kind = json!({"name": "storageclasses", "kind": "StorageClass", "namespaced": false});
                (200, json!({"groupVersion": "storage.k8s.io/v1", "resources": [kind]}))
            }
            "GET /api/v1" => (200, kinds()),
            _ => (403, json!({"reason": "Forbidden", "message": "User \"u\" cannot list this"})),
        }
    })
    .await;
    let facts = connect(&server, Limits::default(), Clock::system()).await.probe().await.expect("facts");
    assert!(facts.api_resources.contains("storage.k8s.io/v1/StorageClass"), "{facts:?}");
    assert_eq!((facts.storage_classes, facts.nodes), (None, None));
}

/// An object that is not there when it is looked for, and is there when it is applied, written by these managers.
async fn made_in_between(managers: &'static [&'static str]) -> (Result<Applied, Error>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let server = standing_in(move |line| {
        let seen = Arc::clone(&told);
        async move {
            match line.as_str() {
                "GET /api/v1" => (200, kinds()),
                line if line.starts_with("GET /api/v1/namespaces/a/pods/web") => {
                    (404, json!({"reason": "NotFound", "details": {"name": "web", "kind": "pods"}}))
                }
                line if line.starts_with("PATCH") => {
                    seen.lock().expect("lines").push(line.to_owned());
                    let fields: Vec<Value> = managers.iter().map(|name| json!({"manager": name})).collect();
                    (200, json!({"metadata": {"name": "web", "uid": "1", "managedFields": fields}}))
                }
                _ => (404, json!({})),
            }
        }
    })
    .await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let web = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "a", "labels": {"ropeway.dev/application": "shop"}}});
    let owner = OwnerCheck { application: "shop".into(), known_uid: None, may_create: true };
    let options = ApplyOptions { scope: Scope::namespace("a"), dry_run: false, force: true, owner };
    let applied = cluster.apply(&web, &options).await;
    let seen = seen.lock().expect("lines").clone();
    (applied, seen)
}

#[tokio::test]
async fn what_somebody_else_makes_in_between_is_neither_overwritten_nor_kept() {
    let (applied, asked) = made_in_between(&["ropeway", "kubectl-create"]).await;
    assert!(matches!(applied, Err(Error::Foreign { .. })), "{applied:?}");
    assert_eq!(asked.len(), 2, "our fields are taken out of it again: {asked:?}");
    assert!(asked.iter().all(|line| line.contains("force=false")), "{asked:?}");
    // Another worker of ours.
    let (applied, asked) = made_in_between(&["ropeway"]).await;
    assert!(applied.is_err_and(|error| error.retryable()));
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn pods_that_cannot_be_summed_say_nothing_about_the_cluster() {
    for status in [403, 410, 500] {
        let (cluster, asked, _) = match status {
            403 => with_pods(|_| (403, json!({"message": "User \"u\" cannot list"}))).await,
            410 => with_pods(|_| (410, json!({"reason": "Expired"}))).await,
            _ => with_pods(|_| (500, json!({"message": "etcd is slow"}))).await,
        };
        for _ in 0..2 {
            let nodes = cluster.probe().await.expect("facts").nodes.expect("nodes");
            assert_eq!((nodes.ready, nodes.requested_memory_bytes), (1, None), "{status}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{status}: it is asked once, and then left alone");
    }
}
