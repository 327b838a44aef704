//! Checks of ports, probes, resources and scale.

use super::{Code, checker::Checker, syntax};
use crate::{
    model::{Port, Probe, ProbeAction, ProbeKind, Resources, Scale},
    quantity::Quantity,
};
use std::{cmp::Ordering, collections::BTreeSet};

const MAX_PORTS: usize = 64;

pub(super) fn ports(c: &mut Checker, ports: &[Port]) {
    let mut numbers = BTreeSet::new();
    let mut names = BTreeSet::new();
    c.each("ports", ports, MAX_PORTS, |c, port| {
        c.range("number", u32::from(port.number), 1, 65535);
        c.unique("number", &mut numbers, (port.number, format!("{:?}", port.protocol)), "number and protocol");
        if !syntax::is_port_name(&port.name) {
            let form = "1 to 15 lower-case letters, digits and single \"-\" between them, with at least one letter";
            c.field("name", Code::Invalid, form);
        }
        c.unique("name", &mut names, port.name.clone(), "name");
        if port.alias.as_ref().is_some_and(|alias| alias.chars().count() > 100) {
            c.field("alias", Code::TooLong, "at most 100 characters");
        }
    });
}

pub(super) fn probes(c: &mut Checker, probes: &[Probe]) {
    let mut kinds = BTreeSet::new();
    c.each("probes", probes, 3, |c, probe| {
        c.unique("kind", &mut kinds, probe.kind, "kind");
        c.range("initialDelaySeconds", probe.initial_delay_seconds, 0, 86_400);
        c.range("periodSeconds", probe.period_seconds, 1, 86_400);
        c.range("timeoutSeconds", probe.timeout_seconds, 1, 3_600);
        let successes = if probe.kind == ProbeKind::Readiness { 100 } else { 1 };
        c.range("successThreshold", probe.success_threshold, 1, successes);
        c.range("failureThreshold", probe.failure_threshold, 1, 1_000);
        c.at("action", |c| match &probe.action {
            ProbeAction::Http { path, port, .. } => {
                c.range("port", u32::from(*port), 1, 65535);
                if !path.starts_with('/') || path.len() > 2048 || path.chars().any(char::is_control) {
                    c.field("path", Code::Invalid, "begins with \"/\" and has at most 2048 bytes");
                }
            }
            ProbeAction::Tcp { port } => c.range("port", u32::from(*port), 1, 65535),
            ProbeAction::Grpc { port, service } => {
                c.range("port", u32::from(*port), 1, 65535);
                if service.as_ref().is_some_and(|service| service.len() > 253) {
                    c.field("service", Code::TooLong, "at most 253 bytes");
                }
            }
            ProbeAction::Exec { command } => {
                if command.is_empty() {
                    c.field("command", Code::Required, "a command is needed");
                }
                if command.len() > 100 || command.iter().map(String::len).sum::<usize>() > 32 << 10 {
                    c.field("command", Code::TooLong, "at most 100 words and 32768 bytes");
                }
                if command.iter().any(|word| word.contains('\0')) {
                    c.field("command", Code::Invalid, "the character NUL cannot be passed to a process");
                }
            }
        });
    });
}

pub(super) fn resources(c: &mut Checker, resources: &Resources) {
    let pairs = [
        ("cpuLimit", &resources.cpu_request, &resources.cpu_limit),
        ("memoryLimit", &resources.memory_request, &resources.memory_limit),
    ];
    c.at("resources", |c| {
        for (field, request, limit) in pairs {
            if let (Some(request), Some(limit)) = (request, limit)
                && request.cmp_amount(limit) == Ordering::Greater
            {
                c.field(field, Code::OutOfRange, format!("at least what is set aside ({request}), not {limit}"));
            }
        }
        for (field, quantity) in [
            ("memoryRequest", &resources.memory_request),
            ("memoryLimit", &resources.memory_limit),
            ("cpuLimit", &resources.cpu_limit),
        ] {
            not_zero(c, field, quantity.as_ref());
        }
    });
}

pub(super) fn scale(c: &mut Checker, scale: &Scale) {
    c.at("scale", |c| {
        if let Err(error) = scale.rule.check() {
            c.field("rule", Code::OutOfRange, error.to_string());
        } else if scale.replicas != 0
            && let Err(error) = scale.rule.accepts(scale.replicas)
        {
            // None at all is a component that was stopped.
            c.field("replicas", Code::OutOfRange, error.to_string());
        }
        c.at("rule", |c| {
            not_zero(c, "minMemory", scale.rule.min_memory.as_ref());
            not_zero(c, "cpu", scale.rule.cpu.as_ref());
        });
    });
}

pub(super) fn not_zero(c: &mut Checker, field: &str, quantity: Option<&Quantity>) {
    if quantity.is_some_and(|quantity| quantity.milli() == 0) {
        c.field(field, Code::OutOfRange, "more than nothing");
    }
}
