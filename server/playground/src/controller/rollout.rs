//! The arithmetic of a rolling update: how many of the new and of the old there may be.

use serde_json::Value;

use crate::object::number;

/// The numbers of one ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Replicas asked for.
    pub(super) wanted: i64,
    /// Replicas available.
    pub(super) available: i64,
}

/// How many more, and how many fewer, there may be than wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slack {
    /// More than wanted.
    pub(super) surge: i64,
    /// Fewer than wanted that are available.
    pub(super) unavailable: i64,
}

impl Slack {
    /// Reads the strategy of a Deployment.
    pub(super) fn of(deployment: &Value) -> Self {
        let update = &deployment["spec"]["strategy"]["rollingUpdate"];
        let replicas = number(deployment, "/spec/replicas");
        let surge = share(&update["maxSurge"], replicas, true);
        let unavailable = share(&update["maxUnavailable"], replicas, false).min(replicas);
        Self { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable } }
    }
}

/// How many of the new there should be now.
pub(super) fn grow(wanted: i64, new: Count, old: &[Count], slack: Slack) -> i64 {
    if new.wanted >= wanted {
        return wanted;
    }
    let total: i64 = new.wanted + old.iter().map(|count| count.wanted).sum::<i64>();
    let room = wanted + slack.surge - total;
    new.wanted + room.clamp(0, wanted - new.wanted)
}

/// How many of each of the old there should be now; the first is the oldest.
pub(super) fn shrink(wanted: i64, new: Count, old: &[Count], slack: Slack) -> Vec<i64> {
    let mut result: Vec<i64> = old.iter().map(|count| count.wanted).collect();
    let total: i64 = new.wanted + result.iter().sum::<i64>();
    let least = wanted - slack.unavailable;
    let most = total - least - (new.wanted - new.available).max(0);
    if most <= 0 {
        return result;
    }
    let mut cleaned = 0;
    for (count, size) in old.iter().zip(&mut result) {
        let unhealthy = (count.wanted - count.available).max(0).min(most - cleaned);
        *size -= unhealthy;
        cleaned += unhealthy;
    }
    let available = new.available + old.iter().map(|count| count.available).sum::<i64>();
    let mut spare = (available - least).max(0);
    for size in &mut result {
        let fewer = (*size).min(spare);
        *size -= fewer;
        spare -= fewer;
    }
    result
}

/// A number or a percentage of the replicas.
fn share(value: &Value, replicas: i64, up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let exact = replicas * percent;
            if up { (exact + 99) / 100 } else { exact / 100 }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn count(wanted: i64, available: i64) -> Count {
        Count { wanted, available }
    }

    #[test]
    fn a_rollout_never_has_too_few_or_too_many() {
        for wanted in 1..8 {
            for (surge, unavailable) in [(1, 0), (0, 1), (2, 1), (3, 3)] {
                let slack = Slack { surge, unavailable };
                let (mut new, mut old) = (count(0, 0), count(wanted, wanted));
                for _ in 0..100 {
                    new.wanted = grow(wanted, new, &[old], slack);
                    assert!(new.wanted + old.wanted <= wanted + surge, "{wanted} {slack:?} {new:?} {old:?}");
                    old.wanted = shrink(wanted, new, &[old], slack)[0];
                    old.available = old.available.min(old.wanted);
                    assert!(
                        new.available + old.available >= wanted - unavailable,
                        "{wanted} {slack:?} {new:?} {old:?}"
                    );
                    new.available = (new.available + 1).min(new.wanted);
                }
                assert_eq!((new, old), (count(wanted, wanted), count(0, 0)), "{slack:?}");
            }
        }
    }

    #[test]
    fn a_rollout_that_cannot_start_keeps_the_old() {
        let slack = Slack { surge: 1, unavailable: 0 };
        assert_eq!(shrink(3, count(1, 0), &[count(3, 3)], slack), [3]);
        assert_eq!(grow(3, count(1, 0), &[count(3, 3)], slack), 1);
        assert_eq!(shrink(3, count(1, 0), &[count(1, 0), count(3, 3)], slack), [0, 3]);
    }
}
