//! EventTopics: observe, plan, apply, report.

mod access;
mod deletion;
mod finalizer;
mod kafka_topic;
pub(super) mod schema;
mod status;

use std::borrow::Cow;
use std::sync::Arc;

use eventcenter_sdk::Reason;
use kube::core::error_boundary::InvalidObject;

use super::approval::{
    Activation, ApprovalDecision, ApprovalReport, Disposition, FactsLookup, GovernedReconciler, Obstacle,
    activate, deactivate, decide, prune_revisions,
};
use super::connections::ClusterState;
use super::context::Context;
use super::effect::ToFailure;
use super::queue::Watched;
use super::runtime::{Informer, ReconcileResult, Reconciled, Reconciler};
use super::services::Services;

use crate::api::{DeletionPolicy, EventTopic};
use crate::domain::management::{ManagementMode, management_mode};
use crate::domain::topic::deletion::wants_finalizer;
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Declared, Identity, Observed, Permission};
use crate::domain::{Failure, ObjectRef, backoff};
use crate::kafka::Kafka;
use finalizer::{has_finalizer, release, sync_finalizer};

/// Reconciles EventTopics.
pub(super) struct TopicReconciler(pub(super) Arc<Context>);

impl Reconciler for TopicReconciler {
    type Object = EventTopic;

    fn services(&self) -> &Services {
        &self.0.services
    }

    fn informer(&self) -> &Informer<EventTopic> {
        &self.0.topics
    }

    fn object_delivered(&self, topic: &EventTopic) {
        let affected = {
            let mut catalog = self.0.services.catalog.lock();
            if matches!(management_mode(topic), Ok(ManagementMode::Unmanaged)) {
                catalog.leave_behind(topic);
            }
            catalog.upsert(topic)
        };
        self.0.enqueue_topics(affected);
    }

    fn object_deleted(&self, topic: &Watched<EventTopic>) {
        self.0.services.approvals.forget(topic);
        let affected = {
            let mut catalog = self.0.services.catalog.lock();
            let retained =
                topic.0.as_ref().ok().filter(|topic| topic.spec.deletion_policy == DeletionPolicy::Retain);
            retained.into_iter().for_each(|topic| catalog.leave_behind(topic));
            catalog.remove(&ObjectRef::of(topic))
        };
        self.0.enqueue_topics(affected);
    }

    fn objects_listed(&self) {
        let topics = self.0.topics.objects.state();
        let topics = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
        let affected = self.0.services.catalog.lock().replace_all(topics);
        self.0.enqueue_topics(affected);
    }

    fn lacks_finalizer(&self, topic: &EventTopic) -> bool {
        management_mode(topic).is_ok_and(|mode| wants_finalizer(topic, mode)) && !has_finalizer(topic)
    }

    async fn reconcile(&self, topic: &EventTopic) -> ReconcileResult {
        if topic.metadata.deletion_timestamp.is_some() {
            return deletion::reconcile_deletion(topic, self, &self.0).await;
        }
        self.reconcile_present(topic).await
    }

    async fn reconcile_invalid(
        &self,
        topic: &Watched<EventTopic>,
        invalid: &InvalidObject,
    ) -> ReconcileResult {
        if invalid.metadata.deletion_timestamp.is_some() {
            return deletion::reconcile_invalid_deletion(topic, &self.0).await;
        }
        status::report_invalid(&self.0, invalid).await
    }

    async fn report_failure(&self, topic: &EventTopic, failure: Failure) -> ReconcileResult {
        let outcome = Outcome::Failed(failure);
        status::report(topic, &outcome, None, &ApprovalReport::unchanged(topic), &self.0).await
    }
}

impl GovernedReconciler for TopicReconciler {
    /// The facts about the Kafka topic with the declared name.
    async fn look_up_facts(&self, topic: &EventTopic) -> FactsLookup<Option<Observed>> {
        let permission = self.0.services.catalog.lock().check(topic);
        let Ok(Permission::Managed(identity, _)) = permission else { return FactsLookup::Unknown };
        match self.0.connections.reach(&identity.cluster) {
            ClusterState::Available(kafka) => match kafka.describe_topic(&identity.topic).await {
                Ok(observed) => {
                    kafka_topic::remember(&identity, observed.as_ref(), &self.0);
                    FactsLookup::Available(observed)
                }
                Err(error) => FactsLookup::Failed(error.to_failure()),
            },
            ClusterState::Unavailable(reason) => {
                FactsLookup::Failed(kafka_topic::unavailable(&identity, reason))
            }
            ClusterState::Unknown => FactsLookup::Unknown,
        }
    }
}

