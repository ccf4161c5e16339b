//! The role `api` on a database with runs, two tenants with tasks, and users with tokens.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use eventcenter::api::ScheduledTask;
use eventcenter::domain::audit::{Filter, LogName, Outcome as AuditOutcome};
use eventcenter::domain::task::{Executor, NewRun, Outcome, RunId, RunState, TaskKey, Trigger};
use eventcenter::store::{FinishedAttempt, Runs, Store, Then};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::kubectl::NAMESPACE;
use xtask::operator::Operator;

use super::super::http::{Response, exchange};
use super::super::server::{open, start_as};
use crate::stage;
use crate::support::rbac::install_roles;
use crate::support::{Fixture, unique, until};

/// The time of the newest inserted run.
pub(crate) const NOON: &str = "2026-03-02T12:00:00Z";

/// Number of inserted runs of the task `logged`, one an hour until noon.
pub(crate) const LOGGED: usize = 12;

/// The inserted log of a run.
pub(crate) const LOG: &str = "line 1\nline 2\n";

const RBAC: &str = "rbac.authorization.k8s.io";

/// The server, and what it serves.
pub(crate) struct TaskServer {
    pub(crate) port: u16,
    /// The namespace, and the name of its tenant.
    pub(crate) shop: String,
    /// The namespace of another tenant, and its name.
    pub(crate) bank: String,
    /// The runs of `logged` in `shop`, newest first. The newest has failed, the others have succeeded.
    pub(crate) logged: Vec<RunId>,
    /// A run of the task `logged` in `bank`.
    pub(crate) of_bank: RunId,
    tokens: BTreeMap<&'static str, String>,
    _folder: TempDir,
    _operator: Mutex<Operator>,
}

/// A user by the name of their service account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum User {
    /// Has the role `eventcenter-requester` in `shop`.
    Developer,
    /// May only list runs in `shop`.
    Lister,
    /// Has the role `eventcenter-requester` in `bank`.
    Banker,
    /// Has the role `eventcenter-auditor` everywhere.
    Auditor,
    /// Has no right.
    Outsider,
}

impl User {
    const ALL: [Self; 5] = [Self::Developer, Self::Lister, Self::Banker, Self::Auditor, Self::Outsider];

    fn name(self) -> &'static str {
        match self {
            Self::Developer => "developer",
            Self::Lister => "lister",
            Self::Banker => "banker",
            Self::Auditor => "auditor",
            Self::Outsider => "outsider",
        }
    }
}

