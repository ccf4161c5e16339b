//! Concurrent writers and their requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, Request};
use kube::{Client, Resource};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::protocol::{Latency, Message, Report};
use crate::watch::{Target, Watch};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The size of the load and the names of its objects.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The kind of the objects.
    pub(crate) resource: ApiResource,
    /// The number of objects.
    pub(crate) count: u32,
    /// The number of concurrent requests.
    pub(crate) writers: u32,
    /// The namespace of the objects, or the prefix of their namespaces.
    pub(crate) namespace: String,
    /// The number of namespaces, `None` for only [`Load::namespace`].
    pub(crate) namespaces: Option<u32>,
    /// The prefix of the objects' names.
    pub(crate) prefix: String,
    /// The step stops if nothing happens for this long.
    pub(crate) inactivity_timeout: Duration,
}

impl Load {
    /// The name of an object.
    pub(crate) fn name(&self, number: u32) -> String {
        format!("{}-{number:05}", self.prefix)
    }

    /// The namespace of an object. The namespaces alternate, so that all receive writes at the same time.
    pub(crate) fn namespace_of(&self, number: u32) -> String {
        match self.namespaces {
            Some(namespaces) => format!("{}-{:03}", self.namespace, number % namespaces),
            None => self.namespace.clone(),
        }
    }

    /// Writes all objects and, if there is a target, waits until all have reached it.
    pub(crate) async fn run<F, W>(&self, client: Client, target: Option<Target>, write: F) -> Result<Report>
    where
        F: Fn(Writer, u32) -> W + Clone + Send + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let mut watch = match target {
            None => None,
            Some(target) => Some(
                Watch::start(client.clone(), &self.resource, &self.namespace, &self.prefix, target).await?,
            ),
        };
        let start = crate::protocol::ready().await?;
        let mut writes = self.start_writers(client, write);
        let mut sent: Vec<Option<Instant>> = vec![None; usize::try_from(self.count)?];
        let mut durations = Vec::with_capacity(sent.len());
        let (mut responses, mut last_response) = (0, start);
        let mut ticks = interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_activity = Instant::now();
        let reached = |watch: &Option<Watch>| watch.as_ref().map_or(0, Watch::count);
        while responses < self.count || (watch.is_some() && reached(&watch) < self.count) {
            tokio::select! {
                Some(write) = writes.recv() => {
                    let write = write?;
                    responses += 1;
                    (last_response, last_activity) = (Instant::now(), Instant::now());
                    durations.push(write.duration);
                    if let Some(time) = sent.get_mut(usize::try_from(write.number)?) {
                        *time = Some(write.start);
                    }
                }
                event = next_event(&mut watch) => {
                    event?;
                    last_activity = Instant::now();
                }
                _ = ticks.tick() => {
                    let done = if watch.is_some() { reached(&watch) } else { responses };
                    Message::Progress { sent: responses, done }.print()?;
                    if last_activity.elapsed() >= self.inactivity_timeout {
                        break;
                    }
                }
            }
        }
        let report = self.report(start, last_response, &sent, watch.as_ref(), responses);
        Ok(Report { answer_seconds: Latency::of(durations), ..report })
    }

    fn report(
        &self,
        start: Instant,
        last_response: Instant,
        sent: &[Option<Instant>],
        watch: Option<&Watch>,
        responses: u32,
    ) -> Report {
        let mut end = last_response;
        let mut latencies = Vec::new();
        if let Some(watch) = watch {
            for (number, sent) in (0..).zip(sent) {
                if let (Some(sent), Some(reached)) = (sent, watch.reached_at(&self.name(number))) {
                    end = end.max(reached);
                    latencies.push(reached.saturating_duration_since(*sent));
                }
            }
        }
        Report {
            wall_seconds: end.duration_since(start).as_secs_f64(),
            written_seconds: last_response.duration_since(start).as_secs_f64(),
            count: self.count,
            done: watch.map_or(responses, |_| u32::try_from(latencies.len()).unwrap_or(u32::MAX)),
            latency_seconds: Latency::of(latencies),
            ..Report::default()
        }
    }

    /// Starts the writers. With n writers, each writes every n-th topic, so that none waits for another.
    fn start_writers<F, W>(&self, client: Client, write: F) -> mpsc::UnboundedReceiver<Result<CompletedWrite>>
    where
        F: Fn(Writer, u32) -> W + Clone + Send + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let (results, writes) = mpsc::unbounded_channel();
        let load = Arc::new(self.clone());
        for first in 0..self.writers {
            let (writer, write, results) =
                (Writer { client: client.clone(), load: Arc::clone(&load) }, write.clone(), results.clone());
            tokio::spawn(async move {
                for number in
                    (first..writer.load.count).step_by(usize::try_from(writer.load.writers).unwrap_or(1))
                {
                    let start = Instant::now();
                    let result = write(writer.clone(), number).await;
                    let result = result.map(|()| CompletedWrite { number, start, duration: start.elapsed() });
                    let is_failed = result.is_err();
                    if results.send(result).is_err() || is_failed {
                        return;
                    }
                }
            });
        }
        writes
    }
}

