//! The index by which records are found: whoever takes a line out of it hides a record from every search, and touches no
//! record.

use std::collections::HashMap;

use super::{Columns, Finding};

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

/// What the index of some records has to say, as far as they have been read.
#[derive(Debug, Default)]
pub(super) struct Index {
    from: u64,
    seen: u64,
    /// For each of the fields where its values stand.
    terms: [HashMap<String, Vec<u64>>; FIELDS.len()],
}

impl Index {
    pub(super) fn begin(from: u64) -> Self {
        Self { from, ..Self::default() }
    }

    pub(super) fn see(&mut self, columns: &Columns) {
        let Columns { actor, action, kind, namespace, name, outcome, .. } = columns;
        let values =
            [Some(actor), Some(action), kind.as_ref(), namespace.as_ref(), name.as_ref(), Some(outcome)];
        for (places, value) in self.terms.iter_mut().zip(values) {
            let Some(value) = value else { continue };
            match places.get_mut(value) {
                Some(places) => places.push(self.seen),
                None => drop(places.insert(value.clone(), vec![self.seen])),
            }
        }
        self.seen += 1;
    }

    /// Where these records begin, and how many there are.
    pub(super) fn extent(&self) -> (u64, u64) {
        (self.from, self.seen)
    }

    /// Compares with what is kept.
    pub(super) fn compare(&self, kept: &[Posting]) -> Result<(), Finding> {
        let is_right = |posting: &Posting| {
            let field = FIELDS.iter().position(|field| *field == posting.field)?;
            let places = self.terms[field].get(&posting.value)?;
            let is_many = places.len() as u64 * MANY > self.seen;
            let is_same = posting.places.as_ref().map_or(is_many, |listed| listed == places);
            is_same.then_some(())
        };
        let terms: usize = self.terms.iter().map(HashMap::len).sum();
        // Each line is there once: it has a key.
        match kept.len() == terms && kept.iter().all(|posting| is_right(posting).is_some()) {
            true => Ok(()),
            false => Err(Finding::Index { from: self.from, to: self.from + self.seen }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three records; `bob` has written two of them, and they are all about topics.
    fn index() -> Index {
        let mut index = Index::begin(1024);
        for actor in ["alice", "bob", "bob"] {
            let columns = Columns {
                actor: actor.to_owned(),
                kind: Some("EventTopic".to_owned()),
                ..Columns::default()
            };
            index.see(&columns);
        }
        index
    }

    fn posting(line: &str) -> Posting {
        let words: Vec<&str> = line.split(' ').collect();
        let places = (words[2] != "*")
            .then(|| words[2].split(',').map(|place| place.parse().expect("a place")).collect());
        Posting { field: words[0].to_owned(), value: words[1].to_owned(), places }
    }

    #[test]
    fn an_index_says_what_follows_from_the_records() {
        let rest = ["action  *", "outcome  *", "kind EventTopic *"];
        let compare = |lines: &[&str]| {
            let kept: Vec<Posting> = lines.iter().chain(&rest).map(|line| posting(line)).collect();
            index().compare(&kept)
        };
        let changed = Err(Finding::Index { from: 1024, to: 1027 });
        for (lines, expected) in [
            (vec!["actor alice *", "actor bob *"], Ok(())),
            (vec!["actor alice 0", "actor bob 1,2"], Ok(())),
            (vec!["actor alice 0", "actor bob 1"], changed.clone()),
            (vec!["actor alice 0", "actor bob 0,1,2"], changed.clone()),
            (vec!["actor alice 0"], changed.clone()),
            (vec!["actor alice 0", "actor mallory 1,2"], changed.clone()),
            (vec!["name alice 0", "actor bob 1,2"], changed.clone()),
            (vec!["actor alice 0", "actor bob 1,2", "actor mallory 1"], changed.clone()),
        ] {
            assert_eq!(compare(&lines), expected, "{lines:?}");
        }
    }
}
