//! Bytes to a driver: digest, compilation, permissions, who it is.

use crate::{
    call::{self, Host},
    check,
    contract::bindings::{PureDriver, exports::ropeway::driver::driver as exports},
    engine::Engine,
    error::{CallError, LoadError},
};
use ropeway_domain::Digest;
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::time::timeout_at;
use wasmtime::{
    Store,
    component::{Component, HasSelf, InstancePre, Linker, types::ComponentItem},
};

/// What every driver may import, in any version of the contract that is compatible.
const GRANTED: &str = "ropeway:driver/log@0.1.";

/// A driver that is compiled and linked.
pub(crate) struct Loaded {
    pub(crate) digest: Digest,
    pub(crate) imports: Vec<String>,
    pub(crate) description: Description,
    instance: InstancePre<Host>,
    driver: exports::GuestIndices,
}

/// Who a driver is, checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) version: String,
    pub(crate) config_schema: Json,
    pub(crate) features: Vec<String>,
}

impl Loaded {
    /// A fresh instance.
    pub(crate) async fn instantiate(&self, store: &mut Store<Host>) -> wasmtime::Result<exports::Guest> {
        let instance = self.instance.instantiate_async(&mut *store).await?;
        self.driver.load(store, &instance)
    }
}

/// Loads a driver, or finds it among those that are loaded already.
pub(crate) async fn load(engine: &Engine, bytes: &[u8], expected: Option<&Digest>) -> Result<Arc<Loaded>, LoadError> {
    let limit = engine.limits().component;
    if bytes.len() > limit {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit });
    }
    let digest = Digest::of(bytes);
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        return Err(LoadError::Digest { expected: expected.clone(), actual: digest });
    }
    let mut all = engine.loaded().lock().await;
    if let Some(loaded) = all.get(&digest).and_then(std::sync::Weak::upgrade) {
        return Ok(loaded);
    }
    let wasm = engine.wasm().clone();
    let copy = bytes.to_vec();
    let compiled = tokio::task::spawn_blocking(move || Component::from_binary(&wasm, &copy)).await;
    let component = match compiled {
        Ok(Ok(component)) => component,
        Ok(Err(error)) => return Err(LoadError::Compile(format!("{error:#}"))),
        Err(error) => return Err(LoadError::Compile(error.to_string())),
    };
    let mut loaded = link(engine, &component, digest.clone())?;
    loaded.description = describe(engine, &loaded).await.map_err(LoadError::Describe)?;
    let loaded = Arc::new(loaded);
    all.retain(|_, loaded| loaded.strong_count() > 0);
    all.insert(digest, Arc::downgrade(&loaded));
    Ok(loaded)
}

fn link(engine: &Engine, component: &Component, digest: Digest) -> Result<Loaded, LoadError> {
    let imports = imports(engine, component);
    let refused: Vec<_> = imports.iter().filter(|name| !name.starts_with(GRANTED)).cloned().collect();
    if !refused.is_empty() {
        return Err(LoadError::Permission { imports: refused });
    }
    let not_a_driver = |error: wasmtime::Error| LoadError::NotADriver(format!("{error:#}"));
    let mut linker: Linker<Host> = Linker::new(engine.wasm());
    PureDriver::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).map_err(not_a_driver)?;
    let instance = linker.instantiate_pre(component).map_err(not_a_driver)?;
    let driver = exports::GuestIndices::new(&instance).map_err(not_a_driver)?;
    Ok(Loaded { digest, imports, description: Description::default(), instance, driver })
}

/// The names of all that a component imports, but for interfaces that have nothing but types.
fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    let kind = component.component_type();
    let reaches_out = |item: &ComponentItem| match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine.wasm()).any(|(_, export)| !matches!(export.ty, ComponentItem::Type(_)))
        }
        ComponentItem::Type(_) => false,
        _ => true,
    };
    let imports = kind.imports(engine.wasm()).filter(|(_, import)| reaches_out(&import.ty));
    imports.map(|(name, _)| name.to_owned()).collect()
}

async fn describe(engine: &Engine, loaded: &Loaded) -> Result<Description, CallError> {
    let mut call = call::start(engine, loaded).await?;
    let outcome = timeout_at(call.deadline, call.guest.call_describe(&mut call.store)).await;
    let (description, _) = call.finish(loaded.digest.as_str(), outcome)?;
    Ok(check::description(description)?)
}
