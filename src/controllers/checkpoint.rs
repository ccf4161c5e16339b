//! Checkpoints: the leader signs how far each audit log goes and what it says up to there, and publishes that outside of
//! the database. Whoever cuts or rewrites a log afterwards, or puts an older copy of the database back, is found out.
//!
//! Nothing is ever signed that is not a continuation of what was signed before: neither of what is published, nor of what
//! the database keeps, nor of what this process has said. Where it is not, somebody has to look first; to accept a log as
//! it is (such as a database that was restored after a loss) its key is taken out of the ConfigMap and the operator is
//! restarted.

mod metrics;
mod retention;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connections::ClusterState;
use super::{Context, effect, wait_for_key};
use crate::domain::audit::LogName;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use crate::domain::audit::merkle::Hash;
use crate::domain::signature::SigningKey;
use crate::kubernetes::{EventRecord, EventType, Published, SealRole, WriteError};
use crate::store::{self, StoredCheckpoint};

pub(super) use metrics::Metrics;

/// How often it is looked for records that are too old.
const RETENTION: Duration = Duration::from_hours(1);

/// How logs are signed, and how long records are kept.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// How often.
    pub interval: Duration,
    /// The name of this installation, which begins the origin of each checkpoint.
    pub installation: String,
    /// How old records get; none means that they stay for ever.
    pub retention: Option<Duration>,
    /// A Kafka topic that gets each checkpoint as well.
    pub topic: Option<(ClusterName, TopicName)>,
}

/// A pass was not made to its end; the next one begins anew.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Kubernetes(#[from] WriteError),
}

/// A log cannot be signed.
enum Refused {
    /// It is not a continuation of what was signed: a sentence that stays the same while the log goes on.
    Inconsistent(String),
    /// That is not known.
    Missed(Missed),
}

impl<E: Into<Missed>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Missed(error.into())
    }
}

/// A log that is a continuation of what was signed.
struct Sound {
    /// The first record that is there.
    first: u64,
    /// How many there are.
    size: u64,
    /// What is to be published, if that is not what is published already.
    news: Option<StoredCheckpoint>,
}

/// How far each log is published, and its first record that is there.
type Covered = BTreeMap<LogName, (u64, u64)>;

/// Signs for as long as this process leads, until it is dropped.
pub(super) async fn run(context: &Context) {
    let key = wait_for_key(&context.services.kubernetes, &context.services.audit, SealRole::Audit).await;
    let mut signer = Signer { key, said: BTreeMap::new(), sent: BTreeMap::new() };
    let mut ticks = interval(context.services.audit.checkpoints.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleared: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let covered = match signer.pass(context).await {
            Ok(covered) => covered,
            Err(error) => {
                tracing::warn!(error = %effect::chain(&error), "the audit log was not signed; the next time it is");
                continue;
            }
        };
        if let Some(age) = context.services.audit.checkpoints.retention
            && cleared.is_none_or(|last| last.elapsed() >= RETENTION)
        {
            match retention::clear(&covered, age, context).await {
                Ok(()) => cleared = Some(Instant::now()),
                Err(error) => {
                    tracing::warn!(error = %effect::chain(&error), "old records of the audit log were not dropped");
                }
            }
        }
    }
}

/// Who signs.
struct Signer {
    key: SigningKey,
    /// What this process has signed, or found signed.
    said: BTreeMap<LogName, Checkpoint>,
    /// The last note of each log that went to the Kafka topic.
    sent: BTreeMap<LogName, String>,
}

impl Signer {
    /// Looks at all logs, signs those that have grown, and publishes all that by one write.
    async fn pass(&mut self, context: &Context) -> Result<Covered, Missed> {
        let published = context.services.kubernetes.get_published_checkpoints().await?;
        let keys = TrustedKeys::parse(&format!("{}\n{}", published.keys, self.key.public_key()));
        let mut logs: BTreeSet<LogName> = context.services.audit.log.list_logs().await?.into_iter().collect();
        // A log that has vanished altogether is not among those that have records.
        logs.extend(published.notes.keys().filter_map(|log| log.parse().ok()));
        logs.extend(self.said.keys().cloned());
        let (mut sound, mut notes) = (BTreeMap::new(), BTreeMap::new());
        for log in logs {
            match self.look(&log, &published, &keys, context).await {
                Ok(found) => {
                    context.services.metrics.checkpoints.sound(&log, found.size);
                    notes.extend(found.news.iter().map(|news| (log.to_string(), news.note.clone())));
                    sound.insert(log, found);
                }
                Err(Refused::Inconsistent(why)) => inconsistent(&log, &why, &published, context),
                Err(Refused::Missed(error)) => return Err(error),
            }
        }
        let left = context.services.kubernetes.publish_checkpoints(&published, &notes).await?;
        if !left.0.is_empty() {
            tracing::error!(
                logs = left.0.join(", "),
                "the ConfigMap of the audit log's checkpoints is full: these are signed and kept in the database only"
            );
        }
        for (log, note) in published.notes {
            notes.entry(log).or_insert(note);
        }
        self.send(sound.keys(), &notes, context).await;
        sound.retain(|log, _| !left.0.iter().any(|left| left == log.as_str()));
        let covers = |log: &LogName| {
            let note = notes.get(log.as_str()).and_then(|note| Checkpoint::parse_unverified(note).ok());
            note.map_or(0, |checkpoint| checkpoint.size)
        };
        sound.keys().for_each(|log| context.services.metrics.checkpoints.covered(log));
        Ok(sound.iter().map(|(log, found)| (log.clone(), (found.first, covers(log)))).collect())
    }

