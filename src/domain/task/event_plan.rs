//! The runs of tasks for events.

use std::collections::{BTreeMap, BTreeSet};

use eventcenter_sdk::{CloudEvent, EnvelopeError, kafka_headers};
use jiff::Timestamp;

use super::event_trigger::{EventSource, matches};
use super::planning::ActiveTask;
use super::reference::EventProperty;
use super::request::new_run;
use super::{NewRun, RunState, Timing, Trigger};

/// Maximum size of the data of an event that a target may contain, in bytes as JSON.
pub const MAX_DATA_BYTES: usize = 16 * 1024;

/// Number of open runs of a task after which no further events are read for it.
pub const MAX_OPEN_RUNS: usize = 1000;

/// A record of a Kafka topic as an event.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When the record was written.
    pub time: Timestamp,
    /// The event; `None` if the record is none.
    pub event: Option<CloudEvent>,
}

/// Reads the event of a record, in binary or structured mode.
///
/// # Errors
/// The record is no CloudEvent.
pub fn read_event(
    headers: &[(String, Option<Vec<u8>>)],
    value: Option<&[u8]>,
) -> Result<CloudEvent, EnvelopeError> {
    kafka_headers::read(headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())), value)
}

/// The runs for some records, and the position after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPlan {
    /// The runs.
    pub runs: Vec<NewRun>,
    /// The offset of the next record that is planned.
    pub next_offset: i64,
}

/// Records of one partition, in the order of their offsets.
#[derive(Clone, Copy, Debug)]
pub struct ReadRecords<'a> {
    /// Kafka's id of the topic.
    pub topic_id: &'a str,
    /// From this offset on, no record is missing before the last one.
    pub from: i64,
    /// The records.
    pub records: &'a [ReadRecord],
}

/// Plans the runs of a task for records. Those before `position` are planned already. After `room` runs the rest has to be read again. A
/// task that is behind the first of the records is left there. Events of the task itself are no reason to run.
#[must_use]
pub fn plan(
    task: &ActiveTask,
    position: i64,
    read: ReadRecords<'_>,
    room: usize,
    now: Timestamp,
) -> EventPlan {
    let ReadRecords { topic_id, from, records } = read;
    let mut plan = EventPlan { runs: Vec::new(), next_offset: position };
    let (Timing::OnEvent(trigger), Some(source)) = (&task.definition.timing, &task.source) else {
        return plan;
    };
    let own_source = format!("eventcenter/tasks/{}/{}", task.key.namespace, task.key.name);
    if position < from {
        return plan;
    }
    for record in records {
        if record.offset < plan.next_offset {
            continue;
        }
        let event = record.event.as_ref();
        let event = event.filter(|event| matches(trigger, event.attribute("type").unwrap_or_default()));
        // An event from the task, or about a run of it, would lead to the next one forever.
        let event = event.filter(|event| event.attribute("source") != Some(&own_source));
        if let Some(event) = event {
            if plan.runs.len() >= room {
                return plan;
            }
            plan.runs.push(run_of(task, source, topic_id, record, event, now));
        }
        plan.next_offset = record.offset + 1;
    }
    plan
}

fn run_of(
    task: &ActiveTask,
    source: &EventSource,
    topic_id: &str,
    record: &ReadRecord,
    event: &CloudEvent,
    now: Timestamp,
) -> NewRun {
    let position = format!("{}/{}/{}", source.topic, record.partition, record.offset);
    let trigger = Trigger::Event { position, topic_id: topic_id.to_owned() };
    let run = NewRun {
        // Producers choose the times of records; one in the future would be the last run forever.
        scheduled_at: record.time.min(now),
        ..new_run(&task.key, trigger, None, now)
    };
    let (parameters, problem) = parameters_of(event, record.time, &task.definition.event_properties);
    let state = if problem.is_some() { RunState::Failed } else { run.state };
    NewRun { parameters, state, message: problem, ..run }
}

/// What a consumer of a partition does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRead {
    /// It continues, or does not read it.
    Keep,
    /// It reads from this offset on.
    From(i64),
    /// It reads the partition no longer.
    Stop,
}

/// Where a partition is read that several tasks share: at the smallest of their positions. `current` is the offset of the next record
/// that the consumer returns; `None` if the partition is not being read. `positions` are those of the tasks that have room.
#[must_use]
pub fn next_read(current: Option<i64>, positions: impl IntoIterator<Item = i64>) -> NextRead {
    match (current, positions.into_iter().min()) {
        (None, None) => NextRead::Keep,
        (Some(_), None) => NextRead::Stop,
        (Some(current), Some(wanted)) if current == wanted => NextRead::Keep,
        (_, Some(wanted)) => NextRead::From(wanted),
    }
}

/// The run that tells that events of a partition were deleted before they were read.
#[must_use]
pub fn missed_run(
    task: &ActiveTask,
    source: &EventSource,
    topic_id: &str,
    partition: i32,
    lost: std::ops::Range<i64>,
    now: Timestamp,
) -> NewRun {
    let position = format!("{}/{partition}/{}", source.topic, lost.start);
    let trigger = Trigger::Event { position, topic_id: topic_id.to_owned() };
    let message = format!(
        "the records of the Kafka topic {} from offset {} of partition {partition} were deleted before they were read, such as by \
         its retention; continuing at offset {}",
        source.topic, lost.start, lost.end
    );
    NewRun { state: RunState::Missed, message: Some(message), ..new_run(&task.key, trigger, None, now) }
}

/// The values of the properties that a target contains, and why the run cannot have all of them.
fn parameters_of(
    event: &CloudEvent,
    time: Timestamp,
    properties: &BTreeSet<EventProperty>,
) -> (BTreeMap<String, String>, Option<String>) {
    let attribute = |name: &str| event.attribute(name).unwrap_or_default().to_owned();
    let (mut parameters, mut problem) = (BTreeMap::new(), None);
    for property in properties {
        let value = match property {
            EventProperty::Id => attribute("id"),
            EventProperty::Type => attribute("type"),
            EventProperty::Source => attribute("source"),
            EventProperty::Subject => attribute("subject"),
            EventProperty::Time => event.attribute("time").map_or_else(|| time.to_string(), str::to_owned),
            EventProperty::Data => event.data().to_string(),
        };
        if *property == EventProperty::Data && value.len() > MAX_DATA_BYTES {
            problem = Some(format!(
                "the data of the event has {} bytes, and $(event.data) may have {MAX_DATA_BYTES}: let the target read the data from \
                 where the event says",
                value.len()
            ));
            continue;
        }
        parameters.insert(property.parameter().to_owned(), value);
    }
    (parameters, problem)
}

#[cfg(test)]
#[path = "event_plan_tests.rs"]
mod tests;
