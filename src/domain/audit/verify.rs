//! Finding out what was done to a log.
//!
//! A log is read once, from the front, and everything that is said of it twice is compared: what a record says with the
//! columns it is searched by, its content with its hash, its hash with the chain, the nodes that are kept with those that follow
//! from the records, the roots with the signed checkpoints. What is found first is told; after it nothing can be said.

mod finding;
mod index;
mod part;
mod place;
mod said;

use std::collections::BTreeMap;
use std::collections::VecDeque;

use eventcenter_sdk::merkle::{Hash, Node, Nodes, Range};
use eventcenter_sdk::rest::audit::LogName;

pub use finding::Finding;
pub(super) use finding::shown;
use index::Index;
pub use index::Posting;
pub use part::{Found, Part};
use place::{Pending, Step};
use said::Said;

use super::canonical;
use super::checkpoint::{Checkpoint, TrustedKeys};

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The place at which it is kept.
    pub seq: u64,
    /// Its canonical JSON.
    pub body: Vec<u8>,
    /// What is kept beside it; an export has none of that.
    pub kept: Option<Kept>,
}

/// What a database keeps beside a record, to find it and to find out whether it was touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hash of the leaf.
    pub hash: Hash,
    /// The chain up to it.
    pub chain: Hash,
    /// The values it is searched by.
    pub columns: Columns,
}

/// The values that records are searched by. They are in the record as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The id, as text.
    pub id: String,
    /// Microseconds since 1970.
    pub time: i64,
    /// The user.
    pub actor: String,
    /// The action.
    pub action: String,
    /// The target's kind.
    pub kind: Option<String>,
    /// The target's namespace.
    pub namespace: Option<String>,
    /// The target's name.
    pub name: Option<String>,
    /// The outcome.
    pub outcome: String,
    /// The id of the record that it completes.
    pub completes: Option<String>,
}

impl Columns {
    /// The values of a record.
    ///
    /// # Errors
    /// The body is no record.
    pub fn of(body: &[u8]) -> Result<Self, serde_json::Error> {
        Said::of(body).map(Said::columns)
    }
}

/// Who has seen the log before.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    /// Signed checkpoints that are believed, and what each is called (such as `checkpoint 120 of the ConfigMap`).
    pub checkpoints: Vec<(Checkpoint, String)>,
}

impl Witnesses {
    /// Those of some notes that are believed; the others are findings. Each note comes after what it is called.
    #[must_use]
    pub fn of(
        notes: impl IntoIterator<Item = (String, String)>,
        origin: &str,
        keys: &TrustedKeys,
    ) -> (Self, Vec<Finding>) {
        let (mut believed, mut forged) = (Self::default(), Vec::new());
        for (witness, note) in notes {
            match Checkpoint::believed(&note, origin, keys) {
                Ok(checkpoint) => believed.checkpoints.push((checkpoint, witness)),
                Err(error) => forged.push(Finding::Forged { witness, why: error.to_string() }),
            }
        }
        (believed, forged)
    }
}

/// What was found out about a log, if all of it is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The log.
    pub log: LogName,
    /// The first record that is there; those before were dropped by the retention.
    pub first: u64,
    /// How many records were read.
    pub records: u64,
    /// The number of records of the log, those that were dropped included.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// How many checkpoints were found to be right.
    pub checkpoints: usize,
    /// The number of records that the largest of them covers; those after it nobody has signed yet.
    pub signed: u64,
}

/// How many nodes are remembered: those over the last 8 million records, and some megabytes.
const MOST_NODES: usize = 64 * 1024;

/// Records of which an index is made at once.
pub const SEGMENT: u64 = 1024;

/// Only nodes of every eighth level are kept, and no leaves: one for 256 records, one for 65,536 and so on. Those between follow
/// from them, those below from few records.
pub const STEP: u8 = 8;

impl Verified {
    /// Compares with the hashes that are noted of the whole log, if they are of as many records: who rewrites the end of a
    /// log, after the last checkpoint and the last node, has to rewrite them too.
    ///
    /// # Errors
    /// They are others.
    pub fn noted(self, noted: &Range) -> Result<Self, Finding> {
        let is_another = noted.end() == self.size && noted.root().is_some_and(|root| root != self.root);
        match is_another {
            true => Err(Finding::Node { from: self.signed, to: self.size }),
            false => Ok(self),
        }
    }
}

