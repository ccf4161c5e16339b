//! A log in memory, to be tampered with.

use std::sync::LazyLock;

use eventcenter_sdk::merkle::{Hash, Node, Range};
use eventcenter_sdk::rest::audit::{Action, Actor, LogName, Outcome, Record, Target, Via};
use jiff::Timestamp;
use uuid::Uuid;

use super::checkpoint::{Checkpoint, TrustedKeys, origin};
use super::record::{Draft, Event, canonical_json};
use super::verify::{Columns, Finding, Kept, Part, Row, Verified, Verifier, Witnesses};
use crate::domain::approval::SigningKey;

/// How many records the logs of the tests have.
pub(super) const SIZE: u64 = 2000;

/// The installation of the tests.
pub(super) const INSTALLATION: &str = "eventcenter";

/// The tenant of the tests.
pub(super) fn log_name() -> LogName {
    LogName::of(Some("team-a"))
}

/// A key that signs.
pub(super) fn key(digit: char) -> SigningKey {
    SigningKey::of_seed(&digit.to_string().repeat(64)).expect("a key")
}

/// Who believes it.
pub(super) fn trusted(key: &SigningKey) -> TrustedKeys {
    TrustedKeys::read(&key.public())
}

/// What has no place yet.
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
    event.draft(id(number), time, "webhook", "webhook-0")
}

/// The id of a record.
pub(super) fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// A record of the log.
pub(super) fn record(seq: u64) -> Record {
    draft(seq).at(seq)
}

/// A log as a database keeps it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) rows: Vec<Row>,
    pub(super) nodes: Vec<(Node, Hash)>,
    pub(super) noted: u64,
    pub(super) dropped: Range,
    pub(super) chain: Hash,
}

/// Old checkpoints of the log, as witnesses.
pub(super) static SIGNED: LazyLock<[(Checkpoint, &str); 2]> = LazyLock::new(|| {
    [(WHOLE.checkpoint(1000), "checkpoint 1000"), (WHOLE.checkpoint(1900), "checkpoint 1900")]
});

static WHOLE: LazyLock<Log> = LazyLock::new(|| {
    let rows = (0..SIZE).map(|seq| row(&record(seq))).collect();
    let mut log =
        Log { rows, nodes: Vec::new(), noted: SIZE, dropped: Range::empty(0), chain: Hash([0; 32]) };
    log.chain_from(0);
    log.keep_nodes();
    log
});

/// How a record is kept; the chain is for another to say.
pub(super) fn row(record: &Record) -> Row {
    let body = canonical_json(record);
    let columns = Columns::of(&body).expect("a record");
    let kept = Kept { hash: Hash::leaf(&body), chain: Hash([0; 32]), columns };
    Row { seq: record.seq, body, kept: Some(kept) }
}

impl Log {
    /// As it was written.
    pub(super) fn whole() -> Self {
        WHOLE.clone()
    }

    /// What is kept beside a row.
    pub(super) fn kept(&mut self, at: usize) -> &mut Kept {
        self.rows[at].kept.as_mut().expect("what is kept")
    }

    /// Changes a record, and nothing that is kept beside it.
    pub(super) fn edit(&mut self, at: usize, edit: impl FnOnce(&mut Record)) {
        let mut record: Record = serde_json::from_slice(&self.rows[at].body).expect("a record");
        edit(&mut record);
        self.rows[at].body = canonical_json(&record);
    }

    /// Makes the hash, and the columns, of a row anew.
    pub(super) fn hash(&mut self, at: usize) {
        let body = self.rows[at].body.clone();
        let kept = self.kept(at);
        (kept.hash, kept.columns) = (Hash::leaf(&body), Columns::of(&body).expect("a record"));
    }

    /// Makes the chain of one row anew.
    pub(super) fn chain_at(&mut self, at: usize) {
        let before = if at == 0 { self.chain } else { self.kept(at - 1).chain };
        let kept = self.kept(at);
        kept.chain = Hash::chained(&before, &kept.hash);
    }

