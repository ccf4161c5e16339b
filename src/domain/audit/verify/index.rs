//! The index by which records are found: whoever takes a line out of it hides a record from every search, and touches no
//! record.

use std::collections::HashMap;

use super::{Columns, Finding, SEGMENT};

/// Where a value stands among some records that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The column.
    pub field: String,
    /// The value.
    pub value: String,
    /// The places, counted from the first of these records; none if there are so many that they are not listed.
    pub places: Option<Vec<u64>>,
}

/// Values that more than this part of the records have are not listed.
const MANY: u64 = 4;

/// The columns that are in the index.
const FIELDS: [&str; 6] = ["actor", "action", "kind", "namespace", "name", "outcome"];

/// What the index of a segment has to say, as far as its records have been read.
#[derive(Debug, Default)]
pub(super) struct Index {
    from: u64,
    /// Records at its beginning that were dropped. The index may still have them.
    dropped: u64,
    /// The place after the last that was read, counted from the beginning.
    next: u64,
    /// For each of the fields where its values stand.
    terms: [HashMap<String, Vec<u64>>; FIELDS.len()],
}

impl Index {
    /// Of the segment that a place is in, from there on.
    pub(super) fn begin(place: u64) -> Self {
        let dropped = place % SEGMENT;
        Self { from: place - dropped, dropped, next: dropped, ..Self::default() }
    }

    pub(super) fn see(&mut self, columns: &Columns) {
        let Columns { actor, action, kind, namespace, name, outcome, .. } = columns;
        let values =
            [Some(actor), Some(action), kind.as_ref(), namespace.as_ref(), name.as_ref(), Some(outcome)];
        for (places, value) in self.terms.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            match places.get_mut(value) {
                Some(places) => places.push(self.next),
                None => drop(places.insert(value.clone(), vec![self.next])),
            }
        }
        self.next += 1;
    }

    /// Whether it is that of the segment that begins there, and all of it has been read.
    pub(super) fn is_of(&self, from: u64) -> bool {
        (self.from, self.next) == (from, SEGMENT)
    }

    /// Compares with what is kept.
    pub(super) fn compare(&self, kept: &[Posting]) -> Result<(), Finding> {
        let terms: usize = self.terms.iter().map(HashMap::len).sum();
        // Each line is there once: it has a key.
        let found = kept.iter().filter(|posting| self.places(posting).is_some()).count();
        match found == terms && kept.iter().all(|posting| self.is_right(posting)) {
            true => Ok(()),
            false => Err(Finding::Index { from: self.from + self.dropped, to: self.from + self.next }),
        }
    }

    /// Where the value of a line stands.
    fn places(&self, posting: &Posting) -> Option<&Vec<u64>> {
        let field = FIELDS.iter().position(|field| *field == posting.field)?;
        self.terms[field].get(&posting.value)
    }

    fn is_right(&self, posting: &Posting) -> bool {
        let places = self.places(posting).map_or(&[][..], Vec::as_slice);
        match &posting.places {
            // Nobody knows how many there were among those that were dropped.
            None => self.dropped > 0 || places.len() as u64 * MANY > SEGMENT,
            Some(listed) if listed.is_empty() => false,
            Some(listed) => listed.iter().filter(|place| **place >= self.dropped).eq(places),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a segment whose first records were dropped: `alice` has written most of the others, `bob` the last three, and all of
    /// them are about topics.
    fn index(dropped: u64) -> Index {
        let mut index = Index::begin(SEGMENT + dropped);
        for place in dropped..SEGMENT {
            let actor = if place < SEGMENT - 3 { "alice" } else { "bob" };
            let kind = Some("EventTopic".to_owned());
            index.see(&Columns { actor: actor.to_owned(), kind, ..Columns::default() });
        }
        index
    }

    fn posting(line: &str) -> Posting {
        let words: Vec<&str> = line.split(' ').collect();
        let places = match words[2] {
            "*" => None,
            "-" => Some(Vec::new()),
            list => Some(list.split(',').map(|place| place.parse().expect("a place")).collect()),
        };
        Posting { field: words[0].to_owned(), value: words[1].to_owned(), places }
    }

    #[test]
    fn an_index_says_what_follows_from_the_records() {
        let rest = ["actor alice *", "action  *", "outcome  *", "kind EventTopic *"];
        let is_right = |dropped: u64, lines: &[&str]| {
            let kept: Vec<Posting> = lines.iter().chain(&rest).map(|line| posting(line)).collect();
            let index = index(dropped);
            assert!(index.is_of(SEGMENT) && !index.is_of(0) && !index.is_of(SEGMENT + dropped.max(1)));
            let compared = index.compare(&kept);
            let changed = Finding::Index { from: SEGMENT + dropped, to: 2 * SEGMENT };
            assert!(compared.is_ok() || compared == Err(changed), "{compared:?}");
            compared.is_ok()
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
            // Who stands among those that were dropped nobody can say; who stands after them is known.
            (256, vec!["actor bob 1021,1022,1023"], true),
            (256, vec!["actor bob 7,255,1021,1022,1023", "actor mallory 7,255", "name n *"], true),
            (256, vec!["actor bob 1021,1022"], false),
            (256, vec!["actor mallory 7,255"], false),
            (256, vec!["actor bob 1021,1022,1023", "actor mallory 7,256"], false),
        ] {
            assert_eq!(is_right(dropped, &lines), expected, "{lines:?} after {dropped}");
        }
    }
}
