//! Rows out of SQLite, in few values: the driver hands each value of each row from the thread of the connection to us, which
//! takes longer than to read and to verify the row.

use sqlx::SqlitePool;
use uuid::Uuid;

use super::{READING, count, damaged, hash_of, taken};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{Columns, Kept, Row};
use crate::store::Error;

const QUERY: &str = "SELECT MAX(seq), CAST(json_group_array(json_array(seq, hex(id), time, actor, action, kind, namespace, name, \
     outcome, CASE WHEN completes IS NOT NULL THEN hex(completes) END, octet_length(hash), octet_length(chain), \
     octet_length(body))) AS BLOB), \
     CAST(group_concat(hash || chain, '') AS BLOB), CAST(group_concat(body, '') AS BLOB) FROM \
     (SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
     FROM audit_record WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3)";

/// Some rows: their columns as JSON, their hashes, and their texts, each one behind the other.
#[derive(Debug)]
pub(in super::super) struct Packed {
    last: Option<i64>,
    columns: Vec<u8>,
    hashes: Vec<u8>,
    bodies: Vec<u8>,
}

/// The last place, and the rest of [`Packed`]; some of it is NULL where there are no rows.
type Answer = (Option<i64>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The columns of a row, and how long its hashes and its text are.
type Columned = (
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

impl Packed {
    pub(super) async fn read(pool: &SqlitePool, log: &LogName, from: i64, most: i64) -> Result<Self, Error> {
        let query = sqlx::query_as(QUERY).bind(log.as_str()).bind(from).bind(most);
        let (last, columns, hashes, bodies): Answer =
            query.fetch_one(pool).await.map_err(Error::driver(READING))?;
        let (hashes, bodies) = (hashes.unwrap_or_default(), bodies.unwrap_or_default());
        Ok(Self { last, columns, hashes, bodies })
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.last
    }

    pub(super) fn rows(&self) -> Result<Vec<Row>, Error> {
        let columns: Vec<Columned> = serde_json::from_slice(&self.columns)
            .map_err(|error| damaged(format!("the columns of a record cannot be read: {error}")))?;
        let (mut hashes, mut bodies) = (self.hashes.as_slice(), self.bodies.as_slice());
        let row = |row: Columned| {
            let (seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) =
                row;
            let hash = hash_of(taken(&mut hashes, hash)?, READING)?;
            let chain = hash_of(taken(&mut hashes, chain)?, READING)?;
            let completes = completes.as_deref().map(uuid).transpose()?;
            let id = uuid(&id)?;
            let columns = Columns { id, time, actor, action, kind, namespace, name, outcome, completes };
            let body = taken(&mut bodies, body)?.to_vec();
            Ok(Row { seq: count(seq, READING)?, body, kept: Some(Kept { hash, chain, columns }) })
        };
        columns.into_iter().map(row).collect()
    }
}

/// An id as text, from its digits.
fn uuid(digits: &str) -> Result<String, Error> {
    let uuid = Uuid::try_parse(digits).map_err(|_| damaged(format!("{digits} is no id of a record")))?;
    Ok(uuid.to_string())
}
