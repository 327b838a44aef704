//! Migrations: the same in both databases, and reversible.

use anyhow::{Context as _, ensure};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _};
use ropeway_tests::{
    database::{TestDatabase, execute},
    environment::skip,
};
use std::path::{Path, PathBuf};
use tokio_postgres::NoTls;

#[test]
fn both_databases_have_the_same_migrations() -> anyhow::Result<()> {
    let [postgres, sqlite] = ["postgres", "sqlite"].map(names);
    let (postgres, sqlite) = (postgres?, sqlite?);
    ensure!(!sqlite.is_empty() && postgres == sqlite, "{postgres:?} and {sqlite:?}");
    let [embedded, other] = ropeway::store::Database::migrations()?;
    ensure!(embedded.len() == sqlite.len() && embedded == other, "the server has {embedded:?} and {other:?}");
    Ok(())
}

#[test]
fn every_migration_of_sqlite_can_be_taken_back_and_run_again() -> anyhow::Result<()> {
    let mut conn = SqliteConnection::establish(":memory:")?;
    let (up, down) = scripts("sqlite")?;
    conn.batch_execute(&up)?;
    let first = sqlite_schema(&mut conn)?;
    ensure!(first.len() > 20, "there are tables: {}", first.len());
    conn.batch_execute(&down)?;
    let nothing = sqlite_schema(&mut conn)?;
    ensure!(nothing.is_empty(), "left after taking everything back: {nothing:?}");
    conn.batch_execute(&up)?;
    ensure!(sqlite_schema(&mut conn)? == first, "the second time it is another schema");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_of_postgresql_can_be_taken_back_and_run_again() -> anyhow::Result<()> {
    const NAME: &str = "migrations::every_migration_of_postgresql_can_be_taken_back_and_run_again";
    let Some(database) = TestDatabase::postgres().await? else {
        skip(NAME, "there is no PostgreSQL");
        return Ok(());
    };
    let (up, down) = scripts("postgres")?;
    execute(database.url(), &up).await?;
    let first = postgres_schema(database.url()).await?;
    ensure!(first.len() > 20, "there are columns: {}", first.len());
    execute(database.url(), &down).await?;
    let nothing = postgres_schema(database.url()).await?;
    ensure!(nothing.is_empty(), "left after taking everything back: {nothing:?}");
    execute(database.url(), &up).await?;
    ensure!(postgres_schema(database.url()).await? == first, "the second time it is another schema");
    Ok(())
}

#[derive(QueryableByName)]
struct Definition {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

fn sqlite_schema(conn: &mut SqliteConnection) -> anyhow::Result<Vec<String>> {
    let query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS text FROM sqlite_master \
                 WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
    let rows: Vec<Definition> = diesel::sql_query(query).load(conn)?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

async fn postgres_schema(url: &str) -> anyhow::Result<Vec<String>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let columns = "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable \
                   FROM information_schema.columns WHERE table_schema = 'public' \
                   UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
    let rows = client.query(columns, &[]).await?;
    drop(client);
    connection.await??;
    rows.iter().map(|row| row.try_get(0).context("a text")).collect()
}

fn folder(database: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(database)
}

fn names(database: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder(database))? {
        let entry = entry?;
        ensure!(entry.path().join("up.sql").is_file() && entry.path().join("down.sql").is_file(), "{entry:?}");
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// All of `up.sql` in order, and all of `down.sql` in the reverse order.
fn scripts(database: &str) -> anyhow::Result<(String, String)> {
    let names = names(database)?;
    let read = |name: &String, file: &str| std::fs::read_to_string(folder(database).join(name).join(file));
    let up: Result<Vec<String>, _> = names.iter().map(|name| read(name, "up.sql")).collect();
    let down: Result<Vec<String>, _> = names.iter().rev().map(|name| read(name, "down.sql")).collect();
    Ok((up?.join("\n"), down?.join("\n")))
}
