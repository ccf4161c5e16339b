//! What goes wrong with a database.

/// Something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not answer, or not in time.
    #[error("{what}: the database cannot be reached")]
    Away {
        /// What was to be done.
        what: &'static str,
        /// The driver's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refuses.
    #[error("{what}")]
    Refused {
        /// What was to be done.
        what: &'static str,
        /// The driver's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is in the database cannot be what we have written.
    #[error("{what}: {why}")]
    Damaged {
        /// What was to be done.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A folder or file cannot be used.
    #[error("{what}")]
    File {
        /// What was to be done.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
}

/// Classes (two characters) and codes of SQLSTATE that pass: no connection, no resources, being shut down, a conflict with
/// another transaction, a timeout, a server that follows another, tables that are about to be made.
const PASSING: &[&str] = &["08", "53", "57", "40", "55P03", "25006", "3D000", "42P01"];

/// Result codes of SQLite that pass: busy, locked, no memory, interrupted, I/O, full, cannot be opened, changed, protocol.
const PASSING_CODES: &[i64] = &[5, 6, 7, 9, 10, 13, 14, 15, 17];
/// Result codes of SQLite for a file that is no database any more.
const DAMAGED_CODES: &[i64] = &[11, 26];
/// SQLite's result code for a text that is too long.
const TOO_BIG: &str = "18";

impl Error {
    /// For `map_err`: what the driver says, sorted by whether trying again may help.
    pub(super) fn driver(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| match &error {
            sqlx::Error::Database(answer) => {
                match answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                    Some(answer) if PASSING.iter().any(|code| answer.code().starts_with(code)) => {
                        Self::away(what, error)
                    }
                    Some(_) => Self::Refused { what, source: error.into() },
                    None => Self::embedded(what, error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::away(what, error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Damaged { what, why: error.to_string() }
            }
            _ => Self::Refused { what, source: error.into() },
        }
    }

    fn embedded(what: &'static str, error: sqlx::Error) -> Self {
        let answer = error.as_database_error();
        let code: Option<i64> = answer.and_then(|answer| answer.code()).and_then(|code| code.parse().ok());
        // The lower eight bits are the code, the others say more of it.
        let code = code.map_or(0, |code| code & 0xff);
        let is_unprepared = answer.is_some_and(|answer| answer.message().starts_with("no such table"));
        match code {
            _ if is_unprepared || PASSING_CODES.contains(&code) => Self::away(what, error),
            _ if DAMAGED_CODES.contains(&code) => Self::Damaged { what, why: error.to_string() },
            _ => Self::Refused { what, source: error.into() },
        }
    }

    /// Whether a record itself is refused (too large, a text that the database cannot keep), and others would not be.
    pub(super) fn is_about_a_record(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let answer = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        let code = answer.and_then(|answer| answer.code()).unwrap_or_default();
        match answer
            .is_some_and(|answer| answer.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some())
        {
            true => code.starts_with("22") || code.starts_with("54"),
            false => code == TOO_BIG,
        }
    }

    pub(super) fn away(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Away { what, source: source.into() }
    }

    /// All that is known, in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
