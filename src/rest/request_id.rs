//! Request ids, which are in responses, logs and audit records.

use std::fmt;

use axum::http::HeaderMap;
use uuid::Uuid;

/// The header with the id, in requests and responses.
pub(super) const HEADER: &str = "x-request-id";

/// Maximum length of an id from a client.
const MAX_ID_CHARS: usize = 128;

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The id in the header if it is safe in logs and headers, otherwise a new UUID of version 7.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let is_safe = |text: &&str| {
            (1..=MAX_ID_CHARS).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
        };
        Self(sent.filter(is_safe).map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned))
    }

    /// The id.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The trace id in the header `traceparent` (W3C Trace Context, version 00).
pub(super) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (_, trace) = (parts.next().filter(|version| *version == "00")?, parts.next()?);
    let is_hexadecimal = trace.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (trace.len() == 32 && is_hexadecimal && trace.bytes().any(|byte| byte != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())])
    }

    #[test]
    fn a_safe_id_of_the_client_is_kept() {
        for kept in ["a", "0198f0c1-2f2b-7cc3-98c4-dc0c0c07398f", "svc:a/b+c=@_.", &"x".repeat(128)] {
            assert_eq!(RequestId::from_headers(&with(HEADER, kept)).as_str(), kept);
        }
        for replaced in ["", "a b", "a\"b", "{}", "é", &"x".repeat(129)] {
            let new = RequestId::from_headers(&with(HEADER, replaced));
            assert_eq!(new.as_str().parse::<Uuid>().unwrap().get_version_num(), 7, "{replaced:?}");
        }
        assert_ne!(RequestId::from_headers(&HeaderMap::new()), RequestId::from_headers(&HeaderMap::new()));
    }

    #[test]
    fn a_trace_id_is_read_from_its_header() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            trace_id(&with("traceparent", &format!("00-{id}-00f067aa0ba902b7-01"))),
            Some(id.to_owned())
        );
        for other in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf9-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_id(&with("traceparent", other)), None, "{other:?}");
        }
    }
}
