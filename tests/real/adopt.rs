//! Adoption of topics that exist in Kafka before they are declared.

use crate::stage;
use crate::support::{Fixture, has_condition, message};

#[tokio::test]
async fn a_matching_topic_is_adopted_unchanged() {
    let t = Fixture::new("adopt").await;
    let before = t.stage.kafka.create(&t.kafka_name("orders"), 3, &[("segment.ms", "7200000")]).await;
    let topic = t.topic("orders").apply_and_wait("{partitions: 3, config: {segment.ms: 7200000}}").await;
    assert_eq!(t.kafka_topic("orders").await, Some(before.clone()));
    let status = topic.status.expect("a status");
    assert_eq!(status.topic_id, Some(before.id));
    assert_eq!(status.config, before.config);
    assert!(status.last_drift.is_none(), "the first reconcile of a declaration reports no drift");
}

#[tokio::test]
async fn an_adopted_topic_gets_the_declared_configuration() {
    let t = Fixture::new("adopt").await;
    let config = [("segment.ms", "7200000"), ("flush.ms", "1000"), ("retention.ms", "5000000")];
    let before = t.stage.kafka.create(&t.kafka_name("orders"), 1, &config).await;
    t.topic("orders").apply("{config: {segment.ms: 3600000}, ignoreConfig: [flush.ms]}").await;
    let topic = t.topic("orders").wait_until_ready().await;
    let after = t
        .wait_for_kafka_topic("orders", "segment.ms is as declared", |topic| {
            topic.get("segment.ms") == Some("3600000")
        })
        .await;
    assert_eq!(after.id, before.id, "the topic is not recreated");
    assert_eq!(after.get("flush.ms"), Some("1000"), "an ignored key is not changed");
    assert_eq!(after.get("retention.ms"), None, "a key that is not declared is reset");
    assert!(topic.status.expect("a status").last_drift.is_none());
}

#[tokio::test]
async fn an_adopted_topic_with_fewer_partitions_grows() {
    let t = Fixture::new("adopt").await;
    let before = t.stage.kafka.create(&t.kafka_name("orders"), 2, &[]).await;
    t.topic("orders").apply_and_wait("partitions: 5").await;
    let after = t.wait_for_kafka_topic("orders", "5 partitions", |topic| topic.partitions == 5).await;
    assert_eq!(after.id, before.id);
}

#[tokio::test]
async fn a_topic_with_more_partitions_is_refused_with_a_remedy() {
    let t = Fixture::new("adopt").await;
    t.stage.kafka.create(&t.kafka_name("orders"), 4, &[]).await;
    t.topic("orders").apply("{partitions: 2, config: {segment.ms: 3600000}}").await;
    let refused = t.topic("orders").wait_for_condition("Ready=False NotSupported").await;
    assert!(
        has_condition(&refused, "Stalled=True NotSupported")
            && has_condition(&refused, "InSync=False NotSupported")
    );
    assert_eq!(
        message(&refused, "Ready"),
        "spec.partitions: Kafka has 4 partitions and cannot remove any: set spec.partitions: 4, or create a new EventTopic \
         with 2 and move producers and consumers to it"
    );
    let kafka = t
        .wait_for_kafka_topic("orders", "segment.ms is set", |topic| topic.get("segment.ms").is_some())
        .await;
    assert_eq!(kafka.partitions, 4, "the configuration is applied although the partitions are refused");
    t.topic("orders").apply("{partitions: 4, config: {segment.ms: 3600000}}").await;
    let ready = t.topic("orders").wait_until_ready().await;
    assert!(!has_condition(&ready, "Stalled=True"));
}

#[tokio::test]
async fn a_topic_with_other_replicas_is_refused_with_a_remedy() {
    let t = Fixture::new("adopt").await;
    t.stage.kafka.create(&t.kafka_name("orders"), 1, &[]).await;
    t.topic("orders").apply("replicas: 2").await;
    let refused = t.topic("orders").wait_for_condition("Stalled=True NotSupported").await;
    assert_eq!(
        message(&refused, "Ready"),
        "spec.replicas: Kafka keeps 1 replica and the operator does not move replicas: set spec.replicas: 1, or reassign \
         the partitions to 2 brokers each with kafka-reassign-partitions"
    );
    t.topic("orders").apply_and_wait("replicas: 1").await;
}

