//! A database of a test's own.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result};
use eventcenter::store::{Store, StoreUrl};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tokio::task::block_in_place;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use crate::support::unique;

/// A database that nobody else uses, on either kind.
pub(crate) enum Place {
    /// A file in a folder.
    Sqlite { folder: TempDir },
    /// A database of a server.
    Postgres { server: Arc<Mutex<Postgres>>, database: String },
}

/// The server of all tests that do it no harm. It ends with this process; its folder is removed by the next one.
fn shared() -> Result<Arc<Mutex<Postgres>>> {
    static SHARED: OnceLock<(TempDir, Arc<Mutex<Postgres>>)> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, server)) = SHARED.get() {
        return Ok(server.clone());
    }
    let folder = temporary_folder()?;
    // Each test has connections of its own. Nothing is asked of it that needs a disk: it is never killed.
    let settings = [("max_connections", "400"), ("fsync", "off")];
    let server = Postgres::start_with(&folder.path().join("postgres"), &settings)?;
    let (_, server) = SHARED.get_or_init(|| (folder, Arc::new(Mutex::new(server))));
    Ok(server.clone())
}

impl Place {
    /// A file.
    pub(crate) fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite { folder: tempfile::tempdir()? })
    }

    /// A database of the server that tests share.
    pub(crate) fn postgres() -> Result<Self> {
        block_in_place(|| Self::on(shared()?))
    }

    /// A database of a server.
    pub(crate) fn on(server: Arc<Mutex<Postgres>>) -> Result<Self> {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut number = NUMBER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *number += 1;
            *number
        };
        let database = format!("t{}_{number}", unique());
        lock(&server).create_database(&database)?;
        Ok(Self::Postgres { server, database })
    }

    fn file(folder: &TempDir) -> PathBuf {
        folder.path().join("eventcenter.db")
    }

    /// Where it is.
    pub(crate) fn url(&self) -> StoreUrl {
        match self {
            Self::Sqlite { folder } => StoreUrl::Sqlite(Self::file(folder)),
            Self::Postgres { server, database } => StoreUrl::Postgres(lock(server).url(database)),
        }
    }

    /// The same as people write it.
    pub(crate) fn url_text(&self) -> String {
        match self.url() {
            StoreUrl::Sqlite(file) => format!("sqlite:{}", file.display()),
            StoreUrl::Postgres(url) => url,
        }
    }

    /// The store, with its tables.
    pub(crate) async fn store(&self) -> Result<Store> {
        let store = Store::open(&self.url())?;
        store.migrate().await?;
        Ok(store)
    }

    /// Somebody who has the rights, and none from us, does this, all or nothing.
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
                block_in_place(|| lock(server).sql(database, statements)).map(drop)
            }
        }
    }

    /// Bytes as they are written in SQL.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite { .. } => format!("x'{digits}'"),
            Self::Postgres { .. } => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Keeps the database as it is now. Nobody may be using it.
    pub(crate) fn save(&self) -> Result<()> {
        match self {
            Self::Sqlite { folder } => {
                // Whoever was the last to close it has left nothing beside it.
                fs::copy(Self::file(folder), folder.path().join("saved"))?;
                Ok(())
            }
            Self::Postgres { server, database } => block_in_place(|| {
                let copy = format!("CREATE DATABASE {database}_saved TEMPLATE {database}");
                lock(server).sql("postgres", &copy).map(drop)
            }),
        }
    }

    /// Puts back what was saved. Nobody may be using it.
    pub(crate) fn put_back(&self) -> Result<()> {
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
                let server = lock(server);
                server.sql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"))?;
                let copy = format!("CREATE DATABASE {database} TEMPLATE {database}_saved OWNER eventcenter");
                server.sql("postgres", &copy).map(drop)
            }),
        }
    }
}

/// A panic of another test says nothing about the server.
pub(crate) fn lock(server: &Mutex<Postgres>) -> std::sync::MutexGuard<'_, Postgres> {
    server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
