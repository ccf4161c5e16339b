//! The operator is killed between any two of its writes, and reaches the same state after a restart.
//!
//! The moment is exact: the proxy holds the next write.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use kube::ResourceExt;
use serde_json::json;

use crate::fixture::{FaultFixture, assert_no_drift, topic_id};
use crate::proxy::{CREATE_TOPICS, DELETE_TOPICS, INCREMENTAL_ALTER_CONFIGS, Mode};
use crate::support::has_condition;

/// An operator that leads and has created the topic `first`.
async fn start_operator(t: &FaultFixture) -> Result<xtask::operator::Operator> {
    let operator = t.parts.start_operator("a", &[])?;
    t.cluster().wait_for_condition("Ready=True Available").await;
    t.topic("first").apply(json!({})).await;
    t.topic("first").wait_until_ready().await;
    Ok(operator)
}

#[tokio::test]
async fn killed_after_the_finalizer_and_before_the_creation() -> Result<()> {
    let t = FaultFixture::new("before-create").await?;
    let operator = start_operator(&t).await?;
    let before = t.parts.kafka_proxy.received(CREATE_TOPICS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(CREATE_TOPICS));
    for name in ["kept", "dropped"] {
        t.topic(name).apply(json!({"deletionPolicy": "Delete"})).await;
    }
    for name in ["kept", "dropped"] {
        let finalized = |topic: &EventTopic| topic.finalizers() == [DELETE_FINALIZER];
        t.topic(name).wait_for("has the finalizer", finalized).await;
    }
    t.wait_for_kafka_request(CREATE_TOPICS, before).await;
    operator.kill()?;
    t.topic("dropped").delete().await;
    t.parts.release_proxies();
    assert_eq!(t.kafka_topic("kept").await, None);
    let before = t.parts.kafka_proxy.received(CREATE_TOPICS);

    let _operator = t.parts.start_operator("a", &[])?;
    let kept = t.topic("kept").wait_until_ready().await;
    t.topic("dropped").wait_until_deleted().await;
    assert_eq!(t.stage.kafka.topic_names().await, ["first", "kept"].map(|name| t.kafka_name(name)).into());
    assert_eq!(t.kafka_topic("kept").await.map(|topic| topic.id), Some(topic_id(&kept)));
    assert_eq!(t.parts.kafka_proxy.received(CREATE_TOPICS), before + 1, "the topic is created once");
    assert_no_drift(&kept);
    Ok(())
}

#[tokio::test]
async fn killed_after_the_creation_and_before_the_status() -> Result<()> {
    let t = FaultFixture::new("after-create").await?;
    let operator = start_operator(&t).await?;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.topic("plain").apply(json!({"partitions": 2, "config": {"retention.ms": 1000}})).await;
    t.apply_finalized("kept").await;
    t.apply_finalized("dropped").await;
    let mut created = Vec::new();
    for name in ["plain", "kept", "dropped"] {
        created.push(t.wait_for_kafka_topic(name, "created", |_| true).await.id);
    }
    operator.kill()?;
    t.topic("dropped").delete().await;
    t.parts.release_proxies();
    for name in ["plain", "kept"] {
        let status = t.topic(name).get().await.status.unwrap_or_default();
        assert_eq!(status.observed_generation, Some(-1), "no status was written for {name}");
    }
    let requests = t.parts.kafka_proxy.received(CREATE_TOPICS);

    let _operator = t.parts.start_operator("a", &[])?;
    let (plain, kept) = (t.topic("plain").wait_until_ready().await, t.topic("kept").wait_until_ready().await);
    t.topic("dropped").wait_until_deleted().await;
    assert_eq!([topic_id(&plain), topic_id(&kept)], created[..2], "the topics are not recreated");
    assert_no_drift(&plain);
    assert_no_drift(&kept);
    assert_eq!(
        t.stage.kafka.topic_names().await,
        ["first", "kept", "plain"].map(|name| t.kafka_name(name)).into()
    );
    assert_eq!(t.parts.kafka_proxy.received(CREATE_TOPICS), requests, "no topic is created twice");
    Ok(())
}

