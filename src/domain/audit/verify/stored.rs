//! The form in which a database stores a log, as far as it can be verified.

use eventcenter_sdk::merkle::{Hash, Node, Range};

/// Records per segment. The inverted index has a separate list of positions for each segment.
pub const SEGMENT_RECORDS: u64 = 1024;

/// Maximum number of positions that a posting lists. A value of more records of a segment has no list.
pub const MAX_LISTED_POSITIONS: u64 = SEGMENT_RECORDS / 4;

/// Databases store the nodes of every eighth level, and no leaves: one node for 256 records, one for 65,536 and so on. The nodes
/// between follow from the stored ones, those below from the records.
pub const LEVEL_STEP: u8 = 8;

/// A record as a database or an export contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The position in the log.
    pub seq: u64,
    /// The canonical JSON of the record.
    pub body: Vec<u8>,
    /// The values that a database stores beside the body; `None` in an export.
    pub stored: Option<StoredValues>,
}

/// The values that a database stores beside the body of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValues {
    /// The hash of the leaf.
    pub hash: Hash,
    /// The hash chain, including this leaf.
    pub chain: Hash,
    /// The values that the record is searched by.
    pub columns: Columns,
}

/// The values that records are searched by. The body contains them as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The id as text.
    pub id: String,
    /// Microseconds since 1970.
    pub time: i64,
    /// The user.
    pub actor: String,
    /// The action.
    pub action: String,
    /// The kind of the target.
    pub kind: Option<String>,
    /// The namespace of the target.
    pub namespace: Option<String>,
    /// The name of the target.
    pub name: Option<String>,
    /// The outcome.
    pub outcome: String,
    /// The id of the completed record.
    pub completes: Option<String>,
}

/// The positions of a value within a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The column.
    pub field: String,
    /// The value.
    pub value: String,
    /// Positions relative to the first record of the segment; `None` if there are more than [`MAX_LISTED_POSITIONS`].
    pub positions: Option<Vec<u64>>,
}

/// The earliest and the latest time of some records, in microseconds since 1970.
pub type Times = (i64, i64);

/// A node of the tree as a database stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// Its place in the tree.
    pub node: Node,
    /// Its hash.
    pub hash: Hash,
    /// For nodes of the lowest stored level the times of the records below it, by which searches skip nodes.
    pub times: Option<Times>,
}

/// The end of a log as a database stores it, in addition to the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEnd {
    /// The number of records, including dropped ones.
    pub size: u64,
    /// The compact range of all records.
    pub range: Range,
    /// The hash chain up to the last record.
    pub chain: Hash,
    /// The times of the records after the last node of the lowest stored level, if there are any.
    pub times: Option<Times>,
}
