//! Cursors: where the next page of records begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::{Filter, LogName};

/// Where the next page begins. Pages have the newest records first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next page has records with a smaller `seq`.
    pub before: u64,
}

/// A cursor does not belong to this log and filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cursor: it belongs to another log or filter: repeat those of the previous page, or omit the cursor")]
pub struct CursorMismatch;

impl Cursor {
    /// Encodes the cursor for this log and filter.
    #[must_use]
    pub fn encode(&self, log: &LogName, filter: &Filter) -> String {
        URL_SAFE_NO_PAD.encode([query_hash(log, filter), self.before.to_be_bytes()].concat())
    }

    /// Decodes a cursor.
    ///
    /// # Errors
    /// The cursor is malformed, or belongs to another log or filter.
    pub fn decode(text: &str, log: &LogName, filter: &Filter) -> Result<Self, CursorMismatch> {
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| CursorMismatch)?;
        match bytes.split_first_chunk::<8>() {
            Some((query, before)) if length == bytes.len() && *query == query_hash(log, filter) => {
                let before = before.try_into().map_err(|_| CursorMismatch)?;
                Ok(Self { before: u64::from_be_bytes(before) })
            }
            _ => Err(CursorMismatch),
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
