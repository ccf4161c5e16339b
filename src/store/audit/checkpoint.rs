//! Signed checkpoints.

use jiff::Timestamp;

use super::record::count;
use super::{Audit, Noted, signed};
use crate::domain::audit::LogName;
use crate::store::Error;
use crate::store::database::{reading, writing};

const READING: &str = "reading checkpoints of the audit log";
const KEEPING: &str = "keeping a checkpoint of the audit log";

impl Audit {
    /// The checkpoints of a log, the newest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn checkpoints(&self, log: &LogName, limit: usize) -> Result<Vec<Noted>, Error> {
        const QUERY: &str =
            "SELECT size, note, time FROM audit_checkpoint WHERE log = $1 ORDER BY size DESC LIMIT $2";
        let rows: Vec<(i64, String, i64)> = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).bind(signed(limit as u64)).fetch_all(pool).await
        })
        .map_err(Error::driver(READING))?;
        let noted = |(size, note, time)| {
            let time = Timestamp::from_microsecond(time)
                .map_err(|error| Error::Damaged { what: READING, why: error.to_string() })?;
            Ok(Noted { size: count(size, READING)?, note, time })
        };
        rows.into_iter().map(noted).collect()
    }

    /// Keeps a signed checkpoint. The same once more is no error; of two for the same size the first stays.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn keep_checkpoint(&self, log: &LogName, noted: &Noted) -> Result<(), Error> {
        const QUERY: &str = "INSERT INTO audit_checkpoint (log, size, note, time) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (log, size) DO NOTHING";
        writing!(&self.database, pool => {
            sqlx::query(QUERY)
                .bind(log.as_str())
                .bind(signed(noted.size))
                .bind(noted.note.as_str())
                .bind(noted.time.as_microsecond())
                .execute(pool)
                .await
                .map(|_| ())
        })
        .map_err(Error::driver(KEEPING))
    }
}
