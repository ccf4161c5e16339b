//! The controller of one kind, in the form in which all controllers are started.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::core::object::HasStatus;
use tokio_util::sync::CancellationToken;

use super::approval::{GovernedQueue, GovernedReconciler};
use super::metrics::{CountResources, KindAndCondition};
use super::runtime::{self, Informer, InformerStreams, Reconciler};
use crate::api::{HasApproval, HasConditions, Kind};
use crate::domain::approval::Governed;

type Run = Box<dyn FnOnce(BoxFuture<'static, ()>, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// The controller of one kind, not started yet.
pub struct KindController {
    pub(super) resources: Arc<dyn CountResources>,
    /// Whether all resources have been listed; `false` if the watch has ended before.
    pub(super) listed: BoxFuture<'static, bool>,
    /// The kind and its queue, if it is governed.
    pub(super) governed: Option<(Kind, Arc<dyn GovernedQueue>)>,
    /// Runs the controller until it is stopped and the running reconciles have ended. The first argument delays the first
    /// reconcile.
    pub(super) run: Run,
}

impl KindController {
    /// The controller of a kind whose changes need no approval.
    #[must_use]
    pub fn new<R>(reconciler: Arc<R>, streams: InformerStreams<R::Object>, concurrency: u16) -> Self
    where
        R: Reconciler<Object: HasStatus<Status: HasConditions>>,
    {
        let objects = reconciler.informer().objects.clone();
        Self {
            resources: Arc::new(reconciler.informer().clone()),
            listed: Box::pin(async move { objects.wait_until_ready().await.is_ok() }),
            governed: None,
            run: Box::new(move |ready, stop| {
                Box::pin(runtime::run(reconciler, streams, concurrency, ready, stop))
            }),
        }
    }

    /// The controller of a governed kind.
    #[must_use]
    pub fn governed<R: GovernedReconciler>(
        reconciler: Arc<R>,
        streams: InformerStreams<R::Object>,
        concurrency: u16,
    ) -> Self {
        let informer = reconciler.informer().clone();
        Self {
            resources: Arc::new(GovernedInformer(informer.clone())),
            governed: Some((Kind::of::<R::Object>(), Arc::new(informer))),
            ..Self::new(reconciler, streams, concurrency)
        }
    }
}

impl<K> CountResources for Informer<K>
where
    K: kube::Resource<DynamicType = ()>
        + HasStatus<Status: HasConditions>
        + Clone
        + fmt::Debug
        + Send
        + Sync
        + 'static,
{
    fn count_conditions(&self, counts: &mut HashMap<KindAndCondition, i64>) {
        for resource in self.objects.state() {
            let status = resource.0.as_ref().ok().and_then(HasStatus::status);
            for condition in status.map(HasConditions::conditions).unwrap_or_default() {
                let labels = KindAndCondition {
                    kind: self.queue.kind(),
                    condition: condition.type_.clone(),
                    status: condition.status.clone(),
                    reason: condition.reason.clone(),
                };
                *counts.entry(labels).or_default() += 1;
            }
        }
    }
}

/// The resources of a governed kind.
struct GovernedInformer<K: kube::Resource<DynamicType = ()> + Clone + 'static>(Informer<K>);

impl<K: Governed + Send + Sync + 'static> CountResources for GovernedInformer<K> {
    fn count_conditions(&self, counts: &mut HashMap<KindAndCondition, i64>) {
        self.0.count_conditions(counts);
    }

    fn count_pending(&self, by_namespace: &mut HashMap<String, i64>) {
        for resource in self.0.objects.state() {
            let Ok(resource) = &resource.0 else { continue };
            if resource.status().and_then(HasApproval::pending).is_some() {
                *by_namespace.entry(resource.namespace().unwrap_or_default()).or_default() += 1;
            }
        }
    }
}
