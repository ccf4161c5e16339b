//! The task that writes records to the database, and to the spool while the database is unavailable.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::outcome::{Policy, RECORDING, RecordError, WriteOutcome};
use super::pending::PendingRecord;
use crate::domain::audit::LogName;
use crate::store::audit::append::{Attempt, Entry, append};
use crate::store::spool::Spool;
use crate::store::{Error, Metrics, Store};

/// Maximum size of a transaction.
const MAX_BATCH_RECORDS: usize = 1024;
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Maximum number of records that wait here in addition to the queue.
const MAX_PENDING_RECORDS: usize = 1024;

/// Maximum time that records wait for one that a caller waits for, to share its transaction.
const LINGER: Duration = Duration::from_millis(10);
/// Maximum time that a record waits for the database before it goes into the spool; at most half of its timeout.
const SPOOL_AFTER: Duration = Duration::from_millis(500);
/// Interval of the check for expired records during a slow operation.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Delay between two attempts; it doubles after each.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(25);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Minimum time between two log lines about the same problem.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The database is unavailable.
#[derive(Debug)]
struct Outage {
    error: String,
    retry_delay: Duration,
    next_attempt: Instant,
    logged_at: Instant,
}

/// The records that share a transaction. After a rejection smaller batches isolate the rejected record, for a number of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BatchScope {
    AllLogs,
    OneLog(usize),
    OneRecord(usize),
}

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    queue: mpsc::Receiver<PendingRecord>,
    pending: VecDeque<PendingRecord>,
    spool: Option<Spool>,
    policy: Policy,
    timeout: Duration,
    metrics: Metrics,
    /// Receives the logs with a complete segment, to be indexed.
    completed: mpsc::Sender<LogName>,
    outage: Option<Outage>,
    scope: BatchScope,
    /// A log in the spool cannot be written; the spool is retried then.
    spool_blocked_until: Option<Instant>,
    /// The time of the last log line about a log that cannot be written.
    rejection_logged_at: Option<Instant>,
    /// The number of lost records since the last log line about them, and its time.
    lost: (u64, Option<Instant>),
}

impl Writer {
    pub(super) fn new(
        store: Store,
        queue: mpsc::Receiver<PendingRecord>,
        spool: Option<Spool>,
        policy: Policy,
        timeout: Duration,
        metrics: Metrics,
        completed: mpsc::Sender<LogName>,
    ) -> Self {
        Self {
            store,
            queue,
            pending: VecDeque::new(),
            spool,
            policy,
            timeout,
            metrics,
            completed,
            outage: None,
            scope: BatchScope::AllLogs,
            spool_blocked_until: None,
            rejection_logged_at: None,
            lost: (0, None),
        }
    }

