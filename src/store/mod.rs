//! The database: PostgreSQL, or an embedded SQLite.
//!
//! This module owns storage: transactions, indexes, connection pools, migrations. [`Store`] is the connection,
//! [`Audit`] reads the audit log, [`Journal`] writes it. Every query names its log, so that no query can return records
//! of another tenant. [`Runs`] is the run log of ScheduledTasks and the queue from which runners claim runs.
//!
//! Deliberately absent: what is recorded, who may read it, and whether a log was tampered with
//! ([`crate::domain::audit`]).

mod audit;
mod database;
mod error;
mod journal;
mod metrics;
mod migration;
mod postgres;
pub mod runs;
mod spool;
mod sqlite;
mod url;

pub use audit::{Audit, Head, Page, StoredCheckpoint, StoredRecord};
pub use error::Error;
pub use journal::{Journal, Options, Policy, RecordError, Recorder, WriteOutcome};
pub use metrics::Metrics;
pub use runs::{
    Advance, CancelOutcome, Claim, ClaimedRun, Cursor, CursorMove, EarlierAttempt, EventPosition,
    ExpiringPage, ExpiryCursor, FinishedAttempt, JobEnd, JobStart, NewRunEvent, ObservedEnd, ObservedRun,
    Planned, PositionMove, PositionTopic, Renewal, RunCursor, RunEvent, RunFilter, RunPage, Runs, Signal,
    Statistics, Subscription, Then, UnreportedRun, UnstartedEnd,
};
pub use url::{InvalidStoreUrl, StoreUrl};

use std::sync::Arc;
use std::time::Duration;

use database::{Database, reading};
use sqlite::Sqlite;

/// Delay between two attempts to migrate; it doubles after each.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// A database that may be unavailable. Connections are opened on demand.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    signals: Arc<runs::Signals>,
}

impl Store {
    /// Creates the connection pools without connecting. Requires a tokio runtime.
    ///
    /// # Errors
    /// The folder or file of an SQLite database cannot be created, or the URL of PostgreSQL is invalid.
    pub fn open(url: &StoreUrl) -> Result<Self, Error> {
        let database = match url {
            StoreUrl::Postgres(url) => Database::Postgres(postgres::open(url)?),
            StoreUrl::Sqlite(file) => Database::Sqlite(Sqlite::open(file)?),
        };
        Ok(Self { signals: runs::Signals::new(&database), database })
    }

    /// Applies the migrations of this version. Concurrent processes wait for each other.
    ///
    /// # Errors
    /// The database is unavailable, or was migrated by a newer version.
    pub async fn migrate(&self) -> Result<(), Error> {
        match &self.database {
            Database::Postgres(pool) => postgres::migrate(pool).await,
            Database::Sqlite(sqlite) => sqlite.migrate().await,
        }
    }

    /// Migrates, and retries until that succeeds.
    pub async fn migrate_with_retry(&self) {
        let mut delay = MIN_RETRY_DELAY;
        while let Err(error) = Box::pin(self.migrate()).await {
            tracing::warn!(error = error.chain(), "waiting for the database");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        }
        tracing::info!("the database is ready");
    }

    /// Checks that the database is available and migrated.
    ///
    /// # Errors
    /// It is not, or the timeout has expired.
    pub async fn ping(&self, timeout: Duration) -> Result<(), Error> {
        const PINGING: &str = "pinging the database";
        const QUERY: &str = "SELECT EXISTS (SELECT 1 FROM audit_head)";
        let result = tokio::time::timeout(timeout, async {
            reading!(&self.database, pool => sqlx::query(QUERY).fetch_one(pool).await.map(|_| ()))
        });
        result.await.map_err(|elapsed| Error::unavailable(PINGING, elapsed))?.map_err(Error::driver(PINGING))
    }

    /// The audit logs.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.database.clone())
    }

    /// The runs of ScheduledTasks.
    #[must_use]
    pub fn runs(&self) -> Runs {
        Runs::new(self.database.clone(), Arc::clone(&self.signals))
    }

    /// Closes all connections after their running statements.
    pub async fn close(&self) {
        match &self.database {
            Database::Postgres(pool) => pool.close().await,
            Database::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

#[cfg(test)]
mod tests;
