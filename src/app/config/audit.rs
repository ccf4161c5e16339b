//! Settings of the database and the audit log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use eventcenter_sdk::name::{ClusterName, TopicName};

use super::value::{duration, size};
use crate::store::{InvalidStoreUrl, StoreUrl};
use crate::webhook::manifest;

/// Settings of the database and the audit log, for every role.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Audit {
    /// The database: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Give one with a password as
    /// EVENTCENTER_STORE, from a Secret: every user of a machine can read the arguments of its processes.
    /// Default: sqlite:DATA_DIR/eventcenter.db.
    #[arg(long, env = "EVENTCENTER_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<Url>,

    /// Folder for local files: the embedded database, and records that wait for an unavailable database.
    #[arg(long, env = "EVENTCENTER_DATA_DIR", value_name = "DIR", default_value = "/var/lib/eventcenter")]
    pub(in crate::app) data_dir: PathBuf,

    /// Name of this installation, the prefix of the origin of its signed checkpoints. Must be unique if there are
    /// several.
    #[arg(long, env = "EVENTCENTER_INSTALLATION", value_name = "NAME", default_value = "eventcenter", value_parser = installation)]
    pub(in crate::app) installation: String,

    /// How to treat a change whose audit record cannot be written.
    #[arg(long, env = "EVENTCENTER_AUDIT_POLICY", value_enum, default_value = "required")]
    pub(in crate::app) audit_policy: AuditPolicy,

    /// Timeout for writing an audit record. Must be less than the API server's timeout for the webhook.
    #[arg(long, env = "EVENTCENTER_AUDIT_TIMEOUT", value_name = "TIME", default_value = "3s", value_parser = audit_timeout)]
    pub(in crate::app) audit_timeout: Duration,

    /// Maximum size of the file that keeps the controllers' records while the database is unavailable.
    #[arg(long, env = "EVENTCENTER_AUDIT_SPOOL_SIZE", value_name = "BYTES", default_value = "64Mi", value_parser = size)]
    pub(in crate::app) audit_spool_size: u64,

    /// Interval between signed checkpoints.
    #[arg(long, env = "EVENTCENTER_AUDIT_CHECKPOINT_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(in crate::app) audit_checkpoint_interval: Duration,

    /// A Kafka topic that receives the signed checkpoints as well: the name of a KafkaCluster and of the topic.
    #[arg(long, env = "EVENTCENTER_AUDIT_CHECKPOINT_TOPIC", value_name = "CLUSTER/TOPIC", value_parser = topic)]
    pub(in crate::app) audit_checkpoint_topic: Option<CheckpointTopic>,

    /// Retention of audit records: a duration, or unlimited.
    #[arg(long, env = "EVENTCENTER_AUDIT_RETENTION", value_name = "TIME", default_value = "unlimited")]
    pub(in crate::app) audit_retention: Retention,
}

impl Audit {
    /// The database's URL.
    pub(in crate::app) fn store(&self) -> anyhow::Result<StoreUrl> {
        match &self.store {
            None => Ok(StoreUrl::Sqlite(self.data_dir.join("eventcenter.db"))),
            Some(Url(given)) => given.clone().context("--store (EVENTCENTER_STORE)"),
        }
    }

    /// The file that keeps records while the database is unavailable.
    pub(in crate::app) fn spool(&self) -> PathBuf {
        Path::join(&self.data_dir, "spool")
    }
}

/// How to treat a change whose audit record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum AuditPolicy {
    /// Refuse it, so that no change is made without a record.
    Required,
    /// Make it, with a warning.
    BestEffort,
}

/// A URL that may contain a password. It is validated after clap has parsed the command line, because clap's errors show
/// the invalid value.
#[derive(Clone, Debug)]
struct Url(Result<StoreUrl, InvalidStoreUrl>);

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.parse())
    }
}

/// A retention; `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct Retention(pub(in crate::app) Option<Duration>);

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => time.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unlimited" => Ok(Self(None)),
            _ => {
                duration(text).map(|time| Self(Some(time))).map_err(|error| format!("{error}; or unlimited"))
            }
        }
    }
}

/// A timeout at least a second below the API server's, so that its response still contains the reason.
fn audit_timeout(text: &str) -> Result<Duration, String> {
    let max = manifest::TIMEOUT - Duration::from_secs(1);
    match duration(text)? {
        time if time <= max => Ok(time),
        _ => Err(format!(
            "write at most {max:?}: the API server's timeout for the webhook is {:?}",
            manifest::TIMEOUT
        )),
    }
}

/// A topic of a Kafka cluster.
#[derive(Clone, Debug)]
pub(in crate::app) struct CheckpointTopic {
    pub(in crate::app) cluster: ClusterName,
    pub(in crate::app) topic: TopicName,
}

fn topic(text: &str) -> Result<CheckpointTopic, String> {
    let (cluster, topic) = text.split_once('/').ok_or("write CLUSTER/TOPIC")?;
    let cluster = cluster.parse().map_err(|error| format!("the cluster: {error}"))?;
    let topic = topic.parse().map_err(|error| format!("the topic: {error}"))?;
    Ok(CheckpointTopic { cluster, topic })
}

/// A name that the origin of a checkpoint can contain.
fn installation(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !text.is_empty() && text.len() <= 128 && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("write at most 128 letters (a to z), digits, -, . and _".into()),
    }
}
