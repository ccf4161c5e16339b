//! Verifying a database: one task reads, another compares.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::sync::mpsc;

use super::super::export::Progress;
use super::report::{Conclusion, Found};
use super::witness::Trust;
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Node};
use crate::domain::audit::verify::{Finding, Posting, Row, SEGMENT, Verified, Verifier};
use crate::store::{Audit, Head, Store, StoreUrl};

/// How many rows are read at a time: whole nodes of those that are kept.
const PAGE: usize = 16 * 256;

/// How many pages may wait to be compared.
const AHEAD: usize = 4;

/// How many checkpoints of a log are compared at most, the newest of them.
const CHECKPOINTS: usize = 10_000;

/// Some rows, with the nodes that end among them, and the index of the segments that do.
struct Part {
    rows: Vec<Row>,
    nodes: Vec<(Node, Hash)>,
    index: Vec<(u64, Vec<Posting>)>,
}

/// Opens a database that is there: nothing is made.
pub(super) fn open(url: &StoreUrl) -> anyhow::Result<Store> {
    if let StoreUrl::Sqlite(file) = url
        && !Path::new(file).is_file()
    {
        bail!("there is no database {}", file.display());
    }
    Store::open(url).with_context(|| format!("opening {url}"))
}

/// The logs that are there, and those of which somebody says that they were.
pub(super) async fn logs(audit: &Audit, trust: &Trust) -> anyhow::Result<BTreeSet<LogName>> {
    let there = audit.logs().await.context("listing the logs")?;
    Ok(there.into_iter().chain(trust.logs()).collect())
}

/// Verifies a log.
pub(super) async fn verify(
    audit: &Audit,
    log: &LogName,
    installation: &str,
    trust: &Trust,
) -> anyhow::Result<Conclusion> {
    const READING: &str = "reading the log";
    let head = audit.head(log).await.context(READING)?;
    let dropped = audit.range(log, 0, head.first).await.context(READING)?;
    let chain = audit.chain_before(log).await.context(READING)?;
    let kept = audit.checkpoints(log, CHECKPOINTS).await.context(READING)?;
    let kept =
        kept.into_iter().map(|one| (format!("the store's checkpoint of {} records", one.size), one.note));
    let (witnesses, forged) = trust.witnesses(installation, log, kept);
    let verifier = Verifier::new(log.clone(), dropped, chain, witnesses);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let comparing = tokio::task::spawn_blocking(move || compare(verifier, receiver));
    let noted = read(audit, log, &head, sender).await?;
    let mut found = match comparing.await.context("comparing")? {
        Ok(verifier) => {
            match verifier.end(Some(noted.size)).and_then(|verified| verified.noted(&noted.range)) {
                Ok(verified) => return Ok(Conclusion::new(log.clone(), Some(verified), Vec::new(), forged)),
                Err(finding) => Found { finding, record: None },
            }
        }
        Err(found) => *found,
    };
    if let Finding::Missing { from, .. } = found.finding
        && audit.head(log).await.context(READING)?.first > from
    {
        bail!("old records of {log} were dropped by the retention while it was read: verify it again");
    }
    if found.record.is_none() {
        found.record = beside(audit, log, &found.finding).await;
    }
    Ok(Conclusion::new(log.clone(), None::<Verified>, vec![found], forged))
}

/// Reads all rows, and says where the log ends by what the database notes. Records that are written meanwhile are read as
/// well, so that the note and the rows are of one moment.
async fn read(audit: &Audit, log: &LogName, head: &Head, parts: mpsc::Sender<Part>) -> anyhow::Result<Head> {
    const READING: &str = "reading the log";
    let (mut from, mut noted) = (head.first, head.clone());
    let indexed = audit.indexed(log).await.context(READING)? / SEGMENT;
    let mut progress = Progress::start();
    loop {
        let rows = audit.rows(log, from, PAGE).await.context(READING)?;
        let Some(last) = rows.last() else {
            let before = std::mem::replace(&mut noted, audit.head(log).await.context(READING)?);
            if noted.size <= from || noted.size == before.size {
                break;
            }
            continue;
        };
        let next = last.seq.saturating_add(1);
        let nodes = audit.nodes(log, from, next).await.context(READING)?;
        let segments = (from / SEGMENT).min(indexed)..(next / SEGMENT).min(indexed);
        let index = audit.postings(log, segments).await.context(READING)?;
        from = next;
        progress.tell(&format_args!("{log}: {from} of {} records", noted.size));
        if parts.send(Part { rows, nodes, index }).await.is_err() {
            // Something was found, and nothing can be said of what follows.
            break;
        }
    }
    progress.end();
    Ok(noted)
}

/// Compares what is read. A node, or the index of a segment, is compared as soon as its last record is known.
fn compare(mut verifier: Verifier, mut parts: mpsc::Receiver<Part>) -> Result<Verifier, Box<Found>> {
    while let Some(Part { rows, mut nodes, index }) = parts.blocking_recv() {
        let mut index = index.into_iter().peekable();
        let end = |node: &Node| (u128::from(node.index) + 1) << node.level;
        nodes.sort_by_key(|(node, _)| (end(node), node.level));
        let mut nodes = nodes.into_iter().peekable();
        for row in rows {
            let found = verifier.row(&row).and_then(|()| {
                while let Some((node, hash)) = nodes.next_if(|(node, _)| end(node) <= u128::from(row.seq) + 1)
                {
                    verifier.node(node, &hash)?;
                }
                while let Some((from, kept)) = index.next_if(|(from, _)| from + SEGMENT == row.seq + 1) {
                    verifier.index(from, &kept)?;
                }
                Ok(())
            });
            if let Err(finding) = found {
                return Err(Box::new(Found::at(finding, &row.body)));
            }
        }
    }
    Ok(verifier)
}

/// The record that a finding is about, if it is not the one that was read last.
async fn beside(audit: &Audit, log: &LogName, finding: &Finding) -> Option<serde_json::Value> {
    let seq = super::report::place(finding)?;
    let rows = audit.rows(log, seq, 1).await.ok()?;
    rows.first().filter(|row| row.seq == seq).and_then(|row| serde_json::from_slice(&row.body).ok())
}
