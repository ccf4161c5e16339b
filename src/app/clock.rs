//! The clock that all other modules get as a parameter.

use jiff::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the clock that is passed to all other modules")]
pub(super) fn clock() -> Timestamp {
    Timestamp::now()
}
