//! The driver for Kubernetes as a component says, byte for byte, what it says natively.

use super::{Driver, RenderRequest};
use crate::{
    engine::{Engine, Limits},
    error::CallError,
    types::Target,
};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest},
};
use ropeway_domain::{
    ComponentKey,
    model::{Port, Protocol, Resources, ScaleRule, VolumeKind, WorkloadKind},
    rendering::{
        ApplicationModel, ApplicationNaming, ComponentModel, ConfigFileModel, EnvironmentModel, ModelValue, VolumeModel,
    },
};
use ropeway_driver_kubernetes::Kubernetes;
use ropeway_driver_sdk::{self as sdk, Driver as _, conformance};
use std::sync::OnceLock;
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
            let native: Vec<_> = native.manifests.into_iter().map(|it| (it.wave, it.component, it.object)).collect();
            let component = component.manifests.into_iter().map(|it| (it.wave, it.component, it.object));
            assert_eq!(native, component.collect::<Vec<_>>());
            runtime.block_on(driver.render(request)).unwrap();
        }
        (Err(sdk::DriverError::Invalid(native)), Err(CallError::Invalid(component))) => {
            let native: Vec<_> = native.into_iter().map(|it| (it.path, it.code, it.message)).collect();
            let component = component.into_iter().map(|it| (it.path, it.code, it.message));
            assert_eq!(native, component.collect::<Vec<_>>());
        }
        (Err(sdk::DriverError::Unsupported(native)), Err(CallError::Unsupported(component))) => {
            assert_eq!(native, component);
        }
        (native, component) => panic!("natively {native:?}, as a component {component:?}"),
    }
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
    vec(components(), 0..4).prop_map(|components| ApplicationModel {
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
        resources: Vec::new(),
    })
}

fn components() -> impl Strategy<Value = ComponentModel> {
    let kinds = prop_oneof![Just(WorkloadKind::Deployment), Just(WorkloadKind::StatefulSet), Just(WorkloadKind::Job)];
    let values = || {
        prop_oneof![
            "\\PC{0,12}".prop_map(|text| ModelValue::Plain(text.replace("ropeway-secret:", ""))),
            any::<u128>()
                .prop_map(|id| ModelValue::Secret { secret: format!("ropeway-secret:{}", Uuid::from_u128(id)) }),
        ]
    };
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
    (kinds, environment, files, volumes, ports, 0..4_u32, proptest::option::of("\\PC{1,12}")).prop_map(
        |(kind, environment, files, volumes, ports, replicas, version)| ComponentModel {
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
            probes: Vec::new(),
            resources: Resources::default(),
            replicas,
            scale_rule: ScaleRule::default(),
            attributes: serde_json::Map::new(),
            content_hash: "hash".to_owned(),
        },
    )
}
