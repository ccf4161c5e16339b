//! Rows out of PostgreSQL, by COPY in its binary format: the server sends them without describing each, and nothing is made of
//! a row until it is unpacked.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use super::{READING, count, damaged, hash_of, taken};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{Columns, Kept, Row};
use crate::store::Error;

/// What the format begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The columns of a row.
const COLUMNS: usize = 13;

/// A row as it was sent; nothing where a column is NULL.
type Fields<'a> = [Option<&'a [u8]>; COLUMNS];

/// A connection that goes back to the others only after all that was sent has been read. The driver does not count an answer
/// to COPY among those that are to come, so whoever has the connection next would take what is left of it for their own.
struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// What the server has sent.
#[derive(Debug)]
pub(in super::super) struct Copied(Vec<u8>);

impl Copied {
    pub(super) async fn read(pool: &PgPool, log: &LogName, from: i64, most: i64) -> Result<Self, Error> {
        // This statement takes no arguments. The name of a log has no characters that mean anything to SQL.
        let query = format!(
            "COPY (SELECT seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body \
             FROM audit_record WHERE log = '{log}' AND seq >= {from} ORDER BY seq LIMIT {most}) TO STDOUT (FORMAT binary)"
        );
        let mut lent = Lent(Some(pool.acquire().await.map_err(Error::driver(READING))?));
        let mut all = Vec::new();
        if let Some(connection) = &mut lent.0 {
            let mut pieces = connection.copy_out_raw(&query).await.map_err(Error::driver(READING))?;
            while let Some(piece) = pieces.try_next().await.map_err(Error::driver(READING))? {
                all.extend_from_slice(&piece);
            }
        }
        lent.give_back();
        Ok(Self(all))
    }

    pub(super) fn last(&self) -> Result<Option<i64>, Error> {
        let mut last = None;
        for fields in self.fields()? {
            last = Some(fields?);
        }
        last.map(|fields| number(fields[0])).transpose()
    }

    pub(super) fn rows(&self) -> Result<Vec<Row>, Error> {
        self.fields()?.map(|fields| row(&fields?)).collect()
    }

    /// The fields of each row, behind the header.
    fn fields(&self) -> Result<impl Iterator<Item = Result<Fields<'_>, Error>>, Error> {
        let mut rest = self.0.strip_prefix(SIGNATURE).ok_or_else(unreadable)?;
        let _flags = taken(&mut rest, 4)?;
        let extension = length(&mut rest)?.ok_or_else(unreadable)?;
        let _extension = taken(&mut rest, extension)?;
        Ok(std::iter::from_fn(move || next(&mut rest).transpose()))
    }
}

/// The next row, if it is not the end.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Fields<'a>>, Error> {
    let columns = taken(rest, 2)?;
    if columns == [0xff, 0xff] {
        return Ok(None);
    }
    if columns != (COLUMNS as u16).to_be_bytes() {
        return Err(unreadable());
    }
    let mut fields = [None; COLUMNS];
    for field in &mut fields {
        *field = length(rest)?.map(|length| taken(rest, length)).transpose()?;
    }
    Ok(Some(fields))
}

/// How long what follows is; none if it is NULL.
fn length(rest: &mut &[u8]) -> Result<Option<usize>, Error> {
    let bytes = taken(rest, 4)?.try_into().map_err(|_| unreadable())?;
    match i32::from_be_bytes(bytes) {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| unreadable()),
    }
}

fn row(fields: &Fields<'_>) -> Result<Row, Error> {
    let [seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body] =
        *fields;
    let columns = Columns {
        id: there(uuid(id)?)?,
        time: number(time)?,
        actor: there(text(actor)?)?,
        action: there(text(action)?)?,
        kind: text(kind)?,
        namespace: text(namespace)?,
        name: text(name)?,
        outcome: there(text(outcome)?)?,
        completes: uuid(completes)?,
    };
    let (hash, chain) = (hash_of(there(hash)?, READING)?, hash_of(there(chain)?, READING)?);
    let kept = Some(Kept { hash, chain, columns });
    Ok(Row { seq: count(number(seq)?, READING)?, body: there(body)?.to_vec(), kept })
}

/// What is never NULL.
fn there<T>(field: Option<T>) -> Result<T, Error> {
    field.ok_or_else(unreadable)
}

fn number(field: Option<&[u8]>) -> Result<i64, Error> {
    Ok(i64::from_be_bytes(there(field)?.try_into().map_err(|_| unreadable())?))
}

fn text(field: Option<&[u8]>) -> Result<Option<String>, Error> {
    let text = field.map(std::str::from_utf8).transpose().map_err(|_| unreadable())?;
    Ok(text.map(str::to_owned))
}

fn uuid(field: Option<&[u8]>) -> Result<Option<String>, Error> {
    let uuid = field.map(Uuid::from_slice).transpose().map_err(|_| unreadable())?;
    Ok(uuid.map(|uuid| uuid.to_string()))
}

fn unreadable() -> Error {
    damaged("what PostgreSQL has sent is not in its binary format".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row by what the format says of it.
    fn sent(columns: &[Option<&[u8]>]) -> Vec<u8> {
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

    fn copied(extension: &[u8], rows: &[Vec<u8>]) -> Vec<u8> {
        let length = (extension.len() as i32).to_be_bytes();
        [SIGNATURE, &[0; 4], &length, extension, &rows.concat(), &[0xff, 0xff]].concat()
    }

    fn a_row(seq: i64) -> Vec<u8> {
        let (seq, hash) = (seq.to_be_bytes(), [7; 32]);
        sent(&[
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
    fn what_the_server_sends_is_unpacked() {
        let none = Copied(copied(b"", &[]));
        assert_eq!((none.last().expect("it can be read"), none.rows().expect("they can").len()), (None, 0));
        let two = Copied(copied(b"later", &[a_row(7), a_row(9)]));
        assert_eq!(two.last().expect("it can be read"), Some(9));
        let rows = two.rows().expect("they can be read");
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
            kept: Some(Kept { hash, chain: hash, columns: columns.clone() }),
        };
        assert_eq!(rows, [row(7), row(9)]);
    }

    #[test]
    fn what_is_cut_or_something_else_is_an_error() {
        let whole = copied(b"", &[a_row(7)]);
        for length in 0..whole.len() {
            assert!(Copied(whole[..length].to_vec()).rows().is_err(), "{length} bytes");
        }
        for row in [sent(&[Some(b"7")]), sent(&[None; COLUMNS]), sent(&[Some(b"\xff".as_slice()); COLUMNS])] {
            assert!(Copied(copied(b"", &[row])).rows().is_err());
        }
    }
}
