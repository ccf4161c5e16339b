//! Opens, monitors and closes the database with the audit log.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::clock;
use super::config::{AuditPolicy, Config};
use super::health::Health;
use crate::store::{Journal, Metrics, Options, Policy, Store};

/// Interval between health checks of the database.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of one health check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Delay before the first migration is repeated.
const MIGRATION_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How much longer than the audit timeout the journal may take to close.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The database and the journal that writes into it.
pub(super) struct Audit {
    pub(super) store: Store,
    pub(super) journal: Journal,
    metrics: Metrics,
    stop: CancellationToken,
    writing: JoinHandle<()>,
    timeout: Duration,
}

impl Audit {
    /// Opens both. An unavailable database is no error: the operator waits for it.
    pub(super) fn open(config: &Config, instance: &str, registry: &mut Registry) -> anyhow::Result<Self> {
        let settings = &config.audit;
        let folder = &settings.data_dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("creating the folder {} (--data-dir)", folder.display()))?;
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
            .with_context(|| format!("starting the audit log in {} (--data-dir)", folder.display()))?;
        let writing = tokio::spawn(writing);
        Ok(Self { store, journal, metrics, stop, writing, timeout: settings.audit_timeout })
    }

    /// Migrates the database and checks its health until closed.
    pub(super) fn monitor(&self, health: Health) {
        let (store, metrics, stop) = (self.store.clone(), self.metrics.clone(), self.stop.clone());
        let work = async move {
            let attempted = Notify::new();
            let prepare = async {
                let mut result = Box::pin(store.migrate()).await;
                if result.is_err() {
                    // The journal opens its own connection at the same time, which locks an embedded database.
                    sleep(MIGRATION_RETRY_DELAY).await;
                    result = Box::pin(store.migrate()).await;
                }
                attempted.notify_one();
                match result {
                    Ok(()) => tracing::info!("the database is ready"),
                    // The retry logs the error.
                    Err(_) => store.migrate_with_retry().await,
                }
            };
            let watch = async {
                // A first start has no tables before the migration. A slow migration may hang, so the checks start anyway.
                drop(timeout(PING_INTERVAL, attempted.notified()).await);
                check_health(&store, &metrics, &health).await;
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

    /// Writes the queued records and closes the database.
    pub(super) async fn close(self) {
        self.stop.cancel();
        match timeout(self.timeout + CLOSE_GRACE, self.writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the audit log's writer failed"),
            Err(_) => tracing::warn!("could not write the last records in time"),
        }
        if timeout(CLOSE_GRACE, self.store.close()).await.is_err() {
            tracing::warn!("could not close the database in time");
        }
    }
}

async fn check_health(store: &Store, metrics: &Metrics, health: &Health) {
    let mut ticks = interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        ticks.tick().await;
        let result = store.ping(PING_TIMEOUT).await;
        let answers = result.is_ok();
        health.set_store(answers);
        match result {
            // The writer reports whether writes succeed.
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
