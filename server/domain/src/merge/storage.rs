//! Volumes.

use super::{
    Class, Leaf, Merge, Mode, Rule,
    list::{Entry, Sides, merge_list},
    runtime::{changed, decide, quantity, single},
};
use crate::{model::Volume, quantity::Quantity};
use std::cmp::Ordering;

const KEPT: &str = "an upgrade takes no volume away";
const RENAMED: &str = "under another name an empty volume would be mounted";
const CANNOT_SHRINK: &str = "Kubernetes can only let a volume grow";
const CANNOT_CONVERT: &str = "Kubernetes cannot make another kind of volume of it";
const OTHER_OWNER: &str = "the files of another component's volume would be mounted instead";
const OWNER_MISSING: &str = "the component whose volume it is is not here";
const PATH_TAKEN: &str = "another volume is mounted at this path";

impl Entry for Volume {
    fn key(&self) -> String {
        self.name.clone()
    }

    fn second_key(&self) -> Option<String> {
        Some(self.mount_path.clone())
    }
}

impl Merge<'_> {
    /// The volumes of a component that takes over those that an ended installation left, as an upgrade would have it:
    /// what persists stays as it is, and the rest is as wanted.
    pub(crate) fn volumes_after(&mut self, left: &[Volume], wanted: &[Volume]) -> Vec<Volume> {
        let is_here = |volume: &Volume| volume.shared_from.is_none_or(|owner| self.members.contains_key(&owner));
        let persists = |volume: &&Volume| volume.kind.is_persistent() && is_here(volume);
        let mut volumes: Vec<Volume> = left.iter().filter(persists).cloned().collect();
        merge_volumes(self, &[], wanted, &mut volumes);
        volumes
    }
}

/// Volumes match by name, else by mount path. What is mounted here stays; what Kubernetes can do is offered.
pub(super) fn merge_volumes(merge: &mut Merge<'_>, base: &[Volume], target: &[Volume], live: &mut Vec<Volume>) {
    merge_list(merge, base, target, live, |merge, sides, others| {
        let (Some(wanted), Some(here)) = (sides.target, sides.live) else {
            return add_or_keep(merge, sides, others);
        };
        let mut volume = here.clone();
        let path = format!("volumes/{}", here.name);
        let exact = merge.mode == Mode::Replace;
        let never = |why| Rule::never(why);
        let taken = others.iter().any(|other| other.mount_path == wanted.mount_path);
        let base = sides.base;

        single(merge, &format!("{path}/name"), &never(RENAMED), base.map(|v| &v.name), &wanted.name, &mut volume.name);
        let rule = changed(if taken { Class::Never(PATH_TAKEN) } else { Class::Offer });
        let before = base.map(|side| &side.mount_path);
        single(merge, &format!("{path}/mountPath"), &rule, before, &wanted.mount_path, &mut volume.mount_path);
        let leaves = [base, Some(wanted), Some(here)].map(|side| side.map(|v| Leaf::field(v.sub_path.as_ref())));
        if decide(merge, &format!("{path}/subPath"), &Rule::OFFER, &leaves) {
            volume.sub_path.clone_from(&wanted.sub_path);
        }
        let before = base.map(|side| &side.read_only);
        single(merge, &format!("{path}/readOnly"), &Rule::OFFER, before, &wanted.read_only, &mut volume.read_only);

        let persists = here.kind.is_persistent() || wanted.kind.is_persistent();
        let rule = if persists { never(CANNOT_CONVERT) } else { Rule::OFFER };
        single(merge, &format!("{path}/kind"), &rule, base.map(|side| &side.kind), &wanted.kind, &mut volume.kind);
        let leaves = [base, Some(wanted), Some(here)].map(|side| side.map(|v| quantity(v.size.as_ref())));
        let rule = if here.kind.is_persistent() && !grows(here.size.as_ref(), wanted.size.as_ref()) {
            never(CANNOT_SHRINK)
        } else {
            Rule::OFFER
        };
        if decide(merge, &format!("{path}/size"), &rule, &leaves) {
            volume.size.clone_from(&wanted.size);
        }
        let leaves = [base, Some(wanted), Some(here)].map(|side| side.map(|v| Leaf::field(v.shared_from.as_ref())));
        if decide(merge, &format!("{path}/sharedFrom"), &never(OTHER_OWNER), &leaves) {
            volume.shared_from = wanted.shared_from;
        }
        // Classes differ from cluster to cluster: only a deployment of what was composed here compares them.
        if exact {
            let leaves =
                [None, wanted.storage_class.as_ref().map(Leaf::json), here.storage_class.as_ref().map(Leaf::json)];
            if decide(merge, &format!("{path}/storageClass"), &Rule::TAKE, &leaves) {
                volume.storage_class.clone_from(&wanted.storage_class);
            }
        }
        Some(volume)
    });
}

fn add_or_keep(merge: &mut Merge<'_>, sides: &Sides<'_, Volume, Volume>, others: &[Volume]) -> Option<Volume> {
    let name = [sides.live, sides.target, sides.base].into_iter().flatten().next().map(Entry::key)?;
    let blocked = sides.target.and_then(|wanted| {
        let owner_missing = wanted.shared_from.is_some_and(|owner| !merge.members.contains_key(&owner));
        let taken = others.iter().any(|other| other.mount_path == wanted.mount_path);
        if owner_missing { Some(OWNER_MISSING) } else { taken.then_some(PATH_TAKEN) }
    });
    let rule = match blocked {
        Some(why) => Rule::never(why),
        None => Rule { remove: Class::Never(KEPT), ..Rule::CONFIGURATION },
    };
    let leaves = [sides.base, sides.target, sides.live].map(|side| side.map(volume_leaf));
    if decide(merge, &format!("volumes/{name}"), &rule, &leaves) { sides.target.cloned() } else { sides.live.cloned() }
}

fn grows(here: Option<&Quantity>, wanted: Option<&Quantity>) -> bool {
    match (here, wanted) {
        (Some(here), Some(wanted)) => wanted.cmp_amount(here) == Ordering::Greater,
        _ => false,
    }
}

fn volume_leaf(volume: &Volume) -> Leaf {
    let size = volume.size.as_ref().map(|size| format!(" of {size}")).unwrap_or_default();
    let kind = format!("{:?}", volume.kind).to_lowercase();
    let content = Volume { storage_class: None, ..volume.clone() };
    Leaf::new(&content, format!("{kind} volume{size} at {}", volume.mount_path))
}
