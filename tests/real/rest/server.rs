//! The role `api` as a process on a filled database, and users with tokens.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use eventcenter::domain::audit::checkpoint::{Checkpoint, origin};
use eventcenter::domain::audit::drop::DroppedRecords;
use eventcenter::domain::audit::{Action, Actor, Event, LogName, Outcome, Target, Via};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{
    Journal, Metrics, Options, Policy, Recorder, Store, StoreUrl, StoredCheckpoint, WriteOutcome,
};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use xtask::kubectl::{Kubectl, NAMESPACE};
use xtask::operator::{Operator, OperatorOptions};
use xtask::test_environment::TestEnvironment;

use super::http::{Response, send};
use crate::support::unique;

/// `--installation`.
pub(super) const INSTALLATION: &str = "tests";

/// The seed of the key that signed the checkpoints.
const SEED: &str = "7d1a3c5e9f0b2d4c6e8f1a3b5c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f809";

/// The number of records of `shop`, and the sizes of its checkpoints.
pub(super) const RECORDS: u64 = 700;
pub(super) const SIGNED: [u64; 3] = [100, 333, 600];

/// Users, and what they may read.
pub(super) struct Users {
    pub(super) namespace: String,
    /// The two tenants.
    pub(super) shop: String,
    pub(super) bank: String,
    /// May read and export all logs.
    pub(super) auditor: String,
    /// May read and export the log of `shop`.
    pub(super) shopper: String,
    /// May read the log of `shop`, and not export it.
    pub(super) reader: String,
    /// May read no log.
    pub(super) outsider: String,
}

/// A database with logs, in a folder.
pub(super) struct Data {
    pub(super) folder: TempDir,
    /// The ids of `shop`'s and `bank`'s records.
    pub(super) shop: Vec<Uuid>,
    pub(super) bank: Vec<Uuid>,
}

/// The server of the tests that do not change it.
pub(super) struct TestServer {
    pub(super) data: Data,
    pub(super) port: u16,
    operator: std::sync::Mutex<Operator>,
}

pub(super) fn kubectl() -> Kubectl {
    TestEnvironment::get().expect("the environment").kubectl()
}

/// The users, created once.
pub(super) fn users() -> &'static Users {
    static USERS: OnceLock<Users> = OnceLock::new();
    USERS.get_or_init(|| {
        let key = unique();
        let (namespace, shop, bank) = (format!("rest-{key}"), format!("shop-{key}"), format!("bank-{key}"));
        let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})];
        let right = |verbs: &[&str], names: Option<&str>| {
            let mut rule = json!({"apiGroups": ["eventcenter.io"], "resources": ["tenants/audit"], "verbs": verbs});
            if let Some(name) = names {
                rule["resourceNames"] = json!([name]);
            }
            json!([rule])
        };
        for (name, rules) in [
            ("auditor", right(&["get", "list"], None)),
            ("shopper", right(&["get", "list"], Some(&shop))),
            ("reader", right(&["get"], Some(&shop))),
            // The outsider may read tenants and other resources, but no logs.
            ("outsider", json!([{"apiGroups": ["eventcenter.io"], "resources": ["tenants", "tenants/status", "eventtopics"], "verbs": ["get", "list", "watch"]}])),
        ] {
            let role = format!("{namespace}-{name}");
            let group = "rbac.authorization.k8s.io";
            objects.extend([
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}),
                json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules}),
                json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": role},
                    "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]}),
            ]);
        }
        apply(&objects);
        let token = |name: &str| token(&namespace, name);
        Users {
            auditor: token("auditor"),
            shopper: token("shopper"),
            reader: token("reader"),
            outsider: token("outsider"),
            namespace,
            shop,
            bank,
        }
    })
}

/// Applies objects.
pub(super) fn apply(objects: &[Value]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::io::Write::write_all(&mut file, list.to_string().as_bytes()).expect("the file is written");
    kubectl().run(&["apply", "-f", file.path().to_str().expect("a path")]).expect("the objects are applied");
}

/// A new token of a service account.
pub(super) fn token(namespace: &str, name: &str) -> String {
    kubectl().run(&["create", "token", name, "-n", namespace]).expect("a token").trim().to_owned()
}

