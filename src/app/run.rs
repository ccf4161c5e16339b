//! `eventcenter run`: starts and stops the process.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use futures::future::join_all;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::config::{Config, Role};
use super::kinds::AdditionalKind;
use super::roles::{Process, run_api, run_controllers, run_runner, run_webhook};
use super::{health, heartbeat, telemetry};
use crate::controllers::AllMetrics;
use crate::kafka;
use crate::kubernetes::KubeClient;
use crate::rest;
use crate::runner;
use crate::webhook;

pub(super) fn run(config: &Config, additional: &[AdditionalKind]) -> ExitCode {
    let result = telemetry::start(config).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("starting the runtime")?;
        runtime.block_on(run_roles(config, additional))
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

async fn run_roles(config: &Config, additional: &[AdditionalKind]) -> anyhow::Result<()> {
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
    let kafka_metrics = kafka::Metrics::register(&mut registry);
    let metrics = AllMetrics::register(&mut registry, kafka_metrics.clone());
    let webhook_metrics = webhook::Metrics::register(&mut registry);
    let api_metrics = rest::Metrics::register(&mut registry);
    let runner_metrics = runner::Metrics::register(&mut registry);
    let audit = Audit::open(config, &instance, &mut registry)?;
    let health = health::Health::new(registry);
    audit.monitor(health.clone());
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (--listen)", config.listen))?;
    let served = CancellationToken::new();
    let server = tokio::spawn(health::serve(listener, health.clone(), served.clone()));

    let stop = stop_on_signal()?;
    let result = {
        let process = Process {
            config,
            instance: &instance,
            kubernetes: &kubernetes,
            audit: &audit,
            additional,
            stop: &stop,
        };
        // Each role registers before it starts, so that readiness waits for all of them.
        let role = |role: Role| config.roles.contains(&role).then(|| health.role());
        let (webhook_role, controllers_role) = (role(Role::Webhook), role(Role::Controllers));
        let (api_role, runner_role) = (role(Role::Api), role(Role::Runner));
        // The webhook serves from the start, whichever replica leads.
        let webhook = async {
            match webhook_role {
                Some(role) => Box::pin(run_webhook(&process, webhook_metrics, role)).await,
                None => Ok(()),
            }
        };
        let controllers = async {
            match controllers_role {
                Some(role) => Box::pin(run_controllers(&process, metrics, role)).await,
                None => Ok(()),
            }
        };
        let api = async {
            match api_role {
                Some(role) => Box::pin(run_api(&process, api_metrics, health.clone(), role)).await,
                None => Ok(()),
            }
        };
        let runner = async {
            match runner_role {
                Some(role) => Box::pin(run_runner(&process, runner_metrics, kafka_metrics, role)).await,
                None => Ok(()),
            }
        };
        let heartbeats = join_all(config.roles.iter().map(|role| heartbeat::run(&process, *role)));
        // A failure of one role stops the others gracefully.
        let (webhook, controllers, api, runner, _) = tokio::join!(
            stop_on_failure(webhook, &stop),
            stop_on_failure(controllers, &stop),
            stop_on_failure(api, &stop),
            stop_on_failure(runner, &stop),
            heartbeats
        );
        webhook.and(controllers).and(api).and(runner)
    };
    // The last records of the roles are written here.
    audit.close().await;
    served.cancel();
    server.await.context("stopping the server for health and metrics")?;
    tracing::info!("stopped");
    result
}

/// Stops the process if the role fails.
async fn stop_on_failure(
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
