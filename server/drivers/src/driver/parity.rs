//! The driver for Kubernetes as a component says, byte for byte, what it says natively.

use super::{Driver, RenderRequest};
use crate::{
    check,
    engine::{Engine, Limits},
    error::CallError,
    types::Target,
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest},
    sample::{select, subsequence},
};
use ropeway_domain::{
    ComponentKey, Quantity,
    model::{Port, Probe, ProbeAction, ProbeKind, Protocol, Resources, ScaleRule, UriScheme, VolumeKind, WorkloadKind},
    rendering::{
        ApplicationModel, ApplicationNaming, ComponentModel, ConfigFileModel, EnvironmentModel, ModelValue,
        ResourceModel, VolumeModel,
    },
};
use ropeway_driver_kubernetes::Kubernetes;
use ropeway_driver_sdk::{self as sdk, Driver as _, conformance};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::{fmt::Debug, sync::OnceLock};
use tokio::runtime::Runtime;
use uuid::Uuid;

#[test]
fn every_model_of_the_corpus_is_rendered_to_the_same_bytes_natively_and_as_a_component() {
    for model in conformance::corpus() {
        let model: ApplicationModel = serde_json::from_str(model.json).unwrap();
        assert_same(&model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_model_is_rendered_to_the_same_bytes_natively_and_as_a_component(model in models()) {
        assert_same(&model);
    }
}

/// Renders natively and as a component, and compares; what is rendered also passes the host's checks.
fn assert_same(model: &ApplicationModel) {
    let (runtime, driver) = component();
    let target = target();
    let request = RenderRequest { application: model, target: &target, revision: "r1" };
    let native = Kubernetes::render(&sdk::RenderRequest {
        application: serde_json::to_string(model).unwrap(),
        target: conformance::target("{}"),
        revision: "r1".to_owned(),
    });
    match (native, runtime.block_on(driver.render_unchecked(request))) {
        (Ok(native), Ok((component, log))) => {
            assert!(log.is_empty(), "{log:?}");
            let found = check::diagnostics(component.diagnostics).unwrap();
            assert_eq!(json(&native.diagnostics), json(&found));
            let native = native.manifests.into_iter().map(|it| (it.wave, name(it.mode), it.component, it.object));
            let component = component.manifests.into_iter().map(|it| (it.wave, name(it.mode), it.component, it.object));
            assert_eq!(native.collect::<Vec<_>>(), component.collect::<Vec<_>>());
            runtime.block_on(driver.render(request)).unwrap();
        }
        (Err(sdk::DriverError::Invalid(native)), Err(CallError::Invalid(component))) => {
            assert_eq!(json(&native), json(&component));
        }
        (Err(sdk::DriverError::Unsupported(native)), Err(CallError::Unsupported(component))) => {
            assert_eq!(native, component);
        }
        (native, component) => panic!("natively {native:?}, as a component {component:?}"),
    }
}

/// The name of a variant, which is the same on both sides.
fn name(variant: impl Debug) -> String {
    let text = format!("{variant:?}");
    text.rsplit("::").next().unwrap_or_default().to_owned()
}

fn json(findings: &impl Serialize) -> Json {
    serde_json::to_value(findings).unwrap()
}

fn component() -> &'static (Runtime, Driver) {
    static COMPONENT: OnceLock<(Runtime, Driver)> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let engine = Engine::new(Limits { calls: 2, ..Limits::default() }).unwrap();
        let driver = runtime.block_on(Driver::built_in(&engine)).unwrap();
        (runtime, driver)
    })
}

/// The target of the conformance kit.
fn target() -> Target {
    let sdk::Target { cluster, namespace, kubernetes_version, api_resources, storage_classes, config } =
        conformance::target("{}");
    let storage_classes = storage_classes.iter().map(|class| serde_json::from_str(class).unwrap()).collect();
    let config = serde_json::from_str(&config).unwrap();
    Target { cluster, namespace, kubernetes_version, api_resources, storage_classes, config }
}

