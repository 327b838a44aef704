//! That there are two databases: connections to either, and one way to ask them.

use super::postgres_tls;
use diesel::{
    ConnectionError, ConnectionResult, QueryResult,
    connection::{AnsiTransactionManager, InstrumentationEvent},
    migration::{Migration, MigrationSource},
    sqlite::SqliteConnection,
};
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool},
    sync_connection_wrapper::SyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A connection to PostgreSQL.
pub type PgConn = AsyncPgConnection;

/// A connection to SQLite.
pub type SqliteConn = SyncConnectionWrapper<SqliteConnection>;

const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// Replicas that start at the same time migrate one after another.
const MIGRATION_LOCK: i64 = 0x0072_6f70_6577_6179;

/// How long a request waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(10);

/// Where rows live. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    queries: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Pools {
    /// For production and several replicas.
    Postgres(deadpool::Pool<PgConn>),
    /// For one process: many readers, one writer.
    Sqlite { read: deadpool::Pool<SqliteConn>, write: deadpool::Pool<SqliteConn> },
}

/// A pooled connection to either database.
#[expect(clippy::large_enum_variant, reason = "connections are few, and are not moved about")]
pub enum Conn {
    /// To PostgreSQL.
    Postgres(deadpool::Object<PgConn>),
    /// To SQLite.
    Sqlite(deadpool::Object<SqliteConn>),
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address names neither database.
    #[error("the database URL begins with \"sqlite:\" or \"postgres://\", not {0:?}")]
    Url(String),
    /// No connection was to be had in time.
    #[error("getting a connection to the database")]
    Pool(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tables could not be brought up to date.
    #[error("migrating the database")]
    Migrate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The folder of the database could not be made.
    #[error("making the folder of the database")]
    Folder(#[source] std::io::Error),
}

/// Runs one diesel expression on whichever database a connection is to. The body is compiled once for each, so that
/// what one of them lacks does not compile.
#[macro_export]
macro_rules! on {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::Conn::Postgres(connection) => {
                let $c = &mut **connection;
                $body
            }
            $crate::Conn::Sqlite(connection) => {
                let $c = &mut **connection;
                $body
            }
        }
    };
}

impl Database {
    /// Opens `sqlite:<path>` or `postgres://...`, with at most `size` connections. Nothing is migrated.
    pub async fn open(url: &str, size: usize) -> Result<Self, DatabaseError> {
        let queries = Arc::new(AtomicU64::new(0));
        if let Some(path) = url.strip_prefix("sqlite:") {
            if let Some(folder) = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let mut builder = tokio::fs::DirBuilder::new();
                builder.recursive(true).mode(0o700).create(folder).await.map_err(DatabaseError::Folder)?;
            }
            let pool = |size| {
                let config = sqlite_config(Arc::clone(&queries));
                let manager = AsyncDieselConnectionManager::<SqliteConn>::new_with_config(path, config);
                deadpool::Pool::builder(manager)
                    .max_size(size)
                    .wait_timeout(Some(POOL_WAIT))
                    .runtime(::deadpool::Runtime::Tokio1)
                    .build()
                    .map_err(|e| DatabaseError::Pool(e.into()))
            };
            Ok(Self { pools: Pools::Sqlite { write: pool(1)?, read: pool(size)? }, queries })
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let config = postgres_config(Arc::clone(&queries));
            let pool = deadpool::Pool::builder(AsyncDieselConnectionManager::<PgConn>::new_with_config(url, config))
                .max_size(size)
                .wait_timeout(Some(POOL_WAIT))
                .create_timeout(Some(POOL_WAIT))
                .runtime(::deadpool::Runtime::Tokio1)
                .build()
                .map_err(|e| DatabaseError::Pool(e.into()))?;
            Ok(Self { pools: Pools::Postgres(pool), queries })
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            Err(DatabaseError::Url(scheme.chars().take(20).collect()))
        }
    }

    /// Brings the tables up to date and says which migrations that took. Replicas wait for each other.
    pub async fn migrate(&self) -> Result<Vec<String>, DatabaseError> {
        match &self.pools {
            Pools::Postgres(pool) => {
                let mut conn = pool.get().await.map_err(|e| DatabaseError::Pool(e.into()))?;
                let migrate = |e: diesel::result::Error| DatabaseError::Migrate(e.into());
                conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await.map_err(migrate)?;
                let mut harness = AsyncMigrationHarness::new(conn);
                let ran = tokio::task::block_in_place(|| run_pending(&mut harness, POSTGRES_MIGRATIONS));
                let mut conn = harness.into_inner();
                conn.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})")).await.map_err(migrate)?;
                ran.map_err(DatabaseError::Migrate)
            }
            Pools::Sqlite { write, .. } => {
                let mut conn = write.get().await.map_err(|e| DatabaseError::Pool(e.into()))?;
                conn.spawn_blocking(|conn| Ok(run_pending(conn, SQLITE_MIGRATIONS)))
                    .await
                    .map_err(|e| DatabaseError::Migrate(e.into()))?
                    .map_err(DatabaseError::Migrate)
            }
        }
    }

    /// The names of all migrations, oldest first; the same for both databases.
    pub fn migrations() -> Result<[Vec<String>; 2], DatabaseError> {
        let names = |list: Result<Vec<Box<dyn Migration<diesel::pg::Pg>>>, _>| {
            list.map(|list| list.iter().map(|migration| migration.name().to_string()).collect())
                .map_err(DatabaseError::Migrate)
        };
        Ok([
            names(MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES_MIGRATIONS))?,
            names(MigrationSource::<diesel::pg::Pg>::migrations(&SQLITE_MIGRATIONS))?,
        ])
    }

    /// A connection to read from.
    pub async fn read(&self) -> Result<Conn, DatabaseError> {
        match &self.pools {
            Pools::Postgres(pool) => pool.get().await.map(Conn::Postgres),
            Pools::Sqlite { read, .. } => read.get().await.map(Conn::Sqlite),
        }
        .map_err(|e| DatabaseError::Pool(e.into()))
    }

    /// A connection to write to. With SQLite there is one: whoever holds it keeps all others from writing.
    pub async fn write(&self) -> Result<Conn, DatabaseError> {
        match &self.pools {
            Pools::Postgres(pool) => pool.get().await.map(Conn::Postgres),
            Pools::Sqlite { write, .. } => write.get().await.map(Conn::Sqlite),
        }
        .map_err(|e| DatabaseError::Pool(e.into()))
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        let mut conn = self.read().await?;
        let answer = match &mut conn {
            Conn::Postgres(conn) => conn.batch_execute("SELECT 1").await,
            Conn::Sqlite(conn) => conn.batch_execute("SELECT 1").await,
        };
        answer.map_err(|e| DatabaseError::Pool(e.into()))
    }

    /// Whether several processes may use this database at the same time.
    pub fn allows_replicas(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// How many statements were sent since it was opened, for tests that state what a request costs.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }
}

