//! What the pods of a cluster reserve: summed rarely and piece by piece, and never a reason to call a cluster ill.
//!
//! A large cluster has so many pods that reading them all takes longer than anybody waits for the other facts. So the
//! sum is made anew only every ten minutes; each look at the cluster reads pages for a few seconds and leaves the rest
//! to the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Cluster, Error, Kind, Page, observe, quantity};

/// From the end of one sum to the beginning of the next.
const EVERY: Duration = Duration::from_mins(10);

/// How long one look reads pages.
const SLICE: Duration = Duration::from_secs(5);

/// Looks after which a sum is given up: what it has read first is too old by then.
const MAX_SLICES: u32 = 10;

/// With more pods, or pods on more nodes, than this there is no sum.
const MAX_PODS: usize = 100_000;
const MAX_NODES: usize = 10_000;

/// Memory in bytes and CPU in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_millis: u64,
}

/// What is known, by node, and the sum that is being made.
#[derive(Default)]
pub(crate) struct Sums {
    known: Option<ByNode>,
    /// When the next sum begins; at once if there never was one.
    due: Option<Instant>,
    begun: Option<Sum>,
}

type ByNode = BTreeMap<String, Reserved>;

#[derive(Default)]
struct Sum {
    by_node: ByNode,
    pods: usize,
    after: Option<String>,
    slices: u32,
}

/// How a slice ended, if not by its time.
enum Read {
    Whole,
    /// It cannot be known.
    Never,
}

impl Cluster {
    /// What the pods on these nodes reserve, as of the last sum. None until the first is whole, if pods may not be read,
    /// and after a sum that failed.
    pub(crate) async fn reserved(&self, nodes: &BTreeSet<String>) -> Option<Reserved> {
        let mut sums = self.sums().lock().await;
        if sums.begun.is_none() && sums.due.is_none_or(|due| due <= self.now()) {
            sums.begun = Some(Sum::default());
        }
        if let Some(sum) = &mut sums.begun {
            sum.slices += 1;
            let given_up = sum.slices >= MAX_SLICES;
            let known = match tokio::time::timeout(SLICE, self.read_pods(sum)).await {
                Ok(Read::Whole) => Some(std::mem::take(&mut sum.by_node)),
                Err(_) if !given_up => return sums.known.as_ref().map(|known| total(known, nodes)),
                Ok(Read::Never) | Err(_) => None,
            };
            *sums = Sums { known, due: Some(self.now() + EVERY), begun: None };
        }
        sums.known.as_ref().map(|known| total(known, nodes))
    }

    /// Reads on from where the sum is. Dropped in the middle, it loses no more than a page.
    async fn read_pods(&self, sum: &mut Sum) -> Read {
        loop {
            let page = match self.page_of_pods(sum.after.as_deref()).await {
                Ok(page) => page,
                // Where a page ended is known for some minutes only, and looks may be further apart.
                Err(Error::Expired) if sum.after.is_some() => {
                    *sum = Sum { slices: sum.slices, ..Sum::default() };
                    continue;
                }
                Err(_) => return Read::Never,
            };
            sum.pods += page.items.len();
            for pod in page.items.iter().filter(|pod| !is_over(pod)) {
                let Some(node) = pod.pointer("/spec/nodeName").and_then(Value::as_str) else { continue };
                let reserved = sum.by_node.entry(node.to_owned()).or_default();
                reserved.add(Reserved {
                    memory_bytes: requested(pod, "memory", quantity::whole),
                    cpu_millis: requested(pod, "cpu", quantity::millis),
                });
            }
            sum.after = page.next;
            if sum.after.is_none() {
                return Read::Whole;
            }
            if sum.pods >= MAX_PODS || sum.by_node.len() > MAX_NODES {
                return Read::Never;
            }
        }
    }

    /// One page, asked for once: it can wait until the next sum.
    async fn page_of_pods(&self, after: Option<&str>) -> Result<Page, Error> {
        let running = "status.phase!=Succeeded,status.phase!=Failed";
        let query = observe::query(500, None, Some(running), after);
        self.page(&Kind::new("v1", "Pod"), None, &query, false).await
    }
}

impl Reserved {
    fn add(&mut self, other: Self) {
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.cpu_millis = self.cpu_millis.saturating_add(other.cpu_millis);
    }
}

fn total(by_node: &ByNode, nodes: &BTreeSet<String>) -> Reserved {
    let mut total = Reserved::default();
    by_node.iter().filter(|(node, _)| nodes.contains(*node)).for_each(|(_, reserved)| total.add(*reserved));
    total
}

/// What a pod reserves: its containers together with its sidecars, or its largest init container if that is more.
fn requested(pod: &Value, what: &str, read: fn(&str) -> Option<u64>) -> u64 {
    let of = |container: &Value| {
        let asked = container.pointer("/resources/requests").and_then(|all| all.get(what)?.as_str());
        asked.and_then(read).unwrap_or(0)
    };
    let containers = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let is_sidecar = |container: &&Value| container.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    let inits: Vec<&Value> = containers("/spec/initContainers").collect();
    let sidecars: u64 = inits.iter().filter(|c| is_sidecar(c)).map(|c| of(c)).fold(0, u64::saturating_add);
    let first = inits.iter().filter(|c| !is_sidecar(c)).map(|c| of(c)).max().unwrap_or(0);
    let together = containers("/spec/containers").map(of).fold(sidecars, u64::saturating_add);
    let overhead = pod.pointer("/spec/overhead").and_then(|all| all.get(what)?.as_str()).and_then(read).unwrap_or(0);
    together.max(first).saturating_add(overhead)
}

fn is_over(pod: &Value) -> bool {
    matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_reserves_its_containers_or_its_largest_init_container() {
        let container = |memory: &str| json!({"resources": {"requests": {"memory": memory}}});
        let mut pod = json!({"spec": {"containers": [container("1Gi"), container("1Gi")],
                                      "initContainers": [container("3Gi")]}});
        assert_eq!(requested(&pod, "memory", quantity::whole), 3 << 30);
        pod["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
        assert_eq!(requested(&pod, "memory", quantity::whole), 5 << 30);
        assert_eq!(requested(&pod, "cpu", quantity::millis), 0);
    }
}
