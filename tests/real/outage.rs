//! Kafka or the API server is away, slow, frozen, or back with nothing left: the operator goes on by itself.

use std::time::Duration;

use anyhow::Result;
use eventcenter::api::{DriftAction, EventTopic};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use xtask::operator::Operator;

use crate::support::proxy::{
    CREATE_PARTITIONS, CREATE_TOPICS, DELETE_TOPICS, INCREMENTAL_ALTER_CONFIGS, Mode,
};
use crate::support::site::{CLUSTER, LIMIT, Site, condition, id, is_ready, reason};

/// How long what waited for a part may take once that part is back: no long pause is sat out.
const SOON: Duration = Duration::from_secs(8);

async fn working(site: &Site, topics: &[&str]) -> Result<Operator> {
    let operator = site.operator("a", &[])?;
    for name in topics {
        site.declare(name, json!({})).await?;
    }
    for name in topics {
        site.ready(name).await;
    }
    Ok(operator)
}

fn drift(topic: &EventTopic) -> Option<(DriftAction, Vec<String>)> {
    let drift = topic.status.as_ref()?.last_drift.clone()?;
    Some((drift.action, drift.changes))
}

/// A change of `changed` and a new `new` while Kafka is away, seen as waiting.
async fn change_meanwhile(site: &Site) -> Result<()> {
    site.cluster_is(CLUSTER, "KafkaUnavailable").await;
    site.change("changed", json!({"config": {"retention.ms": 1000}})).await?;
    site.declare("new", json!({"partitions": 2})).await?;
    for name in ["changed", "new"] {
        let waits = |topic: &EventTopic| {
            reason(topic) == "ClusterUnavailable" && condition(topic, "Reconciling").is_some()
        };
        site.topic(name, "waiting for Kafka", LIMIT, waits).await;
    }
    Ok(())
}

async fn in_force_soon(site: &Site) {
    site.cluster_is(CLUSTER, "Available").await;
    for name in ["changed", "new"] {
        let topic = site.ready_within(name, SOON).await;
        assert_eq!(drift(&topic), None, "{name}: what was declared is no drift");
    }
    assert_eq!(site.config("changed").await, [("retention.ms".into(), "1000".into())].into());
}

#[tokio::test]
async fn the_broker_is_killed_and_comes_back() -> Result<()> {
    let mut site = Site::new("broker-killed").await?;
    let _operator = working(&site, &["changed", "untouched"]).await?;
    let before = site.topics().get("untouched").await?;
    site.broker.kill()?;
    change_meanwhile(&site).await?;
    let untouched = site.topics().get("untouched").await?;
    assert_eq!(untouched.resource_version(), before.resource_version(), "it stays Ready: {untouched:#?}");

    site.broker.start_again()?;
    in_force_soon(&site).await;
    let untouched = site.topics().get("untouched").await?;
    assert_eq!(untouched.resource_version(), before.resource_version(), "nothing to say: {untouched:#?}");
    Ok(())
}

