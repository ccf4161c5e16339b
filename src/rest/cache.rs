//! Caches of responses of Kubernetes.

use std::hash::Hash;
use std::time::Duration;

use moka::sync::Cache;

/// A cache of at most this many entries, each of which expires after `time_to_live`, whether or not it is read.
pub(super) fn expiring_cache<K, V>(max_entries: u64, time_to_live: Duration) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(max_entries).time_to_live(time_to_live).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_bounded_and_expire() {
        let policy = expiring_cache::<u8, u8>(7, Duration::from_secs(5)).policy();
        assert_eq!(policy.max_capacity(), Some(7));
        assert_eq!(policy.time_to_live(), Some(Duration::from_secs(5)));
        assert_eq!(policy.time_to_idle(), None, "reading an entry does not extend it");
    }
}
