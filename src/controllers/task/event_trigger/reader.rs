//! Reads the events of one KafkaCluster. Tasks share the reading of a partition: it is read at the smallest of their positions, and each
//! task skips what is before its own.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::name::{ClusterName, TopicName};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::super::connections::ClusterState;
use super::super::super::context::Context;
use super::position::{Positions, topic_of};
use super::topic::KafkaTopics;
use crate::domain::Refusal;
use crate::domain::task::NewRun;
use crate::domain::task::event_plan::{
    EventPlan, MAX_OPEN_RUNS, NextRead, ReadRecord, ReadRecords, missed_run, next_read, plan, read_event,
};
use crate::domain::task::event_trigger::EventSource;
use crate::domain::task::planning::ActiveTask;
use crate::error_chain::ErrorChain;
use crate::kafka::{
    self, Assignment, Batch, Consumer, ConsumerRecord, Kafka, OffsetSpec, PartitionFailure, Settings,
};
use crate::store::{self, EventPosition, PositionMove, PositionTopic};

/// How long records are waited for: another task, or room for more runs, is noticed after this time.
const POLL_TIMEOUT: Duration = Duration::from_millis(250);

/// Number of records that are planned in one transaction.
const RECORDS: usize = 500;

/// Delay after an error of the database or of Kafka, and until a partition is read again that Kafka refuses to read.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const REFUSAL_DELAY: Duration = Duration::from_secs(5);

/// After this time without another refusal a topic counts as readable.
const RECOVERY: Duration = Duration::from_secs(15);

/// How often open runs are counted while tasks have some.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// How often positions without runs are stored, and the lag is measured.
const STORE_INTERVAL: Duration = Duration::from_secs(5);

/// The offset of a partition whose reading has to be started again.
const UNKNOWN_OFFSET: i64 = -1;

/// A partition.
type Partition = (TopicName, i32);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
}

struct Reader<'c> {
    context: &'c Context,
    cluster: &'c ClusterName,
    consumer: Option<(Consumer, Settings)>,
    tasks: HashMap<Uuid, Arc<ActiveTask>>,
    topics: KafkaTopics,
    positions: Positions,
    /// The offset of the next record that the consumer returns, of the partitions that are being read.
    reading: HashMap<Partition, i64>,
    /// Until when partitions are not read, because Kafka refused it.
    refused: HashMap<Partition, Instant>,
    /// When Kafka last refused to read a topic.
    refused_topics: HashMap<TopicName, Instant>,
    /// Numbers of open runs, as counted last and with those that were requested since.
    open: HashMap<Uuid, usize>,
    counted: Option<Instant>,
    /// Tasks for which nothing is read until half of their open runs have ended: each of these pauses costs reading again.
    full: HashSet<Uuid>,
    stored: Instant,
}

/// Reads until no task reads events of the cluster.
pub(super) async fn run(context: &Context, cluster: &ClusterName) {
    let mut reader = Reader {
        context,
        cluster,
        consumer: None,
        tasks: HashMap::new(),
        topics: KafkaTopics::default(),
        positions: Positions::default(),
        reading: HashMap::new(),
        refused: HashMap::new(),
        refused_topics: HashMap::new(),
        open: HashMap::new(),
        counted: None,
        full: HashSet::new(),
        stored: Instant::now(),
    };
    while reader.update_tasks() {
        if let Err(error) = reader.round().await {
            tracing::warn!(%cluster, error = %ErrorChain(&error), "reading events for tasks failed; continuing from the stored positions");
            // The transaction may have been committed.
            reader.positions = Positions::default();
            if matches!(error, RoundError::Kafka(_)) {
                reader.consumer = None;
                reader.reading.clear();
            }
            sleep(RETRY_DELAY).await;
        }
    }
    context.task_metrics.set_event_lag(cluster, None);
    reader.refused_topics.keys().for_each(|topic| reader.set_failure(topic, None));
}

