//! Rows of records.

use uuid::Uuid;

use super::{Audit, Stored, signed};
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::verify::{Columns, Kept, Row};
use crate::domain::audit::{LogName, Record};
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading records of the audit log";

/// The columns of a [`Stored`].
pub(super) type StoredRow = (String, Vec<u8>);

/// All columns.
type WholeRow = (
    i64,
    Uuid,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<Uuid>,
    Vec<u8>,
    Vec<u8>,
    String,
);

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

fn row(row: WholeRow) -> Result<Row, Error> {
    let (seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) = row;
    let columns = Columns {
        id: id.to_string(),
        time,
        actor,
        action,
        kind,
        namespace,
        name,
        outcome,
        completes: completes.map(|id| id.to_string()),
    };
    let kept = Kept { hash: hash_of(&hash, READING)?, chain: hash_of(&chain, READING)?, columns };
    Ok(Row { seq: count(seq, READING)?, body: body.into_bytes(), kept: Some(kept) })
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

    /// Rows as they are kept, for verifying: from a place on, oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn rows(&self, log: &LogName, from: u64, limit: usize) -> Result<Vec<Row>, Error> {
        const QUERY: &str = "SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
             FROM audit_record WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows: Vec<WholeRow> = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).bind(signed(from)).bind(signed(limit as u64)).fetch_all(pool).await
        })
        .map_err(Error::driver(READING))?;
        rows.into_iter().map(row).collect()
    }
}
