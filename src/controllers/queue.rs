//! What wakes a reconcile, and what does not.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use futures::channel::mpsc;
use kube::ResourceExt;
use kube::core::object::HasStatus;
use kube::runtime::reflector::ObjectRef;
use serde::Serialize;
use tokio::time::Instant;

use super::{Metrics, Watched};

/// Wakes the reconciles of one kind, and knows which of them are waiting.
pub(super) struct WorkQueue<K: kube::Resource<DynamicType = ()>> {
    sender: mpsc::UnboundedSender<ObjectRef<K>>,
    kind: &'static str,
    state: Arc<Mutex<State>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    /// What was last seen of each resource, so that a write of our own wakes nobody.
    seen: HashMap<Key, Seen>,
    /// Woken and not yet begun.
    waiting: HashSet<Key>,
}

type Key = (Option<String>, String);

/// What tells one status from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of a status, or of none.
    pub(super) fn of(status: Option<&impl Serialize>) -> Self {
        let mut hasher = DefaultHasher::new();
        // As it is stored: what is only in memory, such as fractions of seconds, does not count.
        serde_json::to_string(&status).unwrap_or_default().hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of the status that a watched resource shows.
    pub(super) fn shown<K: HasStatus>(resource: &Watched<K>) -> Self
    where
        K::Status: Serialize,
    {
        Self::of(resource.0.as_ref().ok().and_then(HasStatus::status))
    }
}

/// A status that a reconcile leaves.
#[derive(Clone, Copy, Debug)]
struct Left {
    status: Fingerprint,
    /// The one it found, until the watch has shown the one it leaves: our other writes, such as the
    /// finalizer, may still be shown with it.
    instead_of: Option<Fingerprint>,
}

impl Left {
    /// Whether a status that the watch shows is news. Once the new one was shown, the old one is.
    fn is_contradicted(&mut self, shown: Fingerprint) -> bool {
        if shown == self.status {
            self.instead_of = None;
            return false;
        }
        self.instead_of != Some(shown)
    }
}

#[derive(Debug)]
struct Seen {
    uid: Option<String>,
    generation: Option<i64>,
    annotations: u64,
    finalizer_missing: bool,
    /// What the last reconcile left, or meant to leave, as the status.
    left: Option<Left>,
    /// Since when a change of the declaration has waited to be in force.
    changed: Option<Instant>,
}

impl<K> WorkQueue<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    pub(super) fn new(
        kind: &'static str,
        metrics: &Metrics,
    ) -> (Self, impl Stream<Item = ObjectRef<K>> + Send + use<K>) {
        let (sender, receiver) = mpsc::unbounded();
        let queue = Self { sender, kind, state: Arc::default(), metrics: metrics.clone() };
        (queue, receiver)
    }

    /// Wakes a reconcile.
    pub(super) fn enqueue(&self, namespace: Option<&str>, name: &str) {
        self.waiting((namespace.map(Into::into), name.into()));
        let mut reference = ObjectRef::new(name);
        reference.namespace = namespace.map(Into::into);
        // Nobody receives only while everything is being stopped.
        drop(self.sender.unbounded_send(reference));
    }

    /// Whether a resource that was just watched is worth a reconcile: its declaration, an
    /// annotation or, where one is wanted, our finalizer has changed, or its status is not what
    /// the last reconcile left. Our own writes are not.
    pub(super) fn should_reconcile(
        &self,
        resource: &K,
        finalizer_missing: bool,
        status: Fingerprint,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        resource.annotations().hash(&mut hasher);
        let now = Seen {
            uid: resource.uid(),
            generation: resource.meta().generation,
            annotations: hasher.finish(),
            finalizer_missing,
            left: None,
            changed: None,
        };
        let key = key(resource);
        let mut state = self.state();
        let before = state.seen.get(&key);
        let same = before.filter(|before| before.uid == now.uid);
        let mut left = same.and_then(|before| before.left);
        let contradicted = left.as_mut().is_some_and(|left| left.is_contradicted(status));
        let changed = same.is_none_or(|before| before.generation != now.generation);
        let worth = changed
            || same.is_none_or(|before| {
                before.annotations != now.annotations
                    || (now.finalizer_missing && !before.finalizer_missing)
                    || contradicted
            });
        let since = if changed { Some(Instant::now()) } else { same.and_then(|before| before.changed) };
        state.seen.insert(key.clone(), Seen { changed: since, left, ..now });
        drop(state);
        if worth {
            self.waiting(key);
        }
        worth
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&self, resource: &K) {
        let key = key(resource);
        let mut state = self.state();
        state.seen.remove(&key);
        state.waiting.remove(&key);
    }

    /// A reconcile begins.
    pub(super) fn begin(&self, resource: &K) {
        let depth = {
            let mut state = self.state();
            state.waiting.remove(&key(resource));
            state.waiting.len()
        };
        self.metrics.depth(self.kind, depth);
    }

    /// A reconcile is about to leave this as the status instead of the one it found. If the watch
    /// shows another one later, it was written by somebody else, or before what this reconcile knew of.
    pub(super) fn expect_status(
        &self,
        resource: &impl kube::Resource,
        status: Fingerprint,
        instead_of: Fingerprint,
    ) {
        if let Some(seen) = self.state().seen.get_mut(&key(resource)) {
            seen.left = Some(Left { status, instead_of: Some(instead_of) });
        }
    }

    /// The declaration is in force: notes how long that took, once.
    pub(super) fn in_force(&self, resource: &impl kube::Resource) {
        let changed = self.state().seen.get_mut(&key(resource)).and_then(|seen| seen.changed.take());
        if let Some(changed) = changed {
            self.metrics.in_force(self.kind, changed.elapsed());
        }
    }

    /// The declaration waits for people: how long that takes is not the operator's time.
    pub(super) fn waits(&self, resource: &impl kube::Resource) {
        if let Some(seen) = self.state().seen.get_mut(&key(resource)) {
            seen.changed = None;
        }
    }

    fn waiting(&self, key: Key) {
        let depth = {
            let mut state = self.state();
            state.waiting.insert(key);
            state.waiting.len()
        };
        self.metrics.depth(self.kind, depth);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(resource: &impl kube::Resource) -> Key {
    (resource.namespace(), resource.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_of_what_was_found_is_no_news_until_what_was_left_is_shown() {
        let [none, ready, other] = [1, 2, 3].map(Fingerprint);
        let mut left = Left { status: ready, instead_of: Some(none) };
        assert!(!left.is_contradicted(none), "the finalizer, shown late");
        assert!(left.is_contradicted(other));
        assert!(!left.is_contradicted(ready));
        assert!(left.is_contradicted(none), "somebody has taken it away");
    }
}
