//! The controllers: they reconcile Kafka with the declared resources.
//!
//! A reconcile has four steps: observe (reads), plan (pure, in [`crate::domain`]), apply (writes), report (status,
//! Event, metrics, next reconcile). It may be killed between any two effects; running it again leads to the same
//! result.
//!
//! - `runtime`, `kind_controller`: what is alike for the controllers of all kinds; `queue`: which changes start a reconcile; `status`: writes
//!   statuses; `effect`: records every effect in the audit log, before it is made.
//! - `approval`: approvals, for every governed kind.
//! - `catalog`: the index of all declarations. Watches maintain it, reconciles read it.
//! - `connections`: connections to Kafka. `last_seen`: the state after the last reconciles. `seen_acls` and
//!   `unregistered`: the same for ACLs and for topics without an EventTopic. `resync` and `acl_resync`: compare these with
//!   Kafka at an interval, and enqueue the topics that differ.
//! - `tenant`, `kafka_cluster`, `topic`: one [`Reconciler`] each. `task`: two, and what plans and observes the runs of tasks.
//! - `checkpoint`: signs the audit log.
//!
//! Deliberately absent: decisions (they are in the domain), and logic that depends on the cause of a reconcile: only
//! the observed state counts.

mod acl_resync;
pub mod approval;
mod catalog;
mod checkpoint;
mod connections;
mod context;
mod effect;
mod kafka_cluster;
mod kind_controller;
mod last_seen;
mod metrics;
mod options;
mod queue;
mod resync;
mod runtime;
mod seen_acls;
mod services;
mod status;
mod task;
mod tenant;
mod topic;
mod unregistered;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

pub use effect::EffectError;
pub use kind_controller::KindController;
pub use metrics::Metrics;
pub use options::{Audit, Checkpoints, Options, TopicReference};
pub use queue::Watched;
pub use runtime::{Informer, InformerStreams, ReconcileResult, Reconciled, Reconciler};
pub use services::Services;

use crate::api::{EventTopic, Kind, ScheduledTask, TaskTemplate};
use crate::kubernetes::{KubeClient, SealRole};
use crate::store::Runs;
use approval::{ApprovalStore, GovernedQueues, wait_for_key};
use connections::Connections;
use context::Context;
use kafka_cluster::KafkaClusterReconciler;
use seen_acls::SeenAcls;
use task::{CronJobs, TaskMetrics, TaskReconciler, TaskRegistry, TemplateReconciler};
use tenant::TenantReconciler;
use topic::TopicReconciler;
use unregistered::UnregisteredTopics;

/// The metrics of all controllers. Created once per process, before the controllers run.
#[derive(Clone, Debug)]
pub struct AllMetrics {
    controllers: Metrics,
    kafka: crate::kafka::Metrics,
    tasks: TaskMetrics,
}

impl AllMetrics {
    /// Creates and registers the metrics; those of requests to Kafka are registered already.
    pub fn register(registry: &mut Registry, kafka: crate::kafka::Metrics) -> Self {
        Self { controllers: Metrics::register(registry), kafka, tasks: TaskMetrics::register(registry) }
    }
}

/// Makes the controller of a kind.
pub type MakeController = fn(&Arc<Services>) -> KindController;