/// A clock for the journal.
#[expect(clippy::disallowed_methods, reason = "a test is where time comes from")]
fn clock() -> Timestamp {
    Timestamp::now()
}

/// Adds records with messages of this length to a log of a database that no process has open.
pub(super) fn add(folder: &Path, log: &str, records: u64, length: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(folder);
        let (recorder, stop, writing) = journal(&store);
        let log: LogName = log.parse().expect("a log");
        for number in 0..records {
            let long = Event { message: Some("x".repeat(length)), ..event(&log, number, Outcome::Allowed) };
            recorder.enqueue(long).await;
        }
        stop.cancel();
        writing.await.expect("the journal ends");
        store.close().await;
    });
}

/// Drops the first records of a log, as the retention does, and signs the log.
pub(super) fn drop_first(folder: &Path, log: &str, until: u64) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(folder);
        let (recorder, stop, writing) = journal(&store);
        let log: LogName = log.parse().expect("a log");
        let event = DroppedRecords { from: 0, until }.to_event(log.clone(), clock(), "operator-0");
        recorder.record(event).await.expect("the drop is recorded");
        assert_eq!(store.audit().drop_before(&log, until).await.expect("records are dropped"), until);
        stop.cancel();
        writing.await.expect("the journal ends");
        sign(&store, &log).await;
        store.close().await;
    });
}

/// A running journal, and the token that stops it.
fn journal(store: &Store) -> (Recorder, CancellationToken, JoinHandle<()>) {
    let options = Options {
        policy: Policy::Required,
        timeout: Duration::from_secs(30),
        instance: "filler".into(),
        spool: None,
    };
    let (metrics, stop) = (Metrics::register(&mut Registry::default()), CancellationToken::new());
    let (journal, writing) =
        Journal::start(store.clone(), options, metrics, clock, stop.clone()).expect("a journal");
    (journal.recorder("webhook"), stop, tokio::spawn(writing))
}

/// Fills a database as the webhook and the controllers do.
pub(super) fn fill(users: &Users) -> Data {
    let folder = xtask::environment::temporary_folder().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (shop, bank) = runtime.block_on(async {
        let store = open(folder.path());
        store.migrate().await.expect("the database is migrated");
        let (recorder, stop, writing) = journal(&store);
        let write = async |event: Event| match recorder.record(event).await.expect("the record is written") {
            WriteOutcome::Durable(id) => id,
            other => panic!("{other:?}"),
        };
        let (shop_log, bank_log): (LogName, LogName) =
            (users.shop.parse().expect("a log"), users.bank.parse().expect("a log"));
        let mut shop = Vec::new();
        for number in 0..RECORDS {
            // The last two are a start and its completion.
            let event = match number {
                number if number == RECORDS - 2 => event(&shop_log, number, Outcome::Started),
                number if number == RECORDS - 1 => {
                    let start = event(&shop_log, number - 1, Outcome::Started);
                    start.completion(*shop.last().expect("there is a start"), Outcome::Succeeded, None)
                }
                number => event(&shop_log, number, Outcome::Allowed),
            };
            shop.push(write(event).await);
            if SIGNED.contains(&(number + 1)) {
                sign(&store, &shop_log).await;
            }
        }
        let mut bank = Vec::new();
        for number in 0..20 {
            bank.push(write(event(&bank_log, number, Outcome::Denied)).await);
        }
        sign(&store, &bank_log).await;
        write(event(&LogName::platform(), 0, Outcome::Allowed)).await;
        stop.cancel();
        writing.await.expect("the journal ends");
        store.close().await;
        (shop, bank)
    });
    publish_key();
    Data { folder, shop, bank }
}

pub(super) fn open(folder: &Path) -> Store {
    Store::open(&StoreUrl::Sqlite(folder.join("eventcenter.db"))).expect("a database")
}

