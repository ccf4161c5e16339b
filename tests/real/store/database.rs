//! A separate database for each test.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use eventcenter::store::{Store, StoreUrl};
use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tokio::task::block_in_place;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use crate::support::unique;

/// A database of one test.
pub(crate) enum TestDatabase {
    /// An SQLite file in a folder.
    Sqlite { folder: TempDir },
    /// A database of a PostgreSQL server.
    Postgres { server: Arc<Mutex<Postgres>>, database: String },
}

/// The shared server of all tests that do not stop it. It stops with this process; the next process removes its folder.
fn shared_server() -> Result<Arc<Mutex<Postgres>>> {
    static SHARED: OnceLock<(TempDir, Arc<Mutex<Postgres>>)> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock();
    if let Some((_, server)) = SHARED.get() {
        return Ok(server.clone());
    }
    let folder = temporary_folder()?;
    // Each test has its own connections. The server is never killed, so it does not have to sync.
    let settings = [("max_connections", "400"), ("fsync", "off")];
    let server = Postgres::start_with(&folder.path().join("postgres"), &settings)?;
    let (_, server) = SHARED.get_or_init(|| (folder, Arc::new(Mutex::new(server))));
    Ok(server.clone())
}

impl TestDatabase {
    /// Creates an SQLite database.
    pub(crate) fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite { folder: tempfile::tempdir()? })
    }

    /// Creates a database of the shared server.
    pub(crate) fn postgres() -> Result<Self> {
        block_in_place(|| Self::on_server(shared_server()?))
    }

    /// Creates a database of a server.
    pub(crate) fn on_server(server: Arc<Mutex<Postgres>>) -> Result<Self> {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut number = NUMBER.lock();
            *number += 1;
            *number
        };
        let database = format!("t{}_{number}", unique());
        server.lock().create_database(&database)?;
        Ok(Self::Postgres { server, database })
    }

    fn file(folder: &TempDir) -> PathBuf {
        folder.path().join("eventcenter.db")
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> StoreUrl {
        match self {
            Self::Sqlite { folder } => StoreUrl::Sqlite(Self::file(folder)),
            Self::Postgres { server, database } => StoreUrl::Postgres(server.lock().url(database)),
        }
    }

    /// The URL as text.
    pub(crate) fn url_text(&self) -> String {
        match self.url() {
            StoreUrl::Sqlite(file) => format!("sqlite:{}", file.display()),
            StoreUrl::Postgres(url) => url,
        }
    }

    /// Opens and migrates the store.
    pub(crate) async fn store(&self) -> Result<Store> {
        let store = Store::open(&self.url())?;
        store.migrate().await?;
        Ok(store)
    }

    /// Runs SQL in one transaction, without the store.
    pub(crate) async fn sql(&self, statements: &str) -> Result<()> {
        match self {
            Self::Sqlite { folder } => {
                let options = SqliteConnectOptions::new().filename(Self::file(folder));
                let mut connection = SqliteConnection::connect_with(&options).await?;
                let all = format!("BEGIN; {statements}; COMMIT");
                sqlx::raw_sql(AssertSqlSafe(all))
                    .execute(&mut connection)
                    .await
                    .context(statements.to_owned())?;
                connection.close().await?;
                Ok(())
            }
            Self::Postgres { server, database } => {
                block_in_place(|| server.lock().sql(database, statements)).map(drop)
            }
        }
    }

    /// Bytes as an SQL literal.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let digits = hex::encode(bytes);
        match self {
            Self::Sqlite { .. } => format!("x'{digits}'"),
            Self::Postgres { .. } => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Copies the database, which must not be in use.
    pub(crate) fn save(&self) -> Result<()> {
        match self {
            Self::Sqlite { folder } => {
                // The last closed connection has removed the write-ahead log.
                fs::copy(Self::file(folder), folder.path().join("saved"))?;
                Ok(())
            }
            Self::Postgres { server, database } => block_in_place(|| {
                let copy = format!("CREATE DATABASE {database}_saved TEMPLATE {database}");
                server.lock().sql("postgres", &copy).map(drop)
            }),
        }
    }

    /// Restores the copy. The database must not be in use.
    pub(crate) fn restore(&self) -> Result<()> {
        match self {
            Self::Sqlite { folder } => {
                fs::copy(folder.path().join("saved"), Self::file(folder))?;
                for beside in ["eventcenter.db-wal", "eventcenter.db-shm"] {
                    let beside = folder.path().join(beside);
                    if beside.exists() {
                        fs::remove_file(beside)?;
                    }
                }
                Ok(())
            }
            Self::Postgres { server, database } => block_in_place(|| {
                let server = server.lock();
                server.sql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"))?;
                let copy = format!("CREATE DATABASE {database} TEMPLATE {database}_saved OWNER eventcenter");
                server.sql("postgres", &copy).map(drop)
            }),
        }
    }
}
