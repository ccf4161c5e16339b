//! The times of records, by which searches skip nodes and by which unsigned records are judged.

use super::stored::{LEVEL_STEP, Times};

/// Records below a node of the lowest stored level.
const BLOCK_RECORDS: u64 = 1 << LEVEL_STEP;

/// Extends times by another one.
fn extend(times: Option<Times>, time: i64) -> Option<Times> {
    Some(times.map_or((time, time), |(earliest, latest)| (earliest.min(time), latest.max(time))))
}

/// The times of the records that have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordTimes {
    /// Of the incomplete block at the end.
    last_block: Option<Times>,
    /// The first record of the last complete block, and its times.
    complete_block: Option<(u64, Times)>,
    /// Of the records after the largest matched checkpoint.
    unsigned: Option<Times>,
}

impl RecordTimes {
    /// Adds the next record.
    pub(super) fn add(&mut self, seq: u64, time: i64) {
        self.unsigned = extend(self.unsigned, time);
        self.last_block = extend(self.last_block, time);
        if (seq + 1).is_multiple_of(BLOCK_RECORDS) {
            self.complete_block = self.last_block.take().map(|times| (seq + 1 - BLOCK_RECORDS, times));
        }
    }

    /// All records so far are signed.
    pub(super) fn reset_unsigned(&mut self) {
        self.unsigned = None;
    }

    /// The times of the records after the largest matched checkpoint.
    pub(super) fn unsigned(&self) -> Option<Times> {
        self.unsigned
    }

    /// The times of the records after the last complete block.
    pub(super) fn last_block(&self) -> Option<Times> {
        self.last_block
    }

    /// The times of the block with this first record, if it is the last complete one.
    pub(super) fn complete_block(&self, start: u64) -> Option<Times> {
        self.complete_block.filter(|(first, _)| *first == start).map(|(_, times)| times)
    }
}
