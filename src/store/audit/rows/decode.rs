//! Helpers that both formats use for decoding.

use crate::store::Error;

pub(super) const READING: &str = "reading records of the audit log";

pub(super) fn corrupt(problem: String) -> Error {
    Error::Corrupt { operation: READING, problem }
}

/// Takes a number of bytes from the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Error> {
    let split = bytes.split_at_checked(count);
    let (taken, rest) =
        split.ok_or_else(|| corrupt("a record is shorter than its stated length".to_owned()))?;
    *bytes = rest;
    Ok(taken)
}