    /// Appends what is new to the Kafka topic. What cannot be sent is sent the next time, unless there is a newer one by
    /// then; after a start the newest of each log is sent once more.
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
                tracing::warn!(%cluster, %topic, %reason, "checkpoints of the audit log wait for the KafkaCluster");
                return;
            }
            // It is asked in a moment, unless there is none of that name.
            ClusterState::Unknown => {
                tracing::info!(%cluster, %topic, "checkpoints of the audit log wait for the KafkaCluster");
                return;
            }
        };
        for (log, note) in new {
            match kafka.produce(topic, log.as_str(), note).await {
                Ok(()) => drop(self.sent.insert(log.clone(), note.clone())),
                Err(error) => {
                    tracing::warn!(%cluster, %topic, %error, "checkpoints of the audit log are not in the Kafka topic yet");
                    return;
                }
            }
        }
    }

    /// Looks at one log, and signs it if it has grown.
    async fn look(
        &mut self,
        log: &LogName,
        published: &Published,
        keys: &TrustedKeys,
        context: &Context,
    ) -> Result<Sound, Refused> {
        let origin = origin(&context.services.audit.checkpoints.installation, log);
        let kept = context.services.audit.log.list_checkpoints(log, 1).await?.into_iter().next();
        let note = published.notes.get(log.as_str());
        let mut signed: Vec<Checkpoint> = self.said.get(log).cloned().into_iter().collect();
        for (note, place) in [
            (note, "published in the ConfigMap"),
            (kept.as_ref().map(|kept| &kept.note), "kept in the database"),
        ] {
            let Some(note) = note else { continue };
            let checkpoint = Checkpoint::verify(note, &origin, keys).map_err(|error| {
                Refused::Inconsistent(format!("the checkpoint that is {place} is not trusted: {error}"))
            })?;
            if !signed.contains(&checkpoint) {
                signed.push(checkpoint);
            }
        }
        let head = context.services.audit.log.read_head(log).await?;
        let root = head.range.root().filter(|_| head.range.end() == head.size).ok_or_else(|| {
            Refused::Inconsistent("what the database notes of its end does not fit together".into())
        })?;
        for before in &signed {
            continues(log, before, head.size, &root, &context.services.audit.log).await?;
        }
        let newest = signed.into_iter().max_by_key(|checkpoint| checkpoint.size);
        let sound = |news| Sound { first: head.first, size: head.size, news };
        if newest.as_ref().map_or(0, |newest| newest.size) == head.size {
            // Signed, and nobody had the time to publish it.
            let is_published = note.is_some_and(|note| Checkpoint::parse_unverified(note).ok() == newest);
            self.said.extend(newest.clone().map(|newest| (log.clone(), newest)));
            let news = kept.filter(|kept| !is_published && kept.size == head.size);
            return Ok(sound(news));
        }
        let checkpoint = Checkpoint { origin, size: head.size, root };
        let noted = StoredCheckpoint {
            size: head.size,
            note: checkpoint.sign(&self.key),
            time: context.services.now(),
        };
        self.said.insert(log.clone(), checkpoint);
        context.services.audit.log.insert_checkpoint(log, &noted).await?;
        Ok(sound(Some(noted)))
    }
}

/// Whether a log is a continuation of what was signed.
async fn continues(
    log: &LogName,
    before: &Checkpoint,
    size: u64,
    root: &Hash,
    store: &store::Audit,
) -> Result<(), Refused> {
    let signed = before.size;
    if size < signed {
        return Err(Refused::Inconsistent(format!("{signed} records were signed, and now there are fewer")));
    }
    let rewritten =
        || Refused::Inconsistent(format!("the first {signed} records are not those that were signed"));
    if size == signed {
        return if *root == before.root { Ok(()) } else { Err(rewritten()) };
    }
    match store.prove_consistency(log, signed, size).await {
        Ok(proof) if (proof.from, proof.to) == (signed, size) && proof.holds(&before.root, root) => Ok(()),
        Ok(_) => Err(rewritten()),
        Err(store::Error::Corrupt { operation, problem }) => {
            Err(Refused::Inconsistent(format!("{operation}: {problem}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells that a log is not what was signed.
fn inconsistent(log: &LogName, why: &str, published: &Published, context: &Context) {
    context.services.metrics.checkpoints.inconsistent(log);
    tracing::error!(reason = %Reason::AuditInconsistent, %log, "not signed: {why}");
    let message = format!(
        "log {log} is not signed any more: {why}. Somebody has changed the database or put an older copy back; \
         eventctl audit verify tells more"
    );
    let reason = Reason::AuditInconsistent.as_str();
    context
        .services
        .kubernetes
        .publish_checkpoint_event(published, EventRecord { kind: EventType::Warning, reason, message });
}
