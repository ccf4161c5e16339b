//! Kafka or the API server is unreachable, slow, paused, or back without its data: the operator recovers without intervention.

use std::time::Duration;

use anyhow::Result;
use eventcenter::api::{DriftAction, EventTopic};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use xtask::operator::Operator;

use crate::fixture::{FaultFixture, topic_id};
use crate::proxy::{CREATE_PARTITIONS, CREATE_TOPICS, DELETE_TOPICS, INCREMENTAL_ALTER_CONFIGS, Mode};
use crate::support::{has_condition, message};

/// The limit for topics once the part that they waited for is back: far below the longest pause of the backoff, and long
/// enough for a busy machine.
const MAX_RECOVERY: Duration = Duration::from_secs(30);

async fn start_operator(t: &FaultFixture, topics: &[&str]) -> Result<Operator> {
    let operator = t.parts.start_operator("a", &[])?;
    for name in topics {
        t.topic(name).apply(json!({})).await;
    }
    for name in topics {
        t.topic(name).wait_until_ready().await;
    }
    Ok(operator)
}

fn drift(topic: &EventTopic) -> Option<(DriftAction, Vec<String>)> {
    let drift = topic.status.as_ref()?.last_drift.clone()?;
    Some((drift.action, drift.changes))
}

/// Changes `changed` and creates `new` while Kafka is unreachable, and waits until both are reported as waiting.
async fn change_during_outage(t: &FaultFixture) -> Result<()> {
    t.cluster().wait_for_condition("Ready=False KafkaUnavailable").await;
    t.topic("changed").patch_spec(json!({"config": {"retention.ms": 1000}})).await;
    t.topic("new").apply(json!({"partitions": 2})).await;
    for name in ["changed", "new"] {
        let waits = |topic: &EventTopic| {
            has_condition(topic, "Ready=False ClusterUnavailable") && has_condition(topic, "Reconciling=True")
        };
        t.topic(name).wait_for("waiting for Kafka", waits).await;
    }
    Ok(())
}

async fn wait_for_recovery(t: &FaultFixture) {
    t.cluster().wait_for_condition("Ready=True Available").await;
    for name in ["changed", "new"] {
        let topic = t.topic(name).within(MAX_RECOVERY).wait_until_ready().await;
        assert_eq!(drift(&topic), None, "{name}: a declared change is no drift");
    }
    t.wait_for_kafka_config("changed", &[("retention.ms", "1000")]).await;
}

#[tokio::test]
async fn the_broker_is_killed_and_restarted() -> Result<()> {
    let mut t = FaultFixture::new("broker-killed").await?;
    let _operator = start_operator(&t, &["changed", "untouched"]).await?;
    let before = t.topic("untouched").get().await;
    t.parts.broker.kill()?;
    change_during_outage(&t).await?;
    let untouched = t.topic("untouched").get().await;
    assert_eq!(
        untouched.resource_version(),
        before.resource_version(),
        "the status is not written: {untouched:#?}"
    );

    t.parts.broker.start_again()?;
    wait_for_recovery(&t).await;
    let untouched = t.topic("untouched").get().await;
    assert_eq!(untouched.resource_version(), before.resource_version(), "nothing changed: {untouched:#?}");
    Ok(())
}

#[tokio::test]
async fn the_broker_is_paused_and_continues() -> Result<()> {
    let t = FaultFixture::new("broker-frozen").await?;
    let _operator = start_operator(&t, &["changed", "early"]).await?;
    t.parts.broker.pause()?;
    // Before the operator has noticed.
    t.topic("early").patch_spec(json!({"partitions": 2})).await;
    change_during_outage(&t).await?;
    t.parts.broker.resume()?;
    wait_for_recovery(&t).await;
    assert_eq!(drift(&t.topic("early").within(MAX_RECOVERY).wait_until_ready().await), None);
    t.wait_for_partitions("early", 2).await;
    Ok(())
}

