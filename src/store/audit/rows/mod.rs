//! Many rows of records as they are kept, for verifying.
//!
//! Each database hands them over in the way that costs it and us the least, and they are unpacked by whoever compares them, while
//! the next are read.

mod copied;
mod packed;

use copied::Copied;
use packed::Packed;

use super::record::{count, hash_of};
use super::signed;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Row;
use crate::store::Error;
use crate::store::database::Database;

const READING: &str = "reading records of the audit log";

/// Rows that were read and not yet unpacked.
#[derive(Debug)]
pub(super) enum Rows {
    Postgres(Copied),
    Sqlite(Packed),
}

impl Rows {
    /// Rows from a place on, oldest first, so many at most.
    pub(super) async fn read(
        database: &Database,
        log: &LogName,
        from: u64,
        most: usize,
    ) -> Result<Self, Error> {
        let (from, most) = (signed(from), signed(most as u64));
        match database {
            Database::Postgres(pool) => Copied::read(pool, log, from, most).await.map(Self::Postgres),
            Database::Sqlite(file) => Packed::read(file.readers(), log, from, most).await.map(Self::Sqlite),
        }
    }

    /// The place of the last of them; none if there are none.
    pub(super) fn last(&self) -> Result<Option<u64>, Error> {
        let last = match self {
            Self::Postgres(copied) => copied.last()?,
            Self::Sqlite(packed) => packed.last(),
        };
        last.map(|last| count(last, READING)).transpose()
    }

    /// The rows.
    pub(super) fn unpack(&self) -> Result<Vec<Row>, Error> {
        match self {
            Self::Postgres(copied) => copied.rows(),
            Self::Sqlite(packed) => packed.rows(),
        }
    }
}

fn damaged(why: String) -> Error {
    Error::Damaged { what: READING, why }
}

/// The next so many bytes.
fn taken<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Error> {
    let split = bytes.split_at_checked(count);
    let (next, rest) = split.ok_or_else(|| damaged("a record is shorter than it says".to_owned()))?;
    *bytes = rest;
    Ok(next)
}
