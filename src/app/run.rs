//! `eventcenter run`: from the command line to the end of the process.

use std::collections::BTreeSet;
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

use super::config::{Certificates, Config, Role};
use super::{http, telemetry};
use crate::cluster::{Cluster, LeaseSettings};
use crate::controllers::{self, AllMetrics, Options};
use crate::webhook::{self, Lifetimes, Source};

/// How often the leader renews its Lease.
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
    let webhook_metrics = webhook::Metrics::register(&mut registry);
    let health = http::Health::new(registry);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (--listen)", config.listen))?;
    let served = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, health.clone(), served.clone()));

    let stop = stop_on_signal()?;
    let result = {
        // Each says before it begins that it is part of being ready.
        let answers = config.roles.contains(&Role::Webhook).then(|| health.role());
        let leads = config.roles.contains(&Role::Controllers).then(|| health.role());
        // Reviews are answered whoever leads, and from the beginning.
        let answering = async {
            match answers {
                Some(role) => Box::pin(answer(config, cluster.clone(), webhook_metrics, role, &stop)).await,
                None => Ok(()),
            }
        };
        let leading = async {
            match leads {
                Some(role) => Box::pin(lead(config, instance, cluster.clone(), metrics, role, &stop)).await,
                None => Ok(()),
            }
        };
        // What ends one of them ends the other in good order.
        let (answered, led) = tokio::join!(ending(answering, &stop), ending(leading, &stop));
        answered.and(led)
    };
    served.cancel();
    server.await.context("stopping the server for health and metrics")?;
    tracing::info!("stopped");
    result
}

/// Asks everything else to end when this has failed.
async fn ending(
    role: impl Future<Output = anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let result = role.await;
    if let Err(error) = &result {
        tracing::error!("{error:#}");
        stop.cancel();
    }
    result
}

/// Answers reviews until the end.
async fn answer(
    config: &Config,
    cluster: Cluster,
    metrics: webhook::Metrics,
    role: http::Role,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let settings = &config.webhook;
    let listen = settings.webhook_listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listening on {listen} (--webhook-listen)"))?;
    let mut names: BTreeSet<String> = settings.webhook_dns_name.iter().cloned().collect();
    if names.is_empty() {
        names.insert(format!("eventcenter-webhook.{}.svc", config.namespace));
        names.extend(listen.ip().is_loopback().then(|| listen.ip().to_string()));
    }
    let source = match settings.webhook_certificates {
        Certificates::Secret => Source::Others,
        Certificates::Own => Source::Own {
            lifetimes: Lifetimes {
                authority: settings.webhook_authority_validity,
                serving: settings.webhook_certificate_validity,
            },
            names,
            configurations: settings.webhook_configuration.clone(),
        },
    };
    let options = webhook::Options {
        source,
        secret: settings.webhook_certificate_secret.clone(),
        drain: settings.webhook_drain,
    };
    let ready = move |ready| role.set_ready(ready);
    let running = webhook::run(cluster, options, listener, metrics, clock, stop.clone(), ready);
    Ok(Box::pin(running).await?)
}

/// Waits to become the leader, works until the end, and lets the next one lead.
async fn lead(
    config: &Config,
    identity: String,
    cluster: Cluster,
    metrics: AllMetrics,
    role: http::Role,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let settings = LeaseSettings {
        name: config.lease.clone(),
        identity,
        duration: config.lease_duration,
        period: RENEWAL,
    };
    let another_leads = || {
        // Waiting to take over is what a second replica is for: it is ready.
        tracing::info!("another replica leads; waiting");
        role.set_ready(true);
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
        role.set_ready(true);
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
