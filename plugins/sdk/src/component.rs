//! The component that a [`Driver`] becomes: the contract's types on one side, the SDK's on the other.

use crate::{
    ApplyMode, Diagnostic, Driver, DriverError, HealthState, Manifest, ObjectRef, Observed, RenderRequest, Rendered,
    Severity, Target,
};
use bindings::{exports::ropeway::driver::driver as wire_driver, ropeway::driver::types as wire};
use std::{marker::PhantomData, sync::Once};

pub use bindings::export;

pub mod bindings {
    //! Generated from the contract.
    wit_bindgen::generate!({
        path: "../wit",
        world: "pure-driver",
        pub_export_macro: true,
        default_bindings_module: "ropeway_driver_sdk::component::bindings",
    });
}

/// A driver as the exports of a component.
#[derive(Debug)]
pub struct Exported<D>(PhantomData<D>);

impl<D: Driver + 'static> wire_driver::Guest for Exported<D> {
    fn describe() -> wire_driver::Description {
        report_panics();
        let description = D::describe();
        wire_driver::Description {
            id: description.id,
            display_name: description.display_name,
            version: description.version,
            config_schema: description.config_schema,
            features: description.features,
        }
    }

    fn check_config(config: String) -> Vec<wire::Diagnostic> {
        report_panics();
        D::check_config(&config).into_iter().map(Into::into).collect()
    }

    fn render(request: wire_driver::RenderRequest) -> Result<wire_driver::Rendered, wire::DriverError> {
        report_panics();
        let request = RenderRequest {
            application: request.application,
            target: request.target.into(),
            revision: request.revision,
        };
        D::render(&request).map(Into::into).map_err(Into::into)
    }

    fn assess(target: wire::Target, objects: Vec<wire::Observed>) -> wire::Health {
        report_panics();
        let objects: Vec<Observed> = objects.into_iter().map(Into::into).collect();
        let health = D::assess(&target.into(), &objects);
        let items = health.items.into_iter().map(|item| wire::HealthItem {
            ref_: item.reference.into(),
            state: item.state.into(),
            reason: item.reason,
            message: item.message,
        });
        wire::Health { state: health.state.into(), items: items.collect() }
    }

    fn rewrite_image(target: wire::Target, image: String) -> Option<String> {
        report_panics();
        D::rewrite_image(&target.into(), &image)
    }
}

/// A panic ends as a trap without words; its message goes to the log before.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string()))));
}

impl From<wire::Target> for Target {
    fn from(target: wire::Target) -> Self {
        Self {
            cluster: target.cluster,
            namespace: target.namespace,
            kubernetes_version: target.kubernetes_version,
            api_resources: target.api_resources,
            storage_classes: target.storage_classes,
            config: target.config,
        }
    }
}

impl From<wire::Observed> for Observed {
    fn from(observed: wire::Observed) -> Self {
        let wire::ObjectRef { api_version, kind, name } = observed.ref_;
        Self { reference: ObjectRef { api_version, kind, name }, object: observed.object, events: observed.events }
    }
}

impl From<ObjectRef> for wire::ObjectRef {
    fn from(reference: ObjectRef) -> Self {
        Self { api_version: reference.api_version, kind: reference.kind, name: reference.name }
    }
}

impl From<HealthState> for wire::HealthState {
    fn from(state: HealthState) -> Self {
        match state {
            HealthState::Healthy => Self::Healthy,
            HealthState::Progressing => Self::Progressing,
            HealthState::Degraded => Self::Degraded,
            HealthState::Missing => Self::Missing,
            HealthState::Unknown => Self::Unknown,
        }
    }
}

impl From<Diagnostic> for wire::Diagnostic {
    fn from(diagnostic: Diagnostic) -> Self {
        let severity = match diagnostic.severity {
            Severity::Info => wire::Severity::Info,
            Severity::Warning => wire::Severity::Warning,
            Severity::Error => wire::Severity::Error,
        };
        Self { severity, path: diagnostic.path, code: diagnostic.code, message: diagnostic.message }
    }
}

impl From<DriverError> for wire::DriverError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Invalid(diagnostics) => Self::Invalid(diagnostics.into_iter().map(Into::into).collect()),
            DriverError::Unsupported(what) => Self::Unsupported(what),
            DriverError::Internal(what) => Self::Internal(what),
        }
    }
}

impl From<Rendered> for wire_driver::Rendered {
    fn from(rendered: Rendered) -> Self {
        let manifest = |Manifest { wave, mode, component, object }| {
            let mode = match mode {
                ApplyMode::ServerSideApply => wire::ApplyMode::ServerSideApply,
                ApplyMode::CreateOnly => wire::ApplyMode::CreateOnly,
                ApplyMode::RecreateOnImmutable => wire::ApplyMode::RecreateOnImmutable,
            };
            wire::Manifest { wave, mode, component, object }
        };
        Self {
            manifests: rendered.manifests.into_iter().map(manifest).collect(),
            diagnostics: rendered.diagnostics.into_iter().map(Into::into).collect(),
        }
    }
}