impl TaskServer {
    /// The server that all tests share.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<TaskServer> = OnceLock::new();
        SERVER.get_or_init(|| {
            let stage = std::thread::spawn(|| {
                let runtime = tokio::runtime::Runtime::new().expect("a runtime");
                runtime.block_on(Self::start())
            });
            stage.join().expect("the server starts")
        })
    }

    async fn start() -> Self {
        let t = Fixture::on(stage::with_webhook(), "taskshop").await;
        let bank = Fixture::on(stage::with_webhook(), "taskbank").await;
        install_roles(&t.kube).await;
        let tokens = create_users(&t, &bank.namespace).await;
        let folder = xtask::environment::temporary_folder().expect("a folder");
        let (logged, of_bank) = {
            let store = open(folder.path());
            store.migrate().await.expect("the database is migrated");
            let own = declare(&t, "logged").await;
            let logged = insert_runs(&store, &own, LOGGED).await;
            let of_bank = insert_runs(&store, &declare(&bank, "logged").await, 1).await[0];
            store.close().await;
            (logged, of_bank)
        };
        let (operator, port) = start_process(&t, folder.path()).await;
        Self {
            port,
            shop: t.namespace,
            bank: bank.namespace,
            logged,
            of_bank,
            tokens,
            _folder: folder,
            _operator: Mutex::new(operator),
        }
    }

    /// The token of a user.
    pub(crate) fn token(&self, user: User) -> &str {
        &self.tokens[user.name()]
    }

    /// Sends a GET request.
    pub(super) fn get(&self, user: User, path: &str) -> Response {
        self.send(user, "GET", path, &[], None)
    }

    /// Sends a request with a body in JSON.
    pub(super) fn call(&self, user: User, method: &str, path: &str, body: &Value) -> Response {
        self.send(user, method, path, &[("Content-Type", "application/json")], Some(&body.to_string()))
    }

    /// Sends a request.
    pub(super) fn send(
        &self,
        user: User,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Response {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.map(|body| format!("Content-Length: {}\r\n", body.len())).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: Bearer {}\r\n{lines}{length}\r\n{}",
            self.token(user),
            body.unwrap_or_default()
        );
        exchange(self.port, request.as_bytes())
    }

    /// The path of a task in `shop`.
    pub(super) fn task_path(&self, name: &str) -> String {
        format!("/api/schedule/tasks/{}.{name}", self.shop)
    }

    /// Declares a task in `shop` as the administrator.
    pub(crate) fn declare(&'static self, name: &'static str, spec: &str) {
        let spec = spec.to_owned();
        let declared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let stage = stage::with_webhook();
                let t = Fixture::in_namespace(stage, self.shop.clone()).await;
                t.resource::<ScheduledTask>(name).apply(spec.as_str()).await;
            });
        });
        declared.join().expect("the task is declared");
    }

    /// The users whose requests to create a task in `shop` the webhook has allowed.
    pub(super) fn writers(&'static self, name: &'static str) -> Vec<String> {
        let read = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let filter = Filter {
                    action: Some("Create".into()),
                    name: Some(name.into()),
                    outcome: Some(AuditOutcome::Allowed),
                    ..Filter::default()
                };
                let log: LogName = self.shop.parse().expect("a log");
                stage::webhook_logs().wait(&log, &filter, |records| !records.is_empty()).await
            })
        });
        let records = read.join().expect("the log is read");
        records.into_iter().map(|record| record.actor.user).collect()
    }

    /// The audit records of an action on a task of `shop`, oldest first, as `OUTCOME USER`. Waits until there are as many.
    pub(super) fn records(&self, action: &str, name: &str, count: usize) -> Vec<String> {
        let path = format!("/api/audit/logs?tenant={}&action={action}&name={name}", self.shop);
        let deadline = std::time::Instant::now() + crate::support::MAX_WAIT;
        loop {
            let data = self.get(User::Auditor, &path).data();
            let items = data["items"].as_array().expect("records");
            if items.len() >= count || std::time::Instant::now() > deadline {
                let text = |item: &Value| {
                    let user = item["actor"]["user"].as_str().expect("a user");
                    let user = user.rsplit(':').next().unwrap_or_default();
                    format!("{} {user}", item["outcome"].as_str().expect("an outcome"))
                };
                return items.iter().rev().map(text).collect();
            }
        }
    }
}

/// A target that needs no rights.
pub(crate) const TARGET: &str =
    "target: {http: {url: 'https://example.com/$(params.day)'}}, parameters: {day: today}";

/// Starts the role `api` as an account that has the rights of `eventcenter-api` in `dev/operator-rbac.yaml` and no others.
async fn start_process(t: &Fixture, folder: &Path) -> (Operator, u16) {
    const NAME: &str = "eventcenter-api";
    let account = format!("api-{}", unique());
    let metadata = json!({"name": account, "namespace": NAMESPACE});
    t.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})).await;
    for kind in ["Role", "ClusterRole"] {
        let metadata = if kind == "Role" { metadata.clone() } else { json!({"name": account}) };
        t.apply(&json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
        }))
        .await;
    }
    let token = t.stage.kubectl().run(&["create", "token", &account, "-n", NAMESPACE]).expect("a token");
    let text = std::fs::read(stage::webhook_operator_kubeconfig()).expect("a kubeconfig");
    let mut kubeconfig: Value = serde_json::from_slice(&text).expect("JSON");
    kubeconfig["users"][0]["user"] = json!({"token": token.trim()});
    let file = folder.join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).expect("the file is written");
    let folder = folder.to_owned();
    let arguments = ["--api-rate-limit", "10000"];
    let started = tokio::task::spawn_blocking(move || start_as(&file, &folder, &arguments, true));
    started.await.expect("the process starts")
}

