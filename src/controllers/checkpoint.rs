//! Checkpoints: the leader signs the size and the Merkle root of each audit log and publishes them outside of the
//! database. A later truncation, a rewrite or an older copy of the database is then detected.
//!
//! A log is signed only if it is consistent with every earlier checkpoint: the published one, the one in the database, and
//! the one of this process. Otherwise an administrator has to investigate; to accept a log as it is (such as a database
//! that was restored after a loss), remove its key from the ConfigMap and restart the operator.

pub(super) mod metrics;
mod retention;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eventcenter_sdk::Reason;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::approval::wait_for_key;
use super::connections::ClusterState;
use super::context::Context;
use crate::domain::audit::LogName;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use crate::domain::audit::merkle::Hash;
use crate::domain::signature::SigningKey;
use crate::error_chain::ErrorChain;
use crate::kubernetes::{EventRecord, EventType, PublishedCheckpoints, SealRole, WriteError};
use crate::store::{self, StoredCheckpoint};
use retention::PublishedSizes;

/// Interval between deletions of expired records.
const RETENTION_INTERVAL: Duration = Duration::from_hours(1);

/// A pass failed; the next one starts again.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Kubernetes(#[from] WriteError),
}

/// Why a log was not signed.
enum SignError {
    /// It is not consistent with an earlier checkpoint. The message stays the same while the log grows.
    Inconsistent(String),
    /// Its state could not be read.
    Pass(PassError),
}

impl<E: Into<PassError>> From<E> for SignError {
    fn from(error: E) -> Self {
        Self::Pass(error.into())
    }
}

/// A log that is consistent with its checkpoints.
struct ConsistentLog {
    /// The first record that is not dropped.
    first: u64,
    /// The number of records, including dropped ones.
    size: u64,
    /// The checkpoint to publish, if it is not published yet.
    unpublished: Option<StoredCheckpoint>,
}

/// Signs at an interval until dropped.
pub(super) async fn run(context: &Context) {
    let key = wait_for_key(&context.services.kubernetes, &context.services.audit, SealRole::Audit).await;
    let mut signer = Signer { key, signed: BTreeMap::new(), sent: BTreeMap::new() };
    let mut ticks = interval(context.services.audit.checkpoints.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expired: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let published = match signer.sign_all(context).await {
            Ok(published) => published,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "cannot sign the audit log; trying again at the next interval");
                continue;
            }
        };
        if let Some(age) = context.services.audit.checkpoints.retention
            && expired.is_none_or(|last| last.elapsed() >= RETENTION_INTERVAL)
        {
            match retention::drop_expired(&published, age, context).await {
                Ok(has_dropped) => {
                    expired = Some(Instant::now());
                    if has_dropped {
                        // A drop is proven once its record is signed.
                        ticks.reset_immediately();
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "cannot drop expired records of the audit log");
                }
            }
        }
    }
}

/// Signs the audit logs.
struct Signer {
    key: SigningKey,
    /// The newest checkpoint of each log that this process has signed or read.
    signed: BTreeMap<LogName, Checkpoint>,
    /// The last note of each log that was sent to the Kafka topic.
    sent: BTreeMap<LogName, String>,
}

impl Signer {
    /// Checks all logs, signs those that have grown, and publishes the checkpoints with one write.
    async fn sign_all(&mut self, context: &Context) -> Result<PublishedSizes, PassError> {
        let published = context.services.kubernetes.get_published_checkpoints().await?;
        let keys = TrustedKeys::parse(&format!("{}\n{}", published.keys, self.key.public_key()));
        let mut logs: BTreeSet<LogName> = context.services.audit.log.list_logs().await?.into_iter().collect();
        // A log without records is not listed, but may have a checkpoint.
        logs.extend(published.notes.keys().filter_map(|log| log.parse().ok()));
        logs.extend(self.signed.keys().cloned());
        let (mut consistent, mut notes) = (BTreeMap::new(), BTreeMap::new());
        for log in logs {
            match self.sign(&log, &published, &keys, context).await {
                Ok(found) => {
                    context.services.metrics.checkpoints.set_consistent(&log, found.size);
                    notes.extend(found.unpublished.iter().map(|new| (log.to_string(), new.note.clone())));
                    consistent.insert(log, found);
                }
                Err(SignError::Inconsistent(why)) => report_inconsistent(&log, &why, &published, context),
                Err(SignError::Pass(error)) => return Err(error),
            }
        }
        let unpublished = context.services.kubernetes.publish_checkpoints(&published, &notes).await?;
        if !unpublished.0.is_empty() {
            tracing::error!(
                logs = unpublished.0.join(", "),
                "the ConfigMap with the checkpoints is full: the checkpoints of these logs are only in the database"
            );
        }
        for (log, note) in published.notes {
            notes.entry(log).or_insert(note);
        }
        self.send(consistent.keys(), &notes, context).await;
        consistent.retain(|log, _| !unpublished.0.iter().any(|name| name == log.as_str()));
        let published_size = |log: &LogName| {
            let note = notes.get(log.as_str()).and_then(|note| Checkpoint::parse_unverified(note).ok());
            note.map_or(0, |checkpoint| checkpoint.size)
        };
        consistent.keys().for_each(|log| context.services.metrics.checkpoints.set_covered(log));
        Ok(consistent.iter().map(|(log, found)| (log.clone(), (found.first, published_size(log)))).collect())
    }

