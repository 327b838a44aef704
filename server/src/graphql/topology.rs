//! Topologies: components and how they depend on each other.

use super::{component::Component, id};
use crate::service::find_application::Whole;
use async_graphql::{ID, SimpleObject};
use std::sync::Arc;

/// The components of an application and how they depend on each other.
#[derive(Debug, Clone, SimpleObject)]
pub struct Topology {
    /// The components.
    pub nodes: Vec<TopologyNode>,
    /// Which depends on which.
    pub edges: Vec<TopologyEdge>,
}

/// A component of a topology.
#[derive(Debug, Clone, SimpleObject)]
pub struct TopologyNode {
    /// The component.
    pub component: Component,
}

/// A dependency.
#[derive(Debug, Clone, SimpleObject)]
pub struct TopologyEdge {
    /// The component that depends.
    pub from: ID,
    /// The component that it depends on.
    pub to: ID,
}

impl Topology {
    /// That of an application.
    pub fn of(whole: &Arc<Whole>) -> Self {
        let edges = whole.components.iter().flat_map(|row| {
            let dependencies = whole.specs.get(&row.key.0).into_iter().flat_map(|spec| &spec.dependencies);
            dependencies.filter_map(|key| {
                let to = whole.components.iter().find(|other| other.key.0 == *key)?;
                Some(TopologyEdge { from: id::encode(row.id), to: id::encode(to.id) })
            })
        });
        let edges = edges.collect();
        let nodes = Component::all(whole).into_iter().map(|component| TopologyNode { component }).collect();
        Self { nodes, edges }
    }
}
