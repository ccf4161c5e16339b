//! One watch of all EventTopics of a namespace.

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

use crate::load::{Load, Target};
use crate::protocol::Report;

/// As much of an EventTopic as is looked at.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = EventTopic)]
pub(crate) struct Seen {
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

impl Seen {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Whether what that generation declares is in force.
    fn is_ready(&self, generation: i64) -> bool {
        self.status.observed_generation >= generation
            && self.status.conditions.iter().any(|known| known.type_ == READY && known.status == "True")
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event<Seen>, watcher::Error>> + Send>>;

/// The EventTopics as they become what is waited for.
pub(crate) struct Watch {
    events: Events,
    target: Target,
    /// When each was seen to be done.
    done: HashMap<String, Instant>,
}

impl Watch {
    /// Begins; returns when everything that is there has been read.
    pub(crate) async fn begin(client: Client, namespace: &str, target: Target) -> Result<Self> {
        let topics = Api::<Seen>::namespaced(client, namespace);
        let mut events: Events = Box::pin(watcher(topics, watcher::Config::default()));
        while !matches!(
            events.next().await.context("the watch ended")?.context("watching EventTopics")?,
            Event::InitDone
        ) {}
        Ok(Self { events, target, done: HashMap::new() })
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Result<()> {
        match self.events.next().await.context("the watch ended")?.context("watching EventTopics")? {
            Event::Apply(topic) | Event::InitApply(topic) => self.see(&topic, false),
            Event::Delete(topic) => self.see(&topic, true),
            Event::Init | Event::InitDone => {}
        }
        Ok(())
    }

    fn see(&mut self, topic: &Seen, gone: bool) {
        let is_done = match self.target {
            Target::Ready { generation } => !gone && topic.is_ready(generation),
            Target::Gone => gone,
        };
        if is_done {
            self.done.entry(topic.name().to_owned()).or_insert_with(Instant::now);
        }
    }

    /// How many are done.
    pub(crate) fn done(&self) -> u32 {
        u32::try_from(self.done.len()).unwrap_or(u32::MAX)
    }

    /// When that one was done.
    pub(crate) fn when(&self, name: &str) -> Option<Instant> {
        self.done.get(name).copied()
    }
}

/// Watches for some time in which nothing should happen.
pub(crate) async fn rest(client: Client, load: &Load, time: Duration) -> Result<Report> {
    let mut watch = Watch::begin(client, &load.namespace, Target::Gone).await?;
    let begun = crate::ready().await?;
    let mut events = 0;
    let end = tokio::time::Instant::now() + time;
    while let Ok(event) = tokio::time::timeout_at(end, watch.next()).await {
        event?;
        events += 1;
    }
    let wall_seconds = begun.elapsed().as_secs_f64();
    Ok(Report { wall_seconds, count: load.count, done: load.count, events, ..Report::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(status: serde_json::Value) -> Seen {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).expect("a topic")
    }

    #[test]
    fn only_the_generation_that_is_in_force_counts() {
        let ready = |status: &str| json!([{"type": "Stalled", "status": "True"}, {"type": "Ready", "status": status}]);
        assert!(seen(json!({"observedGeneration": 2, "conditions": ready("True")})).is_ready(2));
        assert!(!seen(json!({"observedGeneration": 1, "conditions": ready("True")})).is_ready(2));
        assert!(!seen(json!({"observedGeneration": 2, "conditions": ready("False")})).is_ready(2));
        assert!(!seen(json!({})).is_ready(1));
        let without: Seen = serde_json::from_value(json!({"metadata": {"name": "a"}})).expect("a topic");
        assert!(!without.is_ready(1));
    }
}
