//! Deletes expired runs, and what is stored of tasks that were deleted long ago.
//!
//! A pass proceeds in batches and rests after each, so that it never takes most of a database connection. Every step can be repeated,
//! so a pass continues where an error has interrupted it, and another leader begins a new one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::super::context::Context;
use crate::domain::task::RunId;
use crate::domain::task::retention::{
    Expiry, RunRetention, compare_marks, decide_expiry, forgotten_tasks, pass_interval,
};
use crate::error_chain::ErrorChain;
use crate::store;
use crate::store::runs::ExpiryCursor;

/// Number of runs that are examined at once, and deleted in one transaction.
const BATCH: usize = 500;

/// Number of tasks whose rows are deleted in one transaction.
const TASKS_PER_BATCH: usize = 500;

/// A pass rests this many times as long as a batch took.
const REST: u32 = 3;

/// Delay before a pass continues after an error.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Deletes expired runs until dropped.
pub(super) async fn run(context: &Context) {
    let RunRetention { age: Some(age), keep_last } = context.options.run_retention else { return };
    // Until then every task would count as deleted.
    context.tasks.wait_until_synced().await;
    let mut ticks = interval(pass_interval(age));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = context.services.now();
        let Ok(before) = now.checked_sub(age) else { continue };
        let mut pass = Pass {
            context,
            keep_last,
            now,
            before,
            existing: HashSet::new(),
            deletions: HashMap::new(),
            from: None,
            deleted: 0,
        };
        let begin = Instant::now();
        while let Err(error) = pass.proceed().await {
            tracing::warn!(error = %ErrorChain(&error), "deleting expired runs failed; the pass continues later");
            sleep(RETRY_DELAY).await;
        }
        if pass.deleted > 0 {
            tracing::info!(runs = pass.deleted, %before, took = ?begin.elapsed(), "deleted expired runs");
        }
    }
}

/// One pass over the runs that ended before a time.
struct Pass<'c> {
    context: &'c Context,
    keep_last: u32,
    now: Timestamp,
    before: Timestamp,
    /// The tasks that exist.
    existing: HashSet<Uuid>,
    /// The tasks that are marked as deleted, and since when.
    deletions: HashMap<Uuid, Timestamp>,
    from: Option<ExpiryCursor>,
    /// Number of deleted runs.
    deleted: usize,
}

impl Pass<'_> {
    /// Proceeds to the end.
    async fn proceed(&mut self) -> Result<(), store::Error> {
        self.compare_marks().await?;
        self.delete_runs().await?;
        self.delete_tasks().await
    }

    /// Marks tasks that do not exist any more.
    async fn compare_marks(&mut self) -> Result<(), store::Error> {
        let runs = &self.context.runs;
        self.deletions = runs.load_deletions().await?;
        let stored = runs.list_tasks().await?;
        // Read after the stored tasks: a task has rows only after it was delivered.
        let tasks = self.context.tasks.objects.state();
        self.existing = tasks.iter().filter_map(|task| task.uid().and_then(|uid| uid.parse().ok())).collect();
        let changes = compare_marks(&stored, &self.deletions, |task| self.existing.contains(task));
        runs.unmark_deleted(&changes.unmark).await?;
        self.mark(&changes.mark).await
    }

    async fn mark(&mut self, tasks: &[Uuid]) -> Result<(), store::Error> {
        self.context.runs.mark_deleted(tasks, self.now).await?;
        self.deletions.extend(tasks.iter().map(|task| (*task, self.now)));
        Ok(())
    }

    async fn delete_runs(&mut self) -> Result<(), store::Error> {
        let runs = &self.context.runs;
        loop {
            let begin = Instant::now();
            let page = runs.list_expiring(self.before, self.keep_last, self.from, BATCH).await?;
            let (mut expired, mut gone): (Vec<RunId>, HashSet<Uuid>) = Default::default();
            for run in &page.runs {
                let (exists, deleted_at) =
                    (self.existing.contains(&run.task), self.deletions.get(&run.task).copied());
                match decide_expiry(run, exists, deleted_at, self.before) {
                    Expiry::Delete => expired.push(run.id),
                    Expiry::Keep => {}
                    Expiry::KeepAndMark => drop(gone.insert(run.task)),
                }
            }
            self.mark(&gone.into_iter().collect::<Vec<_>>()).await?;
            let deleted = runs.delete_reported(&expired).await?;
            self.deleted += deleted;
            self.context.task_metrics.count_expired(deleted);
            if page.next.is_none() {
                return Ok(());
            }
            self.from = page.next;
            sleep(begin.elapsed() * REST).await;
        }
    }

    /// Deletes cursors and statistics of tasks whose last run has expired.
    async fn delete_tasks(&self) -> Result<(), store::Error> {
        let exists = |task: &Uuid| self.existing.contains(task);
        for tasks in forgotten_tasks(&self.deletions, exists, self.before).chunks(TASKS_PER_BATCH) {
            let begin = Instant::now();
            self.context.runs.delete_tasks(tasks).await?;
            sleep(begin.elapsed() * REST).await;
        }
        Ok(())
    }
}
