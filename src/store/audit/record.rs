//! Rows of records.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{Audit, Stored, signed};
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::verify::{Columns, Kept, Row};
use crate::domain::audit::{LogName, Record};
use crate::store::Error;
use crate::store::database::{Database, reading};

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
        let mut rows = Vec::new();
        let mut part = Part::read(&self.database, log, from, limit).await?;
        while let Some(next) = part.next {
            let wanted = limit.saturating_sub(rows.len() + AT_ONCE);
            let unpacking = tokio::task::spawn_blocking(move || part.content.rows());
            // The next are read while these are unpacked.
            let following = Part::read(&self.database, log, next, wanted).await;
            rows.extend(unpacking.await.map_err(|ended| Error::away(READING, ended))??);
            part = following?;
        }
        Ok(rows)
    }
}

/// Rows that are read at once, so that they take little memory.
const AT_ONCE: usize = 512;

/// Some rows as a database gives them.
struct Part {
    /// Where the rows after these begin, if there are these.
    next: Option<u64>,
    content: Content,
}

enum Content {
    Postgres(Vec<PgRow>),
    Sqlite(Packed),
}

impl Part {
    /// Rows from a place on, so many at most.
    async fn read(database: &Database, log: &LogName, from: u64, most: usize) -> Result<Self, Error> {
        let (log, from, most) = (log.as_str(), signed(from), signed(most.min(AT_ONCE) as u64));
        let (last, content): (Option<i64>, Content) = match database {
            Database::Postgres(pool) => {
                let query = sqlx::query(ROWS).bind(log).bind(from).bind(most);
                let rows = query.fetch_all(pool).await.map_err(Error::driver(READING))?;
                let last = rows.last().map(|row| row.try_get(0)).transpose();
                (last.map_err(Error::driver(READING))?, Content::Postgres(rows))
            }
            Database::Sqlite(file) => {
                let query = sqlx::query_as(PACKED).bind(log).bind(from).bind(most);
                let (last, columns, hashes, bodies): PackedRows =
                    query.fetch_one(file.readers()).await.map_err(Error::driver(READING))?;
                let (hashes, bodies) = (hashes.unwrap_or_default(), bodies.unwrap_or_default());
                (last, Content::Sqlite(Packed { columns, hashes, bodies }))
            }
        };
        let last = last.map(|last| count(last, READING)).transpose()?;
        Ok(Self { next: last.map(|last| last.saturating_add(1)), content })
    }
}

impl Content {
    fn rows(self) -> Result<Vec<Row>, Error> {
        match self {
            Self::Postgres(rows) => {
                let whole = |row: &PgRow| WholeRow::from_row(row).map_err(Error::driver(READING));
                rows.iter().map(|one| whole(one).and_then(row)).collect()
            }
            Self::Sqlite(packed) => packed.rows(),
        }
    }
}

const ROWS: &str = "SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
     FROM audit_record WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3";

/// The same in few values. The driver hands each value of each row from the thread of the connection to us, which takes
/// longer than to read and to verify the row.
const PACKED: &str = "SELECT MAX(seq), CAST(json_group_array(json_array(seq, hex(id), time, actor, action, kind, namespace, name, \
     outcome, CASE WHEN completes IS NOT NULL THEN hex(completes) END, octet_length(hash), octet_length(chain), \
     octet_length(body))) AS BLOB), \
     CAST(group_concat(hash || chain, '') AS BLOB), CAST(group_concat(body, '') AS BLOB) FROM \
     (SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
     FROM audit_record WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3)";

/// Some rows: their columns as JSON, their hashes, and their texts, each one behind the other.
struct Packed {
    columns: Vec<u8>,
    hashes: Vec<u8>,
    bodies: Vec<u8>,
}

/// The columns of a row, and how long its hashes and its text are.
type PackedRow = (
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

type PackedRows = (Option<i64>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

impl Packed {
    fn rows(&self) -> Result<Vec<Row>, Error> {
        let columns: Vec<PackedRow> = serde_json::from_slice(&self.columns)
            .map_err(|error| damaged(format!("the columns of a record cannot be read: {error}")))?;
        let (mut hashes, mut bodies) = (self.hashes.as_slice(), self.bodies.as_slice());
        let row = |packed: PackedRow| {
            let (seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) =
                packed;
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

fn damaged(why: String) -> Error {
    Error::Damaged { what: READING, why }
}

/// An id as text, from its digits.
fn uuid(digits: &str) -> Result<String, Error> {
    let uuid = Uuid::try_parse(digits).map_err(|_| damaged(format!("{digits} is no id of a record")))?;
    Ok(uuid.to_string())
}

/// The next so many bytes.
fn taken<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Error> {
    let split = bytes.split_at_checked(count);
    let (next, rest) = split.ok_or_else(|| damaged("a record is shorter than it says".to_owned()))?;
    *bytes = rest;
    Ok(next)
}
