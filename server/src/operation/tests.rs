//! What must hold of durable operations, on both databases. PostgreSQL is used where `ROPEWAY_TEST_POSTGRES` names a
//! server on which databases can be made.

mod bed;
mod cluster;
mod crash;
mod follow;
mod hold;
mod steps;

pub(super) use bed::Faults;

/// Each test on a database of its own, of both kinds.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::operation::tests::bed::on_sqlite(async |bed| super::$name(bed).await).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::operation::tests::bed::on_postgres(async |bed| super::$name(bed).await).await;
                }
            )*
        }
    };
}
use on_both;
