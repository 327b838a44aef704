//! Addresses for balanced services and for ingresses.

use serde_json::{Value, json};

use super::Next;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::{deleting, items, text};
use crate::status::Status;
use crate::store::{Key, State};
use crate::write::{Part, Writer, change};

/// Gives an address to what should be reached from outside.
pub(super) fn reconcile(cluster: &Cluster, state: &mut State, key: &Key, object: &Value) -> Result<Next, Status> {
    let balanced = key.kind == Kind::Ingress || text(object, "/spec/type") == "LoadBalancer";
    if !object["spec"]["loadBalancerClass"].is_null() {
        // It is for another controller.
        return Ok(Next::Done);
    }
    let has = !items(object, "/status/loadBalancer/ingress").is_empty();
    if deleting(object) || balanced == has {
        return Ok(Next::Done);
    }
    let ingress = if balanced {
        let mut one = json!({"ip": format!("203.0.113.{}", cluster.next_address() % 254 + 1)});
        if key.kind == Kind::Service {
            one["ipMode"] = json!("VIP");
        }
        json!({"ingress": [one]})
    } else {
        json!({})
    };
    change(state, key, Part::Status, &Writer::controller("cloud-controller-manager"), |object| {
        let mut object = object.clone();
        object["status"]["loadBalancer"] = ingress;
        Ok(object)
    })?;
    Ok(Next::Done)
}
