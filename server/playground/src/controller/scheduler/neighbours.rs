//! What pods want of each other: together, apart, spread.

use std::collections::BTreeMap;

use serde_json::Value;

use super::around::Around;
use super::{Misfit, fit};
use crate::object::{at, deleting, items, label, name, namespace, number, text};
use crate::selector::Labels;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Why a pod cannot be on a node with the pods that are there.
pub(super) fn misfit(around: &Around, node: &Value, pod: &Value) -> Option<Misfit> {
    spread(around, node, pod).or_else(|| company(around, node, pod))
}

/// How much a pod likes a node among those that it can be on; what is even is for the number of pods to decide.
pub(super) fn liking(around: &Around, node: &Value, pod: &Value) -> i64 {
    let nodes: i64 = items(pod, &format!("/spec/affinity/nodeAffinity/{PREFERRED}"))
        .iter()
        .filter(|one| fit::is_term(node, &one["preference"]))
        .map(|one| number(one, "/weight"))
        .sum();
    let pods = |kind: &str| -> i64 {
        let terms = items(pod, &format!("/spec/affinity/{kind}/{PREFERRED}"));
        let met = terms.iter().map(|one| {
            let term = &one["podAffinityTerm"];
            let here = label(node, text(term, "/topologyKey"));
            let there = around.pods.iter().filter(|other| {
                !here.is_empty()
                    && chooses(around, term, pod, other)
                    && around.place(other, text(term, "/topologyKey")) == here
            });
            number(one, "/weight") * i64::try_from(there.count()).unwrap_or(i64::MAX)
        });
        met.sum()
    };
    let crowd: i64 = items(pod, "/spec/topologySpreadConstraints")
        .iter()
        .filter(|one| one["whenUnsatisfiable"] == "ScheduleAnyway")
        .map(|one| counts(around, one, pod).get(label(node, text(one, "/topologyKey"))).copied().unwrap_or(0))
        .sum();
    let disliked = !fit::is_tolerated(node, pod, |taint| taint["effect"] == "PreferNoSchedule");
    nodes + pods("podAffinity") - pods("podAntiAffinity") - crowd - 100 * i64::from(disliked)
}

/// Topology spread that must hold.
fn spread(around: &Around, node: &Value, pod: &Value) -> Option<Misfit> {
    for constraint in items(pod, "/spec/topologySpreadConstraints") {
        if constraint["whenUnsatisfiable"] != "DoNotSchedule" {
            continue;
        }
        let here = label(node, text(constraint, "/topologyKey"));
        if here.is_empty() {
            return Some(Misfit::own("node(s) didn't match pod topology spread constraints (missing required label)"));
        }
        let counts = counts(around, constraint, pod);
        let few = i64::try_from(counts.len()).unwrap_or(i64::MAX) < number(constraint, "/minDomains");
        let least = if few { 0 } else { counts.values().copied().min().unwrap_or(0) };
        let own = i64::from(Labels::of(&constraint["labelSelector"]).matches(pod));
        let skew = counts.get(here).copied().unwrap_or(0) + own - least;
        if skew > number(constraint, "/maxSkew") {
            return Some(Misfit::others("node(s) didn't match pod topology spread constraints"));
        }
    }
    None
}

/// The pods that a spread constraint counts, by part of its topology.
fn counts<'a>(around: &'a Around, constraint: &Value, pod: &Value) -> BTreeMap<&'a str, i64> {
    let topology = text(constraint, "/topologyKey");
    let selector = Labels::of(&constraint["labelSelector"]);
    let mut counts = BTreeMap::new();
    for node in &around.nodes {
        let honored = constraint["nodeAffinityPolicy"] == "Ignore" || fit::is_wanted(node, pod);
        let tainted = constraint["nodeTaintsPolicy"] == "Honor"
            && !fit::is_tolerated(node, pod, |taint| taint["effect"] != "PreferNoSchedule");
        let here = label(node, topology);
        if !honored || tainted || here.is_empty() {
            continue;
        }
        let there = around.on(node).filter(|other| {
            namespace(other) == namespace(pod)
                && !deleting(other)
                && constraint["labelSelector"].is_object()
                && selector.matches(other)
        });
        *counts.entry(here).or_default() += i64::try_from(there.count()).unwrap_or(i64::MAX);
    }
    counts
}

/// Affinity and anti-affinity that must hold, those of the pods that are there among them.
fn company(around: &Around, node: &Value, pod: &Value) -> Option<Misfit> {
    let terms = |pod: &Value, kind: &str| items(pod, &format!("/spec/affinity/{kind}/{REQUIRED}")).to_vec();
    let together = terms(pod, "podAffinity");
    let wanted = |other: &Value| together.iter().all(|term| chooses(around, term, pod, other));
    let met = together.iter().all(|term| {
        let topology = text(term, "/topologyKey");
        let here = label(node, topology);
        !here.is_empty() && around.pods.iter().any(|other| wanted(other) && around.place(other, topology) == here)
    });
    // The first of a group that wants to be together goes where the topologies are.
    let first = !around.pods.iter().any(|other| wanted(other)) && wanted(pod);
    let labelled = together.iter().all(|term| !label(node, text(term, "/topologyKey")).is_empty());
    let founds = first && labelled;
    if !met && !founds {
        return Some(Misfit::own("node(s) didn't match pod affinity rules"));
    }
    let apart = |of: &Value, from: &Value, other: &Value| {
        terms(of, "podAntiAffinity").iter().any(|term| {
            let topology = text(term, "/topologyKey");
            let here = label(node, topology);
            !here.is_empty() && chooses(around, term, of, from) && around.place(other, topology) == here
        })
    };
    if around.pods.iter().any(|other| apart(pod, other, other)) {
        return Some(Misfit::others("node(s) didn't match pod anti-affinity rules"));
    }
    if around.pods.iter().any(|other| apart(other, pod, other)) {
        return Some(Misfit::others("node(s) didn't satisfy existing pods anti-affinity rules"));
    }
    None
}

/// Whether a term of a pod's affinity is about another pod.
fn chooses(around: &Around, term: &Value, of: &Value, other: &Value) -> bool {
    let named = items(term, "/namespaces");
    let spaces = &term["namespaceSelector"];
    let space = namespace(other);
    let at_home = named.is_empty() && spaces.is_null() && space == namespace(of);
    let by_name = named.iter().any(|one| one == space);
    let by_labels =
        spaces.is_object() && around.namespaces.iter().any(|one| name(one) == space && Labels::of(spaces).matches(one));
    let labels = at(term, "/labelSelector");
    (at_home || by_name || by_labels) && labels.is_object() && Labels::of(labels).matches(other)
}
