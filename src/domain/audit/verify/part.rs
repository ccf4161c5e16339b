//! Some rows of a database, with what is kept of them beside.

use eventcenter_sdk::merkle::Hash;

use super::{Finding, Node, Posting, Row, SEGMENT, STEP, Verifier};

/// Rows that follow one another, and what follows from them by what a database keeps.
#[derive(Debug, Default)]
pub struct Part {
    /// The rows, in the order of their places.
    pub rows: Vec<Row>,
    /// The nodes whose last record is among them; at the end of a log also those whose last record is not there.
    pub nodes: Vec<(Node, Hash)>,
    /// The index of segments whose last record is among them, each after the place of its first, in this order.
    pub index: Vec<(u64, Vec<Posting>)>,
}

/// What was found, and the record that was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was found.
    pub finding: Finding,
    /// The record as it is kept, which the finding may be about; empty if none was read.
    pub body: Vec<u8>,
}

/// The place after the last record below a node.
fn end(node: Node) -> u128 {
    (u128::from(node.index) + 1).checked_shl(u32::from(node.level)).unwrap_or(u128::MAX)
}

impl Verifier {
    /// The next rows. A node, or the index of a segment, is compared as soon as its last record is known, so that what is found
    /// first is what was done first.
    ///
    /// # Errors
    /// What was done.
    pub fn part(&mut self, mut part: Part) -> Result<(), Box<Found>> {
        part.nodes.sort_by_key(|(node, _)| (end(*node), node.level));
        let mut nodes = part.nodes.as_slice();
        let mut index = part.index.as_slice();
        for row in &part.rows {
            let place = row.seq.saturating_add(1);
            let ended = nodes.iter().take_while(|(node, _)| end(*node) <= u128::from(place)).count();
            let (now, later) = nodes.split_at(ended);
            nodes = later;
            let found = self.row(row).and_then(|()| self.nodes_at(place, now)).and_then(|()| match index {
                [(from, kept), later @ ..] if from + SEGMENT == place => {
                    index = later;
                    self.index(*from, kept)
                }
                _ => Ok(()),
            });
            found.map_err(|finding| Box::new(Found { finding, body: row.body.clone() }))?;
        }
        let beyond = nodes.iter().try_for_each(|(node, hash)| self.node(*node, hash));
        beyond.map_err(|finding| Box::new(Found { finding, body: Vec::new() }))
    }

    /// All nodes that end at a place: they are those that a database has to have.
    fn nodes_at(&mut self, place: u64, kept: &[(Node, Hash)]) -> Result<(), Finding> {
        kept.iter().try_for_each(|(node, hash)| self.node(*node, hash))?;
        let levels =
            (STEP..=u8::try_from(place.trailing_zeros()).unwrap_or(u8::MAX)).step_by(usize::from(STEP));
        // As long as something stands in the wrong place, that is what is told.
        for level in levels.take_while(|_| self.pending.is_none()) {
            let is_kept = |(node, _): &(Node, Hash)| node.level == level && end(*node) == u128::from(place);
            if !kept.iter().any(is_kept) {
                let from = place - (1 << level);
                return self.once(|_| Err(Finding::Unkept { from, to: place }));
            }
        }
        Ok(())
    }
}
