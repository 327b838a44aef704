//! Kubeconfigs that are refused, and clusters that do not answer or answer badly.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ropeway_clusters::{
    Access, Clock, Cluster, Error, Limits, ObjectRef, Observed, Reachability, Refusal, Verdict, Watch,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{real_cluster, soon};

fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
    )
}

async fn connect(server: &str, limits: Limits, clock: Clock) -> Cluster {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let access = Access::new(kubeconfig(server, "token: canary-token"), None);
    Cluster::connect("far", &access, limits, clock).await.expect("connect")
}

fn pod() -> ObjectRef {
    ObjectRef::namespaced("v1", "Pod", "a", "b")
}

/// A server on the loopback that gives these answers, one per connection, and then the last again.
async fn answering(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let _read = stream.read(&mut request).await;
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let answer = &answers[number.min(answers.len() - 1)];
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

fn http(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_kubeconfig_that_runs_commands_or_reads_files_makes_no_cluster() {
    for (user, expected) in [
        ("exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [x]}", "exec"),
        ("tokenFile: /etc/hostname", "tokenFile"),
    ] {
        let access = Access::new(kubeconfig("https://c", user), None);
        let refused = Cluster::connect("c", &access, Limits::default(), Clock::system()).await;
        let Err(Error::Kubeconfig { message }) = refused else { panic!("{refused:?}") };
        assert!(message.contains(expected), "{message}");
    }
    for (text, context) in
        [("- not: [a kubeconfig", None), (&*kubeconfig("https://c", "token: x"), Some("b".to_owned()))]
    {
        let refused = Cluster::connect("c", &Access::new(text, context), Limits::default(), Clock::system()).await;
        assert!(matches!(refused, Err(Error::Kubeconfig { .. })), "{refused:?}");
    }
}

#[test]
fn an_access_is_printed_without_its_credentials() {
    let access = Access::new(kubeconfig("https://c", "token: canary-token"), None);
    assert!(!format!("{access:?}").contains("canary"));
}

#[tokio::test]
async fn an_unreachable_cluster_is_left_alone_then_tried_once() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("port").local_addr().expect("address");
    let time = Arc::new(Mutex::new(Instant::now()));
    let told = Arc::clone(&time);
    let clock = Clock::from_fn(move || *told.lock().expect("clock"));
    let limits = Limits { failures_to_open: 1, ..Limits::default() };
    let cluster = connect(&format!("http://{free}"), limits, clock).await;
    let mut errors = Vec::new();
    for _ in 0..2 {
        errors.push(cluster.get(&pod()).await.expect_err("unreachable"));
    }
    assert!(errors.iter().all(|error| matches!(error, Error::BreakerOpen { .. }) && error.retryable()), "{errors:?}");
    assert!(matches!(cluster.reachability(), Reachability::LeftAlone { .. }));
    assert!(errors.iter().all(|error| !error.to_string().contains("canary")));
    *time.lock().expect("clock") += Duration::from_secs(11);
    let server = TcpListener::bind(free).await.expect("the same port");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut request = vec![0; 16 * 1024];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(http("404 Not Found", "{}").as_bytes()).await;
        }
    });
    let answered = cluster.get(&pod()).await;
    assert!(matches!(answered, Err(Error::NotServed { .. })), "{answered:?}");
    assert_eq!(cluster.reachability(), Reachability::Open);
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_ended_by_the_time_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let server = format!("http://{}", listener.local_addr().expect("address"));
    let limits = Limits { request_timeout: Duration::from_millis(100), failures_to_open: 2, ..Limits::default() };
    let cluster = connect(&server, limits, Clock::system()).await;
    let error = cluster.get(&pod()).await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout { .. } | Error::BreakerOpen { .. }), "{error:?}");
    assert!(matches!(cluster.get(&pod()).await, Err(Error::BreakerOpen { .. })));
}

#[tokio::test]
async fn a_busy_cluster_is_asked_again_when_it_said() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}";
    let kinds = r#"{"resources": [{"name": "pods", "kind": "Pod", "namespaced": true, "verbs": ["get"]}]}"#;
    let answers =
        vec![busy.to_owned(), http("200 OK", kinds), http("500 Internal Server Error", "<html>"), http("200 OK", "{}")];
    let (server, asked) = answering(answers).await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let begun = Instant::now();
    assert!(cluster.get(&pod()).await.expect("an answer at last").is_some());
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits as long as it was asked to");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let (server, _) = answering(vec![http("200 OK", &"x".repeat(100_000))]).await;
    let limits = Limits { answer_bytes: 10_000, ..Limits::default() };
    let cluster = connect(&server, limits, Clock::system()).await;
    let error = cluster.get(&pod()).await.expect_err("too large");
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stranger_at_the_clusters_address_does_not_make_objects_vanish() {
    let (server, _) = answering(vec![http("404 Not Found", "<html>no such site</html>")]).await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let references = [pod(), ObjectRef::namespaced("apps/v1", "Deployment", "a", "b")];
    for reference in &references {
        let read = cluster.get_many(std::slice::from_ref(reference)).await;
        assert!(matches!(read, Err(Error::NotServed { .. })), "{read:?}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_tried_again() {
    let (server, asked) = answering(vec![http("401 Unauthorized", "{}")]).await;
    let cluster = connect(&server, Limits::default(), Clock::system()).await;
    let error = cluster.get(&pod()).await.expect_err("unauthorized");
    assert!(matches!(error, Error::Unauthorized { .. }) && !error.retryable(), "{error:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_the_credentials_may_not_read_is_left_out_or_refused_and_never_taken_for_absent() {
    let Some(at) = real_cluster("powerless").await else { return };
    at.cluster.apply(&at.config_map("settings", &[]), &at.options(None)).await.expect("made");
    let powerless = at.powerless().await;
    let facts = powerless.probe().await.expect("facts");
    assert!(facts.nodes.is_none() && facts.architectures.is_empty() && facts.api_resources.contains("v1/Pod"));
    let reference = at.reference("v1", "ConfigMap", "settings");
    let read = powerless.get(&reference).await;
    assert!(matches!(read, Err(Error::Forbidden { refusal: Refusal::Permission, .. })), "{read:?}");
    let watch = Watch { references: vec![reference], namespace: at.namespace.clone(), selector: None, details: false };
    let judge = |_: Arc<[Observed]>| async { Verdict::<()>::Fail("it must not be judged".into()) };
    let waited = powerless.watch_until(&watch, soon(60), judge).await;
    assert!(matches!(waited, Err(Error::Forbidden { refusal: Refusal::Permission, .. })), "{waited:?}");
}
