//! What a driver that does everything wrong can do: nothing.

use ropeway_domain::rendering::{ApplicationModel, ApplicationNaming, ModelValue, ResourceModel};
use ropeway_drivers::{
    CallError, Driver, Engine, Limits, LoadError, ObjectRef, Observed, RenderRequest, Rendered, Target,
};
use serde_json::{Value as Json, json};
use std::{
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};
use uuid::Uuid;

#[path = "../component.rs"]
mod component;

#[tokio::test]
async fn a_loop_ends_with_the_time_of_computing() {
    let engine = Engine::new(Limits { compute: Duration::from_millis(200), calls: 2, ..Limits::default() }).unwrap();
    let driver = misbehaving(&engine).await;
    match render(&driver, "loop").await {
        Err(error @ CallError::Time { limit }) => {
            assert_eq!(limit, Duration::from_millis(200));
            assert!(error.retryable(), "another time the machine may be less busy");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_loop_ends_with_the_time_of_the_call_and_lets_others_run_meanwhile() {
    let limits =
        Limits { compute: Duration::from_mins(1), wall: Duration::from_millis(300), calls: 2, ..Limits::default() };
    let driver = misbehaving(&Engine::new(limits).unwrap()).await;
    let turns = async {
        let (started, mut turns) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_millis(200) {
            tokio::task::yield_now().await;
            turns += 1;
        }
        turns
    };
    // One thread: without the yields of the guest the other would get no turn.
    let (rendered, turns) = tokio::join!(render(&driver, "loop"), turns);
    match rendered {
        Err(CallError::Time { limit }) => assert_eq!(limit, Duration::from_millis(300)),
        other => panic!("{other:?}"),
    }
    assert!(turns > 1, "{turns}");
}

#[tokio::test]
async fn a_call_that_finds_no_place_says_so() {
    let limits = Limits {
        compute: Duration::from_mins(1),
        wall: Duration::from_secs(1),
        wait: Duration::from_millis(50),
        calls: 1,
        ..Limits::default()
    };
    let driver = misbehaving(&Engine::new(limits).unwrap()).await;
    let (first, second) = tokio::join!(render(&driver, "loop"), render(&driver, "labels"));
    assert!(matches!(first, Err(CallError::Time { .. })), "{first:?}");
    assert!(matches!(&second, Err(error @ CallError::Busy { calls: 1, .. }) if error.retryable()), "{second:?}");
}

#[tokio::test]
async fn more_memory_than_the_limit_is_refused() {
    let engine = Engine::new(Limits { memory: 32 << 20, calls: 2, ..Limits::default() }).unwrap();
    let driver = misbehaving(&engine).await;
    match render(&driver, "bomb").await {
        Err(CallError::Memory { limit }) => assert_eq!(limit, 32 << 20),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_panic_is_told_with_its_message() {
    let driver = misbehaving(&engine()).await;
    match render(&driver, "panic").await {
        Err(CallError::Trap { message }) => {
            assert!(message.contains("no port 3"), "{message}");
            assert!(message.contains("misbehaving.rs") && !message.contains(root().to_str().unwrap()), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn endless_recursion_ends_without_harm() {
    let driver = misbehaving(&engine()).await;
    match render(&driver, "recursion").await {
        Err(CallError::Trap { message }) => {
            assert!(message.contains("stack") || message.contains("memory"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_must_not_be_returned_is_refused_and_named() {
    let driver = misbehaving(&engine()).await;
    for (fault, path, problem) in [
        ("list", "", "bytes, as the host counts them"),
        ("string", "", "bytes, as the host counts them"),
        ("count", "/manifests", "5001 objects"),
        ("large", "/manifests/0/object", "bytes; at most"),
        ("json", "/manifests/0/object", "no JSON"),
        ("deep", "/manifests/0/object", "recursion limit"),
        ("namespace", "/manifests/0/object/metadata/namespace", "must be \"team-a\", not \"kube-system\""),
        ("no-namespace", "/manifests/0/object/metadata/namespace", "must be \"team-a\""),
        ("cluster-scoped", "/manifests/0/object/kind", "a Namespace belongs to the cluster"),
        ("rbac", "/manifests/0/object/kind", "a ClusterRoleBinding belongs to the cluster"),
        ("name", "/manifests/0/object/metadata/name", "no DNS name"),
        ("twice", "/manifests/1", "a second ConfigMap"),
        ("labels", "/manifests/0/object/metadata/labels", "app.kubernetes.io/managed-by must be"),
        ("placeholder", "/manifests/0/object/data", "stands only in stringData"),
        ("foreign-secret", "/manifests/0/object/stringData/text", "was not given"),
        ("image", "/manifests/0/object", "\"evil.test/miner:1\" is no image"),
        ("component", "/manifests/0/component", "no part with the key"),
        ("empty-refusal", "/invalid", "without an error"),
    ] {
        let rendered = render(&driver, fault).await;
        assert!(rendered.as_ref().is_err_and(|error| !error.retryable()), "{fault}: {rendered:?}");
        match rendered {
            Err(CallError::Output(output)) => {
                assert_eq!(output.path, path, "{fault}: {output}");
                assert!(output.problem.contains(problem), "{fault}: {output}");
            }
            other => panic!("{fault}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_log_is_kept_up_to_its_limit() {
    let driver = misbehaving(&engine()).await;
    let rendered = render(&driver, "chatter").await.unwrap();
    let bytes: usize = rendered.log.iter().map(|line| line.message.len()).sum();
    assert!(bytes > 50 << 10 && bytes <= 64 << 10, "{bytes}");
}

#[tokio::test]
async fn more_findings_than_anybody_reads_are_refused() {
    let driver = misbehaving(&engine()).await;
    let found = driver.check_config(&json!({})).await;
    assert!(matches!(&found, Err(CallError::Output(output)) if output.path == "/diagnostics"), "{found:?}");
}

#[tokio::test]
async fn a_contradictory_judgement_is_refused() {
    let driver = misbehaving(&engine()).await;
    let observed = |name: &str, object: Option<Json>| Observed {
        reference: ObjectRef { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned(), name: name.to_owned() },
        object,
        events: Vec::new(),
    };
    for (objects, problem) in [
        (vec![observed("a", None)], "not in the cluster"),
        (vec![observed("sick", Some(json!({})))], "exactly if every item is"),
        (vec![observed("renamed", Some(json!({})))], "nobody asked"),
    ] {
        match driver.assess(&target(), &objects).await {
            Err(CallError::Output(output)) => assert!(output.problem.contains(problem), "{output}"),
            other => panic!("{problem}: {other:?}"),
        }
    }
    assert!(driver.assess(&target(), &[observed("fine", Some(json!({})))]).await.is_ok());
}

#[tokio::test]
async fn an_image_is_not_exchanged_for_another() {
    let driver = misbehaving(&engine()).await;
    let rewritten = driver.rewrite_image(&target(), "docker.io/library/nginx:1").await;
    assert!(matches!(&rewritten, Err(CallError::Output(_))), "{rewritten:?}");
}

#[tokio::test]
async fn after_any_fault_the_next_call_finds_nothing_of_it() {
    let driver = misbehaving(&Engine::new(Limits { calls: 1, ..Limits::default() }).unwrap()).await;
    for fault in ["panic", "recursion", "bomb", "string", "json"] {
        assert!(render(&driver, fault).await.is_err());
        assert!(driver.assess(&target(), &[]).await.is_ok(), "after {fault}");
    }
}

#[tokio::test]
async fn whoever_asks_for_wasi_or_the_unknown_is_refused_by_name() {
    let engine = engine();
    for (wat, names) in [
        (
            r#"(component
                (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string))))))
                (import "wasi:sockets/tcp@0.2.0" (instance (export "tcp-socket" (type (sub resource)))))
            )"#,
            vec!["wasi:cli/environment@0.2.0", "wasi:sockets/tcp@0.2.0"],
        ),
        (
            r#"(component (import "ropeway:driver/provider-api@0.1.0" (instance (export "now" (func (result u64))))))"#,
            vec!["ropeway:driver/provider-api@0.1.0"],
        ),
        (r#"(component (import "anything" (func)))"#, vec!["anything"]),
    ] {
        match Driver::load(&engine, &wat::parse_str(wat).unwrap(), None).await {
            Err(LoadError::Permission { imports }) => assert_eq!(imports, names),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_driver_is_refused() {
    let engine = engine();
    let load = async |bytes: Vec<u8>| Driver::load(&engine, &bytes, None).await;
    for bytes in [b"".to_vec(), b"not wasm".to_vec(), wat::parse_str("(module)").unwrap()] {
        assert!(matches!(load(bytes).await, Err(LoadError::Compile(_))));
    }
    let empty = load(wat::parse_str("(component)").unwrap()).await;
    assert!(matches!(&empty, Err(LoadError::NotADriver(why)) if why.contains("ropeway:driver/driver")), "{empty:?}");
    // Text of components is for people; only bytes are taken.
    assert!(matches!(load(b"(component)".to_vec()).await, Err(LoadError::Compile(_))));
    let small = Engine::new(Limits { component: 7, calls: 1, ..Limits::default() }).unwrap();
    let large = Driver::load(&small, b"12345678", None).await;
    assert!(matches!(large, Err(LoadError::TooLarge { bytes: 8, limit: 7 })));
}

async fn render(driver: &Driver, fault: &str) -> Result<Rendered, CallError> {
    let secret = ModelValue::Secret { secret: "ropeway-secret:00000000-0000-0000-0000-000000000001".to_owned() };
    let Json::Object(manifest) = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own" } }) else {
        unreachable!("it is an object")
    };
    let model = ApplicationModel {
        model_version: "1".to_owned(),
        application: ApplicationNaming { id: Uuid::from_u128(10), slug: "shop".to_owned() },
        components: Vec::new(),
        resources: vec![ResourceModel {
            key: Uuid::from_u128(11).into(),
            installation: None,
            version: None,
            manifest,
            secret_data: vec![ropeway_domain::rendering::EnvironmentModel { name: "own".to_owned(), value: secret }],
        }],
    };
    driver.render(RenderRequest { application: &model, target: &target(), revision: fault }).await
}

fn target() -> Target {
    Target {
        cluster: "test".to_owned(),
        namespace: "team-a".to_owned(),
        kubernetes_version: "1.33".to_owned(),
        api_resources: Vec::new(),
        storage_classes: Vec::new(),
        config: json!({}),
    }
}

fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Limits { calls: 4, ..Limits::default() }).unwrap()).clone()
}

/// The driver that does everything wrong, built once.
async fn misbehaving(engine: &Engine) -> Driver {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let root = root();
        let folder = component::target_folder(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let which = ["--package", "ropeway-driver-sdk", "--example", "misbehaving"];
        component::build(root, &folder, &which, "misbehaving").unwrap()
    });
    Driver::load(engine, bytes, None).await.unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