async fn next_event(watch: &mut Option<Watch>) -> Result<()> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// A write with a successful response.
#[derive(Clone, Copy, Debug)]
struct CompletedWrite {
    number: u32,
    start: Instant,
    duration: Duration,
}

/// One of the concurrent writers.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
    pub(crate) load: Arc<Load>,
}

impl Writer {
    /// A request builder for objects of the kind in the namespace of this one.
    pub(crate) fn request(&self, number: u32) -> Request {
        let namespace = self.load.namespace_of(number);
        Request::new(DynamicObject::url_path(&self.load.resource, Some(&namespace)))
    }

    /// Creates one object with the name of that number.
    pub(crate) async fn create(&self, number: u32, manifest: &Value) -> Result<()> {
        let name = self.load.name(number);
        let request = self.request(number).create(&PostParams::default(), serde_json::to_vec(manifest)?)?;
        self.client.request::<IgnoredAny>(request).await.with_context(|| format!("creating {name}"))?;
        Ok(())
    }

    /// Patches one EventTopic, or a subresource of it.
    pub(crate) async fn patch(
        &self,
        number: u32,
        subresource: Option<&str>,
        patch: &Patch<Value>,
    ) -> Result<()> {
        let (name, parameters) = (self.load.name(number), PatchParams::default());
        let request = match subresource {
            Some(subresource) => {
                self.request(number).patch_subresource(subresource, &name, &parameters, patch)
            }
            None => self.request(number).patch(&name, &parameters, patch),
        };
        self.client.request::<IgnoredAny>(request?).await.with_context(|| format!("patching {name}"))?;
        Ok(())
    }
}

fn manifest(name: &str) -> Value {
    json!({
        "apiVersion": EventTopic::api_version(&()),
        "kind": EventTopic::kind(&()),
        "metadata": {"name": name},
        "spec": {
            "partitions": 1,
            "config": {"retention.ms": "604800000"},
            "deletionPolicy": "Delete",
        },
    })
}

/// Creates one EventTopic.
pub(crate) async fn create(writer: Writer, number: u32) -> Result<()> {
    writer.create(number, &manifest(&writer.load.name(number))).await
}

/// Changes one configuration key of an EventTopic.
pub(crate) async fn change(writer: Writer, number: u32) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"config": {"retention.ms": "3600000"}}}));
    writer.patch(number, None, &patch).await
}

/// Deletes one EventTopic.
pub(crate) async fn delete(writer: Writer, number: u32) -> Result<()> {
    let name = writer.load.name(number);
    let request = writer.request(number).delete(&name, &DeleteParams::default())?;
    writer.client.request::<IgnoredAny>(request).await.with_context(|| format!("deleting {name}"))?;
    Ok(())
}

/// Deletes one EventTopic and removes its finalizer, as the operator would.
pub(crate) async fn delete_and_remove_finalizer(writer: Writer, number: u32) -> Result<()> {
    delete(writer.clone(), number).await?;
    let patch = json!([
        {"op": "test", "path": "/metadata/finalizers/0", "value": DELETE_FINALIZER},
        {"op": "remove", "path": "/metadata/finalizers/0"},
    ]);
    writer.patch(number, None, &Patch::Json(serde_json::from_value(patch)?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_a_valid_event_topic() {
        let topic: EventTopic = serde_json::from_value(manifest("t-00001")).expect("an EventTopic");
        assert_eq!(topic.metadata.name.as_deref(), Some("t-00001"));
        assert_eq!(topic.spec.partitions, 1);
        assert_eq!(topic.spec.deletion_policy, eventcenter::api::DeletionPolicy::Delete);
    }
}