/// Small models, some of which no cluster would take.
fn models() -> impl Strategy<Value = ApplicationModel> {
    (vec(components(), 0..4), vec(resources(), 0..3)).prop_map(|(components, resources)| ApplicationModel {
        model_version: "1".to_owned(),
        application: ApplicationNaming { id: Uuid::from_u128(10), slug: "shop".to_owned() },
        components: components
            .into_iter()
            .enumerate()
            .map(|(n, component)| ComponentModel {
                key: ComponentKey(Uuid::from_u128(100 + n as u128)),
                name: format!("shop-c{n}"),
                ..component
            })
            .collect(),
        resources: resources
            .into_iter()
            .enumerate()
            .map(|(n, mut resource)| {
                resource.key = Uuid::from_u128(200 + n as u128).into();
                resource.manifest["metadata"]["name"] = format!("shop-r{n}").into();
                resource
            })
            .collect(),
    })
}

fn values() -> impl Strategy<Value = ModelValue> {
    prop_oneof![
        "\\PC{0,12}".prop_map(|text| ModelValue::Plain(text.replace("ropeway-secret:", ""))),
        any::<u128>().prop_map(|id| ModelValue::Secret { secret: format!("ropeway-secret:{}", Uuid::from_u128(id)) }),
    ]
}

/// Objects that are taken as they are, and some that are not.
fn resources() -> impl Strategy<Value = ResourceModel> {
    let kinds = select(vec![
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "Namespace"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("rbac.authorization.k8s.io/v1", "Role"),
    ]);
    let secrets = vec(("[a-z./]{1,4}", values()), 0..3);
    (kinds, secrets, any::<bool>()).prop_map(|((api_version, kind), secrets, is_foreign)| {
        let mut metadata = json!({ "labels": { "example.org/kept": "yes", "ropeway.dev/revision": "forged" } });
        if is_foreign {
            metadata["annotations"] = json!({ "service.beta.kubernetes.io/aws-load-balancer-type": "nlb" });
        }
        let manifest = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "status": {} });
        let Json::Object(manifest) = manifest else { unreachable!("it is an object") };
        let entries = secrets.into_iter().filter(|_| kind == "Secret");
        ResourceModel {
            key: Uuid::nil().into(),
            installation: None,
            version: None,
            manifest,
            secret_data: entries.map(|(name, value)| EnvironmentModel { name, value }).collect(),
        }
    })
}

/// Some of each kind twice, which is refused.
fn probes() -> impl Strategy<Value = Vec<Probe>> {
    let kinds = select(vec![ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness]);
    let schemes = select(vec![UriScheme::Http, UriScheme::Https]);
    let actions = prop_oneof![
        ("/[a-z]{0,4}", 1..=u16::MAX, schemes).prop_map(|(path, port, scheme)| ProbeAction::Http {
            path,
            port,
            scheme
        }),
        (1..=u16::MAX).prop_map(|port| ProbeAction::Tcp { port }),
        (1..=u16::MAX, option::of("[a-z]{1,4}")).prop_map(|(port, service)| ProbeAction::Grpc { port, service }),
        vec("\\PC{0,6}", 1..3).prop_map(|command| ProbeAction::Exec { command }),
    ];
    let probe = (kinds, actions, 1..100_u32).prop_map(|(kind, action, seconds)| Probe {
        kind,
        action,
        initial_delay_seconds: seconds - 1,
        period_seconds: seconds,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 3,
    });
    vec(probe, 0..3)
}