impl Conn {
    /// One transaction. Only `service` and `operation::journal` begin them; one inside another is an error. SQLite
    /// takes the write lock at once (BEGIN IMMEDIATE), so that a transaction never fails half-way for want of it.
    pub async fn transaction<T, E>(&mut self, f: impl AsyncFnOnce(&mut Self) -> Result<T, E>) -> Result<T, E>
    where
        E: From<diesel::result::Error>,
    {
        type PgManager = <PgConn as AsyncConnection>::TransactionManager;
        type SqliteManager = <SqliteConn as AsyncConnection>::TransactionManager;
        match self {
            Self::Postgres(conn) => PgManager::begin_transaction(&mut **conn).await?,
            Self::Sqlite(conn) => begin_immediate(conn).await?,
        }
        let result = f(self).await;
        match (self, &result) {
            (Self::Postgres(conn), Ok(_)) => PgManager::commit_transaction(&mut **conn).await?,
            (Self::Postgres(conn), Err(_)) => PgManager::rollback_transaction(&mut **conn).await?,
            (Self::Sqlite(conn), Ok(_)) => SqliteManager::commit_transaction(&mut **conn).await?,
            (Self::Sqlite(conn), Err(_)) => SqliteManager::rollback_transaction(&mut **conn).await?,
        }
        result
    }
}

async fn begin_immediate(conn: &mut SqliteConn) -> QueryResult<()> {
    conn.spawn_blocking(|conn| AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")).await
}

fn run_pending<DB: diesel::backend::Backend, H: MigrationHarness<DB>>(
    harness: &mut H,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    Ok(harness.run_pending_migrations(migrations)?.iter().map(ToString::to_string).collect())
}

fn count(queries: Arc<AtomicU64>) -> impl FnMut(InstrumentationEvent<'_>) + Send + 'static {
    move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            queries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn postgres_config(queries: Arc<AtomicU64>) -> ManagerConfig<PgConn> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |url| {
        let url = url.to_owned();
        let queries = Arc::clone(&queries);
        Box::pin(async move {
            let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(explain(&error));
            let (client, connection) = postgres_tls::connect(&url).await.map_err(bad)?;
            let mut conn = PgConn::try_from_client_and_connection(client, connection).await?;
            conn.set_instrumentation(count(queries));
            ConnectionResult::Ok(conn)
        })
    });
    config
}

/// An error with its causes.
pub(super) fn explain(error: &tokio_postgres::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn sqlite_config(queries: Arc<AtomicU64>) -> ManagerConfig<SqliteConn> {
    let mut config = ManagerConfig::default();
    // A file does not go away: asking whether the connection still works would only double the statements.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |path| {
        let path = path.to_owned();
        let queries = Arc::clone(&queries);
        Box::pin(async move {
            let mut conn = SqliteConn::establish(&path).await?;
            conn.batch_execute(
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA cache_size = -16000; PRAGMA trusted_schema = OFF;",
            )
            .await
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
            conn.set_instrumentation(count(queries));
            ConnectionResult::Ok(conn)
        })
    });
    config
}
