//! Cursors: where the next page begins. A cursor belongs to one filter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rest::parameter::invalid_parameter;
use crate::rest::response::ApiError;

/// Where a page of tasks begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskPosition {
    /// The namespace; `None` if all namespaces are listed at once.
    pub(super) namespace: Option<String>,
    /// The API server's token of the page; `None` for the first one of the namespace.
    pub(super) token: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    query: String,
    position: T,
}

/// Encodes a position for a filter.
pub(super) fn encode<T: Serialize>(filter: &impl Serialize, position: &T) -> String {
    let envelope = Envelope { query: hash(filter), position };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope).expect("a position is JSON"))
}

/// Decodes a cursor of the same filter.
pub(super) fn decode<T: DeserializeOwned>(filter: &impl Serialize, text: &str) -> Result<T, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let envelope = bytes.and_then(|bytes| serde_json::from_slice::<Envelope<T>>(&bytes).ok());
    match envelope.filter(|envelope| envelope.query == hash(filter)) {
        Some(envelope) => Ok(envelope.position),
        None => Err(invalid_parameter(
            "cursor",
            "it belongs to another filter: repeat that of the previous page, or omit the cursor",
        )),
    }
}

fn hash(filter: &impl Serialize) -> String {
    let text = serde_json::to_vec(filter).expect("a filter is JSON");
    hex::encode(&Sha256::digest(text)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let position = TaskPosition { namespace: Some("shop".into()), token: Some("abc".into()) };
        let cursor = encode(&("a", 1), &position);
        assert_eq!(decode::<TaskPosition>(&("a", 1), &cursor), Ok(position));
        for (filter, text) in
            [(("a", 2), cursor.as_str()), (("a", 1), ""), (("a", 1), "x"), (("a", 1), &cursor[1..])]
        {
            assert!(
                decode::<TaskPosition>(&filter, text).unwrap_err().message().starts_with("cursor: "),
                "{text}"
            );
        }
    }
}
