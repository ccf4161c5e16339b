//! Runs the controller of a kind: watch, queue, reconcile, report, requeue.
//!
//! This exists once for all kinds. A kind implements [`Reconciler`].

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use futures::{FutureExt, Stream, StreamExt};
use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use kube::core::object::HasStatus;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{self, ObjectRef as StoreRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::effect::{EffectError, audit_unavailable};
use super::queue::{Fingerprint, Watched, WorkQueue};
use super::services::Services;
use crate::domain::{Failure, backoff};
use crate::kubernetes::WriteError;

/// Delay before an object is reconciled whose own status the watch has yet to deliver.
const WATCH_DELAY: Duration = Duration::from_millis(20);

/// The watched objects of a kind, and its queue.
#[derive(Clone)]
pub struct Informer<K: kube::Resource<DynamicType = ()> + Clone + 'static> {
    pub(super) objects: Store<Watched<K>>,
    pub(super) queue: Arc<WorkQueue<Watched<K>>>,
}

/// The sources of an [`Informer`], which the controller feeds.
pub struct InformerStreams<K: kube::Resource<DynamicType = ()> + Clone + 'static> {
    writer: reflector::store::Writer<Watched<K>>,
    enqueued: futures::channel::mpsc::UnboundedReceiver<StoreRef<Watched<K>>>,
}

impl<K> Informer<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    /// Creates an informer and its sources.
    #[must_use]
    pub fn new(services: &Services) -> (Self, InformerStreams<K>) {
        let (objects, writer) = reflector::store();
        let (queue, enqueued) = WorkQueue::new(&services.metrics);
        (Self { objects, queue: Arc::new(queue) }, InformerStreams { writer, enqueued })
    }

    /// Waits until all objects have been listed once.
    pub async fn wait_until_synced(&self) {
        // An error means that the watch has ended because the process stops.
        drop(self.objects.wait_until_ready().await);
    }

    /// Whether all objects have been listed once.
    pub(super) fn is_synced(&self) -> bool {
        self.objects.wait_until_ready().now_or_never().is_some()
    }
}

/// The result of a reconcile: the outcome for metrics, and when to reconcile again without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The outcome.
    pub reason: Reason,
    /// `None`: only a change starts the next reconcile.
    pub requeue_after: Option<Duration>,
}

impl Reconciled {
    /// Ended; only a change starts the next reconcile.
    #[must_use]
    pub fn until_change(reason: Reason) -> Self {
        Self { reason, requeue_after: None }
    }

    /// Ended; reconciles again after this time.
    #[must_use]
    pub fn requeue(reason: Reason, after: Duration) -> Self {
        Self { reason, requeue_after: Some(after) }
    }
}

/// The result of a reconcile: an error is a write to Kubernetes that failed, or an effect that could not be recorded.
pub type ReconcileResult = Result<Reconciled, EffectError<WriteError>>;

/// How the controller of a kind reconciles its objects.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Object: kube::Resource<DynamicType = ()>
        + HasStatus<Status: Serialize>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync;

    /// The services of all controllers.
    fn services(&self) -> &Services;

    /// The watched objects of this kind.
    fn informer(&self) -> &Informer<Self::Object>;

    /// Called for each delivered version of an object, including those that this controller wrote.
    fn object_delivered(&self, _object: &Self::Object) {}

    /// Called for each delivered version of an object whose spec, annotations or status another client changed.
    fn object_changed(&self, _object: &Watched<Self::Object>) {}

    /// Called when an object was deleted.
    fn object_deleted(&self, _object: &Watched<Self::Object>) {}

    /// Called when all objects have been listed: no others exist.
    fn objects_listed(&self) {}

    /// Whether the object needs the finalizer and does not have it.
    fn lacks_finalizer(&self, _object: &Self::Object) -> bool {
        false
    }

    /// Reconciles an object.
    fn reconcile(&self, object: &Self::Object) -> impl Future<Output = ReconcileResult> + Send;

    /// Reconciles an object that cannot be deserialized.
    fn reconcile_invalid(
        &self,
        _object: &Watched<Self::Object>,
        invalid: &InvalidObject,
    ) -> impl Future<Output = ReconcileResult> + Send {
        tracing::warn!(error = invalid.error, "the object cannot be deserialized");
        std::future::ready(Ok(Reconciled::until_change(Reason::InvalidResource)))
    }

    /// Reports a failure in the status.
    fn report_failure(
        &self,
        object: &Self::Object,
        failure: Failure,
    ) -> impl Future<Output = ReconcileResult> + Send;
}