#[tokio::test]
async fn killed_after_a_change_of_configuration_and_before_the_status() -> Result<()> {
    let t = FaultFixture::new("after-alter").await?;
    let operator = start_operator(&t).await?;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.topic("first").patch_spec(json!({"config": {"retention.ms": 1000}})).await;
    t.wait_for_kafka_config("first", &[("retention.ms", "1000")]).await;
    operator.kill()?;
    t.parts.release_proxies();
    let requests = t.parts.kafka_proxy.received_changes();

    let _operator = t.parts.start_operator("a", &[])?;
    let first = t.topic("first").wait_until_ready().await;
    assert_no_drift(&first);
    assert_eq!(
        first.status.map(|status| status.config),
        Some([("retention.ms".into(), "1000".into())].into())
    );
    assert_eq!(t.parts.kafka_proxy.received_changes(), requests, "nothing is changed twice");
    Ok(())
}

#[tokio::test]
async fn killed_after_new_partitions_and_before_a_change_of_configuration() -> Result<()> {
    let t = FaultFixture::new("between-changes").await?;
    let operator = start_operator(&t).await?;
    let before = t.parts.kafka_proxy.received(INCREMENTAL_ALTER_CONFIGS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(INCREMENTAL_ALTER_CONFIGS));
    t.topic("first").patch_spec(json!({"partitions": 3, "config": {"retention.ms": 1000}})).await;
    t.wait_for_kafka_request(INCREMENTAL_ALTER_CONFIGS, before).await;
    operator.kill()?;
    t.parts.release_proxies();
    t.wait_for_partitions("first", 3).await;
    assert!(t.kafka_config("first").await.is_empty());

    let _operator = t.parts.start_operator("a", &[])?;
    assert_no_drift(&t.topic("first").wait_until_ready().await);
    t.wait_for_kafka_config("first", &[("retention.ms", "1000")]).await;
    Ok(())
}

#[tokio::test]
async fn killed_after_the_deletion_and_before_the_finalizer_is_removed() -> Result<()> {
    let t = FaultFixture::new("after-delete").await?;
    let operator = start_operator(&t).await?;
    t.topic("doomed").apply(json!({"deletionPolicy": "Delete"})).await;
    t.topic("doomed").wait_until_ready().await;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.topic("doomed").delete().await;
    t.wait_until_kafka_topic_deleted("doomed").await;
    operator.kill()?;
    t.parts.release_proxies();
    assert_eq!(t.topic("doomed").get().await.finalizers(), [DELETE_FINALIZER]);

    let _operator = t.parts.start_operator("a", &[])?;
    t.topic("doomed").wait_until_deleted().await;
    assert_eq!(t.stage.kafka.topic_names().await, [t.kafka_name("first")].into());
    Ok(())
}

#[tokio::test]
async fn killed_before_the_deletion() -> Result<()> {
    let t = FaultFixture::new("before-delete").await?;
    let operator = start_operator(&t).await?;
    t.topic("doomed").apply(json!({"deletionPolicy": "Delete"})).await;
    t.topic("doomed").wait_until_ready().await;
    let before = t.parts.kafka_proxy.received(DELETE_TOPICS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(DELETE_TOPICS));
    t.topic("doomed").delete().await;
    t.wait_for_kafka_request(DELETE_TOPICS, before).await;
    operator.kill()?;
    t.parts.release_proxies();
    assert!(t.kafka_topic("doomed").await.is_some());
    assert_eq!(t.topic("doomed").get().await.finalizers(), [DELETE_FINALIZER]);

    let _operator = t.parts.start_operator("a", &[])?;
    t.topic("doomed").wait_until_deleted().await;
    assert_eq!(t.stage.kafka.topic_names().await, [t.kafka_name("first")].into());
    Ok(())
}

