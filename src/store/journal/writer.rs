//! The one who writes.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Policy, RECORDING, Unrecorded, Written};
use crate::domain::audit::LogName;
use crate::store::audit::append::{Entry, append};
use crate::store::spool::Spool;
use crate::store::{Error, Metrics, Store};

/// Records and bytes of one transaction.
const GROUP: usize = 1024;
const GROUP_BYTES: usize = 4 << 20;
/// Records that are kept beside the queue.
const PENDING: usize = 1024;

/// How long a record that may wait in the spool waits for the database at most, and not longer than half of its patience.
const UNTIL_SPOOLED: Duration = Duration::from_millis(500);
/// How often it is looked, while something takes long, at who has waited long enough.
const TICK: Duration = Duration::from_millis(50);
/// Pauses between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));
/// How often it is told that the database is still away.
const COMPLAINT: Duration = Duration::from_secs(30);

/// A record that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    entry: Arc<Entry>,
    component: &'static str,
    spools: bool,
    since: Instant,
    deadline: Instant,
    answer: Option<oneshot::Sender<Result<Written, Unrecorded>>>,
    /// It is in the spool, or given up: whoever waited for it has been told.
    is_settled: bool,
    /// It was in a transaction before, and may have been written.
    is_repeated: bool,
    /// Why its log cannot be written, and when that is tried again.
    refused: Option<(String, Instant)>,
}

impl Waiting {
    pub(super) fn new(
        entry: Arc<Entry>,
        component: &'static str,
        spools: bool,
        since: Instant,
        deadline: Instant,
        answer: Option<oneshot::Sender<Result<Written, Unrecorded>>>,
    ) -> Self {
        Self {
            entry,
            component,
            spools,
            since,
            deadline,
            answer,
            is_settled: false,
            is_repeated: false,
            refused: None,
        }
    }

    fn settle(&mut self, written: Result<Written, Unrecorded>) {
        self.is_settled = true;
        if let Some(answer) = self.answer.take() {
            // Whoever asked may have gone.
            let _ = answer.send(written);
        }
    }
}

/// What has not worked.
#[derive(Debug)]
struct Trouble {
    error: String,
    pause: Duration,
    next_try: Instant,
    complained: Instant,
}

/// How much is written in one transaction. What a database refuses is found by trying less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    All,
    /// For so many groups.
    OneLog(usize),
    /// For so many groups.
    OneRecord(usize),
}

#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    queue: mpsc::Receiver<Waiting>,
    pending: VecDeque<Waiting>,
    spool: Option<Spool>,
    policy: Policy,
    patience: Duration,
    metrics: Metrics,
    /// Who indexes logs of which a segment has become complete.
    completed: mpsc::Sender<LogName>,
    trouble: Option<Trouble>,
    width: Width,
    /// When the spool is tried again, one of whose logs cannot be written.
    spool_refused: Option<Instant>,
    /// When it was told that a log cannot be written.
    refusal_told: Option<Instant>,
    /// Records that were lost since that was told, and when it was.
    lost: (u64, Option<Instant>),
}

impl Writer {
    pub(super) fn new(
        store: Store,
        queue: mpsc::Receiver<Waiting>,
        spool: Option<Spool>,
        policy: Policy,
        patience: Duration,
        metrics: Metrics,
        completed: mpsc::Sender<LogName>,
    ) -> Self {
        Self {
            store,
            queue,
            pending: VecDeque::new(),
            spool,
            policy,
            patience,
            metrics,
            completed,
            trouble: None,
            width: Width::All,
            spool_refused: None,
            refusal_told: None,
            lost: (0, None),
        }
    }

