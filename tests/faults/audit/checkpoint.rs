//! Signed checkpoints of the audit log, and what they reveal.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use eventcenter::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use eventcenter::domain::audit::verify::{DropEvidence, TrustedCheckpoints};
use eventcenter::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Via};
use eventcenter::store::{Audit, Journal, Metrics, Options, Policy, Store, StoreUrl};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::DeleteParams;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use xtask::kubectl::NAMESPACE;
use xtask::operator::Operator;

use crate::fixture::FaultFixture;
use crate::support::MAX_WAIT;
use crate::support::audit::AuditLogs;

const SHORT_INTERVAL: [&str; 2] = ["--audit-checkpoint-interval", "200ms"];

/// A fixture without checkpoints, whose operators use one data folder.
struct CheckpointFixture {
    t: FaultFixture,
    maps: Api<ConfigMap>,
    log: LogName,
    data: tempfile::TempDir,
}

impl CheckpointFixture {
    async fn new(name: &'static str) -> Result<Self> {
        let t = FaultFixture::new(name).await?;
        let maps = Api::namespaced(t.kube.client(), NAMESPACE);
        Ok(Self { t, maps, log: LogName::of(Some(name)), data: tempfile::tempdir()? })
    }

    fn start_operator(&self, more: &[&str]) -> Result<Operator> {
        let folder = self.data.path().display().to_string();
        self.t.parts.start_operator("a", &[&SHORT_INTERVAL[..], &["--data-dir", &folder], more].concat())
    }

    /// Waits for the Event that the log is no longer signed for this reason.
    async fn wait_for_event(&self, reason: &str) {
        let note = format!("log {} is no longer signed: {reason}", self.log);
        self.t
            .eventually(&format!("there is an Event with the note: {note}"), async || {
                let events = self.t.kube.events(NAMESPACE).await;
                let found = events
                    .iter()
                    .any(|event| event.reason == "AuditInconsistent" && event.note.starts_with(&note));
                if found { Ok(()) } else { Err(events) }
            })
            .await;
    }

    async fn wait_for_cluster(&self) {
        self.t.cluster().wait_for_condition("Ready=True Available").await;
    }

    async fn data(&self, map: &str) -> BTreeMap<String, String> {
        let map = self.maps.get_opt(map).await.expect("Kubernetes answers");
        map.and_then(|map| map.data).unwrap_or_default()
    }

    async fn keys(&self) -> String {
        self.data("eventcenter-seals").await.remove("audit").unwrap_or_default()
    }

    async fn published_checkpoint(&self) -> Option<String> {
        self.data("eventcenter-audit-checkpoints").await.remove(self.log.as_str())
    }

    fn verify_checkpoint(&self, note: &str, keys: &str) -> Option<Checkpoint> {
        let origin = origin("eventcenter", &self.log);
        Checkpoint::verify(note, &origin, &TrustedKeys::parse(keys)).ok()
    }

    /// Waits until more than this many records of the tenant's log are signed. Returns the checkpoint.
    async fn wait_until_signed(&self, more_than: u64) -> (String, Checkpoint) {
        let expectation = format!("more than {more_than} records are signed");
        self.t
            .eventually(&expectation, async || {
                let note = self.published_checkpoint().await.ok_or_else(|| "none".to_owned())?;
                let checkpoint =
                    self.verify_checkpoint(&note, &self.keys().await).ok_or_else(|| note.clone())?;
                if checkpoint.size > more_than { Ok((note, checkpoint)) } else { Err(note) }
            })
            .await
    }

    /// Waits until all current records of the tenant's log are signed. Returns the checkpoint.
    async fn wait_until_all_signed(&self) -> (String, Checkpoint) {
        let head = audit(self.data.path()).read_head(&self.log).await.expect("the database answers");
        // The log may still be empty, because its first record is written later.
        self.wait_until_signed(head.size.saturating_sub(1)).await
    }
}

fn audit(data: &Path) -> Audit {
    Store::open(&StoreUrl::Sqlite(data.join("eventcenter.db"))).expect("a database").audit()
}