#[tokio::test]
async fn a_slow_broker_is_waited_for() -> Result<()> {
    let t = FaultFixture::new("broker-slow").await?;
    let operator = start_operator(&t, &["changed"]).await?;
    t.parts.kafka_proxy.set(Mode::Delay(Duration::from_millis(500)));
    t.topic("changed").patch_spec(json!({"config": {"retention.ms": 1000}, "partitions": 2})).await;
    let names: Vec<String> = (0..20).map(|number| format!("slow-{number}")).collect();
    for name in &names {
        t.topic(name).apply(json!({"deletionPolicy": "Delete"})).await;
    }
    for name in &names {
        t.topic(name).wait_until_ready().await;
    }
    t.topic("changed").wait_until_ready().await;
    assert!(
        !operator.output()?.contains("KafkaUnavailable"),
        "a slow broker is not unavailable:\n{}",
        t.stage.logs.tail()
    );
    for name in &names {
        t.topic(name).delete().await;
    }
    for name in &names {
        t.topic(name).wait_until_deleted().await;
    }
    assert_eq!(t.stage.kafka.topic_names().await, [t.kafka_name("changed")].into());
    Ok(())
}

#[tokio::test]
async fn the_broker_is_replaced_without_its_data() -> Result<()> {
    let mut t = FaultFixture::new("broker-lost").await?;
    let _operator = start_operator(&t, &["one", "two"]).await?;
    t.topic("reported").apply(json!({"driftPolicy": "Report"})).await;
    let before = [t.topic("one").wait_until_ready().await, t.topic("two").wait_until_ready().await];
    t.topic("reported").wait_until_ready().await;
    t.parts.replace_broker()?;
    for before in before {
        let created_again = |topic: &EventTopic| {
            let id = topic_id(topic);
            has_condition(topic, "Ready=True") && !id.is_empty() && id != topic_id(&before)
        };
        let topic = t.topic(&before.name_any()).wait_for_status("created again", created_again).await;
        assert_eq!(t.kafka_topic(&before.name_any()).await.map(|topic| topic.id), Some(topic_id(&topic)));
        let (action, changes) = drift(&topic).expect("the loss is reported");
        assert_eq!(action, DriftAction::Corrected);
        assert!(changes.join(" ").contains("does not exist in Kafka"), "{changes:?}");
    }
    let missing = |topic: &EventTopic| {
        has_condition(topic, "Ready=False Drifted") && has_condition(topic, "Stalled=True")
    };
    t.topic("reported").wait_for("reported as missing", missing).await;
    assert_eq!(t.kafka_topic("reported").await, None);
    Ok(())
}

#[tokio::test]
async fn responses_of_kafka_are_lost() -> Result<()> {
    let t = FaultFixture::new("answers-lost").await?;
    let _operator = start_operator(&t, &["grown", "altered"]).await?;
    t.topic("doomed").apply(json!({"deletionPolicy": "Delete"})).await;
    t.topic("doomed").wait_until_ready().await;
    // The operator reads the topic before it changes it, so only the responses to changes are held.
    for (kind, name) in [
        (CREATE_TOPICS, "new"),
        (CREATE_PARTITIONS, "grown"),
        (INCREMENTAL_ALTER_CONFIGS, "altered"),
        (DELETE_TOPICS, "doomed"),
    ] {
        let before = t.parts.kafka_proxy.received(kind);
        t.parts.kafka_proxy.set(Mode::HoldKafka(kind));
        match name {
            "new" => drop(t.topic(name).apply(json!({"partitions": 2})).await),
            "grown" => drop(t.topic(name).patch_spec(json!({"partitions": 3})).await),
            "altered" => drop(t.topic(name).patch_spec(json!({"config": {"retention.ms": 1000}})).await),
            _ => t.topic(name).delete().await,
        }
        t.wait_for_kafka_request(kind, before).await;
        t.parts.kafka_proxy.set(Mode::HoldResponses);
        t.eventually(&format!("the change of {name} is applied"), async || {
            let (topic, config) = (t.kafka_topic(name).await, t.kafka_config(name).await);
            let applied = match name {
                "new" => topic.is_some(),
                "grown" => topic.as_ref().is_some_and(|topic| topic.partitions == 3),
                "altered" => !config.is_empty(),
                _ => topic.is_none(),
            };
            if applied { Ok(()) } else { Err((topic, config)) }
        })
        .await;
        t.parts.kafka_proxy.reset();
        t.parts.kafka_proxy.set(Mode::Pass);
        if name == "doomed" {
            t.topic(name).wait_until_deleted().await;
        } else {
            assert_eq!(drift(&t.topic(name).wait_until_ready().await), None, "{name}");
        }
    }
    t.wait_for_partitions("grown", 3).await;
    assert_eq!(
        t.stage.kafka.topic_names().await,
        ["altered", "grown", "new"].map(|name| t.kafka_name(name)).into()
    );
    Ok(())
}