impl TopicReconciler {
    async fn reconcile_present(&self, topic: &EventTopic) -> ReconcileResult {
        let context = &*self.0;
        let has_lost_ownership = context.services.catalog.lock().has_lost_ownership(topic);
        let ApprovalDecision { resource: topic, disposition, mut report } = match has_lost_ownership {
            true => {
                deactivate(topic, &context.services).await?;
                ApprovalDecision::inactive(topic)
            }
            false => decide(self, topic).await?,
        };
        let permission = match &disposition {
            Disposition::Hold(_) => context.services.catalog.lock().check(&topic),
            Disposition::Apply | Disposition::Activate(_) => context.services.catalog.lock().reserve(&topic),
        };
        let (outcome, access) = match (permission, disposition) {
            // Each of them removes its record when it is reconciled.
            (Ok(Permission::Managed(identity, _)), _) if context.is_recorded_elsewhere(&identity, &topic) => {
                return Ok(Reconciled::requeue(Reason::Progressing, backoff::MIN_DELAY));
            }
            (Ok(Permission::Paused), _) => (Outcome::Paused, None),
            (Ok(Permission::Unmanaged), _) => {
                release(&topic, context).await?;
                (Outcome::Unmanaged, None)
            }
            (Ok(Permission::Managed(..)), Disposition::Hold(Some(obstacle))) => (obstacle.into(), None),
            // The state in Kafka was unknown when the changes were classified.
            (Ok(Permission::Managed(..)), Disposition::Hold(None)) => {
                return Ok(Reconciled::requeue(Reason::Progressing, backoff::MIN_DELAY));
            }
            (Ok(Permission::Managed(identity, declared)), disposition) => {
                match context.connections.reach(&identity.cluster) {
                    // The first health check of the cluster enqueues this topic again.
                    ClusterState::Unknown => return Ok(Reconciled::until_change(Reason::Progressing)),
                    ClusterState::Unavailable(reason) => {
                        (Outcome::Failed(kafka_topic::unavailable(&identity, reason)), None)
                    }
                    ClusterState::Available(kafka) => {
                        let Disposition::Activate(activation) = disposition else {
                            return apply(&topic, identity, &declared, &kafka, &report, None, context).await;
                        };
                        // Before any effect of the new spec.
                        let (topic, record) =
                            activate(&*topic, &activation, &context.topics, &context.services).await?;
                        // From now on the catalog includes its access.
                        self.object_delivered(&topic);
                        report.record = Some(record.clone());
                        let reconciled =
                            apply(&topic, identity, &declared, &kafka, &report, Some(&activation), context)
                                .await?;
                        prune_revisions(&topic, record.as_status(), &context.services).await;
                        return Ok(reconciled);
                    }
                }
            }
            (Ok(Permission::Stopped(identity, refusal)), _) => {
                access::stop(&topic, &identity, refusal, context).await
            }
            (Err(refusal), _) => (Outcome::Refused(refusal), None),
        };
        status::report(&topic, &outcome, access.as_ref(), &report, context).await
    }
}

impl From<Obstacle> for Outcome {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Refused(refusal) => Self::Refused(refusal),
            Obstacle::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// Registers the schemas, applies the declaration to the Kafka topic, then to its ACLs.
async fn apply(
    topic: &EventTopic,
    identity: Identity,
    declared: &Declared,
    kafka: &Kafka,
    report: &ApprovalReport,
    activation: Option<&Activation>,
    context: &Context,
) -> ReconcileResult {
    // Before anything exists that must be deleted with the resource.
    sync_finalizer(topic, context).await?;
    let registered = schema::register_schemas(topic, context).await?;
    let mut outcome = kafka_topic::sync(topic, identity.clone(), declared, kafka, context).await;
    if let Outcome::Applied { schemas, .. } = &mut outcome {
        *schemas = registered;
        if let Some(activation) = activation {
            activation.observe_applied(&context.services);
        }
    }
    // A refused configuration value does not prevent the removal of access.
    let is_reachable = !matches!(outcome, Outcome::Failed(Failure { is_stalled: false, .. }));
    let (topic, access) = match is_reachable {
        true => access::enforce(topic, &identity, declared, kafka, context).await?,
        false => (Cow::Borrowed(topic), None),
    };
    let reconciled = status::report(&topic, &outcome, access.as_ref(), report, context).await?;
    let has_no_access = topic.spec.access.is_empty() && access.is_some_and(|access| access.acls.is_empty());
    if has_no_access && topic.spec.deletion_policy == DeletionPolicy::Retain && has_finalizer(&*topic) {
        release(&topic, context).await?;
    }
    Ok(reconciled)
}