    /// Writes records until stopped, and then the remaining ones within the timeout.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut stop_deadline: Option<Instant> = None;
        loop {
            if stop_deadline.is_none() && stop.is_cancelled() {
                self.queue.close();
                stop_deadline = Some(Instant::now() + self.timeout);
            }
            if stop_deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.abandon_all();
            }
            // Callers that just got an answer enqueue their next records first, which makes batches larger.
            tokio::task::yield_now().await;
            while self.pending.len() < MAX_PENDING_RECORDS
                && let Ok(record) = self.queue.try_recv()
            {
                self.pending.push_back(record);
            }
            self.update_backlog();
            let now = Instant::now();
            match &self.outage {
                Some(outage)
                    if outage.next_attempt > now && (stop_deadline.is_none() || !self.pending.is_empty()) =>
                {
                    let next = outage.next_attempt.min(now + POLL_INTERVAL);
                    self.wait(next, &stop, stop_deadline.is_some()).await;
                    self.expire(&mut []).await;
                }
                _ if self.pending.is_empty() && stop_deadline.is_some() => {
                    if self.queue.is_empty() {
                        return self.update_backlog();
                    }
                }
                _ if self.pending.is_empty() && !self.has_spooled() => {
                    self.wait(now + LOG_INTERVAL, &stop, stop_deadline.is_some()).await;
                }
                _ if stop_deadline.is_none()
                    && let Some(until) = self.linger_until().filter(|until| *until > now) =>
                {
                    self.wait(until, &stop, false).await;
                }
                _ => {
                    if self.drain_spool().await {
                        self.write_batch().await;
                    }
                }
            }
        }
    }

    /// Waits until a time, the next record, or the cancellation.
    async fn wait(&mut self, until: Instant, stop: &CancellationToken, is_stopping: bool) {
        let has_room = self.pending.len() < MAX_PENDING_RECORDS;
        tokio::select! {
            record = self.queue.recv(), if has_room && !self.queue.is_closed() => self.pending.extend(record),
            () = stop.cancelled(), if !is_stopping => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// When to write records that no caller waits for; `None` if a caller waits for one, or they fill a transaction.
    fn linger_until(&self) -> Option<Instant> {
        let is_urgent = |record: &PendingRecord| record.is_awaited() || record.is_retry;
        if self.pending.len() >= MAX_PENDING_RECORDS || self.pending.iter().any(is_urgent) {
            return None;
        }
        self.pending.front().map(|oldest| oldest.enqueued_at + LINGER)
    }

    fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    fn update_backlog(&self) {
        let spooled = self.spool.as_ref().map_or(0, Spool::size);
        self.metrics.set_backlog(self.pending.len() + self.queue.len(), spooled);
    }

    /// Writes the next records of the spool. Returns whether the database is available.
    async fn drain_spool(&mut self) -> bool {
        let Some(spool) = self.spool.as_mut().filter(|spool| !spool.is_empty()) else { return true };
        if self.spool_blocked_until.is_some_and(|until| until > Instant::now()) {
            return true;
        }
        self.spool_blocked_until = None;
        let batch = match spool.read(MAX_BATCH_RECORDS, MAX_BATCH_BYTES as u64).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(error = error.chain(), "reading the spool failed; its records remain there");
                self.spool = None;
                return true;
            }
        };
        self.metrics.count("spool", "lost", batch.malformed);
        let entries: Vec<Arc<Entry>> = batch.entries.into_iter().map(Arc::new).collect();
        // They may be in the database: a process may have been killed before it truncated the spool.
        match self.commit(entries.clone(), Attempt::Retry, &mut []).await {
            Ok(()) => {}
            Err(error @ Error::Unavailable { .. }) => {
                self.begin_outage(&error);
                return false;
            }
            Err(error) if error.rejects_record() && self.commit_each(entries).await => {}
            Err(error) => {
                // A log has to be repaired before the spool continues. Other records do not wait for that.
                tracing::error!(error = error.chain(), "writing the spool to the audit log failed");
                self.spool_blocked_until = Some(Instant::now() + LOG_INTERVAL);
                return true;
            }
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.remove(batch.bytes).await
        {
            tracing::error!(
                error = error.chain(),
                "truncating the spool failed; its records are in the database and will be skipped"
            );
        }
        true
    }

    /// Writes records of the spool one by one after the database rejected one of them. Returns whether all others are written.
    async fn commit_each(&mut self, entries: Vec<Arc<Entry>>) -> bool {
        for entry in entries {
            let id = entry.id();
            match self.commit(vec![entry], Attempt::Retry, &mut []).await {
                Ok(()) => {}
                Err(error) if error.rejects_record() => {
                    tracing::error!(error = error.chain(), %id, "lost a record of the spool: the database rejects it");
                    self.metrics.count("spool", "lost", 1);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes the next batch of pending records.
    async fn write_batch(&mut self) {
        let mut batch = self.next_batch();
        if batch.is_empty() {
            // All records wait for the spool to be written, or for their log to be unblocked.
            if !self.has_spooled() || self.spool_blocked_until.is_some() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            return self.expire(&mut batch).await;
        }
        let entries = batch.iter().map(|record| Arc::clone(&record.entry)).collect();
        let attempt =
            if batch.iter().any(|record| record.is_retry) { Attempt::Retry } else { Attempt::First };
        let result = self.commit(entries, attempt, &mut batch).await;
        self.scope = match self.scope {
            BatchScope::OneLog(batches) if batches > 1 => BatchScope::OneLog(batches - 1),
            BatchScope::OneRecord(batches) if batches > 1 => BatchScope::OneRecord(batches - 1),
            _ => BatchScope::AllLogs,
        };
        match result {
            Ok(()) => {
                for mut record in batch {
                    if !record.is_settled {
                        self.metrics.count(record.component, "written", 1);
                        let id = record.entry.id();
                        record.settle(Ok(WriteOutcome::Durable(id)));
                    }
                }
            }
            Err(error) => self.requeue(batch, &error),
        }
    }

    /// Takes the next records. Records that may be spooled wait until the spool is empty, to keep their order.
    fn next_batch(&mut self) -> Vec<PendingRecord> {
        let (has_spooled, now) = (self.has_spooled(), Instant::now());
        let max_records = if matches!(self.scope, BatchScope::OneRecord(_)) { 1 } else { MAX_BATCH_RECORDS };
        let mut log = None;
        let mut bytes = 0;
        let mut batch = Vec::new();
        let mut others = VecDeque::new();
        for record in self.pending.drain(..) {
            let is_next = batch.len() < max_records
                && bytes < MAX_BATCH_BYTES
                && !(has_spooled && record.may_spool)
                && record.blocked.as_ref().is_none_or(|(_, until)| *until <= now)
                && (self.scope == BatchScope::AllLogs
                    || log.as_ref().is_none_or(|log| log == record.entry.log()));
            if !is_next {
                others.push_back(record);
                continue;
            }
            bytes += record.entry.size();
            log.get_or_insert_with(|| record.entry.log().clone());
            batch.push(record);
        }
        self.pending = others;
        batch
    }

    /// Runs one transaction. Meanwhile records continue to arrive, and those that waited too long expire.
    async fn commit(
        &mut self,
        entries: Vec<Arc<Entry>>,
        attempt: Attempt,
        batch: &mut [PendingRecord],
    ) -> Result<(), Error> {
        let start = Instant::now();
        let records = entries.len();
        let database = self.store.database.clone();
        let mut transaction = pin!(Box::pin(async move {
            let entries: Vec<&Entry> = entries.iter().map(Arc::as_ref).collect();
            append(&database, &entries, attempt).await
        }));
        let mut poll = tokio::time::interval_at(start + POLL_INTERVAL, POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            let has_room = self.pending.len() < MAX_PENDING_RECORDS && !self.queue.is_closed();
            tokio::select! {
                biased;
                result = &mut transaction => break result,
                record = self.queue.recv(), if has_room => self.pending.extend(record),
                _ = poll.tick() => self.expire(batch).await,
            }
        };
        let completed = result?;
        self.metrics.observe_commit(records, start.elapsed());
        self.metrics.set_up(true);
        if self.outage.take().is_some() {
            tracing::info!("the audit log is available again");
        }
        // If the queue is full, the next sweep finds the log.
        completed.into_iter().for_each(|log| drop(self.completed.try_send(log)));
        Ok(())
    }

    /// Handles a batch that was not written, or may have been.
    fn requeue(&mut self, mut batch: Vec<PendingRecord>, error: &Error) {
        batch.retain(|record| !record.is_settled);
        batch.iter_mut().for_each(|record| record.is_retry = true);
        let Some(first) = batch.first() else { return };
        let has_one_log = batch.iter().all(|record| record.entry.log() == first.entry.log());
        if matches!(error, Error::Unavailable { .. }) {
            self.begin_outage(error);
        } else if !has_one_log {
            self.scope = BatchScope::OneLog(batch.len());
        } else if error.rejects_record() && batch.len() > 1 {
            self.scope = BatchScope::OneRecord(batch.len());
        } else if error.rejects_record() {
            batch.iter_mut().for_each(|record| self.give_up(record, error.chain()));
            return;
        } else {
            return self.block_log(batch, error);
        }
        batch.into_iter().rev().for_each(|record| self.pending.push_front(record));
    }

    /// Delays the records of a log that cannot be written. Other logs continue.
    fn block_log(&mut self, mut batch: Vec<PendingRecord>, error: &Error) {
        let (now, error) = (Instant::now(), error.chain());
        if self.rejection_logged_at.is_none_or(|logged| now.duration_since(logged) > LOG_INTERVAL) {
            let log = batch.first().map_or("", |record| record.entry.log().as_str());
            tracing::error!(error, log, "writing a log failed");
            self.rejection_logged_at = Some(now);
        }
        batch.iter_mut().for_each(|record| record.blocked = Some((error.clone(), now + MAX_RETRY_DELAY)));
        self.pending.extend(batch);
    }

    /// Begins or continues an outage, and schedules the next attempt.
    fn begin_outage(&mut self, error: &Error) {
        self.metrics.set_up(false);
        let now = Instant::now();
        let error = error.chain();
        let outage = self.outage.get_or_insert_with(|| {
            tracing::warn!(error, "the audit log is unavailable; retrying");
            Outage { error: String::new(), retry_delay: MIN_RETRY_DELAY, next_attempt: now, logged_at: now }
        });
        if now.duration_since(outage.logged_at) > LOG_INTERVAL {
            tracing::warn!(error, "the audit log is still unavailable");
            outage.logged_at = now;
        }
        outage.error = error;
        outage.next_attempt = now + outage.retry_delay;
        outage.retry_delay = (outage.retry_delay * 2).min(MAX_RETRY_DELAY);
    }

    /// Spools records that waited long enough, and gives up those past their deadline.
    async fn expire(&mut self, batch: &mut [PendingRecord]) {
        let now = Instant::now();
        // During an outage there is nothing to wait for.
        let spool_after =
            if self.outage.is_some() { Duration::ZERO } else { SPOOL_AFTER.min(self.timeout / 2) };
        if let Some(spool) = &mut self.spool {
            let mut free = spool.free();
            let is_due = |record: &&mut PendingRecord| {
                record.may_spool && !record.is_settled && record.enqueued_at + spool_after <= now
            };
            let fits = |record: &&mut PendingRecord| {
                // The digit of the position and the line break.
                let rest = free.checked_sub(record.entry.size() as u64 + 2);
                free = rest.unwrap_or(0);
                rest.is_some()
            };
            let all = batch.iter_mut().chain(self.pending.iter_mut());
            let due: Vec<&mut PendingRecord> = all.filter(is_due).take_while(fits).collect();
            let lines = due.iter().map(|record| record.entry.to_spool_line()).collect();
            let spooled = spool.append(lines).await.unwrap_or_else(|error| {
                tracing::error!(error = error.chain(), "writing the spool failed");
                0
            });
            for record in due.into_iter().take(spooled) {
                self.metrics.count(record.component, "spooled", 1);
                let id = record.entry.id();
                record.settle(Ok(WriteOutcome::Spooled(id)));
            }
        }
        let mut pending = std::mem::take(&mut self.pending);
        for record in batch.iter_mut().chain(pending.iter_mut()) {
            if !record.is_settled && record.deadline <= now {
                let outage = self.outage.as_ref().map(|outage| &outage.error);
                let error = record.blocked.as_ref().map(|(error, _)| error).or(outage);
                let error = error.map_or("the timeout has expired", String::as_str).to_owned();
                self.give_up(record, error);
            }
        }
        pending.retain(|record| !record.is_settled);
        self.pending = pending;
        self.update_backlog();
    }

    /// Applies the policy to a record that cannot be written.
    fn give_up(&mut self, record: &mut PendingRecord, error: String) {
        let is_refused = self.policy == Policy::Required && record.is_awaited();
        self.metrics.count(record.component, if is_refused { "refused" } else { "lost" }, 1);
        if is_refused {
            return record.settle(Err(RecordError(Error::unavailable(RECORDING, error))));
        }
        self.lost.0 += 1;
        let now = Instant::now();
        if self.lost.1.is_none_or(|logged| now.duration_since(logged) > LOG_INTERVAL) {
            tracing::error!(records = self.lost.0, component = record.component, error, "lost records");
            self.lost = (0, Some(now));
        }
        record.settle(Ok(WriteOutcome::Lost));
    }

    /// Gives up all records when the timeout after the cancellation has expired.
    fn abandon_all(&mut self) {
        let mut remaining = std::mem::take(&mut self.pending);
        while let Ok(record) = self.queue.try_recv() {
            remaining.push_back(record);
        }
        if !remaining.is_empty() {
            tracing::error!(records = remaining.len(), "the journal stops before all records are written");
        }
        for mut record in remaining {
            self.give_up(&mut record, "the journal is closed".to_owned());
        }
        self.update_backlog();
    }
}
