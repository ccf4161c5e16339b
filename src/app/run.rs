//! `eventcenter run`: from the command line to the end of the process.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::config::{Config, Role};
use super::roles::{Process, answer, lead, tell};
use super::{http, telemetry};
use crate::controllers::AllMetrics;
use crate::kubernetes::KubeClient;
use crate::rest;
use crate::webhook;

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
    let kubernetes = KubeClient::connect(&config.namespace, &instance).await?;

    let mut registry = Registry::with_prefix("eventcenter");
    registry.register(
        "build",
        "Version of the operator",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    let metrics = AllMetrics::register(&mut registry);
    let webhook_metrics = webhook::Metrics::register(&mut registry);
    let api_metrics = rest::Metrics::register(&mut registry);
    let audit = Audit::open(config, &instance, &mut registry)?;
    let health = http::Health::new(registry);
    audit.look_after(health.clone());
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (--listen)", config.listen))?;
    let served = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, health.clone(), served.clone()));

    let stop = stop_on_signal()?;
    let result = {
        let process =
            Process { config, instance: &instance, kubernetes: &kubernetes, audit: &audit, stop: &stop };
        // Each says before it begins that it is part of being ready.
        let role = |role: Role| config.roles.contains(&role).then(|| health.role());
        let (answers, leads) = (role(Role::Webhook), role(Role::Controllers));
        let tells = role(Role::Api);
        // Reviews are answered whoever leads, and from the beginning.
        let answering = async {
            match answers {
                Some(role) => Box::pin(answer(&process, webhook_metrics, role)).await,
                None => Ok(()),
            }
        };
        let leading = async {
            match leads {
                Some(role) => Box::pin(lead(&process, metrics, role)).await,
                None => Ok(()),
            }
        };
        let telling = async {
            match tells {
                Some(role) => Box::pin(tell(&process, api_metrics, health.clone(), role)).await,
                None => Ok(()),
            }
        };
        // What ends one of them ends the others in good order.
        let (answered, led, told) =
            tokio::join!(ending(answering, &stop), ending(leading, &stop), ending(telling, &stop));
        answered.and(led).and(told)
    };
    // What they did last is recorded too.
    audit.close().await;
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
