//! The order in which components start.

use crate::key::ComponentKey;
use petgraph::{
    Direction,
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
};
use std::collections::{BTreeMap, BTreeSet};

/// Why components cannot be put in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Each waits for the next, and the last for the first.
    #[error("these components wait for each other: {}", shown(names))]
    Cycle {
        /// In the order in which each depends on the next; the first is named once.
        names: Vec<String>,
    },
    /// A dependency on what is not there.
    #[error("{component} depends on {dependency}, which is not among the components")]
    Unknown {
        /// Which depends.
        component: String,
        /// On what.
        dependency: ComponentKey,
    },
}

/// The components in waves: each stands in the first wave after all that it depends on. Components of one wave are in
/// the order of their keys. `names` are for errors; a component without one is named by its key.
pub fn waves(
    dependencies: &BTreeMap<ComponentKey, BTreeSet<ComponentKey>>,
    names: &BTreeMap<ComponentKey, String>,
) -> Result<Vec<Vec<ComponentKey>>, GraphError> {
    let name = |key: ComponentKey| names.get(&key).cloned().unwrap_or_else(|| key.to_string());
    let mut graph = DiGraph::<ComponentKey, ()>::new();
    let nodes: BTreeMap<ComponentKey, NodeIndex> =
        dependencies.keys().map(|&component| (component, graph.add_node(component))).collect();
    for (component, needed) in dependencies {
        for dependency in needed {
            let Some(&to) = nodes.get(dependency) else {
                return Err(GraphError::Unknown { component: name(*component), dependency: *dependency });
            };
            graph.add_edge(nodes[component], to, ());
        }
    }

    // Strongly connected components come in reverse topological order: what is depended on comes first.
    let mut wave_of: BTreeMap<ComponentKey, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<ComponentKey>> = Vec::new();
    for group in tarjan_scc(&graph) {
        let [node] = group.as_slice() else {
            return Err(cycle(&graph, &group, name));
        };
        let component = graph[*node];
        let mut wave = 0;
        for needed in graph.neighbors_directed(*node, Direction::Outgoing) {
            if needed == *node {
                return Err(cycle(&graph, &group, name));
            }
            wave = wave.max(wave_of[&graph[needed]] + 1);
        }
        wave_of.insert(component, wave);
        waves.resize(waves.len().max(wave + 1), Vec::new());
        waves[wave].push(component);
    }
    for wave in &mut waves {
        wave.sort_unstable();
    }
    Ok(waves)
}

/// One cycle within a group of components that all reach each other, from the one with the smallest key.
fn cycle(graph: &DiGraph<ComponentKey, ()>, group: &[NodeIndex], name: impl Fn(ComponentKey) -> String) -> GraphError {
    // Nodes were added in the order of their keys, so that the order of indices is that of the keys.
    let group: BTreeSet<NodeIndex> = group.iter().copied().collect();
    let mut path: Vec<NodeIndex> = group.first().copied().into_iter().collect();
    loop {
        let next = path.last().and_then(|last| {
            graph.neighbors_directed(*last, Direction::Outgoing).filter(|next| group.contains(next)).min()
        });
        let Some(next) = next else { break };
        if let Some(start) = path.iter().position(|node| *node == next) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    let first = (0..path.len()).min_by_key(|&index| path[index]).unwrap_or(0);
    path.rotate_left(first);
    GraphError::Cycle { names: path.into_iter().map(|node| name(graph[node])).collect() }
}

fn shown(names: &[String]) -> String {
    names.iter().chain(names.first()).map(String::as_str).collect::<Vec<_>>().join(" -> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn key(number: u8) -> ComponentKey {
        ComponentKey(Uuid::from_u128(u128::from(number)))
    }

    fn order(edges: &[(u8, &[u8])]) -> Result<Vec<Vec<u8>>, GraphError> {
        let dependencies = edges.iter().map(|(from, to)| (key(*from), to.iter().copied().map(key).collect())).collect();
        let names = edges.iter().map(|(from, _)| (key(*from), format!("c{from}"))).collect();
        let number = |key: ComponentKey| key.0.as_bytes()[15];
        Ok(waves(&dependencies, &names)?.into_iter().map(|wave| wave.into_iter().map(number).collect()).collect())
    }

    #[test]
    fn each_component_starts_in_the_first_wave_after_what_it_needs() {
        assert_eq!(order(&[]).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(order(&[(2, &[]), (1, &[])]).unwrap(), [vec![1, 2]]);
        assert_eq!(
            order(&[(1, &[2, 3]), (2, &[4]), (3, &[4]), (4, &[]), (5, &[4, 1]), (6, &[])]).unwrap(),
            [vec![4, 6], vec![2, 3], vec![1], vec![5]]
        );
    }

    #[test]
    fn a_cycle_is_named_in_its_order() {
        for (edges, message) in [
            (&[(1_u8, &[1_u8][..])][..], "these components wait for each other: c1 -> c1"),
            (
                &[(1, &[2]), (2, &[3]), (3, &[1]), (4, &[1])],
                "these components wait for each other: c1 -> c2 -> c3 -> c1",
            ),
            (&[(1, &[3]), (2, &[3]), (3, &[2])], "these components wait for each other: c2 -> c3 -> c2"),
        ] {
            assert_eq!(order(edges).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_dependency_on_what_is_not_there_is_refused() {
        let error = order(&[(1, &[9])]).unwrap_err();
        assert_eq!(error, GraphError::Unknown { component: "c1".to_owned(), dependency: key(9) });
    }

    proptest! {
        #[test]
        fn waves_respect_every_dependency_and_hold_each_component_once(
            needs in prop::collection::vec(prop::collection::btree_set(0_u8..20, 0..5), 0..20),
        ) {
            let dependencies: BTreeMap<ComponentKey, BTreeSet<ComponentKey>> = (0_u8..)
                .zip(&needs)
                .map(|(number, needs)| (key(number), needs.iter().filter(|need| **need < number).copied().map(key).collect()))
                .collect();
            let waves = waves(&dependencies, &BTreeMap::new()).unwrap();
            let place: BTreeMap<ComponentKey, usize> =
                waves.iter().enumerate().flat_map(|(wave, keys)| keys.iter().map(move |key| (*key, wave))).collect();
            prop_assert_eq!(place.len(), dependencies.len());
            prop_assert_eq!(waves.iter().map(Vec::len).sum::<usize>(), dependencies.len());
            for (component, needs) in &dependencies {
                let expected = needs.iter().map(|need| place[need] + 1).max().unwrap_or(0);
                prop_assert_eq!(place[component], expected);
            }
        }

        /// Any graph is put in order or shown to have a cycle, and what is shown is one.
        #[test]
        fn what_is_named_as_a_cycle_is_one(
            needs in prop::collection::vec(prop::collection::btree_set(0_u8..8, 0..4), 8),
        ) {
            let dependencies: BTreeMap<ComponentKey, BTreeSet<ComponentKey>> =
                (0_u8..).zip(&needs).map(|(number, needs)| (key(number), needs.iter().copied().map(key).collect())).collect();
            if let Err(error) = waves(&dependencies, &BTreeMap::new()) {
                let GraphError::Cycle { names } = error else { panic!("all are known") };
                for (index, name) in names.iter().enumerate() {
                    let from: ComponentKey = name.parse().unwrap();
                    let to: ComponentKey = names[(index + 1) % names.len()].parse().unwrap();
                    prop_assert!(dependencies[&from].contains(&to));
                }
            }
        }
    }
}