#[tokio::test]
async fn connections_are_cut_again_and_again() -> Result<()> {
    let t = FaultFixture::new("cut").await?;
    // The Lease outlasts the cuts, and so does the time that the broker has to show a change: how fast a busy machine is
    // between two of them is not what is tested.
    let mut operator =
        t.parts.start_operator("a", &["--lease-duration", "10m", "--kafka-settle-time", "30s"])?;
    t.topic("first").apply_and_wait("{}").await;
    let names: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
    let stream = async {
        for name in &names {
            t.topic(name).apply(json!({"deletionPolicy": "Delete"})).await;
        }
        for name in &names[..20] {
            t.topic(name).patch_spec(json!({"partitions": 2, "config": {"retention.ms": 1000}})).await;
        }
        for name in &names[20..30] {
            t.topic(name).delete().await;
        }
        anyhow::Ok(())
    };
    let cutting = async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..30 {
            pause.tick().await;
            t.parts.api_proxy.reset();
            t.parts.kafka_proxy.reset();
        }
    };
    let (streamed, ()) = tokio::join!(stream, cutting);
    streamed?;
    for name in names[..20].iter().chain(&names[30..]) {
        assert_eq!(drift(&t.topic(name).wait_until_ready().await), None, "{name}");
    }
    for name in &names[20..30] {
        t.topic(name).wait_until_deleted().await;
    }
    for name in &names[..20] {
        t.wait_for_partitions(name, 2).await;
        t.wait_for_kafka_config(name, &[("retention.ms", "1000")]).await;
    }
    assert_eq!(t.stage.kafka.topic_names().await.len(), 31);
    assert_eq!(operator.exited()?, None, "the same process keeps running");
    Ok(())
}

/// Changes while the operator does not watch: a change, a new resource, and the deletion of the owner of a contested topic.
async fn change_without_watch(t: &FaultFixture) {
    t.topic("changed").patch_spec(json!({"config": {"retention.ms": 1000}})).await;
    t.topic("new").apply(json!({"partitions": 2})).await;
    t.topic("owner").delete().await;
}

async fn declare_contested(t: &FaultFixture) -> Result<()> {
    let spec = json!({"topicName": t.kafka_name("contested")});
    t.topic("owner").apply(spec.clone()).await;
    t.topic("owner").wait_until_ready().await;
    t.topic("loser").apply(spec).await;
    t.topic("loser").wait_for_condition("Ready=False ResourceConflict").await;
    Ok(())
}

async fn wait_for_changes(t: &FaultFixture) -> Result<()> {
    t.topic("changed").wait_until_ready().await;
    t.topic("new").wait_until_ready().await;
    t.topic("loser").wait_until_ready().await;
    t.wait_for_kafka_config("changed", &[("retention.ms", "1000")]).await;
    // The watch continues.
    t.topic("later").apply(json!({})).await;
    t.topic("later").within(MAX_RECOVERY).wait_until_ready().await;
    Ok(())
}

#[tokio::test]
async fn the_api_server_is_unreachable_for_a_moment() -> Result<()> {
    let t = FaultFixture::new("api-moment").await?;
    let mut operator = start_operator(&t, &["changed"]).await?;
    declare_contested(&t).await?;
    let before = t.parts.api_proxy.refused();
    t.parts.api_proxy.set(Mode::Refuse);
    t.eventually("the operator tries to reconnect", async || {
        let refused = t.parts.api_proxy.refused();
        if refused > before { Ok(()) } else { Err(refused) }
    })
    .await;
    change_without_watch(&t).await;
    t.parts.api_proxy.set(Mode::Pass);
    wait_for_changes(&t).await?;
    assert_eq!(operator.exited()?, None, "the same process keeps running");
    Ok(())
}

