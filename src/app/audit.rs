//! The database and the audit log in it, for as long as the process runs.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{AuditPolicy, Config};
use super::http::Health;
use crate::store::{Journal, Metrics, Options, Policy, Store};

/// How often it is looked whether the database answers, and how long that may take.
const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// How much longer than its own patience the journal may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// The database, and what writes into it.
pub(super) struct Audit {
    pub(super) store: Store,
    pub(super) journal: Journal,
    metrics: Metrics,
    stop: CancellationToken,
    writing: JoinHandle<()>,
    patience: Duration,
}

impl Audit {
    /// Opens both. That the database is away is no error: it is waited for.
    pub(super) fn open(config: &Config, instance: &str, registry: &mut Registry) -> anyhow::Result<Self> {
        let settings = &config.audit;
        let folder = &settings.data_dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("making the folder {} (--data-dir)", folder.display()))?;
        let url = settings.store()?;
        let store = Store::open(&url).with_context(|| format!("opening the database {url} (--store)"))?;
        let metrics = Metrics::register(registry);
        let options = Options {
            policy: match settings.audit_policy {
                AuditPolicy::Required => Policy::Required,
                AuditPolicy::BestEffort => Policy::BestEffort,
            },
            timeout: settings.audit_timeout,
            instance: instance.to_owned(),
            spool: Some((settings.spool(), settings.audit_spool_size)),
        };
        let stop = CancellationToken::new();
        let (journal, writing) = Journal::start(store.clone(), options, metrics.clone(), clock, stop.clone())
            .with_context(|| format!("beginning the audit log in {} (--data-dir)", folder.display()))?;
        let writing = tokio::spawn(writing);
        Ok(Self { store, journal, metrics, stop, writing, patience: settings.audit_timeout })
    }

    /// Brings the tables up to date and goes on looking whether the database answers, until this is closed.
    pub(super) fn look_after(&self, health: Health) {
        let (store, metrics, stop) = (self.store.clone(), self.metrics.clone(), self.stop.clone());
        let work = async move {
            let tried = Notify::new();
            let prepare = async {
                let first = Box::pin(store.migrate()).await;
                tried.notify_one();
                match first {
                    Ok(()) => tracing::info!("the database is ready"),
                    // It tells what is wrong, and goes on.
                    Err(_) => store.migrate_with_retry().await,
                }
            };
            let watch = async {
                // At the first start of all there are no tables before. One that takes longer may hang, which is to be told.
                drop(timeout(LOOK, tried.notified()).await);
                look(&store, &metrics, &health).await;
            };
            tokio::join!(prepare, watch);
        };
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Writes what was handed in, and lets the database go.
    pub(super) async fn close(self) {
        self.stop.cancel();
        match timeout(self.patience + GRACE, self.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the task that writes the audit log"),
            Err(_) => tracing::warn!("the last records could not be written in time"),
        }
        if timeout(GRACE, self.store.close()).await.is_err() {
            tracing::warn!("the database did not let go in time");
        }
    }
}

async fn look(store: &Store, metrics: &Metrics, health: &Health) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        ticks.tick().await;
        let seen = store.ping(PATIENCE).await;
        let answers = seen.is_ok();
        health.set_store(answers);
        match seen {
            // Whether it can be written as well is noted by whoever writes.
            Ok(()) if before == Some(false) => {
                metrics.set_up(true);
                tracing::info!("the database answers again");
            }
            Err(error) if before != Some(false) => {
                metrics.set_up(false);
                tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
            }
            _ => {}
        }
        before = Some(answers);
    }
}
