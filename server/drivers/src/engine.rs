//! The engine that compiles and runs drivers, and the limits of every call.

use crate::load::Loaded;
use ropeway_domain::Digest;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};
use tokio::sync::{Mutex, Semaphore};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often the time of a running call is looked at; between two looks it does not let others run.
const TICK: Duration = Duration::from_millis(10);

/// What one call may use, and how many run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all memories of one call. Default 64 MiB.
    pub memory: usize,
    /// Time of computing. Default 2 s.
    pub compute: Duration,
    /// Time of a call as a whole, waiting for a place left out. Default 10 s.
    pub wall: Duration,
    /// Bytes that a driver may hand to the host in one call. Default 16 MiB.
    pub handover: usize,
    /// Bytes of log that are kept of one call; what is more is dropped. Default 64 KiB.
    pub log: usize,
    /// Calls at a time. Default 16.
    pub calls: u16,
    /// How long a call waits for its place. Default 10 s.
    pub wait: Duration,
    /// Bytes of a component. Default 64 MiB.
    pub component: usize,
}

/// Compiles and runs drivers. A clone is the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the engine of drivers: {0}")]
pub struct EngineError(String);

struct Inner {
    wasm: wasmtime::Engine,
    limits: Limits,
    places: Arc<Semaphore>,
    /// What is compiled and in use. The lock is held while compiling, so that the same bytes are compiled once.
    loaded: Mutex<HashMap<Digest, Weak<Loaded>>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            compute: Duration::from_secs(2),
            wall: Duration::from_secs(10),
            handover: 16 << 20,
            log: 64 << 10,
            calls: 16,
            wait: Duration::from_secs(10),
            component: 64 << 20,
        }
    }
}

impl Engine {
    /// Sets up an engine and starts its clock, a thread that ends with the last clone of the engine.
    pub fn new(limits: Limits) -> Result<Self, EngineError> {
        let wasm = wasmtime::Engine::new(&config(&limits)).map_err(|error| EngineError(format!("{error:#}")))?;
        let clock = wasm.weak();
        let tick = move || {
            while let Some(engine) = clock.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        };
        let thread = thread::Builder::new().name("driver-clock".to_owned());
        thread.spawn(tick).map_err(|error| EngineError(format!("cannot start its clock: {error}")))?;
        let places = Arc::new(Semaphore::new(limits.calls.into()));
        Ok(Self(Arc::new(Inner { wasm, limits, places, loaded: Mutex::default() })))
    }

    /// The limits of every call.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.0.wasm
    }

    pub(crate) fn places(&self) -> &Arc<Semaphore> {
        &self.0.places
    }

    pub(crate) fn loaded(&self) -> &Mutex<HashMap<Digest, Weak<Loaded>>> {
        &self.0.loaded
    }

    /// Ticks of computing that a call may use.
    pub(crate) fn ticks(&self) -> u128 {
        self.0.limits.compute.as_millis() / TICK.as_millis()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

fn config(limits: &Limits) -> Config {
    let calls = u32::from(limits.calls);
    let mut pool = PoolingAllocationConfig::default();
    // A component of a JavaScript engine has three memories and some tens of core instances.
    pool.total_component_instances(calls)
        .total_core_instances(calls * 20)
        .total_memories(calls * 6)
        .total_tables(calls * 10)
        .total_stacks(calls)
        .max_memory_size(limits.memory)
        .table_elements(20_000)
        .max_core_instances_per_component(60)
        .max_memories_per_component(6)
        .max_tables_per_component(20)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(calls);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        // The same bits of a NaN on every processor.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .concurrency_support(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20);
    config
}
