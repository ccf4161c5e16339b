//! A transaction on either kind of database.

use std::time::Duration;

use serde::Serialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Postgres, Sqlite};
use tokio::time::timeout;
use uuid::Uuid;

use super::id::IdRow;
use super::statement::{Statement, batch};
use crate::store::Error;
use crate::store::database::Database;

/// Maximum duration of a statement, for connections that do not answer. PostgreSQL itself ends statements later.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);

const LOCK_RUNS: Statement = batch!(
    [id uuid]
    postgres: "SELECT id FROM task_run WHERE id IN (SELECT id FROM batch) ORDER BY id FOR UPDATE",
    sqlite: "SELECT id FROM batch"
);

/// An argument of a statement.
#[derive(Clone, Debug)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Integer(i64),
    Id(Uuid),
}

impl Argument<'_> {
    /// The maximum number of rows.
    pub(super) fn limit(rows: usize) -> Self {
        Self::Integer(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

/// The types that both drivers decode into `T`.
pub(super) trait Row:
    for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

/// A transaction that is rolled back unless it is committed.
pub(super) struct Transaction {
    connection: Connection,
    operation: &'static str,
}

enum Connection {
    Postgres(TransactionConnection<Postgres>),
    Sqlite {
        connection: TransactionConnection<Sqlite>,
        sqlite: crate::store::sqlite::Sqlite,
        /// The approximate number of bytes that the transaction writes.
        bytes: u64,
    },
}

/// A connection that is closed unless its transaction was committed: after an error or a cancelled statement its state is unknown.
struct TransactionConnection<D: sqlx::Database> {
    connection: PoolConnection<D>,
    is_committed: bool,
}

impl<D: sqlx::Database> Drop for TransactionConnection<D> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.connection.close_on_drop();
        }
    }
}

/// Executes a query of either driver.
macro_rules! fetch {
    ($sql:expr, $arguments:expr, $executor:expr) => {{
        let mut query = sqlx::query_as::<_, T>($sql);
        for argument in $arguments {
            query = match argument {
                Argument::Text(text) => query.bind(*text),
                Argument::Integer(number) => query.bind(*number),
                Argument::Id(id) => query.bind(*id),
            };
        }
        timeout(STATEMENT_TIMEOUT, query.fetch_all($executor)).await
    }};
}

impl Transaction {
    /// Begins a transaction that writes. On SQLite it waits for other writers.
    pub(super) async fn begin(database: &Database, operation: &'static str) -> Result<Self, Error> {
        let mut connection = match database {
            Database::Postgres(pool) => {
                let connection = pool.acquire().await.map_err(Error::driver(operation))?;
                Connection::Postgres(TransactionConnection { connection, is_committed: false })
            }
            Database::Sqlite(sqlite) => {
                let mut connection = sqlite.writer().acquire().await.map_err(Error::driver(operation))?;
                sqlite.restart_wal(&mut connection).await.map_err(Error::driver(operation))?;
                let connection = TransactionConnection { connection, is_committed: false };
                Connection::Sqlite { connection, sqlite: sqlite.clone(), bytes: 0 }
            }
        };
        connection.execute("BEGIN", "BEGIN IMMEDIATE", operation).await?;
        Ok(Self { connection, operation })
    }

