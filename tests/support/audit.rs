//! The audit log of an operator, read from its database.

use std::path::Path;

use eventcenter::domain::audit::{Filter, LogName, Record};
use eventcenter::store::{Audit, Store, StoreUrl};
use sqlx::{Connection, Executor, SqliteConnection};

use super::until;

/// The audit logs in a database.
pub(crate) struct AuditLogs {
    audit: Audit,
}

impl AuditLogs {
    /// The embedded database of an operator with this data folder.
    pub(crate) fn in_folder(data: &Path) -> Self {
        Self::at(&StoreUrl::Sqlite(data.join("eventcenter.db")))
    }

    /// A database.
    pub(crate) fn at(url: &StoreUrl) -> Self {
        Self { audit: Store::open(url).expect("a database").audit() }
    }

    /// The records of a log that match a filter, the oldest first.
    pub(crate) async fn read(&self, log: &LogName, filter: &Filter) -> Vec<Record> {
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let page =
                self.audit.list_backward(log, filter, before, 500).await.expect("the database answers");
            all.extend(page.records.into_iter().map(|stored| stored.record));
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// Waits until the predicate holds for the records of a log that match a filter.
    pub(crate) async fn wait(
        &self,
        log: &LogName,
        filter: &Filter,
        predicate: impl Fn(&[Record]) -> bool,
    ) -> Vec<Record> {
        let polled = until(async || match self.read(log, filter).await {
            records if predicate(&records) => Ok(records),
            records => Err(format!("{records:#?}")),
        });
        polled.await.unwrap_or_else(|last| panic!("the log {log} has only {last}"))
    }
}

/// Whether there is a record with this outcome, action and target: `Succeeded Lead Lease eventcenter-controllers`.
pub(crate) fn has_record(records: &[Record], text: &str) -> bool {
    records.iter().any(|record| {
        let target = record.target.as_ref().map(|target| format!("{} {}", target.kind, target.name));
        format!("{} {} {}", record.outcome, record.action, target.unwrap_or_default()) == text
    })
}

/// The embedded database of an operator while another process holds a write transaction open.
pub(crate) struct LockedDatabase(SqliteConnection);

impl LockedDatabase {
    /// Begins the write transaction.
    pub(crate) async fn lock(data: &Path) -> Self {
        let url = format!("sqlite:{}", data.join("eventcenter.db").display());
        let mut connection = SqliteConnection::connect(&url).await.expect("a database");
        connection.execute("PRAGMA busy_timeout = 30000").await.expect("the timeout is set");
        connection.execute("BEGIN EXCLUSIVE").await.expect("other transactions are short");
        Self(connection)
    }

    /// Rolls the transaction back.
    pub(crate) async fn unlock(mut self) {
        self.0.execute("ROLLBACK").await.expect("the transaction is open");
        self.0.close().await.expect("the connection closes");
    }
}
