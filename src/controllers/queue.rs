//! Which changes of an object start a reconcile.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

use futures::channel::mpsc;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::core::object::HasStatus;
use kube::runtime::reflector::ObjectRef as StoreRef;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use super::metrics::Metrics;

/// How long a reconcile waits for the watch to deliver the status that the last one wrote.
const MAX_WATCH_DELAY: Duration = Duration::from_secs(1);

/// A watched object; one that cannot be deserialized does not stop the watch.
pub type Watched<K> = DeserializeGuard<K>;

/// The queue of the objects of one kind.
pub(super) struct WorkQueue<K: kube::Resource<DynamicType = ()>> {
    sender: mpsc::UnboundedSender<StoreRef<K>>,
    kind: &'static str,
    state: Mutex<State>,
    metrics: Metrics,
    object: PhantomData<fn(K)>,
}

#[derive(Debug, Default)]
struct State {
    /// The last version of each object, so that the operator's own writes start no reconcile.
    seen: HashMap<Key, Version>,
    /// Enqueued objects whose reconcile has not begun.
    waiting: HashSet<Key>,
}

type Key = (Option<String>, String);

/// A hash that distinguishes statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a status; `None` has one too.
    pub(super) fn of(status: Option<&impl Serialize>) -> Self {
        let mut hasher = DefaultHasher::new();
        // Of the serialized form, which lacks what exists only in memory, such as fractions of seconds.
        serde_json::to_string(&status).unwrap_or_default().hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The fingerprint of the delivered status.
    pub(super) fn of_watched<K: HasStatus>(object: &Watched<K>) -> Self
    where
        K::Status: Serialize,
    {
        Self::of(object.0.as_ref().ok().and_then(HasStatus::status))
    }
}

/// The status that a reconcile writes.
#[derive(Clone, Copy, Debug)]
struct ExpectedStatus {
    status: Fingerprint,
    /// The previous status, until the watch has delivered the new one: it may still deliver other writes of the
    /// operator, such as the finalizer, with the previous status.
    before: Option<Fingerprint>,
    /// When the API server accepted it.
    written: Option<Instant>,
}

impl ExpectedStatus {
    /// Whether the watch has yet to deliver a status that was written a moment ago.
    fn is_awaited(&self, now: Instant) -> bool {
        let is_recent = |written| now.duration_since(written) < MAX_WATCH_DELAY;
        self.before.is_some() && self.written.is_some_and(is_recent)
    }

    /// Whether another client wrote the delivered status. Once the watch has delivered the new status, the previous one
    /// also counts as written by another client.
    fn is_contradicted(&mut self, shown: Fingerprint) -> bool {
        if shown == self.status {
            self.before = None;
            return false;
        }
        self.before != Some(shown)
    }
}

#[derive(Debug)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    annotations: u64,
    lacks_finalizer: bool,
    expected: Option<ExpectedStatus>,
    /// Since when a new generation has been waiting to be active.
    changed: Option<Instant>,
}