    /// Executes a statement and returns its rows.
    pub(super) async fn fetch<T: Row>(
        &mut self,
        statement: Statement,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<T>, Error> {
        let result = match &mut self.connection {
            Connection::Postgres(transaction) => {
                fetch!(statement.postgres, arguments, &mut *transaction.connection)
            }
            Connection::Sqlite { connection, bytes, .. } => {
                *bytes += written_bytes(arguments);
                fetch!(statement.sqlite, arguments, &mut *connection.connection)
            }
        };
        result
            .map_err(|elapsed| Error::unavailable(self.operation, elapsed))?
            .map_err(Error::driver(self.operation))
    }

    /// Executes a statement with a batch of rows and no other argument.
    pub(super) async fn fetch_batch<T: Row>(
        &mut self,
        statement: Statement,
        rows: &[impl Serialize],
    ) -> Result<Vec<T>, Error> {
        self.fetch(statement, &[Argument::Text(&to_json(rows))]).await
    }

    /// Locks runs in the order of their ids, for statements that change runs which other transactions change as well: an update locks
    /// rows in the order of its plan, so two of them could wait for each other. SQLite has one writer at a time.
    pub(super) async fn lock_runs(&mut self, runs: &[IdRow]) -> Result<(), Error> {
        if matches!(self.connection, Connection::Postgres(_)) {
            let _: Vec<(Uuid,)> = self.fetch_batch(LOCK_RUNS, runs).await?;
        }
        Ok(())
    }

    /// Commits. After an error the transaction may or may not have been committed.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        self.connection.execute("COMMIT", "COMMIT", self.operation).await?;
        match &mut self.connection {
            Connection::Postgres(transaction) => transaction.is_committed = true,
            Connection::Sqlite { connection, sqlite, bytes } => {
                connection.is_committed = true;
                sqlite.checkpoint_after_write(*bytes);
            }
        }
        Ok(())
    }
}

impl Connection {
    async fn execute(
        &mut self,
        postgres: &'static str,
        sqlite: &'static str,
        operation: &'static str,
    ) -> Result<(), Error> {
        let result = match self {
            Self::Postgres(transaction) => {
                let query = sqlx::query(postgres).execute(&mut *transaction.connection);
                timeout(STATEMENT_TIMEOUT, query).await.map(|result| result.map(drop))
            }
            Self::Sqlite { connection, .. } => {
                let query = sqlx::query(sqlite).execute(&mut *connection.connection);
                timeout(STATEMENT_TIMEOUT, query).await.map(|result| result.map(drop))
            }
        };
        result.map_err(|elapsed| Error::unavailable(operation, elapsed))?.map_err(Error::driver(operation))
    }
}

/// Estimates how much a statement writes: a few pages, and each value in the table and in the write-ahead log.
fn written_bytes(arguments: &[Argument<'_>]) -> u64 {
    const PAGES: u64 = 16 << 10;
    let texts = arguments.iter().map(|argument| match argument {
        Argument::Text(text) => text.len() as u64,
        Argument::Integer(_) | Argument::Id(_) => 0,
    });
    PAGES + 2 * texts.sum::<u64>()
}

/// Executes a statement outside of a transaction on a connection for reading.
pub(super) async fn fetch<T: Row>(
    database: &Database,
    operation: &'static str,
    statement: Statement,
    arguments: &[Argument<'_>],
) -> Result<Vec<T>, Error> {
    let result = match database {
        Database::Postgres(pool) => fetch!(statement.postgres, arguments, pool),
        Database::Sqlite(sqlite) => fetch!(statement.sqlite, arguments, sqlite.readers()),
    };
    result.map_err(|elapsed| Error::unavailable(operation, elapsed))?.map_err(Error::driver(operation))
}

/// Encodes rows for `batch`. PostgreSQL's texts cannot contain NUL, so it becomes U+FFFD.
pub(super) fn to_json(rows: &[impl Serialize]) -> String {
    let json = serde_json::to_string(rows).expect("rows have only texts and numbers");
    // The escape may also be a part of a text, so this decides only whether to look.
    if !json.contains("\\u0000") {
        return json;
    }
    let mut rows: serde_json::Value = serde_json::from_str(&json).expect("it was encoded above");
    replace_nul(&mut rows);
    rows.to_string()
}

fn replace_nul(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        serde_json::Value::Array(values) => values.iter_mut().for_each(replace_nul),
        serde_json::Value::Object(members) => members.values_mut().for_each(replace_nul),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nul_is_replaced_in_texts_only() {
        let row = json!({ "a": "x\0y", "b": "\\u0000", "c": null, "d": 7 });
        let encoded: serde_json::Value = serde_json::from_str(&to_json(&[row])).expect("JSON");
        assert_eq!(encoded, json!([{ "a": "x\u{fffd}y", "b": "\\u0000", "c": null, "d": 7 }]));
    }
}
