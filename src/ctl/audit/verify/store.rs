//! Verifies the logs of a database.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};

use super::super::export::Progress;
use super::report::{Conclusion, Located, seq};
use super::trust::Trust;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::Finding;
use crate::store::{Audit, Store, StoreUrl};

/// Maximum number of checkpoints of a log to compare; the newest are used.
const MAX_CHECKPOINTS: usize = 10_000;

/// Opens an existing database; never creates one.
pub(super) fn open(url: &StoreUrl) -> anyhow::Result<Store> {
    if let StoreUrl::Sqlite(file) = url
        && !Path::new(file).is_file()
    {
        bail!("there is no database {}", file.display());
    }
    Store::open(url).with_context(|| format!("opening {url}"))
}

/// The logs in the database, and those with a trusted checkpoint.
pub(super) async fn list_logs(audit: &Audit, trust: &Trust) -> anyhow::Result<BTreeSet<LogName>> {
    let stored = audit.list_logs().await.context("listing the logs")?;
    Ok(stored.into_iter().chain(trust.logs()).collect())
}

/// Verifies a log.
pub(super) async fn verify(
    audit: &Audit,
    log: &LogName,
    installation: &str,
    trust: &Trust,
) -> anyhow::Result<Conclusion> {
    const READING: &str = "reading the log";
    let stored = audit.list_checkpoints(log, MAX_CHECKPOINTS).await.context(READING)?;
    let stored =
        stored.into_iter().map(|one| (format!("the store's checkpoint of {} records", one.size), one.note));
    let (trusted, untrusted) = trust.checkpoints(installation, log, stored);
    let mut progress = Progress::start();
    let show_progress = |read, size| progress.show(&format_args!("{log}: {read} of {size} records"));
    let verdict = audit.verify(log, &trusted, show_progress).await.context(READING)?;
    progress.finish();
    Ok(match verdict {
        Ok(verified) => Conclusion::new(log.clone(), Some(verified), Vec::new(), untrusted),
        Err(tampered) => {
            let mut located = Located::at(tampered.finding, &tampered.body);
            if located.record.is_none() {
                located.record = read_record(audit, log, &located.finding).await;
            }
            Conclusion::new(log.clone(), None, vec![located], untrusted)
        }
    })
}

/// Reads the record that a finding is about.
async fn read_record(audit: &Audit, log: &LogName, finding: &Finding) -> Option<serde_json::Value> {
    let number = seq(finding)?;
    let rows = audit.read_rows(log, number, 1).await.ok()?;
    rows.first().filter(|row| row.seq == number).and_then(|row| serde_json::from_slice(&row.body).ok())
}
