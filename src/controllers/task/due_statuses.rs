//! The tasks whose statuses are to be written because of their runs.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Namespace and name of a task.
type Key = (String, String);

/// The tasks whose runs have changed since their status was written.
#[derive(Debug, Default)]
pub(super) struct DueStatuses {
    /// Since when.
    changed: HashMap<Key, Instant>,
    /// When the status of tasks was written last, within the interval.
    taken: HashMap<Key, Instant>,
}

impl DueStatuses {
    /// The runs of a task have changed.
    pub(super) fn mark(&mut self, task: Key, now: Instant) {
        self.changed.entry(task).or_insert(now);
    }

    /// Takes at most a number of tasks that were not taken within `interval`: those that have waited longest.
    pub(super) fn take(&mut self, now: Instant, interval: Duration, limit: usize) -> Vec<Key> {
        self.taken.retain(|_, taken| now.duration_since(*taken) < interval);
        let Self { changed, taken } = self;
        let is_due = |(task, _): &(&Key, &Instant)| !taken.contains_key(*task);
        let mut due: Vec<(Instant, Key)> =
            changed.iter().filter(is_due).map(|(task, since)| (*since, task.clone())).collect();
        if due.len() > limit {
            due.select_nth_unstable(limit);
            due.truncate(limit);
        }
        let due: Vec<Key> = due.into_iter().map(|(_, task)| task).collect();
        for task in &due {
            changed.remove(task);
            taken.insert(task.clone(), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("n".into(), name.into())
    }

    #[test]
    fn a_task_is_taken_once_in_an_interval_and_those_that_wait_longest_first() {
        let (start, interval) = (Instant::now(), Duration::from_secs(10));
        let at = |second| start + Duration::from_secs(second);
        let mut statuses = DueStatuses::default();
        for (second, name) in [(0, "a"), (1, "b"), (2, "c"), (3, "a")] {
            statuses.mark(key(name), at(second));
        }
        let mut take = |second, limit| {
            let mut taken = statuses.take(at(second), interval, limit);
            taken.sort();
            statuses.mark(key("a"), at(second));
            taken
        };
        assert_eq!(take(3, 2), [key("a"), key("b")]);
        assert_eq!(take(4, 2), [key("c")], "the first one has just been taken");
        assert!(take(12, 2).is_empty());
        assert_eq!(take(13, 2), [key("a")]);
        assert!(take(13, 2).is_empty());
    }
}