#[tokio::test]
async fn killed_after_drift_is_corrected_and_before_the_status() -> Result<()> {
    let t = FaultFixture::new("after-drift").await?;
    let operator = start_operator(&t).await?;
    // A resync leaves out topics that were changed within the settle time; a later reconcile may still describe the topic.
    t.wait_for_resync(&operator, 3).await;
    let before = t.parts.kafka_proxy.received(INCREMENTAL_ALTER_CONFIGS);
    t.parts.kafka_proxy.set(Mode::HoldKafka(INCREMENTAL_ALTER_CONFIGS));
    t.set_kafka_config("first", "retention.ms", "1").await;
    t.wait_for_kafka_request(INCREMENTAL_ALTER_CONFIGS, before).await;
    t.parts.api_proxy.set(Mode::HoldRequests);
    t.parts.kafka_proxy.set(Mode::Pass);
    t.wait_for_kafka_config("first", &[]).await;
    operator.kill()?;
    t.parts.release_proxies();
    let requests = t.parts.kafka_proxy.received_changes();

    let operator = t.parts.start_operator("a", &[])?;
    t.wait_for_resync(&operator, 3).await;
    let first = t.topic("first").wait_until_ready().await;
    assert!(has_condition(&first, "InSync=True"));
    assert!(t.kafka_config("first").await.is_empty());
    assert_eq!(t.parts.kafka_proxy.received_changes(), requests, "nothing is corrected twice");
    Ok(())
}

/// The topic that a step of the random test declares.
#[derive(Clone, Debug)]
struct Declared {
    partitions: i32,
    retention: Option<u64>,
    delete: bool,
}

impl Declared {
    fn spec(&self) -> serde_json::Value {
        json!({
            "partitions": self.partitions,
            "config": {"retention.ms": self.retention},
            "deletionPolicy": if self.delete { "Delete" } else { "Retain" },
        })
    }
}

/// SplitMix64 (Steele, Lea and Flood): short, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A generator with the seed of the environment variable `EVENTCENTER_SEED`, or with a random one. The test prints it.
    pub(crate) fn from_environment() -> Result<Self> {
        let seed = match std::env::var("EVENTCENTER_SEED") {
            Ok(seed) => seed.parse()?,
            Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        };
        Ok(Self(seed))
    }

    /// A number below the limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap_or(u64::MAX)).unwrap_or_default()
    }
}

/// A stream of creates, changes and deletes, and the expected state after it.
struct Stream {
    random: Random,
    declared: Vec<(String, Declared)>,
    /// Deleted with `Retain`: exist in Kafka if they were ever created.
    retained: BTreeSet<String>,
    deleted: BTreeSet<String>,
    next: usize,
}

impl Stream {
    async fn step(&mut self, t: &FaultFixture) {
        match self.random.below(10) {
            0..5 => {
                let name = format!("topic-{}", self.next);
                self.next += 1;
                let retention = (self.random.below(2) == 0).then_some(1000);
                let topic = Declared { partitions: 1, retention, delete: self.random.below(3) > 0 };
                let mut spec = topic.spec();
                if topic.retention.is_none() {
                    spec["config"] = json!({});
                }
                t.topic(&name).apply(spec).await;
                self.declared.push((name, topic));
            }
            5..8 if !self.declared.is_empty() => {
                let index = self.random.below(self.declared.len());
                let (name, topic) = &mut self.declared[index];
                match self.random.below(3) {
                    0 => topic.partitions += 1,
                    1 => topic.retention = None,
                    _ => topic.retention = Some(topic.retention.unwrap_or_default() + 1000),
                }
                t.topic(name).patch_spec(topic.spec()).await;
            }
            _ if !self.declared.is_empty() => {
                let index = self.random.below(self.declared.len());
                let (name, topic) = self.declared.swap_remove(index);
                t.topic(&name).delete().await;
                if !topic.delete {
                    self.retained.insert(t.kafka_name(&name));
                }
                self.deleted.insert(name);
            }
            _ => {}
        }
    }
}

