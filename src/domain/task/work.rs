//! What the executor of a run does: the target and the parameters at the time when the run was planned.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_sdk::name::{ClusterName, TopicName};
use serde::{Deserialize, Serialize};

use super::definition::{Definition, Target};
use super::failure_action::FailedRun;
use super::reference::{RunValues, Values};
use super::{RetryPlan, Run, TaskKey};
use crate::api::{ContainerTarget, TaskTarget};

/// What the executor of a run does. Stored with the run as JSON, so that a later change of the task does not affect it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// The declared target.
    pub target: TaskTarget,
    /// The parameters with their values in this run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Maximum duration of an attempt, in milliseconds; `None` is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How a failed attempt is retried.
    pub retry: RetryPlan,
    /// Number of pods that share the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// Where an event is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// The run whose failure the work is about; references to the run are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_run: Option<FailedRun>,
}

/// Where an event is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Name of the KafkaCluster.
    pub cluster: ClusterName,
    /// Name of the Kafka topic.
    pub topic: TopicName,
}

impl Work {
    /// The work of a run of a task with these parameters.
    #[must_use]
    pub fn of(
        definition: &Definition,
        replaced: &BTreeMap<String, String>,
        destination: Option<Destination>,
    ) -> Self {
        let mut parameters = definition.parameters.clone();
        parameters.extend(replaced.clone());
        let target = match &definition.target {
            Target::Container(template) => TaskTarget {
                container: Some(ContainerTarget {
                    template: serde_json::to_value(template).unwrap_or_default(),
                }),
                ..TaskTarget::default()
            },
            Target::Http(target) => TaskTarget { http: Some(target.clone()), ..TaskTarget::default() },
            Target::Event(target) => TaskTarget { event: Some(target.clone()), ..TaskTarget::default() },
        };
        Self {
            target,
            parameters,
            timeout_ms: definition.timeout.and_then(|timeout| u64::try_from(timeout.as_millis()).ok()),
            retry: definition.retry,
            shards: definition.shards.map(Into::into),
            destination,
            failed_run: None,
        }
    }

    /// Parses stored work.
    ///
    /// # Errors
    /// It is none of this version.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The form in which it is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Maximum duration of an attempt.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// The values of the references in an attempt of a run.
    #[must_use]
    pub fn values<'a>(&'a self, run: &'a Run, attempt: u32) -> Values<'a> {
        let TaskKey { namespace, name, .. } = &run.task;
        let run = match &self.failed_run {
            Some(failed) => failed.values(),
            None => RunValues {
                id: run.id,
                scheduled_at: run.scheduled_at,
                attempt,
                trigger: run.trigger.kind(),
                failure: None,
            },
        };
        Values { parameters: &self.parameters, task: name, namespace, run: Some(run) }
    }
}
