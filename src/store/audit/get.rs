//! Reads single records, and rows for verification.

use uuid::Uuid;

use super::convert::{StoredRecordRow, to_stored_record};
use super::log::{Audit, StoredRecord};
use super::rows::Rows;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Row;
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading records of the audit log";

impl Audit {
    /// Reads a record by its id.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn get_record(&self, log: &LogName, id: Uuid) -> Result<Option<StoredRecord>, Error> {
        const QUERY: &str = "SELECT body, hash FROM audit_record WHERE log = $1 AND id = $2";
        self.fetch_record(QUERY, log, id).await
    }

    /// Reads the record that completes the record with this id.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn get_completion(&self, log: &LogName, id: Uuid) -> Result<Option<StoredRecord>, Error> {
        const QUERY: &str =
            "SELECT body, hash FROM audit_record WHERE log = $1 AND completes = $2 ORDER BY seq LIMIT 1";
        self.fetch_record(QUERY, log, id).await
    }

    async fn fetch_record(
        &self,
        query: &'static str,
        log: &LogName,
        id: Uuid,
    ) -> Result<Option<StoredRecord>, Error> {
        let row: Option<StoredRecordRow> = reading!(&self.database, pool => {
            sqlx::query_as(query).bind(log.as_str()).bind(id).fetch_optional(pool).await
        })
        .map_err(Error::driver(READING))?;
        row.map(|row| to_stored_record(row, READING)).transpose()
    }

    /// Reads rows with all stored values, from a position on, oldest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_rows(&self, log: &LogName, from: u64, limit: usize) -> Result<Vec<Row>, Error> {
        Rows::read(&self.database, log, from, limit).await?.decode()
    }
}