#[tokio::test]
async fn the_broker_is_frozen_and_goes_on() -> Result<()> {
    let site = Site::new("broker-frozen").await?;
    let _operator = working(&site, &["changed", "early"]).await?;
    site.broker.pause()?;
    // Before anybody has noticed.
    site.change("early", json!({"partitions": 2})).await?;
    change_meanwhile(&site).await?;
    site.broker.resume()?;
    in_force_soon(&site).await;
    assert_eq!(drift(&site.ready_within("early", SOON).await), None);
    assert_eq!(site.in_kafka("early").await.map(|topic| topic.partitions), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_slow_broker_is_waited_for() -> Result<()> {
    let site = Site::new("broker-slow").await?;
    let operator = working(&site, &["changed"]).await?;
    site.kafka.set(Mode::Delay(Duration::from_millis(500)));
    site.change("changed", json!({"config": {"retention.ms": 1000}, "partitions": 2})).await?;
    let names: Vec<String> = (0..20).map(|number| format!("slow-{number}")).collect();
    for name in &names {
        site.declare(name, json!({"deletionPolicy": "Delete"})).await?;
    }
    for name in &names {
        site.ready(name).await;
    }
    site.ready("changed").await;
    assert!(!operator.output()?.contains("KafkaUnavailable"), "slow is not away:\n{}", site.operators_said());
    for name in &names {
        site.delete(name).await?;
    }
    for name in &names {
        site.gone(name).await;
    }
    assert_eq!(site.kafka_topics().await, [site.kafka_name("changed")].into());
    Ok(())
}

#[tokio::test]
async fn the_broker_is_back_with_nothing_left() -> Result<()> {
    let mut site = Site::new("broker-lost").await?;
    let _operator = working(&site, &["one", "two"]).await?;
    site.declare("reported", json!({"driftPolicy": "Report"})).await?;
    let before = [site.ready("one").await, site.ready("two").await];
    site.ready("reported").await;
    site.lose_kafka()?;
    for before in before {
        let another =
            |topic: &EventTopic| is_ready(topic) && id(topic) != id(&before) && !id(topic).is_empty();
        let topic = site.topic(&before.name_any(), "made again", LIMIT, another).await;
        assert_eq!(site.in_kafka(&before.name_any()).await.map(|topic| topic.id), Some(id(&topic)));
        let (action, changes) = drift(&topic).expect("the loss is told");
        assert_eq!(action, DriftAction::Corrected);
        assert!(changes.join(" ").contains("does not exist in Kafka"), "{changes:?}");
    }
    let gone = |topic: &EventTopic| reason(topic) == "Drifted" && condition(topic, "Stalled").is_some();
    site.topic("reported", "reported as gone", LIMIT, gone).await;
    assert_eq!(site.in_kafka("reported").await, None);
    Ok(())
}

#[tokio::test]
async fn answers_of_kafka_are_lost() -> Result<()> {
    let site = Site::new("answers-lost").await?;
    let _operator = working(&site, &["grown", "altered"]).await?;
    site.declare("doomed", json!({"deletionPolicy": "Delete"})).await?;
    site.ready("doomed").await;
    // A look at Kafka has to be answered before a change is asked for: only the changes' own answers are held.
    for (kind, name) in [
        (CREATE_TOPICS, "new"),
        (CREATE_PARTITIONS, "grown"),
        (INCREMENTAL_ALTER_CONFIGS, "altered"),
        (DELETE_TOPICS, "doomed"),
    ] {
        let before = site.kafka.arrived(kind);
        site.kafka.set(Mode::HoldKafka(kind));
        match name {
            "new" => drop(site.declare(name, json!({"partitions": 2})).await?),
            "grown" => drop(site.change(name, json!({"partitions": 3})).await?),
            "altered" => drop(site.change(name, json!({"config": {"retention.ms": 1000}})).await?),
            _ => site.delete(name).await?,
        }
        site.eventually(&format!("the change of {name} is asked for"), LIMIT, async || {
            if site.kafka.arrived(kind) > before { Ok(()) } else { Err("no") }
        })
        .await;
        site.kafka.set(Mode::HoldAnswers);
        site.eventually(&format!("the change of {name} is made"), LIMIT, async || {
            let (topic, config) = (site.in_kafka(name).await, site.config(name).await);
            let made = match name {
                "new" => topic.is_some(),
                "grown" => topic.as_ref().is_some_and(|topic| topic.partitions == 3),
                "altered" => !config.is_empty(),
                _ => topic.is_none(),
            };
            if made { Ok(()) } else { Err((topic, config)) }
        })
        .await;
        site.kafka.reset();
        site.kafka.set(Mode::Pass);
        if name == "doomed" {
            site.gone(name).await;
        } else {
            assert_eq!(drift(&site.ready(name).await), None, "{name}");
        }
    }
    assert_eq!(site.in_kafka("grown").await.map(|topic| topic.partitions), Some(3));
    assert_eq!(
        site.kafka_topics().await,
        ["altered", "grown", "new"].map(|name| site.kafka_name(name)).into()
    );
    Ok(())
}

#[tokio::test]
async fn connections_are_cut_again_and_again() -> Result<()> {
    let site = Site::new("cut").await?;
    let mut operator = working(&site, &["first"]).await?;
    let names: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
    let stream = async {
        for name in &names {
            site.declare(name, json!({"deletionPolicy": "Delete"})).await?;
        }
        for name in &names[..20] {
            site.change(name, json!({"partitions": 2, "config": {"retention.ms": 1000}})).await?;
        }
        for name in &names[20..30] {
            site.delete(name).await?;
        }
        anyhow::Ok(())
    };
    let cutting = async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..30 {
            pause.tick().await;
            site.api.reset();
            site.kafka.reset();
        }
    };
    let (streamed, ()) = tokio::join!(stream, cutting);
    streamed?;
    for name in names[..20].iter().chain(&names[30..]) {
        assert_eq!(drift(&site.ready(name).await), None, "{name}");
    }
    for name in &names[20..30] {
        site.gone(name).await;
    }
    for name in &names[..20] {
        assert_eq!(site.in_kafka(name).await.map(|topic| topic.partitions), Some(2), "{name}");
        assert_eq!(site.config(name).await, [("retention.ms".into(), "1000".into())].into(), "{name}");
    }
    assert_eq!(site.kafka_topics().await.len(), 31);
    assert_eq!(operator.exited()?, None, "the same process goes on");
    Ok(())
}

/// What happens while nobody watches: a change, a new resource, and the owner of a topic goes.
async fn act_unseen(site: &Site) -> Result<()> {
    site.change("changed", json!({"config": {"retention.ms": 1000}})).await?;
    site.declare("new", json!({"partitions": 2})).await?;
    site.delete("owner").await
}

async fn contested(site: &Site) -> Result<()> {
    let spec = json!({"topicName": site.kafka_name("contested")});
    site.declare("owner", spec.clone()).await?;
    site.ready("owner").await;
    site.declare("loser", spec).await?;
    site.topic("loser", "refused", LIMIT, |topic| reason(topic) == "ResourceConflict").await;
    Ok(())
}

async fn seen_afterwards(site: &Site) -> Result<()> {
    site.ready("changed").await;
    site.ready("new").await;
    site.ready("loser").await;
    assert_eq!(site.config("changed").await, [("retention.ms".into(), "1000".into())].into());
    // And the watch goes on.
    site.declare("later", json!({})).await?;
    site.ready_within("later", SOON).await;
    Ok(())
}

#[tokio::test]
async fn the_api_server_is_away_for_a_moment() -> Result<()> {
    let site = Site::new("api-moment").await?;
    let mut operator = working(&site, &["changed"]).await?;
    contested(&site).await?;
    site.api.set(Mode::Refuse);
    site.says(&operator, "watch").await;
    act_unseen(&site).await?;
    site.api.set(Mode::Pass);
    seen_afterwards(&site).await?;
    assert_eq!(operator.exited()?, None, "the same process goes on");
    Ok(())
}

#[tokio::test]
async fn the_api_server_is_away_for_long() -> Result<()> {
    let site = Site::new("api-long").await?;
    let mut operator = working(&site, &["changed"]).await?;
    contested(&site).await?;
    site.api.set(Mode::Refuse);
    // It cannot know whether another one leads by now.
    let status = site
        .eventually("the operator ends itself", LIMIT, async || match operator.exited() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert!(!status.success());
    act_unseen(&site).await?;
    // As the kubelet does, which does not know that the API server is away.
    let mut operator = site.launch("a", &[], false)?;
    site.says(&operator, "cannot acquire the Lease").await;
    site.api.set(Mode::Pass);
    seen_afterwards(&site).await?;
    assert_eq!(operator.exited()?, None, "the same process goes on");
    Ok(())
}

#[tokio::test]
async fn the_control_plane_is_restarted_on_its_data() -> Result<()> {
    let mut site = Site::new("api-restart").await?;
    let mut operator = working(&site, &["changed"]).await?;
    contested(&site).await?;
    site.control_plane.restart()?;
    if operator.exited()?.is_some() {
        operator = site.operator("a", &[])?;
    }
    act_unseen(&site).await?;
    seen_afterwards(&site).await?;
    assert_eq!(operator.exited()?, None);
    Ok(())
}

#[tokio::test]
async fn resources_go_while_kafka_is_away() -> Result<()> {
    let site = Site::new("deleted-unseen").await?;
    let _operator = working(&site, &["kept"]).await?;
    for name in ["released", "doomed"] {
        site.declare(name, json!({"deletionPolicy": "Delete"})).await?;
        site.ready(name).await;
    }
    site.kafka.set(Mode::Refuse);
    site.cluster_is(CLUSTER, "KafkaUnavailable").await;
    for name in ["released", "doomed"] {
        site.delete(name).await?;
        let waits = |topic: &EventTopic| {
            condition(topic, "Ready").is_some_and(|(status, reason, message)| {
                let remedy = message.contains("Set spec.deletionPolicy: Retain");
                status == "False" && reason == "ClusterUnavailable" && remedy
            })
        };
        site.topic(name, "waiting, and says how not to", LIMIT, waits).await;
    }
    site.change("released", json!({"deletionPolicy": "Retain"})).await?;
    site.gone_within("released", Duration::from_secs(3)).await;

    // With `Retain` a namespace does not wait for Kafka.
    site.namespace("deleted-unseen-too").await?;
    let namespaces = Api::<Namespace>::all(site.client());
    let tenant = json!({"spec": {"namespaces": ["deleted-unseen", "deleted-unseen-too"]}});
    site.tenants().patch("deleted-unseen", &Default::default(), &kube::api::Patch::Merge(tenant)).await?;
    let topics = Api::<EventTopic>::namespaced(site.client(), "deleted-unseen-too");
    let retained = serde_json::from_value(json!({"metadata": {"name": "retained"}, "spec": {}}))?;
    topics.create(&Default::default(), &retained).await?;
    site.eventually("it is seen", LIMIT, async || match topics.get("retained").await {
        Ok(topic) if topic.status.is_some() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    namespaces.delete("deleted-unseen-too", &DeleteParams::default()).await?;
    site.eventually("the namespace is gone", LIMIT, async || {
        match namespaces.get_opt("deleted-unseen-too").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    site.kafka.set(Mode::Pass);
    site.gone_within("doomed", SOON).await;
    assert_eq!(site.kafka_topics().await, ["kept", "released"].map(|name| site.kafka_name(name)).into());
    Ok(())
}
