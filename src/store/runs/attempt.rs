//! Inserts ended attempts.

use serde::Serialize;
use uuid::Uuid;

use super::statement::{Statement, batch};
use super::transaction::Transaction;
use crate::store::Error;

const INSERT: Statement = batch!(
    [run uuid, number int, started_at int, ended_at int, state text, exit_code int, http_status int, message text, items int,
     errors int, executed_by text, log_tail text]
    "INSERT INTO task_attempt (run, number, started_at, ended_at, state, exit_code, http_status, message, items, errors, \
     executed_by, log_tail) SELECT run, number, started_at, ended_at, state, exit_code, http_status, message, items, errors, \
     COALESCE(executed_by, (SELECT task_run.executed_by FROM task_run WHERE task_run.id = batch.run)), log_tail FROM batch \
     WHERE true ON CONFLICT (run, number) DO NOTHING RETURNING run"
);

/// An ended attempt in a batch.
#[derive(Debug, Serialize)]
pub(super) struct EndedRow<'a> {
    pub(super) run: String,
    pub(super) number: i64,
    pub(super) started_at: i64,
    pub(super) ended_at: i64,
    pub(super) state: &'static str,
    pub(super) exit_code: Option<i32>,
    pub(super) http_status: Option<u16>,
    pub(super) message: Option<&'a str>,
    pub(super) items: Option<i64>,
    pub(super) errors: Option<i64>,
    /// `None` for who executes the run.
    pub(super) executed_by: Option<&'a str>,
    pub(super) log_tail: Option<&'a str>,
}

/// Inserts attempts. The runs have been changed in the same transaction, so that each attempt ends once.
pub(super) async fn insert(transaction: &mut Transaction, rows: &[EndedRow<'_>]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let _: Vec<(Uuid,)> = transaction.fetch_batch(INSERT, rows).await?;
    Ok(())
}
