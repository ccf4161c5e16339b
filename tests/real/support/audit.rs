//! The audit log of an operator, read behind its back.

use std::path::Path;

use eventcenter::domain::audit::{Filter, LogName, Record};
use eventcenter::store::{Audit, Store, StoreUrl};
use sqlx::{Connection, Executor, SqliteConnection};

use super::until;

/// The logs in a database.
pub(crate) struct Logs {
    audit: Audit,
}

impl Logs {
    /// Those of an operator with this folder for its data, and no other database.
    pub(crate) fn of(data: &Path) -> Self {
        Self::at(&StoreUrl::Sqlite(data.join("eventcenter.db")))
    }

    /// Those in a database.
    pub(crate) fn at(url: &StoreUrl) -> Self {
        Self { audit: Store::open(url).expect("a database").audit() }
    }

    /// The records of a log that a filter lets through, the oldest first.
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

    /// Waits until the records of a log that a filter lets through are as wanted.
    pub(crate) async fn wait(
        &self,
        log: &LogName,
        filter: &Filter,
        is_so: impl Fn(&[Record]) -> bool,
    ) -> Vec<Record> {
        let looked = until(async || match self.read(log, filter).await {
            records if is_so(&records) => Ok(records),
            records => Err(format!("{records:#?}")),
        });
        looked.await.unwrap_or_else(|seen| panic!("the log {log} has only {seen}"))
    }
}

/// The embedded database of an operator while somebody else writes into it, and does not end.
pub(crate) struct Held(SqliteConnection);

impl Held {
    /// Begins to write into it.
    pub(crate) async fn begin(data: &Path) -> Self {
        let url = format!("sqlite:{}", data.join("eventcenter.db").display());
        let mut connection = SqliteConnection::connect(&url).await.expect("a database");
        connection.execute("PRAGMA busy_timeout = 30000").await.expect("it can wait");
        connection.execute("BEGIN EXCLUSIVE").await.expect("nobody else writes for long");
        Self(connection)
    }

    /// Ends, without having written anything.
    pub(crate) async fn end(mut self) {
        self.0.execute("ROLLBACK").await.expect("it is held");
        self.0.close().await.expect("it is closed");
    }
}
