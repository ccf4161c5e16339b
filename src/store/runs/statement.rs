//! SQL statements for both kinds of databases, many rows at a time.
//!
//! The first argument of a statement is a JSON array of objects; the statement reads it as the table `batch`. One argument for all
//! rows is parsed and planned once, however many rows there are.

/// A statement in both dialects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

/// The type of a column in PostgreSQL.
macro_rules! postgres_type {
    (uuid) => {
        "uuid"
    };
    (int) => {
        "bigint"
    };
    (text) => {
        "text"
    };
}

/// The value of a column in SQLite. Ids are hexadecimal digits in JSON.
macro_rules! sqlite_value {
    (uuid $column:ident) => {
        concat!("unhex(value ->> '", stringify!($column), "') AS ", stringify!($column), ", ")
    };
    ($kind:ident $column:ident) => {
        concat!("value ->> '", stringify!($column), "' AS ", stringify!($column), ", ")
    };
}

/// A statement that reads `batch`, whose columns are listed with their types.
macro_rules! batch {
    ([$($columns:tt)+] postgres: $postgres:expr, sqlite: $sqlite:expr $(,)?) => {
        $crate::store::runs::statement::Statement {
            postgres: concat!($crate::store::runs::statement::postgres_batch!($($columns)+), $postgres),
            sqlite: concat!($crate::store::runs::statement::sqlite_batch!($($columns)+), $sqlite),
        }
    };
    ([$($columns:tt)+] $body:expr $(,)?) => {
        $crate::store::runs::statement::batch!([$($columns)+] postgres: $body, sqlite: $body)
    };
}

macro_rules! postgres_batch {
    ($($column:ident $kind:ident),+ $(,)?) => {
        concat!(
            "WITH batch AS (SELECT * FROM json_to_recordset($1::text::json) AS batch (",
            $(stringify!($column), " ", $crate::store::runs::statement::postgres_type!($kind), ", ",)+
            "_ integer)) "
        )
    };
}

macro_rules! sqlite_batch {
    ($($column:ident $kind:ident),+ $(,)?) => {
        concat!(
            "WITH batch AS MATERIALIZED (SELECT ",
            $($crate::store::runs::statement::sqlite_value!($kind $column),)+
            "NULL AS _ FROM json_each($1)) "
        )
    };
}

/// A statement that is the same in both dialects.
macro_rules! same {
    ($($body:expr),+ $(,)?) => {
        $crate::store::runs::statement::Statement {
            postgres: concat!($($body),+),
            sqlite: concat!($($body),+),
        }
    };
}

pub(super) use {batch, postgres_batch, postgres_type, same, sqlite_batch, sqlite_value};