/// Reads a log and compares.
#[derive(Debug)]
pub struct Verifier {
    log: LogName,
    /// What is left of the records that were dropped.
    dropped: Range,
    /// All records so far, those that were dropped included.
    range: Range,
    /// The chain up to the last; none where it is not known.
    chain: Option<Hash>,
    /// The place that comes next.
    next: u64,
    records: u64,
    /// What is known of the record before, to tell which of two at one place is the false one.
    before: Before,
    /// A record that says of itself that it belongs elsewhere.
    pending: Option<Pending>,
    /// Nodes that follow from what was read.
    nodes: Nodes,
    /// The index of the records of this segment, and of the one before.
    index: (Index, Index),
    /// Checkpoints that are still ahead, the smallest first.
    ahead: VecDeque<(Checkpoint, String)>,
    /// Those that were right: how many, and how many records the largest covers.
    checkpoints: usize,
    signed: u64,
    /// What was found.
    found: Option<Finding>,
}

/// The record before.
#[derive(Debug, Default)]
struct Before {
    id: String,
    /// The chain up to it, itself not included.
    chain: Option<Hash>,
}

impl Verifier {
    /// Begins with what is left of the records that were dropped: their compact range, and the chain up to there.
    #[must_use]
    pub fn new(log: LogName, dropped: Range, chain: Hash, witnesses: Witnesses) -> Self {
        let mut ahead = witnesses.checkpoints;
        ahead.sort_by_key(|(checkpoint, _)| checkpoint.size);
        let mut verifier = Self {
            log,
            range: dropped.clone(),
            next: dropped.end(),
            dropped,
            chain: Some(chain),
            records: 0,
            before: Before::default(),
            pending: None,
            nodes: BTreeMap::new(),
            index: (Index::default(), Index::default()),
            ahead: ahead.into(),
            checkpoints: 0,
            signed: 0,
            found: None,
        };
        verifier.found = match verifier.dropped.start() {
            0 => verifier.compare().err(),
            start => Some(Finding::Missing { from: 0, to: start - 1 }),
        };
        verifier
    }

    /// The place that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next record.
    ///
    /// # Errors
    /// What was done to it.
    pub fn row(&mut self, row: &Row) -> Result<(), Finding> {
        self.once(|verifier| verifier.read(row))
    }

    /// Goes on if nothing was found yet.
    fn once(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Finding>) -> Result<(), Finding> {
        if let Some(found) = &self.found {
            return Err(found.clone());
        }
        step(self).inspect_err(|found| self.found = Some(found.clone()))
    }

    fn read(&mut self, row: &Row) -> Result<(), Finding> {
        // An export has no places: there it is the order that counts.
        let place = if row.kept.is_some() { row.seq } else { self.next };
        if place != self.next || place == u64::MAX {
            return Err(self.out_of_place(place, row));
        }
        self.next += 1;
        let said = match Said::of(&row.body) {
            Ok(said) => said,
            Err(_) => return Err(self.unreadable(place, row)),
        };
        if let Some(pending) = &mut self.pending {
            return match pending.step(place, said.seq) {
                Step::Wait => Ok(()),
                Step::Found(finding) => Err(finding),
            };
        }
        if said.seq != place {
            return self.misplaced(place, &said, row);
        }
        let leaf = match &row.kept {
            Some(kept) => self.kept(place, &said, &row.body, kept)?,
            None => {
                self.chain = None;
                let content = canonical::form(&row.body).ok_or(Finding::Unreadable { seq: place })?;
                Hash::leaf(&content)
            }
        };
        let column = match said.tenant == self.log.as_str() {
            true => row.kept.as_ref().and_then(|kept| said.differs(&kept.columns)),
            false => Some("tenant"),
        };
        if let Some(column) = column {
            return Err(Finding::Mislabelled { seq: place, id: said.id.into_owned(), column });
        }
        if let Some(kept) = &row.kept {
            if self.records == 0 || place.is_multiple_of(SEGMENT) {
                self.index.1 = std::mem::replace(&mut self.index.0, Index::begin(place));
            }
            self.index.0.see(&kept.columns);
        }
        self.before.id.clear();
        self.before.id.push_str(&said.id);
        let nodes = &mut self.nodes;
        self.range.push(leaf, |node, hash| {
            if node.level >= STEP {
                nodes.insert(node, hash);
            }
        });
        while nodes.len() > MOST_NODES {
            // The lowest level has the most, and its first is the oldest.
            nodes.pop_first();
        }
        self.records += 1;
        self.compare()
    }

