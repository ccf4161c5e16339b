//! Compares all redundant values of a log, record by record.

use std::collections::{BTreeMap, VecDeque};

use super::body::ParsedBody;
use super::checkpoints::TrustedCheckpoints;
use super::finding::Finding;
use super::index::SegmentIndex;
use super::misplaced::{Conclusion, Misplaced};
use super::stored::{LEVEL_STEP, Posting, Row, SEGMENT_RECORDS, StoredNode, StoredValues};
use super::times::RecordTimes;
use super::verified::{DropEvidence, Verified};
use crate::domain::audit::canonical;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::drop::DroppedRecords;
use eventcenter_sdk::merkle::{Hash, Node, Nodes, Range};
use eventcenter_sdk::rest::audit::{Action, LogName};

/// Maximum number of remembered nodes: those over the last 8 million records, which take some megabytes.
const MAX_NODES: usize = 64 * 1024;

/// Verifies a log from its first record on. After a finding every further call returns the same finding.
#[derive(Debug)]
pub struct Verifier {
    log: LogName,
    /// The compact range of the dropped records.
    dropped: Range,
    /// The compact range of all records so far, including dropped ones.
    range: Range,
    /// The hash chain up to the last record; `None` if it is unknown.
    chain: Option<Hash>,
    next_seq: u64,
    records: u64,
    /// The number of records in gaps.
    omitted: u64,
    times: RecordTimes,
    /// The position of the first record which shows that the retention dropped the records that do not exist.
    drop_seq: Option<u64>,
    /// Identifies an inserted record before the current one.
    previous: Previous,
    misplaced: Option<Misplaced>,
    /// Nodes computed from the records.
    nodes: Nodes,
    /// The index of the current segment, and of the previous one.
    index: (SegmentIndex, SegmentIndex),
    /// The checkpoints that have not been reached, by size.
    pending_checkpoints: VecDeque<(Checkpoint, String)>,
    matched_checkpoints: usize,
    /// The size of the largest matched checkpoint, and the number of records that were read up to there.
    signed: u64,
    signed_records: u64,
    finding: Option<Finding>,
}

/// The previous record.
#[derive(Debug, Default)]
struct Previous {
    id: String,
    /// The hash chain before this record.
    chain: Option<Hash>,
}

impl Verifier {
    /// Creates a verifier from the compact range of the dropped records and the hash chain after them.
    #[must_use]
    pub fn new(log: LogName, dropped: Range, chain: Hash, checkpoints: TrustedCheckpoints) -> Self {
        let mut pending_checkpoints = checkpoints.checkpoints;
        pending_checkpoints.sort_by_key(|(checkpoint, _)| checkpoint.size);
        let mut verifier = Self {
            log,
            range: dropped.clone(),
            next_seq: dropped.end(),
            dropped,
            chain: Some(chain),
            records: 0,
            omitted: 0,
            times: RecordTimes::default(),
            drop_seq: None,
            previous: Previous::default(),
            misplaced: None,
            nodes: BTreeMap::new(),
            index: (SegmentIndex::default(), SegmentIndex::default()),
            pending_checkpoints: pending_checkpoints.into(),
            matched_checkpoints: 0,
            signed: 0,
            signed_records: 0,
            finding: None,
        };
        verifier.finding = match verifier.dropped.start() {
            0 => verifier.compare_root().err(),
            start => Some(Finding::Missing { from: 0, to: start - 1 }),
        };
        verifier
    }

    /// The position of the next record.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Whether a record was found at a wrong position and it is undecided how it got there.
    pub(super) fn has_misplaced(&self) -> bool {
        self.misplaced.is_some()
    }

    /// Verifies the next record.
    ///
    /// # Errors
    /// The log was tampered with.
    pub fn verify_row(&mut self, row: &Row) -> Result<(), Finding> {
        self.unless_failed(|verifier| verifier.compare_row(row))
    }

    /// Runs a step, and remembers its finding. Does nothing after a finding.
    fn unless_failed(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Finding>) -> Result<(), Finding> {
        if let Some(finding) = &self.finding {
            return Err(finding.clone());
        }
        step(self).inspect_err(|finding| self.finding = Some(finding.clone()))
    }

