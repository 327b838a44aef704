//! The same check against embedded clusters and against real control planes.

use ropeway_tests::{
    app::TestApp,
    cluster::TestCluster,
    environment::{self, skip},
};

/// Makes two tests of each check, which is called with namespaces that are its own.
macro_rules! on_both {
    ($($check:ident),* $(,)?) => {
        mod playground {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() -> anyhow::Result<()> {
                const NAME: &str = concat!(module_path!(), "::", stringify!($check));
                $crate::both::on_playgrounds(NAME, async |app, clusters| {
                    super::$check(app, clusters, &$crate::both::short(stringify!($check))).await
                })
                .await
            })*
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() -> anyhow::Result<()> {
                const NAME: &str = concat!(module_path!(), "::", stringify!($check));
                $crate::both::on_real_clusters(NAME, async |app, clusters| {
                    super::$check(app, clusters, &format!("r-{}", $crate::both::short(stringify!($check)))).await
                })
                .await
            })*
        }
    };
}
pub(crate) use on_both;

/// Runs a test with a server on SQLite with the embedded registry and two embedded clusters, or tells why not.
pub(crate) async fn on_playgrounds(
    name: &str,
    test: impl AsyncFnOnce(&TestApp, &[TestCluster; 2]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !environment::wants_playgrounds() {
        skip(listed(name), "ROPEWAY_TEST_CLUSTERS leaves embedded clusters out");
        return Ok(());
    }
    let clusters = TestCluster::two_playgrounds().await?;
    TestApp::run(async |app| test(app, &clusters).await).await
}

/// Runs a test with a server on PostgreSQL with `docker-registry` and two real control planes, or tells what is missing.
pub(crate) async fn on_real_clusters(
    name: &str,
    test: impl AsyncFnOnce(&TestApp, &[TestCluster; 2]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !environment::wants_real_clusters() {
        skip(listed(name), "ROPEWAY_TEST_CLUSTERS leaves real control planes out");
        return Ok(());
    }
    let Some(clusters) = TestCluster::two_real().await? else {
        skip(listed(name), "there is no control plane: Go is missing");
        return Ok(());
    };
    match TestApp::start_big().await? {
        Ok(app) => app.run_this(async |app| test(app, &clusters).await).await,
        Err(reason) => {
            skip(listed(name), reason);
            Ok(())
        }
    }
}

/// A short name of a check, for namespaces and labels.
pub(crate) fn short(check: &str) -> String {
    check.split('_').take(3).collect::<Vec<_>>().join("-")
}

/// As the test command lists it.
fn listed(name: &str) -> &str {
    name.strip_prefix("it::").unwrap_or(name)
}
