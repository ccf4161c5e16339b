//! The positions of the tasks of a KafkaCluster, in memory.

use std::collections::{BTreeMap, HashMap};

use eventcenter_sdk::name::TopicName;
use uuid::Uuid;

use crate::domain::task::planning::ActiveTask;
use crate::store::{EventPosition, PositionMove};

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    /// As the store has it.
    stored: EventPosition,
    /// The offset of the next record. Records without a run between both are read again after a restart.
    next: i64,
}

/// The positions of tasks, by partition. A task is here once its positions are loaded.
#[derive(Debug, Default)]
pub(super) struct Positions {
    all: HashMap<Uuid, BTreeMap<i32, Position>>,
}

impl Positions {
    /// Whether the positions of a task are loaded.
    pub(super) fn has(&self, task: Uuid) -> bool {
        self.all.contains_key(&task)
    }

    /// Sets what the store has for these tasks.
    pub(super) fn load(&mut self, tasks: &[Uuid], stored: Vec<EventPosition>) {
        for task in tasks {
            self.all.insert(*task, BTreeMap::new());
        }
        for stored in stored {
            if let Some(partitions) = self.all.get_mut(&stored.task) {
                partitions.insert(stored.partition, Position { next: stored.next_offset, stored });
            }
        }
    }

    /// Forgets the positions of tasks, so that they are loaded again.
    pub(super) fn forget(&mut self, is_forgotten: impl Fn(Uuid) -> bool) {
        self.all.retain(|task, _| !is_forgotten(*task));
    }

    /// The offset of the next record of a partition for a task; `None` if the task has no position in it.
    pub(super) fn next(&self, task: Uuid, partition: i32) -> Option<i64> {
        Some(self.all.get(&task)?.get(&partition)?.next)
    }

    /// Kafka's id of the topic in which a task has positions.
    pub(super) fn topic_id(&self, task: Uuid) -> Option<&str> {
        let first = self.all.get(&task)?.values().next()?;
        Some(&first.stored.topic.id)
    }

    /// Number of partitions in which a task has positions, from the first one on.
    pub(super) fn partitions(&self, task: Uuid) -> i32 {
        let last = self.all.get(&task).and_then(|partitions| partitions.keys().next_back());
        last.map_or(0, |last| last + 1)
    }

    /// Moves a position in memory. `None` if the store has it already, or there is none.
    pub(super) fn advance(&mut self, task: Uuid, partition: i32, next: i64) -> Option<PositionMove> {
        let position = self.all.get_mut(&task)?.get_mut(&partition)?;
        position.next = next;
        to_move(position)
    }

    /// The moves of all positions that the store does not have yet.
    pub(super) fn unstored(&self) -> Vec<PositionMove> {
        self.all.values().flat_map(BTreeMap::values).filter_map(to_move).collect()
    }

    /// Notes that the store has made these moves.
    pub(super) fn confirm(&mut self, moves: Vec<PositionMove>) {
        for PositionMove { to, .. } in moves {
            let position = self.all.get_mut(&to.task).and_then(|all| all.get_mut(&to.partition));
            if let Some(position) = position {
                position.stored = to;
            }
        }
    }
}

fn to_move(position: &Position) -> Option<PositionMove> {
    let from = position.stored.next_offset;
    let to = EventPosition { next_offset: position.next, ..position.stored.clone() };
    (from != position.next).then_some(PositionMove { from, to })
}

/// The topic of a task's events.
pub(super) fn topic_of(task: &ActiveTask) -> Option<&TopicName> {
    task.event_source().map(|source| &source.topic)
}
