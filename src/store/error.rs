//! Errors of the database, by whether a retry may help.

/// A database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not answer, or not in time. A retry may help.
    #[error("{operation}: the database cannot be reached")]
    Unavailable {
        /// The failed operation.
        operation: &'static str,
        /// The error of the driver.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database rejects the operation.
    #[error("{operation}")]
    Rejected {
        /// The failed operation.
        operation: &'static str,
        /// The error of the driver.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database contains values that the journal does not write.
    #[error("{operation}: {problem}")]
    Corrupt {
        /// The failed operation.
        operation: &'static str,
        /// The invalid value.
        problem: String,
    },
    /// A folder or file cannot be used.
    #[error("{operation}")]
    File {
        /// The failed operation.
        operation: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// SQLSTATE classes (two characters) and codes of transient errors: no connection, insufficient resources, shutdown,
/// serialization conflict, lock timeout, read-only replica, missing database, missing table before a migration.
const TRANSIENT_SQLSTATES: &[&str] = &["08", "53", "57", "40", "55P03", "25006", "3D000", "42P01"];

/// SQLite result codes of transient errors: busy, locked, no memory, interrupted, I/O, full, cannot open, schema changed,
/// protocol.
const TRANSIENT_SQLITE_CODES: &[i64] = &[5, 6, 7, 9, 10, 13, 14, 15, 17];
/// SQLite result codes of a damaged file: `SQLITE_CORRUPT`, `SQLITE_NOTADB`.
const CORRUPT_SQLITE_CODES: &[i64] = &[11, 26];
/// `SQLITE_TOOBIG`: a value exceeds the size limit.
const SQLITE_TOO_BIG: &str = "18";

impl Error {
    /// Classifies an error of the driver, for `map_err`.
    pub(super) fn driver(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(answer) => {
                match answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                    Some(answer)
                        if TRANSIENT_SQLSTATES.iter().any(|code| answer.code().starts_with(code)) =>
                    {
                        Self::unavailable(operation, error)
                    }
                    Some(_) => Self::Rejected { operation, source: error.into() },
                    None => Self::sqlite(operation, error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::unavailable(operation, error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Corrupt { operation, problem: error.to_string() }
            }
            _ => Self::Rejected { operation, source: error.into() },
        }
    }

    fn sqlite(operation: &'static str, error: sqlx::Error) -> Self {
        let answer = error.as_database_error();
        let code: Option<i64> = answer.and_then(|answer| answer.code()).and_then(|code| code.parse().ok());
        // The lower eight bits are the primary result code.
        let code = code.map_or(0, |code| code & 0xff);
        let is_not_migrated = answer.is_some_and(|answer| answer.message().starts_with("no such table"));
        match code {
            _ if is_not_migrated || TRANSIENT_SQLITE_CODES.contains(&code) => {
                Self::unavailable(operation, error)
            }
            _ if CORRUPT_SQLITE_CODES.contains(&code) => {
                Self::Corrupt { operation, problem: error.to_string() }
            }
            _ => Self::Rejected { operation, source: error.into() },
        }
    }

    /// Whether the database rejects the values of a record, such as a text that is too large, and would accept other records.
    pub(super) fn rejects_record(&self) -> bool {
        let Self::Rejected { source, .. } = self else { return false };
        let answer = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        let code = answer.and_then(|answer| answer.code()).unwrap_or_default();
        match answer
            .is_some_and(|answer| answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some())
        {
            true => code.starts_with("22") || code.starts_with("54"),
            false => code == SQLITE_TOO_BIG,
        }
    }

    pub(super) fn unavailable(
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }

    /// The error and its sources in one line.
    pub(super) fn chain(&self) -> String {
        crate::error_chain::ErrorChain(self).to_string()
    }
}
