//! How long ended runs are kept, and what is stored of deleted tasks.
//!
//! A run expires some time after it ended. The newest runs of a task are kept for longer: until the task has been deleted for that
//! time. Its cursor and its statistics are deleted after its last run.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::RunId;

/// The longest and the shortest time between two passes.
const MAX_INTERVAL: Duration = Duration::from_mins(10);
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// How long ended runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRetention {
    /// The time from the end of a run; `None` is unlimited.
    pub age: Option<Duration>,
    /// The number of the newest runs of each task (namespace and name) that are kept for longer.
    pub keep_last: u32,
}

/// An ended run whose time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiringRun {
    /// The run.
    pub id: RunId,
    /// The `metadata.uid` of its task.
    pub task: Uuid,
    /// Whether it is among the newest runs of its task, which are kept for longer.
    pub is_among_newest: bool,
}

/// What happens with the run of an [`ExpiringRun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is deleted.
    Delete,
    /// It is kept.
    Keep,
    /// It is kept, and its task is marked as deleted: it does not exist, and has no mark yet.
    KeepAndMark,
}

/// Which marks of deleted tasks change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkChanges {
    /// Tasks that do not exist and have no mark.
    pub mark: Vec<Uuid>,
    /// Marked tasks that exist.
    pub unmark: Vec<Uuid>,
}

/// The time between two passes: runs are kept for at most a tenth longer, and no pass has much to delete.
#[must_use]
pub fn pass_interval(age: Duration) -> Duration {
    (age / 10).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

/// Compares the stored tasks and marks with the tasks that exist.
#[must_use]
pub fn compare_marks(
    stored: &[Uuid],
    deletions: &HashMap<Uuid, Timestamp>,
    exists: impl Fn(&Uuid) -> bool,
) -> MarkChanges {
    let is_new = |task: &&Uuid| !exists(task) && !deletions.contains_key(*task);
    let mut changes = MarkChanges {
        mark: stored.iter().filter(is_new).copied().collect(),
        unmark: deletions.keys().filter(|task| exists(task)).copied().collect(),
    };
    changes.unmark.sort_unstable();
    changes
}

/// Decides on a run that ended before a time. `deleted_at` is since when its task is marked as deleted.
#[must_use]
pub fn decide_expiry(
    run: &ExpiringRun,
    exists: bool,
    deleted_at: Option<Timestamp>,
    before: Timestamp,
) -> Expiry {
    match (run.is_among_newest, exists, deleted_at) {
        (false, ..) => Expiry::Delete,
        (true, true, _) => Expiry::Keep,
        (true, false, Some(at)) if at < before => Expiry::Delete,
        (true, false, Some(_)) => Expiry::Keep,
        (true, false, None) => Expiry::KeepAndMark,
    }
}

/// The tasks of which nothing is kept any more: they do not exist, and were marked before a time.
#[must_use]
pub fn forgotten_tasks(
    deletions: &HashMap<Uuid, Timestamp>,
    exists: impl Fn(&Uuid) -> bool,
    before: Timestamp,
) -> Vec<Uuid> {
    let is_forgotten = |(task, at): &(&Uuid, &Timestamp)| **at < before && !exists(task);
    let mut tasks: Vec<Uuid> = deletions.iter().filter(is_forgotten).map(|(task, _)| *task).collect();
    tasks.sort_unstable();
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_newest_runs_stay_until_their_task_has_been_deleted_for_that_time() {
        const NEW: bool = true;
        for (is_among_newest, exists, deleted_at, expected) in [
            (!NEW, true, None, Expiry::Delete),
            (!NEW, false, None, Expiry::Delete),
            (!NEW, false, Some(200), Expiry::Delete),
            (NEW, true, None, Expiry::Keep),
            // The API server's data were restored; the mark is removed.
            (NEW, true, Some(1), Expiry::Keep),
            (NEW, false, None, Expiry::KeepAndMark),
            (NEW, false, Some(100), Expiry::Keep),
            (NEW, false, Some(99), Expiry::Delete),
        ] {
            let run = ExpiringRun { id: RunId(Uuid::nil()), task: Uuid::nil(), is_among_newest };
            let decided = decide_expiry(&run, exists, deleted_at.map(at), at(100));
            assert_eq!(decided, expected, "newest {is_among_newest}, exists {exists}, {deleted_at:?}");
        }
    }

    #[test]
    fn marks_follow_the_tasks_that_exist() {
        let [live, gone, marked, returned] = [1, 2, 3, 4].map(Uuid::from_u128);
        let deletions = HashMap::from([(marked, at(10)), (returned, at(20))]);
        let exists = |task: &Uuid| [live, returned].contains(task);
        assert_eq!(
            compare_marks(&[live, gone, marked, returned], &deletions, exists),
            MarkChanges { mark: vec![gone], unmark: vec![returned] }
        );
        assert_eq!(forgotten_tasks(&deletions, exists, at(11)), [marked]);
        assert!(forgotten_tasks(&deletions, exists, at(10)).is_empty(), "not before that time");
        assert_eq!(forgotten_tasks(&deletions, exists, at(100)), [marked], "the other one exists");
    }

    #[test]
    fn passes_are_frequent_enough_for_the_retention() {
        for (age, expected) in [(1, 1), (100, 10), (3600, 360), (90 * 24 * 3600, 600)] {
            assert_eq!(pass_interval(Duration::from_secs(age)), Duration::from_secs(expected));
        }
    }
}
