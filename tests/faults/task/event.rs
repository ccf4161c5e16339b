//! Tasks that run for events while the controllers are killed.

use std::collections::BTreeMap;

use anyhow::Result;
use eventcenter::api::TaskTemplate;
use eventcenter::domain::task::{Run, RunState, Trigger};
use eventcenter_kafka_admin::Message;
use eventcenter_sdk::{Envelope, EventId, KafkaRecord};
use serde_json::json;

use super::TaskFixture;
use crate::crash::Random;

/// Number of events between two kills.
const EVENTS: usize = 60;
/// How often the controllers are killed.
const KILLS: usize = 8;
/// The types of the events.
const TYPES: [&str; 2] = ["Order.Created.v1", "Order.Paid.v1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_runs_once_though_controllers_are_killed() -> Result<()> {
    let mut random = Random::from_environment()?;
    println!("to repeat this run: EVENTCENTER_SEED={}", random.0);
    let s = TaskFixture::new("task-events").await?;
    let mut controllers = s.start("controllers", "controllers", true)?;
    let _runner = s.start("runner", "runner", true)?;
    s.t.topic("orders").apply_and_wait(json!({"partitions": 3})).await;
    let target = json!({"http": {"url": s.server.url("/$(task.name)/$(event.id)")}});
    let template = s.t.resource::<TaskTemplate>("call");
    template.apply(json!({"target": target})).await;
    for (name, types, field, value) in
        [("all", &[][..], "target", target), ("created", &TYPES[..1], "template", json!("call"))]
    {
        let mut spec = json!({
            "schedule": {"onEvent": {"topic": "orders", "types": types}},
            "concurrency": {"policy": "Allow"},
        });
        spec[field] = value;
        s.task(name).apply(spec).await;
        s.task(name).wait_for_condition("Ready=True").await;
    }
    let mut number = 0;
    for _ in 0..KILLS {
        let until = number + EVENTS;
        let kill_at = number + random.below(EVENTS);
        while number < until {
            publish(&s, number).await?;
            number += 1;
            if number == kill_at {
                controllers.kill()?;
                controllers = s.start("controllers", "controllers", false)?;
            }
        }
        // The next kill is at any moment until all of these runs have ended.
        let calls = random.below(number + number / 2);
        s.t.eventually("the server is called", async || match s.server.count() {
            received if received >= calls => Ok(()),
            received => {
                let mut runs = Vec::new();
                for name in ["all", "created"] {
                    let of_task = s.runs_of(name).await.map_err(|error| error.to_string())?;
                    runs.push(format!("{name} has the runs {}", describe(&of_task)));
                }
                Err(format!("{received} of {calls} calls after {number} events; {}", runs.join("; ")))
            }
        })
        .await;
    }
    let ids = |step: usize| (0..number).step_by(step).map(|number| format!("e{number}")).collect::<Vec<_>>();
    for (name, step) in [("all", 1), ("created", 2)] {
        let expected = ids(step);
        s.t.eventually_within(super::MAX_SETTLING, "each event has a run that has ended", async || {
            let runs = s.runs_of(name).await.map_err(|error| error.to_string())?;
            match runs.iter().filter(|run| run.state == RunState::Succeeded).count() {
                ended if ended >= expected.len() => Ok(()),
                _ => Err(format!("of {} events {name} has the runs {}", expected.len(), describe(&runs))),
            }
        })
        .await;
        let runs = s.runs_of(name).await?;
        let positions = runs.iter().filter(|run| matches!(run.trigger, Trigger::Event { .. })).count();
        assert_eq!((runs.len(), positions), (expected.len(), expected.len()), "{name}");
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for call in s.server.all().into_iter().filter(|call| call.task == name) {
            *calls.entry(call.scheduled).or_default() += 1;
        }
        let expected: BTreeMap<String, usize> = expected.into_iter().map(|id| (id, 1)).collect();
        assert_eq!(calls, expected, "{name}");
    }
    Ok(())
}

/// The numbers of runs by state, and the offsets by partition.
fn describe(runs: &[Run]) -> String {
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for run in runs {
        *states.entry(format!("{:?}", run.state)).or_default() += 1;
        let Trigger::Event { position, .. } = &run.trigger else { continue };
        let mut parts = position.rsplit('/');
        let (offset, partition) = (parts.next(), parts.next());
        if let (Some(Ok(offset)), Some(Ok(partition))) = (offset.map(str::parse), partition.map(str::parse)) {
            offsets.entry(partition).or_default().push(offset);
        }
    }
    let ranges = offsets.into_iter().map(|(partition, mut offsets)| {
        offsets.sort_unstable();
        let ranges = offsets.chunk_by(|a, b| a + 1 == *b);
        let ranges: Vec<String> =
            ranges.map(|range| format!("{}-{}", range[0], range[range.len() - 1])).collect();
        format!("{partition}: {}", ranges.join(" "))
    });
    format!("{states:?}, of the offsets {}", ranges.collect::<Vec<_>>().join(", "))
}

async fn publish(s: &TaskFixture, number: usize) -> Result<()> {
    let id = format!("e{number}");
    let time = "2026-01-31T12:00:00Z".parse()?;
    let event = Envelope::new(EventId::parse(&id)?, TYPES[number % 2], "shop", time, json!({}))?;
    let KafkaRecord { headers, value } = event.into();
    let topic = s.t.kafka_name("orders");
    let message = Message { topic: &topic, key: id.as_bytes(), headers: &headers, value: &value };
    Ok(s.t.stage.kafka.client.produce_message(message).await?)
}