/// Runs all controllers until they are stopped and the running reconciles have ended.
///
/// `additional` makes the controllers of kinds that the product does not have. `ready` is called once all resources have been
/// listed.
#[allow(clippy::too_many_arguments, reason = "each is another part of the process")]
pub async fn run(
    kubernetes: KubeClient,
    options: Options,
    audit: Audit,
    runs: Runs,
    metrics: AllMetrics,
    clock: fn() -> Timestamp,
    additional: &[MakeController],
    stop: CancellationToken,
    ready: impl FnOnce(),
) {
    let key = tokio::select! {
        key = wait_for_key(&kubernetes, &audit, SealRole::Controllers) => key,
        () = stop.cancelled() => return,
    };
    let AllMetrics { controllers: metrics, kafka, tasks: task_metrics } = metrics;
    let approvals = ApprovalStore::new(key);
    let services = Arc::new(Services::new(kubernetes, approvals, metrics.clone(), audit, clock));
    let (tenants, tenant_streams) = Informer::new(&services);
    let (clusters, cluster_streams) = Informer::new(&services);
    let (topics, topic_streams) = Informer::new(&services);
    let (templates, template_streams) = Informer::new(&services);
    let (tasks, task_streams) = Informer::new(&services);
    let (task_registry, commands) = TaskRegistry::new();
    let additional: Vec<KindController> = additional.iter().map(|make| make(&services)).collect();
    let mut governed = GovernedQueues::new();
    governed.insert(Kind::of::<EventTopic>(), Arc::new(topics.clone()));
    governed.insert(Kind::of::<TaskTemplate>(), Arc::new(templates.clone()));
    governed.insert(Kind::of::<ScheduledTask>(), Arc::new(tasks.clone()));
    governed.extend(additional.iter().filter_map(|kind| kind.governed.clone()));
    let context = Arc::new(Context {
        services: Arc::clone(&services),
        governed,
        tenants,
        clusters,
        topics,
        templates,
        tasks,
        task_registry,
        cron_jobs: CronJobs::new(),
        task_metrics,
        runs,
        connections: Connections::new(kafka),
        access: SeenAcls::default(),
        unregistered: UnregisteredTopics::default(),
        options,
    });
    let concurrency = context.options.concurrency;
    let product = [
        KindController::new(Arc::new(TenantReconciler(Arc::clone(&context))), tenant_streams, 4),
        KindController::new(Arc::new(KafkaClusterReconciler(Arc::clone(&context))), cluster_streams, 16),
        KindController::governed(Arc::new(TopicReconciler(Arc::clone(&context))), topic_streams, concurrency),
        KindController::governed(Arc::new(TemplateReconciler(Arc::clone(&context))), template_streams, 4),
        KindController::governed(Arc::new(TaskReconciler(Arc::clone(&context))), task_streams, 64),
    ];
    let kinds: Vec<KindController> = product.into_iter().chain(additional).collect();
    metrics.export(metrics::Exported {
        tenants: context.tenants.objects.clone(),
        kinds: kinds.iter().map(|kind| Arc::clone(&kind.resources)).collect(),
    });
    let (listed, controllers): (Vec<_>, Vec<_>) = kinds
        .into_iter()
        .map(|kind| {
            let context = Arc::clone(&context);
            let ready = match &kind.governed {
                Some((kind, _)) if *kind == Kind::of::<ScheduledTask>() => {
                    wait_for_references(context).boxed()
                }
                Some(_) => wait_for_catalog(context).boxed(),
                None => std::future::ready(()).boxed(),
            };
            (kind.listed, (kind.run)(ready, stop.clone()))
        })
        .unzip();
    let controllers = join_all(controllers);
    let announce = async {
        if join_all(listed).await.into_iter().all(|is_listed| is_listed) {
            ready();
        }
    };
    let background = async {
        tokio::join!(
            announce,
            kafka_cluster::follow_secrets(&context),
            topic::schema::watch_schemas(&context),
            topic::schema::release_owned_revisions(&context),
            approval::follow_trusted_keys(&services, &context.governed),
            approval::follow_decisions(&services, &context.governed),
            resync::run(&context),
            checkpoint::run(&context),
            tenant::follow_usage(&context),
            task::run(&context, commands)
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = controllers => {}
        () = background => {}
    }
}

/// Waits until what a ScheduledTask refers to has been listed as well: a task whose topic is unknown would be refused, and runs that were
/// requested for it skipped.
async fn wait_for_references(context: Arc<Context>) {
    tokio::join!(
        wait_for_catalog(Arc::clone(&context)),
        context.topics.wait_until_synced(),
        context.templates.wait_until_synced()
    );
}

/// Waits until tenants, clusters and decisions have been listed: which rules apply to a resource, what it stands for in Kafka,
/// and who owns that, depends on them.
async fn wait_for_catalog(context: Arc<Context>) {
    tokio::join!(
        context.tenants.wait_until_synced(),
        context.clusters.wait_until_synced(),
        context.services.approvals.wait_until_synced()
    );
}
