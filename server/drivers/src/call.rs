//! One call: a fresh instance, its limits, and what became of it.

use crate::{
    contract::bindings::{
        exports::ropeway::driver::driver::Guest,
        ropeway::driver::{log, types},
    },
    engine::Engine,
    error::{CallError, InvalidOutput},
    load::Loaded,
    types::{LogLevel, LogLine},
};
use std::time::Duration;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, error::Elapsed, timeout, timeout_at},
};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

/// What the host keeps for one call.
pub(crate) struct Host {
    memory: Memory,
    ticks_left: u128,
    is_out_of_time: bool,
    log: Vec<LogLine>,
    log_left: usize,
}

/// A running call.
pub(crate) struct Call {
    /// Where the instance lives.
    pub(crate) store: Store<Host>,
    /// What it exports.
    pub(crate) guest: Guest,
    /// When it must be over.
    pub(crate) deadline: Instant,
    limits: Limits,
    _place: OwnedSemaphorePermit,
}

struct Limits {
    memory: usize,
    compute: Duration,
    wall: Duration,
    handover: usize,
}

struct Memory {
    used: usize,
    limit: usize,
    is_exceeded: bool,
}

/// Waits for a place and makes an instance.
pub(crate) async fn start(engine: &Engine, loaded: &Loaded) -> Result<Call, CallError> {
    let limits = *engine.limits();
    // The semaphore is never closed: no place means that it took too long.
    let Ok(Ok(place)) = timeout(limits.wait, engine.places().clone().acquire_owned()).await else {
        return Err(CallError::Busy { calls: limits.calls.into(), waited: limits.wait });
    };
    let deadline = Instant::now() + limits.wall;
    let host = Host {
        memory: Memory { used: 0, limit: limits.memory, is_exceeded: false },
        ticks_left: engine.ticks(),
        is_out_of_time: false,
        log: Vec::new(),
        log_left: limits.log,
    };
    let mut store = Store::new(engine.wasm(), host);
    store.limiter(|host| &mut host.memory);
    store.set_hostcall_fuel(limits.handover);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        let host = store.data_mut();
        if let Some(left) = host.ticks_left.checked_sub(1) {
            // Others get their turn at every tick.
            host.ticks_left = left;
            Ok(UpdateDeadline::Yield(1))
        } else {
            host.is_out_of_time = true;
            Ok(UpdateDeadline::Interrupt)
        }
    });
    let limits =
        Limits { memory: limits.memory, compute: limits.compute, wall: limits.wall, handover: limits.handover };
    let instance = timeout_at(deadline, loaded.instantiate(&mut store)).await;
    match instance {
        Ok(Ok(guest)) => Ok(Call { store, guest, deadline, limits, _place: place }),
        Ok(Err(error)) => Err(explain(&store, &limits, &error)),
        Err(_) => Err(CallError::Time { limit: limits.wall }),
    }
}

impl Call {
    /// What became of the call, and its log.
    pub(crate) fn finish<T>(
        mut self,
        driver: &str,
        outcome: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<(T, Vec<LogLine>), CallError> {
        let result = match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(explain(&self.store, &self.limits, &error)),
            Err(_) => Err(CallError::Time { limit: self.limits.wall }),
        };
        let log = std::mem::take(&mut self.store.data_mut().log);
        for line in &log {
            tracing::debug!(driver.id = driver, driver.level = ?line.level, "A driver wrote: {}", line.message);
        }
        Ok((result?, log))
    }
}

/// Names the limit that was hit, or what the driver said last.
fn explain(store: &Store<Host>, limits: &Limits, error: &wasmtime::Error) -> CallError {
    let host = store.data();
    if host.memory.is_exceeded {
        return CallError::Memory { limit: limits.memory };
    }
    if host.is_out_of_time {
        return CallError::Time { limit: limits.compute };
    }
    let text = format!("{error:#}");
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        let problem = format!("more than {} bytes, as the host counts them", limits.handover);
        return InvalidOutput::new("", problem).into();
    }
    let last_words = host.log.iter().rev().find(|line| line.level == LogLevel::Error);
    let message = match (last_words, error.downcast_ref::<Trap>()) {
        (Some(line), _) => line.message.clone(),
        (None, Some(trap)) => trap.to_string(),
        (None, None) => error.root_cause().to_string(),
    };
    CallError::Trap { message: message.chars().take(2000).collect() }
}

impl types::Host for Host {}

impl log::Host for Host {
    /// What does not fit is dropped: a chatty driver is no faulty one.
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        if message.len() > self.log_left {
            self.log_left = 0;
            return Ok(());
        }
        // An empty line costs something too.
        self.log_left = self.log_left.saturating_sub(message.len() + 16);
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.push(LogLine { level, message });
        Ok(())
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.is_exceeded = true;
            return Err(wasmtime::Error::msg("more memory than a call may have"));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }

    fn instances(&self) -> usize {
        60
    }

    fn tables(&self) -> usize {
        20
    }

    fn memories(&self) -> usize {
        6
    }
}
