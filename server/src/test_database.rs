//! A database of a test's own.

use crate::clock;
use tempfile::TempDir;

/// A database that is gone when this is dropped.
pub(crate) struct TestDatabase {
    url: String,
    _place: Place,
}

#[expect(dead_code, reason = "it is kept until the test ends")]
enum Place {
    Folder(TempDir),
    Server(OnServer),
}

/// A database on a server.
struct OnServer {
    administrator: String,
    name: String,
}

impl TestDatabase {
    /// Of the sort that `ROPEWAY_TEST_DATABASE` names: `sqlite`, as without it, or `postgres`.
    pub(crate) async fn chosen() -> Self {
        match variable("ROPEWAY_TEST_DATABASE").as_deref() {
            None | Some("sqlite") => Self::sqlite(),
            Some("postgres") => Self::postgres().await.expect("ROPEWAY_TEST_POSTGRES names a database server"),
            Some(other) => panic!("ROPEWAY_TEST_DATABASE is sqlite or postgres, not {other:?}"),
        }
    }

    /// SQLite.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self { url, _place: Place::Folder(folder) }
    }

    /// PostgreSQL, on the server of `ROPEWAY_TEST_POSTGRES`; none where that is not set.
    pub(crate) async fn postgres() -> Option<Self> {
        let administrator = variable("ROPEWAY_TEST_POSTGRES")?;
        let name = format!("ropeway_test_{}", clock::new_uuid().simple());
        administer(&administrator, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&administrator).unwrap();
        url.set_path(&name);
        Some(Self { url: url.to_string(), _place: Place::Server(OnServer { administrator, name }) })
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        // A second panic would end the other tests as well; the server of the tests is ended with what it has.
        if std::thread::panicking() {
            return;
        }
        let (administrator, statement) = (&self.administrator, format!("DROP DATABASE {} WITH (FORCE)", self.name));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(administer(administrator, &statement));
        });
    }
}

async fn administer(administrator: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(administrator, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
