//! The contract's own types, generated, and how the ones of this crate become them.

use crate::types::{Observed, Target};
use bindings::ropeway::driver::types as wire;

/// Generated from the contract.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "pure-driver",
        imports: { default: trappable },
        exports: { default: async },
    });
}

pub(crate) fn target(target: &Target) -> wire::Target {
    wire::Target {
        cluster: target.cluster.clone(),
        namespace: target.namespace.clone(),
        kubernetes_version: target.kubernetes_version.clone(),
        api_resources: target.api_resources.clone(),
        storage_classes: target.storage_classes.iter().map(ToString::to_string).collect(),
        config: target.config.to_string(),
    }
}

pub(crate) fn observed(observed: &Observed) -> wire::Observed {
    wire::Observed {
        ref_: wire::ObjectRef {
            api_version: observed.reference.api_version.clone(),
            kind: observed.reference.kind.clone(),
            name: observed.reference.name.clone(),
        },
        object: observed.object.as_ref().map(ToString::to_string),
        events: observed.events.iter().map(ToString::to_string).collect(),
    }
}
