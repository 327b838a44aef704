//! Durable operations: a list of steps, decided when the operation begins, carried out by whichever worker is alive.
//!
//! - [`action`]: what a step does, complete and without a choice left.
//! - [`journal`]: the one place where the state of an operation changes; every entry is one transaction.
//! - [`worker`]: claims operations and runs their steps; [`perform`]: does what a step says, outside the database.
//! - [`feed`]: wakes those who follow, who then read what is stored.
//!
//! A worker holds an operation by a lease that it renews. When it dies, another one goes on after the lease has ended:
//! every step is idempotent. A worker that lost its lease can change nothing in the database (each entry names the
//! generation of the lease), and since a cluster cannot be told of generations, it gives up its calls before its own
//! lease would end. Replicas share one idea of the time to within a fifth of the lease, see [`worker`].

pub mod action;
mod attempt;
pub mod feed;
pub mod journal;
pub mod perform;
pub mod retry;
mod run;
mod settle;
pub mod worker;

#[cfg(test)]
mod tests;

pub use action::Action;
pub use attempt::{Outcome, Perform, StepContext};
pub use journal::{Journal, JournalError};
