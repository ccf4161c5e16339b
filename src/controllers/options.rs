//! How the controllers run.

use std::time::Duration;

use eventcenter_sdk::name::{ClusterName, TopicName};

use crate::store;

/// How the controllers run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often all Kafka topics are compared with what is declared.
    pub resync: Duration,
    /// How often each Kafka cluster is asked how it is.
    pub heartbeat: Duration,
    /// How long Kafka may return the previous state after a change by the operator.
    pub settle_time: Duration,
    /// How many topics are reconciled at once: what bounds memory, and how large batches can get.
    pub concurrency: u16,
}

/// The audit log, as the controllers write and sign it.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Where records are handed in.
    pub recorder: store::Recorder,
    /// The log, for signing it and for dropping what is too old.
    pub log: store::Audit,
    /// How it is signed.
    pub checkpoints: Checkpoints,
    /// This replica, as records name it.
    pub instance: String,
}

/// Settings of checkpoints and retention.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// Interval between checkpoints.
    pub interval: Duration,
    /// The name of this installation, which begins the origin of each checkpoint.
    pub installation: String,
    /// How long records are kept; `None` keeps them forever.
    pub retention: Option<Duration>,
    /// A Kafka topic that receives each checkpoint as well.
    pub topic: Option<(ClusterName, TopicName)>,
}
