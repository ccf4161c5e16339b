//! The controllers: they make Kafka, and later Kubernetes' own Jobs, what the resources declare.
//!
//! A reconcile reads as four verbs: observe (reads), plan (pure, in [`crate::domain`]), apply
//! (writes), report (status, Event, metrics, next visit). Each may be killed between any two
//! effects and comes to the same end when it is run again.
//!
//! `world` holds what all declarations together say: tenants, clusters, and who owns which
//! Kafka topic. Watches keep it true; reconciles read it. `connections` holds the connections to
//! Kafka, `access` what was left of ACLs there, `approval` what was decided on changes that need it. `resync` looks at all Kafka topics at once, from time to time, and wakes the
//! reconciles of those that have changed; `unregistered` counts those that nobody declares.
//!
//! `effect` records everything that is done in the audit log, before it is done; `checkpoint` signs what the log says.
//!
//! Deliberately absent: decisions (they are in the domain), and acting on why a reconcile was
//! woken: what is observed decides.

mod acl_resync;
mod approval;
mod catalog;
mod checkpoint;
mod connections;
mod effect;
mod kafka_cluster;
mod metrics;
mod queue;
mod resync;
mod status;
mod tenant;
mod topic;
mod unregistered;
mod watch;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{Controller, WatchStreamExt, controller};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

pub use checkpoint::Checkpoints;
pub use metrics::Metrics;

use crate::api::{EventTopic, KafkaCluster, Tenant};
use crate::kubernetes::{KubeClient, SealRole};
use crate::store;
use acl_resync::Access;
use approval::Approvals;
use catalog::Catalog;
use connections::Connections;
use queue::WorkQueue;

/// How the controllers run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often all Kafka topics are compared with what is declared.
    pub resync: Duration,
    /// How often each Kafka cluster is asked how it is.
    pub heartbeat: Duration,
    /// How many topics are reconciled at once: what bounds memory, and how large batches can get.
    pub concurrency: u16,
}

/// The audit log, as the controllers write and sign it.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Where records are handed in.
    pub recorder: store::Recorder,
    /// The log, for signing it and for dropping what is too old.
    pub log: store::Audit,
    /// How it is signed.
    pub checkpoints: Checkpoints,
    /// This replica, as records name it.
    pub instance: String,
}

/// A resource as it was watched: read, or not readable.
type Watched<K> = DeserializeGuard<K>;

/// What all reconciles share.
struct Context {
    kubernetes: KubeClient,
    catalog: Catalog,
    connections: Connections,
    access: Access,
    approvals: Approvals,
    unregistered: unregistered::Found,
    tenants: Store<Watched<Tenant>>,
    clusters: Store<Watched<KafkaCluster>>,
    topics: Store<Watched<EventTopic>>,
    tenant_queue: WorkQueue<Watched<Tenant>>,
    cluster_queue: WorkQueue<Watched<KafkaCluster>>,
    topic_queue: WorkQueue<Watched<EventTopic>>,
    metrics: Metrics,
    audit: Audit,
    options: Options,
    clock: fn() -> Timestamp,
}

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

/// Runs all controllers until they are told to stop and what is under way has ended.
///
/// `ready` is called once all resources have been read.
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
        key = approval::key(&kubernetes, &audit, SealRole::Controllers) => key,
        () = stop.cancelled() => return,
    };
    let (tenants, tenant_writer) = reflector::store();
    let (clusters, cluster_writer) = reflector::store();
    let (topics, topic_writer) = reflector::store();
    let (tenant_queue, tenants_woken) = WorkQueue::new("Tenant", &metrics.controllers);
    let (cluster_queue, clusters_woken) = WorkQueue::new("KafkaCluster", &metrics.controllers);
    let (topic_queue, topics_woken) = WorkQueue::new("EventTopic", &metrics.controllers);
    metrics.controllers.show(metrics::Shown {
        tenants: tenants.clone(),
        clusters: clusters.clone(),
        topics: topics.clone(),
    });
    let context = Arc::new(Context {
        connections: Connections::new(metrics.kafka),
        access: Access::default(),
        approvals: Approvals::new(key),
        unregistered: unregistered::Found::default(),
        catalog: Catalog::default(),
        tenants,
        clusters,
        topics,
        tenant_queue,
        cluster_queue,
        topic_queue,
        metrics: metrics.controllers,
        audit,
        options,
        clock,
        kubernetes,
    });

    // Tenants and clusters are known before the first topic is seen: who owns a topic, and which
    // one it is, depends on them.
    let tenant_events = context.kubernetes.watch::<Tenant>().reflect(tenant_writer);
    let tenant_stream =
        watch::watched(&context, tenant_events, |context| &context.tenant_queue, tenant::learn);
    let cluster_events = context.kubernetes.watch::<KafkaCluster>().reflect(cluster_writer);
    let cluster_stream =
        watch::watched(&context, cluster_events, |context| &context.cluster_queue, kafka_cluster::learn);
    let topic_stream =
        topic::watched(&context, context.kubernetes.watch::<EventTopic>().reflect(topic_writer));

    let config = |concurrency| controller::Config::default().concurrency(concurrency);
    let tenants_run = Controller::for_stream(tenant_stream, context.tenants.clone())
        .with_config(config(4))
        .reconcile_on(tenants_woken)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(tenant::reconcile, |_, never, _| match *never {}, Arc::clone(&context));
    let clusters_run = Controller::for_stream(cluster_stream, context.clusters.clone())
        .with_config(config(16))
        .reconcile_on(clusters_woken)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(kafka_cluster::reconcile, |_, never, _| match *never {}, Arc::clone(&context));
    let topics_run = Controller::for_stream(topic_stream, context.topics.clone())
        .with_config(config(context.options.concurrency))
        .reconcile_on(topics_woken)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(topic::reconcile, |_, never, _| match *never {}, Arc::clone(&context));

    let known = async {
        let (tenants, clusters) = (context.tenants.wait_until_ready(), context.clusters.wait_until_ready());
        drop(tokio::join!(tenants, clusters, context.approvals.known()));
    };
    let topics_after = async {
        tokio::select! {
            () = known => drain("EventTopic", topics_run).await,
            () = stop.cancelled() => {}
        }
    };
    let announce = async {
        if context.topics.wait_until_ready().await.is_ok() {
            ready();
        }
    };
    let background = async {
        tokio::join!(
            announce,
            kafka_cluster::follow_secrets(&context),
            topic::schema::follow(&context),
            approval::follow_seals(&context),
            approval::follow(&context),
            resync::run(&context),
            checkpoint::run(&context),
            tenant::count(&context)
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ((), (), ()) = async {
            tokio::join!(drain("Tenant", tenants_run), drain("KafkaCluster", clusters_run), topics_after)
        } => {}
        () = background => {}
    }
}

/// Runs a controller to its end. What a reconcile did is noted where it happened.
fn drain<T, E: std::fmt::Display>(
    kind: &'static str,
    run: impl futures::Stream<Item = Result<T, E>>,
) -> impl Future<Output = ()> {
    run.for_each(move |result| async move {
        if let Err(error) = result {
            tracing::warn!(kind, %error, "watching");
        }
    })
}
