//! Conversions between values of the database and of the domain.

use super::log::StoredRecord;
use crate::domain::audit::Record;
use crate::domain::audit::merkle::Hash;
use crate::store::Error;

/// Converts a number to the signed integer of a database.
pub(super) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts an integer of a database to a number of records.
pub(super) fn to_u64(number: i64, operation: &'static str) -> Result<u64, Error> {
    u64::try_from(number)
        .map_err(|_| Error::Corrupt { operation, problem: format!("{number} is not a position in a log") })
}

pub(super) fn to_hash(bytes: &[u8], operation: &'static str) -> Result<Hash, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::Corrupt {
        operation,
        problem: format!("a hash has {} bytes instead of 32", bytes.len()),
    })?;
    Ok(Hash(bytes))
}

/// The columns of a [`StoredRecord`]: body and hash.
pub(super) type StoredRecordRow = (String, Vec<u8>);

pub(super) fn to_stored_record(
    (body, hash): StoredRecordRow,
    operation: &'static str,
) -> Result<StoredRecord, Error> {
    let record: Record = serde_json::from_str(&body).map_err(|error| Error::Corrupt {
        operation,
        problem: format!("a record cannot be parsed: {error}"),
    })?;
    Ok(StoredRecord { hash: to_hash(&hash, operation)?, record, body })
}