/// Runs the controller of a kind until it is stopped and the running reconciles have ended.
///
/// The watch begins at once; the first reconcile waits for `ready`.
pub(super) async fn run<R: Reconciler>(
    reconciler: Arc<R>,
    streams: InformerStreams<R::Object>,
    concurrency: u16,
    ready: impl Future<Output = ()>,
    stop: CancellationToken,
) {
    let events = reconciler.services().kubernetes.watch::<R::Object>().reflect(streams.writer);
    let objects = reconciler.informer().objects.clone();
    let controller = Controller::for_stream(relevant(Arc::clone(&reconciler), events), objects)
        .with_config(controller::Config::default().concurrency(concurrency))
        .reconcile_on(streams.enqueued)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile::<R>, |_, never, _| match *never {}, reconciler);
    tokio::select! {
        () = ready => {}
        () = stop.cancelled() => return,
    }
    controller
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::warn!(kind = %<R::Object as kube::Resource>::kind(&()), %error, "watching");
            }
        })
        .await;
}

/// The objects that need a reconcile.
///
/// The store has listed objects only when the list is complete, so they are enqueued then. The controller would drop an
/// object that it does not find in the store.
fn relevant<R: Reconciler>(
    reconciler: Arc<R>,
    events: impl Stream<Item = Result<Event<Watched<R::Object>>, watcher::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Watched<R::Object>, watcher::Error>> + Send + 'static {
    let mut listed: Vec<(Option<String>, String)> = Vec::new();
    events.filter_map(move |event| {
        let passed = match event {
            Ok(Event::Apply(object)) => {
                if let Ok(object) = &object.0 {
                    reconciler.object_delivered(object);
                }
                should_reconcile(&*reconciler, &object).then(|| {
                    reconciler.object_changed(&object);
                    Ok(object)
                })
            }
            Ok(Event::Init) => {
                listed.clear();
                None
            }
            Ok(Event::InitApply(object)) => {
                if should_reconcile(&*reconciler, &object) {
                    listed.push((object.namespace(), object.name_any()));
                }
                None
            }
            Ok(Event::Delete(object)) => {
                reconciler.informer().queue.forget(&object);
                reconciler.object_deleted(&object);
                None
            }
            Ok(Event::InitDone) => {
                reconciler.objects_listed();
                for (namespace, name) in listed.drain(..) {
                    reconciler.informer().queue.enqueue(namespace.as_deref(), &name);
                }
                None
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(passed)
    })
}

fn should_reconcile<R: Reconciler>(reconciler: &R, object: &Watched<R::Object>) -> bool {
    let lacks_finalizer = object.0.as_ref().is_ok_and(|object| reconciler.lacks_finalizer(object));
    reconciler.informer().queue.should_reconcile(object, lacks_finalizer, Fingerprint::of_watched(object))
}

#[tracing::instrument(skip_all, fields(
    kind = %<R::Object as kube::Resource>::kind(&()),
    namespace = object.namespace(),
    resource = object.name_any(),
    tenant = object.namespace().and_then(|namespace| reconciler.services().catalog.lock().tenant_of(&namespace)),
))]
async fn reconcile<R: Reconciler>(
    object: Arc<Watched<R::Object>>,
    reconciler: Arc<R>,
) -> Result<Action, Infallible> {
    let informer = reconciler.informer();
    if informer.queue.is_outdated(&*object) {
        return Ok(Action::requeue(WATCH_DELAY));
    }
    informer.queue.begin(&object);
    let running = reconciler.services().metrics.start_reconcile(informer.queue.kind());
    let result = match &object.0 {
        Ok(object) => match reconciler.reconcile(object).await {
            Err(EffectError::NotRecorded(_)) => reconciler.report_failure(object, audit_unavailable()).await,
            result => result,
        },
        Err(invalid) => reconciler.reconcile_invalid(&object, invalid).await,
    };
    let Reconciled { reason, requeue_after } = result.unwrap_or_else(|error| after_error(&error));
    running.finish(reason.as_str());
    Ok(requeue_after.map_or_else(Action::await_change, Action::requeue))
}

/// The status of a kind that is observed at intervals was not written: reconciles again after this time.
pub(super) fn requeue_after_status_error(error: &WriteError, after: Duration) -> Reconciled {
    tracing::warn!(%error, "writing the status");
    Reconciled::requeue(Reason::Internal, after)
}

/// A write to Kubernetes failed, so only the log can report it. The next reconcile reads from Kafka what was applied.
fn after_error(error: &EffectError<WriteError>) -> Reconciled {
    let error = match error {
        EffectError::Failed(error) => error,
        EffectError::NotRecorded(_) => {
            return Reconciled::requeue(Reason::AuditUnavailable, backoff::MIN_DELAY);
        }
    };
    match error {
        // The watch delivers its new version, or its deletion.
        WriteError::NotFound { .. } => Reconciled::until_change(Reason::Deleting),
        WriteError::Conflict { .. } => {
            tracing::debug!(%error, "retrying");
            Reconciled::requeue(Reason::Progressing, Duration::from_millis(200))
        }
        WriteError::Api { .. } => {
            tracing::warn!(%error, "retrying");
            Reconciled::requeue(Reason::Internal, backoff::MIN_DELAY)
        }
    }
}
