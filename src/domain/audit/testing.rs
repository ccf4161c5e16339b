//! A log in memory that tests tamper with.

use std::sync::LazyLock;

use jiff::Timestamp;
use uuid::Uuid;

use super::checkpoint::{Checkpoint, TrustedKeys, origin};
use super::record::{Draft, Event, canonical_json};
use super::verify::{
    Batch, Columns, Finding, LEVEL_STEP, Row, StoredEnd, StoredNode, StoredValues, Times, TrustedCheckpoints,
    Verified, Verifier,
};
use crate::domain::signature::SigningKey;
use eventcenter_sdk::merkle::{Hash, Node, Range};
use eventcenter_sdk::rest::audit::{Action, Actor, LogName, Outcome, Record, Target, Via};

/// The number of records.
pub(super) const SIZE: u64 = 2000;

/// The installation.
pub(super) const INSTALLATION: &str = "eventcenter";

/// The log of a tenant.
pub(super) fn log_name() -> LogName {
    LogName::of(Some("team-a"))
}

/// A signing key.
pub(super) fn key(digit: char) -> SigningKey {
    SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key")
}

/// Trusts a signing key.
pub(super) fn trusted(key: &SigningKey) -> TrustedKeys {
    TrustedKeys::parse(&key.public_key())
}

/// A record without a position.
pub(super) fn draft(number: u64) -> Draft {
    let user = format!("user-{}", number % 7);
    let actor = Actor { user, groups: vec!["team-a".to_owned()], via: Via::Admission };
    let outcome = if number.is_multiple_of(3) { Outcome::Started } else { Outcome::Allowed };
    let mut event = Event::new(log_name(), actor, Action::Update, outcome);
    event.target = Some(Target {
        kind: "EventTopic".to_owned(),
        namespace: (!number.is_multiple_of(5)).then(|| "team-a".to_owned()),
        name: format!("topic-{number}"),
        uid: None,
    });
    event.message = Some(format!("partitions 3 → {number}"));
    event.completes = number.is_multiple_of(4).then(|| id(number / 2));
    let time = Timestamp::from_microsecond(1_700_000_000_000_000 + i64::try_from(number).expect("small"))
        .expect("a time");
    event.into_draft(id(number), time, "webhook", "webhook-0")
}

/// The id of a record.
pub(super) fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// A record of the log.
pub(super) fn record(seq: u64) -> Record {
    draft(seq).at_seq(seq)
}

/// A log as a database stores it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) rows: Vec<Row>,
    pub(super) nodes: Vec<StoredNode>,
    pub(super) recorded_size: u64,
    pub(super) dropped: Range,
    pub(super) chain: Hash,
}

/// Earlier checkpoints of the log.
pub(super) static SIGNED: LazyLock<[(Checkpoint, &str); 2]> = LazyLock::new(|| {
    [(WHOLE.checkpoint(1000), "checkpoint 1000"), (WHOLE.checkpoint(1900), "checkpoint 1900")]
});

static WHOLE: LazyLock<Log> = LazyLock::new(|| {
    let rows = (0..SIZE).map(|seq| row(&record(seq))).collect();
    let mut log =
        Log { rows, nodes: Vec::new(), recorded_size: SIZE, dropped: Range::empty(0), chain: Hash([0; 32]) };
    log.chain_from(0);
    log.store_nodes();
    log
});

/// The row of a record, without its chain.
pub(super) fn row(record: &Record) -> Row {
    let body = canonical_json(record);
    let columns = Columns::parse(&body).expect("a record");
    let stored = StoredValues { hash: Hash::leaf(&body), chain: Hash([0; 32]), columns };
    Row { seq: record.seq, body, stored: Some(stored) }
}

impl Log {
    /// The log without tampering.
    pub(super) fn whole() -> Self {
        WHOLE.clone()
    }

    /// The stored values of a row.
    pub(super) fn stored(&mut self, at: usize) -> &mut StoredValues {
        self.rows[at].stored.as_mut().expect("stored values")
    }

    /// Changes the body of a record, and none of its stored values.
    pub(super) fn edit(&mut self, at: usize, edit: impl FnOnce(&mut Record)) {
        let mut record: Record = serde_json::from_slice(&self.rows[at].body).expect("a record");
        edit(&mut record);
        self.rows[at].body = canonical_json(&record);
    }

    /// Recomputes the hash and the columns of a row.
    pub(super) fn hash(&mut self, at: usize) {
        let body = self.rows[at].body.clone();
        let stored = self.stored(at);
        (stored.hash, stored.columns) = (Hash::leaf(&body), Columns::parse(&body).expect("a record"));
    }

    /// Recomputes the chain of a row.
    pub(super) fn chain_at(&mut self, at: usize) {
        let previous = if at == 0 { self.chain } else { self.stored(at - 1).chain };
        let stored = self.stored(at);
        stored.chain = Hash::chained(&previous, &stored.hash);
    }

    /// Recomputes the chain from a row on.
    pub(super) fn chain_from(&mut self, at: usize) {
        (at..self.rows.len()).for_each(|at| self.chain_at(at));
    }

