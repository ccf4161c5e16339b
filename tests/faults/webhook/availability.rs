//! Reviews while replicas start, stop and die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use eventcenter::api::EventTopic;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::balancer::Balancer;
use crate::fixture::FaultFixture;
use crate::support::{KubeClient, MAX_WAIT, WriteMethod, until};

/// The results of the writes of a stream.
#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// The API server could not call the webhook, so it refused the write.
    failed: AtomicUsize,
    last: std::sync::Mutex<String>,
}

impl Tally {
    fn read(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::Relaxed)
    }
}

/// Users who apply a valid and an invalid topic in turns, without a pause.
pub(super) struct Stream {
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    users: Vec<JoinHandle<()>>,
}

impl Stream {
    pub(super) fn begin(t: &FaultFixture, namespace: &'static str, users: usize) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let users = (0..users).map(|user| {
            let (tally, stop, kube) = (Arc::clone(&tally), Arc::clone(&stop), t.kube.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let valid =
                        topic(namespace, &format!("good-{user}"), json!({"description": number.to_string()}));
                    let answer = kube.write(&valid, WriteMethod::Apply).await;
                    match answer.status {
                        200 | 201 => &tally.accepted,
                        _ => {
                            assert!(answer.message().contains("webhook"), "{answer:?}");
                            *tally.last.lock().expect("the lock is not poisoned") =
                                answer.message().to_owned();
                            &tally.failed
                        }
                    }
                    .fetch_add(1, Ordering::Relaxed);
                    let invalid =
                        topic(namespace, &format!("bad-{user}-{number}"), json!({"topicName": "not.ours"}));
                    let answer = kube.write(&invalid, WriteMethod::Apply).await;
                    assert!(answer.status >= 400, "an invalid topic was accepted: {answer:?}");
                    match answer.message().contains("denied the request: InvalidResource: spec.topicName") {
                        true => &tally.refused,
                        false => {
                            assert!(answer.message().contains("webhook"), "{answer:?}");
                            *tally.last.lock().expect("the lock is not poisoned") =
                                answer.message().to_owned();
                            &tally.failed
                        }
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let users = users.collect();
        Self { tally, stop, users }
    }

    /// Waits until this many further writes are accepted, and as many refused.
    pub(super) async fn wait_for_progress(&self, by: usize) {
        let (accepted, refused) = (Tally::read(&self.tally.accepted), Tally::read(&self.tally.refused));
        let polled = until(async || {
            let (now, then) = (Tally::read(&self.tally.accepted), Tally::read(&self.tally.refused));
            if now >= accepted + by && then >= refused + by {
                Ok(())
            } else {
                Err(format!("{:?}", self.tally))
            }
        });
        polled.await.expect("reviews continue");
    }

    /// Waits until a write fails because the API server cannot call the webhook.
    async fn wait_for_failure(&self) {
        let before = Tally::read(&self.tally.failed);
        let polled = until(async || {
            let now = Tally::read(&self.tally.failed);
            if now > before { Ok(()) } else { Err(format!("{:?}", self.tally)) }
        });
        polled.await.expect("a write fails");
    }

    pub(super) fn failed(&self) -> usize {
        Tally::read(&self.tally.failed)
    }

    /// Ends the stream. Asserts that no invalid topic is stored. Returns the number of failed writes, and the last error.
    pub(super) async fn end(self, t: &FaultFixture, namespace: &str) -> Result<(usize, String)> {
        self.stop.store(true, Ordering::Relaxed);
        for user in self.users {
            user.await?;
        }
        let stored =
            Api::<EventTopic>::namespaced(t.kube.client(), namespace).list(&ListParams::default()).await?;
        for topic in stored {
            assert_eq!(topic.spec.topic_name, None, "{:?}", topic.metadata.name);
        }
        let last = self.tally.last.lock().expect("the lock is not poisoned").clone();
        Ok((Tally::read(&self.tally.failed), last))
    }
}

pub(super) fn topic(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// Waits until the API server calls the webhook and gets an answer.
pub(super) async fn wait_until_answered(t: &FaultFixture) {
    let kube = KubeClient::without_retries(&t.stage.kubeconfig).await;
    let invalid = topic(&t.namespace, "probe", json!({"topicName": "not.ours"}));
    t.eventually("the webhook answers", async || {
        let answer = kube.write(&invalid, WriteMethod::DryRun).await;
        if answer.message().contains("InvalidResource: spec.topicName") { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn no_invalid_topic_is_stored_during_a_restart() -> Result<()> {
    let t = FaultFixture::new("restart").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let mut webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let stream = Stream::begin(&t, "restart", 3);
    for round in 0..4 {
        stream.wait_for_progress(10).await;
        if round % 2 == 0 {
            assert!(webhook.stop()?.success());
        } else {
            webhook.kill()?;
        }
        stream.wait_for_failure().await;
        webhook = t.parts.start_webhook("a", port, &[])?;
    }
    stream.wait_for_progress(10).await;
    let (failed, last) = stream.end(&t, "restart").await?;
    assert!(failed > 0 && last.contains("failed calling webhook"), "{last}");
    Ok(())
}

#[tokio::test]
async fn one_of_two_replicas_may_stop_or_die() -> Result<()> {
    let t = FaultFixture::new("replicas").await?;
    let (first, second) = (xtask::port::free()?, xtask::port::free()?);
    let balancer = Balancer::start(&[first, second])?;
    t.parts.install_webhook(balancer.port())?;
    // Both start at the same time and use the same certificates.
    let mut a = t.parts.launch_webhook("a", first, &["--webhook-drain", "1s"])?;
    let mut b = t.parts.launch_webhook("b", second, &["--webhook-drain", "1s"])?;
    a.wait_ready(MAX_WAIT)?;
    b.wait_ready(MAX_WAIT)?;
    let count_issued = |operator: &xtask::operator::Operator| {
        operator.output().map(|log| log.matches("issued certificates").count())
    };
    assert_eq!(
        count_issued(&a)? + count_issued(&b)?,
        1,
        "one replica issues the certificates, and both serve them"
    );
    wait_until_answered(&t).await;

    let stream = Stream::begin(&t, "replicas", 3);
    stream.wait_for_progress(20).await;
    // The balancer stops sending connections, as a Service does for a replica that is not ready.
    balancer.remove(first);
    assert!(a.stop()?.success());
    stream.wait_for_progress(20).await;
    assert_eq!(stream.failed(), 0, "no write failed: {:?}", stream.tally);
    a = t.parts.start_webhook("a", first, &[])?;
    balancer.add(first);
    b.kill()?;
    stream.wait_for_progress(20).await;
    let (failed, last) = stream.end(&t, "replicas").await?;
    // Reviews that ran on the killed replica fail.
    assert!(failed <= 6, "{failed}: {last}");
    assert!(a.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn running_reviews_are_answered_before_the_end() -> Result<()> {
    let t = FaultFixture::new("drain").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &["--webhook-drain", "3s"])?;
    wait_until_answered(&t).await;
    let health = webhook.port();
    let stream = Stream::begin(&t, "drain", 2);
    stream.wait_for_progress(5).await;
    let stopping = std::thread::spawn(move || webhook.stop());
    t.eventually("the webhook is not ready", async || match xtask::probe::get(health, "/readyz") {
        Some((503, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    // The webhook is not ready, and still answers reviews.
    stream.wait_for_progress(5).await;
    assert_eq!(stream.failed(), 0);
    assert!(stopping.join().expect("no panic")?.success());
    stream.end(&t, "drain").await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_deleted_while_the_webhook_is_down() -> Result<()> {
    let t = FaultFixture::new("going").await?;
    let kube = t.kube.clone();
    kube.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going-away"}})).await;
    kube.apply(&topic("going-away", "orders", json!({}))).await;
    kube.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "s", "namespace": "going-away", "labels": {"eventcenter.io/schema": "true"}},
    }))
    .await;
    t.parts.install_webhook(xtask::port::free()?)?;
    let refused = t.eventually("the API server refuses all writes", async || {
        let answer = kube.write(&topic("going", "x", json!({})), WriteMethod::Apply).await;
        if answer.status == 500 { Ok(answer) } else { Err(answer) }
    });
    assert!(refused.await.message().contains("failed calling webhook"));
    t.stage.kubectl().run(&["delete", "namespace", "going-away", "--timeout", "30s"])?;
    Ok(())
}

#[tokio::test]
async fn everything_is_refused_before_the_webhook_has_read_everything() -> Result<()> {
    let t = FaultFixture::new("early").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    // Without the right to read KafkaClusters the webhook never becomes ready. Several roles of the account have it.
    let mut roles = Vec::new();
    for name in ["eventcenter-controllers", "eventcenter-webhook", "eventcenter-runner"] {
        let before: Value =
            serde_json::from_str(&t.stage.kubectl().run(&["get", "clusterrole", name, "-o", "json"])?)?;
        let mut reduced = before.clone();
        for rule in reduced["rules"].as_array_mut().expect("rules") {
            let resources = rule["resources"].as_array_mut().expect("resources");
            resources.retain(|resource| resource != "kafkaclusters");
        }
        apply_role(&t, &reduced)?;
        roles.push(before);
    }
    let webhook = t.parts.launch_webhook("a", port, &[])?;
    // The test uses kubectl, because kube-rs retries a response with status 503.
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), topic("early", "orders", json!({})).to_string())?;
    let file = file.path().to_str().expect("UTF-8");
    let refused = t.eventually("the webhook refuses because it is not ready", async || {
        match t.stage.kubectl().run(&["create", "-f", file]).map_err(|error| format!("{error:#}")) {
            Err(error) if error.contains("denied the request") => Ok(error),
            other => Err(other),
        }
    });
    let refused = refused.await;
    assert!(
        refused.contains("WebhookNotReady: the webhook has not listed all resources yet; try again"),
        "{refused}"
    );
    assert_eq!(webhook.get("/readyz").map(|(status, _)| status), Some(503));
    for role in &roles {
        apply_role(&t, role)?;
    }
    wait_until_answered(&t).await;
    t.wait_for_readyz(&webhook, 200).await;
    Ok(())
}

fn apply_role(t: &FaultFixture, role: &Value) -> Result<()> {
    let mut role = role.clone();
    let metadata = role["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| key == "name");
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, role.to_string().as_bytes())?;
    let file = file.path().to_str().expect("UTF-8");
    t.stage.kubectl().run(&["apply", "--server-side", "--force-conflicts", "-f", file]).map(drop)
}
