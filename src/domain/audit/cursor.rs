//! Cursors: where the next page of records begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::{Filter, LogName};

/// Where the next page begins. Pages have the newest records first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next page has records before this position.
    pub before: u64,
}

/// A cursor does not belong to this log and filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cursor does not belong to this question: ask with the same log and filter as for the page before, or without a cursor"
)]
pub struct ForeignCursor;

impl Cursor {
    /// The text of the cursor, which is valid for this log and filter only.
    #[must_use]
    pub fn text(&self, log: &LogName, filter: &Filter) -> String {
        URL_SAFE_NO_PAD.encode([query_hash(log, filter), self.before.to_be_bytes()].concat())
    }

    /// Parses a cursor that was made for this log and filter.
    ///
    /// # Errors
    /// It was made for another log or filter, or is not a cursor.
    pub fn read(text: &str, log: &LogName, filter: &Filter) -> Result<Self, ForeignCursor> {
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| ForeignCursor)?;
        match bytes.split_first_chunk::<8>() {
            Some((query, before)) if length == bytes.len() && *query == query_hash(log, filter) => {
                let before = before.try_into().map_err(|_| ForeignCursor)?;
                Ok(Self { before: u64::from_be_bytes(before) })
            }
            _ => Err(ForeignCursor),
        }
    }
}

/// A short hash of a log and a filter.
fn query_hash(log: &LogName, filter: &Filter) -> [u8; 8] {
    let query = serde_json_canonicalizer::to_vec(&(log, filter)).expect("a filter is JSON");
    let [a, b, c, d, e, f, g, h, ..] = Hash::over(&[&query]).0;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
