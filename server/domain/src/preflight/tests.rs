//! Each reason against an installation, alone and together.

use super::*;
use crate::{change::Owner, model::Value};
use serde_json::{Value as Json, json};
use uuid::Uuid;

fn facts() -> ClusterFacts {
    ClusterFacts {
        name: "hangzhou".to_owned(),
        kubernetes_version: "v1.33.2-aliyun.1".to_owned(),
        architectures: ["amd64".to_owned()].into(),
        storage_classes: Some(["disk", "files"].map(str::to_owned).into()),
        api_resources: ["v1/ConfigMap", "policy/v1/PodDisruptionBudget"].map(str::to_owned).into(),
        free_memory: Some(1 << 30),
        quota_memory: None,
        library: LibraryReach::Reachable,
        features: ["storage.exclusive", "storage.shared"].map(str::to_owned).into(),
        provider: Some(Provider::Alibaba),
    }
}

fn component() -> Json {
    json!({
        "key": Uuid::from_u128(1), "name": "Database", "slug": "db", "kind": "StatefulSet",
        "image": {"repository": "db", "digest": format!("sha256:{}", "a".repeat(64))},
        "volumes": [
            {"name": "data", "mountPath": "/data", "kind": "exclusive", "size": "1Gi"},
            {"name": "files", "mountPath": "/files", "kind": "shared", "size": "1Gi"},
        ],
        "probes": [{
            "kind": "readiness", "action": {"grpc": {"port": 1}}, "initialDelaySeconds": 0, "periodSeconds": 5,
            "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3
        }],
        "scale": {
            "rule": {"minReplicas": 2, "maxReplicas": 3, "step": 1, "minMemory": "512Mi"}, "replicas": 2
        },
        "attributes": {"annotations": {"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id": "x"}}
    })
}

fn resource(api_version: &str, kind: &str) -> Resource<Value> {
    let manifest = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}});
    serde_json::from_value(json!({
        "key": Uuid::from_u128(2), "apiVersion": api_version, "kind": kind, "name": "a", "manifest": manifest
    }))
    .unwrap()
}

struct Case {
    facts: ClusterFacts,
    component: Json,
    resource: Resource<Value>,
    platforms: Vec<&'static str>,
    around: Surroundings,
    asks: Vec<AskedValue>,
    /// Whether the component is there already.
    is_here: bool,
    /// The volumes that it has already where it is there.
    has: Vec<&'static str>,
}

fn run(edit: impl FnOnce(&mut Case)) -> Preflight {
    let mut case = Case {
        facts: facts(),
        component: component(),
        resource: resource("policy/v1", "PodDisruptionBudget"),
        platforms: vec!["amd64", "arm64"],
        around: Surroundings::default(),
        asks: Vec::new(),
        is_here: false,
        has: vec!["data", "files"],
    };
    edit(&mut case);
    let component: Component<Value> = serde_json::from_value(case.component).unwrap();
    let mut before = component.clone();
    before.volumes.retain(|volume| case.has.contains(&volume.name.as_str()));
    let platforms = case.platforms.into_iter().map(str::to_owned).collect();
    let wanted = Wanted {
        components: if case.is_here { Vec::new() } else { vec![&component] },
        changed: if case.is_here { vec![&component] } else { Vec::new() },
        extended: if case.is_here { vec![component.with_new_volumes(&before)] } else { Vec::new() },
        resources: vec![&case.resource],
        names: &[(component.key, "shop-db".to_owned())].into(),
        platforms: &[(component.key, platforms)].into(),
        application_slug: Some("shop"),
        asks: &case.asks,
        needs_library: true,
    };
    preflight(&case.facts, &wanted, &case.around)
}

fn codes(found: &Preflight) -> Vec<&str> {
    found.blockers.iter().map(|blocker| blocker.code.as_str()).collect()
}

#[test]
fn what_a_cluster_can_take_is_clear() {
    let found = run(|_| ());
    assert_eq!(found, Preflight::default());
    assert!(found.is_clear());
}

#[test]
fn what_is_here_already_must_find_nodes_for_its_new_image_and_is_counted_once() {
    let found = run(|case| {
        case.is_here = true;
        case.facts.free_memory = Some(0);
        case.facts.storage_classes = Some(BTreeSet::new());
        case.around.claims.insert("data-shop-db-0".to_owned());
    });
    assert_eq!(found, Preflight::default());
    let found = run(|case| {
        case.is_here = true;
        case.platforms = vec!["s390x"];
    });
    assert_eq!(codes(&found), ["ARCHITECTURE"]);
}

