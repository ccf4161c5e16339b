//! Effects and their records: nothing is changed in Kafka or Kubernetes before the audit log says that it is about to be.
//!
//! An effect has two records. The first is durable before the effect begins; the second tells how it ended and need not be
//! waited for. A kill in between leaves the first one alone, which says that nobody knows how it ended.
//!
//! Deliberately absent: statuses and Events of Kubernetes, which tell of effects and are none.

use eventcenter_sdk::Reason;
use kube::{Resource, ResourceExt};
use uuid::Uuid;

use super::Context;
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Target, Via};
use crate::domain::{Failure, Refusal};
use crate::kafka;
use crate::kubernetes::WriteError;
use crate::store::{RecordError, WriteOutcome};

/// An effect was not made, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError<E> {
    /// It could not be recorded, so it was not tried.
    #[error(transparent)]
    NotRecorded(RecordError),
    /// It was tried.
    #[error("{0}")]
    Failed(E),
}

impl<E> From<E> for EffectError<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// An error of an effect.
pub(super) trait ToFailure {
    /// What to report.
    fn failure(&self) -> Failure;
}

impl ToFailure for kafka::Error {
    fn failure(&self) -> Failure {
        self.failure()
    }
}

impl ToFailure for WriteError {
    fn failure(&self) -> Failure {
        let reason = match self {
            Self::Gone { .. } => Reason::Deleting,
            Self::Conflict { .. } => Reason::Progressing,
            Self::Api { .. } => Reason::Internal,
        };
        Failure::retryable(Refusal::new(reason, self.to_string()))
    }
}

impl ToFailure for Failure {
    fn failure(&self) -> Failure {
        self.clone()
    }
}

impl<E: ToFailure> ToFailure for EffectError<E> {
    fn failure(&self) -> Failure {
        match self {
            Self::NotRecorded(_) => Failure::retryable(unrecorded()),
            Self::Failed(error) => error.failure(),
        }
    }
}

/// What is told of a resource for which nothing is done because that could not be recorded. What exactly is the matter
/// with the store is for the log.
pub(super) fn unrecorded() -> Refusal {
    Refusal::new(
        Reason::AuditUnavailable,
        "the audit log cannot be written just now, and nothing is changed without a record; this is tried again by itself",
    )
}

/// Who does what to which resource, as its first record says it.
fn started(
    resource: &impl Resource<DynamicType = ()>,
    tenant: Option<&str>,
    instance: &str,
    action: Action,
    what: String,
) -> Event {
    Event { message: Some(what), ..about(resource, tenant, instance, action, Outcome::Started) }
}

/// What all records about a resource say.
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

/// How what was begun has ended.
fn ended(start: &Event, record: Option<Uuid>, failure: Option<Failure>) -> Event {
    let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Succeeded };
    let failure = failure.map(|Failure { refusal, .. }| (refusal.reason, refusal.message()));
    let end = start.completion(record.unwrap_or_default(), outcome, failure);
    // Where the first record was lost, and the policy lets things go on, the second stands alone.
    Event { completes: record, ..end }
}

impl Context {
    /// Records that this is about to be done to a resource, does it, and records how it went.
    ///
    /// # Errors
    /// It could not be recorded, so nothing was done; or it was tried and failed.
    pub(super) fn effect<'f, T, E: ToFailure>(
        &'f self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        what: impl Into<String>,
        effect: impl Future<Output = Result<T, E>> + 'f,
    ) -> impl Future<Output = Result<T, EffectError<E>>> + 'f {
        self.run_recorded(self.start_record(resource, action, what.into()), effect)
    }

    /// The first record of what is about to be done to a resource.
    pub(super) fn start_record(
        &self,
        resource: &impl Resource<DynamicType = ()>,
        action: Action,
        what: String,
    ) -> Event {
        let tenant = self.tenant_of(resource);
        started(resource, tenant.as_deref(), &self.audit.instance, action, what)
    }

    /// The same for an event that is known already.
    ///
    /// # Errors
    /// As above.
    pub(super) fn run_recorded<'f, T, E: ToFailure>(
        &'f self,
        start: Event,
        effect: impl Future<Output = Result<T, E>> + 'f,
    ) -> impl Future<Output = Result<T, EffectError<E>>> + 'f {
        // A reconcile has many of them one after the other, and would be as large as all together.
        let effect = Box::pin(effect);
        async move {
            let record = match self.audit.recorder.record(start.clone()).await {
                Ok(WriteOutcome::Durable(id) | WriteOutcome::Spooled(id)) => Some(id),
                Ok(WriteOutcome::Lost) => None,
                Err(error) => {
                    tracing::warn!(action = %start.action, error = %chain(&error), "not done: it cannot be recorded");
                    return Err(EffectError::NotRecorded(error));
                }
            };
            let result = effect.await;
            let failure = result.as_ref().err().map(ToFailure::failure);
            self.audit.recorder.enqueue(ended(&start, record, failure)).await;
            result.map_err(EffectError::Failed)
        }
    }

    /// Records something about a resource that has happened. What cannot be recorded is in the log of the process.
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
            tracing::warn!(%action, error = %chain(&error), "this cannot be recorded");
        }
    }

    fn tenant_of(&self, resource: &impl Resource<DynamicType = ()>) -> Option<String> {
        self.catalog.lock().tenant_of(&resource.namespace()?)
    }
}

/// An error and what it is due to.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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
        says: &Expect,
    ) {
        let start = started(&topic(), tenant, "pod-1", action, what.into());
        let id = Some(Uuid::from_u128(7));
        let ends = [ended(&start, id, failure.map(ToFailure::failure)), ended(&start, None, None)];
        let lines: Vec<String> = [&start, &ends[0], &ends[1]].map(line).into();
        assert!(ends.iter().all(|end| end.change.is_none()));
        says.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn both_records_say_who_did_what_to_which_resource_and_how_it_ended() {
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
    fn a_failure_has_its_reason_and_a_namespace_without_a_tenant_is_the_platforms() {
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
        assert_eq!(inner.failure().refusal.reason, Reason::Progressing);
    }

    #[test]
    fn a_resource_that_cannot_be_read_is_named_all_the_same() {
        let guard = DeserializeGuard(Ok(topic()));
        assert_eq!(
            started(&guard, None, "p", Action::RemoveFinalizer, "f".into()),
            started(&topic(), None, "p", Action::RemoveFinalizer, "f".into())
        );
    }
}
