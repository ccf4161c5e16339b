//! Exports of audit logs. Whatever is changed in an export: if it verifies as intact, its records are those that were signed.
//!
//! Two kinds of changes are tried: edits that know nothing about the format, and those of a forger who knows it and computes the
//! hashes of omitted records.

use std::time::Duration;

use eventcenter::domain::audit::checkpoint::TrustedKeys;
use eventcenter::domain::audit::export::{Header, Line, Reader};
use eventcenter::domain::audit::merkle::{Hash, Range};
use eventcenter::domain::audit::verify::{Requirements, Verified};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::audit::{KEYS, NOTE};
use crate::harness::Target;

/// An export without a filter, which ends at the checkpoint of [`NOTE`].
const EXPORT: &str = include_str!("../data/v0/team-a.ndjson");

/// The canonical form of a record. An export may spell it in other ways.
fn canonical(record: &str) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_str(record).ok()?;
    serde_json_canonicalizer::to_vec(&value).ok()
}

/// The records of an export in its order.
fn records(export: &str) -> Vec<Vec<u8>> {
    let record = |line| match serde_json::from_str(line) {
        Ok(Line::Record(record)) => canonical(record.get()),
        _ => None,
    };
    export.lines().filter_map(record).collect()
}

/// Verifies an export, given the checkpoint that was published. `None` if it is not intact.
fn verify(export: &str) -> Option<(Header, Verified)> {
    let notes = vec![("the published checkpoint".to_owned(), NOTE.to_owned())];
    let mut reader = Reader::new(TrustedKeys::parse(KEYS), notes);
    for line in export.lines() {
        if let Err(error) = reader.read_line(line) {
            assert!(error.to_string().len() < 4_096, "{error}");
            return None;
        }
    }
    let header = reader.header().cloned();
    let verified = reader.finish().ok()?;
    let assessment = verified.assess(Requirements { signing_delay: Some(Duration::ZERO) });
    let is_intact = assessment.findings.is_empty() && assessment.unverified.is_empty();
    is_intact.then(|| (header.expect("the export has a header"), verified))
}

/// Checks that an intact export has only signed records, and all of them unless it states a filter.
fn check(export: &str, header: &Header, verified: &Verified) {
    let signed = records(EXPORT);
    let found = records(export);
    assert_eq!(verified.size, signed.len() as u64, "the end is missing");
    assert_eq!(verified.records, found.len() as u64);
    let mut rest = signed.iter();
    for record in &found {
        let text = String::from_utf8_lossy(record);
        assert!(rest.any(|one| one == record), "nobody signed this, or not in this order: {text}");
    }
    assert_eq!(verified.first, 0, "the records before were never dropped");
    if !header.has_filter() {
        assert_eq!(found, signed, "without a filter nothing may be missing");
    }
}

#[test]
fn exports_with_arbitrary_edits() {
    let target = Target { share: 2, ..Target::new("export", 16, 64 * 1024) };
    target.fuzz(
        |input| {
            let export = String::from_utf8_lossy(input).into_owned();
            let verified = verify(&export);
            (export, verified)
        },
        |_, (export, verified)| {
            if let Some((header, verified)) = verified {
                check(&export, &header, &verified);
            }
        },
    );
}

#[test]
fn the_unchanged_export_is_intact() {
    let (header, verified) = verify(EXPORT).expect("it was written by the server");
    assert_eq!((verified.signed, verified.omitted), (verified.size, 0));
    check(EXPORT, &header, &verified);
}

/// What a forger does to an export.
#[derive(Clone, Debug)]
enum Forgery {
    /// Removes a checkpoint.
    RemoveCheckpoint(Index),
    /// Replaces records by a gap with their hashes.
    Omit(Index, Index),
    /// Removes the first records and states that the retention dropped them.
    Drop(Index),
    /// Removes the last records and states their number as that of the log.
    Truncate(Index),
    /// States a filter, which permits gaps.
    Filter(Value),
    /// Replaces the value of a member of a record.
    Edit {
        record: Index,
        member: Index,
        value: Value,
    },
    /// Writes a record in another spelling, which is allowed.
    Respell(Index),
    Swap(Index, Index),
    Repeat(Index),
    Remove(Index),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let index = any::<Index>;
    let filters = vec![
        json!({"outcome": "Denied"}),
        json!({"actor": "alice"}),
        json!({"since": "2020-01-01T00:00:00Z"}),
        json!({"text": ""}),
        json!({"open": false}),
        json!({"unknown": 1}),
    ];
    let values =
        vec![json!("alice"), json!("Allowed"), json!(0), json!(null), json!({}), json!("DropRecords")];
    let edit = (index(), index(), prop::sample::select(values));
    prop_oneof![
        index().prop_map(Forgery::RemoveCheckpoint),
        (index(), index()).prop_map(|(from, to)| Forgery::Omit(from, to)),
        index().prop_map(Forgery::Drop),
        index().prop_map(Forgery::Truncate),
        prop::sample::select(filters).prop_map(Forgery::Filter),
        edit.prop_map(|(record, member, value)| Forgery::Edit { record, member, value }),
        index().prop_map(Forgery::Respell),
        (index(), index()).prop_map(|(one, other)| Forgery::Swap(one, other)),
        index().prop_map(Forgery::Repeat),
        index().prop_map(Forgery::Remove),
    ]
}

