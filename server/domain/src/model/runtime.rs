//! Ports, probes, resources and scale.

use crate::quantity::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A port that a component listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// 1 to 65535, unique with its protocol.
    pub number: u16,
    /// Transport.
    pub protocol: Protocol,
    /// An IANA service name (at most 15 lower-case letters, digits and `-`), unique in its component.
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Whether other components reach it (a port of the component's Service).
    pub is_open: bool,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A health check. A component has at most one of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// What its outcome decides.
    pub kind: ProbeKind,
    /// What is done.
    pub action: ProbeAction,
    /// Seconds before the first, 0 to 86400.
    pub initial_delay_seconds: u32,
    /// Seconds between two, 1 to 86400.
    pub period_seconds: u32,
    /// Seconds until one has failed, 1 to 3600.
    pub timeout_seconds: u32,
    /// Successes after a failure until it counts as healthy, 1 to 100; 1 for startup and liveness.
    pub success_threshold: u32,
    /// Failures until it counts as failed, 1 to 1000.
    pub failure_threshold: u32,
}

/// What the outcome of a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    /// The others wait for it.
    Startup,
    /// Whether traffic is sent.
    Readiness,
    /// Whether the container is started again.
    Liveness,
}

impl ProbeKind {
    /// As it stands in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ProbeAction {
    /// GET; 200 to 399 is a success.
    Http {
        /// Begins with `/`.
        path: String,
        /// 1 to 65535.
        port: u16,
        /// HTTP or HTTPS.
        scheme: UriScheme,
    },
    /// Opens a connection.
    Tcp {
        /// 1 to 65535.
        port: u16,
    },
    /// The gRPC health protocol.
    Grpc {
        /// 1 to 65535.
        port: u16,
        /// The service that is asked about; none: the server as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// Runs a command in the container; status 0 is a success.
    Exec {
        /// The command and its arguments.
        command: Vec<String>,
    },
}

/// The scheme of an HTTP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum UriScheme {
    /// Plain.
    Http,
    /// Encrypted; the certificate is not checked.
    Https,
}

/// What one replica asks for and may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// CPU that is set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<Quantity>,
    /// CPU at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Quantity>,
    /// Memory that is set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<Quantity>,
    /// Memory at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Quantity>,
}

/// Between which numbers of replicas a component may be scaled. An installation starts the minimum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleRule {
    /// 0 to `max_replicas`.
    pub min_replicas: u32,
    /// At most 10000.
    pub max_replicas: u32,
    /// Scaling accepts min, min + step, ... up to max; 1 or more.
    pub step: u32,
    /// What one replica needs at least; preflight asks the cluster for it times the minimum of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory: Option<Quantity>,
    /// CPU that one replica needs at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
}

/// How many replicas run, and within which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// The rule.
    pub rule: ScaleRule,
    /// The wanted number of replicas.
    pub replicas: u32,
}

/// Why a scale rule, or a number of replicas under it, cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaleRuleError {
    /// The bounds are the wrong way round, or too large.
    #[error("the minimum of replicas ({min}) is at most the maximum ({max}), which is at most 10000")]
    Bounds {
        /// As given.
        min: u32,
        /// As given.
        max: u32,
    },
    /// A step of nothing.
    #[error("the step is at least 1")]
    Step,
    /// Not one of the numbers that the rule accepts.
    #[error("{replicas} replicas are not among {min}, {min} + {step}, ... up to {max}")]
    Replicas {
        /// As asked for.
        replicas: u32,
        /// Of the rule.
        min: u32,
        /// Of the rule.
        step: u32,
        /// Of the rule.
        max: u32,
    },
}

impl Default for ScaleRule {
    fn default() -> Self {
        Self { min_replicas: 1, max_replicas: 64, step: 1, min_memory: None, cpu: None }
    }
}

impl ScaleRule {
    /// Whether the rule makes sense.
    pub fn check(&self) -> Result<(), ScaleRuleError> {
        if self.step == 0 {
            return Err(ScaleRuleError::Step);
        }
        if self.min_replicas > self.max_replicas || self.max_replicas > 10_000 {
            return Err(ScaleRuleError::Bounds { min: self.min_replicas, max: self.max_replicas });
        }
        Ok(())
    }

    /// Whether a person may scale to this number of replicas. None at all (stopped) is no matter of scaling.
    pub fn accepts(&self, replicas: u32) -> Result<(), ScaleRuleError> {
        let Self { min_replicas: min, max_replicas: max, step, .. } = *self;
        if (min..=max).contains(&replicas) && (replicas - min).is_multiple_of(step.max(1)) {
            Ok(())
        } else {
            Err(ScaleRuleError::Replicas { replicas, min, step, max })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_accepts_its_steps_only() {
        let rule = ScaleRule { min_replicas: 1, max_replicas: 6, step: 2, ..ScaleRule::default() };
        let accepted: Vec<_> = (0..10).filter(|&n| rule.accepts(n).is_ok()).collect();
        assert_eq!(accepted, [1, 3, 5]);
    }
}
