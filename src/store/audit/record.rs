//! Rows of records.

use uuid::Uuid;

use super::rows::Rows;
use super::{Audit, Stored};
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::verify::Row;
use crate::domain::audit::{LogName, Record};
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading records of the audit log";

/// The columns of a [`Stored`].
pub(super) type StoredRow = (String, Vec<u8>);

pub(super) fn stored((body, hash): StoredRow) -> Result<Stored, Error> {
    let record: Record = serde_json::from_str(&body).map_err(|error| Error::Damaged {
        what: READING,
        why: format!("a record cannot be read: {error}"),
    })?;
    Ok(Stored { hash: hash_of(&hash, READING)?, record, body })
}

pub(super) fn hash_of(bytes: &[u8], what: &'static str) -> Result<Hash, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::Damaged {
        what,
        why: format!("a hash has {} bytes instead of 32", bytes.len()),
    })?;
    Ok(Hash(bytes))
}

pub(super) fn count(number: i64, what: &'static str) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::Damaged { what, why: format!("{number} is no place in a log") })
}

impl Audit {
    /// One record; the record that completes it, if there is one, is found with [`Audit::completion`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn get(&self, log: &LogName, id: Uuid) -> Result<Option<Stored>, Error> {
        const QUERY: &str = "SELECT body, hash FROM audit_record WHERE log = $1 AND id = $2";
        self.one(QUERY, log, id).await
    }

    /// The record that tells how another ended.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn completion(&self, log: &LogName, id: Uuid) -> Result<Option<Stored>, Error> {
        const QUERY: &str =
            "SELECT body, hash FROM audit_record WHERE log = $1 AND completes = $2 ORDER BY seq LIMIT 1";
        self.one(QUERY, log, id).await
    }

    async fn one(&self, query: &'static str, log: &LogName, id: Uuid) -> Result<Option<Stored>, Error> {
        let row: Option<StoredRow> = reading!(&self.database, pool => {
            sqlx::query_as(query).bind(log.as_str()).bind(id).fetch_optional(pool).await
        })
        .map_err(Error::driver(READING))?;
        row.map(stored).transpose()
    }

    /// Rows as they are kept: from a place on, oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn rows(&self, log: &LogName, from: u64, limit: usize) -> Result<Vec<Row>, Error> {
        Rows::read(&self.database, log, from, limit).await?.unpack()
    }
}
