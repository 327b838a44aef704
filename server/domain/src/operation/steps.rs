//! What the states of an operation's steps mean for what happens next.

use super::{OperationState, StepState, UpgradeState};
use std::collections::{BTreeMap, BTreeSet};

/// One step, as far as order and outcome depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// Its number, unique in its operation.
    pub number: u32,
    /// Where it is.
    pub state: StepState,
    /// The numbers of the steps that must succeed before it runs. One that is not in the list never does.
    pub needs: BTreeSet<u32>,
}

/// The steps that may be started now: they are pending, and everything that they need has succeeded. In order of
/// their numbers.
pub fn next_steps(steps: &[StepView]) -> Vec<u32> {
    let succeeded = numbers(steps, |state| state == StepState::Succeeded);
    let mut next: Vec<u32> = steps
        .iter()
        .filter(|step| step.state == StepState::Pending && step.needs.is_subset(&succeeded))
        .map(|step| step.number)
        .collect();
    next.sort_unstable();
    next
}

/// The steps that were running when their worker died. Who takes the operation over runs them again, before others.
pub fn interrupted(steps: &[StepView]) -> Vec<u32> {
    numbers(steps, |state| state == StepState::Running).into_iter().collect()
}

/// The pending steps that can no longer run once `failed` has failed: those that need it, and those that need them.
pub fn skipped_by(steps: &[StepView], failed: u32) -> Vec<u32> {
    let mut lost = BTreeSet::from([failed]);
    loop {
        let more: Vec<u32> = steps
            .iter()
            .filter(|step| !lost.contains(&step.number) && !step.needs.is_disjoint(&lost))
            .map(|step| step.number)
            .collect();
        if more.is_empty() {
            break;
        }
        lost.extend(more);
    }
    let pending = numbers(steps, |state| state == StepState::Pending);
    lost.into_iter().filter(|number| *number != failed && pending.contains(number)).collect()
}

/// What an operation has come to. Without any step it has succeeded; while a step may still run it is running, or
/// cancelled where `cancelled` says that a person stopped it.
pub fn outcome(states: impl IntoIterator<Item = StepState>, cancelled: bool) -> OperationState {
    let count = Count::of(states);
    if count.succeeded == count.all {
        OperationState::Succeeded
    } else if cancelled {
        OperationState::Cancelled
    } else if count.unfinished > 0 {
        OperationState::Running
    } else if count.succeeded == 0 {
        OperationState::Failed
    } else {
        OperationState::Partial
    }
}

/// The state of an upgrade record from its components, each of which has the states of its own steps: a component has
/// succeeded when all of its steps have, and failed otherwise. The record has succeeded or failed when all of its
/// components have, and is partial otherwise. Steps that belong to no component count for the record as a component
/// of its own. Before the operation's end it is `RUNNING`.
pub fn record_state<K: Ord>(
    steps: impl IntoIterator<Item = (K, StepState)>,
) -> (UpgradeState, BTreeMap<K, UpgradeState>) {
    let mut of_component: BTreeMap<K, Vec<StepState>> = BTreeMap::new();
    for (component, state) in steps {
        of_component.entry(component).or_default().push(state);
    }
    let components: BTreeMap<K, UpgradeState> =
        of_component.into_iter().map(|(component, states)| (component, component_state(&states))).collect();
    let count = |state: UpgradeState| components.values().filter(|other| **other == state).count();
    let all = components.len();
    let whole = if count(UpgradeState::Succeeded) == all {
        UpgradeState::Succeeded
    } else if count(UpgradeState::Pending) == all {
        UpgradeState::Pending
    } else if count(UpgradeState::Pending) + count(UpgradeState::Running) > 0 {
        UpgradeState::Running
    } else if count(UpgradeState::Failed) == all {
        UpgradeState::Failed
    } else {
        UpgradeState::Partial
    };
    (whole, components)
}

/// How much of an operation is done, from 0 to 1. A step that failed or was skipped will not move again: it counts.
pub fn progress(states: impl IntoIterator<Item = StepState>) -> f64 {
    let count = Count::of(states);
    if count.all == 0 { 1.0 } else { f64::from(count.all - count.unfinished) / f64::from(count.all) }
}

fn component_state(states: &[StepState]) -> UpgradeState {
    if states.iter().all(|state| *state == StepState::Succeeded) {
        UpgradeState::Succeeded
    } else if states.iter().all(|state| state.is_finished()) {
        UpgradeState::Failed
    } else if states.iter().all(|state| *state == StepState::Pending) {
        UpgradeState::Pending
    } else {
        UpgradeState::Running
    }
}

fn numbers(steps: &[StepView], wanted: impl Fn(StepState) -> bool) -> BTreeSet<u32> {
    steps.iter().filter(|step| wanted(step.state)).map(|step| step.number).collect()
}

#[derive(Default)]
struct Count {
    all: u32,
    succeeded: u32,
    unfinished: u32,
}

