//! Two replicas: one leads, the other waits, and never do both.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::Instant;
use xtask::operator::Operator;

use crate::support::proxy::{Mode, Protocol, Proxy};
use crate::support::site::{LIMIT, Site, is_ready};

const LEASE: &str = "eventcenter-controllers";
/// What an operator says when it begins to lead.
const LEADING: &str = "eventcenter::app::roles: leading";

/// When a line was logged.
fn time(line: &str) -> Option<Timestamp> {
    line.split_whitespace().next()?.parse().ok()
}

/// When an operator first said this.
fn first(log: &str, words: &str) -> Option<Timestamp> {
    log.lines().filter(|line| line.contains(words)).find_map(time)
}

/// When an operator last said this.
fn last(log: &str, words: &str) -> Option<Timestamp> {
    log.lines().rev().filter(|line| line.contains(words)).find_map(time)
}

async fn holder(site: &Site) -> Result<String> {
    let lease = site.leases().get(LEASE).await?;
    Ok(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
}

/// A leader `a` that has made the topic `first`, and `b` standing by.
async fn two(site: &Site) -> Result<(Operator, Operator)> {
    let a = site.operator("a", &[])?;
    site.declare("first", json!({})).await?;
    site.ready("first").await;
    let b = site.operator("b", &[])?;
    site.says(&b, "another replica leads; waiting").await;
    assert_eq!(holder(site).await?, "a");
    Ok((a, b))
}

async fn exits(site: &Site, operator: &mut Operator) -> std::process::ExitStatus {
    site.eventually("it ends", LIMIT, async || match operator.exited() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn the_other_takes_over_when_the_leader_is_killed() -> Result<()> {
    let site = Site::new("leader-killed").await?;
    let (a, b) = two(&site).await?;
    a.kill()?;
    let killed = Instant::now();
    site.declare("second", json!({})).await?;
    site.ready_within("second", Duration::from_secs(15)).await;
    println!("taken over after {:?}", killed.elapsed());
    assert_eq!(holder(&site).await?, "b");
    assert_eq!(b.get("/readyz").map(|(status, _)| status), Some(200));
    Ok(())
}

#[tokio::test]
async fn the_other_takes_over_at_once_when_the_leader_stops() -> Result<()> {
    let site = Site::new("leader-stopped").await?;
    let (a, b) = two(&site).await?;
    let log = a.log().to_owned();
    let stopping = Instant::now();
    assert!(a.stop()?.success(), "a stop that was asked for is no failure");
    let stopped = stopping.elapsed();
    site.declare("second", json!({})).await?;
    site.ready_within("second", Duration::from_secs(3)).await;
    println!("stopped after {stopped:?}, taken over after {:?}", stopping.elapsed());
    assert!(stopped < Duration::from_secs(3), "nothing was under way: {stopped:?}");
    let said = std::fs::read_to_string(log)?;
    assert!(said.contains("released the Lease"), "{said}");
    assert_eq!(holder(&site).await?, "b");

    // One that only stands by stops as well, and takes nothing with it.
    let a = site.operator("a", &[])?;
    site.says(&a, "another replica leads; waiting").await;
    assert!(a.stop()?.success());
    assert_eq!(holder(&site).await?, "b");
    drop(b);
    Ok(())
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_the_other_begins() -> Result<()> {
    let site = Site::new("leader-cut-off").await?;
    let way = Proxy::start(site.api_port(), Protocol::Opaque)?;
    let mut a = site.operator_through(&way, "a", &[])?;
    site.declare("bait", json!({})).await?;
    site.ready("bait").await;
    site.says(&a, "compared all topics cluster=main topics=1").await;
    let b = site.operator("b", &[])?;
    site.says(&b, "another replica leads; waiting").await;

    way.set(Mode::HoldAll);
    // Something to put right, all the time: who leads, writes.
    let mut value = 0;
    site.eventually("the other leads and puts things right", LIMIT, async || {
        value += 1;
        site.meddle("bait", "retention.ms", &value.to_string()).await?;
        let said = b.output()?;
        if said.contains("changing Kafka") { Ok(()) } else { anyhow::bail!("{:?}", last(&said, "")) }
    })
    .await;
    let status = exits(&site, &mut a).await;
    assert!(!status.success(), "it could not go on");
    let (a, b) = (a.output()?, b.output()?);
    let stopped = last(&a, "stopped leading").context("a said so")?;
    let wrote = last(&a, "changing Kafka").context("a wrote something")?;
    let began = first(&b, LEADING).context("b leads")?;
    println!("last change of the one: {wrote}, its end: {stopped}, begin of the other: {began}");
    assert!(wrote < began && stopped < began, "{}", site.operators_said());
    assert!(a.contains("could not be renewed in time"), "{a}");
    Ok(())
}

#[tokio::test]
async fn a_leader_that_was_frozen_does_not_write_when_it_wakes_up() -> Result<()> {
    let site = Site::new("leader-frozen").await?;
    let (mut a, b) = two(&site).await?;
    a.pause()?;
    site.declare("second", json!({})).await?;
    site.ready_within("second", Duration::from_secs(20)).await;
    site.meddle("first", "retention.ms", "1").await?;
    site.says(&b, "compared all topics cluster=main topics=2").await;
    let before = a.output()?.matches("changing Kafka").count();
    a.resume()?;
    assert!(!exits(&site, &mut a).await.success());
    assert_eq!(a.output()?.matches("changing Kafka").count(), before, "{}", site.operators_said());
    assert_eq!(holder(&site).await?, "b");
    Ok(())
}

#[tokio::test]
async fn a_restart_of_all_writes_nothing() -> Result<()> {
    let site = Site::new("restart").await?;
    let operator = site.operator("a", &[])?;
    let names: Vec<String> = (0..30).map(|number| format!("topic-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let policy = if number % 2 == 0 { "Delete" } else { "Retain" };
        let spec = json!({"config": {"retention.ms": number + 1}, "partitions": 1 + number % 3, "deletionPolicy": policy});
        site.declare(name, spec).await?;
    }
    for name in &names {
        site.ready(name).await;
    }
    site.eventually("the tenant's topics are counted", LIMIT, async || {
        let tenant = site.tenants().get("restart").await.map_err(|error| error.to_string())?;
        let counted = tenant.status.as_ref().and_then(|status| status.topics) == Some(30);
        if counted { Ok(()) } else { Err(format!("{:?}", tenant.status)) }
    })
    .await;
    site.eventually("unregistered topics are counted", LIMIT, async || {
        let cluster = site.kafka_clusters().get("main").await.map_err(|error| error.to_string())?;
        let counted = cluster.status.as_ref().and_then(|status| status.unregistered_topics) == Some(0);
        if counted { Ok(()) } else { Err(format!("{:?}", cluster.status)) }
    })
    .await;
    operator.stop()?;
    let (before, changes) = (versions(&site).await?, site.kafka.changes());

    let operator = site.operator("a", &[])?;
    site.says(&operator, "compared all topics cluster=main topics=30").await;
    assert_eq!(versions(&site).await?, before);
    assert_eq!(site.kafka.changes(), changes);
    let (_, metrics) = operator.get("/metrics").context("it answers")?;
    let requests: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("eventcenter_kafka_requests_total")).collect();
    assert!(!requests.is_empty(), "{metrics}");
    assert!(
        requests
            .iter()
            .all(|line| line.contains("operation=\"Describe") || line.contains("operation=\"Metadata")),
        "{requests:#?}"
    );
    assert!(site.topics().list(&ListParams::default()).await?.iter().all(is_ready));
    Ok(())
}

/// The versions of everything that an operator might write.
async fn versions(site: &Site) -> Result<Vec<(String, Option<String>)>> {
    fn of(resource: &impl ResourceExt) -> (String, Option<String>) {
        (resource.name_any(), resource.resource_version())
    }
    let all = ListParams::default();
    let mut versions: Vec<_> = site.topics().list(&all).await?.iter().map(of).collect();
    versions.extend(site.tenants().list(&all).await?.iter().map(of));
    versions.extend(site.kafka_clusters().list(&all).await?.iter().map(of));
    versions.sort();
    Ok(versions)
}

/// One life of a replica, as its log tells it.
struct Life {
    name: &'static str,
    led: Option<(Timestamp, Timestamp)>,
}

fn life(name: &'static str, log: &str) -> Life {
    let began = first(log, LEADING);
    // One that was killed has not said that it ends. What comes after it is about the last records.
    let end = last(log, "stopped leading").or_else(|| last(log, ""));
    Life { name, led: began.zip(end) }
}

#[tokio::test]
async fn two_never_lead_at_once() -> Result<()> {
    let site = Site::new("never-two").await?;
    let mut lives = Vec::new();
    let mut running = [Some(("a", site.operator("a", &[])?)), Some(("b", site.operator("b", &[])?))];
    for round in 0..5 {
        site.declare(&format!("topic-{round}"), json!({})).await?;
        site.ready(&format!("topic-{round}")).await;
        let leader = holder(&site).await?;
        for slot in &mut running {
            let Some((name, operator)) = slot.take_if(|(name, _)| *name == leader) else { continue };
            let log = operator.output()?;
            if round % 2 == 0 {
                operator.kill()?;
            } else {
                operator.stop()?;
            }
            lives.push(life(name, &log));
            // Once it is back before its Lease has run out, otherwise after the other has taken over.
            if round != 2 {
                site.eventually("the other leads", LIMIT, async || match holder(&site).await {
                    Ok(holder) if holder != leader && !holder.is_empty() => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await;
            }
            *slot = Some((name, site.operator(name, &[])?));
        }
    }
    for (name, operator) in running.into_iter().flatten() {
        lives.push(life(name, &operator.output()?));
        operator.stop()?;
    }
    let mut led: Vec<_> = lives.iter().filter_map(|life| Some((life.led?, life.name))).collect();
    led.sort();
    assert!(led.len() >= 5, "{led:#?}");
    for pair in led.windows(2) {
        let ((_, end), (begin, _)) = (pair[0].0, pair[1].0);
        assert!(end < begin, "both led: {led:#?}");
    }
    Ok(())
}
