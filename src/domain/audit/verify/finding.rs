//! What verification can find, and its description for people.

use std::fmt;

/// A difference between a log and the log that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A record cannot be parsed, or is not canonical.
    Unreadable {
        /// Its position.
        seq: u64,
    },
    /// The content of a record does not match its hash.
    Edited {
        /// Its position.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// The hash of a record does not match the hash chain: content and hash were both changed.
    Rewritten {
        /// Its position.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// A column that a record is searched by does not match its content.
    ColumnMismatch {
        /// Its position.
        seq: u64,
        /// Its id.
        id: String,
        /// The column.
        column: &'static str,
    },
    /// Records are missing.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Two records were exchanged.
    Swapped {
        /// The position of the first.
        first: u64,
        /// The position of the second.
        second: u64,
    },
    /// A record states another position, or exists twice.
    Inserted {
        /// The position.
        seq: u64,
        /// Its id.
        id: String,
    },
    /// Records are missing at the end: a checkpoint or the database states a larger size.
    Truncated {
        /// The number of records.
        found: u64,
        /// The number of records according to the source.
        expected: u64,
        /// What states the number.
        source: String,
    },
    /// There are more records than the recorded size: they were not written by the journal.
    Surplus {
        /// The number of records.
        found: u64,
        /// The recorded size.
        recorded: u64,
    },
    /// A stored node does not match the records below it: these and their chain were rewritten.
    NodeMismatch {
        /// The first record below it.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
    },
    /// A node is not stored: the inclusion of the records below it cannot be proved.
    NodeMissing {
        /// The first record below it.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
    },
    /// The index of some records does not match them: a search may miss some.
    IndexMismatch {
        /// The first of these records.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
    },
    /// The times of a node do not match the records below it: a search by time may miss some.
    TimesMismatch {
        /// The first record below it.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
    },
    /// What the database states about the end of the log does not match its records. The records themselves are unchanged.
    EndMismatch {
        /// The number of records.
        size: u64,
        /// The column of `audit_head`.
        column: &'static str,
    },
    /// Records of an export without a filter were replaced by their hashes.
    Omitted {
        /// The first.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
    },
    /// A record does not match the filter of its export: the filter was changed after the export.
    FilterMismatch {
        /// Its position.
        seq: u64,
        /// Its id.
        id: String,
        /// The filter.
        filter: String,
    },
    /// The first records do not exist, and no record shows that the retention dropped them.
    DropNotRecorded {
        /// The first record that exists.
        first: u64,
    },
    /// The root of the records up to a checkpoint is not the signed one: the log was rewritten after the previous checkpoint.
    RootMismatch {
        /// The first record that may differ.
        from: u64,
        /// The end of these records, exclusive.
        to: u64,
        /// The checkpoint.
        source: String,
    },
    /// A checkpoint has no valid signature of a trusted key.
    UntrustedCheckpoint {
        /// The checkpoint.
        source: String,
        /// Why it is not trusted.
        problem: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { seq } => write!(f, "record {seq} cannot be read"),
            Self::Edited { seq, id } => {
                write!(f, "record {seq}{} was edited: its content does not match its hash", Id(id))
            }
            Self::Rewritten { seq, id } => {
                write!(f, "record {seq}{} was rewritten: its hash does not match the hash chain", Id(id))
            }
            Self::ColumnMismatch { seq, id, column } => {
                write!(f, "record {seq}{}: the column {column} does not match its content", Id(id))
            }
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing"),
            Self::Swapped { first, second } => write!(f, "records {first} and {second} were swapped"),
            Self::Inserted { seq, id } => {
                write!(f, "the record at position {seq}{} was inserted: it does not belong there", Id(id))
            }
            Self::Truncated { found, expected, source } => {
                let source = printable(source);
                write!(f, "the log was truncated: it has {found} records, {expected} according to {source}")
            }
            Self::Surplus { found, recorded } => {
                write!(
                    f,
                    "records were added without the journal: the log has {found}, {recorded} according to the \
                     recorded size"
                )
            }
            Self::NodeMismatch { from, to } => {
                let (records, they) =
                    (Records(*from, *to), if is_one(*from, *to) { "it does" } else { "they do" });
                write!(f, "{records} {} rewritten: {they} not match the stored tree node", were(*from, *to))
            }
            Self::NodeMissing { from, to } => {
                write!(
                    f,
                    "the tree node of {} is missing: their inclusion cannot be proved",
                    Records(*from, *to)
                )
            }
            Self::IndexMismatch { from, to } => {
                write!(f, "the index of {} was changed: a search may miss some of them", Records(*from, *to))
            }
            Self::TimesMismatch { from, to } => {
                write!(
                    f,
                    "the times of the tree node of {} were changed: a search by time may miss some of them",
                    Records(*from, *to)
                )
            }
            Self::EndMismatch { size, column } => {
                write!(f, "the column {column} of audit_head does not match the {size} records of the log")
            }
            Self::Omitted { from, to } => {
                write!(
                    f,
                    "{} {} left out: an export without a filter contains every record",
                    Records(*from, *to),
                    were(*from, *to)
                )
            }
            Self::FilterMismatch { seq, id, filter } => {
                let filter = printable(filter);
                write!(f, "record {seq}{} does not match the filter that the export names: {filter}", Id(id))
            }
            Self::DropNotRecorded { first } => {
                let (records, were) = (Records(0, *first), if is_one(0, *first) { "is" } else { "are" });
                write!(f, "{records} {were} missing: no record shows that the retention dropped them")
            }
            Self::RootMismatch { from, to, source } if is_one(*from, *to) => {
                let (records, source) = (Records(*from, *to), printable(source));
                write!(f, "{records} was rewritten: the root up to it does not match {source}")
            }
            Self::RootMismatch { from, to, source } => {
                let (last, source) = (to.saturating_sub(1), printable(source));
                write!(
                    f,
                    "records between {from} and {last} were rewritten: their root does not match {source}"
                )
            }
            Self::UntrustedCheckpoint { source, problem } => {
                write!(f, "{} is not trusted: {}", printable(source), printable(problem))
            }
        }
    }
}

