//! Services and Ingresses: whether they have an address.

use super::{Live, Verdict, event};
use crate::json::{list, text};

pub(super) fn service(live: &Live<'_>) -> Verdict {
    if text(&live.object, "/spec/type") == "LoadBalancer" {
        addressed(live, "load balancer")
    } else {
        Verdict::healthy("Present", "it is in the cluster")
    }
}

pub(super) fn ingress(live: &Live<'_>) -> Verdict {
    addressed(live, "ingress controller")
}

/// Some controllers give a host name and no IP address.
fn addressed(live: &Live<'_>, giver: &str) -> Verdict {
    let addresses = list(&live.object, "/status/loadBalancer/ingress").iter();
    let address =
        addresses.flat_map(|entry| [text(entry, "/ip"), text(entry, "/hostname")]).find(|address| !address.is_empty());
    match address {
        Some(address) => Verdict::healthy("Addressed", format!("it is reached at {address}")),
        None => event::verdict(&live.events)
            .unwrap_or_else(|| Verdict::progressing("NoAddress", format!("the {giver} has given it no address yet"))),
    }
}
