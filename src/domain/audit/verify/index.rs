//! Verifies the inverted index: deleting a posting hides a record from searches without changing the record.

use std::collections::HashMap;

use super::finding::Finding;
use super::stored::{Columns, MAX_LISTED_POSITIONS, Posting, SEGMENT_RECORDS};

/// The indexed columns.
const INDEXED_COLUMNS: [&str; 6] = ["actor", "action", "kind", "namespace", "name", "outcome"];

/// The expected index of a segment, for the records that have been read.
#[derive(Debug, Default)]
pub(super) struct SegmentIndex {
    /// The first record of the segment.
    start: u64,
    /// Number of records at the start that were dropped. The stored index may still list them.
    dropped: u64,
    /// The next relative position.
    next: u64,
    /// For each indexed column the positions of its values.
    positions: [HashMap<String, Vec<u64>>; INDEXED_COLUMNS.len()],
}

impl SegmentIndex {
    /// Creates the index of the segment of a record, which is the first record that exists.
    pub(super) fn new(seq: u64) -> Self {
        let dropped = seq % SEGMENT_RECORDS;
        Self { start: seq - dropped, dropped, next: dropped, ..Self::default() }
    }

    pub(super) fn add(&mut self, columns: &Columns) {
        let Columns { actor, action, kind, namespace, name, outcome, .. } = columns;
        let values =
            [Some(actor), Some(action), kind.as_ref(), namespace.as_ref(), name.as_ref(), Some(outcome)];
        for (positions, value) in self.positions.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            match positions.get_mut(value) {
                Some(positions) => positions.push(self.next),
                None => drop(positions.insert(value.clone(), vec![self.next])),
            }
        }
        self.next += 1;
    }

    /// Whether this is the complete index of the segment with this first record.
    pub(super) fn is_complete(&self, start: u64) -> bool {
        (self.start, self.next) == (start, SEGMENT_RECORDS)
    }

    /// Compares the stored index.
    pub(super) fn verify(&self, stored: &[Posting]) -> Result<(), Finding> {
        let expected: usize = self.positions.iter().map(HashMap::len).sum();
        // Postings are unique: field and value are part of the primary key.
        let found = stored.iter().filter(|posting| self.positions_of(posting).is_some()).count();
        match found == expected && stored.iter().all(|posting| self.is_correct(posting)) {
            true => Ok(()),
            false => {
                Err(Finding::IndexMismatch { from: self.start + self.dropped, to: self.start + self.next })
            }
        }
    }

    /// The expected positions of the value of a posting.
    fn positions_of(&self, posting: &Posting) -> Option<&Vec<u64>> {
        let field = INDEXED_COLUMNS.iter().position(|field| *field == posting.field)?;
        self.positions[field].get(&posting.value)
    }

    fn is_correct(&self, posting: &Posting) -> bool {
        let expected = self.positions_of(posting).map_or(&[][..], Vec::as_slice);
        match &posting.positions {
            // The number of dropped records with the value is unknown.
            None => self.dropped > 0 || expected.len() as u64 > MAX_LISTED_POSITIONS,
            Some(listed) if listed.is_empty() => false,
            Some(listed) => listed.iter().filter(|position| **position >= self.dropped).eq(expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index of a segment whose first records were dropped: the last three records are of `bob`, the others of `alice`, and
    /// all are about topics.
    fn index(dropped: u64) -> SegmentIndex {
        let mut index = SegmentIndex::new(SEGMENT_RECORDS + dropped);
        for position in dropped..SEGMENT_RECORDS {
            let actor = if position < SEGMENT_RECORDS - 3 { "alice" } else { "bob" };
            let kind = Some("EventTopic".to_owned());
            index.add(&Columns { actor: actor.to_owned(), kind, ..Columns::default() });
        }
        index
    }

    fn posting(line: &str) -> Posting {
        let words: Vec<&str> = line.split(' ').collect();
        let positions = match words[2] {
            "*" => None,
            "-" => Some(Vec::new()),
            list => Some(list.split(',').map(|position| position.parse().expect("a position")).collect()),
        };
        Posting { field: words[0].to_owned(), value: words[1].to_owned(), positions }
    }

    #[test]
    fn an_index_is_compared_with_the_records() {
        let rest = ["actor alice *", "action  *", "outcome  *", "kind EventTopic *"];
        let is_correct = |dropped: u64, lines: &[&str]| {
            let stored: Vec<Posting> = lines.iter().chain(&rest).map(|line| posting(line)).collect();
            let index = index(dropped);
            assert!(index.is_complete(SEGMENT_RECORDS) && !index.is_complete(0));
            assert!(!index.is_complete(SEGMENT_RECORDS + dropped.max(1)));
            let result = index.verify(&stored);
            let mismatch =
                Finding::IndexMismatch { from: SEGMENT_RECORDS + dropped, to: 2 * SEGMENT_RECORDS };
            assert!(result.is_ok() || result == Err(mismatch), "{result:?}");
            result.is_ok()
        };
        for (dropped, lines, expected) in [
            (0, vec!["actor bob 1021,1022,1023"], true),
            (0, vec!["actor bob 1021,1022"], false),
            (0, vec!["actor bob 1020,1021,1022,1023"], false),
            (0, vec!["actor bob -"], false),
            (0, vec!["actor bob *"], false),
            (0, vec![], false),
            (0, vec!["actor mallory 1021,1022,1023"], false),
            (0, vec!["name bob 1021,1022,1023"], false),
            (0, vec!["nobody bob 1021,1022,1023"], false),
            (0, vec!["actor bob 1021,1022,1023", "actor mallory 7"], false),
            // The values of dropped records are unknown, those of the others are known.
            (256, vec!["actor bob 1021,1022,1023"], true),
            (256, vec!["actor bob 7,255,1021,1022,1023", "actor mallory 7,255", "name n *"], true),
            (256, vec!["actor bob 1021,1022"], false),
            (256, vec!["actor mallory 7,255"], false),
            (256, vec!["actor bob 1021,1022,1023", "actor mallory 7,256"], false),
        ] {
            assert_eq!(is_correct(dropped, &lines), expected, "{lines:?} after {dropped}");
        }
    }
}
