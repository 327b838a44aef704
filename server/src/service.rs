//! The use cases, one verb a file: authorize, observe, decide, commit.
//!
//! A function takes the process, who asks, and plain input. It observes outside any transaction, lets
//! `ropeway_domain` decide, and commits in one transaction that checks that what it observed still holds. Every
//! mutation leaves an audit entry in the same transaction.

pub mod authorize;
pub mod rollout;
pub mod state;
pub mod deploy_application;
pub mod dry_run;
pub mod execute;
