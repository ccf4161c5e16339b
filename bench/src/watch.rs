//! A watch of all EventTopics of a namespace.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::api::EventTopic;
use eventcenter::domain::condition::READY;
use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::Deserialize;

use crate::protocol::{self, Report};

/// The fields of an EventTopic that the watch needs.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = EventTopic)]
pub(crate) struct WatchedTopic {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

impl WatchedTopic {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Whether the topic is Ready with this or a later generation.
    fn is_ready(&self, generation: i64) -> bool {
        self.status.observed_generation >= generation
            && self
                .status
                .conditions
                .iter()
                .any(|condition| condition.type_ == READY && condition.status == "True")
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event<WatchedTopic>, watcher::Error>> + Send>>;

/// The state of an EventTopic for which a step waits.
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

/// Records when each EventTopic reaches a target.
pub(crate) struct Watch {
    events: Events,
    target: Target,
    /// When each topic reached the target, by its name.
    reached: HashMap<String, Instant>,
}

impl Watch {
    /// Starts the watch. Returns after the initial list.
    pub(crate) async fn start(client: Client, namespace: &str, target: Target) -> Result<Self> {
        let topics = Api::<WatchedTopic>::namespaced(client, namespace);
        let mut events: Events = Box::pin(watcher(topics, watcher::Config::default()));
        while !matches!(
            events.next().await.context("the watch ended")?.context("watching EventTopics")?,
            Event::InitDone
        ) {}
        Ok(Self { events, target, reached: HashMap::new() })
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Result<()> {
        match self.events.next().await.context("the watch ended")?.context("watching EventTopics")? {
            Event::Apply(topic) | Event::InitApply(topic) => match self.target {
                Target::Ready { generation } if topic.is_ready(generation) => self.record(&topic),
                _ => {}
            },
            Event::Delete(topic) if self.target == Target::Deleted => self.record(&topic),
            Event::Delete(_) | Event::Init | Event::InitDone => {}
        }
        Ok(())
    }

    fn record(&mut self, topic: &WatchedTopic) {
        self.reached.entry(topic.name().to_owned()).or_insert_with(Instant::now);
    }

    /// The number of topics that reached the target.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.reached.len()).unwrap_or(u32::MAX)
    }

    /// When a topic reached the target.
    pub(crate) fn reached_at(&self, name: &str) -> Option<Instant> {
        self.reached.get(name).copied()
    }
}

/// Counts the events in a period in which none is expected.
pub(crate) async fn count_events(
    client: Client,
    namespace: &str,
    count: u32,
    duration: Duration,
) -> Result<Report> {
    let mut watch = Watch::start(client, namespace, Target::Deleted).await?;
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

    fn watched(status: serde_json::Value) -> WatchedTopic {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).expect("a topic")
    }

    #[test]
    fn a_topic_is_ready_only_with_the_observed_generation() {
        let ready = |status: &str| json!([{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": status}]);
        assert!(watched(json!({"observedGeneration": 2, "conditions": ready("True")})).is_ready(2));
        assert!(!watched(json!({"observedGeneration": 1, "conditions": ready("True")})).is_ready(2));
        assert!(!watched(json!({"observedGeneration": 2, "conditions": ready("False")})).is_ready(2));
        assert!(!watched(json!({})).is_ready(1));
        let without: WatchedTopic =
            serde_json::from_value(json!({"metadata": {"name": "a"}})).expect("a topic");
        assert!(!without.is_ready(1));
    }
}
