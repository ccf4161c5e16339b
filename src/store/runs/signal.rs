//! Wakes those who wait for runs: within the process directly, and between processes with PostgreSQL's LISTEN and NOTIFY.
//!
//! A signal carries no information and may be lost with a connection, so whoever waits also polls. Notifications are sent by a task of
//! their own, at most every [`NOTIFY_INTERVAL`]: NOTIFY takes a lock of the whole server at commit, and transactions that change
//! runs would wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use uuid::Uuid;

use crate::store::database::Database;

/// The channel of PostgreSQL.
const CHANNEL: &str = "eventcenter_runs";
/// Minimum time between two notifications of a process.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(20);
/// Delay before a lost listener connects again; it doubles after each failure.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// What happened to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// For runners: a run became ready, or a running one is to be cancelled.
    Claimable,
    /// For the controllers: a run ended, was requested or cancelled.
    Changed,
}

const SIGNALS: [Signal; 2] = [Signal::Claimable, Signal::Changed];

impl Signal {
    fn as_str(self) -> &'static str {
        match self {
            Self::Claimable => "claimable",
            Self::Changed => "changed",
        }
    }
}

/// Waits for a signal.
#[derive(Debug)]
pub struct Subscription {
    receiver: watch::Receiver<()>,
    _signals: Arc<Signals>,
}

impl Subscription {
    /// Waits until the signal was sent since the last call, or since the subscription. Cancel safe.
    pub async fn notified(&mut self) {
        // The sender lives as long as the subscription.
        let _ = self.receiver.changed().await;
    }
}

/// The signals of a process.
#[derive(Debug)]
pub(in crate::store) struct Signals {
    channels: [Channel; 2],
    /// Identifies the notifications of this process.
    sender: String,
    postgres: Option<PgPool>,
    is_notifying: AtomicBool,
    is_listening: AtomicBool,
}

#[derive(Debug)]
struct Channel {
    sender: watch::Sender<()>,
    /// Whether other processes have yet to be notified.
    is_pending: AtomicBool,
}

impl Signals {
    pub(in crate::store) fn new(database: &Database) -> Arc<Self> {
        let channel = || Channel { sender: watch::Sender::new(()), is_pending: AtomicBool::new(false) };
        Arc::new(Self {
            channels: [channel(), channel()],
            sender: Uuid::now_v7().to_string(),
            postgres: match database {
                Database::Postgres(pool) => Some(pool.clone()),
                Database::Sqlite(_) => None,
            },
            is_notifying: AtomicBool::new(false),
            is_listening: AtomicBool::new(false),
        })
    }

    fn channel(&self, signal: Signal) -> &Channel {
        &self.channels[signal as usize]
    }

    /// Wakes the subscribers of this process, and soon those of others.
    pub(super) fn send(self: &Arc<Self>, signal: Signal) {
        self.channel(signal).sender.send_replace(());
        let Some(pool) = &self.postgres else { return };
        self.channel(signal).is_pending.store(true, Ordering::SeqCst);
        if !self.is_notifying.swap(true, Ordering::SeqCst) {
            tokio::spawn(notify(Arc::clone(self), pool.clone()));
        }
    }

    /// Subscribes, and listens to other processes from the first subscription on.
    pub(super) fn subscribe(self: &Arc<Self>, signal: Signal) -> Subscription {
        if let Some(pool) = &self.postgres
            && !self.is_listening.swap(true, Ordering::SeqCst)
        {
            tokio::spawn(listen(Arc::downgrade(self), pool.clone()));
        }
        Subscription { receiver: self.channel(signal).sender.subscribe(), _signals: Arc::clone(self) }
    }

    fn wake_all(&self) {
        for channel in &self.channels {
            channel.sender.send_replace(());
        }
    }
}

/// Notifies other processes until nothing is pending.
async fn notify(signals: Arc<Signals>, pool: PgPool) {
    const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM UNNEST($2::text[]) AS payload";
    loop {
        let pending: Vec<String> = SIGNALS
            .iter()
            .filter(|signal| signals.channel(**signal).is_pending.swap(false, Ordering::SeqCst))
            .map(|signal| format!("{} {}", signal.as_str(), signals.sender))
            .collect();
        if pending.is_empty() {
            signals.is_notifying.store(false, Ordering::SeqCst);
            // A signal may have been sent before the flag was cleared.
            let is_pending = signals.channels.iter().any(|channel| channel.is_pending.load(Ordering::SeqCst));
            if is_pending && !signals.is_notifying.swap(true, Ordering::SeqCst) {
                continue;
            }
            return;
        }
        if let Err(error) = sqlx::query(NOTIFY).bind(CHANNEL).bind(pending).execute(&pool).await {
            // Others poll.
            tracing::debug!(%error, "other processes were not notified of runs");
        }
        tokio::time::sleep(NOTIFY_INTERVAL).await;
    }
}

/// Listens to other processes until the store is closed.
async fn listen(signals: std::sync::Weak<Signals>, pool: PgPool) {
    let mut delay = MIN_RETRY_DELAY;
    // A connection of its own, because it is never returned.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    let closed = pool.close_event();
    tokio::pin!(closed);
    loop {
        let error = tokio::select! {
            () = &mut closed => break,
            error = receive(&signals, &own, &mut delay) => error,
        };
        let Some(error) = error else { break };
        tracing::debug!(%error, "listening to runs of other processes failed; polling instead");
        tokio::select! {
            () = &mut closed => break,
            () = tokio::time::sleep(delay) => {}
        }
        delay = (delay * 2).min(MAX_RETRY_DELAY);
    }
    own.close().await;
}

/// Receives notifications until an error; `None` if nobody waits for them any more.
async fn receive(
    signals: &std::sync::Weak<Signals>,
    pool: &PgPool,
    delay: &mut Duration,
) -> Option<sqlx::Error> {
    let mut listener = match PgListener::connect_with(pool).await {
        Ok(listener) => listener,
        Err(error) => return Some(error),
    };
    if let Err(error) = listener.listen(CHANNEL).await {
        return Some(error);
    }
    *delay = MIN_RETRY_DELAY;
    // Notifications may have been lost before.
    signals.upgrade()?.wake_all();
    loop {
        let received = listener.try_recv().await;
        let signals = signals.upgrade()?;
        match received {
            Ok(Some(notification)) => {
                let payload = notification.payload();
                let is_own = payload.ends_with(&signals.sender);
                let signal = SIGNALS.iter().find(|signal| payload.starts_with(signal.as_str()));
                if let Some(signal) = signal.filter(|_| !is_own) {
                    signals.channel(*signal).sender.send_replace(());
                }
            }
            // The connection was lost, and is there again.
            Ok(None) => signals.wake_all(),
            Err(error) => return Some(error),
        }
    }
}
