//! Reads many rows with all stored values, for verification.
//!
//! Each database transfers them in its cheapest format. They are decoded later, on the thread that compares them, while the next
//! rows are read.

mod decode;
mod pg_copy;
mod sqlite_json;

use pg_copy::PgCopyRows;
use sqlite_json::SqliteJsonRows;

use super::convert::{to_i64, to_u64};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Row;
use crate::store::Error;
use crate::store::database::Database;

/// Encoded rows.
#[derive(Debug)]
pub(super) enum Rows {
    Postgres(PgCopyRows),
    Sqlite(SqliteJsonRows),
}

impl Rows {
    /// Reads rows from a position on, oldest first.
    pub(super) async fn read(
        database: &Database,
        log: &LogName,
        from: u64,
        limit: usize,
    ) -> Result<Self, Error> {
        let (from, limit) = (to_i64(from), to_i64(limit as u64));
        match database {
            Database::Postgres(pool) => PgCopyRows::read(pool, log, from, limit).await.map(Self::Postgres),
            Database::Sqlite(sqlite) => {
                SqliteJsonRows::read(sqlite.readers(), log, from, limit).await.map(Self::Sqlite)
            }
        }
    }

    /// The position of the last row.
    pub(super) fn last(&self) -> Result<Option<u64>, Error> {
        let last = match self {
            Self::Postgres(rows) => rows.last()?,
            Self::Sqlite(rows) => rows.last(),
        };
        last.map(|last| to_u64(last, decode::READING)).transpose()
    }

    /// Decodes the rows.
    pub(super) fn decode(&self) -> Result<Vec<Row>, Error> {
        match self {
            Self::Postgres(rows) => rows.decode(),
            Self::Sqlite(rows) => rows.decode(),
        }
    }
}