    /// Makes the chain anew from a row on.
    pub(super) fn chain_from(&mut self, at: usize) {
        (at..self.rows.len()).for_each(|at| self.chain_at(at));
    }

    /// Makes the nodes anew, of levels that a database keeps.
    pub(super) fn keep_nodes(&mut self) {
        let mut range = self.dropped.clone();
        self.nodes.clear();
        for row in &self.rows {
            let kept = row.kept.as_ref().expect("what is kept");
            range.push(kept.hash, |node, hash| {
                if node.level > 0 && node.level % 8 == 0 {
                    self.nodes.push((node, hash));
                }
            });
        }
    }

    /// Numbers the rows from one on, the records included.
    pub(super) fn renumber_from(&mut self, at: usize) {
        for at in at..self.rows.len() {
            let seq = at as u64;
            self.rows[at].seq = seq;
            self.edit(at, |record| record.seq = seq);
        }
    }

    /// The compact range of some of them, by the hashes that are kept.
    pub(super) fn range(&self, from: u64, until: u64) -> Range {
        let mut range = Range::empty(from);
        for row in &self.rows[usize::try_from(from).expect("small")..usize::try_from(until).expect("small")] {
            range.push(row.kept.as_ref().expect("what is kept").hash, |_, _| {});
        }
        range
    }

    /// What can be signed of it.
    pub(super) fn checkpoint(&self, size: u64) -> Checkpoint {
        let root = self.range(0, size).root().expect("from 0");
        Checkpoint { origin: origin(INSTALLATION, &log_name()), size, root }
    }

    /// Drops records, as the retention does.
    pub(super) fn drop_before(&mut self, seq: u64) {
        self.dropped = self.range(0, seq);
        let at = usize::try_from(seq).expect("small");
        self.chain = self.kept(at - 1).chain;
        self.rows.drain(..at);
    }

    fn verifier(&self, witnesses: &[(Checkpoint, &str)]) -> Verifier {
        let named = |(checkpoint, name): &(Checkpoint, &str)| (checkpoint.clone(), (*name).to_owned());
        let witnesses = Witnesses { checkpoints: witnesses.iter().map(named).collect() };
        Verifier::new(log_name(), self.dropped.clone(), self.chain, witnesses)
    }

    /// Verifies the rows alone.
    pub(super) fn verify_rows(&self) -> Result<Verified, Finding> {
        let mut verifier = self.verifier(&[]);
        self.rows.iter().try_for_each(|row| verifier.row(row))?;
        verifier.end(None)
    }

    /// Verifies it as it is kept: rows in parts, and with each the nodes that end there.
    pub(super) fn verify(&self, witnesses: &[(Checkpoint, &str)]) -> Result<Verified, Finding> {
        let mut verifier = self.verifier(witnesses);
        let mut nodes: Vec<_> =
            self.nodes.iter().map(|(node, hash)| ((node.index + 1) << node.level, *node, *hash)).collect();
        nodes.sort_unstable();
        for rows in self.rows.chunks(300) {
            let next = rows.last().map_or(0, |row| row.seq + 1);
            let rest = nodes.split_off(nodes.partition_point(|(end, ..)| *end <= next));
            let ended = std::mem::replace(&mut nodes, rest).into_iter();
            let nodes = ended.map(|(_, node, hash)| (node, hash)).collect();
            let part = Part { rows: rows.to_vec(), nodes, ..Part::default() };
            verifier.part(part).map_err(|found| found.finding)?;
        }
        nodes.iter().try_for_each(|(_, node, hash)| verifier.node(*node, hash))?;
        verifier.end(Some(self.noted))
    }
}

/// What came of it, in words.
pub(super) fn told(result: Result<Verified, impl ToString>) -> String {
    match result {
        Ok(Verified { first, records, size, checkpoints, signed, .. }) => {
            format!(
                "verified: {records} records of {first}..{size}, signed up to {signed} by {checkpoints} checkpoints"
            )
        }
        Err(finding) => finding.to_string(),
    }
}
