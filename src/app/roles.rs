//! One function for each role of the process. Each runs until the process stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::audit::Audit;
use super::clock::clock;
use super::config::{Certificates, Config, NamespacedName};
use super::health;
use super::kinds::AdditionalKind;
use crate::callback::{CallbackClient, CallbackOptions};
use crate::controllers::{self, AllMetrics, Checkpoints, Options, TopicReference};
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Target, Via};
use crate::domain::task::retention::RunRetention;
use crate::kafka;
use crate::kubernetes::{KubeClient, LeaseLost, LeaseSettings};
use crate::rest;
use crate::runner;
use crate::webhook::{self, ClientAuthority, Lifetimes, Source};

/// Interval between renewals of the Lease.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// How long running reconciles, and the running calls of tasks, may take to finish. A pod has 30 s (terminationGracePeriodSeconds).
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// What all roles of the process share.
pub(super) struct Process<'a> {
    pub(super) config: &'a Config,
    pub(super) instance: &'a str,
    pub(super) kubernetes: &'a KubeClient,
    pub(super) audit: &'a Audit,
    pub(super) additional: &'a [AdditionalKind],
    pub(super) stop: &'a CancellationToken,
}

impl Process<'_> {
    /// The audit event of a change of leadership.
    fn leadership_event(&self, action: Action, lost: Option<&LeaseLost>) -> Event {
        let actor = Actor { user: self.instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
        let target = Target {
            kind: "Lease".into(),
            namespace: Some(self.config.namespace.clone()),
            name: self.config.lease.clone(),
            uid: None,
        };
        let message = lost.map(ToString::to_string);
        let event = Event::new(LogName::platform(), actor, action, Outcome::Succeeded);
        Event { target: Some(target), message, ..event }
    }
}

/// Runs the webhook until the process stops.
pub(super) async fn run_webhook(
    process: &Process<'_>,
    metrics: webhook::Metrics,
    role: health::Role,
) -> anyhow::Result<()> {
    let Process { config, instance, kubernetes, audit, additional, stop } = *process;
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
        Certificates::Secret => Source::External,
        Certificates::SelfSigned => Source::SelfSigned {
            lifetimes: Lifetimes {
                authority: settings.webhook_authority_validity,
                serving: settings.webhook_certificate_validity,
            },
            names,
        },
    };
    let clients = match &settings.webhook_client_ca {
        None => None,
        Some(file) => Some(ClientAuthority {
            authorities: std::fs::read_to_string(file)
                .with_context(|| format!("reading {} (--webhook-client-ca)", file.display()))?,
            common_name: settings.webhook_client_name.clone(),
        }),
    };
    let options = webhook::Options {
        source,
        clients,
        configurations: settings.webhook_configuration.clone(),
        secret: settings.webhook_certificate_secret.clone(),
        drain: settings.webhook_drain,
        instance: instance.to_owned(),
        recorder: audit.journal.recorder("webhook"),
        additional: additional.iter().map(|kind| kind.handler.clone()).collect(),
    };
    let ready = move |ready| role.set_ready(ready);
    let running = webhook::run(kubernetes.clone(), options, listener, metrics, clock, stop.clone(), ready);
    Ok(Box::pin(running).await?)
}

/// Runs the REST API until the process stops.
pub(super) async fn run_api(
    process: &Process<'_>,
    metrics: rest::Metrics,
    health: health::Health,
    role: health::Role,
) -> anyhow::Result<()> {
    let Process { config, kubernetes, audit, stop, .. } = *process;
    let settings = &config.api;
    let listen = settings.api_listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listening on {listen} (--api-listen)"))?;
    let page = move || health.metrics().unwrap_or_default();
    let options = rest::Options {
        installation: config.audit.installation.clone(),
        rate: settings.api_rate_limit,
        tls_secret: settings.api_tls_secret.clone(),
        leader_lease: config.lease.clone(),
        metrics_page: rest::MetricsPage(Arc::new(page)),
    };
    let (log, runs, recorder) = (audit.store.audit(), audit.store.runs(), audit.journal.recorder("api"));
    let ready = move |ready| role.set_ready(ready);
    let running = rest::run(
        kubernetes.clone(),
        log,
        runs,
        recorder,
        options,
        listener,
        metrics,
        clock,
        stop.clone(),
        ready,
    );
    Ok(Box::pin(running).await?)
}