    /// Appends new checkpoints to the Kafka topic. After a failure the next pass sends the newest one; after a restart the
    /// newest of each log is sent again.
    async fn send(
        &mut self,
        logs: impl Iterator<Item = &LogName>,
        notes: &BTreeMap<String, String>,
        context: &Context,
    ) {
        let Some((cluster, topic)) = &context.services.audit.checkpoints.topic else { return };
        let logs = logs.filter_map(|log| Some((log, notes.get(log.as_str())?)));
        let new: Vec<_> = logs.filter(|(log, note)| self.sent.get(*log) != Some(*note)).collect();
        if new.is_empty() {
            return;
        }
        let kafka = match context.connections.reach(cluster) {
            ClusterState::Available(kafka) => kafka,
            ClusterState::Unavailable(reason) => {
                tracing::warn!(%cluster, %topic, %reason, "cannot send checkpoints: the KafkaCluster is unavailable");
                return;
            }
            // Its first health check follows, unless no KafkaCluster has that name.
            ClusterState::Unknown => {
                tracing::info!(%cluster, %topic, "cannot send checkpoints: the KafkaCluster is unavailable");
                return;
            }
        };
        for (log, note) in new {
            match kafka.produce(topic, log.as_str(), note).await {
                Ok(()) => drop(self.sent.insert(log.clone(), note.clone())),
                Err(error) => {
                    tracing::warn!(%cluster, %topic, %error, "cannot send a checkpoint to the Kafka topic; trying again");
                    return;
                }
            }
        }
    }

    /// Checks one log, and signs it if it has grown.
    async fn sign(
        &mut self,
        log: &LogName,
        published: &PublishedCheckpoints,
        keys: &TrustedKeys,
        context: &Context,
    ) -> Result<ConsistentLog, SignError> {
        let origin = origin(&context.services.audit.checkpoints.installation, log);
        let stored = context.services.audit.log.list_checkpoints(log, 1).await?.into_iter().next();
        let note = published.notes.get(log.as_str());
        let mut signed: Vec<Checkpoint> = self.signed.get(log).cloned().into_iter().collect();
        for (note, place) in [
            (note, "published in the ConfigMap"),
            (stored.as_ref().map(|stored| &stored.note), "stored in the database"),
        ] {
            let Some(note) = note else { continue };
            let checkpoint = Checkpoint::verify(note, &origin, keys).map_err(|error| {
                SignError::Inconsistent(format!("the checkpoint that is {place} is not trusted: {error}"))
            })?;
            if !signed.contains(&checkpoint) {
                signed.push(checkpoint);
            }
        }
        let head = context.services.audit.log.read_head(log).await?;
        let root = head.range.root().filter(|_| head.range.end() == head.size).ok_or_else(|| {
            SignError::Inconsistent(
                "the size and the nodes of its Merkle tree in the database do not match".into(),
            )
        })?;
        for before in &signed {
            check_consistency(log, before, head.size, &root, &context.services.audit.log).await?;
        }
        let newest = signed.into_iter().max_by_key(|checkpoint| checkpoint.size);
        let consistent = |unpublished| ConsistentLog { first: head.first, size: head.size, unpublished };
        if newest.as_ref().map_or(0, |newest| newest.size) == head.size {
            // It may be signed but not published yet, after a crash.
            let is_published = note.is_some_and(|note| Checkpoint::parse_unverified(note).ok() == newest);
            self.signed.extend(newest.clone().map(|newest| (log.clone(), newest)));
            let unpublished = stored.filter(|stored| !is_published && stored.size == head.size);
            return Ok(consistent(unpublished));
        }
        let checkpoint = Checkpoint { origin, size: head.size, root };
        let stored = StoredCheckpoint {
            size: head.size,
            note: checkpoint.sign(&self.key),
            time: context.services.now(),
        };
        self.signed.insert(log.clone(), checkpoint);
        context.services.audit.log.insert_checkpoint(log, &stored).await?;
        Ok(consistent(Some(stored)))
    }
}

/// Checks that a log is consistent with an earlier checkpoint.
async fn check_consistency(
    log: &LogName,
    before: &Checkpoint,
    size: u64,
    root: &Hash,
    store: &store::Audit,
) -> Result<(), SignError> {
    let signed = before.size;
    if size < signed {
        return Err(SignError::Inconsistent(format!("{signed} records were signed, and the log has fewer")));
    }
    let rewritten = || SignError::Inconsistent(format!("the first {signed} records are not the signed ones"));
    if size == signed {
        return if *root == before.root { Ok(()) } else { Err(rewritten()) };
    }
    match store.prove_consistency(log, signed, size).await {
        Ok(proof) if (proof.from, proof.to) == (signed, size) && proof.holds(&before.root, root) => Ok(()),
        Ok(_) => Err(rewritten()),
        Err(store::Error::Corrupt { operation, problem }) => {
            Err(SignError::Inconsistent(format!("{operation}: {problem}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reports a log that is not consistent with its checkpoints.
fn report_inconsistent(log: &LogName, why: &str, published: &PublishedCheckpoints, context: &Context) {
    context.services.metrics.checkpoints.set_inconsistent(log);
    tracing::error!(reason = %Reason::AuditInconsistent, %log, "not signed: {why}");
    let message = format!(
        "log {log} is no longer signed: {why}. The database was changed or restored from an older copy; run \
         eventctl audit verify for details"
    );
    let reason = Reason::AuditInconsistent.as_str();
    context
        .services
        .kubernetes
        .publish_checkpoint_event(published, EventRecord { kind: EventType::Warning, reason, message });
}
