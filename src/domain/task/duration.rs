//! Durations as a spec has them.

use std::time::Duration;

use eventcenter_sdk::Reason;

use crate::domain::{Refusal, quantity};

/// Parses a duration of a spec.
///
/// # Errors
/// It is none.
pub(super) fn parse_duration(field: &str, text: &str) -> Result<Duration, Refusal> {
    let millis = quantity::parse_millis(text).and_then(|millis| u64::try_from(millis).ok());
    millis.map(Duration::from_millis).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            field,
            format!("{text:?} is not a duration: write a number and its unit, such as 30s"),
        )
    })
}
