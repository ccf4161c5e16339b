//! Stores signed checkpoints.

use jiff::Timestamp;

use super::convert::{to_i64, to_u64};
use super::log::{Audit, StoredCheckpoint};
use crate::domain::audit::LogName;
use crate::domain::audit::checkpoint::MAX_NOTE_BYTES;
use crate::store::Error;
use crate::store::database::{reading, writing};

const READING: &str = "reading checkpoints of the audit log";
const WRITING: &str = "storing a checkpoint of the audit log";

impl Audit {
    /// Lists the checkpoints of a log, the newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_checkpoints(
        &self,
        log: &LogName,
        limit: usize,
    ) -> Result<Vec<StoredCheckpoint>, Error> {
        self.list_checkpoints_before(log, None, limit).await
    }

    /// Lists the checkpoints of a log that are smaller than a size, the newest first. A note that is too long to be valid is
    /// truncated.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_checkpoints_before(
        &self,
        log: &LogName,
        size: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredCheckpoint>, Error> {
        const QUERY: &str = "SELECT size, substr(note, 1, CAST($4 AS integer)), time FROM audit_checkpoint \
             WHERE log = $1 AND size < $3 ORDER BY size DESC LIMIT $2";
        let before = size.map_or(i64::MAX, to_i64);
        let rows: Vec<(i64, String, i64)> = reading!(&self.database, pool => {
            sqlx::query_as(QUERY)
                .bind(log.as_str())
                .bind(to_i64(limit as u64))
                .bind(before)
                .bind(to_i64(MAX_NOTE_BYTES as u64 + 1))
                .fetch_all(pool)
                .await
        })
        .map_err(Error::driver(READING))?;
        let to_checkpoint = |(size, note, time)| {
            let time = Timestamp::from_microsecond(time)
                .map_err(|error| Error::Corrupt { operation: READING, problem: error.to_string() })?;
            Ok(StoredCheckpoint { size: to_u64(size, READING)?, note, time })
        };
        rows.into_iter().map(to_checkpoint).collect()
    }

    /// Lists the logs that have checkpoints, whether or not they have records.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_signed_logs(&self) -> Result<Vec<LogName>, Error> {
        const QUERY: &str = "SELECT DISTINCT log FROM audit_checkpoint ORDER BY log";
        let logs: Vec<String> =
            reading!(&self.database, pool => sqlx::query_scalar(QUERY).fetch_all(pool).await)
                .map_err(Error::driver(READING))?;
        let parse = |log: String| {
            let problem = || format!("{log:?} is not a log");
            log.parse().map_err(|_| Error::Corrupt { operation: READING, problem: problem() })
        };
        logs.into_iter().map(parse).collect()
    }

    /// Stores a checkpoint, unless there is one of the same size.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn insert_checkpoint(&self, log: &LogName, checkpoint: &StoredCheckpoint) -> Result<(), Error> {
        const QUERY: &str = "INSERT INTO audit_checkpoint (log, size, note, time) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (log, size) DO NOTHING";
        writing!(&self.database, pool => {
            sqlx::query(QUERY)
                .bind(log.as_str())
                .bind(to_i64(checkpoint.size))
                .bind(checkpoint.note.as_str())
                .bind(checkpoint.time.as_microsecond())
                .execute(pool)
                .await
                .map(|_| ())
        })
        .map_err(Error::driver(WRITING))
    }
}