fn metric(operator: &Operator, name: &str, log: &LogName) -> Option<f64> {
    let (_, text) = operator.get("/metrics")?;
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{log=\"{log}\"}}")))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn checkpoints_are_published_and_each_is_consistent_with_the_previous_one() -> Result<()> {
    let s = CheckpointFixture::new("signed").await?;
    let operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    s.t.topic("first").apply(json!({})).await;
    s.t.topic("first").wait_until_ready().await;
    let (note, old) = s.wait_until_signed(1).await;
    s.t.topic("second").apply(json!({})).await;
    s.t.topic("second").wait_until_ready().await;
    let (_, new) = s.wait_until_signed(old.size).await;
    let store = audit(s.data.path());
    let proof = store.prove_consistency(&s.log, old.size, new.size).await?;
    assert!(proof.holds(&old.root, &new.root));
    let stored = store.list_checkpoints(&s.log, 100).await?;
    assert!(stored.iter().any(|stored| stored.note == note), "{stored:#?}");
    let platform = s.data("eventcenter-audit-checkpoints").await.remove(LogName::PLATFORM);
    assert!(platform.is_some_and(|note| note.starts_with("eventcenter/audit/_platform\n")));
    assert_eq!(
        s.verify_checkpoint(&note, &"0".repeat(64)),
        None,
        "another key does not verify the checkpoint"
    );
    assert_eq!(metric(&operator, "eventcenter_audit_consistent", &s.log), Some(1.0));
    let age = metric(&operator, "eventcenter_audit_checkpoint_age_seconds", &s.log);
    assert!(age.is_some_and(|age| age < 60.0), "{age:?}");
    let size = metric(&operator, "eventcenter_audit_log_size", &s.log);
    assert!(size.is_some_and(|size| size as u64 >= new.size), "{size:?}");
    Ok(())
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_detected_and_never_signed() -> Result<()> {
    let s = CheckpointFixture::new("put-back").await?;
    let mut operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    s.t.topic("first").apply(json!({})).await;
    s.t.topic("first").wait_until_ready().await;
    s.wait_until_all_signed().await;
    assert!(operator.stop()?.success());
    let copy = tempfile::tempdir()?;
    copy_all(s.data.path(), copy.path())?;

    operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    s.t.topic("second").apply(json!({})).await;
    s.t.topic("second").wait_until_ready().await;
    let (note, checkpoint) = s.wait_until_all_signed().await;
    assert!(operator.stop()?.success());
    for file in std::fs::read_dir(s.data.path())?.flatten().filter(|file| file.path().is_file()) {
        std::fs::remove_file(file.path())?;
    }
    copy_all(copy.path(), s.data.path())?;

    operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    let is_inconsistent =
        |operator: &Operator| metric(operator, "eventcenter_audit_consistent", &s.log) == Some(0.0);
    s.t.eventually("the log is reported as inconsistent", async || {
        is_inconsistent(&operator).then_some(()).ok_or("the log is consistent")
    })
    .await;
    s.wait_for_event(&format!("{} records were signed, and the log has fewer", checkpoint.size)).await;
    // The log is reported as well when it has more records than the checkpoint.
    for name in ["third", "fourth"] {
        s.t.topic(name).apply(json!({})).await;
        s.t.topic(name).wait_until_ready().await;
    }
    s.wait_for_event(&format!("the first {} records are not the signed ones", checkpoint.size)).await;
    assert!(is_inconsistent(&operator));
    assert_eq!(s.published_checkpoint().await.as_ref(), Some(&note), "the published checkpoint stays");
    let stored = audit(s.data.path()).list_checkpoints(&s.log, 1).await?;
    assert!(stored.iter().all(|stored| stored.size < checkpoint.size), "{stored:#?}");
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for file in std::fs::read_dir(from)?.flatten().filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

#[tokio::test]
async fn checkpoints_of_an_old_key_stay_trusted() -> Result<()> {
    let s = CheckpointFixture::new("rotated").await?;
    let mut operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    s.t.topic("first").apply(json!({})).await;
    s.t.topic("first").wait_until_ready().await;
    let (old, _) = s.wait_until_all_signed().await;
    let before = s.keys().await;
    assert!(operator.stop()?.success());
    let secrets = Api::<Secret>::namespaced(s.t.kube.client(), NAMESPACE);
    secrets.delete("eventcenter-seal-audit", &DeleteParams::default()).await?;

    operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    s.t.topic("second").apply(json!({})).await;
    s.t.topic("second").wait_until_ready().await;
    let (new, checkpoint) = s.wait_until_all_signed().await;
    let keys = s.keys().await;
    assert!(keys.starts_with(&before) && keys != before, "{before} {keys}");
    assert!(s.verify_checkpoint(&old, &keys).is_some_and(|old| old.size < checkpoint.size));
    assert_eq!(s.verify_checkpoint(&new, &before), None, "the new key signs the checkpoint");
    let filter = Filter { action: Some(Action::MakeKey.as_str().into()), ..Filter::default() };
    assert!(operator.stop()?.success());
    let records = AuditLogs::in_folder(s.data.path()).read(&LogName::platform(), &filter).await;
    let targets: Vec<_> =
        records.iter().filter_map(|record| Some(record.target.as_ref()?.name.as_str())).collect();
    assert!(targets.contains(&"eventcenter-seal-audit"), "{targets:?}");
    Ok(())
}

#[tokio::test]
async fn expired_records_are_dropped_once_they_are_signed() -> Result<()> {
    let s = CheckpointFixture::new("dropped").await?;
    let mut operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    let names: Vec<String> = (0..70).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        s.t.topic(name).apply(json!({"deletionPolicy": "Delete"})).await;
    }
    for name in &names {
        s.t.topic(name).wait_until_ready().await;
    }
    let (_, old) = s.wait_until_all_signed().await;
    assert!(old.size >= 280, "{old:?}");
    assert!(operator.stop()?.success());

    operator = s.start_operator(&["--audit-retention", "100ms"])?;
    let (store, dropping) = (AuditLogs::in_folder(s.data.path()), by(Action::DropRecords));
    let records = store.wait(&s.log, &dropping, |records| records.len() == 2).await;
    let message = records[0].message.as_deref().unwrap_or_default();
    assert!(message.starts_with("records 0 to 255, which are older than "), "{message}");
    assert_eq!(records[1].completes, Some(records[0].id));
    s.wait_until_all_signed().await;
    let head = audit(s.data.path()).read_head(&s.log).await?;
    assert_eq!(head.first, 256);
    let left = store.read(&s.log, &Filter::default()).await;
    assert_eq!(left.first().map(|record| record.seq), Some(256));
    assert_eq!(metric(&operator, "eventcenter_audit_consistent", &s.log), Some(1.0));
    let checkpoints = TrustedCheckpoints::default();
    let verified = audit(s.data.path()).verify(&s.log, &checkpoints, |_, _| {}).await?.expect("no finding");
    assert_eq!(verified.drop, DropEvidence::Recorded { seq: records[0].seq });
    Ok(())
}

/// A drop proves the earlier ones, so it has to be refused if these are not recorded.
#[tokio::test]
async fn nothing_is_dropped_after_an_unrecorded_drop() -> Result<()> {
    let s = CheckpointFixture::new("unrecorded").await?;
    let operator = s.start_operator(&[])?;
    s.wait_for_cluster().await;
    assert!(operator.stop()?.success());
    let store = Store::open(&StoreUrl::Sqlite(s.data.path().join("eventcenter.db")))?;
    // The logs are processed by name.
    let (tampered, other) = (LogName::of(Some("a-tampered")), LogName::of(Some("z-other")));
    for log in [&tampered, &other] {
        fill(&store, log, 600).await?;
    }
    assert_eq!(store.audit().drop_before(&tampered, 256).await?, 256);
    store.close().await;

    let _operator = s.start_operator(&["--audit-retention", "100ms"])?;
    let logs = AuditLogs::in_folder(s.data.path());
    logs.wait(&other, &by(Action::DropRecords), |records| records.len() == 2).await;
    assert_eq!(logs.read(&tampered, &by(Action::DropRecords)).await, []);
    assert_eq!(audit(s.data.path()).read_head(&tampered).await?.first, 256);
    Ok(())
}

/// Writes records to a log.
async fn fill(store: &Store, log: &LogName, count: usize) -> Result<()> {
    let stop = CancellationToken::new();
    let metrics = Metrics::register(&mut Registry::default());
    let (policy, instance) = (Policy::Required, "filler".to_owned());
    let options = Options { policy, timeout: MAX_WAIT, instance, spool: None };
    let (journal, work) = Journal::start(store.clone(), options, metrics, now, stop.clone())?;
    let (work, recorder) = (tokio::spawn(work), journal.recorder("webhook"));
    let actor = Actor { user: "alice".to_owned(), groups: Vec::new(), via: Via::Admission };
    for _ in 0..count {
        recorder.enqueue(Event::new(log.clone(), actor.clone(), Action::Update, Outcome::Allowed)).await;
    }
    stop.cancel();
    Ok(work.await?)
}

#[allow(clippy::disallowed_methods, reason = "the journal is given a clock, as by the program")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn by(action: Action) -> Filter {
    Filter { action: Some(action.as_str().to_owned()), ..Filter::default() }
}

#[tokio::test]
async fn checkpoints_are_also_sent_to_a_kafka_topic() -> Result<()> {
    let s = CheckpointFixture::new("anchored").await?;
    s.t.stage.kafka.create("audit.checkpoints", 1, &[]).await;
    let _operator = s.start_operator(&["--audit-checkpoint-topic", "main/audit.checkpoints"])?;
    s.wait_for_cluster().await;
    s.t.topic("first").apply(json!({})).await;
    s.t.topic("first").wait_until_ready().await;
    let (note, _) = s.wait_until_all_signed().await;
    // The consumer reads without a consumer group, because joining one takes time.
    let consumer = [
        "--topic",
        "audit.checkpoints",
        "--partition",
        "0",
        "--offset",
        "earliest",
        "--timeout-ms",
        "15000",
        "--property",
        "print.key=true",
    ];
    s.t.eventually("the Kafka topic contains the checkpoint", async || {
        let read = s.t.parts.broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &consumer);
        let read = read.map_err(|error| error.to_string())?;
        if read.contains(&format!("{}\t{note}", s.log)) { Ok(()) } else { Err(read) }
    })
    .await;
    Ok(())
}
