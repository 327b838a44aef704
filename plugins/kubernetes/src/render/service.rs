//! Services: the name under which a component is reached, and the headless one that names the pods of a StatefulSet.

use super::{Context, labels};
use ropeway_domain::{
    model::{Port, WorkloadKind},
    rendering::ComponentModel,
};
use serde_json::{Map, Value as Json, json};

/// The Service that gives names to the pods of a StatefulSet.
pub(super) fn headless_name(component: &ComponentModel) -> String {
    format!("{}-headless", component.name)
}

/// Renders the Services of a component.
pub(super) fn render(context: &Context<'_>, component: &ComponentModel) -> Vec<Json> {
    let mut services = Vec::new();
    if component.kind == WorkloadKind::StatefulSet {
        // Peers find each other before they are ready.
        let mut spec = spec(component, component.ports.iter());
        spec.insert("clusterIP".to_owned(), Json::from("None"));
        spec.insert("publishNotReadyAddresses".to_owned(), Json::Bool(true));
        services.push(service(context, component, &headless_name(component), &spec));
    }
    if component.ports.iter().any(|port| port.is_open) {
        let spec = spec(component, component.ports.iter().filter(|port| port.is_open));
        services.push(service(context, component, &component.name, &spec));
    }
    services
}

fn spec<'a>(component: &ComponentModel, ports: impl Iterator<Item = &'a Port>) -> Map<String, Json> {
    let ports: Vec<_> = ports
        .map(|port| json!({ "name": port.name, "port": port.number, "targetPort": port.number, "protocol": port.protocol }))
        .collect();
    let mut spec = Map::new();
    spec.insert("selector".to_owned(), labels::selector(component));
    if !ports.is_empty() {
        spec.insert("ports".to_owned(), Json::from(ports));
    }
    spec
}

fn service(context: &Context<'_>, component: &ComponentModel, name: &str, spec: &Map<String, Json>) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": context.target.namespace,
            "labels": labels::of_component(context, component),
        },
        "spec": spec,
    })
}
