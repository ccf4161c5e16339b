//! The claims of this runner: attempts that are running, or whose result is not stored yet. Their number is bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::metrics::Metrics;
use crate::domain::task::RunId;

/// An attempt of a run.
pub(super) type Key = (RunId, u32);

/// Why an attempt is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The run is to be cancelled: that is its result.
    Cancel,
    /// The claim is lost or given up: there is no result.
    Abandon,
}

/// The claims of this runner.
#[derive(Debug)]
pub(super) struct Claims {
    all: Mutex<HashMap<Key, Claim>>,
    capacity: usize,
    metrics: Metrics,
    /// Notifies when a claim ends.
    ended: Notify,
}

#[derive(Debug)]
struct Claim {
    /// The name under which it was claimed.
    runner: Arc<str>,
    /// Ends the attempt; `None` once that was requested.
    stop: Option<oneshot::Sender<Stop>>,
}

impl Claims {
    pub(super) fn new(capacity: usize, metrics: Metrics) -> Self {
        Self { all: Mutex::default(), capacity, metrics, ended: Notify::new() }
    }

    /// Adds a claim. The receiver gets the reason if the attempt has to be ended. An earlier attempt of the same run has been
    /// taken over by this claim, and ends.
    pub(super) fn insert(&self, key: Key, runner: Arc<str>) -> oneshot::Receiver<Stop> {
        let (stop, stopped) = oneshot::channel();
        let mut all = self.all.lock();
        let earlier = all.iter_mut().filter(|((run, _), _)| *run == key.0);
        earlier.for_each(|(_, claim)| claim.stop(Stop::Abandon));
        all.insert(key, Claim { runner, stop: Some(stop) });
        self.metrics.set_active(all.len());
        stopped
    }

    /// Removes a claim that is stored, lost or given up.
    pub(super) fn remove(&self, key: Key) {
        let mut all = self.all.lock();
        all.remove(&key);
        self.metrics.set_active(all.len());
        drop(all);
        self.ended.notify_waiters();
    }

    /// Ends the attempt of a claim, if it is running.
    pub(super) fn stop(&self, key: Key, reason: Stop) {
        if let Some(claim) = self.all.lock().get_mut(&key) {
            claim.stop(reason);
        }
    }

    /// Ends all running attempts.
    pub(super) fn stop_all(&self, reason: Stop) {
        self.all.lock().values_mut().for_each(|claim| claim.stop(reason));
    }

    /// All claims by the name under which they were claimed.
    pub(super) fn by_runner(&self) -> BTreeMap<Arc<str>, Vec<Key>> {
        let mut by_runner: BTreeMap<Arc<str>, Vec<Key>> = BTreeMap::new();
        for (key, claim) in self.all.lock().iter() {
            by_runner.entry(Arc::clone(&claim.runner)).or_default().push(*key);
        }
        by_runner
    }

    /// Waits until there is room for further claims, and returns for how many.
    pub(super) async fn wait_for_room(&self) -> usize {
        self.wait_for(|held| self.capacity.checked_sub(held).filter(|room| *room > 0)).await
    }

    /// Waits until there are no claims.
    pub(super) async fn wait_until_empty(&self) {
        self.wait_for(|held| (held == 0).then_some(())).await;
    }

    async fn wait_for<T>(&self, condition: impl Fn(usize) -> Option<T>) -> T {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // A claim that ends after the check is noticed.
            ended.as_mut().enable();
            if let Some(value) = condition(self.all.lock().len()) {
                return value;
            }
            ended.await;
        }
    }
}

impl Claim {
    fn stop(&mut self, reason: Stop) {
        if let Some(stop) = self.stop.take() {
            // An error means that the attempt has just ended.
            let _ = stop.send(reason);
        }
    }
}
