//! Appends records to logs: assigns positions, computes hashes and writes all rows of a batch in one transaction.
//!
//! The module only writes entries: it does not interpret them, it does not retry, and it reads only the heads of logs
//! and the ids of a retried batch.

mod entry;
mod layout;
mod postgres;
mod sqlite;

use std::time::Duration;

use sqlx::Connection;

pub(in crate::store) use entry::Entry;
use layout::{EntriesByLog, Layout, WRITING};

use crate::domain::audit::LogName;
use crate::store::Error;
use crate::store::database::Database;

/// Maximum duration of a transaction in PostgreSQL.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the records of a batch may be in the database already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Attempt {
    /// The records are new.
    First,
    /// An earlier transaction with these records may have been committed. Existing records are skipped.
    Retry,
}

/// Writes a batch; all of it is durable when this returns. After an error the batch may or may not have been written. Returns the
/// logs of which a segment became complete.
pub(in crate::store) async fn append(
    database: &Database,
    batch: &[&Entry],
    attempt: Attempt,
) -> Result<Vec<LogName>, Error> {
    let mut logs = EntriesByLog::new();
    batch.iter().for_each(|entry| logs.entry(entry.log()).or_default().push(entry));
    match database {
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await.map_err(Error::driver(WRITING))?;
            let transaction = write_postgres(&mut connection, logs, attempt);
            let result = tokio::time::timeout(TRANSACTION_TIMEOUT, transaction).await;
            let result = result.unwrap_or_else(|elapsed| Err(Error::unavailable(WRITING, elapsed)));
            if matches!(result, Err(Error::Unavailable { .. })) {
                // The state of the connection is unknown.
                connection.close_on_drop();
            }
            result
        }
        Database::Sqlite(sqlite) => {
            let bytes = batch.iter().map(|entry| entry.size() as u64).sum();
            let mut connection = sqlite.writer().acquire().await.map_err(Error::driver(WRITING))?;
            sqlite.restart_wal(&mut connection).await.map_err(Error::driver(WRITING))?;
            let completed = write_sqlite(&mut connection, logs, attempt).await?;
            sqlite.checkpoint_after_write(bytes);
            Ok(completed)
        }
    }
}

async fn write_postgres(
    connection: &mut sqlx::PgConnection,
    mut logs: EntriesByLog<'_>,
    attempt: Attempt,
) -> Result<Vec<LogName>, Error> {
    let mut transaction = connection.begin().await.map_err(Error::driver(WRITING))?;
    let tails = postgres::lock_tails(&mut transaction, &logs).await?;
    if attempt == Attempt::Retry {
        postgres::skip_existing(&mut transaction, &mut logs).await?;
    }
    let layout = Layout::new(tails, &logs);
    postgres::insert(&mut transaction, &layout).await?;
    transaction.commit().await.map_err(Error::driver(WRITING))?;
    Ok(layout.completed_logs())
}

/// Runs a transaction and rolls it back after an error.
async fn write_sqlite(
    connection: &mut sqlx::SqliteConnection,
    logs: EntriesByLog<'_>,
    attempt: Attempt,
) -> Result<Vec<LogName>, Error> {
    let result = transact_sqlite(connection, logs, attempt).await;
    if result.is_err() {
        // If the rollback fails as well, the next transaction cannot begin, and rolls back.
        sqlite::roll_back(connection).await;
    }
    result
}

/// The first statement begins the transaction and the last one commits it: each statement wakes the thread of the connection, which
/// takes longer than everything else for a single record.
async fn transact_sqlite(
    connection: &mut sqlx::SqliteConnection,
    mut logs: EntriesByLog<'_>,
    attempt: Attempt,
) -> Result<Vec<LogName>, Error> {
    let tails = sqlite::begin(connection, &logs).await?;
    if attempt == Attempt::Retry {
        sqlite::skip_existing(connection, &mut logs).await?;
    }
    let layout = Layout::new(tails, &logs);
    sqlite::insert_and_commit(connection, &layout).await?;
    Ok(layout.completed_logs())
}
