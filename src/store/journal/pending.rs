//! A record on its way to the database.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::outcome::{RecordError, WriteOutcome};
use crate::store::audit::append::Entry;

/// A record that waits to be written.
#[derive(Debug)]
pub(super) struct PendingRecord {
    pub(super) entry: Arc<Entry>,
    pub(super) component: &'static str,
    pub(super) may_spool: bool,
    pub(super) enqueued_at: Instant,
    pub(super) deadline: Instant,
    answer: Option<oneshot::Sender<Result<WriteOutcome, RecordError>>>,
    /// The outcome is known: the record is written, in the spool, or given up.
    pub(super) is_settled: bool,
    /// The record was in a failed transaction, which may have been committed.
    pub(super) is_retry: bool,
    /// The error that blocks its log, and the time of the next attempt.
    pub(super) blocked: Option<(String, Instant)>,
}

impl PendingRecord {
    pub(super) fn new(
        entry: Arc<Entry>,
        component: &'static str,
        may_spool: bool,
        enqueued_at: Instant,
        deadline: Instant,
        answer: Option<oneshot::Sender<Result<WriteOutcome, RecordError>>>,
    ) -> Self {
        Self {
            entry,
            component,
            may_spool,
            enqueued_at,
            deadline,
            answer,
            is_settled: false,
            is_retry: false,
            blocked: None,
        }
    }

    /// Whether a caller waits for the outcome.
    pub(super) fn is_awaited(&self) -> bool {
        self.answer.is_some()
    }

    /// Sends the outcome to the caller.
    pub(super) fn settle(&mut self, outcome: Result<WriteOutcome, RecordError>) {
        self.is_settled = true;
        if let Some(answer) = self.answer.take() {
            // The caller may have been dropped.
            let _ = answer.send(outcome);
        }
    }
}
