//! The hash of the state in Kafka after a reconcile, for comparison with a later state.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

use tokio::time::Instant;

/// The state in Kafka after the last reconcile.
#[derive(Clone, Debug)]
pub(super) struct LastSeen<T> {
    /// `None` if Kafka's response was not reliable.
    hash: Option<u64>,
    at: Instant,
    /// Whether the reconcile changed anything.
    changed: bool,
    value: PhantomData<T>,
}

impl<T: Hash> LastSeen<T> {
    /// The state after a reconcile; `None` if Kafka has none.
    pub(super) fn new(value: Option<&T>, changed: bool, at: Instant) -> Self {
        Self { hash: Some(hash(value)), at, changed, value: PhantomData }
    }

    /// The state after a reconcile for which Kafka's response was not reliable.
    pub(super) fn unknown(changed: bool, at: Instant) -> Self {
        Self { hash: None, at, changed, value: PhantomData }
    }

    /// Whether Kafka's answers are reliable: the last change is older than the settle time.
    pub(super) fn is_settled(&self, now: Instant, settle_time: Duration) -> bool {
        !self.changed || now.saturating_duration_since(self.at) >= settle_time
    }

    /// Whether a value differs that was read from `started` on. A later reconcile takes precedence.
    pub(super) fn differs(&self, value: Option<&T>, started: Instant, settle_time: Duration) -> bool {
        self.at <= started && self.is_settled(started, settle_time) && self.hash != Some(hash(value))
    }
}

fn hash<T: Hash>(value: Option<&T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
