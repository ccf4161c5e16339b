//! What can be found, in words.

use std::fmt;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A record cannot be read, or is not in canonical form.
    Unreadable {
        /// Its place.
        seq: u64,
    },
    /// The content of a record is not what its hash was made of.
    Edited {
        /// Its place.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// Content and hash of a record were both changed: the chain does not fit.
    Rewritten {
        /// Its place.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// What a record is searched by is not what it says.
    Mislabelled {
        /// Its place.
        seq: u64,
        /// Its id.
        id: String,
        /// Which value.
        column: &'static str,
    },
    /// Records are missing.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Two records stand in each other's place.
    Swapped {
        /// The one place.
        first: u64,
        /// The other.
        second: u64,
    },
    /// A record that says of itself that its place is another one, or that is there twice.
    Inserted {
        /// The place.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// Records are gone from the end: somebody has signed, or the database has noted, that there were more.
    Cut {
        /// How many there are.
        has: u64,
        /// How many there were.
        had: u64,
        /// Who says so.
        witness: String,
    },
    /// There are more records than the log has noted; they were added beside it.
    Surplus {
        /// How many there are.
        has: u64,
        /// How many were noted.
        noted: u64,
    },
    /// A node that is kept does not follow from the records: records below it and their chain were rewritten.
    Node {
        /// The first record below it.
        from: u64,
        /// The one after the last.
        to: u64,
    },
    /// A node is not kept that follows from the records: none of those below it can be proved to be in the log.
    Unkept {
        /// The first record below it.
        from: u64,
        /// The one after the last.
        to: u64,
    },
    /// The index of some records does not follow from them: a search may miss some, or look for them where they are not.
    Index {
        /// The first of them.
        from: u64,
        /// The one after the last.
        to: u64,
    },
    /// The records up to a checkpoint do not have the root that was signed: the log was rewritten somewhere after the one
    /// before it.
    Root {
        /// The first record that may be another.
        from: u64,
        /// The one after the last.
        to: u64,
        /// Which checkpoint.
        witness: String,
    },
    /// A checkpoint was signed by nobody who is believed.
    Forged {
        /// Which checkpoint.
        witness: String,
        /// Why it is not believed.
        why: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { seq } => write!(f, "record {seq} cannot be read"),
            Self::Edited { seq, id } => {
                write!(f, "record {seq}{} was edited: its content is not what its hash was made of", Id(id))
            }
            Self::Rewritten { seq, id } => {
                write!(f, "record {seq}{} was rewritten: it does not fit into the chain", Id(id))
            }
            Self::Mislabelled { seq, id, column } => {
                write!(f, "record {seq}{} is kept under another {column} than it says", Id(id))
            }
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::Swapped { first, second } => {
                write!(f, "records {first} and {second} stand in each other's place")
            }
            Self::Inserted { seq, id } => {
                write!(f, "what stands at place {seq}{} was inserted: it does not belong there", Id(id))
            }
            Self::Cut { has, had, witness } => {
                let witness = shown(witness);
                write!(f, "the end was cut off: there are {has} records, and there were {had} by {witness}")
            }
            Self::Surplus { has, noted } => {
                write!(f, "records were added beside the log: there are {has}, and {noted} are noted")
            }
            Self::Node { from, to } => {
                let (from, last) = (from, to.saturating_sub(1));
                write!(
                    f,
                    "records {from} to {last} were rewritten: the hash over them that is kept is another"
                )
            }
            Self::Unkept { from, to } => {
                let last = to.saturating_sub(1);
                write!(f, "the hash over records {from} to {last} is missing: none of them can be proved")
            }
            Self::Index { from, to } => {
                let last = to.saturating_sub(1);
                write!(f, "the index of records {from} to {last} was changed: a search may miss some of them")
            }
            Self::Root { from, to, witness } => {
                let (last, witness) = (to.saturating_sub(1), shown(witness));
                write!(
                    f,
                    "something in records {from} to {last} was rewritten: their root is not that of {witness}"
                )
            }
            Self::Forged { witness, why } => write!(f, "{} is not believed: {}", shown(witness), shown(why)),
        }
    }
}

/// The id of a record, in brackets; nothing if it is not known.
struct Id<'a>(&'a str);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            id => write!(f, " ({})", shown(id)),
        }
    }
}

/// How much of a text is shown, in characters.
const MOST: usize = 300;

/// A text that somebody else may have written, for people: without what a terminal would act upon, and not too long.
pub(in crate::domain::audit) fn shown(text: &str) -> String {
    let mut rest = text.chars().flat_map(visible);
    let mut shown: String = rest.by_ref().take(MOST).collect();
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A character, written out if it cannot be seen.
fn visible(char: char) -> impl Iterator<Item = char> {
    let is_quote = matches!(char, '"' | '\'' | '\\');
    let (itself, escaped) = if is_quote { (Some(char), None) } else { (None, Some(char.escape_debug())) };
    itself.into_iter().chain(escaped.into_iter().flatten())
}
