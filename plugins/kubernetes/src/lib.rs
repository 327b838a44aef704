//! The driver for plain Kubernetes.
//!
//! It relies on nothing but what every conformant cluster serves. Storage for many writers is the one thing that a
//! cluster may lack: it is taken from the configuration, from a known provisioner, or refused.
//!
//! Invariants of this crate:
//! - The same input gives the same bytes: maps are ordered, and there is neither a clock nor randomness.
//! - What cannot be rendered is an error with its JSON pointer; nothing is dropped without a diagnostic.
//! - What an application says by itself (attributes, resources) never replaces a name or label that Ropeway relies on.

mod assess;
mod config;
mod foreign;
mod json;
mod render;
mod storage_class;

use ropeway_driver_sdk::{
    Description, Diagnostic, Driver, DriverError, Health, Observed, RenderRequest, Rendered, Target, export_driver,
};

/// The driver for plain Kubernetes.
#[derive(Debug)]
pub struct Kubernetes;

impl Driver for Kubernetes {
    fn describe() -> Description {
        Description {
            id: "kubernetes".to_owned(),
            display_name: "Kubernetes".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: config::SCHEMA.to_owned(),
            features: ["storage.exclusive", "storage.shared"].map(str::to_owned).to_vec(),
        }
    }

    fn check_config(config: &str) -> Vec<Diagnostic> {
        config::read(config).err().unwrap_or_default()
    }

    fn render(request: &RenderRequest) -> Result<Rendered, DriverError> {
        render::render(request)
    }

    fn assess(target: &Target, objects: &[Observed]) -> Health {
        assess::assess(target, objects)
    }
}

export_driver!(Kubernetes);
