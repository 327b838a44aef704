//! Collects problems while it walks.

use super::{Code, Problem};
use std::{collections::BTreeSet, fmt::Display};

/// Collects problems, and knows where the check is.
#[derive(Default)]
pub(super) struct Checker {
    path: Vec<String>,
    problems: Vec<Problem>,
}

impl Checker {
    /// Runs checks of what is at `segment` of where the check is.
    pub(super) fn at<T>(&mut self, segment: &(impl Display + ?Sized), check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment.to_string());
        let result = check(self);
        self.path.pop();
        result
    }

    /// Runs checks of every entry of a list, and of how many there are.
    pub(super) fn each<T>(&mut self, field: &str, list: &[T], most: usize, mut check: impl FnMut(&mut Self, &T)) {
        self.at(field, |c| {
            c.most(list.len(), most);
            for (index, entry) in list.iter().enumerate().take(most) {
                c.at(&index, |c| check(c, entry));
            }
        });
    }

    /// Reports a problem where the check is.
    pub(super) fn problem(&mut self, code: Code, message: impl Into<String>) {
        self.problems.push(Problem { path: self.path.clone(), code, message: message.into() });
    }

    /// Reports a problem at a field of where the check is.
    pub(super) fn field(&mut self, field: &str, code: Code, message: impl Into<String>) {
        self.at(field, |c| c.problem(code, message));
    }

    /// Reports a number of entries that is too great.
    pub(super) fn most(&mut self, count: usize, most: usize) {
        if count > most {
            self.problem(Code::TooMany, format!("at most {most} entries, not {count}"));
        }
    }

    /// Reports more bytes than fit.
    pub(super) fn size(&mut self, bytes: usize, most: usize) {
        if bytes > most {
            self.problem(Code::TooLong, format!("at most {most} bytes, not {bytes}"));
        }
    }

    /// Reports a number at a field that is out of its bounds.
    pub(super) fn range(&mut self, field: &str, number: u32, least: u32, most: u32) {
        if !(least..=most).contains(&number) {
            self.field(field, Code::OutOfRange, format!("{least} to {most}, not {number}"));
        }
    }

    /// Reports an entry at a field that was seen before.
    pub(super) fn unique<T: Ord>(&mut self, field: &str, seen: &mut BTreeSet<T>, entry: T, what: &str) {
        if !seen.insert(entry) {
            self.field(field, Code::Duplicate, format!("another one has the same {what}"));
        }
    }

    /// Takes over what another check found, as found here.
    pub(super) fn extend(&mut self, problems: Vec<Problem>) {
        for mut problem in problems {
            problem.path.splice(..0, self.path.iter().cloned());
            self.problems.push(problem);
        }
    }

    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }
}
