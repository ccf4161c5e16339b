//! Events, read back from Kafka.

use anyhow::Result;
use serde_json::{Value, json};
use xtask::process;

use super::{Runner, Task};
use crate::stage::{self, MAIN};
use crate::store::database::TestDatabase;

fn event(s: &Runner, topic: &str) -> Task {
    Task {
        target: json!({"event": {
            "topic": "reports", "type": "Report.Requested.v2", "key": "$(params.region)",
            "data": {"region": "$(params.region)", "run": "$(run.id)"},
        }}),
        destination: Some((MAIN.to_owned(), topic.to_owned())),
        ..Task::http(json!({"url": format!("http://{}/", s.t.namespace)}))
    }
}

/// Reads a topic from its beginning: headers, key and value of each record.
pub(crate) fn read(topic: &str) -> Result<String> {
    let environment = stage::environment();
    let mut tool = environment.libs().tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
    tool.args(["--bootstrap-server", &environment.bootstrap, "--topic", topic, "--partition", "0"]);
    tool.args(["--offset", "earliest", "--max-messages", "1", "--timeout-ms", "15000"]);
    for property in ["print.key=true", "print.headers=true", "key.separator=|", "headers.separator=,"] {
        tool.args(["--formatter-property", property]);
    }
    process::run(tool)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_published_as_a_cloudevent() -> Result<()> {
    let s = Runner::new("event", TestDatabase::sqlite()?).await?;
    let topic = s.t.kafka_name("reports");
    s.t.stage.kafka.create(&topic, 1, &[]).await;
    let _runner = s.start("one")?;
    let (id, result) = s.execute(&event(&s, &topic)).await?;
    assert_eq!(result, format!("Succeeded published to the Kafka topic {topic}"));
    let record = tokio::task::block_in_place(|| read(&topic))?;
    let parts: Vec<&str> = record.trim().split('|').collect();
    assert_eq!(parts.len(), 3, "{record}");
    assert_eq!(parts[1], "eu");
    assert_eq!(serde_json::from_str::<Value>(parts[2])?, json!({"region": "eu", "run": id.to_string()}));
    let namespace = &s.t.namespace;
    let run = s.get(id).await?;
    for header in [
        "ce_specversion:1.0".to_owned(),
        format!("ce_id:{id}"),
        "ce_type:Report.Requested.v2".to_owned(),
        format!("ce_source:eventcenter/tasks/{namespace}/nightly"),
        format!("ce_time:{}", run.scheduled_at),
        format!("ce_tenantid:{namespace}"),
        format!("ce_correlationid:{}", run.chain),
        "content-type:application/json".to_owned(),
    ] {
        assert!(parts[0].split(',').any(|one| one == header), "{header} is not in {}", parts[0]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_only_to_an_existing_topic_of_the_tenant() -> Result<()> {
    let s = Runner::new("no-event", TestDatabase::sqlite()?).await?;
    let _runner = s.start("one")?;
    let (_, result) = s.execute(&event(&s, "another.reports")).await?;
    assert!(
        result.starts_with("Failed Forbidden: the Kafka topic another.reports does not belong to tenant "),
        "{result}"
    );

    let missing = s.t.kafka_name("missing");
    let (_, result) = s.execute(&event(&s, &missing)).await?;
    assert!(
        result.starts_with("Failed KafkaError: ")
            && result.contains(&format!("was not published to the topic {missing}")),
        "{result}"
    );
    assert!(s.t.stage.kafka.topic(&missing).await.is_none(), "the topic was not created");
    Ok(())
}
