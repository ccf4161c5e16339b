//! What is to be written for a group: pure.

use std::collections::BTreeMap;

use super::{ByLog, Entry};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Node};
use crate::store::audit::posting::SEGMENT;
use crate::store::audit::{BLOCK, Head, STEP};

/// Where a log ends, and the times of the records of its last block, which is not complete.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) head: Head,
    pub(super) times: Option<(i64, i64)>,
}

/// A record at its place.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) entry: &'a Entry,
    pub(super) seq: u64,
    pub(super) body: String,
    pub(super) hash: Hash,
    pub(super) chain: Hash,
}

/// A node that is kept.
#[derive(Debug)]
pub(super) struct KeptNode<'a> {
    pub(super) log: &'a LogName,
    pub(super) node: Node,
    pub(super) hash: Hash,
    pub(super) times: Option<(i64, i64)>,
}

/// Rows that are written, all together.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub(super) records: Vec<Placed<'a>>,
    pub(super) nodes: Vec<KeptNode<'a>>,
    /// Where each log ends now, and how many records it had before.
    pub(super) tails: Vec<(&'a LogName, u64, Tail)>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(mut tails: BTreeMap<&'a LogName, Tail>, logs: &ByLog<'a>) -> Self {
        let mut layout = Self::default();
        for (log, entries) in logs.iter().filter(|(_, entries)| !entries.is_empty()) {
            let mut tail = tails.remove(log).unwrap_or_else(|| Tail { head: Head::empty(), times: None });
            let before = tail.head.size;
            entries.iter().for_each(|entry| layout.place(log, entry, &mut tail));
            layout.tails.push((log, before, tail));
        }
        layout
    }

    /// The logs of which a segment has become complete.
    pub(super) fn completed(&self) -> Vec<LogName> {
        let has_completed = |before: u64, tail: &Tail| before / SEGMENT != tail.head.size / SEGMENT;
        let tails = self.tails.iter().filter(|(_, before, tail)| has_completed(*before, tail));
        tails.map(|(log, _, _)| (*log).clone()).collect()
    }

    fn place(&mut self, log: &'a LogName, entry: &'a Entry, tail: &mut Tail) {
        let head = &mut tail.head;
        let seq = head.size;
        let body = entry.at(seq);
        let hash = Hash::leaf(body.as_bytes());
        head.chain = Hash::chained(&head.chain, &hash);
        head.size += 1;
        let time = entry.time();
        let times =
            tail.times.map_or((time, time), |(earliest, latest)| (earliest.min(time), latest.max(time)));
        head.range.push(hash, |node, hash| {
            if node.level > 0 && node.level.is_multiple_of(STEP) {
                let times = (node.level == STEP).then_some(times);
                self.nodes.push(KeptNode { log, node, hash, times });
            }
        });
        tail.times = Some(times).filter(|_| !head.size.is_multiple_of(BLOCK));
        self.records.push(Placed { entry, seq, body, hash, chain: head.chain });
    }
}
