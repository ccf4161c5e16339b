//! The hash of the state in Kafka after a reconcile, for comparison with a later state, and the time of the last change.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::EventTopic;
use crate::domain::topic::status::last_change;

/// The state in Kafka after the last reconcile.
#[derive(Clone, Debug)]
pub(super) struct LastSeen<T> {
    /// `None` if Kafka's response was not reliable.
    hash: Option<u64>,
    at: Instant,
    /// The last change by the operator, in this reconcile or an earlier one.
    changed_at: Option<Instant>,
    value: PhantomData<T>,
}

impl<T: Hash> LastSeen<T> {
    /// The state after a reconcile; `None` if Kafka has none.
    pub(super) fn new(value: Option<&T>, changed_at: Option<Instant>, at: Instant) -> Self {
        Self { hash: Some(hash(value)), at, changed_at, value: PhantomData }
    }

    /// The state after a reconcile for which Kafka's response was not reliable.
    pub(super) fn unknown(changed_at: Option<Instant>, at: Instant) -> Self {
        Self { hash: None, at, changed_at, value: PhantomData }
    }

    /// When the operator last changed the state.
    pub(super) fn changed_at(&self) -> Option<Instant> {
        self.changed_at
    }

    /// Whether Kafka's answers are reliable: the last change is older than the settle time.
    pub(super) fn is_settled(&self, now: Instant, settle_time: Duration) -> bool {
        is_settled(self.changed_at, now, settle_time)
    }

    /// Whether a value differs that was read from `started` on. A later reconcile takes precedence.
    pub(super) fn differs(&self, value: Option<&T>, started: Instant, settle_time: Duration) -> bool {
        self.at <= started && self.is_settled(started, settle_time) && self.hash != Some(hash(value))
    }
}

/// Whether a change is older than the settle time; before, brokers may still return the state before it.
pub(super) fn is_settled(changed_at: Option<Instant>, now: Instant, settle_time: Duration) -> bool {
    changed_at.is_none_or(|changed_at| now.saturating_duration_since(changed_at) >= settle_time)
}

/// When the operator last changed the Kafka topic according to the status of its EventTopic. Unlike a [`LastSeen`], this
/// is still available after a restart.
pub(super) fn changed_at_by_status(
    topic: &EventTopic,
    wall_clock: Timestamp,
    now: Instant,
) -> Option<Instant> {
    let age = Duration::try_from(wall_clock.duration_since(last_change(topic)?)).ok()?;
    now.checked_sub(age)
}

fn hash<T: Hash>(value: Option<&T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
