//! The embedded SQLite database: a file, one connection for writing and some for reading.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::Error;
use super::migration::{self, MIGRATING};

/// Maximum number of connections for reading.
const MAX_READERS: u32 = 3;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Page cache of a connection, in negative KiB (`PRAGMA cache_size`).
const WRITER_CACHE_SIZE: &str = "-2048";
const READER_CACHE_SIZE: &str = "-1024";

/// Number of written bytes after which a checkpoint copies the write-ahead log into the database, concurrently to writes.
const CHECKPOINT_AFTER_BYTES: u64 = 2 << 20;
/// Number of pages (16 MiB) after which the write-ahead log restarts. The restart syncs the copied pages to disk while the writer
/// waits, so it is infrequent.
const MAX_WAL_PAGES: u64 = 4 << 10;
/// `PRAGMA journal_size_limit`, in bytes.
const WAL_SIZE_LIMIT: &str = "67108864";

/// An SQLite file and its connections.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    file: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    wal: Arc<WalState>,
}

/// The state of the write-ahead log.
#[derive(Debug, Default)]
struct WalState {
    /// Bytes written since the last checkpoint.
    written: AtomicU64,
    /// Number of pages at the last checkpoint.
    pages: AtomicU64,
    is_checkpointing: AtomicBool,
}

impl Sqlite {
    pub(super) fn open(file: &Path) -> Result<Self, Error> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            create_folder(folder).map_err(|source| Error::File {
                operation: format!("creating the folder of the database, {}", folder.display()),
                source,
            })?;
        }
        create_file(file).map_err(|source| Error::File {
            operation: format!("creating the file of the database, {}", file.display()),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "0")
            .pragma("journal_size_limit", WAL_SIZE_LIMIT)
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(32)
            .thread_name(|id| format!("sqlite-{id}"))
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // A connection is a thread of this process and cannot be lost.
                .test_before_acquire(false)
                .max_lifetime(None)
        };
        let writer = pool(1).idle_timeout(None);
        let readers = pool(MAX_READERS).idle_timeout(IDLE_TIMEOUT);
        Ok(Self {
            file: file.to_owned(),
            writer: writer.connect_lazy_with(options.clone().pragma("cache_size", WRITER_CACHE_SIZE)),
            readers: readers.connect_lazy_with(
                options.pragma("cache_size", READER_CACHE_SIZE).pragma("query_only", "ON"),
            ),
            wal: Arc::default(),
        })
    }

    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Migrates while holding a file lock, so that processes that start at the same time wait for each other.
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        let lock = self.file.with_added_extension("lock");
        let locking = tokio::task::spawn_blocking(move || {
            let file = create_file(&lock)?;
            file.lock()?;
            Ok::<_, io::Error>(file)
        });
        let locked = locking.await.map_err(|ended| Error::unavailable(MIGRATING, ended))?;
        let _locked = locked.map_err(|source| Error::File {
            operation: format!("locking {}.lock to migrate the database", self.file.display()),
            source,
        })?;
        let mut connection = self.writer.acquire().await.map_err(Error::driver(MIGRATING))?;
        let migrator = sqlx::migrate!("migrations/sqlite");
        migrator.run_direct(None, &mut *connection, false).await.map_err(migration::classify)
    }

    /// Counts written bytes, and starts a checkpoint of the write-ahead log when it is due. The checkpoint uses another
    /// connection, so that no commit waits for it.
    pub(super) fn checkpoint_after_write(&self, bytes: u64) {
        let wal = &self.wal;
        if wal.written.fetch_add(bytes, Ordering::Relaxed) + bytes < CHECKPOINT_AFTER_BYTES
            || wal.is_checkpointing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        wal.written.store(0, Ordering::Relaxed);
        let (pool, wal) = (self.readers.clone(), Arc::clone(wal));
        tokio::spawn(async move {
            let result =
                sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&pool).await;
            match result {
                Ok((_, pages, _)) => wal.pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the checkpoint of the write-ahead log failed"),
            }
            wal.is_checkpointing.store(false, Ordering::Release);
        });
    }

    /// Restarts the write-ahead log before a write if it is long. Checkpoints have copied most of it, so this takes about as long
    /// as a commit.
    pub(super) async fn restart_wal(
        &self,
        connection: &mut sqlx::SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        if self.wal.pages.load(Ordering::Relaxed) < MAX_WAL_PAGES {
            return Ok(());
        }
        // A long read blocks the restart. The next write retries it.
        sqlx::query("PRAGMA busy_timeout = 20").execute(&mut *connection).await?;
        let (busy, pages, copied): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(RESTART)").fetch_one(&mut *connection).await?;
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut *connection).await?;
        if busy == 0 {
            self.wal.pages.store(0, Ordering::Relaxed);
        }
        tracing::debug!(busy, pages, copied, "restarted the write-ahead log");
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates the file with mode 0600, which SQLite applies to its other files as well.
fn create_file(file: &Path) -> io::Result<std::fs::File> {
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(file)?;
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
