//! Governed resources as the API server has them, and how far the operator has processed them.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::resource_arg::ResourceArg;
use crate::api::{ApprovalAction, HasApproval, HasConditions, Kind, PendingChange};
use crate::domain::approval::{Governed, SpecHash};
use crate::kubernetes::Session;

/// Interval at which a resource is read again until the operator has processed it.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How long the commands wait until the operator has observed the latest generation.
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(5);

/// A governed kind whose resources the commands can read.
pub(super) trait GovernedResource:
    Governed + DeserializeOwned + Resource<Scope = NamespaceResourceScope> + 'static
{
}

impl<K> GovernedResource for K where
    K: Governed + DeserializeOwned + Resource<Scope = NamespaceResourceScope> + 'static
{
}

/// A resource as the API server returned it.
pub(super) struct StoredResource<K> {
    /// The JSON, with the fields that this version does not know.
    pub(super) json: Value,
    /// The typed resource.
    pub(super) object: K,
    /// The hash of the declared spec.
    pub(super) hash: SpecHash,
}

/// How far the operator has processed the declared spec.
#[derive(Debug, PartialEq)]
pub(super) enum Progress<'a> {
    /// No change of it is pending.
    NothingPending,
    /// It is pending approval.
    Pending(&'a PendingChange),
    /// The operator has not observed this generation yet.
    NotObserved,
}

impl<K: GovernedResource> StoredResource<K> {
    /// Parses a resource.
    pub(super) fn parse(json: Value) -> anyhow::Result<Self> {
        let object: K = serde_json::from_value(json.clone())
            .context("the resource cannot be parsed: its version differs from that of this program")?;
        let hash = SpecHash::of(object.spec());
        Ok(Self { json, object, hash })
    }

    /// How far the operator has processed the declared spec. A pending change of another generation does not count.
    pub(super) fn progress(&self) -> Progress<'_> {
        let status = self.object.status();
        let generation = self.object.meta().generation.unwrap_or_default();
        let is_current =
            |pending: &&PendingChange| pending.hash == self.hash.as_str() && pending.generation == generation;
        match status.and_then(HasApproval::pending).filter(is_current) {
            Some(pending) => Progress::Pending(pending),
            None if status.and_then(HasConditions::observed_generation) == Some(generation) => {
                Progress::NothingPending
            }
            None => Progress::NotObserved,
        }
    }

    /// Reads the active spec; `None` if no spec was active yet.
    ///
    /// # Errors
    /// The active spec is unknown, cannot be read, or does not have the hash that the status names.
    pub(super) async fn active_spec(&self, session: &Session) -> anyhow::Result<Option<K::Spec>> {
        let Some(approved) = self.object.status().and_then(HasApproval::approved) else {
            return Ok(None);
        };
        if approved.hash == self.hash.as_str() {
            return Ok(Some(self.object.spec().clone()));
        }
        let namespace = self.object.meta().namespace.as_deref().unwrap_or_default();
        let unknown = || {
            anyhow!(
                "the active spec is unknown: status.approved names no existing ControllerRevision, because no approval rule \
                 applied when it took effect"
            )
        };
        let revision = approved.revision.as_deref().ok_or_else(unknown)?;
        let stored = session.get_approved_spec(namespace, revision).await?.ok_or_else(unknown)?;
        let spec: K::Spec = serde_json::from_value(stored)
            .with_context(|| format!("ControllerRevision {revision} has no spec of {}", Kind::of::<K>()))?;
        if SpecHash::of(&spec).as_str() != approved.hash {
            bail!(
                "the spec in ControllerRevision {revision} does not have the hash in status.approved: one of them was not \
                 written by the operator"
            );
        }
        Ok(Some(spec))
    }

    /// The differences of a pending change, a line each. They are computed here, because anyone who may write the status
    /// could forge those in it. The status is used only if the active spec cannot be read, or existing data is taken over.
    pub(super) async fn diff_lines(&self, session: &Session, pending: &PendingChange) -> Vec<String> {
        // Only the operator knows the existing data.
        if pending.takeover_hash.is_some() {
            return pending.diff.clone();
        }
        let computed = match (pending.action, self.active_spec(session).await) {
            (ApprovalAction::Apply, Ok(base)) => {
                K::diff(base.as_ref(), self.object.spec(), &K::Facts::default())
            }
            _ => Vec::new(),
        };
        if computed.is_empty() { pending.diff.clone() } else { computed }
    }
}

/// Reads a resource; `None` if it does not exist.
pub(super) async fn find<K: GovernedResource>(
    session: &Session,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Option<StoredResource<K>>> {
    session.get_resource::<K>(namespace, name).await?.map(StoredResource::parse).transpose()
}

/// Reads a resource that must exist.
pub(super) async fn read<K: GovernedResource>(
    session: &Session,
    namespace: &str,
    resource: &ResourceArg,
) -> anyhow::Result<StoredResource<K>> {
    match find(session, namespace, &resource.name).await? {
        Some(stored) => Ok(stored),
        None => bail!("there is no {}", resource.in_namespace(namespace)),
    }
}

/// Reads a resource, and waits until the operator has observed its latest generation.
pub(super) async fn read_observed<K: GovernedResource>(
    session: &Session,
    namespace: &str,
    resource: &ResourceArg,
) -> anyhow::Result<StoredResource<K>> {
    let deadline = tokio::time::Instant::now() + OBSERVATION_TIMEOUT;
    loop {
        let stored = read::<K>(session, namespace, resource).await?;
        if stored.progress() != Progress::NotObserved {
            return Ok(stored);
        }
        if tokio::time::Instant::now() >= deadline {
            bail!(
                "the operator has not observed the latest generation of {}: retry in a moment, and check that the operator \
                 is running",
                resource.in_namespace(namespace)
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The time now, for ages.
#[expect(clippy::disallowed_methods, reason = "the commands show how long ago something happened")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, EventTopicSpec};
    use serde_json::json;

    fn progress(generation: i64, status: Value) -> String {
        let mut json = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"name": "orders", "namespace": "shop", "generation": generation},
            "spec": {"partitions": 3},
        });
        json["status"] = status;
        let stored = StoredResource::<EventTopic>::parse(json).expect("an EventTopic");
        match stored.progress() {
            Progress::NothingPending => "nothing pending".into(),
            Progress::Pending(pending) => format!("pending {}", pending.approvals),
            Progress::NotObserved => "not observed".into(),
        }
    }

    #[test]
    fn only_the_status_of_this_spec_and_generation_counts() {
        let spec: EventTopicSpec = serde_json::from_value(json!({"partitions": 3})).expect("a spec");
        let hash = SpecHash::of(&spec).to_string();
        let pending = |hash: &str, generation: i64| {
            json!({"observedGeneration": generation, "pending": {
                "hash": hash, "generation": generation, "since": "2026-11-21T12:00:00Z", "approvals": "0/1",
            }})
        };
        assert_eq!(progress(2, pending(&hash, 2)), "pending 0/1");
        assert_eq!(progress(3, pending(&hash, 2)), "not observed", "the spec was changed and changed back");
        assert_eq!(progress(3, pending("other", 2)), "not observed");
        assert_eq!(progress(2, json!({"observedGeneration": 2})), "nothing pending");
        assert_eq!(progress(2, json!({"observedGeneration": 1})), "not observed");
        assert_eq!(progress(1, json!({})), "not observed");
    }
}
