//! `eventctl pending`, `diff`, `approve`, `reject`, `withdraw` and `approvals`: four eyes from the command line.
//!
//! Each command reads what there is, as the person who runs it and with their rights. That something waits, and for whom,
//! is what the operator says in the status; what content it is, and what it would change, is computed here from what the
//! resource declares.
//!
//! Deliberately absent: whether somebody may decide, which is the webhook's, and whether a change takes effect,
//! which is the controllers'.

pub(super) mod consent;
pub(super) mod decide;
pub(super) mod decisions;
pub(super) mod diff;
pub(super) mod pending;
mod proposal;
mod shown;
pub(super) mod withdraw;

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::login::Named;
use crate::api::{ApprovalAction, EventTopic, EventTopicSpec, PendingChange};
use crate::domain::approval::SpecHash;
use crate::domain::topic::diff::diff;
use crate::kubernetes::Session;

/// How often is looked whether the operator has done something.
const GLANCE: Duration = Duration::from_millis(200);

/// How long the operator is given to look at a change that was made a moment ago.
const ATTENTION: Duration = Duration::from_secs(5);

/// A resource as it was read.
struct Seen {
    /// All of it.
    whole: Value,
    /// What this program understands of it.
    topic: EventTopic,
    /// The name of what it declares.
    hash: SpecHash,
}

/// What the operator says of the declaration as it is now.
#[derive(Debug, PartialEq)]
enum Standing<'a> {
    /// Nothing of it waits.
    Nothing,
    /// It waits.
    Waits(&'a PendingChange),
    /// The operator has not looked at it yet.
    Unseen,
}

impl Seen {
    fn of(whole: Value) -> anyhow::Result<Self> {
        let topic: EventTopic = serde_json::from_value(whole.clone())
            .context("the resource cannot be read: it is of another version than this program")?;
        let hash = SpecHash::of(&topic.spec);
        Ok(Self { whole, topic, hash })
    }

    fn standing(&self) -> Standing<'_> {
        let status = self.topic.status.as_ref();
        let generation = self.topic.metadata.generation.unwrap_or_default();
        let is_now =
            |pending: &&PendingChange| pending.hash == self.hash.as_str() && pending.generation == generation;
        match status.and_then(|status| status.pending.as_deref()).filter(is_now) {
            Some(pending) => Standing::Waits(pending),
            None if status.is_some_and(|status| status.observed_generation == Some(generation)) => {
                Standing::Nothing
            }
            None => Standing::Unseen,
        }
    }

    /// The content that is in force, if the operator has said of one that it is.
    async fn in_force(&self, session: &Session) -> anyhow::Result<Option<EventTopicSpec>> {
        let Some(approved) = self.topic.status.as_ref().and_then(|status| status.approved.as_ref()) else {
            return Ok(None);
        };
        if approved.hash == self.hash.as_str() {
            return Ok(Some(self.topic.spec.clone()));
        }
        let namespace = self.topic.metadata.namespace.as_deref().unwrap_or_default();
        let lost = || {
            anyhow!(
                "what is in force is not known here: status.approved names no ControllerRevision that keeps it, because \
                 nothing needed approval then"
            )
        };
        let revision = approved.revision.as_deref().ok_or_else(lost)?;
        let kept = session.get_approved_spec(namespace, revision).await?.ok_or_else(lost)?;
        let spec: EventTopicSpec = serde_json::from_value(kept)
            .with_context(|| format!("ControllerRevision {revision} keeps no EventTopic"))?;
        if SpecHash::of(&spec).as_str() != approved.hash {
            bail!(
                "ControllerRevision {revision} does not keep what status.approved names: somebody else has written one of \
                 them"
            );
        }
        Ok(Some(spec))
    }
}

/// What a change that waits would change, a line each: computed here from what is declared and what is in force, so that it
/// is all of it and nobody else's words. Only where that cannot be known it is what the operator says in the status.
async fn lines(session: &Session, seen: &Seen, pending: &PendingChange) -> Vec<String> {
    let own = match (pending.action, seen.in_force(session).await) {
        (ApprovalAction::Apply, Ok(base)) => diff(base.as_ref(), &seen.topic.spec),
        _ => Vec::new(),
    };
    if own.is_empty() { pending.diff.clone() } else { own }
}

/// Reads a resource.
async fn look(session: &Session, namespace: &str, named: &Named) -> anyhow::Result<Seen> {
    match session.topic(namespace, &named.name).await? {
        Some(whole) => Seen::of(whole),
        None => bail!("there is no {}", shown::place(named, namespace)),
    }
}

/// Reads a resource, and waits a moment if the operator has not looked at its last change yet.
async fn attended(session: &Session, namespace: &str, named: &Named) -> anyhow::Result<Seen> {
    let deadline = tokio::time::Instant::now() + ATTENTION;
    loop {
        let seen = look(session, namespace, named).await?;
        if seen.standing() != Standing::Unseen {
            return Ok(seen);
        }
        if tokio::time::Instant::now() >= deadline {
            bail!(
                "the operator has not looked at {} as it is now: ask again in a moment, and see that it is running",
                shown::place(named, namespace)
            );
        }
        tokio::time::sleep(GLANCE).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "people are told how long something waits")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn standing(generation: i64, status: Value) -> String {
        let mut whole = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"name": "orders", "namespace": "shop", "generation": generation},
            "spec": {"partitions": 3},
        });
        whole["status"] = status;
        let seen = Seen::of(whole).expect("an EventTopic");
        match seen.standing() {
            Standing::Nothing => "nothing".into(),
            Standing::Waits(pending) => format!("waits {}", pending.approvals),
            Standing::Unseen => "unseen".into(),
        }
    }

    #[test]
    fn only_what_the_operator_says_of_this_very_declaration_counts() {
        let spec: EventTopicSpec = serde_json::from_value(json!({"partitions": 3})).expect("a spec");
        let hash = SpecHash::of(&spec).to_string();
        let pending = |hash: &str, generation: i64| {
            json!({"observedGeneration": generation, "pending": {
                "hash": hash, "generation": generation, "since": "2026-11-21T12:00:00Z", "approvals": "0/1",
            }})
        };
        assert_eq!(standing(2, pending(&hash, 2)), "waits 0/1");
        assert_eq!(standing(3, pending(&hash, 2)), "unseen", "it was changed, and changed back");
        assert_eq!(standing(3, pending("other", 2)), "unseen");
        assert_eq!(standing(2, json!({"observedGeneration": 2})), "nothing");
        assert_eq!(standing(2, json!({"observedGeneration": 1})), "unseen");
        assert_eq!(standing(1, json!({})), "unseen");
    }
}
