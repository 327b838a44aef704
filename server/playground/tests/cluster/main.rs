//! What must hold of a cluster, on a playground and, where `ROPEWAY_TEST_CONTROLPLANE` names the executable of the real
//! control plane, on that too. A difference is a bug of the playground. `ROPEWAY_TEST_CLUSTERS=playground` leaves the
//! real one out.

/// Runs each function as a test on a playground and on a real control plane.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod playground {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> {
                super::$name(crate::setup::Subject::playground().await?).await
            })*
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> anyhow::Result<()> {
                match crate::setup::Subject::real(concat!(module_path!(), "::", stringify!($name))).await? {
                    Some(subject) => super::$name(subject).await,
                    None => Ok(()),
                }
            })*
        }
    };
}

mod apply;
mod containers;
mod faults;
mod objects;
mod policies;
mod registry;
mod services;
mod setup;
mod storage;
mod watching;
mod workloads;
