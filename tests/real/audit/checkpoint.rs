//! What is signed of the audit log, and what is found out by that.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use eventcenter::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use eventcenter::domain::audit::{Action, Filter, LogName};
use eventcenter::store::{Audit, Store, StoreUrl};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use xtask::kubectl::NAMESPACE;
use xtask::operator::Operator;

use crate::support::audit::Logs;
use crate::support::site::{CLUSTER, LIMIT, Site};

const OFTEN: [&str; 2] = ["--audit-checkpoint-interval", "200ms"];

/// A test's place, with nothing signed in it.
struct Signed {
    site: Site,
    maps: Api<ConfigMap>,
    log: LogName,
    data: tempfile::TempDir,
}

impl Signed {
    async fn new(name: &'static str) -> Result<Self> {
        let site = Site::new(name).await?;
        let maps = Api::namespaced(site.client(), NAMESPACE);
        Ok(Self { site, maps, log: LogName::of(Some(name)), data: tempfile::tempdir()? })
    }

    fn operator(&self, more: &[&str]) -> Result<Operator> {
        let folder = self.data.path().display().to_string();
        self.site.operator("a", &[&OFTEN[..], &["--data-dir", &folder], more].concat())
    }

    async fn works(&self) {
        self.site.cluster_is(CLUSTER, "Available").await;
    }

    async fn data(&self, map: &str) -> BTreeMap<String, String> {
        let map = self.maps.get_opt(map).await.expect("Kubernetes answers");
        map.and_then(|map| map.data).unwrap_or_default()
    }

    async fn keys(&self) -> String {
        self.data("eventcenter-seals").await.remove("audit").unwrap_or_default()
    }

    async fn note(&self) -> Option<String> {
        self.data("eventcenter-audit-checkpoints").await.remove(self.log.as_str())
    }

    fn believed(&self, note: &str, keys: &str) -> Option<Checkpoint> {
        let origin = origin("eventcenter", &self.log);
        Checkpoint::verify(note, &origin, &TrustedKeys::parse(keys)).ok()
    }

    /// Waits until more than so many records of the tenant's log are signed.
    async fn signed(&self, more_than: u64) -> (String, Checkpoint) {
        let what = format!("more than {more_than} records are signed");
        self.site
            .eventually(&what, LIMIT, async || {
                let note = self.note().await.ok_or_else(|| "none".to_owned())?;
                let checkpoint = self.believed(&note, &self.keys().await).ok_or_else(|| note.clone())?;
                if checkpoint.size > more_than { Ok((note, checkpoint)) } else { Err(note) }
            })
            .await
    }

