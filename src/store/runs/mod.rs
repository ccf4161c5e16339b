//! The run log and the work queue of ScheduledTasks.
//!
//! A run is a row of `task_run` from its plan until the controllers have reported its end, and then of `task_run_history`. The first
//! table is small and changes often; the second one is large, and its rows never change. An id exists once in both.
//!
//! Functions with slices take batches: one transaction with a few statements, however many rows there are. Times are arguments, but
//! claims expire by the clock of the database.
//!
//! Deliberately absent: when a task is due, which run may start, and what follows from its result ([`crate::domain::task`]).

mod attempt;
mod claim;
mod event_position;
mod id;
mod job_end;
mod list;
mod observed;
mod outbox;
mod plan;
mod query;
mod release;
mod report;
mod retention;
mod row;
mod signal;
mod statement;
mod transaction;
mod transition;

use std::sync::Arc;

pub use claim::{Claim, ClaimedRun, Renewal};
pub use event_position::{EventPosition, PositionMove, PositionTopic};
pub use job_end::{EarlierAttempt, JobEnd};
pub use list::RunPage;
pub use observed::{ObservedEnd, ObservedRun};
pub use outbox::{NewRunEvent, RunEvent};
pub use plan::{Cursor, CursorMove, Planned};
pub use query::{RunCursor, RunFilter};
pub use report::{Statistics, UnreportedRun};
pub use retention::{ExpiringPage, ExpiryCursor};
pub(super) use signal::Signals;
pub use signal::{Signal, Subscription};
pub use transition::{Advance, CancelOutcome, FinishedAttempt, JobStart, Then, UnstartedEnd};

use super::database::Database;

/// The runs of all tasks.
#[derive(Clone, Debug)]
pub struct Runs {
    database: Database,
    signals: Arc<Signals>,
}

impl Runs {
    pub(super) fn new(database: Database, signals: Arc<Signals>) -> Self {
        Self { database, signals }
    }

    /// Subscribes to a signal, also of other processes with the same PostgreSQL. Signals may be lost while a connection is
    /// interrupted, so whoever waits for one also polls.
    #[must_use]
    pub fn subscribe(&self, signal: Signal) -> Subscription {
        self.signals.subscribe(signal)
    }
}
