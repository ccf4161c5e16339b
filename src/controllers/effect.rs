//! Effects and their records: the audit log has a record of every change in Kafka or Kubernetes before it is made.
//!
//! An effect has two records. The first is durable before the effect begins; the second reports the outcome, and the
//! reconcile does not wait for it. After a kill in between, only the first exists and the outcome is unknown.
//!
//! Deliberately absent: records of statuses and Events, which report effects.

use eventcenter_sdk::Reason;
use kube::{Resource, ResourceExt};
use uuid::Uuid;

use super::services::Services;
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Target, Via};
use crate::domain::{Failure, Refusal};
use crate::error_chain::ErrorChain;
use crate::kafka;
use crate::kubernetes::WriteError;
use crate::store::{RecordError, WriteOutcome};

/// An effect failed, or was not attempted.
#[derive(Debug, thiserror::Error)]
pub enum EffectError<E> {
    /// It could not be recorded, so it was not attempted.
    #[error(transparent)]
    NotRecorded(RecordError),
    /// It was attempted and failed.
    #[error("{0}")]
    Failed(E),
}

impl<E> From<E> for EffectError<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// An error that a status or a record can report.
pub(super) trait ToFailure {
    /// The report.
    fn to_failure(&self) -> Failure;
}

impl ToFailure for kafka::Error {
    fn to_failure(&self) -> Failure {
        self.failure()
    }
}

impl ToFailure for WriteError {
    fn to_failure(&self) -> Failure {
        let reason = match self {
            Self::NotFound { .. } => Reason::Deleting,
            Self::Conflict { .. } => Reason::Progressing,
            Self::Api { .. } => Reason::Internal,
        };
        Failure { refusal: Refusal::new(reason, self.to_string()), is_stalled: false }
    }
}

impl ToFailure for Failure {
    fn to_failure(&self) -> Failure {
        self.clone()
    }
}

impl<E: ToFailure> ToFailure for EffectError<E> {
    fn to_failure(&self) -> Failure {
        match self {
            Self::NotRecorded(_) => audit_unavailable(),
            Self::Failed(error) => error.to_failure(),
        }
    }
}

/// The report for an effect that could not be recorded. The log of the process has the details.
pub(super) fn audit_unavailable() -> Failure {
    let message = "The audit log is unavailable; no change is made without a record. Retrying automatically.";
    Failure { refusal: Refusal::new(Reason::AuditUnavailable, message), is_stalled: false }
}

/// The first record of an effect.
fn started(
    resource: &impl Resource<DynamicType = ()>,
    tenant: Option<&str>,
    instance: &str,
    action: Action,
    what: String,
) -> Event {
    Event { message: Some(what), ..about(resource, tenant, instance, action, Outcome::Started) }
}

/// The common part of all records about a resource.
fn about<K: Resource<DynamicType = ()>>(
    resource: &K,
    tenant: Option<&str>,
    instance: &str,
    action: Action,
    outcome: Outcome,
) -> Event {
    let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
    let target = Target {
        kind: K::kind(&()).into_owned(),
        namespace: resource.namespace(),
        name: resource.name_any(),
        uid: resource.uid(),
    };
    Event { target: Some(target), ..Event::new(LogName::of(tenant), actor, action, outcome) }
}

/// The second record of an effect.
fn ended(start: &Event, record: Option<Uuid>, failure: Option<Failure>) -> Event {
    let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Succeeded };
    let failure = failure.map(|failure| (failure.refusal.reason, failure.refusal.message()));
    let end = start.completion(record.unwrap_or_default(), outcome, failure);
    // If the policy allows the effect without its first record, the second one completes none.
    Event { completes: record, ..end }
}

