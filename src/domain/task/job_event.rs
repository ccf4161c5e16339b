//! The events that the platform publishes about runs, for subscribers: `System.Job.*`.
//!
//! A run that starts has one `Started` and one of `Completed`, `Failed` and `Cancelled`. A run that was not started in time has
//! `Missed` only, and a skipped one has none: its task declares that.

use eventcenter_sdk::{Envelope, EnvelopeError, EventId};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::{Run, RunState};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// The first attempt has started.
    Started,
    /// The run succeeded.
    Completed,
    /// The run failed or timed out after all retries.
    Failed,
    /// A user, or the concurrency policy `Replace`, ended the run.
    Cancelled,
    /// The run was not started in time.
    Missed,
}

impl JobEvent {
    /// The event about the end of a run.
    #[must_use]
    pub fn of_end(run: &Run) -> Option<Self> {
        match run.state {
            _ if run.trigger.is_failure() => None,
            RunState::Missed => Some(Self::Missed),
            _ if run.started_at.is_none() => None,
            RunState::Succeeded => Some(Self::Completed),
            RunState::Failed | RunState::TimedOut => Some(Self::Failed),
            RunState::Cancelled => Some(Self::Cancelled),
            RunState::Skipped
            | RunState::Requested
            | RunState::Queued
            | RunState::Ready
            | RunState::Running => None,
        }
    }

    /// The event about the start of a run.
    #[must_use]
    pub fn of_start(run: &Run) -> Option<Self> {
        (run.started_at.is_some() && !run.trigger.is_failure()).then_some(Self::Started)
    }

    /// The type of the event.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Started => "System.Job.Started.v1",
            Self::Completed => "System.Job.Completed.v1",
            Self::Failed => "System.Job.Failed.v1",
            Self::Cancelled => "System.Job.Cancelled.v1",
            Self::Missed => "System.Job.Missed.v1",
        }
    }

    /// The event. Its id is derived from the run and the type, so that consumers recognize a repetition.
    ///
    /// # Errors
    /// A name of the run is no attribute of an event; names of Kubernetes are.
    pub fn envelope(self, run: &Run) -> Result<Envelope, EnvelopeError> {
        let time = match self {
            Self::Started => run.started_at,
            _ => run.ended_at,
        };
        let data = serde_json::to_value(self.data(run)).unwrap_or_default();
        let envelope = Envelope::new(
            EventId::from(self.id(run)),
            self.event_type(),
            source_of(run),
            time.unwrap_or(run.scheduled_at),
            data,
        )?;
        Ok(envelope
            .with_tenant(run.task.tenant.clone())
            .with_correlation(EventId::from(run.chain))
            .with_causation(EventId::from(run.id.0)))
    }

    fn id(self, run: &Run) -> Uuid {
        let digest = Sha256::new().chain_update(run.id.0).chain_update(self.event_type()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    fn data(self, run: &Run) -> Data<'_> {
        let of_end = (self != Self::Started).then_some(run);
        let outcome = of_end.map(|run| &run.outcome);
        let duration = of_end.and_then(|run| run.ended_at.zip(run.started_at));
        Data {
            run_id: run.id.0,
            tenant: run.task.tenant.as_str(),
            namespace: &run.task.namespace,
            task: &run.task.name,
            trigger: run.trigger.kind(),
            chain: run.chain,
            scheduled_time: run.scheduled_at,
            started_time: run.started_at,
            ended_time: of_end.and_then(|run| run.ended_at),
            duration_ms: duration.map(|(end, start)| end.duration_since(start).as_millis().max(0)),
            state: of_end.map_or(RunState::Running, |run| run.state).as_str(),
            attempts: of_end.map(|run| run.attempts),
            exit_code: outcome.and_then(|outcome| outcome.exit_code),
            http_status: outcome.and_then(|outcome| outcome.http_status),
            items: outcome.and_then(|outcome| outcome.items),
            errors: outcome.and_then(|outcome| outcome.errors),
            message: outcome.and_then(|outcome| outcome.message.as_deref()),
        }
    }
}

/// The source of the events of a task, which is also the key of their Kafka records: they stay in order.
#[must_use]
pub fn source_of(run: &Run) -> String {
    format!("eventcenter/tasks/{}/{}", run.task.namespace, run.task.name)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    run_id: Uuid,
    tenant: &'a str,
    namespace: &'a str,
    task: &'a str,
    trigger: &'static str,
    chain: Uuid,
    scheduled_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i128>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[cfg(test)]
#[path = "job_event_tests.rs"]
mod tests;
