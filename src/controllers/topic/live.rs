//! A declaration that takes effect, or a resource that goes with its data: why it may, and who is told.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::Context;
use crate::api::{EventTopic, GovernedChange};
use crate::cluster::{Note, NoteKind};
use crate::domain::approval::SpecHash;
use crate::domain::approval::gate::Opened;
use crate::domain::approval::pending::named;
use crate::domain::audit::{Action, Event};
use crate::domain::topic::status::Outcome;

/// A declaration that takes effect.
pub(super) struct Live {
    pub(super) hash: SpecHash,
    pub(super) opened: Opened,
    pub(super) changes: BTreeSet<GovernedChange>,
    pub(super) decided: Option<Timestamp>,
}

impl Live {
    /// What is recorded before it takes effect; nothing if it needs no approval.
    pub(super) fn begins(&self, topic: &EventTopic, context: &Context) -> Option<Event> {
        let action = match &self.opened {
            Opened::Free => return None,
            Opened::Approved(_) => Action::TakeEffect,
            Opened::BrokenGlass(_) => Action::BreakGlass,
        };
        let generation = topic.metadata.generation.unwrap_or_default();
        let what = format!("{}; generation {generation}, content {}", self.why(), self.hash);
        Some(context.begins(topic, action, what))
    }

    /// What takes effect and why, as a sentence.
    fn why(&self) -> String {
        let changes = named(&self.changes);
        match &self.opened {
            Opened::Free => changes,
            Opened::Approved(people) => format!("{changes}: approved by {}", people.join(", ")),
            Opened::BrokenGlass(glass) => format!(
                "{changes}: takes effect without approval, by {}, because: {}",
                glass.by, glass.reason
            ),
        }
    }
}

/// Tells of what takes effect, or goes.
pub(super) fn tell(topic: &EventTopic, live: &Live, context: &Context) {
    let (kind, reason) = match &live.opened {
        Opened::Free => {
            context.metrics.change("free");
            return;
        }
        Opened::Approved(_) => {
            context.metrics.change("approved");
            (NoteKind::Normal, "Approved")
        }
        Opened::BrokenGlass(_) => {
            context.metrics.change("break_glass");
            (NoteKind::Warning, "BreakGlass")
        }
    };
    let message = live.why();
    tracing::info!(reason, generation = topic.metadata.generation, hash = %live.hash, "{message}");
    context.cluster.note(topic, Note { kind, reason, message });
}

/// What was declared is in Kafka: notes how long that took after it was approved.
pub(super) fn is_live(live: &Live, outcome: &Outcome, context: &Context) {
    let is_in_kafka = matches!(outcome, Outcome::Applied { .. });
    if let Some(decided) = live.decided.filter(|_| is_in_kafka) {
        let took = (context.clock)().duration_since(decided);
        context.metrics.approved(took.try_into().unwrap_or_default());
    }
}
