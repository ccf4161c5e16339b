//! Reads rows of `audit_record` from SQLite as four values: the driver transfers each value from the thread of the connection,
//! which would take longer than reading and verifying a row.
//!
//! The decoder is limited to one fixed statement. Other queries use sqlx.

use sqlx::SqlitePool;
use uuid::Uuid;

use super::decode::{READING, corrupt, take_bytes};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{Columns, Row, StoredValues};
use crate::store::Error;
use crate::store::audit::convert::{to_hash, to_u64};

const QUERY: &str = "SELECT MAX(seq), CAST(json_group_array(json_array(seq, hex(id), time, actor, action, kind, namespace, name, \
     outcome, CASE WHEN completes IS NOT NULL THEN hex(completes) END, octet_length(hash), octet_length(chain), \
     octet_length(body))) AS BLOB), \
     CAST(group_concat(hash || chain, '') AS BLOB), CAST(group_concat(body, '') AS BLOB) FROM \
     (SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
     FROM audit_record WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3)";

/// Encoded rows: their columns as JSON, their concatenated hashes, and their concatenated bodies.
#[derive(Debug)]
pub(in crate::store::audit) struct SqliteJsonRows {
    last: Option<i64>,
    columns: Vec<u8>,
    hashes: Vec<u8>,
    bodies: Vec<u8>,
}

/// The values of [`SqliteJsonRows`]; some are NULL without any row.
type ResultRow = (Option<i64>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The columns of a row, and the lengths of its hash, chain and body.
type EncodedColumns = (
    i64,
    String,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    usize,
    usize,
    usize,
);

impl SqliteJsonRows {
    pub(super) async fn read(pool: &SqlitePool, log: &LogName, from: i64, limit: i64) -> Result<Self, Error> {
        let query = sqlx::query_as(QUERY).bind(log.as_str()).bind(from).bind(limit);
        let (last, columns, hashes, bodies): ResultRow =
            query.fetch_one(pool).await.map_err(Error::driver(READING))?;
        let (hashes, bodies) = (hashes.unwrap_or_default(), bodies.unwrap_or_default());
        Ok(Self { last, columns, hashes, bodies })
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.last
    }

    pub(super) fn decode(&self) -> Result<Vec<Row>, Error> {
        let columns: Vec<EncodedColumns> = serde_json::from_slice(&self.columns)
            .map_err(|error| corrupt(format!("the columns of a record cannot be parsed: {error}")))?;
        let (mut hashes, mut bodies) = (self.hashes.as_slice(), self.bodies.as_slice());
        let decode_row = |row: EncodedColumns| {
            let (seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) =
                row;
            let hash = to_hash(take_bytes(&mut hashes, hash)?, READING)?;
            let chain = to_hash(take_bytes(&mut hashes, chain)?, READING)?;
            let completes = completes.as_deref().map(format_uuid).transpose()?;
            let id = format_uuid(&id)?;
            let columns = Columns { id, time, actor, action, kind, namespace, name, outcome, completes };
            let body = take_bytes(&mut bodies, body)?.to_vec();
            let stored = Some(StoredValues { hash, chain, columns });
            Ok(Row { seq: to_u64(seq, READING)?, body, stored })
        };
        columns.into_iter().map(decode_row).collect()
    }
}

/// Formats an id from its hexadecimal digits.
fn format_uuid(digits: &str) -> Result<String, Error> {
    let uuid = Uuid::try_parse(digits).map_err(|_| corrupt(format!("{digits} is not the id of a record")))?;
    Ok(uuid.to_string())
}