    /// Fails with a finding, unless there was one before.
    pub(super) fn fail(&mut self, finding: Finding) -> Result<(), Finding> {
        self.unless_failed(|_| Err(finding))
    }

    fn compare_row(&mut self, row: &Row) -> Result<(), Finding> {
        // An export has no positions, only an order.
        let seq = if row.stored.is_some() { row.seq } else { self.next_seq };
        if seq != self.next_seq || seq == u64::MAX {
            return Err(self.out_of_order(seq, row));
        }
        self.next_seq += 1;
        let body = match ParsedBody::parse(&row.body) {
            Ok(body) => body,
            Err(_) => return Err(self.unreadable(seq, row)),
        };
        if let Some(misplaced) = &mut self.misplaced {
            return match misplaced.observe(seq, body.seq) {
                Conclusion::Undecided => Ok(()),
                Conclusion::Decided(finding) => Err(finding),
            };
        }
        if body.seq != seq {
            return self.handle_misplaced(seq, &body, row);
        }
        let leaf = match &row.stored {
            Some(stored) => self.compare_hashes(seq, &body.id, &row.body, stored)?,
            None => {
                self.chain = None;
                let content = canonical::canonicalize(&row.body).ok_or(Finding::Unreadable { seq })?;
                Hash::leaf(&content)
            }
        };
        let column = match body.tenant == self.log.as_str() {
            true => row.stored.as_ref().and_then(|stored| body.first_difference(&stored.columns)),
            false => Some("tenant"),
        };
        if let Some(column) = column {
            return Err(Finding::ColumnMismatch { seq, id: body.id.into_owned(), column });
        }
        if let Some(stored) = &row.stored {
            if self.records == 0 || seq.is_multiple_of(SEGMENT_RECORDS) {
                self.index.1 = std::mem::replace(&mut self.index.0, SegmentIndex::new(seq));
            }
            self.index.0.add(&stored.columns);
        }
        self.times.add(seq, body.time.as_microsecond());
        if body.action == Action::DropRecords.as_str() && self.drop_seq.is_none() && self.proves_drop(row) {
            self.drop_seq = Some(seq);
        }
        self.previous.id.clear();
        self.previous.id.push_str(&body.id);
        let nodes = &mut self.nodes;
        self.range.push(leaf, |node, hash| {
            if node.level >= LEVEL_STEP {
                nodes.insert(node, hash);
            }
        });
        while nodes.len() > MAX_NODES {
            // Most nodes are of the lowest level, of which the first is the oldest.
            nodes.pop_first();
        }
        self.records += 1;
        self.compare_root()
    }

    /// Whether a record shows that the retention dropped the records that do not exist.
    fn proves_drop(&self, row: &Row) -> bool {
        let record = serde_json::from_slice(&row.body).ok();
        let dropped = record.as_ref().and_then(DroppedRecords::parse);
        dropped.is_some_and(|dropped| dropped.until >= self.dropped.end())
    }

    /// Compares content, hash and chain. Returns the hash of the leaf.
    fn compare_hashes(
        &mut self,
        seq: u64,
        id: &str,
        body: &[u8],
        stored: &StoredValues,
    ) -> Result<Hash, Finding> {
        let leaf = Hash::leaf(body);
        if leaf != stored.hash {
            return Err(Finding::Edited { seq, id: id.to_owned() });
        }
        if self.chain.is_some_and(|chain| Hash::chained(&chain, &leaf) != stored.chain) {
            return Err(Finding::Rewritten { seq, id: id.to_owned() });
        }
        self.previous.chain = self.chain.replace(stored.chain);
        Ok(leaf)
    }

    /// The finding for a row that is not at the next position.
    fn out_of_order(&self, seq: u64, row: &Row) -> Finding {
        match &self.misplaced {
            Some(misplaced) => misplaced.conclude(),
            None if seq > self.next_seq => Finding::Missing { from: self.next_seq, to: seq - 1 },
            None => Finding::Inserted { seq, id: id_of(row) },
        }
    }