/// Runs `eventctl adopt`. Returns its standard output, or its standard error if it fails.
fn eventctl(t: &Fixture, arguments: &[&str]) -> Result<String, String> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_eventctl"));
    command.arg("adopt").args(arguments).env("KUBECONFIG", &t.stage.kubeconfig);
    let output = command.output().expect("eventctl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn manifests_written_by_eventctl_change_nothing() {
    let t = Fixture::new("adopt").await;
    let config = [
        ("retention.ms", "604800000"),
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("preallocate", "true"),
        ("max.message.bytes", "2097152"),
    ];
    let (orders, odd) = (t.kafka_name("orders"), t.kafka_name("Odd_Name"));
    let before = [t.stage.kafka.create(&orders, 3, &config).await, t.stage.kafka.create(&odd, 1, &[]).await];
    let bootstrap = t.stage.kafka.bootstrap();
    let manifests =
        eventctl(&t, &[&orders, &odd, "--bootstrap", bootstrap]).expect("eventctl prints a manifest");
    assert!(manifests.contains("time: 7d") && manifests.contains("cleanupPolicy: Compact"), "{manifests}");
    for document in manifests.split("---\n") {
        t.apply(&crate::support::yaml(document)).await;
    }
    for name in ["orders", "odd-name"] {
        let topic = t.topic(name).wait_until_ready().await;
        assert!(
            has_condition(&topic, "InSync=True") && topic.metadata.namespace.as_ref() == Some(&t.namespace)
        );
    }
    assert_eq!([t.stage.kafka.topic(&orders).await, t.stage.kafka.topic(&odd).await], before.map(Some));
}

#[tokio::test]
async fn eventctl_authenticates_with_a_file_and_reports_missing_rights() {
    let t = Fixture::on(stage::secure(), "adopt").await;
    let environment = stage::environment();
    let (orders, unowned) = (t.kafka_name("orders"), format!("unowned-{}.orders", t.namespace));
    t.stage.kafka.create(&orders, 1, &[]).await;
    t.stage.kafka.create(&unowned, 1, &[]).await;
    let file = environment.sasl_clients.join("admin.properties");
    let secure = ["--bootstrap", t.stage.kafka.bootstrap(), "--kafka-config", file.to_str().expect("a path")];
    let adopt = |arguments: &[&str]| eventctl(&t, &[arguments, &secure[..]].concat());

    let written = adopt(&[&orders, "--cluster", "secure"]).expect("eventctl prints a manifest");
    t.apply(&crate::support::yaml(&written)).await;
    t.topic("orders").wait_until_ready().await;

    let all = adopt(&["--all"]).expect("eventctl prints a manifest");
    assert!(all.contains(&format!("\n  namespace: {}\n", t.namespace)), "{all}");
    assert!(all.contains(&format!("# {unowned} has the prefix of no tenant")), "{all}");
    let refused = adopt(&[&unowned]).expect_err("no tenant has the prefix");
    assert!(refused.contains("create a Tenant with a matching spec.topicPrefix"), "{refused}");
    let manifest = adopt(&[&unowned, "--namespace", "somewhere"]).expect("eventctl prints a manifest");
    assert!(
        manifest.contains("namespace: somewhere\n") && manifest.contains(&format!("topicName: {unowned}"))
    );
    let missing = adopt(&["nothing.of-that-name"]).expect_err("the topic does not exist");
    assert!(missing.contains("has the prefix of no tenant") || missing.contains("has no topic"), "{missing}");

    let mut tenants = tempfile::NamedTempFile::new().expect("a file");
    let tenant = format!(
        "apiVersion: eventcenter.io/v1alpha1\nkind: Tenant\nmetadata: {{name: n}}\nspec: {{namespaces: [theirs], topicPrefix: unowned-{}.}}\n",
        t.namespace
    );
    std::io::Write::write_all(&mut tenants, tenant.as_bytes()).expect("the file is written");
    let path = tenants.path().to_str().expect("a path").to_owned();
    let from_file = adopt(&[&unowned, "--tenants", &path]).expect("eventctl prints a manifest");
    assert!(from_file.contains("name: orders\n  namespace: theirs\n"), "{from_file}");
    t.stage.kafka.delete(&unowned).await;
}