/// An export in parts.
struct Forged {
    header: Value,
    checkpoints: Vec<Value>,
    /// Records as they are written, and gaps.
    body: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Record(String),
    Gap(Range),
}

impl Forged {
    fn of(export: &str) -> Self {
        let mut forged = Self { header: Value::Null, checkpoints: Vec::new(), body: Vec::new() };
        for line in export.lines() {
            match serde_json::from_str(line).unwrap() {
                Line::Export(_) => forged.header = serde_json::from_str(line).unwrap(),
                Line::Checkpoint(_) => forged.checkpoints.push(serde_json::from_str(line).unwrap()),
                Line::Record(record) => forged.body.push(Part::Record(record.get().to_owned())),
                Line::Gap(gap) => forged.body.push(Part::Gap(gap)),
                Line::End(_) => {}
            }
        }
        forged
    }

    fn apply(&mut self, forgery: &Forgery, leaves: &[Hash]) {
        let count = self.body.len();
        let range = |from: usize, to: usize| {
            let mut range = Range::empty(from as u64);
            leaves[from..to].iter().for_each(|leaf| range.push(*leaf, |_, _| {}));
            range
        };
        match forgery {
            Forgery::RemoveCheckpoint(index) if !self.checkpoints.is_empty() => {
                self.checkpoints.remove(index.index(self.checkpoints.len()));
            }
            // The positions are those of the records while nothing else was removed.
            Forgery::Omit(from, to) if count == leaves.len() => {
                let (from, to) = (from.index(count), to.index(count));
                let (from, to) = (from.min(to), from.max(to) + 1);
                self.body.splice(from..to, [Part::Gap(range(from, to))]);
            }
            Forgery::Drop(index) if count == leaves.len() => {
                let first = index.index(count + 1);
                self.body.drain(..first);
                self.header["export"]["dropped"] = serde_json::to_value(range(0, first)).unwrap();
            }
            Forgery::Truncate(index) => {
                let size = index.index(count + 1);
                self.body.truncate(size);
                self.header["export"]["size"] = json!(size);
            }
            Forgery::Filter(filter) => self.header["export"]["filter"] = filter.clone(),
            Forgery::Edit { record, member, value } if count > 0 => {
                if let Part::Record(text) = record.get_mut(&mut self.body) {
                    let mut object: Value = serde_json::from_str(text).unwrap();
                    let members = object.as_object_mut().unwrap();
                    let name = member.get(&members.keys().cloned().collect::<Vec<_>>()).clone();
                    members.insert(name, value.clone());
                    *text = object.to_string();
                }
            }
            Forgery::Respell(index) if count > 0 => {
                if let Part::Record(text) = index.get_mut(&mut self.body) {
                    *text = text.replace(":\"a", " :\t\"\\u0061").replacen('{', "{ ", 1);
                }
            }
            Forgery::Swap(one, other) if count > 0 => self.body.swap(one.index(count), other.index(count)),
            Forgery::Repeat(index) if count > 0 => {
                let part = index.get(&self.body).clone();
                self.body.insert(index.index(count), part);
            }
            Forgery::Remove(index) if count > 0 => drop(self.body.remove(index.index(count))),
            _ => {}
        }
    }

    fn render(&self) -> String {
        let mut lines = vec![self.header.to_string()];
        lines.extend(self.checkpoints.iter().map(Value::to_string));
        lines.extend(self.body.iter().map(|part| match part {
            Part::Record(record) => format!("{{\"record\":{record}}}"),
            Part::Gap(gap) => json!({ "gap": gap }).to_string(),
        }));
        let records = self.body.iter().filter(|part| matches!(part, Part::Record(_))).count();
        lines.push(json!({"end": {"records": records}}).to_string());
        lines.join("\n")
    }
}

#[test]
fn exports_of_a_forger() {
    let leaves: Vec<Hash> = records(EXPORT).iter().map(|record| Hash::leaf(record)).collect();
    let forgeries = prop::collection::vec(forgery(), 1..4);
    let result = Target::new("export", 16, 64 * 1024).runner().run(&forgeries, |forgeries| {
        let mut forged = Forged::of(EXPORT);
        forgeries.iter().for_each(|forgery| forged.apply(forgery, &leaves));
        let export = forged.render();
        if let Some((header, verified)) = verify(&export) {
            check(&export, &header, &verified);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
