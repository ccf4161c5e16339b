//! Verifies the logs in a database.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};

use super::super::progress_line::ProgressLine;
use super::report::{LocatedFinding, LogReport, position};
use super::trust::Trust;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Finding;
use crate::store::{Audit, Store, StoreUrl};

/// Maximum number of checkpoints of a log that are compared, the newest first.
const MAX_CHECKPOINTS: usize = 10_000;

/// Opens an existing database.
pub(super) fn open(url: &StoreUrl) -> anyhow::Result<Store> {
    if let StoreUrl::Sqlite(file) = url
        && !Path::new(file).is_file()
    {
        bail!("there is no database {}", file.display());
    }
    Store::open(url).with_context(|| format!("opening {url}"))
}

/// The logs in the database, and those that a checkpoint names.
pub(super) async fn logs(audit: &Audit, trust: &Trust) -> anyhow::Result<BTreeSet<LogName>> {
    let stored = audit.list_logs().await.context("listing the logs")?;
    Ok(stored.into_iter().chain(trust.logs()).collect())
}

/// Verifies a log.
pub(super) async fn verify(
    audit: &Audit,
    log: &LogName,
    installation: &str,
    trust: &Trust,
) -> anyhow::Result<LogReport> {
    const READING: &str = "reading the log";
    let stored = audit.list_checkpoints(log, MAX_CHECKPOINTS).await.context(READING)?;
    let notes =
        stored.into_iter().map(|one| (format!("the store's checkpoint of {} records", one.size), one.note));
    let (trusted, untrusted) = trust.checkpoints(installation, log, notes);
    let mut progress = ProgressLine::start();
    let print = |read, size| progress.print(&format_args!("{log}: {read} of {size} records"));
    let verdict = audit.verify(log, &trusted, print).await.context(READING)?;
    progress.finish();
    Ok(match verdict {
        Ok(verified) => LogReport::new(log.clone(), Some(verified), Vec::new(), untrusted),
        Err(found) => {
            let mut found = LocatedFinding::new(found.finding, &found.body);
            if found.record.is_none() {
                found.record = find_record(audit, log, &found.finding).await;
            }
            LogReport::new(log.clone(), None, vec![found], untrusted)
        }
    })
}

/// Reads the record that a finding is about.
async fn find_record(audit: &Audit, log: &LogName, finding: &Finding) -> Option<serde_json::Value> {
    let seq = position(finding)?;
    let rows = audit.read_rows(log, seq, 1).await.ok()?;
    rows.first().filter(|row| row.seq == seq).and_then(|row| serde_json::from_slice(&row.body).ok())
}