/// Declares a task, as soon as the webhook has received the tenant.
async fn declare(t: &Fixture, name: &str) -> TaskKey {
    let spec = format!("{{schedule: {{cron: '0 * * * *'}}, {TARGET}}}");
    let task = t.resource::<ScheduledTask>(name);
    let declared =
        until(async || task.try_apply(spec.as_str()).await.map_err(|error| error.to_string())).await;
    let declared = declared.unwrap_or_else(|error| panic!("{name}: {error}"));
    TaskKey {
        tenant: t.namespace.parse().expect("a tenant"),
        namespace: t.namespace.clone(),
        name: name.to_owned(),
        uid: declared.metadata.uid.expect("a uid").parse().expect("a UUID"),
    }
}

/// Inserts ended runs, one an hour until noon. Returns them newest first.
async fn insert_runs(store: &Store, task: &TaskKey, count: usize) -> Vec<RunId> {
    let runs = store.runs();
    let noon: Timestamp = NOON.parse().expect("a time");
    let mut ids = Vec::new();
    for hours in 0..count {
        let time = noon - SignedDuration::from_hours(i64::try_from(hours).expect("a few"));
        let state = if hours == 0 { RunState::Failed } else { RunState::Succeeded };
        ids.push(insert_run(&runs, task, time, state).await);
    }
    ids
}

async fn insert_run(runs: &Runs, task: &TaskKey, time: Timestamp, state: RunState) -> RunId {
    let trigger = Trigger::Schedule { time };
    let id = RunId::of(task.uid, &trigger);
    let run = NewRun {
        id,
        task: task.clone(),
        trigger,
        scheduled_at: time,
        due_at: time,
        state: RunState::Ready,
        executor: Some(Executor::Runner),
        chain: id.0,
        parameters: BTreeMap::new(),
        work: Some("{}".into()),
        requested_by: None,
        message: None,
    };
    runs.insert(&[run], time).await.expect("the run is inserted");
    let claimed = runs.claim("runner-1", time, 1, Duration::from_secs(60)).await.expect("the run is claimed");
    assert_eq!(claimed[0].run.id, id);
    let outcome = Outcome {
        http_status: Some(if state == RunState::Failed { 500 } else { 200 }),
        message: Some("done".into()),
        log_tail: Some(LOG.into()),
        ..Outcome::default()
    };
    let finished = FinishedAttempt {
        id,
        attempt: 1,
        at: time + SignedDuration::from_millis(1500),
        state,
        outcome,
        executed_by: None,
        runner: Some("runner-1".into()),
        then: Then::End,
    };
    assert_eq!(runs.finish_attempt(&[finished]).await.expect("the run ends"), [id]);
    id
}

/// Creates the service accounts in `shop` with their roles, and returns their tokens.
async fn create_users(t: &Fixture, bank: &str) -> BTreeMap<&'static str, String> {
    let namespace = &t.namespace;
    let lister = format!("{namespace}-lister");
    let rules =
        json!([{"apiGroups": ["eventcenter.io"], "resources": ["scheduledtasks/runs"], "verbs": ["list"]}]);
    t.apply(&json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": lister}, "rules": rules})).await;
    let bind = async |user: User, role: &str, place: Option<&str>| {
        let subjects = json!([{"kind": "ServiceAccount", "name": user.name(), "namespace": namespace}]);
        let kind = if place.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
        let mut metadata = json!({"name": format!("{namespace}-{}", user.name())});
        if let Some(place) = place {
            metadata["namespace"] = json!(place);
        }
        t.apply(&json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "subjects": subjects,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        }))
        .await;
    };
    bind(User::Developer, "eventcenter-requester", Some(namespace)).await;
    bind(User::Lister, &lister, Some(namespace)).await;
    bind(User::Banker, "eventcenter-requester", Some(bank)).await;
    bind(User::Auditor, "eventcenter-auditor", None).await;
    let mut tokens = BTreeMap::new();
    for user in User::ALL {
        t.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": user.name(), "namespace": namespace}})).await;
        let token = t.kubectl(&["create", "token", user.name()]).expect("a token");
        tokens.insert(user.name(), token.trim().to_owned());
    }
    tokens
}
