//! Verifying a database.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};

use super::super::export::Progress;
use super::report::{Conclusion, Found, place};
use super::witness::Trust;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Finding;
use crate::store::{Audit, Store, StoreUrl};

/// How many checkpoints of a log are compared at most, the newest of them.
const CHECKPOINTS: usize = 10_000;

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
    let there = audit.list_logs().await.context("listing the logs")?;
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
    let kept = audit.list_checkpoints(log, CHECKPOINTS).await.context(READING)?;
    let kept =
        kept.into_iter().map(|one| (format!("the store's checkpoint of {} records", one.size), one.note));
    let (witnesses, forged) = trust.witnesses(installation, log, kept);
    let mut progress = Progress::start();
    let told = |read, size| progress.tell(&format_args!("{log}: {read} of {size} records"));
    let verdict = audit.verify(log, &witnesses, told).await.context(READING)?;
    progress.end();
    Ok(match verdict {
        Ok(verified) => Conclusion::new(log.clone(), Some(verified), Vec::new(), forged),
        Err(found) => {
            let mut found = Found::at(found.finding, &found.body);
            if found.record.is_none() {
                found.record = beside(audit, log, &found.finding).await;
            }
            Conclusion::new(log.clone(), None, vec![found], forged)
        }
    })
}

/// The record that a finding is about, if it is not the one that was read last.
async fn beside(audit: &Audit, log: &LogName, finding: &Finding) -> Option<serde_json::Value> {
    let seq = place(finding)?;
    let rows = audit.read_rows(log, seq, 1).await.ok()?;
    rows.first().filter(|row| row.seq == seq).and_then(|row| serde_json::from_slice(&row.body).ok())
}