/// Records from a position up to, not including, another one: `record 5`, or `records 5 to 9`.
pub(super) struct Records(pub(super) u64, pub(super) u64);

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(from, to) = self;
        match is_one(*from, *to) {
            true => write!(f, "record {from}"),
            false => write!(f, "records {from} to {}", to.saturating_sub(1)),
        }
    }
}

/// Whether these are a single record.
fn is_one(from: u64, to: u64) -> bool {
    to.saturating_sub(from) <= 1
}

/// The verb for these records.
fn were(from: u64, to: u64) -> &'static str {
    if is_one(from, to) { "was" } else { "were" }
}

/// The id of a record in parentheses; empty if it is unknown.
struct Id<'a>(&'a str);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            id => write!(f, " ({})", printable(id)),
        }
    }
}

/// Maximum number of characters of an untrusted text in a message.
const MAX_PRINTABLE_CHARS: usize = 300;

/// Escapes untrusted text for a terminal, and truncates it.
pub(in crate::domain::audit) fn printable(text: &str) -> String {
    let mut rest = text.chars().flat_map(escape);
    let mut printable: String = rest.by_ref().take(MAX_PRINTABLE_CHARS).collect();
    if rest.next().is_some() {
        printable.push('…');
    }
    printable
}

/// Escapes a character, except for quotation marks and backslashes.
fn escape(char: char) -> impl Iterator<Item = char> {
    let is_quote = matches!(char, '"' | '\'' | '\\');
    let (itself, escaped) = if is_quote { (Some(char), None) } else { (None, Some(char.escape_debug())) };
    itself.into_iter().chain(escaped.into_iter().flatten())
}
