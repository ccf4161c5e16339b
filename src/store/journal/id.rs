//! Ids of records: UUIDs of version 7 (RFC 9562), each greater than those before it in this process.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use uuid::Uuid;

/// Makes ids. The twelve bits after the time count within a millisecond (section 6.2, method 1), the others are random.
#[derive(Debug, Default)]
pub(super) struct Ids {
    last: Mutex<(u64, u16)>,
}

const COUNT: u16 = 1 << 12;

impl Ids {
    pub(super) fn next(&self, time: Timestamp) -> Uuid {
        let mut random = [0; 10];
        SystemRandom::new().fill(&mut random).expect("the system has random numbers");
        let now = u64::try_from(time.as_millisecond()).unwrap_or(0);
        // Half of the numbers are left for those that follow in the same millisecond.
        let start = u16::from_be_bytes([random[0], random[1]]) % (COUNT / 2);
        let (millis, count) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = match *last {
                (millis, _) if now > millis => (now, start),
                (millis, count) if count + 1 < COUNT => (millis, count + 1),
                // A clock that stands still or goes back does not bring ids back.
                (millis, _) => (millis + 1, start),
            };
            *last
        };
        [random[0], random[1]] = count.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_goes_back() {
        let ids = Ids::default();
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        let mut made: Vec<Uuid> = (0..10_000).map(|_| ids.next(at(1_700_000_000_000))).collect();
        made.push(ids.next(at(1_600_000_000_000)));
        made.push(ids.next(at(1_800_000_000_000)));
        assert!(made.is_sorted_by(|one, other| one < other));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
    }
}