    /// The finding for a body that is not a record.
    fn unreadable(&self, seq: u64, row: &Row) -> Finding {
        match (&self.misplaced, &row.stored) {
            (Some(misplaced), _) => misplaced.conclude(),
            (None, Some(stored)) if stored.hash != Hash::leaf(&row.body) => {
                Finding::Edited { seq, id: id_of(row) }
            }
            (None, _) => Finding::Unreadable { seq },
        }
    }

    /// Handles a record that states another position. If it states a later one, the records up to there show what happened.
    fn handle_misplaced(&mut self, seq: u64, body: &ParsedBody<'_>, row: &Row) -> Result<(), Finding> {
        let id = body.id.to_string();
        let is_shifted = |stored: &StoredValues| {
            let chain = self.previous.chain.map(|chain| Hash::chained(&chain, &stored.hash));
            body.seq.checked_add(1) == Some(seq) && chain == Some(stored.chain)
        };
        let finding = match &row.stored {
            Some(stored) if is_shifted(stored) => {
                // By its chain it follows the record before the previous one: the previous one was inserted.
                return Err(Finding::Inserted { seq: seq - 1, id: self.previous.id.clone() });
            }
            Some(stored) if stored.hash != Hash::leaf(&row.body) => Finding::Edited { seq, id },
            _ => Finding::Inserted { seq, id },
        };
        if body.seq < seq {
            return Err(finding);
        }
        let has_positions = row.stored.is_some();
        self.misplaced =
            Some(Misplaced { seq, stated_seq: body.seq, finding, has_positions, is_alone: false });
        Ok(())
    }

    /// Verifies the hashes of omitted records in a filtered export.
    ///
    /// # Errors
    /// The gap does not begin at the next position.
    pub fn verify_gap(&mut self, gap: &Range) -> Result<(), Finding> {
        self.unless_failed(|verifier| verifier.skip_gap(gap))
    }

    fn skip_gap(&mut self, gap: &Range) -> Result<(), Finding> {
        if let Some(misplaced) = &self.misplaced {
            return Err(misplaced.conclude());
        }
        if gap.start() > self.next_seq {
            return Err(Finding::Missing { from: self.next_seq, to: gap.start() - 1 });
        }
        if self.range.append(gap).is_err() {
            return Err(Finding::Inserted { seq: gap.start(), id: String::new() });
        }
        if gap.end() > gap.start() {
            // The chain of omitted records is unknown.
            (self.chain, self.previous) = (None, Previous::default());
            self.omitted += gap.end() - gap.start();
            self.next_seq = gap.end();
        }
        self.compare_root()
    }

    /// Compares a stored node. All records below it have to be read, the last one within the last 8 million records. Nodes
    /// below level 8 and nodes within the dropped records cannot be computed and are not compared.
    ///
    /// # Errors
    /// The node does not match the records.
    pub fn verify_node(&mut self, node: Node, hash: &Hash) -> Result<(), Finding> {
        self.unless_failed(|verifier| verifier.compare_node(node, hash))
    }

    /// Compares the times that a node of the lowest stored level has, if all records below it were read and the last of them was the
    /// last one that was read.
    pub(super) fn verify_times(&mut self, stored: &StoredNode) -> Result<(), Finding> {
        self.unless_failed(|verifier| {
            let from = stored.node.index << stored.node.level;
            let is_whole = verifier.misplaced.is_none() && from >= verifier.dropped.end();
            match verifier.times.complete_block(from).filter(|_| is_whole) {
                Some(times) if stored.times != Some(times) => {
                    Err(Finding::TimesMismatch { from, to: from + (1 << stored.node.level) })
                }
                _ => Ok(()),
            }
        })
    }

    /// Compares the stored index of a segment, which has to be the last one that was read, or the one before.
    ///
    /// # Errors
    /// The index does not match the records.
    pub fn verify_index(&mut self, start: u64, stored: &[Posting]) -> Result<(), Finding> {
        self.unless_failed(|verifier| {
            let (current, previous) = &verifier.index;
            let segment = [current, previous].into_iter().find(|index| index.is_complete(start));
            segment.map_or(Ok(()), |index| index.verify(stored))
        })
    }

