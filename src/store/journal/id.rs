//! Ids of records: UUIDs of version 7 (RFC 9562) that increase within a process.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

/// Generates ids. The twelve bits after the time are a counter within a millisecond (RFC 9562, section 6.2, method 1), the others
/// are random.
#[derive(Debug, Default)]
pub(super) struct IdGenerator {
    /// Milliseconds and counter of the last id.
    last: Mutex<(u64, u16)>,
}

const COUNTER_RANGE: u16 = 1 << 12;

impl IdGenerator {
    pub(super) fn next(&self, time: Timestamp) -> Uuid {
        let mut random = [0; 10];
        SystemRandom::new().fill(&mut random).expect("the system provides random numbers");
        let now = u64::try_from(time.as_millisecond()).unwrap_or(0);
        // The upper half of the range is left for further ids of the same millisecond.
        let start = u16::from_be_bytes([random[0], random[1]]) % (COUNTER_RANGE / 2);
        let (millis, counter) = {
            let mut last = self.last.lock();
            *last = match *last {
                (millis, _) if now > millis => (now, start),
                (millis, counter) if counter + 1 < COUNTER_RANGE => (millis, counter + 1),
                // The counter is exhausted, even if the clock stands still or was set back.
                (millis, _) => (millis + 1, start),
            };
            *last
        };
        [random[0], random[1]] = counter.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_when_the_clock_is_set_back() {
        let ids = IdGenerator::default();
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        let mut all: Vec<Uuid> = (0..10_000).map(|_| ids.next(at(1_700_000_000_000))).collect();
        all.push(ids.next(at(1_600_000_000_000)));
        all.push(ids.next(at(1_800_000_000_000)));
        assert!(all.is_sorted_by(|one, other| one < other));
        assert!(all.iter().all(|id| id.get_version_num() == 7));
    }
}
