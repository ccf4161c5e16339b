//! Replicas that start, stop and die, and what happens to reviews meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use eventcenter::api::EventTopic;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::balancer::Balancer;
use crate::support::site::{LIMIT, Site};
use crate::support::{Kube, Way, until};

/// How a review ended, for whoever applied something.
#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// Nobody could be asked, so it was refused as well.
    unasked: AtomicUsize,
    last: std::sync::Mutex<String>,
}

impl Tally {
    fn read(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::Relaxed)
    }
}

/// People who apply a good and a bad topic in turns, without a break.
pub(super) struct Stream {
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    people: Vec<JoinHandle<()>>,
}

impl Stream {
    pub(super) fn begin(site: &Site, namespace: &'static str, people: usize) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let people = (0..people).map(|person| {
            let (tally, stop, kube) = (Arc::clone(&tally), Arc::clone(&stop), Kube::of(site.client()));
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let good = topic(
                        namespace,
                        &format!("good-{person}"),
                        json!({"description": number.to_string()}),
                    );
                    let answer = kube.ask(&good, Way::Apply).await;
                    match answer.status {
                        200 | 201 => &tally.accepted,
                        _ => {
                            assert!(answer.message().contains("webhook"), "{answer:?}");
                            *tally.last.lock().expect("nobody panics") = answer.message().to_owned();
                            &tally.unasked
                        }
                    }
                    .fetch_add(1, Ordering::Relaxed);
                    let bad =
                        topic(namespace, &format!("bad-{person}-{number}"), json!({"topicName": "not.ours"}));
                    let answer = kube.ask(&bad, Way::Apply).await;
                    assert!(answer.status >= 400, "it slipped through: {answer:?}");
                    match answer.message().contains("denied the request: InvalidResource: spec.topicName") {
                        true => &tally.refused,
                        false => {
                            assert!(answer.message().contains("webhook"), "{answer:?}");
                            *tally.last.lock().expect("nobody panics") = answer.message().to_owned();
                            &tally.unasked
                        }
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let people = people.collect();
        Self { tally, stop, people }
    }

    /// Waits until that many more were accepted, and that many refused.
    pub(super) async fn goes_on(&self, by: usize) {
        let (accepted, refused) = (Tally::read(&self.tally.accepted), Tally::read(&self.tally.refused));
        let moved = until(async || {
            let (now, then) = (Tally::read(&self.tally.accepted), Tally::read(&self.tally.refused));
            if now >= accepted + by && then >= refused + by {
                Ok(())
            } else {
                Err(format!("{:?}", self.tally))
            }
        });
        moved.await.expect("reviews go on");
    }

    /// Waits until somebody was refused because nobody could be asked.
    async fn stands_still(&self) {
        let before = Tally::read(&self.tally.unasked);
        let still = until(async || {
            let now = Tally::read(&self.tally.unasked);
            if now > before { Ok(()) } else { Err(format!("{:?}", self.tally)) }
        });
        still.await.expect("nobody can be asked");
    }

    pub(super) fn unasked(&self) -> usize {
        Tally::read(&self.tally.unasked)
    }

    /// Ends it. No bad topic is stored. Returns how many could not be asked about, and what was said last of these.
    pub(super) async fn end(self, site: &Site, namespace: &str) -> Result<(usize, String)> {
        self.stop.store(true, Ordering::Relaxed);
        for person in self.people {
            person.await?;
        }
        let stored =
            Api::<EventTopic>::namespaced(site.client(), namespace).list(&ListParams::default()).await?;
        for topic in stored {
            assert_eq!(topic.spec.topic_name, None, "{:?}", topic.metadata.name);
        }
        let last = self.tally.last.lock().expect("nobody panics").clone();
        Ok((Tally::read(&self.tally.unasked), last))
    }
}

pub(super) fn topic(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// The API server trusts the webhook and asks it.
pub(super) async fn answers(site: &Site, namespace: &str) {
    let kube = Kube::of(site.client());
    let bad = topic(namespace, "probe", json!({"topicName": "not.ours"}));
    site.eventually("the webhook answers", LIMIT, async || {
        let answer = kube.ask(&bad, Way::DryRun).await;
        if answer.message().contains("InvalidResource: spec.topicName") { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn a_stop_and_a_restart_let_nothing_slip_through() -> Result<()> {
    let site = Site::new("restart").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let mut webhook = site.webhook("a", port, &[], true)?;
    answers(&site, "restart").await;
    let stream = Stream::begin(&site, "restart", 3);
    for round in 0..4 {
        stream.goes_on(10).await;
        if round % 2 == 0 {
            assert!(webhook.stop()?.success());
        } else {
            webhook.kill()?;
        }
        stream.stands_still().await;
        webhook = site.webhook("a", port, &[], true)?;
    }
    stream.goes_on(10).await;
    let (unasked, last) = stream.end(&site, "restart").await?;
    assert!(unasked > 0 && last.contains("failed calling webhook"), "{last}");
    Ok(())
}

#[tokio::test]
async fn of_two_replicas_one_may_go_and_one_may_die() -> Result<()> {
    let site = Site::new("replicas").await?;
    let (first, second) = (xtask::port::free()?, xtask::port::free()?);
    let balancer = Balancer::start(&[first, second])?;
    site.install_webhook(balancer.port())?;
    // Both begin at the same time and make the same certificates.
    let mut a = site.webhook("a", first, &["--webhook-drain", "1s"], false)?;
    let mut b = site.webhook("b", second, &["--webhook-drain", "1s"], false)?;
    a.wait_ready(LIMIT)?;
    b.wait_ready(LIMIT)?;
    let made = |operator: &xtask::operator::Operator| {
        operator.output().map(|said| said.matches("issued certificates").count())
    };
    assert_eq!(made(&a)? + made(&b)?, 1, "one of them made them, and both serve them");
    answers(&site, "replicas").await;

    let stream = Stream::begin(&site, "replicas", 3);
    stream.goes_on(20).await;
    // What a Service does when a replica is no longer ready.
    balancer.leave_out(first);
    assert!(a.stop()?.success());
    stream.goes_on(20).await;
    assert_eq!(stream.unasked(), 0, "nobody noticed: {:?}", stream.tally);
    a = site.webhook("a", first, &[], true)?;
    balancer.take_back(first);
    b.kill()?;
    stream.goes_on(20).await;
    let (unasked, last) = stream.end(&site, "replicas").await?;
    // Those that were on their way to it when it died.
    assert!(unasked <= 6, "{unasked}: {last}");
    assert!(a.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_end() -> Result<()> {
    let site = Site::new("drain").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let webhook = site.webhook("a", port, &["--webhook-drain", "3s"], true)?;
    answers(&site, "drain").await;
    let health = webhook.port();
    let stream = Stream::begin(&site, "drain", 2);
    stream.goes_on(5).await;
    let stopping = std::thread::spawn(move || webhook.stop());
    site.eventually("it is not ready", LIMIT, async || match xtask::probe::get(health, "/readyz") {
        Some((503, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    // It says that it goes, and still answers.
    stream.goes_on(5).await;
    assert_eq!(stream.unasked(), 0);
    assert!(stopping.join().expect("it ends")?.success());
    stream.end(&site, "drain").await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_goes_while_the_webhook_is_down() -> Result<()> {
    let site = Site::new("going").await?;
    let kube = Kube::of(site.client());
    site.namespace("going-away").await?;
    kube.apply(&topic("going-away", "orders", json!({}))).await;
    kube.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "s", "namespace": "going-away", "labels": {"eventcenter.io/schema": "true"}},
    }))
    .await;
    site.install_webhook(xtask::port::free()?)?;
    let refused = site.eventually("nothing is allowed", LIMIT, async || {
        let answer = kube.ask(&topic("going", "x", json!({})), Way::Apply).await;
        if answer.status == 500 { Ok(answer) } else { Err(answer) }
    });
    assert!(refused.await.message().contains("failed calling webhook"));
    site.kubectl().run(&["delete", "namespace", "going-away", "--timeout", "30s"])?;
    Ok(())
}

#[tokio::test]
async fn before_everything_is_read_everything_is_refused() -> Result<()> {
    let site = Site::new("early").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    // It may not read KafkaClusters, so it never knows enough.
    let role = ["get", "clusterrole", "eventcenter-controllers", "-o", "json"];
    let before: Value = serde_json::from_str(&site.kubectl().run(&role)?)?;
    let mut narrow = before.clone();
    for rule in narrow["rules"].as_array_mut().expect("rules") {
        let resources = rule["resources"].as_array_mut().expect("resources");
        resources.retain(|resource| resource != "kafkaclusters");
    }
    put(&site, &narrow)?;
    let webhook = site.webhook("a", port, &[], false)?;
    // By kubectl: kube's client tries a 503 again and again by itself.
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), topic("early", "orders", json!({})).to_string())?;
    let file = file.path().to_str().expect("UTF-8");
    let told = site.eventually("it answers that it is early", LIMIT, async || {
        match site.kubectl().run(&["create", "-f", file]).map_err(|error| format!("{error:#}")) {
            Err(said) if said.contains("denied the request") => Ok(said),
            other => Err(other),
        }
    });
    let told = told.await;
    assert!(
        told.contains("WebhookNotReady: the webhook has not listed all resources yet; try again"),
        "{told}"
    );
    assert_eq!(webhook.get("/readyz").map(|(status, _)| status), Some(503));
    put(&site, &before)?;
    answers(&site, "early").await;
    site.eventually("it is ready", Duration::from_secs(60), async || match webhook.get("/readyz") {
        Some((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    Ok(())
}

fn put(site: &Site, role: &Value) -> Result<()> {
    let mut role = role.clone();
    let metadata = role["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| key == "name");
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, role.to_string().as_bytes())?;
    let file = file.path().to_str().expect("UTF-8");
    site.kubectl().run(&["apply", "--server-side", "--force-conflicts", "-f", file]).map(drop)
}