impl<K> WorkQueue<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    pub(super) fn new(metrics: &Metrics) -> (Self, mpsc::UnboundedReceiver<StoreRef<K>>) {
        let (sender, receiver) = mpsc::unbounded();
        let kind = match K::kind(&()) {
            std::borrow::Cow::Borrowed(kind) => kind,
            std::borrow::Cow::Owned(_) => "",
        };
        let queue =
            Self { sender, kind, state: Mutex::default(), metrics: metrics.clone(), object: PhantomData };
        (queue, receiver)
    }

    /// The kind as a metric label.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Starts a reconcile of an object.
    pub(super) fn enqueue(&self, namespace: Option<&str>, name: &str) {
        self.add_waiting((namespace.map(Into::into), name.into()));
        let mut reference = StoreRef::new(name);
        reference.namespace = namespace.map(Into::into);
        // The receiver is closed only while the process stops.
        drop(self.sender.unbounded_send(reference));
    }

    /// Whether a watched version of an object needs a reconcile: its generation, an annotation or a required finalizer
    /// has changed, or another client wrote its status. Writes of the operator do not count.
    pub(super) fn should_reconcile(&self, object: &K, lacks_finalizer: bool, status: Fingerprint) -> bool {
        let mut hasher = DefaultHasher::new();
        object.annotations().hash(&mut hasher);
        let version = Version {
            uid: object.uid(),
            generation: object.meta().generation,
            annotations: hasher.finish(),
            lacks_finalizer,
            expected: None,
            changed: None,
        };
        let key = key(object);
        let mut state = self.state.lock();
        let before = state.seen.get(&key).filter(|before| before.uid == version.uid);
        let mut expected = before.and_then(|before| before.expected);
        let is_contradicted = expected.as_mut().is_some_and(|expected| expected.is_contradicted(status));
        let has_new_generation = before.is_none_or(|before| before.generation != version.generation);
        let should_reconcile = has_new_generation
            || before.is_none_or(|before| {
                before.annotations != version.annotations
                    || (version.lacks_finalizer && !before.lacks_finalizer)
                    || is_contradicted
            });
        let changed =
            if has_new_generation { Some(Instant::now()) } else { before.and_then(|before| before.changed) };
        state.seen.insert(key.clone(), Version { changed, expected, ..version });
        drop(state);
        if should_reconcile {
            self.add_waiting(key);
        }
        should_reconcile
    }

    /// Removes a deleted object.
    pub(super) fn forget(&self, object: &K) {
        let key = key(object);
        let mut state = self.state.lock();
        state.seen.remove(&key);
        state.waiting.remove(&key);
    }

    /// Removes an object from the queue because its reconcile begins.
    pub(super) fn begin(&self, object: &K) {
        let depth = {
            let mut state = self.state.lock();
            state.waiting.remove(&key(object));
            state.waiting.len()
        };
        self.metrics.set_queue_depth(self.kind, depth);
    }

    /// Expects the watch to deliver this status. Any other status delivered later was written by another client.
    pub(super) fn expect_status(
        &self,
        object: &impl kube::Resource,
        status: Fingerprint,
        before: Fingerprint,
    ) {
        if let Some(version) = self.state.lock().seen.get_mut(&key(object)) {
            version.expected = Some(ExpectedStatus { status, before: Some(before), written: None });
        }
    }

    /// The API server has accepted the expected status.
    pub(super) fn confirm_status(&self, object: &impl kube::Resource) {
        let mut state = self.state.lock();
        let expected = state.seen.get_mut(&key(object)).and_then(|version| version.expected.as_mut());
        if let Some(expected) = expected {
            expected.written = Some(Instant::now());
        }
    }

    /// Whether the watched version of an object is older than the status that the last reconcile wrote. A reconcile of it would write
    /// that status again, and publish its Event again.
    pub(super) fn is_outdated(&self, object: &impl kube::Resource) -> bool {
        let state = self.state.lock();
        let expected = state.seen.get(&key(object)).and_then(|version| version.expected);
        expected.is_some_and(|expected| expected.is_awaited(Instant::now()))
    }

    /// Measures the time from the change of a spec until it is active, once.
    pub(super) fn observe_active(&self, object: &impl kube::Resource) {
        let changed = self.state.lock().seen.get_mut(&key(object)).and_then(|version| version.changed.take());
        if let Some(changed) = changed {
            self.metrics.observe_change(self.kind, changed.elapsed());
        }
    }

    /// Stops the measurement, because the spec is pending approval.
    pub(super) fn observe_pending(&self, object: &impl kube::Resource) {
        if let Some(version) = self.state.lock().seen.get_mut(&key(object)) {
            version.changed = None;
        }
    }

    fn add_waiting(&self, key: Key) {
        let depth = {
            let mut state = self.state.lock();
            state.waiting.insert(key);
            state.waiting.len()
        };
        self.metrics.set_queue_depth(self.kind, depth);
    }
}

fn key(object: &impl kube::Resource) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_status_is_expected_until_the_new_one_is_delivered() {
        let [none, ready, other] = [1, 2, 3].map(Fingerprint);
        let mut expected = ExpectedStatus { status: ready, before: Some(none), written: None };
        assert!(!expected.is_contradicted(none), "the finalizer, delivered late");
        assert!(expected.is_contradicted(other));
        assert!(!expected.is_contradicted(ready));
        assert!(expected.is_contradicted(none), "another client removed the status");
    }

    #[test]
    fn a_status_is_awaited_from_its_write_until_its_delivery() {
        let (begin, [none, ready]) = (Instant::now(), [1, 2].map(Fingerprint));
        let mut expected = ExpectedStatus { status: ready, before: Some(none), written: None };
        assert!(!expected.is_awaited(begin), "the write may have failed");
        expected.written = Some(begin);
        assert!(expected.is_awaited(begin));
        assert!(!expected.is_contradicted(none));
        assert!(expected.is_awaited(begin), "an older write, delivered late");
        assert!(!expected.is_awaited(begin + MAX_WATCH_DELAY), "the watch may be interrupted");
        assert!(!expected.is_contradicted(ready));
        assert!(!expected.is_awaited(begin));
    }
}