    /// Waits until all of the tenant's log is signed that there is now.
    async fn all_signed(&self) -> (String, Checkpoint) {
        let head = audit(self.data.path()).read_head(&self.log).await.expect("the database answers");
        self.signed(head.size - 1).await
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
async fn what_is_signed_is_published_and_each_continues_the_one_before() -> Result<()> {
    let s = Signed::new("signed").await?;
    let operator = s.operator(&[])?;
    s.works().await;
    s.site.declare("first", json!({})).await?;
    s.site.ready("first").await;
    let (note, old) = s.signed(1).await;
    s.site.declare("second", json!({})).await?;
    s.site.ready("second").await;
    let (_, new) = s.signed(old.size).await;
    let store = audit(s.data.path());
    let proof = store.prove_consistency(&s.log, old.size, new.size).await?;
    assert!(proof.holds(&old.root, &new.root));
    let kept = store.list_checkpoints(&s.log, 100).await?;
    assert!(kept.iter().any(|kept| kept.note == note), "{kept:#?}");
    let platform = s.data("eventcenter-audit-checkpoints").await.remove(LogName::PLATFORM);
    assert!(platform.is_some_and(|note| note.starts_with("eventcenter/audit/_platform\n")));
    assert_eq!(s.believed(&note, &"0".repeat(64)), None, "by nobody else's key");
    assert_eq!(metric(&operator, "eventcenter_audit_consistent", &s.log), Some(1.0));
    let age = metric(&operator, "eventcenter_audit_checkpoint_age_seconds", &s.log);
    assert!(age.is_some_and(|age| age < 60.0), "{age:?}");
    let size = metric(&operator, "eventcenter_audit_log_size", &s.log);
    assert!(size.is_some_and(|size| size as u64 >= new.size), "{size:?}");
    Ok(())
}

#[tokio::test]
async fn an_older_copy_of_the_database_is_found_out_and_never_signed() -> Result<()> {
    let s = Signed::new("put-back").await?;
    let mut operator = s.operator(&[])?;
    s.works().await;
    s.site.declare("first", json!({})).await?;
    s.site.ready("first").await;
    s.all_signed().await;
    assert!(operator.stop()?.success());
    let copy = tempfile::tempdir()?;
    copy_all(s.data.path(), copy.path())?;

    operator = s.operator(&[])?;
    s.works().await;
    s.site.declare("second", json!({})).await?;
    s.site.ready("second").await;
    let (note, checkpoint) = s.all_signed().await;
    assert!(operator.stop()?.success());
    for file in std::fs::read_dir(s.data.path())?.flatten().filter(|file| file.path().is_file()) {
        std::fs::remove_file(file.path())?;
    }
    copy_all(copy.path(), s.data.path())?;

    operator = s.operator(&[])?;
    s.works().await;
    let told = |operator: &Operator| metric(operator, "eventcenter_audit_consistent", &s.log) == Some(0.0);
    s.site.eventually("it is found out", LIMIT, async || told(&operator).then_some(()).ok_or("no")).await;
    let events = Api::<Event>::namespaced(s.site.client(), NAMESPACE);
    let words = format!(
        "log {} is no longer signed: {} records were signed, and the log has fewer",
        s.log, checkpoint.size
    );
    s.site
        .eventually("an Event tells it", LIMIT, async || {
            let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let found = all.iter().any(|event| {
                event.reason.as_deref() == Some("AuditInconsistent")
                    && event.note.as_ref().is_some_and(|note| note.starts_with(&words))
            });
            if found { Ok(()) } else { Err(format!("{:#?}", all.items)) }
        })
        .await;
    // Also when it has grown beyond what was signed.
    for name in ["third", "fourth"] {
        s.site.declare(name, json!({})).await?;
        s.site.ready(name).await;
    }
    let rewritten = format!("not signed: the first {} records are not the signed ones", checkpoint.size);
    s.site.says(&operator, &rewritten).await;
    assert!(told(&operator));
    assert_eq!(s.note().await.as_ref(), Some(&note), "what was signed before stays");
    let kept = audit(s.data.path()).list_checkpoints(&s.log, 1).await?;
    assert!(kept.iter().all(|kept| kept.size < checkpoint.size), "{kept:#?}");
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for file in std::fs::read_dir(from)?.flatten().filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_an_old_key_has_signed_stays_believed() -> Result<()> {
    let s = Signed::new("rotated").await?;
    let mut operator = s.operator(&[])?;
    s.works().await;
    s.site.declare("first", json!({})).await?;
    s.site.ready("first").await;
    let (old, _) = s.all_signed().await;
    let before = s.keys().await;
    assert!(operator.stop()?.success());
    let secrets = Api::<Secret>::namespaced(s.site.client(), NAMESPACE);
    secrets.delete("eventcenter-seal-audit", &DeleteParams::default()).await?;

    operator = s.operator(&[])?;
    s.works().await;
    s.site.declare("second", json!({})).await?;
    s.site.ready("second").await;
    let (new, checkpoint) = s.all_signed().await;
    let keys = s.keys().await;
    assert!(keys.starts_with(&before) && keys != before, "{before} {keys}");
    assert!(s.believed(&old, &keys).is_some_and(|old| old.size < checkpoint.size));
    assert_eq!(s.believed(&new, &before), None, "it is signed by the new key");
    let made = Filter { action: Some(Action::MakeKey.as_str().into()), ..Filter::default() };
    assert!(operator.stop()?.success());
    let made = Logs::of(s.data.path()).read(&LogName::platform(), &made).await;
    let about: Vec<_> =
        made.iter().filter_map(|record| Some(record.target.as_ref()?.name.as_str())).collect();
    assert!(about.contains(&"eventcenter-seal-audit"), "{about:?}");
    Ok(())
}

#[tokio::test]
async fn old_records_are_dropped_once_they_are_signed() -> Result<()> {
    let s = Signed::new("dropped").await?;
    let mut operator = s.operator(&[])?;
    s.works().await;
    let names: Vec<String> = (0..70).map(|number| format!("topic-{number}")).collect();
    for name in &names {
        s.site.declare(name, json!({"deletionPolicy": "Delete"})).await?;
    }
    for name in &names {
        s.site.ready(name).await;
    }
    let (_, old) = s.all_signed().await;
    assert!(old.size >= 280, "{old:?}");
    assert!(operator.stop()?.success());

    operator = s.operator(&["--audit-retention", "100ms"])?;
    let (store, dropping) = (Logs::of(s.data.path()), by(Action::DropRecords));
    let records = store.wait(&s.log, &dropping, |records| records.len() == 2).await;
    let message = records[0].message.as_deref().unwrap_or_default();
    assert!(message.starts_with("records 0 to 255, which are older than "), "{message}");
    assert_eq!(records[1].completes, Some(records[0].id));
    s.all_signed().await;
    let head = audit(s.data.path()).read_head(&s.log).await?;
    assert_eq!(head.first, 256);
    let left = store.read(&s.log, &Filter::default()).await;
    assert_eq!(left.first().map(|record| record.seq), Some(256));
    assert_eq!(metric(&operator, "eventcenter_audit_consistent", &s.log), Some(1.0));
    Ok(())
}

fn by(action: Action) -> Filter {
    Filter { action: Some(action.as_str().to_owned()), ..Filter::default() }
}

#[tokio::test]
async fn a_kafka_topic_gets_what_is_signed_as_well() -> Result<()> {
    let s = Signed::new("anchored").await?;
    s.site.make_foreign("audit.checkpoints").await?;
    let _operator = s.operator(&["--audit-checkpoint-topic", "main/audit.checkpoints"])?;
    s.works().await;
    s.site.declare("first", json!({})).await?;
    s.site.ready("first").await;
    let (note, _) = s.all_signed().await;
    let consumer = [
        "--topic",
        "audit.checkpoints",
        "--from-beginning",
        "--timeout-ms",
        "5000",
        "--property",
        "print.key=true",
    ];
    s.site
        .eventually("it is in Kafka", LIMIT, async || {
            let read = s.site.broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &consumer);
            let read = read.map_err(|error| error.to_string())?;
            if read.contains(&format!("{}\t{note}", s.log)) { Ok(()) } else { Err(read) }
        })
        .await;
    Ok(())
}
