//! What is found in a log after somebody had their hands on it, printed.
//!
//! `content` is about what records say, `order` about where they stand and how many there are, `dropped` about the retention,
//! `export` about what left the house, `checkpoint` about witnesses, `hostile` about what only breaks programs.

mod checkpoint;
mod content;
mod dropped;
mod export;
mod hostile;
mod order;

use expect_test::{Expect, expect};

use super::*;
use crate::domain::audit::testing::{
    self, INSTALLATION, Log, SIGNED, SIZE, key, log_name, record, told, trusted,
};
use eventcenter_sdk::rest::audit::Outcome;

/// What somebody did to a log.
type Tamper<'a> = &'a dyn Fn(&mut Log);

/// Does each of these to a log of its own and verifies that in four ways: by the rows alone; with the nodes and the size that
/// are kept; with checkpoints that were signed before as well; and as an export, which has nothing but records and checkpoints.
#[track_caller]
fn check(cases: &[(&str, Tamper<'_>)], expected: Expect) {
    let print = |(what, tamper): &(&str, Tamper<'_>)| {
        let mut log = Log::whole();
        tamper(&mut log);
        format!("{what}{}\n", print(&log))
    };
    expected.assert_eq(&cases.iter().map(print).collect::<String>());
}

/// What is found: once if all ways find the same, and else below each other.
fn print(log: &Log) -> String {
    let all = [
        ("rows", told(log.verify_rows())),
        ("kept", told(log.verify(&[]))),
        ("signed", told(log.verify(&*SIGNED))),
        ("export", told(export(log, &*SIGNED))),
    ];
    let groups: Vec<_> = all.chunk_by(|(_, one), (_, other)| one == other).collect();
    let line = |group: &&[(&str, String)]| {
        let ways: Vec<&str> = group.iter().map(|(way, _)| *way).collect();
        format!("\n    {}: {}", ways.join(", "), group[0].1)
    };
    match groups[..] {
        [[(_, told), ..]] => format!(": {told}"),
        _ => groups.iter().map(line).collect(),
    }
}

/// As an export: records in their order, without what is kept beside them.
fn export(log: &Log, witnesses: &[(Checkpoint, &str)]) -> Result<Verified, Finding> {
    let checkpoints = witnesses.iter().map(|(checkpoint, name)| (checkpoint.clone(), (*name).to_owned()));
    let witnesses = Witnesses { checkpoints: checkpoints.collect() };
    let mut verifier = Verifier::new(log_name(), log.dropped.clone(), log.chain, witnesses);
    for row in &log.rows {
        verifier.row(&Row { kept: None, ..row.clone() })?;
    }
    verifier.end(Some(log.noted))
}
