//! A watch of all objects of one kind in a namespace.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::domain::condition::READY;
use futures::{Stream, StreamExt};
use kube::core::{ApiResource, Object};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::protocol::{self, Report};

/// The fields of an EventTopic or a ScheduledTask that the watch needs.
pub(crate) type Watched = Object<IgnoredAny, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    observed_generation: i64,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

impl Status {
    /// Whether the object is Ready with this or a later generation.
    fn is_ready(&self, generation: i64) -> bool {
        self.observed_generation >= generation
            && self.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event<Watched>, watcher::Error>> + Send>>;

/// The state of an object for which a step waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// It is Ready with this or a later generation.
    Ready {
        /// `metadata.generation`, 1 for a new one.
        generation: i64,
    },
    /// It is deleted.
    Deleted,
}

/// Records when each object reaches a target.
pub(crate) struct Watch {
    events: Events,
    target: Target,
    /// The prefix of the names of the objects; those of other steps change, too.
    prefix: String,
    /// When each object reached the target, by its name.
    reached: HashMap<String, Instant>,
}

impl Watch {
    /// Starts the watch. Returns after the initial list.
    pub(crate) async fn start(
        client: Client,
        resource: &ApiResource,
        namespace: &str,
        prefix: &str,
        target: Target,
    ) -> Result<Self> {
        let objects = Api::<Watched>::namespaced_with(client, namespace, resource);
        let mut events: Events = Box::pin(watcher(objects, watcher::Config::default()));
        while !matches!(
            events.next().await.context("the watch ended")?.context("watching the objects")?,
            Event::InitDone
        ) {}
        Ok(Self { events, target, prefix: format!("{prefix}-"), reached: HashMap::new() })
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Result<()> {
        match self.events.next().await.context("the watch ended")?.context("watching the objects")? {
            Event::Apply(object) | Event::InitApply(object) => match (self.target, &object.status) {
                (Target::Ready { generation }, Some(status)) if status.is_ready(generation) => {
                    self.record(&object);
                }
                _ => {}
            },
            Event::Delete(object) if self.target == Target::Deleted => self.record(&object),
            Event::Delete(_) | Event::Init | Event::InitDone => {}
        }
        Ok(())
    }

    fn record(&mut self, object: &Watched) {
        let name = object.metadata.name.clone().unwrap_or_default();
        if name.starts_with(&self.prefix) {
            self.reached.entry(name).or_insert_with(Instant::now);
        }
    }

    /// The number of objects that reached the target.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.reached.len()).unwrap_or(u32::MAX)
    }

    /// When an object reached the target.
    pub(crate) fn reached_at(&self, name: &str) -> Option<Instant> {
        self.reached.get(name).copied()
    }
}

/// Counts the events in a period in which none is expected.
pub(crate) async fn count_events(
    client: Client,
    resource: &ApiResource,
    namespace: &str,
    count: u32,
    duration: Duration,
) -> Result<Report> {
    let mut watch = Watch::start(client, resource, namespace, "", Target::Deleted).await?;
    let start = protocol::ready().await?;
    let mut events = 0;
    let end = tokio::time::Instant::now() + duration;
    while let Ok(event) = tokio::time::timeout_at(end, watch.next()).await {
        event?;
        events += 1;
    }
    let wall_seconds = start.elapsed().as_secs_f64();
    Ok(Report { wall_seconds, count, done: count, events, ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(status: serde_json::Value) -> Status {
        let object = json!({"metadata": {"name": "a"}, "spec": {"partitions": 3}, "status": status});
        let object: Watched = serde_json::from_value(object).expect("a topic");
        object.status.expect("a status")
    }

    #[test]
    fn an_object_is_ready_only_with_the_observed_generation() {
        let ready = |status: &str| json!([{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": status}]);
        assert!(status(json!({"observedGeneration": 2, "conditions": ready("True")})).is_ready(2));
        assert!(!status(json!({"observedGeneration": 1, "conditions": ready("True")})).is_ready(2));
        assert!(!status(json!({"observedGeneration": 2, "conditions": ready("False")})).is_ready(2));
        assert!(!status(json!({})).is_ready(1));
    }
}
