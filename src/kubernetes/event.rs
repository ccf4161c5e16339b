//! Kubernetes Events (events.k8s.io), as `kubectl describe` shows them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::timeout::in_time;

/// Events beyond this number are dropped: no reconcile waits for them.
const QUEUE_CAPACITY: usize = 4_096;

/// Enough to keep up with the status writes, and too few to delay them.
const MAX_CONCURRENT_WRITES: usize = 4;

/// Kubernetes refuses longer notes.
const MAX_NOTE_CHARS: usize = 1_024;

/// A repetition within this time increments the count of the existing Event.
const SERIES_WINDOW: Duration = Duration::from_mins(6);

/// Interval between removals of expired entries.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);

/// The type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Expected progress.
    Normal,
    /// A user should act.
    Warning,
}

/// An Event about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its type.
    pub kind: EventType,
    /// The reason, one CamelCase word.
    pub reason: &'static str,
    /// The message.
    pub message: String,
}

/// `reportingController` of each Event.
const CONTROLLER: &str = "eventcenter.io/controllers";

pub(super) type Sender = mpsc::Sender<(ObjectReference, EventRecord)>;

/// Starts the task that writes Events until the last sender is dropped.
pub(super) fn start(client: Client, instance: &str) -> Sender {
    let (sender, mut waiting) = mpsc::channel::<(ObjectReference, EventRecord)>(QUEUE_CAPACITY);
    let writer = Writer { client, instance: instance.into(), recent: Mutex::default() };
    tokio::spawn(async move {
        let writer = &writer;
        let events = futures::stream::poll_fn(move |task| waiting.poll_recv(task));
        let written = events.for_each_concurrent(MAX_CONCURRENT_WRITES, async |(reference, event)| {
            if let Err(error) = writer.write(&reference, event).await {
                tracing::debug!(%error, resource = reference.name, "cannot write an Event");
            }
        });
        written.await;
    });
    sender
}

/// Writes Events. It remembers only what it needs to count repetitions: kube's own recorder keeps whole Events and
/// scans all of them each time.
struct Writer {
    client: Client,
    instance: String,
    recent: Mutex<RecentEvents>,
}

/// The Events of the last minutes, by a hash of the resource, the reason and the message.
#[derive(Default)]
struct RecentEvents {
    events: HashMap<u64, EventSeries>,
    expired: Option<Instant>,
}

/// An existing Event.
#[derive(Clone)]
struct EventSeries {
    name: String,
    count: i32,
    last: Instant,
}

impl RecentEvents {
    /// Counts a repetition; `None` if there is no recent Event of this key.
    fn increment(&mut self, key: u64, now: Instant) -> Option<EventSeries> {
        if self.expired.is_none_or(|last| now.duration_since(last) >= EXPIRY_INTERVAL) {
            self.events.retain(|_, known| now.duration_since(known.last) < SERIES_WINDOW);
            self.expired = Some(now);
        }
        let known = self.events.get_mut(&key)?;
        if now.duration_since(known.last) >= SERIES_WINDOW {
            return None;
        }
        (known.count, known.last) = (known.count.saturating_add(1), now);
        Some(known.clone())
    }
}

impl Writer {
    async fn write(&self, about: &ObjectReference, event: EventRecord) -> Result<(), kube::Error> {
        let now = Instant::now();
        // Kubernetes stores Events of cluster-scoped resources in this namespace.
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let key = key(about, &event);
        let series = self.recent().increment(key, now);
        if let Some(series) = series {
            return self.update_series(namespace, &series).await;
        }
        let name = self.create(about, namespace, event).await?;
        self.recent().events.insert(key, EventSeries { name, count: 1, last: now });
        Ok(())
    }

    fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the new count of an Event.
    async fn update_series(&self, namespace: &str, known: &EventSeries) -> Result<(), kube::Error> {
        let series = json!({"count": known.count, "lastObservedTime": MicroTime(wall_clock())});
        let patch = Patch::Merge(json!({"series": series}));
        let request = requests(namespace)
            .patch(&known.name, &PatchParams::default(), &patch)
            .map_err(kube::Error::BuildRequest)?;
        in_time(self.client.request::<IgnoredAny>(request)).await.map(drop)
    }

    /// Creates an Event and returns its name.
    async fn create(
        &self,
        about: &ObjectReference,
        namespace: &str,
        record: EventRecord,
    ) -> Result<String, kube::Error> {
        let now = wall_clock();
        let resource = about.name.as_deref().unwrap_or_default();
        // The naming scheme of Kubernetes' own components; at most 253 characters.
        let beginning = format!("{resource:.230}");
        let name = format!("{}.{:x}", beginning.trim_end_matches(['-', '.']), now.as_nanosecond());
        let kind = match record.kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let mut event = Event {
            action: Some("Reconcile".into()),
            event_time: Some(MicroTime(now)),
            note: Some(record.message.chars().take(MAX_NOTE_CHARS).collect()),
            reason: Some(record.reason.into()),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.into()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(kind.into()),
            ..Event::default()
        };
        event.metadata.name = Some(name.clone());
        event.metadata.namespace = Some(namespace.into());
        let body = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        let request =
            requests(namespace).create(&PostParams::default(), body).map_err(kube::Error::BuildRequest)?;
        in_time(self.client.request::<IgnoredAny>(request)).await?;
        Ok(name)
    }
}

fn requests(namespace: &str) -> Request {
    Request::new(Event::url_path(&(), Some(namespace)))
}

fn key(about: &ObjectReference, event: &EventRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_warning = event.kind == EventType::Warning;
    (&about.uid, &about.namespace, &about.name, is_warning, event.reason, &event.message).hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "an Event shows the wall-clock time")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_message_about_the_same_resource_is_the_same_event() {
        let about = |name: &str| ObjectReference { name: Some(name.into()), ..ObjectReference::default() };
        let event = |message: &str| EventRecord {
            kind: EventType::Normal,
            reason: "Available",
            message: message.into(),
        };
        let first = key(&about("a"), &event("created"));
        assert_eq!(first, key(&about("a"), &event("created")));
        assert_ne!(first, key(&about("b"), &event("created")));
        assert_ne!(first, key(&about("a"), &event("deleted")));
        let warning = EventRecord { kind: EventType::Warning, ..event("created") };
        assert_ne!(first, key(&about("a"), &warning));
    }

    #[test]
    fn repetitions_are_counted_and_old_events_expire() {
        let start = Instant::now();
        let mut recent = RecentEvents::default();
        assert!(recent.increment(1, start).is_none());
        for key in [1, 2] {
            recent.events.insert(key, EventSeries { name: key.to_string(), count: 1, last: start });
        }
        let repeated = recent.increment(1, start + SERIES_WINDOW / 2).expect("a recent event");
        assert_eq!((repeated.name.as_str(), repeated.count), ("1", 2));
        assert!(recent.increment(1, start + SERIES_WINDOW).is_some(), "it was repeated meanwhile");
        assert!(!recent.events.contains_key(&2), "it expired");
        assert!(recent.increment(1, start + SERIES_WINDOW * 2).is_none());
    }
}