/// Executes the calls and events of tasks until the process stops.
pub(super) async fn run_runner(
    process: &Process<'_>,
    metrics: runner::Metrics,
    kafka: kafka::Metrics,
    role: health::Role,
) -> anyhow::Result<()> {
    let Process { config, instance, kubernetes, audit, stop, .. } = *process;
    let settings = &config.runner;
    let concurrency = usize::from(settings.runner_concurrency);
    let defaults = CallbackOptions::default();
    let callbacks = CallbackClient::new(&CallbackOptions {
        certificate_authorities: settings.callback_ca.clone(),
        max_connections: defaults.max_connections.max(concurrency),
        ..defaults
    });
    let services = runner::Services {
        kubernetes: kubernetes.clone(),
        runs: audit.store.runs(),
        callbacks: callbacks.context("preparing HTTP calls (--callback-ca)")?,
        kafka,
    };
    let options = runner::Options {
        // A claim of an earlier process with the same name is not this one's.
        name: format!("{instance}.{}", Uuid::now_v7().simple()),
        concurrency,
        lease: settings.runner_lease,
        grace: SHUTDOWN_GRACE,
    };
    let ready = move || role.set_ready(true);
    Box::pin(runner::run(services, options, metrics, clock, stop.clone(), ready)).await;
    Ok(())
}

/// Waits to become the leader, runs the controllers until the process stops, and releases the Lease.
pub(super) async fn run_controllers(
    process: &Process<'_>,
    metrics: AllMetrics,
    role: health::Role,
) -> anyhow::Result<()> {
    let Process { config, instance, kubernetes, audit, additional, stop } = *process;
    let recorder = audit.journal.spooling_recorder("controllers");
    let settings = LeaseSettings {
        name: config.lease.clone(),
        identity: instance.to_owned(),
        duration: config.lease_duration,
        period: RENEW_INTERVAL,
    };
    let another_leads = || {
        // A replica that waits to take over is ready.
        tracing::info!("another replica leads; waiting");
        role.set_ready(true);
    };
    let mut leadership = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        leadership = kubernetes.lease(settings).acquire(another_leads) => leadership,
    };
    tracing::info!("leading");
    recorder.enqueue(process.leadership_event(Action::Lead, None)).await;
    let options = Options {
        resync: config.resync_interval,
        heartbeat: config.heartbeat_interval,
        settle_time: config.kafka_settle_time,
        task_status_interval: config.task_status_interval,
        task_events: config
            .task_events
            .clone()
            .map(|NamespacedName { namespace, name }| TopicReference { namespace, name }),
        run_retention: RunRetention {
            age: config.run_retention.0,
            keep_last: config.run_retention_keep_last,
        },
        concurrency: config.concurrency,
    };
    let ready = || {
        tracing::info!("all resources have been listed");
        role.set_ready(true);
    };
    let topic = config.audit.audit_checkpoint_topic.clone();
    let runs = audit.store.runs();
    let audit = controllers::Audit {
        recorder: recorder.clone(),
        log: audit.store.audit(),
        checkpoints: Checkpoints {
            interval: config.audit.audit_checkpoint_interval,
            installation: config.audit.installation.clone(),
            retention: config.audit.audit_retention.0,
            topic: topic.map(|topic| (topic.cluster, topic.topic)),
        },
        instance: instance.to_owned(),
    };
    let additional: Vec<_> = additional.iter().map(|kind| kind.controller).collect();
    let controllers = controllers::run(
        kubernetes.clone(),
        options,
        audit,
        runs,
        metrics,
        clock,
        &additional,
        stop.clone(),
        ready,
    );
    let ended = async {
        let mut controllers = std::pin::pin!(controllers);
        tokio::select! {
            () = &mut controllers => return,
            () = stop.cancelled() => {}
        }
        tracing::info!("stopping: no new reconciles start");
        if tokio::time::timeout(SHUTDOWN_GRACE, controllers).await.is_err() {
            tracing::warn!("running reconciles did not finish in time; the next leader continues them");
        }
    };
    let result = tokio::select! {
        () = ended => Ok(()),
        lost = leadership.renew() => Err(lost),
    };
    tracing::info!("stopped leading");
    recorder.enqueue(process.leadership_event(Action::StopLeading, result.as_ref().err())).await;
    match result {
        Ok(()) => {
            leadership.release().await;
            Ok(())
        }
        Err(lost) => Err(lost.into()),
    }
}
