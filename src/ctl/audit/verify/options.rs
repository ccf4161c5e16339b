//! What a verification accepts.

use std::time::Duration;

use crate::domain::audit::verify::Requirements;
use crate::domain::quantity;

/// How logs are verified.
#[derive(Clone, Debug, Default)]
pub(super) struct VerifyOptions {
    /// The expected installation.
    pub(super) installation: Option<String>,
    /// What has to be known of a log.
    pub(super) requirements: Requirements,
    /// Whether an export may have a filter.
    pub(super) accepts_filter: bool,
}

/// Parses the time within which the operator signs records.
pub(super) fn signing_delay(text: &str) -> Result<Duration, String> {
    let milliseconds = quantity::parse_millis(text).and_then(|number| u64::try_from(number).ok());
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| "write a number and its unit (s, m, h), such as 5m".into())
}
