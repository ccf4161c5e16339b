//! `eventcenter run`: from the command line to the end of the process.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::{http, telemetry};
use crate::cluster::{Cluster, LeaseSettings};
use crate::controllers::{self, AllMetrics, Options};

/// After this long without a renewal another replica leads: with a look each second, 11 s at most.
const LEASE: Duration = Duration::from_secs(10);
/// How often the leader renews.
const RENEWAL: Duration = Duration::from_secs(2);
/// How long what is under way may take to end. A pod has 30 s (terminationGracePeriodSeconds).
const GRACE: Duration = Duration::from_secs(20);

pub(super) fn run(config: &Config) -> ExitCode {
    let result = telemetry::start(config).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("starting the runtime")?;
        runtime.block_on(operate(config))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            drop(writeln!(std::io::stderr(), "eventcenter: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn operate(config: &Config) -> anyhow::Result<()> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?config, "starting");
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))?;
    let instance = config.instance.clone().unwrap_or_else(instance);
    let cluster = Cluster::connect(&config.namespace, &instance).await?;

    let mut registry = Registry::with_prefix("eventcenter");
    registry.register(
        "build",
        "Version of the operator",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    let metrics = AllMetrics::register(&mut registry);
    let health = http::Health::new(registry);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (--listen)", config.listen))?;
    let served = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, health.clone(), served.clone()));

    let stop = stop_on_signal()?;
    let result = Box::pin(lead(config, instance, cluster, metrics, &health, &stop)).await;
    served.cancel();
    server.await.context("stopping the server for health and metrics")?;
    tracing::info!("stopped");
    result
}

/// Waits to become the leader, works until the end, and lets the next one lead.
async fn lead(
    config: &Config,
    identity: String,
    cluster: Cluster,
    metrics: AllMetrics,
    health: &http::Health,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let settings = LeaseSettings { name: config.lease.clone(), identity, duration: LEASE, period: RENEWAL };
    let another_leads = || {
        // Waiting to take over is what a second replica is for: it is ready.
        tracing::info!("another replica leads; waiting");
        health.set_ready();
    };
    let mut leadership = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        leadership = cluster.lease(settings).acquire(another_leads) => leadership,
    };
    tracing::info!("leading");
    let options = Options {
        resync: config.resync_interval,
        heartbeat: config.heartbeat_interval,
        concurrency: config.concurrency,
    };
    let ready = || {
        tracing::info!("all resources have been read");
        health.set_ready();
    };
    let controllers = controllers::run(cluster, options, metrics, clock, stop.clone(), ready);
    let ended = async {
        let mut controllers = std::pin::pin!(controllers);
        tokio::select! {
            () = &mut controllers => return,
            () = stop.cancelled() => {}
        }
        tracing::info!("stopping: no new work begins");
        if tokio::time::timeout(GRACE, controllers).await.is_err() {
            tracing::warn!(
                "what was under way did not end in time; it is found and finished after the next start"
            );
        }
    };
    tokio::select! {
        () = ended => {
            leadership.release().await;
            Ok(())
        }
        lost = leadership.keep() => Err(lost.into()),
    }
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        signal(SignalKind::interrupt()).context("listening for SIGINT")?,
    );
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    Ok(stop)
}

fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("{}-{random:016x}", host.trim())
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that all others are given")]
fn clock() -> Timestamp {
    Timestamp::now()
}
