//! Stores the events about runs, which `job_events` publishes.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::super::context::Context;
use crate::domain::task::{JobEvent, Run};
use crate::store;
use crate::store::runs::{NewRunEvent, UnreportedRun};

/// Starts are looked for at most this often, because each time reads the running runs.
const STARTS_INTERVAL: Duration = Duration::from_millis(250);

/// Number of starts that are read at once.
const PAGE: usize = 500;

/// Stores the events about runs if they are published.
pub(super) struct RunEvents<'c> {
    context: &'c Context,
    stored: &'c Notify,
    next_starts: Instant,
}

impl<'c> RunEvents<'c> {
    /// `stored` is notified after events were stored.
    pub(super) fn new(context: &'c Context, stored: &'c Notify) -> Self {
        Self { context, stored, next_starts: Instant::now() }
    }

    fn is_enabled(&self) -> bool {
        self.context.options.task_events.is_some()
    }

    /// Stores the events of runs that have started.
    pub(super) async fn announce_starts(&mut self) -> Result<(), store::Error> {
        if !self.is_enabled() || Instant::now() < self.next_starts {
            return Ok(());
        }
        self.next_starts = Instant::now() + STARTS_INTERVAL;
        let runs = &self.context.runs;
        loop {
            let started = runs.list_unannounced_starts(PAGE).await?;
            let events: Vec<NewRunEvent> =
                started.iter().filter_map(|run| new_event(JobEvent::of_start(run), run)).collect();
            let ids: Vec<_> = started.iter().map(|run| run.id).collect();
            runs.mark_start_announced(&ids, &events).await?;
            self.notify(&events);
            if started.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// The events of runs that have ended, with those of their starts if these were too short to be seen.
    pub(super) fn of_ends(&self, ended: &[UnreportedRun]) -> Vec<NewRunEvent> {
        if !self.is_enabled() {
            return Vec::new();
        }
        let events = ended.iter().flat_map(|UnreportedRun { run, start_announced }| {
            let start = JobEvent::of_start(run).filter(|_| !start_announced);
            [new_event(start, run), new_event(JobEvent::of_end(run), run)]
        });
        events.flatten().collect()
    }

    /// Wakes the publisher.
    pub(super) fn notify(&self, events: &[NewRunEvent]) {
        if !events.is_empty() {
            self.stored.notify_one();
        }
    }
}

fn new_event(event: Option<JobEvent>, run: &Run) -> Option<NewRunEvent> {
    match event?.envelope(run) {
        Ok(envelope) => Some(NewRunEvent { run: run.id, event: envelope.into_cloudevent_json().to_string() }),
        Err(error) => {
            tracing::warn!(run = %run.id, %error, "no event is published about a run");
            None
        }
    }
}
