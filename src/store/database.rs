//! Which of the two databases it is.

use sqlx::{Pool, Postgres};

use super::sqlite::Sqlite;

/// The connections.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Postgres(Pool<Postgres>),
    Sqlite(Sqlite),
}

/// The same words for both databases: `$pool` is what reads. Statements name their arguments `$1`, `$2`, which both
/// understand.
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

/// The same for what changes something.
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

/// What is read in one transaction is of one moment.
macro_rules! snapshot {
    ($database:expr, $what:expr, $transaction:ident => $body:expr) => {
        match $database {
            crate::store::database::Database::Postgres(pool) => {
                const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut $transaction =
                    pool.begin_with(BEGIN).await.map_err(crate::store::Error::driver($what))?;
                $body
            }
            crate::store::database::Database::Sqlite(sqlite) => {
                let mut $transaction =
                    sqlite.readers().begin().await.map_err(crate::store::Error::driver($what))?;
                $body
            }
        }
    };
}

pub(super) use {reading, snapshot, writing};
