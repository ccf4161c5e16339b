//! The options of the controllers.

use std::time::Duration;

use eventcenter_sdk::name::{ClusterName, TopicName};

use crate::domain::task::retention::RunRetention;
use crate::store;

/// The options of the controllers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interval between comparisons of all Kafka topics with their last reconciled state.
    pub resync: Duration,
    /// Interval between health checks of a Kafka cluster.
    pub heartbeat: Duration,
    /// How long Kafka may return the previous state after a change by the operator.
    pub settle_time: Duration,
    /// Minimum time between two writes of a task's status because of its runs.
    pub task_status_interval: Duration,
    /// The EventTopic to which events about the runs of tasks are published.
    pub task_events: Option<TopicReference>,
    /// How long the ended runs of tasks are kept.
    pub run_retention: RunRetention,
    /// Maximum number of concurrent reconciles of topics, which bounds memory and the size of batches.
    pub concurrency: u16,
}

/// An EventTopic by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The audit log that the controllers write and sign.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Records events.
    pub recorder: store::Recorder,
    /// The stored log, which is signed and whose expired records are dropped.
    pub log: store::Audit,
    /// The settings of signing and retention.
    pub checkpoints: Checkpoints,
    /// The name of this replica in records.
    pub instance: String,
}

/// Settings of checkpoints and retention.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// Interval between checkpoints.
    pub interval: Duration,
    /// The name of this installation, the first part of the origin of each checkpoint.
    pub installation: String,
    /// Retention of records; `None` is unlimited.
    pub retention: Option<Duration>,
    /// A Kafka topic to which each checkpoint is also sent.
    pub topic: Option<(ClusterName, TopicName)>,
}
