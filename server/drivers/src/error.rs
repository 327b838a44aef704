//! Why a driver was not loaded, or a call of one gave nothing.

use crate::types::Diagnostic;
use ropeway_domain::Digest;
use std::time::Duration;

/// Why a driver was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More bytes than any driver needs.
    #[error("the driver has {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// As given.
        bytes: usize,
        /// The most.
        limit: usize,
    },
    /// Other bytes than were asked for.
    #[error("the driver's digest is {actual}, not {expected}")]
    Digest {
        /// As asked for.
        expected: Digest,
        /// Of the bytes.
        actual: Digest,
    },
    /// Not a component, or one that cannot be compiled.
    #[error("the driver is no WebAssembly component that can be compiled: {0}")]
    Compile(String),
    /// It imports what nobody granted.
    #[error("the driver asks for what it is not granted: {}", imports.join(", "))]
    Permission {
        /// The names of the imports.
        imports: Vec<String>,
    },
    /// It does not export what the contract asks for.
    #[error("the component does not keep the contract of drivers: {0}")]
    NotADriver(String),
    /// It could not say who it is.
    #[error("cannot ask the driver who it is")]
    Describe(#[source] CallError),
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It wanted more memory than a call may have.
    #[error("the driver wanted more than {} MiB of memory", limit >> 20)]
    Memory {
        /// Bytes of all its memories together.
        limit: usize,
    },
    /// It took longer than a call may take.
    #[error("the driver took longer than {} ms", limit.as_millis())]
    Time {
        /// The limit that was hit: of computing, or of the call as a whole.
        limit: Duration,
    },
    /// It broke off, as by a panic.
    #[error("the driver broke off: {message}")]
    Trap {
        /// What it logged last as an error, or the kind of trap.
        message: String,
    },
    /// What it was given is not acceptable, and the user can mend it.
    #[error("the driver finds faults in what it was given: {}", summary(.0))]
    Invalid(Vec<Diagnostic>),
    /// The cluster cannot do what is asked.
    #[error("the cluster cannot do it: {0}")]
    Unsupported(String),
    /// The driver failed in a way that it could describe.
    #[error("the driver failed: {0}")]
    Internal(String),
    /// What it returned breaks the contract.
    #[error("the driver returned what it must not")]
    Output(#[source] InvalidOutput),
    /// Too many calls were in the way for too long.
    #[error("all {calls} places for calls of drivers were taken for {} ms", waited.as_millis())]
    Busy {
        /// Calls at a time.
        calls: usize,
        /// How long the call waited.
        waited: Duration,
    },
}

impl CallError {
    /// Whether the same call may succeed later without any change by a person: it found no place, or it had too little
    /// time, as on a machine that is busy with something else. All else says something about the driver or about what it
    /// was given, and would say it again.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Time { .. } => true,
            Self::Memory { .. }
            | Self::Trap { .. }
            | Self::Invalid(_)
            | Self::Unsupported(_)
            | Self::Internal(_)
            | Self::Output(_) => false,
        }
    }
}

/// How what a driver returned breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidOutput {
    /// A JSON pointer into what was returned.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl InvalidOutput {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl From<InvalidOutput> for CallError {
    fn from(output: InvalidOutput) -> Self {
        Self::Output(output)
    }
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let shown: Vec<_> = diagnostics.iter().take(3).map(|d| format!("{}: {}", d.path, d.message)).collect();
    let more = diagnostics.len().saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join("; ")) } else { shown.join("; ") }
}