    /// Compares content, hash and chain.
    fn kept(&mut self, seq: u64, said: &Said<'_>, body: &[u8], kept: &Kept) -> Result<Hash, Finding> {
        let leaf = Hash::leaf(body);
        if leaf != kept.hash {
            return Err(Finding::Edited { seq, id: said.id.to_string() });
        }
        if self.chain.is_some_and(|chain| Hash::chained(&chain, &leaf) != kept.chain) {
            return Err(Finding::Rewritten { seq, id: said.id.to_string() });
        }
        self.before.chain = self.chain.replace(kept.chain);
        Ok(leaf)
    }

    /// A row that is kept at another place than the next.
    fn out_of_place(&self, place: u64, row: &Row) -> Finding {
        match &self.pending {
            Some(pending) => pending.unsettled(),
            None if place > self.next => Finding::Missing { from: self.next, to: place - 1 },
            None => Finding::Inserted { seq: place, id: id_of(row) },
        }
    }

    /// A body that is no record.
    fn unreadable(&self, seq: u64, row: &Row) -> Finding {
        match (&self.pending, &row.kept) {
            (Some(pending), _) => pending.unsettled(),
            (None, Some(kept)) if kept.hash != Hash::leaf(&row.body) => {
                Finding::Edited { seq, id: id_of(row) }
            }
            (None, _) => Finding::Unreadable { seq },
        }
    }

    /// A record that says that its place is another one: what happened is clear once it is known what stands there.
    fn misplaced(&mut self, place: u64, said: &Said<'_>, row: &Row) -> Result<(), Finding> {
        let id = said.id.to_string();
        let is_shifted = |kept: &Kept| {
            let chain = self.before.chain.map(|chain| Hash::chained(&chain, &kept.hash));
            said.seq.checked_add(1) == Some(place) && chain == Some(kept.chain)
        };
        let finding = match &row.kept {
            Some(kept) if is_shifted(kept) => {
                // It follows on the record before the one before: that one was put between them.
                return Err(Finding::Inserted { seq: place - 1, id: self.before.id.clone() });
            }
            Some(kept) if kept.hash != Hash::leaf(&row.body) => Finding::Edited { seq: place, id },
            _ => Finding::Inserted { seq: place, id },
        };
        if said.seq < place {
            return Err(finding);
        }
        let is_ordered = row.kept.is_some();
        self.pending = Some(Pending { place, said: said.seq, finding, is_ordered, is_alone: false });
        Ok(())
    }

    /// Records that are not shown, by their hashes: in an export with a filter.
    ///
    /// # Errors
    /// They do not follow on what came before.
    pub fn gap(&mut self, gap: &Range) -> Result<(), Finding> {
        self.once(|verifier| verifier.pass_over(gap))
    }

    fn pass_over(&mut self, gap: &Range) -> Result<(), Finding> {
        if let Some(pending) = &self.pending {
            return Err(pending.unsettled());
        }
        if gap.start() > self.next {
            return Err(Finding::Missing { from: self.next, to: gap.start() - 1 });
        }
        if self.range.append(gap).is_err() {
            return Err(Finding::Inserted { seq: gap.start(), id: String::new() });
        }
        if gap.end() > gap.start() {
            // Which nodes follow is not known any more, nor is the chain.
            (self.chain, self.before) = (None, Before::default());
            self.next = gap.end();
        }
        self.compare()
    }

