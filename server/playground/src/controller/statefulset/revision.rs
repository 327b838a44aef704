//! The pod templates that a StatefulSet has and had: one ControllerRevision for each, as the controller keeps them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::children;
use crate::kind::Kind;
use crate::object::{controller_reference, label, map_mut, name, namespace, number, text};
use crate::status::Status;
use crate::store::{Key, Object, State};
use crate::write::{Part, change, create};

const HASH: &str = "controller.kubernetes.io/hash";

/// The revision that pods have until they are replaced, and the one that they get.
pub(super) struct Revisions {
    /// Of the pods below the partition, and of those whose turn has not come.
    pub(super) current: Object,
    /// Of the set's present template.
    pub(super) update: Object,
}

impl Revisions {
    /// Finds both, and keeps the history: a new template makes a revision, one that comes back is the latest again.
    pub(super) fn of(state: &mut State, set: &Value) -> Result<Self, Status> {
        let mut all = list(state, set)?;
        let hash = children::hash(&set["spec"]["template"]);
        let called = format!("{}-{hash}", name(set));
        let latest = all.last().map_or(0, |one| number(one, "/revision"));
        let update = match all.iter().position(|one| name(one) == called) {
            Some(at) if at + 1 == all.len() => all[at].clone(),
            Some(at) => {
                let key = Key::of(Kind::ControllerRevision, &all[at]);
                change(state, &key, Part::Main, &children::writer(), |revision| {
                    let mut revision = revision.clone();
                    revision["revision"] = json!(latest + 1);
                    Ok(revision)
                })?
                .object
            }
            None => {
                let update = make(state, set, &called, &hash, latest + 1)?;
                all.push(update.clone());
                update
            }
        };
        let now = text(set, "/status/currentRevision");
        let current = all.iter().find(|one| name(one) == now).cloned().unwrap_or_else(|| update.clone());
        Ok(Self { current, update })
    }

    /// Forgets what no pod has and the history is too short for.
    pub(super) fn forget(&self, state: &mut State, set: &Value, pods: &[Object]) -> Result<(), Status> {
        let mut live: BTreeSet<&str> = pods.iter().map(|pod| label(pod, super::REVISION)).collect();
        live.extend([name(&self.current), name(&self.update)]);
        let mut rest = list(state, set)?;
        rest.retain(|one| !live.contains(name(one)));
        let limit = usize::try_from(number(set, "/spec/revisionHistoryLimit")).unwrap_or(0);
        let surplus = rest.len().saturating_sub(limit);
        for revision in &rest[..surplus] {
            children::remove(state, Kind::ControllerRevision, revision)?;
        }
        Ok(())
    }
}

/// The set as it was, or is, at a revision.
pub(super) fn at(set: &Value, revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    map_mut(&mut template, &[]).remove("$patch");
    let mut set = set.clone();
    set["spec"]["template"] = template;
    set
}

fn list(state: &mut State, set: &Value) -> Result<Vec<Object>, Status> {
    let mut all = children::of(state, Kind::ControllerRevision, Kind::StatefulSet, set)?;
    all.sort_by_key(|one| (number(one, "/revision"), text(one, "/metadata/creationTimestamp").to_owned()));
    Ok(all)
}

fn make(state: &mut State, set: &Value, called: &str, hash: &str, number: i64) -> Result<Object, Status> {
    let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
    labels[HASH] = json!(hash);
    let mut template = set["spec"]["template"].clone();
    template["$patch"] = json!("replace");
    let body = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": called, "labels": labels, "annotations": set["metadata"]["annotations"],
            "ownerReferences": [controller_reference(Kind::StatefulSet, set)],
        },
        "data": {"spec": {"template": template}}, "revision": number,
    });
    Ok(create(state, Kind::ControllerRevision, namespace(set), body, &children::writer())?.object)
}
