//! The delay that spreads the starts of tasks with the same schedule.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The delay of the run of a task at a scheduled time: uniformly distributed in [0, `max`), and zero if `max` is zero.
///
/// It depends only on the arguments, so that a restarted or another replica computes the same delay. `max` above 584 years
/// counts as 584 years.
#[must_use]
pub fn jitter_of(task_uid: &str, scheduled: Timestamp, max: Duration) -> Duration {
    let hash = Sha256::new()
        .chain_update(scheduled.as_nanosecond().to_be_bytes())
        .chain_update(task_uid.as_bytes())
        .finalize();
    let hash = u64::from_be_bytes(std::array::from_fn(|index| hash[index]));
    let max = max.as_nanos().min(u64::MAX.into());
    let nanoseconds = (u128::from(hash) * max) >> 64;
    Duration::from_nanos(u64::try_from(nanoseconds).expect("less than max"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const UID: &str = "5f0c3a52-6c0e-4b6f-9a44-0d9c9a1f5f6e";

    #[test]
    fn the_delay_is_the_same_in_every_version() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let minute = Duration::from_secs(60);
        let delays = [(UID, 1_800_000_000), (UID, 1_800_000_060), ("another", 1_800_000_000)]
            .map(|(uid, second)| format!("{:?}\n", jitter_of(uid, at(second), minute)));
        expect![[r#"
            38.276047987s
            22.0731318s
            5.918829395s
        "#]]
        .assert_eq(&delays.concat());
        assert_eq!(jitter_of(UID, Timestamp::MIN, Duration::ZERO), Duration::ZERO);
        assert!(jitter_of(UID, Timestamp::MAX, Duration::MAX) < Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn delays_are_uniform() {
        let mut tenths = [0; 10];
        for minute in 0..10_000 {
            let scheduled = Timestamp::from_second(1_800_000_000 + minute * 60).expect("in range");
            let delay = jitter_of(UID, scheduled, Duration::from_secs(10));
            tenths[usize::try_from(delay.as_secs()).expect("small")] += 1;
        }
        // The standard deviation is 30.
        assert!(tenths.iter().all(|count| (880..1120).contains(count)), "{tenths:?}");
    }
}