#[tokio::test]
async fn the_api_server_is_unreachable_for_long() -> Result<()> {
    let t = FaultFixture::new("api-long").await?;
    let mut operator = start_operator(&t, &["changed"]).await?;
    declare_contested(&t).await?;
    t.parts.api_proxy.set(Mode::Refuse);
    // It cannot know whether another replica leads by now.
    let status = t
        .eventually("the operator exits", async || match operator.exited() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert!(!status.success());
    change_without_watch(&t).await;
    // As the kubelet restarts it.
    let before = t.parts.api_proxy.refused();
    let mut operator = t.parts.launch_operator("a", &[])?;
    t.eventually("the operator tries to connect", async || {
        let refused = t.parts.api_proxy.refused();
        if refused > before { Ok(()) } else { Err(refused) }
    })
    .await;
    t.parts.api_proxy.set(Mode::Pass);
    wait_for_changes(&t).await?;
    assert_eq!(operator.exited()?, None, "the same process keeps running");
    Ok(())
}

/// A changed definition makes the API server forget the versions that watches continue from: the operator lists all
/// topics again, in pages of 100.
#[tokio::test]
async fn topics_created_before_a_new_list_are_reconciled() -> Result<()> {
    let t = FaultFixture::new("new-list").await?;
    let _operator = t.parts.start_operator("a", &["--lease-duration", "10m"])?;
    t.cluster().wait_for_condition("Ready=True Available").await;
    t.parts.api_proxy.set(Mode::Refuse);
    let names: Vec<String> = (0..250).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        t.topic(name).apply(json!({})).await;
    }
    let column = r#"[{"op": "add", "path": "/spec/versions/0/additionalPrinterColumns/-", "value":
        {"name": "Uid", "type": "string", "jsonPath": ".metadata.uid"}}]"#;
    t.stage.kubectl().run(&["patch", "crd", "eventtopics.eventcenter.io", "--type", "json", "-p", column])?;
    t.parts.api_proxy.set(Mode::Pass);
    for name in &names {
        t.topic(name).within(MAX_RECOVERY).wait_until_ready().await;
    }
    Ok(())
}

#[tokio::test]
async fn the_control_plane_is_restarted_on_its_data() -> Result<()> {
    let mut t = FaultFixture::new("api-restart").await?;
    let mut operator = start_operator(&t, &["changed"]).await?;
    declare_contested(&t).await?;
    t.parts.control_plane.restart()?;
    if operator.exited()?.is_some() {
        operator = t.parts.start_operator("a", &[])?;
    }
    change_without_watch(&t).await;
    wait_for_changes(&t).await?;
    assert_eq!(operator.exited()?, None);
    Ok(())
}

#[tokio::test]
async fn resources_are_deleted_while_kafka_is_unreachable() -> Result<()> {
    let t = FaultFixture::new("deleted-unseen").await?;
    let _operator = start_operator(&t, &["kept"]).await?;
    for name in ["released", "doomed"] {
        t.topic(name).apply(json!({"deletionPolicy": "Delete"})).await;
        t.topic(name).wait_until_ready().await;
    }
    t.parts.kafka_proxy.set(Mode::Refuse);
    t.cluster().wait_for_condition("Ready=False KafkaUnavailable").await;
    for name in ["released", "doomed"] {
        t.topic(name).delete().await;
        let waits = |topic: &EventTopic| {
            has_condition(topic, "Ready=False ClusterUnavailable")
                && message(topic, "Ready").contains("Set spec.deletionPolicy: Retain")
        };
        t.topic(name).wait_for("waiting for Kafka, with a remedy", waits).await;
    }
    t.topic("released").patch_spec(json!({"deletionPolicy": "Retain"})).await;
    t.topic("released").wait_until_deleted().await;

    // With `Retain` the deletion of a namespace does not wait for Kafka.
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "deleted-unseen-too"}});
    t.kube.apply(&namespace).await;
    let namespaces = Api::<Namespace>::all(t.kube.client());
    t.tenant().patch_spec(json!({"namespaces": ["deleted-unseen", "deleted-unseen-too"]})).await;
    let topics = Api::<EventTopic>::namespaced(t.kube.client(), "deleted-unseen-too");
    let retained = serde_json::from_value(json!({"metadata": {"name": "retained"}, "spec": {}}))?;
    topics.create(&Default::default(), &retained).await?;
    t.eventually("the topic has a status", async || match topics.get("retained").await {
        Ok(topic) if topic.status.as_ref().is_some_and(|status| !status.conditions.is_empty()) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    namespaces.delete("deleted-unseen-too", &DeleteParams::default()).await?;
    t.eventually("the namespace is deleted", async || match namespaces.get_opt("deleted-unseen-too").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    t.parts.kafka_proxy.set(Mode::Pass);
    t.topic("doomed").within(MAX_RECOVERY).wait_until_deleted().await;
    assert_eq!(t.stage.kafka.topic_names().await, ["kept", "released"].map(|name| t.kafka_name(name)).into());
    Ok(())
}
