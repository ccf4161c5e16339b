//! When to look again at something that failed.

use std::time::Duration;

use jiff::Timestamp;

/// The shortest pause between two tries.
pub const SHORTEST: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
pub const LONGEST: Duration = Duration::from_secs(300);

/// The pause before the next try: as long as it has been failing, between [`SHORTEST`] and
/// [`LONGEST`]. That doubles from try to try and needs no counter, so a restart forgets nothing.
#[must_use]
pub fn pause(failing_since: Option<Timestamp>, now: Timestamp) -> Duration {
    failing_since
        .and_then(|since| Duration::try_from(now.duration_since(since)).ok())
        .unwrap_or(SHORTEST)
        .clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_is_as_long_as_the_failure_within_bounds() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let seconds = |since: Option<i64>, now| pause(since.map(at), at(now)).as_secs();
        assert_eq!(seconds(None, 100), 5);
        assert_eq!(seconds(Some(100), 100), 5);
        assert_eq!(seconds(Some(100), 120), 20);
        assert_eq!(seconds(Some(100), 100_000), 300);
        assert_eq!(seconds(Some(200), 100), 5, "a clock that went back does not make it negative");
    }
}
