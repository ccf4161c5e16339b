//! The embedded SQLite: a file, one connection that writes and a few that read.

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

const READERS: u32 = 3;
const ACQUIRE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);
/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Kibibytes of pages each connection keeps in memory.
const WRITER_CACHE: &str = "-2048";
const READER_CACHE: &str = "-1024";

/// After so many bytes of records the log of writes is copied into the database, beside the writing.
const COPY_AFTER: u64 = 2 << 20;
/// The log of writes begins anew before it has more pages: 16 MiB. What was copied meanwhile is on the disk only then, and
/// whoever writes waits for it: seldom is long.
const LONGEST_WAL: u64 = 4 << 10;
const WAL_LIMIT: &str = "67108864";

/// The file and its connections.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    file: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    copying: Arc<Copying>,
}

/// What is known of the log of writes.
#[derive(Debug, Default)]
struct Copying {
    /// Bytes of records since it was copied.
    written: AtomicU64,
    /// Its pages when it was copied.
    pages: AtomicU64,
    is_under_way: AtomicBool,
}

impl Sqlite {
    pub(super) fn open(file: &Path) -> Result<Self, Error> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            make_folder(folder).map_err(|source| Error::File {
                what: format!("making the folder of the database, {}", folder.display()),
                source,
            })?;
        }
        make_file(file).map_err(|source| Error::File {
            what: format!("making the file of the database, {}", file.display()),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", "0")
            .pragma("journal_size_limit", WAL_LIMIT)
            .pragma("temp_store", "MEMORY")
            .statement_cache_capacity(32)
            .thread_name(|id| format!("sqlite-{id}"))
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE)
                // A connection is a thread of this process: there is nothing to ask it before.
                .test_before_acquire(false)
                .max_lifetime(None)
        };
        let writer = pool(1).idle_timeout(None);
        let readers = pool(READERS).idle_timeout(IDLE);
        Ok(Self {
            file: file.to_owned(),
            writer: writer.connect_lazy_with(options.clone().pragma("cache_size", WRITER_CACHE)),
            readers: readers
                .connect_lazy_with(options.pragma("cache_size", READER_CACHE).pragma("query_only", "ON")),
            copying: Arc::default(),
        })
    }

    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Under a lock of a file beside the database, so that processes that start at the same time wait for each other.
    pub(super) async fn migrate(&self) -> Result<(), Error> {
        let lock = self.file.with_added_extension("lock");
        let locking = tokio::task::spawn_blocking(move || {
            let file = make_file(&lock)?;
            file.lock()?;
            Ok::<_, io::Error>(file)
        });
        let locked = locking.await.map_err(|ended| Error::away(MIGRATING, ended))?;
        let _locked = locked.map_err(|source| Error::File {
            what: format!("locking {}.lock to migrate the database", self.file.display()),
            source,
        })?;
        let mut connection = self.writer.acquire().await.map_err(Error::driver(MIGRATING))?;
        let migrator = sqlx::migrate!("migrations/sqlite");
        migrator.run_direct(None, &mut *connection, false).await.map_err(migration::failure)
    }

    /// After records were written: the log of writes is copied into the database, by another connection, so that no commit
    /// waits for it.
    pub(super) fn written(&self, bytes: u64) {
        let copying = &self.copying;
        if copying.written.fetch_add(bytes, Ordering::Relaxed) + bytes < COPY_AFTER
            || copying.is_under_way.swap(true, Ordering::AcqRel)
        {
            return;
        }
        copying.written.store(0, Ordering::Relaxed);
        let (pool, copying) = (self.readers.clone(), Arc::clone(copying));
        tokio::spawn(async move {
            let copied =
                sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&pool).await;
            match copied {
                Ok((_, pages, _)) => {
                    copying.pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed)
                }
                Err(error) => tracing::warn!(%error, "the write-ahead log was not copied into the database"),
            }
            copying.is_under_way.store(false, Ordering::Release);
        });
    }

    /// Before records are written: a log of writes that has become long begins anew. Nearly all of it has been copied, so that
    /// this takes about as long as a commit.
    pub(super) async fn shorten(&self, connection: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
        if self.copying.pages.load(Ordering::Relaxed) < LONGEST_WAL {
            return Ok(());
        }
        // Somebody may read at length: then the next one tries again.
        sqlx::query("PRAGMA busy_timeout = 20").execute(&mut *connection).await?;
        let (busy, pages, copied): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(RESTART)").fetch_one(&mut *connection).await?;
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut *connection).await?;
        if busy == 0 {
            self.copying.pages.store(0, Ordering::Relaxed);
        }
        tracing::debug!(busy, pages, copied, "the write-ahead log begins anew");
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// SQLite gives its other files the mode of this one.
fn make_file(file: &Path) -> io::Result<std::fs::File> {
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(file)?;
    let metadata = file.metadata()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