    fn compare_node(&self, node: Node, hash: &Hash) -> Result<(), Finding> {
        // A misplaced record takes precedence over the nodes that it affects.
        if self.misplaced.is_some() {
            return Ok(());
        }
        let leaf =
            |index: u64| index.checked_shl(u32::from(node.level)).filter(|leaf| leaf >> node.level == index);
        let end = node.index.checked_add(1).and_then(leaf);
        let (Some(from), Some(to)) = (leaf(node.index), end) else {
            return Err(Finding::NodeMismatch { from: self.range.end(), to: u64::MAX });
        };
        if to > self.range.end() {
            let source = "a stored tree node".to_owned();
            return Err(Finding::Truncated { found: self.range.end(), expected: to, source });
        }
        let dropped = || {
            let nodes = Range::nodes(0, self.dropped.end());
            let mut known = nodes.into_iter().zip(self.dropped.hashes());
            known.find(|(known, _)| *known == node).map(|(_, hash)| hash)
        };
        match self.nodes.get(&node).or_else(dropped) {
            Some(expected) if expected != hash => Err(Finding::NodeMismatch { from, to }),
            _ => Ok(()),
        }
    }

    /// Compares the root with the checkpoints of this size. Smaller checkpoints are within dropped or omitted records.
    fn compare_root(&mut self) -> Result<(), Finding> {
        let size = self.range.end();
        // The records before are covered by a checkpoint. The hashes of dropped records may be changed as well.
        let from = self.signed;
        while let Some((checkpoint, source)) =
            self.pending_checkpoints.pop_front_if(|(next, _)| next.size <= size)
        {
            if checkpoint.size < size {
                continue;
            }
            if self.range.root() != Some(checkpoint.root) {
                return Err(Finding::RootMismatch { from, to: size, source });
            }
            self.matched_checkpoints += 1;
            (self.signed, self.signed_records) = (size, self.records);
            self.times.reset_unsigned();
        }
        Ok(())
    }

    /// Finishes the verification. `recorded_size` is the number of records according to the database or the export.
    ///
    /// # Errors
    /// The number of records is another one, or a checkpoint does not match.
    pub fn finish(self, recorded_size: Option<u64>) -> Result<Verified, Finding> {
        if let Some(finding) = self.finding {
            return Err(finding);
        }
        if let Some(misplaced) = &self.misplaced {
            return Err(misplaced.conclude());
        }
        let found = self.range.end();
        let largest =
            self.pending_checkpoints.into_iter().next_back().map(|(next, source)| (next.size, source));
        let recorded = recorded_size.map(|size| (size, "the recorded size".to_owned()));
        // Of two equal sizes the last one is the maximum: the signed one.
        let expected = [recorded, largest].into_iter().flatten().max_by_key(|(size, _)| *size);
        if let Some((expected, source)) = expected.filter(|(expected, _)| *expected > found) {
            return Err(Finding::Truncated { found, expected, source });
        }
        if let Some(recorded) = recorded_size.filter(|recorded| *recorded < found) {
            return Err(Finding::Surplus { found, recorded });
        }
        let drop = match (self.dropped.end(), self.drop_seq, self.omitted) {
            (0, ..) => DropEvidence::NothingDropped,
            (_, Some(seq), _) => DropEvidence::Recorded { seq },
            (_, None, 0) => DropEvidence::NotRecorded,
            (_, None, _) => DropEvidence::Unknown,
        };
        Ok(Verified {
            log: self.log,
            first: self.dropped.end(),
            records: self.records,
            omitted: self.omitted,
            size: found,
            // A range that does not begin at 0 was a finding.
            root: self.range.root().unwrap_or_else(Hash::empty),
            chain: self.chain,
            checkpoints: self.matched_checkpoints,
            signed: self.signed,
            signed_records: self.signed_records,
            unsigned_times: self.times.unsigned(),
            last_times: self.times.last_block(),
            drop,
        })
    }
}

/// The stored id of a record, else the id in its body, else an empty text.
fn id_of(row: &Row) -> String {
    let stored = row.stored.as_ref().map(|stored| stored.columns.id.clone());
    stored.or_else(|| ParsedBody::parse(&row.body).ok().map(|body| body.id.into_owned())).unwrap_or_default()
}
