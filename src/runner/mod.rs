//! The role `runner`: executes the HTTP calls and the events of ScheduledTasks, without pods. Many replicas share the work.
//!
//! A runner claims due runs in the database (`Claimer`), executes them concurrently
//! (`Execution`), renews its claims while they run (`Renewer`) and stores their results
//! (`Reporter`). `Claims` bounds all of it. After a crash another runner takes its runs over
//! and repeats them with the same `Idempotency-Key`.
//!
//! Deliberately absent: when a run is due, which run may start, what follows from its end (the controllers), and what a run does
//! ([`crate::domain::task`]).

mod call;
mod claimer;
mod claims;
mod credentials;
mod execution;
mod metrics;
mod options;
mod platform;
mod producers;
mod publication;
mod renewer;
mod reporter;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use metrics::Metrics;
pub use options::Options;

use crate::callback::CallbackClient;
use crate::error_chain::ErrorChain;
use crate::kafka;
use crate::kubernetes::KubeClient;
use crate::store::{Runs, Signal};
use call::Caller;
use claimer::Claimer;
use claims::{Claims, Stop};
use credentials::Credentials;
use execution::Execution;
use platform::Platform;
use producers::Producers;
use publication::Publisher;
use renewer::Renewer;
use reporter::Reporter;

/// How long giving up claims may take when the runner stops.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The services that a runner uses.
#[derive(Debug)]
pub struct Services {
    /// Kubernetes.
    pub kubernetes: KubeClient,
    /// The runs.
    pub runs: Runs,
    /// Sends HTTP requests.
    pub callbacks: CallbackClient,
    /// The metrics of requests to Kafka.
    pub kafka: kafka::Metrics,
}

/// Runs until `stop` is cancelled: then no run is claimed, running attempts may end within the grace time, and the others are left to
/// other runners. `ready` is called once the resources are listed and the database has answered.
pub async fn run(
    services: Services,
    options: Options,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
    ready: impl FnOnce(),
) {
    let Services { kubernetes, runs, callbacks, kafka } = services;
    let platform = Arc::new(Platform::default());
    let claims = Arc::new(Claims::new(options.concurrency, metrics.clone()));
    let renewer = Arc::new(Renewer::new(runs.clone(), Arc::clone(&claims), options.lease, metrics.clone()));
    let execution = Arc::new(Execution {
        platform: Arc::clone(&platform),
        caller: Caller { client: callbacks, credentials: Credentials::new(kubernetes.clone(), clock), clock },
        publisher: Publisher {
            producers: Producers::new(kubernetes.clone(), Arc::clone(&platform), kafka),
            platform: Arc::clone(&platform),
        },
    });
    let (sender, results) = mpsc::unbounded_channel();
    let reporter = Reporter {
        runs: runs.clone(),
        claims: Arc::clone(&claims),
        platform: Arc::clone(&platform),
        metrics: metrics.clone(),
    };
    let claimer = Claimer {
        runs: runs.clone(),
        claims: Arc::clone(&claims),
        renewer: Arc::clone(&renewer),
        execution,
        results: sender,
        metrics,
        options: options.clone(),
        clock,
    };
    let grace = options.grace;
    let work = async {
        let start = async {
            platform.wait_until_listed().await;
            wait_for_database(&runs).await;
        };
        tokio::select! {
            () = start => {}
            () = stop.cancelled() => return,
        }
        tracing::info!("the runner is ready");
        ready();
        let claiming = claimer.run(runs.subscribe(Signal::Claimable), &stop);
        let ended = async {
            claiming.await;
            claims.wait_until_empty().await;
        };
        let is_late = async {
            stop.cancelled().await;
            tracing::info!("stopping: no further runs are claimed");
            sleep(grace).await;
        };
        tokio::select! {
            () = ended => {}
            () = is_late => release(&runs, &claims).await,
        }
    };
    tokio::select! {
        () = work => {}
        () = platform.watch(&kubernetes) => {}
        () = renewer.run(runs.subscribe(Signal::Claimable)) => {}
        () = reporter.run(results) => {}
    }
}

/// Waits until the database answers.
async fn wait_for_database(runs: &Runs) {
    const RETRY_DELAY: Duration = Duration::from_millis(250);
    while let Err(error) = runs.next_due(crate::domain::task::Executor::Runner).await {
        tracing::debug!(error = %ErrorChain(&error), "waiting for the database");
        sleep(RETRY_DELAY).await;
    }
}

/// Ends the running attempts and leaves their runs to other runners.
async fn release(runs: &Runs, claims: &Claims) {
    let held = claims.by_runner();
    claims.stop_all(Stop::Abandon);
    for (runner, keys) in held {
        tracing::warn!(runs = keys.len(), "running attempts did not end in time; other runners repeat them");
        match timeout(RELEASE_TIMEOUT, runs.release(&runner, &keys)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = %ErrorChain(&error), "claims were not given up; they expire")
            }
            Err(_) => tracing::warn!("claims were not given up in time; they expire"),
        }
    }
}
