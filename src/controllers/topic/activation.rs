//! A declaration that takes effect, or a resource that goes with its data: why it may, and who is told.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::Context;
use crate::api::{EventTopic, GovernedChange};
use crate::domain::approval::SpecHash;
use crate::domain::approval::authorization::Grant;
use crate::domain::approval::pending::named;
use crate::domain::audit::{Action, Event};
use crate::domain::topic::status::Outcome;
use crate::kubernetes::{EventRecord, EventType};

/// A declaration that takes effect.
pub(super) struct Activation {
    pub(super) hash: SpecHash,
    pub(super) opened: Grant,
    pub(super) changes: BTreeSet<GovernedChange>,
    pub(super) decided: Option<Timestamp>,
}

impl Activation {
    /// What is recorded before it takes effect; nothing if it needs no approval.
    pub(super) fn begins(&self, topic: &EventTopic, context: &Context) -> Option<Event> {
        let action = match &self.opened {
            Grant::NotRequired => return None,
            Grant::Approved(_) => Action::TakeEffect,
            Grant::BreakGlass(_) => Action::BreakGlass,
        };
        let generation = topic.metadata.generation.unwrap_or_default();
        let what = format!("{}; generation {generation}, content {}", self.why(), self.hash);
        Some(context.start_record(topic, action, what))
    }

    /// What takes effect and why, as a sentence.
    fn why(&self) -> String {
        let changes = named(&self.changes);
        match &self.opened {
            Grant::NotRequired => changes,
            Grant::Approved(people) => format!("{changes}: approved by {}", people.join(", ")),
            Grant::BreakGlass(glass) => format!(
                "{changes}: takes effect without approval, by {}, because: {}",
                glass.by, glass.reason
            ),
        }
    }
}

/// Tells of what takes effect, or goes.
pub(super) fn tell(topic: &EventTopic, live: &Activation, context: &Context) {
    let (kind, reason) = match &live.opened {
        Grant::NotRequired => {
            context.metrics.change("free");
            return;
        }
        Grant::Approved(_) => {
            context.metrics.change("approved");
            (EventType::Normal, "Approved")
        }
        Grant::BreakGlass(_) => {
            context.metrics.change("break_glass");
            (EventType::Warning, "BreakGlass")
        }
    };
    let message = live.why();
    tracing::info!(reason, generation = topic.metadata.generation, hash = %live.hash, "{message}");
    context.kubernetes.publish_event(topic, EventRecord { kind, reason, message });
}

/// What was declared is in Kafka: notes how long that took after it was approved.
pub(super) fn is_live(live: &Activation, outcome: &Outcome, context: &Context) {
    let is_in_kafka = matches!(outcome, Outcome::Applied { .. });
    if let Some(decided) = live.decided.filter(|_| is_in_kafka) {
        let took = (context.clock)().duration_since(decided);
        context.metrics.approved(took.try_into().unwrap_or_default());
    }
}
