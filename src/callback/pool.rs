//! Connections that are kept alive, and how many there may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use eventcenter_sdk::TenantName;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use crate::domain::callback::Endpoint;

/// What connections are kept for. A connection never serves another tenant: neither could a policy allow what another one
/// refuses, nor a response that a server confuses reach another tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantName,
    pub(super) endpoint: Endpoint,
}

/// The connections of a client.
pub(super) struct Pool {
    /// A permit for each connection, idle ones included.
    connections: Arc<Semaphore>,
    max_per_host: usize,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: HashMap<Key, Host>,
    /// Requests that wait for a permit. While there are any, no connection becomes idle.
    waiting: usize,
    is_sweeping: bool,
}

struct Host {
    /// A permit for each request in progress. A request opens a connection only if none is idle, so that this limits the idle
    /// ones as well.
    requests: Arc<Semaphore>,
    /// Requests in progress and waiting.
    slots: usize,
    /// The longest idle one first.
    idle: Vec<Idle>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(max: usize, max_per_host: usize, idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            connections: Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS))),
            max_per_host: max_per_host.clamp(1, Semaphore::MAX_PERMITS),
            idle_timeout,
            state: Mutex::default(),
        })
    }

    /// Waits for the right to have one more request in progress with a host.
    pub(super) async fn reserve(self: &Arc<Self>, key: Key) -> Slot {
        let requests = {
            let mut state = self.state.lock();
            let host = state.hosts.entry(key.clone()).or_insert_with(|| Host {
                requests: Arc::new(Semaphore::new(self.max_per_host)),
                slots: 0,
                idle: Vec::new(),
            });
            host.slots += 1;
            Arc::clone(&host.requests)
        };
        // The slot exists before the wait, which may be cancelled.
        let mut slot = Slot { pool: Arc::clone(self), key, permit: None };
        slot.permit = requests.acquire_owned().await.ok();
        slot
    }

    /// Waits for the right to open a connection. Closes the longest idle one if there are too many.
    async fn reserve_connection(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return permit;
        }
        let _waiting = Waiting::new(self);
        Arc::clone(&self.connections).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn keep(self: &Arc<Self>, key: &Key, connection: Connection) {
        let mut state = self.state.lock();
        if state.waiting > 0 {
            return;
        }
        let Some(host) = state.hosts.get_mut(key) else { return };
        host.idle.push(Idle { connection, since: Instant::now() });
        if !state.is_sweeping {
            state.is_sweeping = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes connections that have been idle for too long. Returns whether idle connections remain.
    fn close_expired(&self) -> bool {
        let mut state = self.state.lock();
        for host in state.hosts.values_mut() {
            host.idle.retain(|idle| self.is_usable(idle));
        }
        state.hosts.retain(|_, host| !host.is_unused());
        state.is_sweeping = state.hosts.values().any(|host| !host.idle.is_empty());
        state.is_sweeping
    }

    fn is_usable(&self, idle: &Idle) -> bool {
        idle.since.elapsed() < self.idle_timeout && !idle.connection.is_closed()
    }
}

impl Host {
    fn is_unused(&self) -> bool {
        self.slots == 0 && self.idle.is_empty()
    }
}

/// A request that waits for a connection.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        let mut state = pool.state.lock();
        state.waiting += 1;
        let longest_idle = state
            .hosts
            .iter()
            .filter_map(|(key, host)| host.idle.first().map(|idle| (idle.since, key)))
            .min_by_key(|(since, _)| *since)
            .map(|(_, key)| key.clone());
        if let Some(key) = longest_idle
            && let Some(host) = state.hosts.get_mut(&key)
        {
            drop(host.idle.remove(0));
            if host.is_unused() {
                state.hosts.remove(&key);
            }
        }
        drop(state);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
    }
}

/// The right to have one request in progress with a host.
pub(super) struct Slot {
    pool: Arc<Pool>,
    key: Key,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// An idle connection whose peer is allowed. Others are closed: the policy has changed since they were opened.
    pub(super) fn take_idle(&self, is_allowed: impl Fn(IpAddr) -> bool) -> Option<Connection> {
        let mut state = self.pool.state.lock();
        let host = state.hosts.get_mut(&self.key)?;
        while let Some(idle) = host.idle.pop() {
            if self.pool.is_usable(&idle) && is_allowed(idle.connection.peer()) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Waits for the right to open a connection.
    pub(super) async fn reserve_connection(&self) -> OwnedSemaphorePermit {
        self.pool.reserve_connection().await
    }

    /// Keeps a connection for further requests as soon as it can send them.
    pub(super) fn keep(self, mut connection: Connection) {
        use futures::FutureExt;
        match connection.is_reusable().now_or_never() {
            Some(true) => self.pool.keep(&self.key, connection),
            Some(false) => {}
            // The response came before the request was sent to its end.
            None => {
                tokio::spawn(async move {
                    let ready = tokio::time::timeout(self.pool.idle_timeout, connection.is_reusable()).await;
                    if ready == Ok(true) {
                        self.pool.keep(&self.key, connection);
                    }
                });
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        if let Some(host) = state.hosts.get_mut(&self.key) {
            host.slots -= 1;
            if host.is_unused() {
                state.hosts.remove(&self.key);
            }
        }
        drop(state);
        drop(self.permit.take());
    }
}

/// Closes idle connections of a pool until there are none.
async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    loop {
        sleep(idle_timeout / 2).await;
        match pool.upgrade() {
            Some(pool) if pool.close_expired() => {}
            _ => return,
        }
    }
}