impl Services {
    /// Records that an effect on a resource begins, runs it, and records how it ended.
    ///
    /// # Errors
    /// It could not be recorded, so it was not attempted; or it failed.
    pub(super) fn effect<'f, T, E: ToFailure>(
        &'f self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        what: impl Into<String>,
        effect: impl Future<Output = Result<T, E>> + 'f,
    ) -> impl Future<Output = Result<T, EffectError<E>>> + 'f {
        self.run_recorded(self.start_record(resource, action, what.into()), effect)
    }

    /// The first record of an effect on a resource.
    pub(super) fn start_record(
        &self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        what: String,
    ) -> Event {
        let tenant = self.tenant_of(resource);
        started(resource, tenant.as_deref(), &self.audit.instance, action, what)
    }

    /// Runs an effect between its first record and its second.
    ///
    /// # Errors
    /// As [`Services::effect`].
    pub(super) fn run_recorded<'f, T, E: ToFailure>(
        &'f self,
        start: Event,
        effect: impl Future<Output = Result<T, E>> + 'f,
    ) -> impl Future<Output = Result<T, EffectError<E>>> + 'f {
        // A reconcile has many effects, and its future would be as large as all of them together.
        let effect = Box::pin(effect);
        async move {
            let record = match self.audit.recorder.record(start.clone()).await {
                Ok(WriteOutcome::Durable(id) | WriteOutcome::Spooled(id)) => Some(id),
                Ok(WriteOutcome::Lost) => None,
                Err(error) => {
                    tracing::warn!(action = %start.action, error = %ErrorChain(&error), "the effect is not attempted, because it cannot be recorded");
                    return Err(EffectError::NotRecorded(error));
                }
            };
            let result = effect.await;
            let failure = result.as_ref().err().map(ToFailure::to_failure);
            self.audit.recorder.enqueue(ended(&start, record, failure)).await;
            result.map_err(EffectError::Failed)
        }
    }

    /// Records an event about a resource. A failure is logged.
    pub(super) async fn record_event(
        &self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        outcome: Outcome,
        why: Option<Reason>,
        what: String,
    ) {
        let tenant = self.tenant_of(resource);
        let event = about(resource, tenant.as_deref(), &self.audit.instance, action, outcome);
        let event = Event { reason: why, message: Some(what), ..event };
        if let Err(error) = self.audit.recorder.record(event).await {
            tracing::warn!(%action, error = %ErrorChain(&error), "cannot record an event");
        }
    }

    /// Queues the record of an event about a resource, without waiting for it.
    pub(super) async fn enqueue_event(
        &self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        outcome: Outcome,
        why: Option<Reason>,
        what: String,
    ) {
        let tenant = self.tenant_of(resource);
        let event = about(resource, tenant.as_deref(), &self.audit.instance, action, outcome);
        self.audit.recorder.enqueue(Event { reason: why, message: Some(what), ..event }).await;
    }

    fn tenant_of(&self, resource: &impl Resource<DynamicType = ()>) -> Option<String> {
        self.catalog.lock().tenant_of(&resource.namespace()?)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use kube::core::DeserializeGuard;

    use super::*;
    use crate::api::EventTopic;

    fn topic() -> EventTopic {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"namespace": "shop", "name": "orders", "uid": "7e57", "labels": {"a": "b"}},
            "spec": {},
        }))
        .expect("an EventTopic")
    }

    fn line(event: &Event) -> String {
        let target = event.target.as_ref().expect("it is about a resource");
        format!(
            "{}: {} via {}: {} {} {}/{} ({}) {}{}: {}{}",
            event.log,
            event.actor.user,
            event.actor.via,
            event.action,
            target.kind,
            target.namespace.as_deref().unwrap_or("-"),
            target.name,
            target.uid.as_deref().unwrap_or("-"),
            event.outcome,
            event.reason.map(|reason| format!(" {reason}")).unwrap_or_default(),
            event.message.as_deref().unwrap_or("-"),
            event.completes.map(|start| format!(" completes {start}")).unwrap_or_default(),
        )
    }

    fn check(
        tenant: Option<&str>,
        action: Action,
        what: &str,
        failure: Option<&dyn ToFailure>,
        expected: &Expect,
    ) {
        let start = started(&topic(), tenant, "pod-1", action, what.into());
        let id = Some(Uuid::from_u128(7));
        let ends = [ended(&start, id, failure.map(ToFailure::to_failure)), ended(&start, None, None)];
        let lines: Vec<String> = [&start, &ends[0], &ends[1]].map(line).into();
        assert!(ends.iter().all(|end| end.change.is_none()));
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn both_records_name_actor_action_resource_and_outcome() {
        let what = "Kafka topic shop.orders in main: create with 3 partitions";
        check(
            Some("shop"),
            Action::CreateTopic,
            what,
            None,
            &expect![[r#"
                shop: pod-1 via Controllers: CreateTopic EventTopic shop/orders (7e57) Started: Kafka topic shop.orders in main: create with 3 partitions
                shop: pod-1 via Controllers: CreateTopic EventTopic shop/orders (7e57) Succeeded: Kafka topic shop.orders in main: create with 3 partitions completes 00000000-0000-0000-0000-000000000007
                shop: pod-1 via Controllers: CreateTopic EventTopic shop/orders (7e57) Succeeded: Kafka topic shop.orders in main: create with 3 partitions"#]],
        );
    }

    #[test]
    fn a_failure_has_its_reason_and_a_namespace_without_a_tenant_belongs_to_the_platform() {
        let conflict = WriteError::Conflict { what: "adding the finalizer" };
        check(
            None,
            Action::AddFinalizer,
            "finalizer",
            Some(&conflict),
            &expect![[r#"
                _platform: pod-1 via Controllers: AddFinalizer EventTopic shop/orders (7e57) Started: finalizer
                _platform: pod-1 via Controllers: AddFinalizer EventTopic shop/orders (7e57) Failed Progressing: adding the finalizer: the resource has changed meanwhile completes 00000000-0000-0000-0000-000000000007
                _platform: pod-1 via Controllers: AddFinalizer EventTopic shop/orders (7e57) Succeeded: finalizer"#]],
        );
        let inner = EffectError::Failed(kafka::Error::NotVisible);
        assert_eq!(inner.to_failure().refusal.reason, Reason::Progressing);
    }

    #[test]
    fn an_invalid_resource_is_named_too() {
        let guard = DeserializeGuard(Ok(topic()));
        assert_eq!(
            started(&guard, None, "p", Action::RemoveFinalizer, "f".into()),
            started(&topic(), None, "p", Action::RemoveFinalizer, "f".into())
        );
    }
}
