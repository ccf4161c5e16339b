//! Reads rows of `audit_record` from PostgreSQL with `COPY … TO STDOUT (FORMAT binary)`, which costs the server and this process
//! less than a result set. <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".
//!
//! The decoder is limited to one fixed statement, its 13 columns, and the types bigint, uuid, text and bytea. It must
//! not become a general COPY client: no other tables or types, no COPY FROM. Other queries use sqlx.

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use super::decode::{READING, corrupt, take_bytes};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{Columns, Row, StoredValues};
use crate::store::Error;
use crate::store::audit::convert::{to_hash, to_u64};

/// The signature of the format.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The number of columns of a row.
const COLUMNS: usize = 13;

/// An encoded row; `None` for NULL.
type Fields<'a> = [Option<&'a [u8]>; COLUMNS];

/// A connection that returns to its pool only after the whole response was read. The driver does not track the response to COPY
/// as pending, so the next user of the connection would read the rest of it as its own response.
struct CopyConnection(Option<PoolConnection<Postgres>>);

impl CopyConnection {
    fn return_to_pool(mut self) {
        drop(self.0.take());
    }
}

impl Drop for CopyConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// The response of the server.
#[derive(Debug)]
pub(in crate::store::audit) struct PgCopyRows(Vec<u8>);

impl PgCopyRows {
    pub(super) async fn read(pool: &PgPool, log: &LogName, from: i64, limit: i64) -> Result<Self, Error> {
        // COPY takes no arguments. The name of a log contains only letters, digits, `_`, `-` and `.`.
        let query = format!(
            "COPY (SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
             FROM audit_record WHERE log = '{log}' AND seq >= {from} ORDER BY seq LIMIT {limit}) TO STDOUT (FORMAT binary)"
        );
        let mut copy = CopyConnection(Some(pool.acquire().await.map_err(Error::driver(READING))?));
        let mut all = Vec::new();
        if let Some(connection) = &mut copy.0 {
            let mut chunks = connection.copy_out_raw(&query).await.map_err(Error::driver(READING))?;
            while let Some(chunk) = chunks.try_next().await.map_err(Error::driver(READING))? {
                all.extend_from_slice(&chunk);
            }
        }
        copy.return_to_pool();
        Ok(Self(all))
    }

    pub(super) fn last(&self) -> Result<Option<i64>, Error> {
        let mut last = None;
        for fields in self.fields()? {
            last = Some(fields?);
        }
        last.map(|fields| decode_bigint(fields[0])).transpose()
    }

    pub(super) fn decode(&self) -> Result<Vec<Row>, Error> {
        self.fields()?.map(|fields| decode_row(&fields?)).collect()
    }

    /// Skips the header and splits the rows into fields.
    fn fields(&self) -> Result<impl Iterator<Item = Result<Fields<'_>, Error>>, Error> {
        let mut rest = self.0.strip_prefix(SIGNATURE).ok_or_else(malformed)?;
        let _flags = take_bytes(&mut rest, 4)?;
        let extension = take_length(&mut rest)?.ok_or_else(malformed)?;
        let _extension = take_bytes(&mut rest, extension)?;
        Ok(std::iter::from_fn(move || take_row(&mut rest).transpose()))
    }
}

/// Takes the next row; `None` at the end.
fn take_row<'a>(rest: &mut &'a [u8]) -> Result<Option<Fields<'a>>, Error> {
    let columns = take_bytes(rest, 2)?;
    if columns == [0xff, 0xff] {
        return Ok(None);
    }
    if columns != (COLUMNS as u16).to_be_bytes() {
        return Err(malformed());
    }
    let mut fields = [None; COLUMNS];
    for field in &mut fields {
        *field = take_length(rest)?.map(|length| take_bytes(rest, length)).transpose()?;
    }
    Ok(Some(fields))
}

/// Takes the length of the next field; `None` for NULL.
fn take_length(rest: &mut &[u8]) -> Result<Option<usize>, Error> {
    let bytes = take_bytes(rest, 4)?.try_into().map_err(|_| malformed())?;
    match i32::from_be_bytes(bytes) {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| malformed()),
    }
}