impl Reader<'_> {
    /// Takes the tasks as they are now. Returns whether there are any.
    fn update_tasks(&mut self) -> bool {
        let tasks = self.context.task_registry.event_tasks(self.cluster);
        // Of a task that has changed, the store may have other positions.
        self.positions.forget(|uid| match (self.tasks.get(&uid), tasks.get(&uid)) {
            (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
            _ => true,
        });
        self.tasks = tasks;
        !self.tasks.is_empty()
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        let Some(kafka) = self.connect()? else {
            sleep(RETRY_DELAY).await;
            return Ok(());
        };
        let topics: BTreeSet<&TopicName> = self.tasks.values().filter_map(|task| topic_of(task)).collect();
        for topic in self.topics.refresh(topics, &kafka).await {
            // Their reconciles find out what has become of the EventTopic.
            let of_topic = self.tasks.values().filter(|task| topic_of(task) == Some(&topic));
            of_topic.for_each(|task| self.context.task_registry.mark_changed(&task.key));
        }
        self.load_positions().await?;
        self.begin_new_partitions().await?;
        self.count_open().await?;
        let assignments = self.assign();
        let Some((consumer, _)) = &mut self.consumer else { return Ok(()) };
        let batch = consumer.poll(assignments, POLL_TIMEOUT, RECORDS).await?;
        let handled = self.handle_batch(batch, &kafka).await;
        if handled.is_err() {
            // What was received is lost with the error, and the consumer would continue after it.
            self.reading.values_mut().for_each(|offset| *offset = UNKNOWN_OFFSET);
        }
        handled?;
        self.store_positions().await?;
        self.forgive();
        Ok(())
    }

    async fn handle_batch(&mut self, batch: Batch, kafka: &Kafka) -> Result<(), RoundError> {
        self.plan_records(batch.records).await?;
        for failure in batch.failures {
            self.handle_failure(failure, kafka).await?;
        }
        Ok(())
    }

    /// The connection to the cluster, and a consumer with its settings. `None` while the cluster is unavailable.
    fn connect(&mut self) -> Result<Option<Arc<Kafka>>, RoundError> {
        let connections = &self.context.connections;
        let ClusterState::Available(kafka) = connections.reach(self.cluster) else { return Ok(None) };
        let Some(settings) = connections.settings(self.cluster) else { return Ok(None) };
        if self.consumer.as_ref().is_none_or(|(_, before)| *before != settings) {
            let consumer = Consumer::connect(self.cluster, &settings)?;
            self.consumer = Some((consumer, settings));
            self.reading.clear();
        }
        Ok(Some(kafka))
    }

    async fn load_positions(&mut self) -> Result<(), RoundError> {
        let missing: Vec<Uuid> =
            self.tasks.keys().copied().filter(|task| !self.positions.has(*task)).collect();
        if !missing.is_empty() {
            let mut stored = self.context.runs.load_event_positions(&missing).await?;
            let source_of = |task: &Uuid| self.tasks.get(task)?.event_source().map(|source| source.key());
            stored.retain(|position| source_of(&position.task).as_ref() == Some(&position.topic.name));
            self.positions.load(&missing, stored);
        }
        Ok(())
    }

    /// Stores positions in partitions that were added, and in topics that were created again: from their first record on.
    async fn begin_new_partitions(&mut self) -> Result<(), RoundError> {
        let mut changed = Vec::new();
        let mut new = Vec::new();
        for (uid, task) in &self.tasks {
            let Some(source) = task.event_source() else { continue };
            let (Some(topic), Some(id)) = (self.topics.get(&source.topic), self.positions.topic_id(*uid))
            else {
                continue;
            };
            let is_new = id != topic.id;
            let first = if is_new { 0 } else { self.positions.partitions(*uid) };
            if first >= topic.partitions {
                continue;
            }
            let name = PositionTopic { name: source.key(), id: topic.id.clone() };
            new.extend((first..topic.partitions).map(|partition| EventPosition {
                task: *uid,
                topic: name.clone(),
                partition,
                next_offset: 0,
            }));
            changed.push(*uid);
            if is_new {
                tracing::info!(task = %task.key.name, topic = %source.topic, "the topic of a task was created again: reading it from its beginning");
                self.reading.retain(|(topic, _), _| *topic != source.topic);
            }
        }
        if !new.is_empty() {
            self.context.runs.begin_event_positions(&new).await?;
            self.positions.forget(|task| changed.contains(&task));
            self.load_positions().await?;
        }
        Ok(())
    }

    async fn count_open(&mut self) -> Result<(), RoundError> {
        let is_recent = self.counted.is_some_and(|counted| counted.elapsed() < COUNT_INTERVAL);
        if self.counted.is_none() || (!is_recent && !self.open.is_empty()) {
            self.open = self.context.runs.count_open_of_events().await?;
            self.counted = Some(Instant::now());
        }
        let open = &self.open;
        self.full.retain(|task| open.get(task).is_some_and(|open| *open > MAX_OPEN_RUNS / 2));
        self.full.extend(open.iter().filter(|(_, open)| **open >= MAX_OPEN_RUNS).map(|(task, _)| *task));
        Ok(())
    }

    /// Number of runs that may still be requested for a task.
    fn room(&self, task: Uuid) -> usize {
        match self.full.contains(&task) {
            true => 0,
            false => MAX_OPEN_RUNS.saturating_sub(self.open.get(&task).copied().unwrap_or_default()),
        }
    }

    /// Decides where each partition is read.
    fn assign(&mut self) -> Vec<Assignment> {
        let now = Instant::now();
        self.refused.retain(|_, until| *until > now);
        let mut wanted: HashMap<Partition, Vec<i64>> =
            self.reading.keys().map(|partition| (partition.clone(), Vec::new())).collect();
        for (uid, task) in &self.tasks {
            let Some(topic) = topic_of(task).filter(|_| self.room(*uid) > 0) else { continue };
            for partition in 0..self.positions.partitions(*uid) {
                let Some(next) = self.positions.next(*uid, partition) else { continue };
                wanted.entry((topic.clone(), partition)).or_default().push(next);
            }
        }
        let mut assignments = Vec::new();
        for (partition, positions) in wanted {
            if self.refused.contains_key(&partition) {
                continue;
            }
            let offset = match next_read(self.reading.get(&partition).copied(), positions) {
                NextRead::Keep => continue,
                NextRead::From(offset) => Some(offset),
                NextRead::Stop => None,
            };
            let (topic, number) = partition.clone();
            assignments.push(Assignment { topic, partition: number, offset });
            match offset {
                Some(offset) => drop(self.reading.insert(partition, offset)),
                None => drop(self.reading.remove(&partition)),
            }
        }
        assignments
    }

    /// Requests the runs for records.
    async fn plan_records(&mut self, records: Vec<ConsumerRecord>) -> Result<(), RoundError> {
        let now = self.context.services.now();
        let mut by_partition: HashMap<Partition, Vec<ReadRecord>> = HashMap::new();
        for record in records {
            let Ok(topic) = record.topic.parse::<TopicName>() else { continue };
            let read = self.read(&record, now);
            by_partition.entry((topic, record.partition)).or_default().push(read);
        }
        let (mut runs, mut moves) = (Vec::new(), Vec::new());
        for ((topic, partition), records) in by_partition {
            let place = (topic.clone(), partition);
            // Of a partition that was given up, records may still have arrived.
            let (Some(from), Some(last)) = (self.reading.get(&place).copied(), records.last()) else {
                continue;
            };
            self.reading.insert(place, last.offset + 1);
            for (uid, task) in self.tasks.iter().filter(|(_, task)| topic_of(task) == Some(&topic)) {
                let (Some(position), Some(topic_id)) =
                    (self.positions.next(*uid, partition), self.positions.topic_id(*uid))
                else {
                    continue;
                };
                let read = ReadRecords { topic_id, from, records: &records };
                let EventPlan { runs: planned, next_offset } =
                    plan(task, position, read, self.room(*uid), now);
                let change = self.positions.advance(*uid, partition, next_offset);
                if !planned.is_empty() {
                    *self.open.entry(*uid).or_default() += planned.len();
                    runs.extend(planned);
                    moves.extend(change);
                }
            }
        }
        self.store(moves, runs).await
    }

    /// Reads a record as an event.
    fn read(&self, record: &ConsumerRecord, now: jiff::Timestamp) -> ReadRecord {
        let event = read_event(&record.headers, record.value.as_deref());
        self.context.task_metrics.count_record(self.cluster, event.is_ok());
        let event = event.map_err(|error| {
            let ConsumerRecord { topic, partition, offset, .. } = record;
            tracing::debug!(cluster = %self.cluster, topic, partition, offset, %error, "a record is no event that tasks run for");
        });
        let time = record.timestamp.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
        ReadRecord {
            partition: record.partition,
            offset: record.offset,
            time: time.unwrap_or(now),
            event: event.ok(),
        }
    }

    /// Moves positions and inserts runs in one transaction.
    async fn store(&mut self, moves: Vec<PositionMove>, runs: Vec<NewRun>) -> Result<(), RoundError> {
        if moves.is_empty() {
            return Ok(());
        }
        let now = self.context.services.now();
        match self.context.runs.plan_events(&moves, &runs, now).await? {
            Some(inserted) => {
                self.context.task_metrics.count_event_runs(self.cluster, inserted.len());
                self.positions.confirm(moves);
            }
            None => {
                tracing::info!(cluster = %self.cluster, "positions of tasks have changed; reading them again");
                self.positions = Positions::default();
                self.counted = None;
            }
        }
        Ok(())
    }

    /// Stores positions without runs now and then, and measures the lag.
    async fn store_positions(&mut self) -> Result<(), RoundError> {
        if self.stored.elapsed() < STORE_INTERVAL {
            return Ok(());
        }
        self.stored = Instant::now();
        self.context.task_metrics.set_event_lag(self.cluster, Some(self.lag()));
        let moves = self.positions.unstored();
        self.store(moves, Vec::new()).await
    }

    /// Number of records that are not planned yet, for the task that is behind the most.
    fn lag(&self) -> i64 {
        let Some((consumer, _)) = &self.consumer else { return 0 };
        let of_task = |(uid, task): (&Uuid, &Arc<ActiveTask>)| {
            let topic = topic_of(task)?;
            let of_partition = |partition| {
                let end = consumer.last_known_end(topic, partition)?;
                Some((end - self.positions.next(*uid, partition)?).max(0))
            };
            Some((0..self.positions.partitions(*uid)).filter_map(of_partition).sum::<i64>())
        };
        self.tasks.iter().filter_map(of_task).max().unwrap_or_default()
    }

    async fn handle_failure(&mut self, failure: PartitionFailure, kafka: &Kafka) -> Result<(), RoundError> {
        let PartitionFailure { topic, partition, error, is_out_of_range } = failure;
        let Ok(topic) = topic.parse::<TopicName>() else { return Ok(()) };
        let place = (topic.clone(), partition);
        if is_out_of_range {
            self.reading.remove(&place);
            return self.skip_lost(&topic, partition, kafka).await;
        }
        if error.failure().is_stalled {
            // The consumer tells it once, so the partition is started again later. Until then it is stopped by its next start.
            self.reading.remove(&place);
            self.refused.insert(place, Instant::now() + REFUSAL_DELAY);
            let is_first = self.refused_topics.insert(topic.clone(), Instant::now()).is_none();
            if is_first {
                tracing::warn!(cluster = %self.cluster, %topic, %error, "events cannot be read for tasks");
            }
            self.set_failure(&topic, Some(error.refusal()));
        } else {
            tracing::debug!(cluster = %self.cluster, %topic, partition, %error, "a partition cannot be read at the moment");
        }
        Ok(())
    }

    /// Continues after records that Kafka has deleted, and reports it.
    async fn skip_lost(
        &mut self,
        topic: &TopicName,
        partition: i32,
        kafka: &Kafka,
    ) -> Result<(), RoundError> {
        let partitions = partition..partition + 1;
        let first = kafka.list_offsets(topic, partitions.clone(), OffsetSpec::Earliest).await?;
        let end = kafka.list_offsets(topic, partitions, OffsetSpec::Latest).await?;
        let (Some(first), Some(end)) = (first.first().copied(), end.first().copied()) else { return Ok(()) };
        let now = self.context.services.now();
        let (mut runs, mut moves) = (Vec::new(), Vec::new());
        for (uid, task) in self.tasks.iter().filter(|(_, task)| topic_of(task) == Some(topic)) {
            let (Some(position), Some(id), Some(source)) =
                (self.positions.next(*uid, partition), self.positions.topic_id(*uid), task.event_source())
            else {
                continue;
            };
            // After an unclean election, a topic may end before a position.
            let next = position.clamp(first, end.max(first));
            if next != position {
                tracing::warn!(task = %task.key.name, %topic, partition, position, next, "records were deleted before a task has read them");
                runs.push(missed_run(task, source, id, partition, position..next, now));
                moves.extend(self.positions.advance(*uid, partition, next));
            }
        }
        self.store(moves, runs).await
    }

    /// Counts topics as readable that Kafka has not refused for a while.
    fn forgive(&mut self) {
        let recovered: Vec<TopicName> = self
            .refused_topics
            .iter()
            .filter(|(_, refused)| refused.elapsed() > RECOVERY)
            .map(|(topic, _)| topic.clone())
            .collect();
        for topic in recovered {
            self.refused_topics.remove(&topic);
            self.set_failure(&topic, None);
        }
    }

    fn set_failure(&self, topic: &TopicName, failure: Option<Refusal>) {
        let source = EventSource { cluster: self.cluster.clone(), topic: topic.clone() };
        self.context.task_registry.set_event_failure(&source, failure);
    }
}
