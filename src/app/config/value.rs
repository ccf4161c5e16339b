//! Parsers of command line values.

use std::time::Duration;

use crate::domain::quantity;

/// A namespace and a name.
#[derive(Clone, Debug)]
pub(in crate::app) struct NamespacedName {
    pub(in crate::app) namespace: String,
    pub(in crate::app) name: String,
}

pub(super) fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(NamespacedName { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("write NAMESPACE/NAME".into()),
    }
}

/// A duration of at least 100 ms.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let milliseconds = quantity::parse_millis(text).and_then(|number| u64::try_from(number).ok());
    match milliseconds {
        Some(milliseconds) if milliseconds >= 100 => Ok(Duration::from_millis(milliseconds)),
        _ => Err("write a number and its unit (ms, s, m, h), such as 30s, and at least 100ms".into()),
    }
}

/// A duration of at least 5 s.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(duration) if duration >= Duration::from_secs(5) => Ok(duration),
        _ => Err("write a number and its unit (s, m, h, d), such as 90d, and at least 5s".into()),
    }
}

/// A size of at least 64 KiB, in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bytes = quantity::parse_bytes(text).and_then(|number| u64::try_from(number).ok());
    match bytes {
        Some(bytes) if bytes >= 64 * 1024 => Ok(bytes),
        _ => {
            Err("write a number of bytes, alone or with Ki, Mi or Gi, such as 64Mi, and at least 64Ki".into())
        }
    }
}