fn event(log: &LogName, number: u64, outcome: Outcome) -> Event {
    let user = if number.is_multiple_of(10) { "alice" } else { "=cmd|' /C calc'!A0" };
    let actor = Actor { user: user.into(), groups: vec!["team".into()], via: Via::Admission };
    Event {
        target: Some(Target {
            kind: "EventTopic".into(),
            namespace: Some(format!("{log}-ns")),
            name: format!("topic-{number}"),
            uid: None,
        }),
        message: Some(format!("change {number} of {log}")),
        ..Event::new(log.clone(), actor, Action::Update, outcome)
    }
}

/// Signs a checkpoint of the whole log.
async fn sign(store: &Store, log: &LogName) {
    let head = store.audit().read_head(log).await.expect("a head");
    let root = head.range.root().expect("from the first");
    let key = SigningKey::from_seed(SEED).expect("a seed");
    let note = Checkpoint { origin: origin(INSTALLATION, log), size: head.size, root }.sign(&key);
    let checkpoint = StoredCheckpoint { size: head.size, note, time: clock() };
    store.audit().insert_checkpoint(log, &checkpoint).await.expect("the checkpoint is stored");
}

/// Adds the public key to the published ones, as the controllers do.
fn publish_key() {
    let public = SigningKey::from_seed(SEED).expect("a seed").public_key();
    let kubectl = kubectl();
    let name = "eventcenter-seals";
    drop(kubectl.run(&["create", "configmap", name, "-n", NAMESPACE]));
    for _ in 0..100 {
        let map = kubectl
            .run(&["get", "configmap", name, "-n", NAMESPACE, "-o", "json"])
            .expect("the ConfigMap exists");
        let map: Value = serde_json::from_str(&map).expect("JSON");
        let known = map["data"]["audit"].as_str().unwrap_or_default();
        if known.contains(&public) {
            return;
        }
        let patch = json!({
            "metadata": {"resourceVersion": map["metadata"]["resourceVersion"]},
            "data": {"audit": format!("{known}{public}\n")},
        });
        let patch = patch.to_string();
        // A conflict means that another test was faster.
        drop(kubectl.run(&["patch", "configmap", name, "-n", NAMESPACE, "--type=merge", "-p", &patch]));
    }
    panic!("the key cannot be published");
}

/// Starts the role `api` on a data folder.
pub(super) fn start(folder: &Path, arguments: &[&str]) -> (Operator, u16) {
    let environment = TestEnvironment::get().expect("the environment");
    start_as(&environment.operator_kubeconfig, folder, arguments, true)
}

/// As [`start`], with another kubeconfig, and not necessarily waiting until it is ready.
pub(super) fn start_as(kubeconfig: &Path, folder: &Path, arguments: &[&str], wait: bool) -> (Operator, u16) {
    let port = xtask::port::free().expect("a port");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_eventcenter"));
    let mut options = OperatorOptions::new(&program, kubeconfig);
    options.wait = wait;
    let listen = format!("127.0.0.1:{port}");
    let data = folder.to_str().expect("a path");
    let own = ["--roles", "api", "--api-listen", &listen, "--data-dir", data, "--installation", INSTALLATION];
    options.arguments = own.iter().chain(arguments).map(ToString::to_string).collect();
    let log = folder.join("api.log");
    (Operator::start(&options, &log).expect("the operator starts"), port)
}

impl TestServer {
    /// The shared server. Its rate limit is out of reach.
    pub(super) fn shared() -> &'static Self {
        static SERVER: OnceLock<TestServer> = OnceLock::new();
        SERVER.get_or_init(|| {
            let data = fill(users());
            let (operator, port) = start(data.folder.path(), &["--api-rate-limit", "10000"]);
            Self { data, port, operator: std::sync::Mutex::new(operator) }
        })
    }

    /// Sends a GET request with a token.
    pub(super) fn get(&self, token: &str, path: &str) -> Response {
        self.get_with(token, path, &[])
    }

    /// As [`Self::get`], with more headers.
    pub(super) fn get_with(&self, token: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let authorization = format!("Bearer {token}");
        let headers = [&[("Authorization", authorization.as_str())], headers].concat();
        send(self.port, "GET", path, &headers)
    }

    /// The log of the process.
    pub(super) fn log(&self) -> String {
        let operator = self.operator.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        operator.output().expect("its log")
    }
}
