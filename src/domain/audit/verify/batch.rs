//! Verifies consecutive rows of a database together with the nodes and the index that belong to them.

use super::finding::Finding;
use super::stored::{LEVEL_STEP, Posting, Row, SEGMENT_RECORDS, StoredNode};
use super::verifier::Verifier;
use eventcenter_sdk::merkle::Node;

/// Consecutive rows, and the values that a database derives from them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The rows by position.
    pub rows: Vec<Row>,
    /// The nodes whose last record is in `rows`; at the end of a log also those whose last record does not exist.
    pub nodes: Vec<StoredNode>,
    /// The index of each segment whose last record is in `rows`, by the position of its first record.
    pub index: Vec<(u64, Vec<Posting>)>,
}

/// A finding with the record that was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The finding.
    pub finding: Finding,
    /// The body of the record that the finding may be about; empty if none was read.
    pub body: Vec<u8>,
}

/// The position after the last record below a node.
fn end(node: Node) -> u128 {
    (u128::from(node.index) + 1).checked_shl(u32::from(node.level)).unwrap_or(u128::MAX)
}

impl Verifier {
    /// Verifies the next rows. Each node and each index is compared as soon as its last record was read, so that the finding
    /// is the earliest one.
    ///
    /// # Errors
    /// The log was tampered with.
    pub fn verify_batch(&mut self, mut batch: Batch) -> Result<(), Box<Mismatch>> {
        batch.nodes.sort_by_key(|stored| (end(stored.node), stored.node.level));
        let mut nodes = batch.nodes.as_slice();
        let mut index = batch.index.as_slice();
        for row in &batch.rows {
            let next_seq = row.seq.saturating_add(1);
            let complete = nodes.iter().take_while(|stored| end(stored.node) <= u128::from(next_seq)).count();
            let (now, later) = nodes.split_at(complete);
            nodes = later;
            let result =
                self.verify_row(row).and_then(|()| self.verify_nodes_at(next_seq, now)).and_then(|()| {
                    match index {
                        [(from, postings), later @ ..] if from + SEGMENT_RECORDS == next_seq => {
                            index = later;
                            self.verify_index(*from, postings)
                        }
                        _ => Ok(()),
                    }
                });
            result.map_err(|finding| Box::new(Mismatch { finding, body: row.body.clone() }))?;
        }
        let rest = nodes.iter().try_for_each(|stored| self.verify_node(stored.node, &stored.hash));
        rest.map_err(|finding| Box::new(Mismatch { finding, body: Vec::new() }))
    }

    /// Verifies the nodes that end at a position, and that the database has all of them.
    fn verify_nodes_at(&mut self, next_seq: u64, nodes: &[StoredNode]) -> Result<(), Finding> {
        for stored in nodes {
            self.verify_node(stored.node, &stored.hash)?;
            if stored.node.level == LEVEL_STEP {
                self.verify_times(stored)?;
            }
        }
        let max_level = u8::try_from(next_seq.trailing_zeros()).unwrap_or(u8::MAX);
        let levels = (LEVEL_STEP..=max_level).step_by(usize::from(LEVEL_STEP));
        // A misplaced record takes precedence over the nodes that it affects.
        for level in levels.take_while(|_| !self.has_misplaced()) {
            let is_stored =
                |stored: &StoredNode| stored.node.level == level && end(stored.node) == u128::from(next_seq);
            if !nodes.iter().any(is_stored) {
                let from = next_seq - (1 << level);
                return self.fail(Finding::NodeMissing { from, to: next_seq });
            }
        }
        Ok(())
    }
}