/// Brokers may still return the old state after the operator that made the change was killed.
#[tokio::test]
async fn the_old_state_within_the_settle_time_is_no_drift_after_a_restart() -> Result<()> {
    let t = FaultFixture::new("old-state").await?;
    let arguments = ["--kafka-settle-time", "5m"];
    let operator = t.parts.start_operator("a", &arguments)?;
    t.topic("first").apply(json!({"config": {"retention.ms": 1000}})).await;
    t.topic("first").wait_until_ready().await;
    t.topic("first").patch_spec(json!({"config": {"retention.ms": null}})).await;
    t.topic("first").wait_until_ready().await;
    operator.kill()?;
    t.set_kafka_config("first", "retention.ms", "1000").await;

    let _operator = t.parts.start_operator("a", &arguments)?;
    t.wait_for_kafka_config("first", &[]).await;
    t.topic("second").apply(json!({})).await;
    t.topic("second").wait_until_ready().await;
    assert_no_drift(&t.topic("first").wait_until_ready().await);
    Ok(())
}

#[tokio::test]
async fn killed_at_random_moments_of_a_stream_of_changes() -> Result<()> {
    let random = Random::from_environment()?;
    println!("to repeat this run: EVENTCENTER_SEED={}", random.0);
    let t = FaultFixture::new("at-random").await?;
    t.stage.kafka.create("foreign", 1, &[]).await;
    t.stage.kafka.create("at-random.foreign", 1, &[]).await;
    let foreign = t.kafka_topic("foreign").await;
    // Under load, brokers show a change later than the settle time of the other tests.
    let arguments = ["--kafka-settle-time", "5s"];
    let mut stream =
        Stream { random, declared: Vec::new(), retained: BTreeSet::new(), deleted: BTreeSet::new(), next: 0 };
    for _ in 0..12 {
        let mut operator = Some(t.parts.launch_operator("a", &arguments)?);
        // From before the operator has read anything until after it has done everything. It sends heartbeats, so it reaches
        // every number.
        let sent = || t.parts.api_proxy.forwarded() + t.parts.kafka_proxy.forwarded();
        let moment = sent() + stream.random.below(120);
        let killing =
            async {
                t.eventually("the operator has sent enough", async || {
                    if sent() >= moment { Ok(()) } else { Err(sent()) }
                })
                .await;
                operator.take().map_or(Ok(()), xtask::operator::Operator::kill)
            };
        let streaming = async {
            for _ in 0..10 {
                stream.step(&t).await;
            }
        };
        let (killed, ()) = tokio::join!(killing, streaming);
        killed?;
    }

    let _operator = t.parts.start_operator("a", &arguments)?;
    for (name, _) in &stream.declared {
        assert_no_drift(&t.topic(name).wait_until_ready().await);
    }
    for name in &stream.deleted {
        t.topic(name).wait_until_deleted().await;
    }
    for (name, topic) in &stream.declared {
        t.wait_for_partitions(name, topic.partitions).await;
        let retention = topic.retention.map(|retention| retention.to_string());
        let config: Vec<_> = retention.iter().map(|value| ("retention.ms", value.as_str())).collect();
        t.wait_for_kafka_config(name, &config).await;
    }
    let declared = stream.declared.iter().map(|(name, _)| t.kafka_name(name));
    let expected: BTreeSet<String> = declared.chain(["foreign".into(), "at-random.foreign".into()]).collect();
    let found: BTreeSet<String> = &t.stage.kafka.topic_names().await - &stream.retained;
    assert_eq!(found, expected);
    assert_eq!(t.kafka_topic("foreign").await, foreign);
    assert!(foreign.is_some());
    Ok(())
}
