//! Prints the findings of tampered logs.
//!
//! `content` changes records, `order` moves, adds and removes them, `dropped` is about the retention, `export` about exports,
//! `checkpoint` about signatures, `assessment` about logs without a finding, `end` about the times and ends that a database
//! states, `hostile` about input that crashes programs.

mod assessment;
mod checkpoint;
mod content;
mod dropped;
mod end;
mod export;
mod hostile;
mod order;

use expect_test::{Expect, expect};

use super::*;
use crate::domain::audit::checkpoint::Checkpoint;
use crate::domain::audit::drop::DroppedRecords;
use crate::domain::audit::testing::{
    self, INSTALLATION, Log, SIGNED, SIZE, describe, key, log_name, record, trusted,
};
use eventcenter_sdk::merkle::{Hash, Node, Range};
use eventcenter_sdk::rest::audit::{LogName, Outcome};

/// Tampers with a log.
type Tamper<'a> = &'a dyn Fn(&mut Log);

/// Tampers with a log and verifies it in four ways: only its rows; with the stored nodes and the recorded size; with checkpoints
/// as well; and as an export, which has only records and checkpoints.
#[track_caller]
fn check(cases: &[(&str, Tamper<'_>)], expected: Expect) {
    let print = |(what, tamper): &(&str, Tamper<'_>)| {
        let mut log = Log::whole();
        tamper(&mut log);
        format!("{what}{}\n", print(&log))
    };
    expected.assert_eq(&cases.iter().map(print).collect::<String>());
}

/// The findings: one line if all ways find the same, else a line for each.
fn print(log: &Log) -> String {
    let all = [
        ("rows", describe(log.verify_rows())),
        ("stored", describe(log.verify(&[]))),
        ("signed", describe(log.verify(&*SIGNED))),
        ("export", describe(export(log, &*SIGNED))),
    ];
    let groups: Vec<_> = all.chunk_by(|(_, one), (_, other)| one == other).collect();
    let line = |group: &&[(&str, String)]| {
        let ways: Vec<&str> = group.iter().map(|(way, _)| *way).collect();
        format!("\n    {}: {}", ways.join(", "), group[0].1)
    };
    match groups[..] {
        [[(_, described), ..]] => format!(": {described}"),
        _ => groups.iter().map(line).collect(),
    }
}

/// Verifies an export: the records in their order, without stored values.
fn export(log: &Log, checkpoints: &[(Checkpoint, &str)]) -> Result<Verified, Finding> {
    let checkpoints = checkpoints.iter().map(|(checkpoint, name)| (checkpoint.clone(), (*name).to_owned()));
    let checkpoints = TrustedCheckpoints { checkpoints: checkpoints.collect() };
    let mut verifier = Verifier::new(log_name(), log.dropped.clone(), log.chain, checkpoints);
    for row in &log.rows {
        verifier.verify_row(&Row { stored: None, ..row.clone() })?;
    }
    verifier.finish(Some(log.recorded_size))
}
