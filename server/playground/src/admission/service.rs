//! Addresses and ports of Services: given, kept, released.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{items, map_mut, name, set_default, text, uid};
use crate::status::{Cause, Status};
use crate::store::{Object, State};

/// The ports of nodes that Services get.
const NODE_PORTS: RangeInclusive<i64> = 30_000..=32_767;

/// Carries over what was given to a Service and what a new state leaves out.
pub(super) fn carry(old: &Value, new: &mut Value) {
    if has_address(old) && has_address(new) {
        if text(new, "/spec/clusterIP").is_empty() {
            new["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
        }
        for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(field) {
                set_default(map_mut(new, &["spec"]), field, value.clone());
            }
        }
    }
    if has_ports(old) && has_ports(new) {
        let asked = ports(new);
        let taken: BTreeSet<i64> = ports(old).intersection(&asked).copied().collect();
        for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
            let before = items(old, "/spec/ports").iter().rfind(|one| text(one, "/name") == text(port, "/name"));
            let before = before.and_then(|one| one["nodePort"].as_i64()).filter(|port| !taken.contains(port));
            if let Some(before) = before.filter(|_| port["nodePort"].as_i64().unwrap_or(0) == 0) {
                port["nodePort"] = json!(before);
            }
        }
    }
    if checks_health(old) && checks_health(new) && new["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        new["spec"]["healthCheckNodePort"] = old["spec"]["healthCheckNodePort"].clone();
    }
}

/// Takes from a Service that changes its type what the new one has no use for, unless it was changed too.
pub(super) fn release(old: &Value, new: &mut Value) {
    let drop = |new: &mut Value, fields: &[&str]| {
        for field in fields {
            if old["spec"].get(*field) == new["spec"].get(*field) {
                map_mut(new, &["spec"]).remove(*field);
            }
        }
    };
    if has_address(old) && !has_address(new) {
        drop(new, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if has_ports(old) && !has_ports(new) {
        if ports(old) == ports(new) {
            for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
                map_mut(port, &[]).remove("nodePort");
            }
        }
        drop(new, &["externalTrafficPolicy"]);
    }
    if checks_health(old) && !checks_health(new) {
        drop(new, &["healthCheckNodePort"]);
    }
    if old["spec"]["type"] == "LoadBalancer" && new["spec"]["type"] != "LoadBalancer" {
        drop(new, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
        new["status"]["loadBalancer"] = json!({});
    }
}

/// Gives a Service the address and the ports that its type needs and that it does not have.
pub(super) fn allocate(state: &State, service: &mut Value) -> Result<(), Status> {
    if !has_address(service) {
        return Ok(());
    }
    let mut others = state.list(Kind::Service, None);
    others.retain(|other| uid(other) != uid(service));
    address(&others, service)?;
    let mut taken: BTreeSet<i64> = others.iter().flat_map(|other| ports(other)).collect();
    taken.extend(others.iter().filter_map(|other| other["spec"]["healthCheckNodePort"].as_i64()));
    let called = name(service).to_owned();
    let next = |taken: &mut BTreeSet<i64>| {
        let free = NODE_PORTS.into_iter().find(|port| !taken.contains(port));
        let free = free.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
        taken.insert(free);
        Ok::<_, Status>(free)
    };
    if has_ports(service) {
        let gives =
            service["spec"]["type"] != "LoadBalancer" || service["spec"]["allocateLoadBalancerNodePorts"] != false;
        for index in 0..items(service, "/spec/ports").len() {
            let asked = service["spec"]["ports"][index]["nodePort"].as_i64().unwrap_or(0);
            let why = if asked != 0 && !NODE_PORTS.contains(&asked) {
                "provided port is not in the valid range. The range of valid ports is 30000-32767"
            } else if taken.contains(&asked) {
                "provided port is already allocated"
            } else {
                continue;
            };
            let cause = Cause::invalid(format!("spec.ports[{index}].nodePort"), &json!(asked), why);
            return Err(Status::invalid(Kind::Service, &called, &[cause]));
        }
        taken.extend(ports(service));
        for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
            if gives && port["nodePort"].as_i64().unwrap_or(0) == 0 {
                port["nodePort"] = json!(next(&mut taken)?);
            }
        }
    }
    if checks_health(service) && service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        service["spec"]["healthCheckNodePort"] = json!(next(&mut taken)?);
    }
    Ok(())
}

fn address(others: &[Object], service: &mut Value) -> Result<(), Status> {
    let taken: BTreeSet<&str> = others.iter().map(|service| text(service, "/spec/clusterIP")).collect();
    let asked = text(service, "/spec/clusterIP");
    if asked.is_empty() {
        let free = (2_u32..65_000).map(|n| format!("10.96.{}.{}", n / 256, n % 256));
        let Some(address) = free.into_iter().find(|address| !taken.contains(address.as_str())) else {
            return Err(Status::internal("failed to allocate a serviceIP: range is full"));
        };
        service["spec"]["clusterIP"] = json!(address);
    } else if asked != "None" && taken.contains(asked) {
        let why = format!("failed to allocate IP {asked}: provided IP is already allocated");
        let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), &why);
        return Err(Status::invalid(Kind::Service, name(service), &[cause]));
    }
    let address = service["spec"]["clusterIP"].clone();
    let spec = map_mut(service, &["spec"]);
    set_default(spec, "clusterIPs", json!([address]));
    set_default(spec, "ipFamilies", json!(["IPv4"]));
    set_default(spec, "ipFamilyPolicy", "SingleStack");
    Ok(())
}

fn has_address(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName"
}

fn has_ports(service: &Value) -> bool {
    matches!(text(service, "/spec/type"), "NodePort" | "LoadBalancer")
}

fn checks_health(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
}

fn ports(service: &Value) -> BTreeSet<i64> {
    let ports = items(service, "/spec/ports").iter().filter_map(|port| port["nodePort"].as_i64());
    ports.filter(|port| *port > 0).collect()
}