impl Count {
    fn of(states: impl IntoIterator<Item = StepState>) -> Self {
        states.into_iter().fold(Self::default(), |count, state| Self {
            all: count.all + 1,
            succeeded: count.succeeded + u32::from(state == StepState::Succeeded),
            unfinished: count.unfinished + u32::from(!state.is_finished()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StepState::{Failed, Pending, Running, Skipped, Succeeded};
    use proptest::prelude::*;

    fn steps(steps: &[(u32, StepState, &[u32])]) -> Vec<StepView> {
        steps
            .iter()
            .map(|(number, state, needs)| StepView {
                number: *number,
                state: *state,
                needs: needs.iter().copied().collect(),
            })
            .collect()
    }

    #[test]
    fn a_step_runs_only_after_all_that_it_needs_has_succeeded() {
        let diamond = |one, two, three| {
            next_steps(&steps(&[(1, one, &[]), (2, two, &[1]), (3, three, &[1]), (4, Pending, &[2, 3])]))
        };
        assert_eq!(diamond(Pending, Pending, Pending), [1]);
        assert_eq!(diamond(Running, Pending, Pending), [0; 0]);
        assert_eq!(diamond(Succeeded, Pending, Pending), [2, 3]);
        assert_eq!(diamond(Succeeded, Running, Pending), [3]);
        assert_eq!(diamond(Succeeded, Succeeded, Failed), [0; 0]);
        assert_eq!(diamond(Succeeded, Succeeded, Succeeded), [4]);
        assert_eq!(next_steps(&steps(&[(1, Pending, &[7])])), [0; 0], "what is not there never succeeds");
    }

    #[test]
    fn a_failure_takes_with_it_what_depends_on_it_and_nothing_else() {
        let all = steps(&[
            (1, Failed, &[]),
            (2, Pending, &[1]),
            (3, Pending, &[2]),
            (4, Pending, &[]),
            (5, Succeeded, &[]),
            (6, Pending, &[4, 3]),
        ]);
        assert_eq!(skipped_by(&all, 1), [2, 3, 6]);
        assert_eq!(skipped_by(&all, 4), [6]);
    }

    #[test]
    fn the_outcome_follows_from_the_steps() {
        for (states, cancelled, expected) in [
            (&[][..], false, OperationState::Succeeded),
            (&[Succeeded, Succeeded], false, OperationState::Succeeded),
            (&[Failed, Skipped], false, OperationState::Failed),
            (&[Succeeded, Failed], false, OperationState::Partial),
            (&[Succeeded, Skipped], false, OperationState::Partial),
            (&[Succeeded, Pending], false, OperationState::Running),
            (&[Succeeded, Skipped], true, OperationState::Cancelled),
            (&[Pending], true, OperationState::Cancelled),
            // Too late: there was nothing left to stop.
            (&[Succeeded], true, OperationState::Succeeded),
        ] {
            assert_eq!(outcome(states.iter().copied(), cancelled), expected, "{states:?} {cancelled}");
        }
    }

    #[test]
    fn a_record_is_partial_unless_all_of_its_components_agree() {
        for (states, expected) in [
            (&[][..], UpgradeState::Succeeded),
            (&[("a", Succeeded), ("a", Succeeded), ("b", Succeeded)], UpgradeState::Succeeded),
            (&[("a", Succeeded), ("a", Failed), ("b", Succeeded)], UpgradeState::Partial),
            (&[("a", Succeeded), ("a", Failed), ("b", Skipped)], UpgradeState::Failed),
            (&[("a", Succeeded), ("b", Pending)], UpgradeState::Running),
            (&[("a", Pending), ("b", Pending)], UpgradeState::Pending),
        ] {
            assert_eq!(record_state(states.iter().copied()).0, expected, "{states:?}");
        }
        let (_, components) = record_state([("a", Succeeded), ("b", Failed), ("c", Skipped)]);
        assert_eq!(
            components.into_iter().collect::<Vec<_>>(),
            [("a", UpgradeState::Succeeded), ("b", UpgradeState::Failed), ("c", UpgradeState::Failed)]
        );
    }

    #[test]
    fn progress_counts_what_will_not_move_again() {
        let of = |states: &[StepState]| (progress(states.iter().copied()) * 100.0).round();
        assert!((of(&[]) - 100.0).abs() < 0.1);
        assert!((of(&[Succeeded, Failed, Running, Pending]) - 50.0).abs() < 0.1);
    }

    proptest! {
        /// Whatever fails, an operation comes to an end: every step is finished at last, each is started once at most,
        /// and none before what it needs.
        #[test]
        fn every_operation_comes_to_its_end(
            needs in prop::collection::vec(prop::collection::btree_set(0_u32..12, 0..4), 1..12),
            fails in prop::collection::vec(any::<bool>(), 12),
        ) {
            let mut all: Vec<StepView> = (0_u32..)
                .zip(needs)
                .map(|(number, needs)| StepView {
                    number,
                    state: Pending,
                    needs: needs.into_iter().filter(|need| *need < number).collect(),
                })
                .collect();
            let mut rounds = 0;
            while let Some(&number) = next_steps(&all).first() {
                let index = number as usize;
                prop_assert!(all[index].needs.iter().all(|need| all[*need as usize].state == Succeeded));
                all[index].state = all[index].state.start().unwrap();
                if fails[index] {
                    all[index].state = all[index].state.fail().unwrap();
                    for skipped in skipped_by(&all, number) {
                        all[skipped as usize].state = all[skipped as usize].state.skip().unwrap();
                    }
                } else {
                    all[index].state = all[index].state.succeed().unwrap();
                }
                rounds += 1;
                prop_assert!(rounds <= 12);
            }
            prop_assert!(all.iter().all(|step| step.state.is_finished()));
            prop_assert!(outcome(all.iter().map(|step| step.state), false).is_finished());
        }
    }
}
