//! The two kinds of databases, and macros that run the same statement on both.

use sqlx::{Pool, Postgres};

use super::sqlite::Sqlite;

/// The connections to a database.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Postgres(Pool<Postgres>),
    Sqlite(Sqlite),
}

/// Runs a query on both kinds of databases; `$pool` is the pool for reading. Arguments are `$1`, `$2`, which both support.
macro_rules! reading {
    ($database:expr, $pool:ident => $body:expr) => {
        match $database {
            crate::store::database::Database::Postgres($pool) => $body,
            crate::store::database::Database::Sqlite(sqlite) => {
                let $pool = sqlite.readers();
                $body
            }
        }
    };
}

/// Like `reading`, with the pool for writing.
macro_rules! writing {
    ($database:expr, $pool:ident => $body:expr) => {
        match $database {
            crate::store::database::Database::Postgres($pool) => $body,
            crate::store::database::Database::Sqlite(sqlite) => {
                let $pool = sqlite.writer();
                $body
            }
        }
    };
}

/// Like `reading`, in a transaction that reads a consistent snapshot.
macro_rules! snapshot {
    ($database:expr, $operation:expr, $transaction:ident => $body:expr) => {
        match $database {
            crate::store::database::Database::Postgres(pool) => {
                const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut $transaction =
                    pool.begin_with(BEGIN).await.map_err(crate::store::Error::driver($operation))?;
                $body
            }
            crate::store::database::Database::Sqlite(sqlite) => {
                let mut $transaction =
                    sqlite.readers().begin().await.map_err(crate::store::Error::driver($operation))?;
                $body
            }
        }
    };
}

pub(super) use {reading, snapshot, writing};