#[test]
fn each_reason_has_its_code() {
    type Edit = fn(&mut Case);
    let cases: [(&str, Edit); 19] = [
        ("LIBRARY_UNCHECKED", |case| case.facts.library = LibraryReach::Unchecked),
        ("LIBRARY_UNREACHABLE", |case| {
            case.facts.library = LibraryReach::Unreachable { reason: "no route".to_owned() };
        }),
        ("STORAGE_CLASS_MISSING", |case| case.component["volumes"][0]["storageClass"] = json!("gone")),
        ("FEATURE_MISSING", |case| {
            case.facts.features.remove("storage.shared");
        }),
        ("FEATURE_MISSING", |case| {
            case.facts.features.remove("storage.exclusive");
        }),
        ("ARCHITECTURE", |case| case.platforms = vec!["arm64"]),
        ("ARCHITECTURE", |case| case.component["attributes"]["nodeSelector"] = json!({"kubernetes.io/arch": "arm64"})),
        ("KUBERNETES_VERSION", |case| case.facts.kubernetes_version = "v1.22.0".to_owned()),
        ("KUBERNETES_VERSION", |case| case.resource = resource("policy/v1beta1", "PodDisruptionBudget")),
        ("KIND_NOT_SERVED", |case| case.resource = resource("example.org/v1", "Backup")),
        ("NAME_IN_USE", |case| {
            case.around.foreign_objects.insert("policy/v1/PodDisruptionBudget/a".to_owned());
        }),
        ("MEMORY", |case| case.facts.free_memory = Some((1 << 30) - 1)),
        ("QUOTA", |case| case.facts.quota_memory = Some(0)),
        ("SLUG_IN_USE", |case| {
            case.around.application_slugs.insert("shop".to_owned());
        }),
        ("CLAIMS_LEFT", |case| {
            case.around.claims.insert("data-shop-db-0".to_owned());
        }),
        ("CLAIMS_LEFT", |case| {
            case.around.claims.insert("data-shop-db-2".to_owned());
        }),
        ("CLAIMS_LEFT", |case| {
            case.resource = resource("v1", "PersistentVolumeClaim");
            case.facts.api_resources.insert("v1/PersistentVolumeClaim".to_owned());
            case.around.claims.insert("a".to_owned());
        }),
        ("CLAIMS_LEFT", |case| {
            case.around.claims.insert("shop-db-files".to_owned());
        }),
        ("VALUE_MISSING", |case| {
            case.asks.push(AskedValue {
                owner: Owner::Component(ComponentKey(Uuid::from_u128(1))),
                owner_name: "Database".to_owned(),
                name: "environment/TOKEN".to_owned(),
                description: None,
            });
        }),
    ];
    for (code, edit) in cases {
        assert_eq!(codes(&run(edit)), [code], "{code}");
    }
}

#[test]
fn all_reasons_come_at_once_and_say_what_is_wrong() {
    let found = run(|case| {
        case.facts.library = LibraryReach::Unreachable { reason: "no route".to_owned() };
        case.facts.storage_classes = Some(BTreeSet::new());
        case.facts.free_memory = Some(100 << 20);
        case.platforms = vec!["arm64"];
    });
    let messages: Vec<_> = found.blockers.iter().map(|blocker| blocker.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the image of Database is there for arm64; nodes of hangzhou: amd64",
            "hangzhou does not reach the library: no route",
            "1024 MiB of memory are needed and the cluster has 100 MiB free",
            "the volume data of Database needs a storage class, and hangzhou has none",
            "the volume files of Database needs a storage class, and hangzhou has none",
        ]
    );
}

#[test]
fn what_is_not_in_the_way_is_no_reason() {
    type Edit = fn(&mut Case);
    let cases: [(&str, Edit); 8] = [
        ("a claim of a volume that the component has", |case| {
            case.is_here = true;
            case.around.claims.insert("data-shop-db-0".to_owned());
        }),
        ("a claim that was made for a volume that it gets now", |case| {
            (case.is_here, case.has) = (true, vec!["files"]);
            case.around.claims.insert("data-shop-db-0".to_owned());
            case.around.taken_over.insert("data-shop-db-0".to_owned());
        }),
        ("a claim that is taken over", |case| {
            case.around.claims.insert("data-shop-db-0".to_owned());
            case.around.taken_over.insert("data-shop-db-0".to_owned());
        }),
        ("a claim of somebody else", |case| {
            case.around.claims.insert("shop-dbx-data".to_owned());
        }),
        ("platforms that are not known", |case| case.platforms.clear()),
        ("architectures that are not known", |case| case.facts.architectures.clear()),
        ("memory that is not known", |case| case.facts.free_memory = None),
        ("storage classes that may not be read", |case| {
            case.facts.storage_classes = None;
            case.component["volumes"][0]["storageClass"] = json!("gone");
        }),
    ];
    for (what, edit) in cases {
        assert_eq!(codes(&run(edit)), [""; 0], "{what}");
    }
}

#[test]
fn keys_of_another_provider_are_a_warning_with_the_intent() {
    let found = run(|case| case.facts.provider = Some(Provider::Tencent));
    assert!(found.is_clear());
    assert_eq!(found.warnings.len(), 1);
    assert!(
        found.warnings[0].contains("alibaba-cloud-loadbalancer-id") && found.warnings[0].contains("open a TCP route")
    );
    let found = run(|case| {
        case.facts.architectures.insert("riscv64".to_owned());
    });
    assert!(found.is_clear() && found.warnings[0].contains("riscv64"), "{found:?}");
}

#[test]
fn who_left_a_claim_is_named_where_that_is_known() {
    let found = run(|case| {
        case.around.claims = ["data-shop-db-0", "data-shop-db-1", "shop-db-files"].map(str::to_owned).into();
        case.around.left_by.insert("data-shop-db-0".to_owned(), "I-1".to_owned());
        case.around.taken_over.insert("shop-db-files".to_owned());
    });
    assert_eq!(codes(&found), ["CLAIMS_LEFT", "CLAIMS_LEFT"]);
    let messages = ["I-1 is still there", "choose another name"];
    assert!(found.blockers.iter().zip(messages).all(|(one, message)| one.message.contains(message)), "{found:?}");
}

#[test]
fn a_volume_that_a_component_gets_in_addition_is_looked_at_like_a_new_one() {
    let found = run(|case| {
        (case.is_here, case.has) = (true, vec!["files"]);
        case.around.claims.insert("data-shop-db-2".to_owned());
        case.around.claims.insert("shop-db-files".to_owned());
        case.facts.storage_classes = Some(BTreeSet::new());
    });
    assert_eq!(codes(&found), ["CLAIMS_LEFT", "STORAGE_CLASS_MISSING"]);
    assert!(found.blockers.iter().all(|blocker| blocker.message.contains("data")), "{:?}", found.blockers);
}