fn decode_row(fields: &Fields<'_>) -> Result<Row, Error> {
    let [seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body] =
        *fields;
    let columns = Columns {
        id: require(decode_uuid(id)?)?,
        time: decode_bigint(time)?,
        actor: require(decode_text(actor)?)?,
        action: require(decode_text(action)?)?,
        kind: decode_text(kind)?,
        namespace: decode_text(namespace)?,
        name: decode_text(name)?,
        outcome: require(decode_text(outcome)?)?,
        completes: decode_uuid(completes)?,
    };
    let (hash, chain) = (to_hash(require(hash)?, READING)?, to_hash(require(chain)?, READING)?);
    let stored = Some(StoredValues { hash, chain, columns });
    Ok(Row { seq: to_u64(decode_bigint(seq)?, READING)?, body: require(body)?.to_vec(), stored })
}

/// Rejects NULL.
fn require<T>(field: Option<T>) -> Result<T, Error> {
    field.ok_or_else(malformed)
}

fn decode_bigint(field: Option<&[u8]>) -> Result<i64, Error> {
    Ok(i64::from_be_bytes(require(field)?.try_into().map_err(|_| malformed())?))
}

fn decode_text(field: Option<&[u8]>) -> Result<Option<String>, Error> {
    let text = field.map(std::str::from_utf8).transpose().map_err(|_| malformed())?;
    Ok(text.map(str::to_owned))
}

fn decode_uuid(field: Option<&[u8]>) -> Result<Option<String>, Error> {
    let uuid = field.map(Uuid::from_slice).transpose().map_err(|_| malformed())?;
    Ok(uuid.map(|uuid| uuid.to_string()))
}

fn malformed() -> Error {
    corrupt("the response of PostgreSQL is not in the binary COPY format".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a row.
    fn encode_row(columns: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = (columns.len() as u16).to_be_bytes().to_vec();
        for column in columns {
            match column {
                None => bytes.extend((-1_i32).to_be_bytes()),
                Some(column) => {
                    bytes.extend((column.len() as i32).to_be_bytes());
                    bytes.extend(*column);
                }
            }
        }
        bytes
    }

    fn encode(extension: &[u8], rows: &[Vec<u8>]) -> Vec<u8> {
        let length = (extension.len() as i32).to_be_bytes();
        [SIGNATURE, &[0; 4], &length, extension, &rows.concat(), &[0xff, 0xff]].concat()
    }

    fn a_row(seq: i64) -> Vec<u8> {
        let (seq, hash) = (seq.to_be_bytes(), [7; 32]);
        encode_row(&[
            Some(&seq),
            Some(&[0xab; 16]),
            Some(&5_i64.to_be_bytes()),
            Some(b"ann"),
            Some(b"Update"),
            Some(b"EventTopic"),
            None,
            Some(b"orders"),
            Some(b"Allowed"),
            None,
            Some(&hash),
            Some(&hash),
            Some(b"{}"),
        ])
    }

    #[test]
    fn rows_are_decoded() {
        let none = PgCopyRows(encode(b"", &[]));
        assert_eq!((none.last().expect("a position"), none.decode().expect("rows").len()), (None, 0));
        let two = PgCopyRows(encode(b"later", &[a_row(7), a_row(9)]));
        assert_eq!(two.last().expect("a position"), Some(9));
        let rows = two.decode().expect("rows");
        let columns = Columns {
            id: "abababab-abab-abab-abab-abababababab".to_owned(),
            time: 5,
            actor: "ann".to_owned(),
            action: "Update".to_owned(),
            kind: Some("EventTopic".to_owned()),
            namespace: None,
            name: Some("orders".to_owned()),
            outcome: "Allowed".to_owned(),
            completes: None,
        };
        let hash = crate::domain::audit::merkle::Hash([7; 32]);
        let row = |seq| Row {
            seq,
            body: b"{}".to_vec(),
            stored: Some(StoredValues { hash, chain: hash, columns: columns.clone() }),
        };
        assert_eq!(rows, [row(7), row(9)]);
    }

    #[test]
    fn malformed_responses_are_errors() {
        let whole = encode(b"", &[a_row(7)]);
        for length in 0..whole.len() {
            assert!(PgCopyRows(whole[..length].to_vec()).decode().is_err(), "{length} bytes");
        }
        for row in [
            encode_row(&[Some(b"7")]),
            encode_row(&[None; COLUMNS]),
            encode_row(&[Some(b"\xff".as_slice()); COLUMNS]),
        ] {
            assert!(PgCopyRows(encode(b"", &[row])).decode().is_err());
        }
    }
}
