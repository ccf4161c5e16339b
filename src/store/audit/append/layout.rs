//! Computes the rows of a batch, without I/O.

use std::collections::BTreeMap;

use super::entry::Entry;
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Node};
use crate::domain::audit::verify::{LEVEL_STEP, SEGMENT_RECORDS};
use crate::store::audit::Head;
use crate::store::audit::log::BLOCK_RECORDS;

/// Operation of errors while writing.
pub(super) const WRITING: &str = "writing the audit log";

/// Entries by log. All writers lock logs in this order, which prevents deadlocks.
pub(super) type EntriesByLog<'a> = BTreeMap<&'a LogName, Vec<&'a Entry>>;

/// The end of a log.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) head: Head,
    /// The earliest and the latest time in the last block, if it is incomplete.
    pub(super) times: Option<(i64, i64)>,
}

/// A row of `audit_record`.
#[derive(Debug)]
pub(super) struct RecordRow<'a> {
    pub(super) entry: &'a Entry,
    pub(super) seq: u64,
    pub(super) body: String,
    pub(super) hash: Hash,
    pub(super) chain: Hash,
}

/// A row of `audit_node`.
#[derive(Debug)]
pub(super) struct NodeRow<'a> {
    pub(super) log: &'a LogName,
    pub(super) node: Node,
    pub(super) hash: Hash,
    /// The earliest and the latest time of the records below, for nodes of the lowest stored level.
    pub(super) times: Option<(i64, i64)>,
}

/// All rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub(super) records: Vec<RecordRow<'a>>,
    pub(super) nodes: Vec<NodeRow<'a>>,
    /// For each log its size before the batch, and its new end.
    pub(super) tails: Vec<(&'a LogName, u64, Tail)>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(mut tails: BTreeMap<&'a LogName, Tail>, logs: &EntriesByLog<'a>) -> Self {
        let mut layout = Self::default();
        for (log, entries) in logs.iter().filter(|(_, entries)| !entries.is_empty()) {
            let mut tail = tails.remove(log).unwrap_or_else(|| Tail { head: Head::empty(), times: None });
            let size_before = tail.head.size;
            entries.iter().for_each(|entry| layout.add_entry(log, entry, &mut tail));
            layout.tails.push((log, size_before, tail));
        }
        layout
    }

    /// The logs of which a segment becomes complete.
    pub(super) fn completed_logs(&self) -> Vec<LogName> {
        let has_completed =
            |before: u64, tail: &Tail| before / SEGMENT_RECORDS != tail.head.size / SEGMENT_RECORDS;
        let tails = self.tails.iter().filter(|(_, before, tail)| has_completed(*before, tail));
        tails.map(|(log, _, _)| (*log).clone()).collect()
    }

    fn add_entry(&mut self, log: &'a LogName, entry: &'a Entry, tail: &mut Tail) {
        let head = &mut tail.head;
        let seq = head.size;
        let body = entry.body_at(seq);
        let hash = Hash::leaf(body.as_bytes());
        head.chain = Hash::chained(&head.chain, &hash);
        head.size += 1;
        let time = entry.time();
        let times =
            tail.times.map_or((time, time), |(earliest, latest)| (earliest.min(time), latest.max(time)));
        head.range.push(hash, |node, hash| {
            if node.level > 0 && node.level.is_multiple_of(LEVEL_STEP) {
                let times = (node.level == LEVEL_STEP).then_some(times);
                self.nodes.push(NodeRow { log, node, hash, times });
            }
        });
        tail.times = Some(times).filter(|_| !head.size.is_multiple_of(BLOCK_RECORDS));
        self.records.push(RecordRow { entry, seq, body, hash, chain: head.chain });
    }
}
