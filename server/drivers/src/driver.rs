//! A loaded driver and its functions.

use crate::{
    call,
    check::{self, Expected},
    contract::{self, bindings::exports::ropeway::driver::driver as exports, bindings::ropeway::driver::types as wire},
    engine::Engine,
    error::{CallError, LoadError},
    load::{self, Loaded},
    types::{Diagnostic, Health, LogLine, Manifest, Observed, Target},
};
use ropeway_domain::{Digest, rendering::ApplicationModel};
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::time::timeout_at;

/// A driver, ready to be called. A clone is the same driver.
#[derive(Clone)]
pub struct Driver {
    engine: Engine,
    loaded: Arc<Loaded>,
}

/// What is to be rendered.
#[derive(Debug, Clone, Copy)]
pub struct RenderRequest<'a> {
    /// The application.
    pub application: &'a ApplicationModel,
    /// The cluster.
    pub target: &'a Target,
    /// Goes into the label `ropeway.dev/revision`: at most 63 lower-case letters, digits and `-`.
    pub revision: &'a str,
}

/// What was rendered, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The objects, in the driver's order.
    pub manifests: Vec<Manifest>,
    /// Information and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What the driver wrote meanwhile.
    pub log: Vec<LogLine>,
}

/// The driver for plain Kubernetes, built with this crate.
static KUBERNETES: &[u8] = include_bytes!(env!("ROPEWAY_KUBERNETES_COMPONENT"));

impl Driver {
    /// Loads a driver. With an expected digest, other bytes are refused before anything looks at them. The same bytes
    /// are compiled once as long as a driver of them is in use.
    pub async fn load(engine: &Engine, bytes: &[u8], expected: Option<&Digest>) -> Result<Self, LoadError> {
        let loaded = load::load(engine, bytes, expected).await?;
        Ok(Self { engine: engine.clone(), loaded })
    }

    /// The driver for plain Kubernetes that is part of the product.
    pub async fn built_in(engine: &Engine) -> Result<Self, LoadError> {
        Self::load(engine, KUBERNETES, None).await
    }

    /// The name of the driver for good, a DNS label.
    pub fn id(&self) -> &str {
        &self.loaded.description.id
    }

    /// What people call it.
    pub fn display_name(&self) -> &str {
        &self.loaded.description.display_name
    }

    /// Its semantic version.
    pub fn version(&self) -> &str {
        &self.loaded.description.version
    }

    /// The digest of its component.
    pub fn digest(&self) -> &Digest {
        &self.loaded.digest
    }

    /// What it can do beyond the least.
    pub fn features(&self) -> &[String] {
        &self.loaded.description.features
    }

    /// JSON Schema of its configuration for one cluster.
    pub fn config_schema(&self) -> &Json {
        &self.loaded.description.config_schema
    }

    /// What it imports from the host.
    pub fn imports(&self) -> &[String] {
        &self.loaded.imports
    }

    /// What is wrong with a configuration. Without an error among the findings it is accepted.
    pub async fn check_config(&self, config: &Json) -> Result<Vec<Diagnostic>, CallError> {
        let config = config.to_string();
        let mut call = call::start(&self.engine, &self.loaded).await?;
        let outcome = timeout_at(call.deadline, call.guest.call_check_config(&mut call.store, &config)).await;
        let (diagnostics, _) = call.finish(self.id(), outcome)?;
        Ok(check::diagnostics(diagnostics)?)
    }

    /// The objects of an application.
    pub async fn render(&self, request: RenderRequest<'_>) -> Result<Rendered, CallError> {
        let (rendered, log) = self.render_unchecked(request).await?;
        let expected = Expected::new(request.application, &request.target.namespace, request.revision);
        Ok(Rendered {
            manifests: check::manifests(&expected, rendered.manifests)?,
            diagnostics: check::diagnostics(rendered.diagnostics)?,
            log,
        })
    }

    /// The health of live objects. Pods and ReplicaSets among them explain why their owners are not healthy.
    pub async fn assess(&self, target: &Target, objects: &[Observed]) -> Result<Health, CallError> {
        let target = contract::target(target);
        let observed: Vec<_> = objects.iter().map(contract::observed).collect();
        let mut call = call::start(&self.engine, &self.loaded).await?;
        let outcome = timeout_at(call.deadline, call.guest.call_assess(&mut call.store, &target, &observed)).await;
        let (health, _) = call.finish(self.id(), outcome)?;
        Ok(check::health(objects, health)?)
    }

    /// The reference under which the cluster should pull an image; none: as it is.
    pub async fn rewrite_image(&self, target: &Target, image: &str) -> Result<Option<String>, CallError> {
        let target = contract::target(target);
        let image = image.to_owned();
        let mut call = call::start(&self.engine, &self.loaded).await?;
        let outcome = timeout_at(call.deadline, call.guest.call_rewrite_image(&mut call.store, &target, &image)).await;
        let (rewritten, _) = call.finish(self.id(), outcome)?;
        Ok(check::rewritten(&image, rewritten)?)
    }

    async fn render_unchecked(
        &self,
        request: RenderRequest<'_>,
    ) -> Result<(exports::Rendered, Vec<LogLine>), CallError> {
        let request = exports::RenderRequest {
            application: Json::to_string(
                &serde_json::to_value(request.application).map_err(|error| unwritable(&error))?,
            ),
            target: contract::target(request.target),
            revision: request.revision.to_owned(),
        };
        let mut call = call::start(&self.engine, &self.loaded).await?;
        let outcome = timeout_at(call.deadline, call.guest.call_render(&mut call.store, &request)).await;
        let (result, log) = call.finish(self.id(), outcome)?;
        match result {
            Ok(rendered) => Ok((rendered, log)),
            Err(wire::DriverError::Invalid(found)) => Err(check::refusal(found)?),
            Err(wire::DriverError::Unsupported(what)) => Err(CallError::Unsupported(check::sentence(what)?)),
            Err(wire::DriverError::Internal(what)) => Err(CallError::Internal(check::sentence(what)?)),
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("id", &self.id()).field("digest", self.digest()).finish_non_exhaustive()
    }
}

fn unwritable(error: &serde_json::Error) -> CallError {
    CallError::Internal(format!("the application model cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod parity;
