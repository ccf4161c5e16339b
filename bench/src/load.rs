//! Many writers, and what each of them sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::protocol::{Latency, Message, Report};
use crate::watch::Watch;

const PROGRESS: Duration = Duration::from_millis(500);

/// What the load consists of.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// How many topics.
    pub(crate) count: u32,
    /// How many requests are under way at once.
    pub(crate) writers: u32,
    /// The namespace of the EventTopics, or what the names of all their namespaces begin with.
    pub(crate) namespace: String,
    /// Over how many namespaces they are spread, if they are.
    pub(crate) namespaces: Option<u32>,
    /// What their names begin with.
    pub(crate) prefix: String,
    /// How long nothing may happen before it is given up.
    pub(crate) patience: Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// What that generation declares is in force.
    Ready {
        /// `metadata.generation`, 1 for a new one.
        generation: i64,
    },
    /// It does not exist any more.
    Gone,
}

impl Load {
    /// The name of the EventTopic with that number.
    pub(crate) fn name(&self, number: u32) -> String {
        format!("{}-{number:05}", self.prefix)
    }

    /// The namespace of that EventTopic: one after the other, so that all are written to at once.
    pub(crate) fn place(&self, number: u32) -> String {
        match self.namespaces {
            Some(namespaces) => format!("{}-{:03}", self.namespace, number % namespaces),
            None => self.namespace.clone(),
        }
    }

    /// Writes to all topics and, unless there is no operator, waits until the watch has seen all of them.
    pub(crate) async fn run<F, W>(
        &self,
        client: Client,
        target: Target,
        alone: bool,
        write: F,
    ) -> Result<Report>
    where
        F: Fn(Writer, u32) -> W + Clone + Send + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let mut watch = match alone {
            true => None,
            false => Some(Watch::begin(client.clone(), &self.namespace, target).await?),
        };
        let begun = crate::ready().await?;
        let mut written = self.start(client, write);
        let mut sent: Vec<Option<Instant>> = vec![None; usize::try_from(self.count)?];
        let mut answers = Vec::with_capacity(sent.len());
        let (mut answered, mut last) = (0, begun);
        let mut ticks = interval(PROGRESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news = Instant::now();
        let done = |watch: &Option<Watch>| watch.as_ref().map_or(0, Watch::done);
        while answered < self.count || (watch.is_some() && done(&watch) < self.count) {
            tokio::select! {
                Some(one) = written.recv() => {
                    let one = one?;
                    answered += 1;
                    (last, news) = (Instant::now(), Instant::now());
                    answers.push(one.took);
                    if let Some(place) = sent.get_mut(usize::try_from(one.number)?) {
                        *place = Some(one.begun);
                    }
                }
                seen = next(&mut watch) => {
                    seen?;
                    news = Instant::now();
                }
                _ = ticks.tick() => {
                    let done = if watch.is_some() { done(&watch) } else { answered };
                    Message::Progress { sent: answered, done }.print()?;
                    if news.elapsed() >= self.patience {
                        break;
                    }
                }
            }
        }
        let report = self.report(begun, last, &sent, watch.as_ref(), answered);
        Ok(Report { answer_seconds: Latency::of(answers), ..report })
    }

    fn report(
        &self,
        begun: Instant,
        written: Instant,
        sent: &[Option<Instant>],
        watch: Option<&Watch>,
        answered: u32,
    ) -> Report {
        let mut end = written;
        let mut latencies = Vec::new();
        if let Some(watch) = watch {
            for (number, sent) in (0..).zip(sent) {
                if let (Some(sent), Some(seen)) = (sent, watch.when(&self.name(number))) {
                    end = end.max(seen);
                    latencies.push(seen.saturating_duration_since(*sent));
                }
            }
        }
        Report {
            wall_seconds: end.duration_since(begun).as_secs_f64(),
            written_seconds: written.duration_since(begun).as_secs_f64(),
            count: self.count,
            done: watch.map_or(answered, |_| u32::try_from(latencies.len()).unwrap_or(u32::MAX)),
            latency_seconds: Latency::of(latencies),
            ..Report::default()
        }
    }

    /// Starts the writers. Each takes every so many-th topic, so that none waits for another.
    fn start<F, W>(&self, client: Client, write: F) -> mpsc::UnboundedReceiver<Result<Written>>
    where
        F: Fn(Writer, u32) -> W + Clone + Send + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let (answers, written) = mpsc::unbounded_channel();
        let load = Arc::new(self.clone());
        for first in 0..self.writers {
            let (writer, write, answers) =
                (Writer { client: client.clone(), load: Arc::clone(&load) }, write.clone(), answers.clone());
            tokio::spawn(async move {
                for number in
                    (first..writer.load.count).step_by(usize::try_from(writer.load.writers).unwrap_or(1))
                {
                    let begun = Instant::now();
                    let result = write(writer.clone(), number).await;
                    let result = result.map(|()| Written { number, begun, took: begun.elapsed() });
                    let failed = result.is_err();
                    if answers.send(result).is_err() || failed {
                        return;
                    }
                }
            });
        }
        written
    }
}

async fn next(watch: &mut Option<Watch>) -> Result<()> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// A write that was answered.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: u32,
    begun: Instant,
    took: Duration,
}

/// Who writes.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
    pub(crate) load: Arc<Load>,
}

impl Writer {
    /// A request about EventTopics in the namespace of that one.
    pub(crate) fn request(&self, number: u32) -> Request {
        Request::new(EventTopic::url_path(&(), Some(&self.load.place(number))))
    }

    /// Patches one EventTopic, or a part of it.
    pub(crate) async fn patch(&self, number: u32, part: Option<&str>, patch: &Patch<Value>) -> Result<()> {
        let (name, parameters) = (self.load.name(number), PatchParams::default());
        let request = match part {
            Some(part) => self.request(number).patch_subresource(part, &name, &parameters, patch),
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
    let name = writer.load.name(number);
    let text = serde_json::to_vec(&manifest(&name))?;
    let request = writer.request(number).create(&PostParams::default(), text)?;
    writer.client.request::<IgnoredAny>(request).await.with_context(|| format!("creating {name}"))?;
    Ok(())
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

/// Deletes one EventTopic and, as its operator would, takes its finalizer off.
pub(crate) async fn delete_and_release(writer: Writer, number: u32) -> Result<()> {
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
    fn the_manifest_is_an_event_topic() {
        let topic: EventTopic = serde_json::from_value(manifest("t-00001")).expect("it is one");
        assert_eq!(topic.metadata.name.as_deref(), Some("t-00001"));
        assert_eq!(topic.spec.partitions, 1);
        assert_eq!(topic.spec.deletion_policy, eventcenter::api::DeletionPolicy::Delete);
    }
}
