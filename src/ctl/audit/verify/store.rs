//! Verifies the logs in a database.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};

use super::super::progress_line::ProgressLine;
use super::report::{LocatedFinding, LogReport, position};
use super::trust::Trust;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{Finding, Requirements};
use crate::store::{Audit, Store, StoreUrl};

/// Maximum number of checkpoints of a log that are compared, the newest first.
const MAX_CHECKPOINTS: usize = 10_000;

/// Number of checkpoints that are read at once: only the verified values are kept in memory.
const PAGE_SIZE: usize = 500;

/// Opens an existing database.
pub(super) fn open(url: &StoreUrl) -> anyhow::Result<Store> {
    if let StoreUrl::Sqlite(file) = url
        && !Path::new(file).is_file()
    {
        bail!("there is no database {}", file.display());
    }
    Store::open(url).with_context(|| format!("opening {url}"))
}

/// The logs in the database, and those that a checkpoint names: their heads may have been changed or deleted.
pub(super) async fn logs(audit: &Audit, trust: &Trust) -> anyhow::Result<BTreeSet<LogName>> {
    const LISTING: &str = "listing the logs";
    let stored = audit.list_logs().await.context(LISTING)?;
    let signed = audit.list_signed_logs().await.context(LISTING)?;
    Ok(stored.into_iter().chain(signed).chain(trust.logs()).collect())
}

/// Verifies a log.
pub(super) async fn verify(
    audit: &Audit,
    log: &LogName,
    installation: &str,
    trust: &Trust,
    requirements: Requirements,
) -> anyhow::Result<LogReport> {
    const READING: &str = "reading the log";
    let (mut trusted, mut untrusted) = trust.checkpoints(installation, log, trust.notes(log));
    let (mut before, mut count) = (None, 0);
    while count < MAX_CHECKPOINTS {
        let page = audit.list_checkpoints_before(log, before, PAGE_SIZE).await.context(READING)?;
        let Some(last) = page.last() else { break };
        (before, count) = (Some(last.size), count + page.len());
        let notes =
            page.into_iter().map(|one| (format!("the store's checkpoint of {} records", one.size), one.note));
        let (more, others) = trust.checkpoints(installation, log, notes);
        trusted.checkpoints.extend(more.checkpoints);
        untrusted.extend(others);
    }
    let mut progress = ProgressLine::start();
    let print = |read, size| progress.print(&format_args!("{log}: {read} of {size} records"));
    let verdict = audit.verify(log, &trusted, print).await.context(READING)?;
    progress.finish();
    Ok(match verdict {
        Ok(verified) => {
            let assessment = verified.assess(requirements);
            LogReport::of_verified(verified, assessment, untrusted, None)
        }
        Err(found) => {
            let mut found = LocatedFinding::new(found.finding, &found.body);
            if found.record.is_none() {
                found.record = find_record(audit, log, &found.finding).await;
            }
            LogReport::of_finding(log.clone(), found, untrusted)
        }
    })
}

/// Reads the record that a finding is about.
async fn find_record(audit: &Audit, log: &LogName, finding: &Finding) -> Option<serde_json::Value> {
    let seq = position(finding)?;
    let rows = audit.read_rows(log, seq, 1).await.ok()?;
    rows.first().filter(|row| row.seq == seq).and_then(|row| serde_json::from_slice(&row.body).ok())
}
