//! Two replicas: one leads, the other is on standby, and they never lead at the same time.

use anyhow::{Context, Result};
use eventcenter::api::{KafkaCluster, Tenant};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use xtask::operator::Operator;

use crate::fixture::{FaultFixture, metric};
use crate::proxy::{Mode, Protocol, Proxy};
use crate::support::has_condition;

const LEASE: &str = "eventcenter-controllers";
/// The line that an operator logs when it begins to lead.
const BEGIN: &str = "eventcenter::app::roles: leading";

/// The time of a log line.
fn time(line: &str) -> Option<Timestamp> {
    line.split_whitespace().next()?.parse().ok()
}

/// The time of the first log line that contains the text.
fn first(log: &str, text: &str) -> Option<Timestamp> {
    log.lines().filter(|line| line.contains(text)).find_map(time)
}

/// The time of the last log line that contains the text.
fn last(log: &str, text: &str) -> Option<Timestamp> {
    log.lines().rev().filter(|line| line.contains(text)).find_map(time)
}

async fn holder(t: &FaultFixture) -> Result<String> {
    let lease = t.leases().get(LEASE).await?;
    Ok(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
}

/// A leader `a` that has created the topic `first`, and `b` on standby: a second replica is ready once it waits for the Lease.
async fn start_two(t: &FaultFixture, arguments: &[&str]) -> Result<(Operator, Operator)> {
    let a = t.parts.start_operator("a", arguments)?;
    t.topic("first").apply_and_wait("{}").await;
    let b = t.parts.start_operator("b", arguments)?;
    assert_eq!(holder(t).await?, "a");
    Ok((a, b))
}

async fn wait_for_exit(t: &FaultFixture, operator: &mut Operator) -> std::process::ExitStatus {
    t.eventually("the operator exits", async || match operator.exited() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn the_other_leads_after_the_leader_is_killed() -> Result<()> {
    let t = FaultFixture::new("leader-killed").await?;
    let (a, b) = start_two(&t, &[]).await?;
    a.kill()?;
    t.topic("second").apply_and_wait("{}").await;
    assert_eq!(holder(&t).await?, "b");
    assert_eq!(b.get("/readyz").map(|(status, _)| status), Some(200));
    Ok(())
}

#[tokio::test]
async fn the_other_leads_at_once_when_the_leader_stops() -> Result<()> {
    let t = FaultFixture::new("leader-stopped").await?;
    // Without a release of the Lease, the other replica would wait for longer than this test does.
    let arguments = ["--lease-duration", "10m"];
    let (a, b) = start_two(&t, &arguments).await?;
    assert!(a.stop()?.success(), "SIGTERM is no failure");
    t.topic("second").apply_and_wait("{}").await;
    assert_eq!(holder(&t).await?, "b");

    // A replica on standby stops as well, and does not touch the Lease.
    let a = t.parts.start_operator("a", &arguments)?;
    assert!(a.stop()?.success());
    assert_eq!(holder(&t).await?, "b");
    drop(b);
    Ok(())
}

#[tokio::test]
async fn a_leader_without_the_api_server_ends_before_the_other_leads() -> Result<()> {
    let t = FaultFixture::new("leader-cut-off").await?;
    let proxy = Proxy::start(t.parts.api_server_port(), Protocol::Opaque)?;
    let mut a = t.parts.start_operator_through(&proxy, "a", &[])?;
    t.topic("bait").apply_and_wait("{}").await;
    t.wait_for_resync(&a, 3).await;
    let b = t.parts.start_operator("b", &[])?;

    proxy.set(Mode::HoldAll);
    // There is always drift, so the leader always writes.
    let mut value = 0;
    t.eventually("the other replica leads and corrects drift", async || {
        value += 1;
        t.set_kafka_config("bait", "retention.ms", &value.to_string()).await;
        let corrections = metric(&b, "eventcenter_drift_total", &["outcome=\"Corrected\""]);
        if corrections >= Some(1.0) { Ok(()) } else { Err(corrections) }
    })
    .await;
    let status = wait_for_exit(&t, &mut a).await;
    assert!(!status.success(), "the operator could not renew its Lease");
    let (a, b) = (a.output()?, b.output()?);
    let stopped = last(&a, "stopped leading").context("a ends")?;
    let wrote = last(&a, "changing Kafka").context("a writes")?;
    let began = first(&b, BEGIN).context("b leads")?;
    assert!(wrote < began && stopped < began, "{wrote} {stopped} {began}\n{}", t.stage.logs.tail());
    assert!(a.contains("could not be renewed in time"), "{a}");
    Ok(())
}

#[tokio::test]
async fn a_paused_leader_does_not_write_when_it_continues() -> Result<()> {
    let t = FaultFixture::new("leader-frozen").await?;
    let (mut a, _b) = start_two(&t, &[]).await?;
    a.pause()?;
    t.topic("second").apply_and_wait("{}").await;
    t.set_kafka_config("first", "retention.ms", "1").await;
    t.wait_for_kafka_config("first", &[]).await;
    let before = a.output()?.matches("changing Kafka").count();
    a.resume()?;
    assert!(!wait_for_exit(&t, &mut a).await.success());
    assert_eq!(a.output()?.matches("changing Kafka").count(), before, "{}", t.stage.logs.tail());
    assert_eq!(holder(&t).await?, "b");
    Ok(())
}

#[tokio::test]
async fn a_restart_writes_nothing() -> Result<()> {
    let t = FaultFixture::new("restart").await?;
    let operator = t.parts.start_operator("a", &[])?;
    let names: Vec<String> = (0..30).map(|number| format!("topic-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let policy = if number % 2 == 0 { "Delete" } else { "Retain" };
        let spec = json!({"config": {"retention.ms": number + 1}, "partitions": 1 + number % 3, "deletionPolicy": policy});
        t.topic(name).apply(spec).await;
    }
    for name in &names {
        t.topic(name).wait_until_ready().await;
    }
    t.tenant()
        .wait_for("status.topics is 30", |tenant| {
            tenant.status.as_ref().and_then(|status| status.topics) == Some(30)
        })
        .await;
    t.cluster()
        .wait_for("status.unregisteredTopics is 0", |cluster| {
            cluster.status.as_ref().and_then(|status| status.unregistered_topics) == Some(0)
        })
        .await;
    operator.stop()?;
    let (before, changes) = (versions(&t).await?, t.parts.kafka_proxy.received_changes());

    let operator = t.parts.start_operator("a", &[])?;
    let reconciles = ["kind=\"EventTopic\"", "outcome=\"Available\""];
    t.wait_for_metric(&operator, "eventcenter_reconciles_total", &reconciles, 30.0).await;
    t.wait_for_resync(&operator, 30).await;
    assert_eq!(versions(&t).await?, before);
    assert_eq!(t.parts.kafka_proxy.received_changes(), changes);
    let (_, metrics) = operator.get("/metrics").context("the operator answers")?;
    let requests: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("eventcenter_kafka_requests_total")).collect();
    assert!(!requests.is_empty(), "{metrics}");
    assert!(
        requests
            .iter()
            .all(|line| line.contains("operation=\"Describe") || line.contains("operation=\"Metadata")),
        "{requests:#?}"
    );
    assert!(
        t.topics()
            .list(&ListParams::default())
            .await?
            .iter()
            .all(|topic| has_condition(topic, "Ready=True Available"))
    );
    Ok(())
}

/// The resource versions of everything that an operator may write.
async fn versions(t: &FaultFixture) -> Result<Vec<(String, Option<String>)>> {
    fn of(resource: &impl ResourceExt) -> (String, Option<String>) {
        (resource.name_any(), resource.resource_version())
    }
    let all = ListParams::default();
    let mut versions: Vec<_> = t.topics().list(&all).await?.iter().map(of).collect();
    versions.extend(Api::<Tenant>::all(t.kube.client()).list(&all).await?.iter().map(of));
    versions.extend(Api::<KafkaCluster>::all(t.kube.client()).list(&all).await?.iter().map(of));
    versions.sort();
    Ok(versions)
}

/// One run of a replica, from its log.
struct Run {
    name: &'static str,
    led: Option<(Timestamp, Timestamp)>,
}

fn run(name: &'static str, log: &str) -> Run {
    let began = first(log, BEGIN);
    // The log of a killed replica has no line about its end.
    let end = last(log, "stopped leading").or_else(|| last(log, ""));
    Run { name, led: began.zip(end) }
}

#[tokio::test]
async fn two_never_lead_at_once() -> Result<()> {
    let t = FaultFixture::new("never-two").await?;
    let mut runs = Vec::new();
    let mut running =
        [Some(("a", t.parts.start_operator("a", &[])?)), Some(("b", t.parts.start_operator("b", &[])?))];
    for round in 0..5 {
        t.topic(&format!("topic-{round}")).apply(json!({})).await;
        t.topic(&format!("topic-{round}")).wait_until_ready().await;
        let leader = holder(&t).await?;
        for slot in &mut running {
            let Some((name, operator)) = slot.take_if(|(name, _)| *name == leader) else { continue };
            let log = operator.output()?;
            if round % 2 == 0 {
                operator.kill()?;
            } else {
                operator.stop()?;
            }
            runs.push(run(name, &log));
            // In one round it is back before its Lease expires, in the others after the other replica leads.
            if round != 2 {
                t.eventually("the other replica leads", async || match holder(&t).await {
                    Ok(holder) if holder != leader && !holder.is_empty() => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await;
            }
            *slot = Some((name, t.parts.start_operator(name, &[])?));
        }
    }
    for (name, operator) in running.into_iter().flatten() {
        runs.push(run(name, &operator.output()?));
        operator.stop()?;
    }
    let mut led: Vec<_> = runs.iter().filter_map(|run| Some((run.led?, run.name))).collect();
    led.sort();
    assert!(led.len() >= 5, "{led:#?}");
    for pair in led.windows(2) {
        let ((_, end), (begin, _)) = (pair[0].0, pair[1].0);
        assert!(end < begin, "both led at the same time: {led:#?}");
    }
    Ok(())
}
