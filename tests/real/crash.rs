//! The operator is killed between any two of its effects, and comes to the same end when it is started again.
//!
//! Where it is killed is no matter of luck: what would be the next effect is held by the proxy.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use kube::ResourceExt;
use serde_json::json;

use crate::support::proxy::{CREATE_TOPICS, DELETE_TOPICS, INCREMENTAL_ALTER_CONFIGS, Mode};
use crate::support::site::{CLUSTER, LIMIT, Site, condition, id};

/// An operator that leads, watches and has made the topic `first`.
async fn working(site: &Site) -> Result<xtask::operator::Operator> {
    let operator = site.operator("a", &[])?;
    site.cluster_is(CLUSTER, "Available").await;
    site.declare("first", json!({})).await?;
    site.ready("first").await;
    Ok(operator)
}

/// After a kill: what was held is lost, and everything works again.
fn release(site: &Site) {
    for proxy in [&site.api, &site.kafka] {
        proxy.reset();
        proxy.set(Mode::Pass);
    }
}

fn no_drift(topic: &EventTopic) {
    assert_eq!(
        topic.status.as_ref().and_then(|status| status.last_drift.as_ref()),
        None,
        "{:#?}",
        topic.status
    );
}

#[tokio::test]
async fn after_the_finalizer_and_before_the_topic_is_made() -> Result<()> {
    let site = Site::new("before-create").await?;
    let operator = working(&site).await?;
    let before = site.kafka.arrived(CREATE_TOPICS);
    site.kafka.set(Mode::HoldKafka(CREATE_TOPICS));
    for name in ["kept", "dropped"] {
        site.declare(name, json!({"deletionPolicy": "Delete"})).await?;
    }
    for name in ["kept", "dropped"] {
        let finalized = |topic: &EventTopic| topic.finalizers() == [DELETE_FINALIZER];
        site.topic(name, "given the finalizer", LIMIT, finalized).await;
    }
    site.eventually("the request is on its way", LIMIT, async || {
        if site.kafka.arrived(CREATE_TOPICS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    operator.kill()?;
    site.delete("dropped").await?;
    release(&site);
    assert_eq!(site.in_kafka("kept").await, None);
    let before = site.kafka.arrived(CREATE_TOPICS);

    let _operator = site.operator("a", &[])?;
    let kept = site.ready("kept").await;
    site.gone("dropped").await;
    assert_eq!(site.kafka_topics().await, ["first", "kept"].map(|name| site.kafka_name(name)).into());
    assert_eq!(site.in_kafka("kept").await.map(|topic| topic.id), Some(id(&kept)));
    assert_eq!(site.kafka.arrived(CREATE_TOPICS), before + 1, "made once");
    no_drift(&kept);
    Ok(())
}

#[tokio::test]
async fn after_the_topic_is_made_and_before_the_status() -> Result<()> {
    let site = Site::new("after-create").await?;
    let operator = working(&site).await?;
    site.api.set(Mode::HoldRequests);
    site.declare("plain", json!({"partitions": 2, "config": {"retention.ms": 1000}})).await?;
    site.declare_finalized("kept").await?;
    site.declare_finalized("dropped").await?;
    let mut made = Vec::new();
    for name in ["plain", "kept", "dropped"] {
        let found =
            site.eventually("it is made", LIMIT, async || site.in_kafka(name).await.ok_or("no")).await;
        made.push(found.id);
    }
    operator.kill()?;
    site.delete("dropped").await?;
    release(&site);
    for name in ["plain", "kept"] {
        assert_eq!(site.topics().get(name).await?.status, None, "nothing was written for {name}");
    }
    let requests = site.kafka.arrived(CREATE_TOPICS);

    let _operator = site.operator("a", &[])?;
    let (plain, kept) = (site.ready("plain").await, site.ready("kept").await);
    site.gone("dropped").await;
    assert_eq!([id(&plain), id(&kept)], made[..2], "the same topics");
    no_drift(&plain);
    no_drift(&kept);
    assert_eq!(
        site.kafka_topics().await,
        ["first", "kept", "plain"].map(|name| site.kafka_name(name)).into()
    );
    assert_eq!(site.kafka.arrived(CREATE_TOPICS), requests, "nothing is made twice");
    Ok(())
}

#[tokio::test]
async fn after_a_configuration_is_changed_and_before_the_status() -> Result<()> {
    let site = Site::new("after-alter").await?;
    let operator = working(&site).await?;
    site.api.set(Mode::HoldRequests);
    site.change("first", json!({"config": {"retention.ms": 1000}})).await?;
    site.eventually("it is changed", LIMIT, async || match site.config("first").await {
        config if config.contains_key("retention.ms") => Ok(()),
        config => Err(config),
    })
    .await;
    operator.kill()?;
    release(&site);
    let requests = site.kafka.changes();

    let _operator = site.operator("a", &[])?;
    let first = site.ready("first").await;
    no_drift(&first);
    assert_eq!(
        first.status.map(|status| status.config),
        Some([("retention.ms".into(), "1000".into())].into())
    );
    assert_eq!(site.kafka.changes(), requests, "nothing is changed twice");
    Ok(())
}

#[tokio::test]
async fn after_partitions_are_added_and_before_a_configuration_is_changed() -> Result<()> {
    let site = Site::new("between-changes").await?;
    let operator = working(&site).await?;
    let before = site.kafka.arrived(INCREMENTAL_ALTER_CONFIGS);
    site.kafka.set(Mode::HoldKafka(INCREMENTAL_ALTER_CONFIGS));
    site.change("first", json!({"partitions": 3, "config": {"retention.ms": 1000}})).await?;
    site.eventually("the second change is on its way", LIMIT, async || {
        if site.kafka.arrived(INCREMENTAL_ALTER_CONFIGS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    operator.kill()?;
    release(&site);
    assert_eq!(site.in_kafka("first").await.map(|topic| topic.partitions), Some(3));
    assert!(site.config("first").await.is_empty());

    let _operator = site.operator("a", &[])?;
    no_drift(&site.ready("first").await);
    assert_eq!(site.config("first").await, [("retention.ms".into(), "1000".into())].into());
    Ok(())
}

#[tokio::test]
async fn after_the_topic_is_deleted_and_before_the_resource_goes() -> Result<()> {
    let site = Site::new("after-delete").await?;
    let operator = working(&site).await?;
    site.declare("doomed", json!({"deletionPolicy": "Delete"})).await?;
    site.ready("doomed").await;
    site.api.set(Mode::HoldRequests);
    site.delete("doomed").await?;
    site.eventually("it is deleted", LIMIT, async || match site.in_kafka("doomed").await {
        None => Ok(()),
        Some(topic) => Err(topic),
    })
    .await;
    operator.kill()?;
    release(&site);
    assert_eq!(site.topics().get("doomed").await?.finalizers(), [DELETE_FINALIZER]);

    let _operator = site.operator("a", &[])?;
    site.gone("doomed").await;
    assert_eq!(site.kafka_topics().await, [site.kafka_name("first")].into());
    Ok(())
}

#[tokio::test]
async fn before_the_topic_is_deleted() -> Result<()> {
    let site = Site::new("before-delete").await?;
    let operator = working(&site).await?;
    site.declare("doomed", json!({"deletionPolicy": "Delete"})).await?;
    site.ready("doomed").await;
    let before = site.kafka.arrived(DELETE_TOPICS);
    site.kafka.set(Mode::HoldKafka(DELETE_TOPICS));
    site.delete("doomed").await?;
    site.eventually("the request is on its way", LIMIT, async || {
        if site.kafka.arrived(DELETE_TOPICS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    operator.kill()?;
    release(&site);
    assert!(site.in_kafka("doomed").await.is_some());
    assert_eq!(site.topics().get("doomed").await?.finalizers(), [DELETE_FINALIZER]);

    let _operator = site.operator("a", &[])?;
    site.gone("doomed").await;
    assert_eq!(site.kafka_topics().await, [site.kafka_name("first")].into());
    Ok(())
}

#[tokio::test]
async fn after_drift_is_corrected_and_before_the_status() -> Result<()> {
    let site = Site::new("after-drift").await?;
    let operator = working(&site).await?;
    // The look at all topics leaves out what was changed a moment ago.
    site.says(&operator, "compared all topics cluster=main topics=1").await;
    let before = site.kafka.arrived(INCREMENTAL_ALTER_CONFIGS);
    site.kafka.set(Mode::HoldKafka(INCREMENTAL_ALTER_CONFIGS));
    site.meddle("first", "retention.ms", "1").await?;
    site.eventually("the correction is on its way", LIMIT, async || {
        if site.kafka.arrived(INCREMENTAL_ALTER_CONFIGS) > before { Ok(()) } else { Err("no") }
    })
    .await;
    site.api.set(Mode::HoldRequests);
    site.kafka.set(Mode::Pass);
    site.eventually("it is corrected", LIMIT, async || match site.config("first").await {
        config if config.is_empty() => Ok(()),
        config => Err(config),
    })
    .await;
    operator.kill()?;
    release(&site);
    let requests = site.kafka.changes();

    let operator = site.operator("a", &[])?;
    site.says(&operator, "compared all topics cluster=main topics=1").await;
    let first = site.ready("first").await;
    assert_eq!(condition(&first, "InSync").map(|(status, ..)| status).as_deref(), Some("True"));
    assert!(site.config("first").await.is_empty());
    assert_eq!(site.kafka.changes(), requests, "nothing is corrected twice");
    Ok(())
}

/// What a random run declares.
#[derive(Clone, Debug)]
struct Wish {
    partitions: i32,
    retention: Option<u64>,
    delete: bool,
}

impl Wish {
    fn spec(&self) -> serde_json::Value {
        json!({
            "partitions": self.partitions,
            "config": {"retention.ms": self.retention},
            "deletionPolicy": if self.delete { "Delete" } else { "Retain" },
        })
    }
}

/// Steele, Lea and Flood's SplitMix64: short, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap_or(u64::MAX)).unwrap_or_default()
    }
}

/// A stream of creates, changes and deletes, and what should be there after it.
struct Stream {
    random: Random,
    wishes: Vec<(String, Wish)>,
    /// Deleted with `Retain`: may be in Kafka, if it was ever made.
    left_behind: BTreeSet<String>,
    deleted: BTreeSet<String>,
    next: usize,
}

impl Stream {
    async fn step(&mut self, site: &Site) -> Result<()> {
        match self.random.below(10) {
            0..5 => {
                let name = format!("topic-{}", self.next);
                self.next += 1;
                let retention = (self.random.below(2) == 0).then_some(1000);
                let wish = Wish { partitions: 1, retention, delete: self.random.below(3) > 0 };
                let mut spec = wish.spec();
                if wish.retention.is_none() {
                    spec["config"] = json!({});
                }
                site.declare(&name, spec).await?;
                self.wishes.push((name, wish));
            }
            5..8 if !self.wishes.is_empty() => {
                let index = self.random.below(self.wishes.len());
                let (name, wish) = &mut self.wishes[index];
                match self.random.below(3) {
                    0 => wish.partitions += 1,
                    1 => wish.retention = None,
                    _ => wish.retention = Some(wish.retention.unwrap_or_default() + 1000),
                }
                site.change(name, wish.spec()).await?;
            }
            _ if !self.wishes.is_empty() => {
                let index = self.random.below(self.wishes.len());
                let (name, wish) = self.wishes.swap_remove(index);
                site.delete(&name).await?;
                if !wish.delete {
                    self.left_behind.insert(site.kafka_name(&name));
                }
                self.deleted.insert(name);
            }
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn at_random_moments_of_a_stream_of_changes() -> Result<()> {
    let seed = match std::env::var("EVENTCENTER_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
    };
    println!("to repeat it: EVENTCENTER_SEED={seed}");
    let site = Site::new("at-random").await?;
    site.make_foreign("foreign").await?;
    site.make_foreign("at-random.foreign").await?;
    let foreign = site.in_kafka("foreign").await;
    let mut stream = Stream {
        random: Random(seed),
        wishes: Vec::new(),
        left_behind: BTreeSet::new(),
        deleted: BTreeSet::new(),
        next: 0,
    };
    for _ in 0..12 {
        let mut operator = Some(site.launch("a", &[], false)?);
        // From before it has read anything until long after it has done everything.
        let moment = Duration::from_millis(u64::try_from(stream.random.below(1200))?);
        let killing = async {
            tokio::time::sleep(moment).await;
            operator.take().map_or(Ok(()), xtask::operator::Operator::kill)
        };
        let streaming = async {
            for _ in 0..10 {
                stream.step(&site).await?;
            }
            anyhow::Ok(())
        };
        let (killed, streamed) = tokio::join!(killing, streaming);
        killed?;
        streamed?;
    }

    let _operator = site.operator("a", &[])?;
    for (name, _) in &stream.wishes {
        no_drift(&site.ready(name).await);
    }
    for name in &stream.deleted {
        site.gone(name).await;
    }
    for (name, wish) in &stream.wishes {
        let found = site.in_kafka(name).await.map(|topic| topic.partitions);
        assert_eq!(found, Some(wish.partitions), "{name} (seed {seed})");
        let retention = wish.retention.map(|retention| ("retention.ms".into(), retention.to_string()));
        assert_eq!(site.config(name).await, retention.into_iter().collect(), "{name} (seed {seed})");
    }
    let declared = stream.wishes.iter().map(|(name, _)| site.kafka_name(name));
    let expected: BTreeSet<String> = declared.chain(["foreign".into(), "at-random.foreign".into()]).collect();
    let found: BTreeSet<String> = &site.kafka_topics().await - &stream.left_behind;
    assert_eq!(found, expected, "seed {seed}");
    assert_eq!(site.in_kafka("foreign").await, foreign);
    assert!(foreign.is_some());
    Ok(())
}
