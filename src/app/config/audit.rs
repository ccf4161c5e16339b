//! The database, and the audit log in it.

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

/// What every role needs to know: each of them records what it does.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Audit {
    /// The database: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Give one with a password as
    /// EVENTCENTER_STORE, from a Secret: everybody on a machine sees the arguments of its processes.
    /// Default: sqlite:DATA_DIR/eventcenter.db.
    #[arg(long, env = "EVENTCENTER_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<Url>,

    /// The folder for what a process keeps beside the database: the embedded database itself, and records that wait
    /// for another one.
    #[arg(long, env = "EVENTCENTER_DATA_DIR", value_name = "DIR", default_value = "/var/lib/eventcenter")]
    pub(in crate::app) data_dir: PathBuf,

    /// The name of this installation, which all of its signed checkpoints begin with. Whoever has several gives each
    /// another name.
    #[arg(long, env = "EVENTCENTER_INSTALLATION", value_name = "NAME", default_value = "eventcenter", value_parser = installation)]
    pub(in crate::app) installation: String,

    /// What happens to a change whose record cannot be written.
    #[arg(long, env = "EVENTCENTER_AUDIT_POLICY", value_enum, default_value = "required")]
    pub(in crate::app) audit_policy: AuditPolicy,

    /// How long a record is waited for. Less than the API server waits for the webhook.
    #[arg(long, env = "EVENTCENTER_AUDIT_TIMEOUT", value_name = "TIME", default_value = "3s", value_parser = patience)]
    pub(in crate::app) audit_timeout: Duration,

    /// How much of what the controllers record is kept in a file while the database is away.
    #[arg(long, env = "EVENTCENTER_AUDIT_SPOOL_SIZE", value_name = "BYTES", default_value = "64Mi", value_parser = size)]
    pub(in crate::app) audit_spool_size: u64,

    /// How often it is signed how far each log has come.
    #[arg(long, env = "EVENTCENTER_AUDIT_CHECKPOINT_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(in crate::app) audit_checkpoint_interval: Duration,

    /// A Kafka topic that gets what was signed as well: the name of a KafkaCluster, and the topic there.
    #[arg(long, env = "EVENTCENTER_AUDIT_CHECKPOINT_TOPIC", value_name = "CLUSTER/TOPIC", value_parser = topic)]
    pub(in crate::app) audit_checkpoint_topic: Option<CheckpointTopic>,

    /// How long records are kept: a time, or unlimited.
    #[arg(long, env = "EVENTCENTER_AUDIT_RETENTION", value_name = "TIME", default_value = "unlimited")]
    pub(in crate::app) audit_retention: Retention,
}

impl Audit {
    /// The database.
    pub(in crate::app) fn store(&self) -> anyhow::Result<StoreUrl> {
        match &self.store {
            None => Ok(StoreUrl::Sqlite(self.data_dir.join("eventcenter.db"))),
            Some(Url(given)) => given.clone().context("--store (EVENTCENTER_STORE)"),
        }
    }

    /// Where records wait while the database is away.
    pub(in crate::app) fn spool(&self) -> PathBuf {
        Path::join(&self.data_dir, "spool")
    }
}

/// What happens to a change whose record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum AuditPolicy {
    /// It is refused, so that nothing happens without a record.
    Required,
    /// It goes on, and says so.
    BestEffort,
}

/// An address with a password in it, perhaps: what is wrong with it is found after the command line was read, because
/// whoever reads command lines shows what is wrong with them.
#[derive(Clone, Debug)]
struct Url(Result<StoreUrl, InvalidStoreUrl>);

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.parse())
    }
}

/// How long records are kept; for ever if there is no time.
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

/// A time that is over, and a little more, before the API server stops waiting: then it is still told why.
fn patience(text: &str) -> Result<Duration, String> {
    let most = manifest::TIMEOUT - Duration::from_secs(1);
    match duration(text)? {
        time if time <= most => Ok(time),
        _ => Err(format!(
            "write at most {most:?}: the API server waits {:?} for the webhook, and then asks nobody else",
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

/// A name that signatures can bear.
fn installation(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !text.is_empty() && text.len() <= 128 && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("write at most 128 letters (a to z), digits, -, . and _".into()),
    }
}
