//! Ports and probes.

use super::{
    Class, Leaf, Merge, Mode, Rule,
    list::{Entry, merge_list},
    runtime::{changed, decide, single},
};
use crate::model::{Port, Probe};

const NEVER_CLOSES: &str = "an upgrade opens ports and never closes them";
const NAME_TAKEN: &str = "another port here has this name";
const NUMBER_TAKEN: &str = "another port here has this number and protocol";

impl Entry for Port {
    fn key(&self) -> String {
        format!("{}/{}", self.number, protocol(self))
    }

    fn second_key(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

impl Entry for Probe {
    fn key(&self) -> String {
        self.kind.name().to_owned()
    }
}

/// Ports match by number and protocol, else by number.
pub(super) fn merge_ports(merge: &mut Merge<'_>, base: &[Port], target: &[Port], live: &mut Vec<Port>) {
    let rule = if merge.mode == Mode::Replace { Rule::TAKE } else { Rule::add_only(NEVER_CLOSES) };
    merge_list(merge, base, target, live, |merge, sides, others| {
        let key = [sides.live, sides.target, sides.base].into_iter().flatten().next().map(Entry::key)?;
        let path = format!("ports/{key}");
        let (Some(wanted), Some(here)) = (sides.target, sides.live) else {
            let leaves = [sides.base, sides.target, sides.live].map(|side| side.map(port_leaf));
            if !decide(merge, &path, &rule, &leaves) {
                return sides.live.cloned();
            }
            let mut added = sides.target.cloned()?;
            if others.iter().any(|other| other.name == added.name) {
                added.name = free_name(&added, others);
            }
            return Some(added);
        };
        let mut port = here.clone();
        let clash = others.iter().any(|other| other.number == port.number && other.protocol == wanted.protocol);
        let take = |clash: bool, why| if clash { Rule::never(why) } else { Rule::TAKE };
        let before = sides.base.map(|side| &side.protocol);
        let rule = take(clash, NUMBER_TAKEN);
        single(merge, &format!("{path}/protocol"), &rule, before, &wanted.protocol, &mut port.protocol);
        let clash = others.iter().any(|other| other.name == wanted.name);
        let rule = Rule { only_undone: true, ..take(clash, NAME_TAKEN) };
        single(merge, &format!("{path}/name"), &rule, sides.base.map(|side| &side.name), &wanted.name, &mut port.name);
        let aliases =
            [sides.base, Some(wanted), Some(here)].map(|side| side.map(|side| Leaf::field(side.alias.as_ref())));
        if decide(merge, &format!("{path}/alias"), &Rule::NAMING, &aliases) {
            port.alias.clone_from(&wanted.alias);
        }
        let open = match merge.mode {
            Mode::Upgrade if !wanted.is_open => Class::Never(NEVER_CLOSES),
            _ => Class::Take,
        };
        let before = sides.base.map(|side| &side.is_open);
        single(
            merge,
            &format!("{path}/isOpen"),
            &Rule { only_undone: true, ..changed(open) },
            before,
            &wanted.is_open,
            &mut port.is_open,
        );
        Some(port)
    });
}

/// Probes follow the target.
pub(super) fn merge_probes(merge: &mut Merge<'_>, base: &[Probe], target: &[Probe], live: &mut Vec<Probe>) {
    merge_list(merge, base, target, live, |merge, sides, _| {
        let all = [sides.base, sides.target, sides.live];
        let key = all.into_iter().flatten().next().map(Entry::key)?;
        let leaves = all.map(|side| side.map(Leaf::json));
        let follow = decide(merge, &format!("probes/{key}"), &Rule::TAKE, &leaves);
        if follow { sides.target.cloned() } else { sides.live.cloned() }
    });
}

fn port_leaf(port: &Port) -> Leaf {
    let open = if port.is_open { "open" } else { "closed" };
    Leaf::new(port, format!("{} {}/{} {open}", port.name, port.number, protocol(port)))
}

fn protocol(port: &Port) -> &'static str {
    use crate::model::Protocol::{Sctp, Tcp, Udp};
    match port.protocol {
        Tcp => "TCP",
        Udp => "UDP",
        Sctp => "SCTP",
    }
}

/// A service name of at most 15 characters that no other port has: the number is part of it.
fn free_name(port: &Port, others: &[Port]) -> String {
    let suffix = format!("-{}{}", port.number, &protocol(port)[..1].to_lowercase());
    let start: String = port.name.chars().take(15 - suffix.len()).collect();
    let mut name = format!("{}{suffix}", start.trim_end_matches('-'));
    let mut attempt = 0_u32;
    while others.iter().any(|other| other.name == name) {
        attempt += 1;
        name = format!("p{attempt}{suffix}");
    }
    name
}
