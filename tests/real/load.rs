//! Hundreds of resources, half of them invalid; metrics; and an idle operator.

use crate::stage;
use crate::support::{Fixture, has_condition, until};
use eventcenter::api::EventTopic;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// The number of valid and of invalid topics.
const EACH: usize = 200;

/// An invalid spec, and the reason in its condition; `None` if the API server refuses it. The kinds of errors alternate.
fn invalid_spec(t: &Fixture, number: usize) -> (String, Option<&'static str>) {
    match number % 12 {
        0 => ("topicName: foreign.topic".into(), Some("InvalidResource")),
        1 => ("config: {no.such.key: 1}".into(), Some("KafkaError")),
        2 => ("config: {retention.ms: soon}".into(), Some("KafkaError")),
        3 => ("replicas: 3000".into(), Some("KafkaError")),
        4 => ("retention: {time: 999999999999999999w}".into(), Some("InvalidResource")),
        5 => ("cluster: not-ours".into(), Some("ClusterNotAllowed")),
        6 => (format!("topicName: {}", t.kafka_name(&format!("good-{number}"))), Some("ResourceConflict")),
        7 => (r#"config: {compression.type: "\0"}"#.into(), Some("InvalidResource")),
        8 => ("partitions: 100000".into(), Some("KafkaError")),
        9 => ("partitions: -1".into(), None),
        10 => ("config: {flush.ms: {nested: true}}".into(), None),
        _ => (format!("config: {{flush.ms: \"{}\"}}", "9".repeat(5000)), None),
    }
}

async fn list_topics(t: &Fixture) -> Vec<EventTopic> {
    let url = format!("/apis/eventcenter.io/v1alpha1/namespaces/{}/eventtopics", t.namespace);
    let request = ::kube::core::Request::new(url).list(&Default::default()).expect("a request");
    let list: Value = t.kube.client().request(request).await.expect("the API server answers");
    serde_json::from_value(list["items"].clone()).expect("EventTopics")
}

#[tokio::test]
async fn invalid_resources_do_not_delay_valid_ones() {
    let t = Fixture::new("load").await;
    let pid = stage::operator().pid();
    let good = stream::iter(0..EACH).for_each_concurrent(16, async |number| {
        t.topic(&format!("good-{number}")).apply("config: {flush.ms: 1000}").await;
    });
    good.await;
    t.wait_for_next_second().await;
    let t = &t;
    let refusals = stream::iter(0..EACH).map(async |number| {
        let (spec, reason) = invalid_spec(t, number);
        let result = t.kube.try_apply(&t.topic(&format!("broken-{number}")).manifest(&spec)).await;
        assert_eq!(result.is_ok(), reason.is_some(), "{spec}: {result:?}");
    });
    refusals.buffer_unordered(16).collect::<Vec<()>>().await;

    let polled = until(async || {
        let mut wrong = Vec::new();
        for topic in list_topics(t).await {
            let name = topic.metadata.name.clone().unwrap_or_default();
            let (kind, number) = name.split_once('-').expect("KIND-NUMBER");
            let number: usize = number.parse().expect("a number");
            let as_expected = match (kind, invalid_spec(t, number).1) {
                ("good", _) => has_condition(&topic, "Ready=True Available"),
                (_, Some(reason)) => has_condition(&topic, &format!("Stalled=True {reason}")),
                (_, None) => false,
            };
            if !as_expected {
                wrong.push(crate::support::to_yaml(&topic));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{} are not, such as\n{}", wrong.len(), wrong[0])) }
    });
    if let Err(seen) = polled.await {
        t.fail("not all topics are as expected", &seen);
    }
    assert_eq!(list_topics(t).await.iter().filter(|topic| has_condition(topic, "Ready=True")).count(), EACH);
    {
        let mut operator = stage::operator();
        assert!(
            operator.exited().expect("its state can be read").is_none() && operator.pid() == pid,
            "the operator is not restarted"
        );
        for page in ["/livez", "/readyz"] {
            assert_eq!(operator.get(page).map(|(status, _)| status), Some(200), "{page}");
        }
    }
    // A later topic is reconciled as usual.
    t.topic("good-late").apply_and_wait("{}").await;
}

#[tokio::test]
async fn metrics_count_reconciles_and_requests() {
    let t = Fixture::new("load").await;
    let samples = || {
        [
            ("eventcenter_reconciles_total", &[r#"kind="EventTopic""#, r#"outcome="Available""#][..]),
            ("eventcenter_reconciles_total", &[r#"kind="EventTopic""#, r#"outcome="InvalidResource""#]),
            ("eventcenter_reconciles_total", &[r#"kind="Tenant""#]),
            ("eventcenter_reconciles_total", &[r#"kind="KafkaCluster""#]),
            ("eventcenter_reconcile_duration_seconds_count", &[r#"kind="EventTopic""#]),
            ("eventcenter_reconcile_duration_seconds_sum", &[r#"kind="EventTopic""#]),
            ("eventcenter_change_in_force_seconds_count", &[r#"kind="EventTopic""#]),
            ("eventcenter_drift_total", &[r#"kind="EventTopic""#, r#"outcome="Corrected""#]),
            (
                "eventcenter_kafka_requests_total",
                &[r#"cluster="main""#, r#"operation="CreateTopics""#, r#"outcome="success""#],
            ),
            ("eventcenter_kafka_requests_total", &[r#"operation="IncrementalAlterConfigs""#]),
            ("eventcenter_kafka_request_duration_seconds_count", &[r#"operation="CreateTopics""#]),
            ("eventcenter_kafka_request_topics_sum", &[r#"operation="CreateTopics""#]),
        ]
        .map(|(name, labels)| (format!("{name} {labels:?}"), stage::metric(name, labels)))
    };
    let before = samples();
    t.topic("orders").apply_and_wait("{}").await;
    t.topic("broken").apply("topicName: foreign.topic").await;
    t.topic("broken").wait_for_condition("Stalled=True").await;
    // This corrects drift.
    t.wait_for_resync().await;
    for ((name, before), (_, after)) in before.into_iter().zip(samples()) {
        assert!(after > before, "{name}: {before} -> {after}");
    }
    let resources = |labels: &[&str]| stage::metric("eventcenter_resources", labels);
    assert!(
        resources(&[
            r#"kind="EventTopic""#,
            r#"condition="Ready""#,
            r#"status="True""#,
            r#"reason="Available""#
        ]) >= 2.0
    );
    assert!(
        resources(&[r#"kind="EventTopic""#, r#"condition="Stalled""#, r#"reason="InvalidResource""#]) >= 1.0
    );
    assert!(resources(&[r#"kind="Tenant""#, r#"condition="Ready""#]) >= 1.0);
    assert!(resources(&[r#"kind="KafkaCluster""#, r#"condition="Ready""#]) >= 1.0);
    assert!(stage::metric("eventcenter_build_info", &["version="]) == 1.0);
    let (_, text) = stage::operator().get("/metrics").expect("the operator answers");
    for name in ["eventcenter_queue_depth", "eventcenter_longest_running_reconcile_age_seconds"] {
        assert!(text.contains(&format!("# TYPE {name} gauge")), "{name}");
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert!(line.starts_with("# TYPE eventcenter_"), "{line}");
    }
}

#[tokio::test]
async fn an_idle_operator_writes_nothing() {
    let t = Fixture::new("load").await;
    let cluster = t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    for (name, rest) in [
        ("plain", ""),
        ("full", ", config: {flush.ms: 1000}, deletionPolicy: Delete"),
        ("reported", ", driftPolicy: Report"),
    ] {
        t.topic(name).apply(&format!("{{cluster: {cluster}{rest}}}")).await;
    }
    for name in ["plain", "full", "reported"] {
        t.topic(name).wait_until_ready().await;
    }
    t.stage.kafka.set(&t.kafka_name("reported"), "flush.ms", "7").await;
    t.topic("reported").wait_for_condition("InSync=False Drifted").await;
    t.topic("refused").apply(&format!("{{cluster: {cluster}, topicName: foreign.topic}}")).await;
    t.topic("refused").wait_for_condition("Stalled=True").await;
    // `status.topics` of the tenant is updated with a delay.
    t.tenant()
        .wait_for("status.topics is 4", |tenant| {
            tenant.status.as_ref().is_some_and(|status| status.topics == Some(4))
        })
        .await;

    let label = format!("cluster=\"{cluster}\"");
    let requests = |operation: &str| {
        let operation = format!("operation=\"{operation}\"");
        stage::metric("eventcenter_kafka_requests_total", &[&label, &operation])
    };
    let versions = async || {
        let mut all: Vec<(String, String)> = Vec::new();
        for topic in self::list_topics(&t).await {
            all.push((
                topic.metadata.name.unwrap_or_default(),
                topic.metadata.resource_version.unwrap_or_default(),
            ));
        }
        for path in [t.tenant().path(), t.own_cluster().path()] {
            let object: Value = t.kube.get(path).await.expect("the object exists");
            // Other tests create topics in the same Kafka, which are not registered for this cluster.
            let is_counted = object.pointer("/status/unregisteredTopics").is_some();
            let version = if is_counted {
                &object["status"]["conditions"]
            } else {
                &object["metadata"]["resourceVersion"]
            };
            all.push((path.to_string(), version.to_string()));
        }
        all
    };
    let changing = ["CreateTopics", "IncrementalAlterConfigs", "CreatePartitions", "DeleteTopics"];
    let (before, descriptions) = (versions().await, requests("DescribeTopics"));
    let heartbeats = stage::metric("eventcenter_reconciles_total", &[r#"kind="KafkaCluster""#]);
    let changes = changing.map(&requests);
    let resynced = until(async || {
        let now = requests("DescribeTopics");
        if now >= descriptions + 3.0 { Ok(()) } else { Err(format!("{descriptions} -> {now}")) }
    });
    resynced.await.expect("resyncs continue");
    assert!(stage::metric("eventcenter_reconciles_total", &[r#"kind="KafkaCluster""#]) > heartbeats);
    assert_eq!(versions().await, before, "nothing is written to Kubernetes");
    assert_eq!(changing.map(&requests), changes, "nothing is written to Kafka");
    assert!(t.topic("plain").events().await.len() == 1, "{:?}", t.topic("plain").events().await);
    t.delete_cluster().await;
}
