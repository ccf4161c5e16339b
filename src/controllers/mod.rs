//! The controllers: they reconcile Kafka, and later Kubernetes' own Jobs, with the declared resources.
//!
//! A reconcile has four steps: observe (reads), plan (pure, in [`crate::domain`]), apply (writes), report (status, Event,
//! metrics, next reconcile). It may be killed between any two effects, and ends the same when it is run again.
//!
//! - `runtime`: what is alike for the controllers of all kinds; `queue`: which changes start a reconcile; `status`: writes
//!   statuses; `effect`: records every effect in the audit log, before it is made.
//! - `approval`: approvals, for every governed kind.
//! - `catalog`: what all declarations together say. Watches maintain it, reconciles read it.
//! - `connections`: connections to Kafka. `last_seen`: what reconciles last saw there. `seen_acls` and
//!   `unregistered`: the same for ACLs and for topics without an EventTopic. `resync` and `acl_resync`: compare these with
//!   Kafka at an interval, and enqueue the topics that differ.
//! - `tenant`, `kafka_cluster`, `topic`: one [`Reconciler`] each.
//! - `checkpoint`: signs the audit log.
//!
//! Deliberately absent: decisions (they are in the domain), and acting on why a reconcile started: only what is observed
//! counts.

mod acl_resync;
mod approval;
mod catalog;
mod checkpoint;
mod connections;
mod context;
mod effect;
mod kafka_cluster;
mod last_seen;
mod metrics;
mod options;
mod queue;
mod resync;
mod runtime;
mod seen_acls;
mod services;
mod status;
mod tenant;
mod topic;
mod unregistered;

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

pub use approval::{ApprovalStore, GovernedQueue, GovernedQueues, wait_for_key};
pub use effect::EffectError;
pub use metrics::Metrics;
pub use options::{Audit, Checkpoints, Options};
pub use queue::Watched;
pub use runtime::{Informer, InformerStreams, ReconcileResult, Reconciled, Reconciler};
pub use services::Services;

use crate::api::{EventTopic, Kind};
use crate::kubernetes::{KubeClient, SealRole};
use connections::Connections;
use context::Context;
use kafka_cluster::KafkaClusterReconciler;
use seen_acls::SeenAcls;
use tenant::TenantReconciler;
use topic::TopicReconciler;
use unregistered::UnregisteredTopics;

/// Everything the controllers count and show. Made once a process, before they run.
#[derive(Clone, Debug)]
pub struct AllMetrics {
    controllers: Metrics,
    kafka: crate::kafka::Metrics,
}

impl AllMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        Self { controllers: Metrics::register(registry), kafka: crate::kafka::Metrics::register(registry) }
    }
}

/// Runs all controllers until they are stopped and the reconciles under way have ended.
///
/// `ready` is called once all resources have been listed.
pub async fn run(
    kubernetes: KubeClient,
    options: Options,
    audit: Audit,
    metrics: AllMetrics,
    clock: fn() -> Timestamp,
    stop: CancellationToken,
    ready: impl FnOnce(),
) {
    let key = tokio::select! {
        key = wait_for_key(&kubernetes, &audit, SealRole::Controllers) => key,
        () = stop.cancelled() => return,
    };
    let AllMetrics { controllers: metrics, kafka } = metrics;
    let (tenants, tenant_streams) = Informer::new(&metrics);
    let (clusters, cluster_streams) = Informer::new(&metrics);
    let (topics, topic_streams) = Informer::new(&metrics);
    metrics.export(metrics::Exported {
        tenants: tenants.objects.clone(),
        clusters: clusters.objects.clone(),
        topics: topics.objects.clone(),
    });
    let context = Arc::new(Context {
        services: Services::new(kubernetes, ApprovalStore::new(key), metrics, audit, clock),
        tenants,
        clusters,
        topics,
        connections: Connections::new(kafka),
        access: SeenAcls::default(),
        unregistered: UnregisteredTopics::default(),
        options,
    });
    let Context { services, .. } = &*context;
    let governed: GovernedQueues<'_> =
        GovernedQueues::from([(Kind::of::<EventTopic>(), &context.topics as &dyn GovernedQueue)]);

    let tenants_run = runtime::run(
        Arc::new(TenantReconciler(Arc::clone(&context))),
        tenant_streams,
        4,
        std::future::ready(()),
        stop.clone(),
    );
    let clusters_run = runtime::run(
        Arc::new(KafkaClusterReconciler(Arc::clone(&context))),
        cluster_streams,
        16,
        std::future::ready(()),
        stop.clone(),
    );
    // Which Kafka topic a resource stands for, and who owns it, depends on tenants and clusters.
    let catalog_is_ready = async {
        tokio::join!(
            context.tenants.wait_until_synced(),
            context.clusters.wait_until_synced(),
            services.approvals.wait_until_synced()
        );
    };
    let topics_run = runtime::run(
        Arc::new(TopicReconciler(Arc::clone(&context))),
        topic_streams,
        context.options.concurrency,
        catalog_is_ready,
        stop,
    );
    let announce = async {
        if context.topics.objects.wait_until_ready().await.is_ok() {
            ready();
        }
    };
    let background = async {
        tokio::join!(
            announce,
            kafka_cluster::follow_secrets(&context),
            topic::schema::watch_schemas(&context),
            approval::follow_trusted_keys(services, &governed),
            approval::follow_decisions(services, &governed),
            resync::run(&context),
            checkpoint::run(&context),
            tenant::follow_usage(&context)
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ((), (), ()) = async { tokio::join!(tenants_run, clusters_run, topics_run) } => {}
        () = background => {}
    }
}
