//! A database of a test's own.

use crate::environment;
use anyhow::Context as _;
use std::path::Path;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// A database that is gone when this is dropped.
pub struct TestDatabase {
    url: String,
    /// The administrator's address, and the name of the database.
    postgres: Option<(String, String)>,
}

impl TestDatabase {
    /// SQLite, in a folder.
    pub fn sqlite(folder: &Path) -> Self {
        Self { url: format!("sqlite:{}", folder.join("ropeway.db").display()), postgres: None }
    }

    /// PostgreSQL; none where the test command has started none.
    #[expect(clippy::disallowed_methods, reason = "names of databases have to differ, nothing else depends on them")]
    pub async fn postgres() -> anyhow::Result<Option<Self>> {
        let Some(administrator) = environment::postgres() else { return Ok(None) };
        let name = format!("ropeway_test_{}", Uuid::new_v4().simple());
        execute(&administrator, &format!("CREATE DATABASE {name}")).await.context("creating a database")?;
        let url = with_database(&administrator, &name);
        Ok(Some(Self { url, postgres: Some((administrator, name)) }))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some((administrator, name)) = self.postgres.take() else { return };
        let drop = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(&administrator, &format!("DROP DATABASE {name} WITH (FORCE)")))
        });
        let dropped = drop.join();
        if !std::thread::panicking() {
            dropped.expect("no panic").expect("the database of a test is dropped");
        }
    }
}

/// Sends statements to PostgreSQL.
pub async fn execute(url: &str, statements: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    let connection = tokio::spawn(connection);
    let result = client.batch_execute(statements).await;
    drop(client);
    connection.await??;
    Ok(result?)
}

/// Every row of every table of PostgreSQL as text; what is bytes is in hexadecimal digits.
pub async fn rows(url: &str) -> anyhow::Result<Vec<String>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to PostgreSQL")?;
    let connection = tokio::spawn(connection);
    let tables = client.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", &[]).await?;
    let mut rows = Vec::new();
    for table in tables {
        let table: String = table.try_get(0)?;
        for row in client.query(&format!("SELECT t::text FROM \"{table}\" t"), &[]).await? {
            rows.push(row.try_get(0)?);
        }
    }
    drop(client);
    connection.await??;
    Ok(rows)
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (rest, query) = url.split_once('?').map_or((url, None), |(rest, query)| (rest, Some(query)));
    let scheme = rest.find("://").map_or(0, |at| at + 3);
    let end = rest[scheme..].find('/').map_or(rest.len(), |at| scheme + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_an_address_is_replaced() {
        for (url, expected) in [
            ("postgres://a@127.0.0.1:5432/postgres", "postgres://a@127.0.0.1:5432/x"),
            ("postgres://a@127.0.0.1:5432", "postgres://a@127.0.0.1:5432/x"),
            ("postgres://a@h/b?sslmode=disable", "postgres://a@h/x?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