/// Attributes that add something, that are left out with a warning, and that are refused.
fn attributes() -> impl Strategy<Value = Map<String, Json>> {
    let known = vec![
        ("annotations", json!({ "service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "example.org/a": "b" })),
        (
            "env",
            json!([{ "name": "A", "value": "x" }, { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }]),
        ),
        ("labels", json!({ "example.org/tier": "front", "ropeway.dev/revision": "forged" })),
        ("nodeSelector", json!({ "kubernetes.io/arch": "arm64" })),
        ("tolerations", json!([{ "key": "dedicated", "operator": "Exists" }])),
        ("volumeMounts", json!([{ "name": "tmp", "mountPath": "/v0" }, { "name": "tmp", "mountPath": "/tmp" }])),
        ("volumes", json!([{ "name": "tmp", "emptyDir": {} }, { "name": "v0", "emptyDir": {} }])),
    ];
    let refused = option::weighted(
        0.1,
        select(vec![("containers", json!([])), ("restartPolicy", json!("Sometimes")), ("strange", json!(1))]),
    );
    (subsequence(known, 0..=7), refused).prop_map(|(known, refused)| {
        known.into_iter().chain(refused).map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

fn amounts() -> impl Strategy<Value = Resources> {
    let amount = |texts: [&'static str; 3]| {
        option::of(select(texts.to_vec())).prop_map(|text| text.map(|text| text.parse::<Quantity>().unwrap()))
    };
    let (cpu, memory) = (["100m", "1", "1.5"], ["64Mi", "1Gi", "1e9"]);
    (amount(cpu), amount(cpu), amount(memory), amount(memory)).prop_map(
        |(cpu_request, cpu_limit, memory_request, memory_limit)| Resources {
            cpu_request,
            cpu_limit,
            memory_request,
            memory_limit,
        },
    )
}

fn components() -> impl Strategy<Value = ComponentModel> {
    let kinds = prop_oneof![Just(WorkloadKind::Deployment), Just(WorkloadKind::StatefulSet), Just(WorkloadKind::Job)];
    let environment = vec(("[A-Z_]{1,6}", values()), 0..4);
    let files = vec(("/[a-z/.]{1,8}", values()), 0..3);
    let volumes = vec(
        (
            prop_oneof![
                Just(VolumeKind::Exclusive),
                Just(VolumeKind::Shared),
                Just(VolumeKind::Ephemeral),
                Just(VolumeKind::Memory)
            ],
            any::<bool>(),
        ),
        0..4,
    );
    let ports = vec((1..=u16::MAX, any::<bool>()), 0..3);
    let versions = option::of("\\PC{1,12}");
    let parts = (kinds, environment, files, volumes, ports, 0..4_u32, versions, probes(), amounts(), attributes());
    parts.prop_map(|(kind, environment, files, volumes, ports, replicas, version, probes, resources, attributes)| {
        ComponentModel {
            key: ComponentKey(Uuid::nil()),
            installation: version.as_ref().map(|_| Uuid::from_u128(7)),
            version,
            name: String::new(),
            slug: "part".to_owned(),
            kind,
            image: "example.org/a/b:1".to_owned(),
            pull_secret: None,
            command: Vec::new(),
            arguments: Vec::new(),
            environment: environment.into_iter().map(|(name, value)| EnvironmentModel { name, value }).collect(),
            ports: ports
                .into_iter()
                .enumerate()
                .map(|(n, (number, is_open))| Port {
                    number,
                    protocol: Protocol::Tcp,
                    name: format!("p{n}"),
                    alias: None,
                    is_open,
                })
                .collect(),
            volumes: volumes
                .into_iter()
                .enumerate()
                .map(|(n, (kind, has_size))| VolumeModel {
                    name: format!("v{n}"),
                    mount_path: format!("/v{n}"),
                    sub_path: None,
                    kind,
                    size: has_size.then(|| "1Gi".parse().unwrap()),
                    storage_class: None,
                    read_only: false,
                    claim: None,
                })
                .collect(),
            config_files: files
                .into_iter()
                .map(|(path, content)| ConfigFileModel { path, content, mode: None })
                .collect(),
            probes,
            resources,
            replicas,
            scale_rule: ScaleRule::default(),
            attributes,
            content_hash: "hash".to_owned(),
        }
    })
}
