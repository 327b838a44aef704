//! Verify, compile and call driver components.
//!
//! Invariants of this crate:
//! - A driver gets data and returns data. It can reach nothing but a log, and keeps nothing from one call to the next.
//! - Bytes are compared with their digest before anything else looks at them; compiled code is never taken from outside.
//! - Each call has limits on memory, time and size, and an error that names the one that was hit.
//! - Nothing that a driver returns leaves this crate unchecked.

mod call;
mod check;
mod contract;
mod driver;
mod engine;
mod error;
mod load;
mod types;

pub use driver::{Driver, RenderRequest, Rendered};
pub use engine::{Engine, EngineError, Limits};
pub use error::{CallError, InvalidOutput, LoadError};
pub use types::{
    ApplyMode, Diagnostic, Health, HealthItem, HealthState, LogLevel, LogLine, Manifest, ObjectRef, Observed, Owner,
    Severity, Target,
};
