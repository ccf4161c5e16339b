//! The database: PostgreSQL, or an embedded SQLite.
//!
//! The room decides how things are kept and found: transactions, indexes, pools, migrations. [`Store`] is the connection,
//! [`Audit`] reads the audit log, [`Journal`] writes it. Every query names the log it is about, so that none can
//! answer with another tenant's.
//!
//! Deliberately absent: what is recorded, who may read it, and whether a log is as it was written: that is
//! [`crate::domain::audit`].

mod audit;
mod database;
mod error;
mod journal;
mod metrics;
mod migration;
mod postgres;
mod spool;
mod sqlite;
mod url;

pub use audit::{Audit, Head, Noted, Page, Stored};
pub use error::Error;
pub use journal::{Journal, Options, Policy, Recorder, Unrecorded, Written};
pub use metrics::Metrics;
pub use url::{Malformed, StoreUrl};

use std::time::Duration;

use database::{Database, reading};
use sqlite::Sqlite;

/// The shortest and the longest pause between two tries to migrate.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A database that may be away. Nothing is connected before it is used, and what fails is tried again.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// A database, not connected yet. To be called where tokio runs.
    ///
    /// # Errors
    /// The folder or the file of an embedded database cannot be made, or the address of the other cannot be read.
    pub fn open(url: &StoreUrl) -> Result<Self, Error> {
        let database = match url {
            StoreUrl::Postgres(url) => Database::Postgres(postgres::open(url)?),
            StoreUrl::Sqlite(file) => Database::Sqlite(Sqlite::open(file)?),
        };
        Ok(Self { database })
    }

    /// Brings the tables to the form that this version needs, once for all that start at the same time.
    ///
    /// # Errors
    /// The database is away, or a newer version has been here.
    pub async fn migrate(&self) -> Result<(), Error> {
        match &self.database {
            Database::Postgres(pool) => postgres::migrate(pool).await,
            Database::Sqlite(sqlite) => sqlite.migrate().await,
        }
    }

    /// Migrates, and tries again until it has worked.
    pub async fn prepare(&self) {
        let mut pause = PAUSES.0;
        while let Err(error) = Box::pin(self.migrate()).await {
            tracing::warn!(error = error.chain(), "waiting for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        tracing::info!("the database is ready");
    }

    /// Whether the database answers, and has our tables.
    ///
    /// # Errors
    /// It does not, within this time.
    pub async fn ping(&self, patience: Duration) -> Result<(), Error> {
        const ASKING: &str = "asking whether the database is there";
        const QUERY: &str = "SELECT EXISTS (SELECT 1 FROM audit_head)";
        let answer = tokio::time::timeout(patience, async {
            reading!(&self.database, pool => sqlx::query(QUERY).fetch_one(pool).await.map(|_| ()))
        });
        answer.await.map_err(|late| Error::away(ASKING, late))?.map_err(Error::driver(ASKING))
    }

    /// The audit log, for reading.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.database.clone())
    }

    /// Ends all connections; what is under way ends first.
    pub async fn close(&self) {
        match &self.database {
            Database::Postgres(pool) => pool.close().await,
            Database::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}

#[cfg(test)]
mod tests;
