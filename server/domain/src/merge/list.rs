//! Lists whose entries have keys, merged entry by entry.

use super::Merge;

/// An entry of a list.
pub(crate) trait Entry {
    /// By which the sides of an entry are found first; unique in its list.
    fn key(&self) -> String;

    /// By which an entry is found where its key is not.
    fn second_key(&self) -> Option<String> {
        None
    }
}

/// The three sides of an entry. At least one is there.
pub(crate) struct Sides<'l, T, L> {
    pub(crate) base: Option<&'l T>,
    pub(crate) target: Option<&'l T>,
    pub(crate) live: Option<&'l L>,
}

/// Merges a list. `one` is called once for each entry of any side, with the other entries that will be here; it returns
/// what shall be here of it. Entries that are here keep their order, new ones follow in the order of the target.
pub(crate) fn merge_list<T: Entry, L: Entry + Clone>(
    merge: &mut Merge<'_>,
    base: &[T],
    target: &[T],
    live: &mut Vec<L>,
    mut one: impl FnMut(&mut Merge<'_>, &Sides<'_, T, L>, &[L]) -> Option<L>,
) {
    let before = live.clone();
    let target_live = pair(target, &before, |_| true, |_| true);
    let target_base = pair(target, base, |_| true, |_| true);
    let base_live =
        pair(base, &before, |base| !target_base.contains(&Some(base)), |live| !target_live.contains(&Some(live)));

    // Each entry once, with where it stands here.
    let mut entries = Vec::new();
    for (index, entry) in target.iter().enumerate() {
        entries.push((target_base[index].map(|base_index| &base[base_index]), Some(entry), target_live[index]));
    }
    for (index, entry) in base.iter().enumerate() {
        if !target_base.contains(&Some(index)) {
            entries.push((Some(entry), None, base_live[index]));
        }
    }
    for index in 0..before.len() {
        if !target_live.contains(&Some(index)) && !base_live.contains(&Some(index)) {
            entries.push((None, None, Some(index)));
        }
    }

    let mut slots: Vec<Option<L>> = before.iter().cloned().map(Some).collect();
    for (base, target, index) in entries {
        let here = |(other, slot): (usize, &Option<L>)| if Some(other) == index { None } else { slot.clone() };
        let others: Vec<L> = slots.iter().enumerate().filter_map(here).collect();
        let sides = Sides { base, target, live: index.map(|index| &before[index]) };
        let result = one(merge, &sides, &others);
        match index {
            Some(index) => slots[index] = result,
            None => slots.push(result),
        }
    }
    *live = slots.into_iter().flatten().collect();
}

/// For each of `wanted` that counts, the one of `offered` that counts and has its key, else its second key. None of
/// `offered` is found twice.
fn pair<A: Entry, B: Entry>(
    wanted: &[A],
    offered: &[B],
    wanted_counts: impl Fn(usize) -> bool,
    offered_counts: impl Fn(usize) -> bool,
) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; wanted.len()];
    for pass in [first, second] {
        for (index, entry) in wanted.iter().enumerate() {
            if found[index].is_some() || !wanted_counts(index) {
                continue;
            }
            let (Some(key), other) = pass(entry) else { continue };
            let partner = offered.iter().enumerate().find(|(at, candidate)| {
                offered_counts(*at) && !found.contains(&Some(*at)) && {
                    if other { candidate.second_key() == Some(key.clone()) } else { candidate.key() == key }
                }
            });
            found[index] = partner.map(|(at, _)| at);
        }
    }
    found
}

fn first<A: Entry>(entry: &A) -> (Option<String>, bool) {
    (Some(entry.key()), false)
}

fn second<A: Entry>(entry: &A) -> (Option<String>, bool) {
    (entry.second_key(), true)
}