    /// A node that is kept; all records below it have been read, and the last of them not longer ago than 8 million records.
    /// Those of levels below 8, and those inside of what was dropped, follow from nothing that is known, and are not compared.
    ///
    /// # Errors
    /// It does not follow from them.
    pub fn node(&mut self, node: Node, hash: &Hash) -> Result<(), Finding> {
        self.once(|verifier| verifier.compare_node(node, hash))
    }

    /// What is kept as the index of a segment, the last that has been read or the one before.
    ///
    /// # Errors
    /// It does not follow from the records.
    pub fn index(&mut self, from: u64, kept: &[Posting]) -> Result<(), Finding> {
        self.once(|verifier| {
            let (now, before) = &verifier.index;
            let segment = [now, before].into_iter().find(|index| index.is_of(from));
            segment.map_or(Ok(()), |index| index.compare(kept))
        })
    }

    fn compare_node(&self, node: Node, hash: &Hash) -> Result<(), Finding> {
        // What stands in the wrong place is told, not what follows from it.
        if self.pending.is_some() {
            return Ok(());
        }
        let leaf =
            |index: u64| index.checked_shl(u32::from(node.level)).filter(|leaf| leaf >> node.level == index);
        let ends = node.index.checked_add(1).and_then(leaf);
        let (Some(from), Some(to)) = (leaf(node.index), ends) else {
            return Err(Finding::Node { from: self.range.end(), to: u64::MAX });
        };
        if to > self.range.end() {
            let witness = "a hash that is kept over them".to_owned();
            return Err(Finding::Cut { has: self.range.end(), had: to, witness });
        }
        let left = || {
            let nodes = Range::nodes(0, self.dropped.end());
            nodes
                .into_iter()
                .zip(self.dropped.hashes())
                .find(|(known, _)| *known == node)
                .map(|(_, hash)| hash)
        };
        match self.nodes.get(&node).or_else(left) {
            Some(known) if known != hash => Err(Finding::Node { from, to }),
            _ => Ok(()),
        }
    }

    /// Compares the root with that of checkpoints of this size. Smaller ones are about what is not known.
    fn compare(&mut self) -> Result<(), Finding> {
        let end = self.range.end();
        // Up to there somebody has vouched for the log; what is left of dropped records may have been changed as well.
        let before = self.signed;
        while let Some((checkpoint, witness)) = self.ahead.pop_front_if(|(ahead, _)| ahead.size <= end) {
            if checkpoint.size < end {
                continue;
            }
            if self.range.root() != Some(checkpoint.root) {
                return Err(Finding::Root { from: before, to: end, witness });
            }
            self.checkpoints += 1;
            self.signed = end;
        }
        Ok(())
    }

    /// The end: `noted` is how many records the log has by what the database notes.
    ///
    /// # Errors
    /// There are more or fewer, or a checkpoint does not fit.
    pub fn end(self, noted: Option<u64>) -> Result<Verified, Finding> {
        if let Some(found) = self.found {
            return Err(found);
        }
        if let Some(pending) = &self.pending {
            return Err(pending.unsettled());
        }
        let has = self.range.end();
        let largest =
            self.ahead.into_iter().next_back().map(|(checkpoint, witness)| (checkpoint.size, witness));
        let noted_more = noted.map(|noted| (noted, "the number that is noted".to_owned()));
        // Of two that say the same the one that was signed is told.
        let most = [noted_more, largest].into_iter().flatten().max_by_key(|(size, _)| *size);
        if let Some((had, witness)) = most.filter(|(had, _)| *had > has) {
            return Err(Finding::Cut { has, had, witness });
        }
        if let Some(noted) = noted.filter(|noted| *noted < has) {
            return Err(Finding::Surplus { has, noted });
        }
        Ok(Verified {
            log: self.log,
            first: self.dropped.end(),
            records: self.records,
            size: has,
            // A range that does not begin at 0 was found at the beginning.
            root: self.range.root().unwrap_or_else(Hash::empty),
            checkpoints: self.checkpoints,
            signed: self.signed,
        })
    }
}

/// The id under which a record is kept, or which it has by itself; nothing if it has none.
fn id_of(row: &Row) -> String {
    let kept = row.kept.as_ref().map(|kept| kept.columns.id.clone());
    kept.or_else(|| Said::of(&row.body).ok().map(|said| said.id.into_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