    /// Recomputes the stored nodes.
    pub(super) fn store_nodes(&mut self) {
        let mut range = self.dropped.clone();
        let mut nodes = Vec::new();
        for row in &self.rows {
            let stored = row.stored.as_ref().expect("stored values");
            range.push(stored.hash, |node, hash| {
                if node.level > 0 && node.level % LEVEL_STEP == 0 {
                    nodes.push((node, hash));
                }
            });
        }
        let stored = |(node, hash): (Node, Hash)| {
            let block = node.index << node.level..(node.index + 1) << node.level;
            let times = (node.level == LEVEL_STEP).then(|| self.times(block)).flatten();
            StoredNode { node, hash, times }
        };
        self.nodes = nodes.into_iter().map(stored).collect();
    }

    /// The times of the records at positions.
    fn times(&self, positions: std::ops::Range<u64>) -> Option<Times> {
        let rows = self.rows.iter().filter(|row| positions.contains(&row.seq));
        let times = rows.map(|row| row.stored.as_ref().expect("stored values").columns.time);
        Some((times.clone().min()?, times.max()?))
    }

    /// The end of the log as the database states it.
    pub(super) fn end(&self) -> StoredEnd {
        let mut range = self.dropped.clone();
        for row in &self.rows {
            range.push(row.stored.as_ref().expect("stored values").hash, |_, _| {});
        }
        let chain =
            self.rows.last().and_then(|row| row.stored.as_ref()).map_or(self.chain, |stored| stored.chain);
        let size = self.recorded_size;
        StoredEnd { size, range, chain, times: self.times(size >> LEVEL_STEP << LEVEL_STEP..size) }
    }

    /// Renumbers rows and records from a row on.
    pub(super) fn renumber_from(&mut self, at: usize) {
        for at in at..self.rows.len() {
            let seq = at as u64;
            self.rows[at].seq = seq;
            self.edit(at, |record| record.seq = seq);
        }
    }

    /// The compact range of some rows, from their stored hashes.
    pub(super) fn range(&self, from: u64, until: u64) -> Range {
        let mut range = Range::empty(from);
        for row in &self.rows[usize::try_from(from).expect("small")..usize::try_from(until).expect("small")] {
            range.push(row.stored.as_ref().expect("stored values").hash, |_, _| {});
        }
        range
    }

    /// The checkpoint of a size.
    pub(super) fn checkpoint(&self, size: u64) -> Checkpoint {
        let root = self.range(0, size).root().expect("from 0");
        Checkpoint { origin: origin(INSTALLATION, &log_name()), size, root }
    }

    /// Drops records like the retention.
    pub(super) fn drop_before(&mut self, seq: u64) {
        self.dropped = self.range(0, seq);
        let at = usize::try_from(seq).expect("small");
        self.chain = self.stored(at - 1).chain;
        self.rows.drain(..at);
    }

    fn verifier(&self, checkpoints: &[(Checkpoint, &str)]) -> Verifier {
        let named = |(checkpoint, name): &(Checkpoint, &str)| (checkpoint.clone(), (*name).to_owned());
        let checkpoints = TrustedCheckpoints { checkpoints: checkpoints.iter().map(named).collect() };
        Verifier::new(log_name(), self.dropped.clone(), self.chain, checkpoints)
    }

    /// Verifies only the rows.
    pub(super) fn verify_rows(&self) -> Result<Verified, Finding> {
        let mut verifier = self.verifier(&[]);
        self.rows.iter().try_for_each(|row| verifier.verify_row(row))?;
        verifier.finish(None)
    }

    /// Verifies the log like a database: rows in batches with their nodes.
    pub(super) fn verify(&self, checkpoints: &[(Checkpoint, &str)]) -> Result<Verified, Finding> {
        let mut verifier = self.verifier(checkpoints);
        let mut nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|stored| ((stored.node.index + 1) << stored.node.level, stored.clone()))
            .collect();
        nodes.sort_by_key(|(end, stored)| (*end, stored.node));
        for rows in self.rows.chunks(300) {
            let next = rows.last().map_or(0, |row| row.seq + 1);
            let rest = nodes.split_off(nodes.partition_point(|(end, _)| *end <= next));
            let ended = std::mem::replace(&mut nodes, rest).into_iter();
            let nodes = ended.map(|(_, stored)| stored).collect();
            let batch = Batch { rows: rows.to_vec(), nodes, ..Batch::default() };
            verifier.verify_batch(batch).map_err(|mismatch| mismatch.finding)?;
        }
        nodes.iter().try_for_each(|(_, stored)| verifier.verify_node(stored.node, &stored.hash))?;
        verifier.finish(Some(self.recorded_size))
    }
}

/// Describes a result.
pub(super) fn describe(result: Result<Verified, impl ToString>) -> String {
    match result {
        Ok(Verified { first, records, size, checkpoints, signed, .. }) => {
            format!(
                "verified: {records} records of {first}..{size}, signed up to {signed} by {checkpoints} checkpoints"
            )
        }
        Err(finding) => finding.to_string(),
    }
}
