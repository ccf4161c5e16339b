//! Kubernetes Events: what a person sees in `kubectl describe`.

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

use super::{KubeClient, in_time};

/// How many Events may wait. Beyond that they are dropped: they are a courtesy, and nothing waits
/// for them.
const QUEUE: usize = 4_096;

/// How many are written at once: enough to keep up with the writes of statuses, of which more are
/// under way, and too few to hold these up.
const AT_ONCE: usize = 4;

/// Kubernetes refuses longer notes.
const NOTE_LIMIT: usize = 1_024;

/// What is told again within this time is counted in the Event that there is.
const AGAIN: Duration = Duration::from_mins(6);

/// How often what is older than that is forgotten.
const FORGET: Duration = Duration::from_mins(1);

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something worth telling about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Whether somebody should look.
    pub kind: EventType,
    /// The one word for it.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

/// Who reports, in each Event.
const CONTROLLER: &str = "eventcenter.io/controllers";

pub(super) type Sender = mpsc::Sender<(ObjectReference, EventRecord)>;

/// Starts the task that writes Events, until the last sender is gone.
pub(super) fn start(client: Client, instance: &str) -> Sender {
    let (sender, mut waiting) = mpsc::channel::<(ObjectReference, EventRecord)>(QUEUE);
    let writer = Writer { client, instance: instance.into(), told: Mutex::default() };
    tokio::spawn(async move {
        let writer = &writer;
        let notes = futures::stream::poll_fn(move |task| waiting.poll_recv(task));
        let written = notes.for_each_concurrent(AT_ONCE, async |(reference, note)| {
            if let Err(error) = writer.tell(&reference, note).await {
                tracing::debug!(%error, resource = reference.name, "an Event could not be written");
            }
        });
        written.await;
    });
    sender
}

/// Writes Events. Of those it has written it keeps what is needed to count them, which is little:
/// kube's own recorder keeps whole Events and looks through all of them each time.
struct Writer {
    client: Client,
    instance: String,
    told: Mutex<Told>,
}

/// The Events of the last minutes, by a hash of the resource, the reason and the sentence.
#[derive(Default)]
struct Told {
    events: HashMap<u64, Known>,
    forgotten: Option<Instant>,
}

/// An Event that exists.
#[derive(Clone)]
struct Known {
    name: String,
    count: i32,
    last: Instant,
}

impl Told {
    /// The Event that is to be counted once more, if there is one.
    fn again(&mut self, key: u64, now: Instant) -> Option<Known> {
        if self.forgotten.is_none_or(|last| now.duration_since(last) >= FORGET) {
            self.events.retain(|_, known| now.duration_since(known.last) < AGAIN);
            self.forgotten = Some(now);
        }
        let known = self.events.get_mut(&key)?;
        if now.duration_since(known.last) >= AGAIN {
            return None;
        }
        (known.count, known.last) = (known.count.saturating_add(1), now);
        Some(known.clone())
    }
}

impl Writer {
    async fn tell(&self, about: &ObjectReference, note: EventRecord) -> Result<(), kube::Error> {
        let now = Instant::now();
        // A resource of no namespace has its Events in this one.
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let key = key(about, &note);
        let known = self.told().again(key, now);
        if let Some(known) = known {
            return self.again(namespace, &known).await;
        }
        let name = self.first(about, namespace, note).await?;
        self.told().events.insert(key, Known { name, count: 1, last: now });
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an Event once more.
    async fn again(&self, namespace: &str, known: &Known) -> Result<(), kube::Error> {
        let series = json!({"count": known.count, "lastObservedTime": MicroTime(wall_clock())});
        let patch = Patch::Merge(json!({"series": series}));
        let request = requests(namespace)
            .patch(&known.name, &PatchParams::default(), &patch)
            .map_err(kube::Error::BuildRequest)?;
        in_time(self.client.request::<IgnoredAny>(request)).await.map(drop)
    }

    /// Writes an Event and returns its name.
    async fn first(
        &self,
        about: &ObjectReference,
        namespace: &str,
        note: EventRecord,
    ) -> Result<String, kube::Error> {
        let now = wall_clock();
        let resource = about.name.as_deref().unwrap_or_default();
        // As Kubernetes' own components name theirs; at most 253 characters.
        let beginning = format!("{resource:.230}");
        let name = format!("{}.{:x}", beginning.trim_end_matches(['-', '.']), now.as_nanosecond());
        let kind = match note.kind {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let mut event = Event {
            action: Some("Reconcile".into()),
            event_time: Some(MicroTime(now)),
            note: Some(note.message.chars().take(NOTE_LIMIT).collect()),
            reason: Some(note.reason.into()),
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

fn key(about: &ObjectReference, note: &EventRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_warning = note.kind == EventType::Warning;
    (&about.uid, &about.namespace, &about.name, is_warning, note.reason, &note.message).hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "an Event holds the time for people to read")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

impl KubeClient {
    /// Tells something about a resource. Returns at once; the Event is written later, or never if
    /// too many wait.
    pub fn publish_event(&self, resource: &impl Resource<DynamicType = ()>, note: EventRecord) {
        if let Err(error) = self.events.try_send((resource.object_ref(&()), note)) {
            tracing::debug!(%error, "an Event was dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_sentence_about_the_same_resource_is_the_same_event() {
        let about = |name: &str| ObjectReference { name: Some(name.into()), ..ObjectReference::default() };
        let note = |message: &str| EventRecord {
            kind: EventType::Normal,
            reason: "Available",
            message: message.into(),
        };
        let first = key(&about("a"), &note("it is there"));
        assert_eq!(first, key(&about("a"), &note("it is there")));
        assert_ne!(first, key(&about("b"), &note("it is there")));
        assert_ne!(first, key(&about("a"), &note("it is gone")));
        let warning = EventRecord { kind: EventType::Warning, ..note("it is there") };
        assert_ne!(first, key(&about("a"), &warning));
    }

    #[test]
    fn what_is_told_again_soon_is_counted_and_the_rest_forgotten() {
        let start = Instant::now();
        let mut told = Told::default();
        assert!(told.again(1, start).is_none());
        for key in [1, 2] {
            told.events.insert(key, Known { name: key.to_string(), count: 1, last: start });
        }
        let again = told.again(1, start + AGAIN / 2).expect("it is known");
        assert_eq!((again.name.as_str(), again.count), ("1", 2));
        assert!(told.again(1, start + AGAIN).is_some(), "it was told meanwhile");
        assert!(!told.events.contains_key(&2), "it was not");
        assert!(told.again(1, start + AGAIN * 2).is_none());
    }
}
