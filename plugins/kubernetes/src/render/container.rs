//! The one container of a component's pods.

use super::Problems;
use ropeway_domain::{
    Quantity,
    model::{Probe, ProbeAction, ProbeKind, Resources},
    rendering::ComponentModel,
};
use serde_json::{Map, Value as Json, json};

/// Renders the container, but for its environment and mounts.
pub(super) fn render(index: usize, component: &ComponentModel, problems: &mut Problems) -> Map<String, Json> {
    let mut container = Map::new();
    container.insert("name".to_owned(), Json::from(container_name(component)));
    container.insert("image".to_owned(), Json::from(component.image.as_str()));
    for (field, words) in [("command", &component.command), ("args", &component.arguments)] {
        if !words.is_empty() {
            container.insert(field.to_owned(), words.iter().map(String::as_str).collect());
        }
    }
    if !component.ports.is_empty() {
        let ports = component
            .ports
            .iter()
            .map(|port| json!({ "name": port.name, "containerPort": port.number, "protocol": port.protocol }));
        container.insert("ports".to_owned(), ports.collect());
    }
    for (position, probe) in component.probes.iter().enumerate() {
        let field = match probe.kind {
            ProbeKind::Startup => "startupProbe",
            ProbeKind::Readiness => "readinessProbe",
            ProbeKind::Liveness => "livenessProbe",
        };
        if container.insert(field.to_owned(), render_probe(probe)).is_some() {
            let path = format!("/components/{index}/probes/{position}/kind");
            problems.error(&path, "probe.twice", "a component has at most one probe of each kind".to_owned());
        }
    }
    if let Some(resources) = render_resources(&component.resources) {
        container.insert("resources".to_owned(), resources);
    }
    container
}

/// A slug is a DNS label, which is what the name of a container must be.
fn container_name(component: &ComponentModel) -> &str {
    if component.slug.is_empty() { &component.name } else { &component.slug }
}

fn render_probe(probe: &Probe) -> Json {
    let (field, action) = match &probe.action {
        ProbeAction::Http { path, port, scheme } => {
            ("httpGet", json!({ "path": path, "port": port, "scheme": scheme }))
        }
        ProbeAction::Tcp { port } => ("tcpSocket", json!({ "port": port })),
        ProbeAction::Grpc { port, service: None } => ("grpc", json!({ "port": port })),
        ProbeAction::Grpc { port, service: Some(service) } => ("grpc", json!({ "port": port, "service": service })),
        ProbeAction::Exec { command } => ("exec", json!({ "command": command })),
    };
    json!({
        field: action,
        "initialDelaySeconds": probe.initial_delay_seconds,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    })
}

fn render_resources(resources: &Resources) -> Option<Json> {
    let amounts = |cpu: Option<&Quantity>, memory: Option<&Quantity>| -> Map<String, Json> {
        [("cpu", cpu), ("memory", memory)]
            .into_iter()
            .filter_map(|(name, amount)| Some((name.to_owned(), Json::from(amount?.as_str()))))
            .collect()
    };
    let rendered: Map<String, Json> = [
        ("requests", amounts(resources.cpu_request.as_ref(), resources.memory_request.as_ref())),
        ("limits", amounts(resources.cpu_limit.as_ref(), resources.memory_limit.as_ref())),
    ]
    .into_iter()
    .filter(|(_, amounts)| !amounts.is_empty())
    .map(|(field, amounts)| (field.to_owned(), Json::Object(amounts)))
    .collect();
    (!rendered.is_empty()).then_some(Json::Object(rendered))
}