    /// Writes until it is told to stop; then what has been handed in.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut last_moment: Option<Instant> = None;
        loop {
            if last_moment.is_none() && stop.is_cancelled() {
                self.queue.close();
                last_moment = Some(Instant::now() + self.patience);
            }
            if last_moment.is_some_and(|moment| moment <= Instant::now()) {
                return self.give_up_all();
            }
            // Those who were answered a moment ago hand in their next records first: groups become larger.
            tokio::task::yield_now().await;
            while self.pending.len() < PENDING
                && let Ok(waiting) = self.queue.try_recv()
            {
                self.pending.push_back(waiting);
            }
            self.show();
            let now = Instant::now();
            match &self.trouble {
                Some(trouble)
                    if trouble.next_try > now && (last_moment.is_none() || !self.pending.is_empty()) =>
                {
                    let next = trouble.next_try.min(now + TICK);
                    self.wait(next, &stop, last_moment.is_some()).await;
                    self.relieve(&mut []).await;
                }
                _ if self.pending.is_empty() && last_moment.is_some() => {
                    if self.queue.is_empty() {
                        return self.show();
                    }
                }
                _ if self.pending.is_empty() && !self.is_draining() => {
                    // Nothing to do: until the next record comes, or the end.
                    self.wait(now + COMPLAINT, &stop, last_moment.is_some()).await;
                }
                _ => {
                    if self.drain().await {
                        self.write().await;
                    }
                }
            }
        }
    }

    /// Until a time, or a record comes, or the end.
    async fn wait(&mut self, until: Instant, stop: &CancellationToken, is_stopping: bool) {
        let has_room = self.pending.len() < PENDING;
        tokio::select! {
            waiting = self.queue.recv(), if has_room && !self.queue.is_closed() => self.pending.extend(waiting),
            () = stop.cancelled(), if !is_stopping => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn is_draining(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    fn show(&self) {
        let spooled = self.spool.as_ref().map_or(0, Spool::size);
        self.metrics.show(self.pending.len() + self.queue.len(), spooled);
    }

    /// Writes the next records of the spool; says whether the database takes more.
    async fn drain(&mut self) -> bool {
        let Some(spool) = self.spool.as_mut().filter(|spool| !spool.is_empty()) else { return true };
        if self.spool_refused.is_some_and(|until| until > Instant::now()) {
            return true;
        }
        self.spool_refused = None;
        let chunk = match spool.next(GROUP, GROUP_BYTES as u64).await {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(error = error.chain(), "the spool cannot be read; its records stay there");
                self.spool = None;
                return true;
            }
        };
        self.metrics.count("spool", "lost", chunk.unreadable);
        let entries: Vec<Arc<Entry>> = chunk.entries.into_iter().map(Arc::new).collect();
        // Any of them may be there: a process may have been killed between writing and emptying.
        match self.commit(entries.clone(), true, &mut []).await {
            Ok(()) => {}
            Err(error @ Error::Away { .. }) => {
                self.failed(&error);
                return false;
            }
            Err(error) if error.is_about_a_record() && self.commit_each(entries).await => {}
            Err(error) => {
                // One log has to be put right before the spool goes on; what waits beside it does not wait for that.
                tracing::error!(error = error.chain(), "the spool cannot be written to the audit log");
                self.spool_refused = Some(Instant::now() + COMPLAINT);
                return true;
            }
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.done(chunk.bytes).await
        {
            tracing::error!(
                error = error.chain(),
                "the spool cannot be emptied; its records are known by their ids"
            );
        }
        true
    }

    /// Writes records of the spool one by one, because the database refuses one of them; says whether the others are written.
    async fn commit_each(&mut self, entries: Vec<Arc<Entry>>) -> bool {
        for entry in entries {
            let id = entry.id();
            match self.commit(vec![entry], true, &mut []).await {
                Ok(()) => {}
                Err(error) if error.is_about_a_record() => {
                    tracing::error!(error = error.chain(), %id, "a record of the spool is lost: the database refuses it");
                    self.metrics.count("spool", "lost", 1);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes the next group of those who wait.
    async fn write(&mut self) {
        let mut group = self.group();
        if group.is_empty() {
            // All of them have to wait: until the spool is empty, or their log can be written.
            if !self.is_draining() || self.spool_refused.is_some() {
                tokio::time::sleep(TICK).await;
            }
            return self.relieve(&mut group).await;
        }
        let entries = group.iter().map(|waiting| Arc::clone(&waiting.entry)).collect();
        let is_repeated = group.iter().any(|waiting| waiting.is_repeated);
        let written = self.commit(entries, is_repeated, &mut group).await;
        self.width = match self.width {
            Width::OneLog(groups) if groups > 1 => Width::OneLog(groups - 1),
            Width::OneRecord(groups) if groups > 1 => Width::OneRecord(groups - 1),
            _ => Width::All,
        };
        match written {
            Ok(()) => {
                for mut waiting in group {
                    if !waiting.is_settled {
                        self.metrics.count(waiting.component, "written", 1);
                        let id = waiting.entry.id();
                        waiting.settle(Ok(Written::Durable(id)));
                    }
                }
            }
            Err(error) => self.put_back(group, &error),
        }
    }

    /// The next records. Those that may wait in the spool follow on what is there.
    fn group(&mut self) -> Vec<Waiting> {
        let (is_draining, now) = (self.is_draining(), Instant::now());
        let most = if matches!(self.width, Width::OneRecord(_)) { 1 } else { GROUP };
        let mut log = None;
        let mut bytes = 0;
        let mut group = Vec::new();
        let mut others = VecDeque::new();
        for waiting in self.pending.drain(..) {
            let is_next = group.len() < most
                && bytes < GROUP_BYTES
                && !(is_draining && waiting.spools)
                && waiting.refused.as_ref().is_none_or(|(_, until)| *until <= now)
                && (self.width == Width::All || log.as_ref().is_none_or(|log| log == waiting.entry.log()));
            if !is_next {
                others.push_back(waiting);
                continue;
            }
            bytes += waiting.entry.size();
            log.get_or_insert_with(|| waiting.entry.log().clone());
            group.push(waiting);
        }
        self.pending = others;
        group
    }

    /// One transaction. While it lasts, records go on arriving, and those that have waited too long are told.
    async fn commit(
        &mut self,
        entries: Vec<Arc<Entry>>,
        is_repeated: bool,
        group: &mut [Waiting],
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let records = entries.len();
        let database = self.store.database.clone();
        let mut writing = pin!(Box::pin(async move {
            let entries: Vec<&Entry> = entries.iter().map(Arc::as_ref).collect();
            append(&database, &entries, is_repeated).await
        }));
        let mut tick = tokio::time::interval_at(begun + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let written = loop {
            let has_room = self.pending.len() < PENDING && !self.queue.is_closed();
            tokio::select! {
                biased;
                written = &mut writing => break written,
                waiting = self.queue.recv(), if has_room => self.pending.extend(waiting),
                _ = tick.tick() => self.relieve(group).await,
            }
        };
        let completed = written?;
        self.metrics.committed(records, begun.elapsed());
        self.metrics.answers(true);
        if self.trouble.take().is_some() {
            tracing::info!("the audit log is written again");
        }
        // If too many wait already, they are found later.
        completed.into_iter().for_each(|log| drop(self.completed.try_send(log)));
        Ok(())
    }

    /// A group was not written, or nobody knows: it is tried again.
    fn put_back(&mut self, mut group: Vec<Waiting>, error: &Error) {
        group.retain(|waiting| !waiting.is_settled);
        group.iter_mut().for_each(|waiting| waiting.is_repeated = true);
        let Some(first) = group.first() else { return };
        let is_of_one_log = group.iter().all(|waiting| waiting.entry.log() == first.entry.log());
        if matches!(error, Error::Away { .. }) {
            self.failed(error);
        } else if !is_of_one_log {
            self.width = Width::OneLog(group.len());
        } else if error.is_about_a_record() && group.len() > 1 {
            self.width = Width::OneRecord(group.len());
        } else if error.is_about_a_record() {
            group.iter_mut().for_each(|waiting| self.give_up(waiting, error.chain()));
            return;
        } else {
            return self.set_aside(group, error);
        }
        group.into_iter().rev().for_each(|waiting| self.pending.push_front(waiting));
    }

    /// One log cannot be written: the others go on.
    fn set_aside(&mut self, mut group: Vec<Waiting>, error: &Error) {
        let (now, text) = (Instant::now(), error.chain());
        if self.refusal_told.is_none_or(|told| now.duration_since(told) > COMPLAINT) {
            let log = group.first().map_or("", |waiting| waiting.entry.log().as_str());
            tracing::error!(error = text, log, "a log cannot be written");
            self.refusal_told = Some(now);
        }
        group.iter_mut().for_each(|waiting| waiting.refused = Some((text.clone(), now + PAUSES.1)));
        self.pending.extend(group);
    }

    fn failed(&mut self, error: &Error) {
        self.metrics.answers(false);
        let now = Instant::now();
        let text = error.chain();
        let trouble = self.trouble.get_or_insert_with(|| {
            tracing::warn!(error = text, "the audit log cannot be written; trying again");
            Trouble { error: String::new(), pause: PAUSES.0, next_try: now, complained: now }
        });
        if now.duration_since(trouble.complained) > COMPLAINT {
            tracing::warn!(error = text, "the audit log still cannot be written");
            trouble.complained = now;
        }
        trouble.error = text;
        trouble.next_try = now + trouble.pause;
        trouble.pause = (trouble.pause * 2).min(PAUSES.1);
    }

    /// Those who have waited long enough: what may wait in the spool goes there, and whoever has no patience left is told.
    async fn relieve(&mut self, group: &mut [Waiting]) {
        let now = Instant::now();
        // It is known to be away: there is nothing to wait for.
        let longest =
            if self.trouble.is_some() { Duration::ZERO } else { UNTIL_SPOOLED.min(self.patience / 2) };
        if let Some(spool) = &mut self.spool {
            let mut room = spool.room();
            let has_waited = |waiting: &&mut Waiting| {
                waiting.spools && !waiting.is_settled && waiting.since + longest <= now
            };
            let fits = |waiting: &&mut Waiting| {
                // The place and the end of the line.
                let left = room.checked_sub(waiting.entry.size() as u64 + 2);
                room = left.unwrap_or(0);
                left.is_some()
            };
            let all = group.iter_mut().chain(self.pending.iter_mut());
            let waiting: Vec<&mut Waiting> = all.filter(has_waited).take_while(fits).collect();
            let lines = waiting.iter().map(|waiting| waiting.entry.line()).collect();
            let kept = spool.keep(lines).await.unwrap_or_else(|error| {
                tracing::error!(error = error.chain(), "the spool cannot be written");
                0
            });
            for waiting in waiting.into_iter().take(kept) {
                self.metrics.count(waiting.component, "spooled", 1);
                let id = waiting.entry.id();
                waiting.settle(Ok(Written::Spooled(id)));
            }
        }
        let mut pending = std::mem::take(&mut self.pending);
        for waiting in group.iter_mut().chain(pending.iter_mut()) {
            if !waiting.is_settled && waiting.deadline <= now {
                let trouble = self.trouble.as_ref().map(|trouble| &trouble.error);
                let why = waiting.refused.as_ref().map(|(why, _)| why).or(trouble);
                let why = why.map_or("it takes too long", String::as_str).to_owned();
                self.give_up(waiting, why);
            }
        }
        pending.retain(|waiting| !waiting.is_settled);
        self.pending = pending;
        self.show();
    }

    fn give_up(&mut self, waiting: &mut Waiting, why: String) {
        let is_refused = self.policy == Policy::Required && waiting.answer.is_some();
        self.metrics.count(waiting.component, if is_refused { "refused" } else { "lost" }, 1);
        if is_refused {
            return waiting.settle(Err(Unrecorded(Error::away(RECORDING, why))));
        }
        self.lost.0 += 1;
        let now = Instant::now();
        if self.lost.1.is_none_or(|told| now.duration_since(told) > COMPLAINT) {
            tracing::error!(records = self.lost.0, component = waiting.component, why, "records are lost");
            self.lost = (0, Some(now));
        }
        waiting.settle(Ok(Written::Lost));
    }

    /// The end, and not all is written.
    fn give_up_all(&mut self) {
        let mut left = std::mem::take(&mut self.pending);
        while let Ok(waiting) = self.queue.try_recv() {
            left.push_back(waiting);
        }
        if !left.is_empty() {
            tracing::error!(records = left.len(), "records were not written before the end");
        }
        for mut waiting in left {
            self.give_up(&mut waiting, "the journal has been closed".to_owned());
        }
        self.show();
    }
}
