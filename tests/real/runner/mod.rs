//! The role `runner` as a process with only its own rights. The tests insert runs into its database, as the controllers do.
//!
//! [`task`]: a declared task, with the controllers. [`call`]: HTTP calls. [`credential`]: Secrets and tokens. [`event`]: events. [`claim`]: several runners, kills and stops.

mod call;
mod claim;
mod credential;
pub(crate) mod event;
pub(crate) mod server;
mod task;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use eventcenter::api::TaskTarget;
use eventcenter::domain::task::work::Destination;
use eventcenter::domain::task::{
    Attempt, Executor, NewRun, RetryPlan, Run, RunId, RunState, TaskKey, Trigger, Work,
};
use eventcenter::store::Runs;
use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::environment::temporary_folder;
use xtask::operator::{Operator, OperatorOptions};

use crate::stage;
use crate::store::database::TestDatabase;
use crate::support::operator::program;
use crate::support::{Fixture, until};

#[allow(clippy::disallowed_methods, reason = "runs are due by the clock, as in the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// A tenant that may call the loopback interface, a database, and the runners that use it.
pub(super) struct Runner {
    pub(super) t: Fixture,
    pub(super) database: TestDatabase,
    pub(super) runs: Runs,
    folder: TempDir,
    kubeconfig: PathBuf,
}

/// What a run does.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) target: Value,
    pub(super) timeout_ms: u64,
    pub(super) retry: RetryPlan,
    pub(super) destination: Option<(String, String)>,
}

impl Task {
    /// A call with this target.
    pub(super) fn http(target: Value) -> Self {
        Self {
            target: json!({"http": target}),
            timeout_ms: 20_000,
            retry: RetryPlan::default(),
            destination: None,
        }
    }
}

impl Runner {
    pub(super) async fn new(name: &str, database: TestDatabase) -> Result<Self> {
        let t = Fixture::new(name).await;
        t.apply_tenant(json!({
            "namespaces": [t.namespace],
            "clusters": t.stage.clusters,
            "callbacks": {"hosts": ["127.0.0.1/32"]},
            "tasks": {"serviceAccounts": ["caller"]},
        }))
        .await;
        let folder = temporary_folder()?;
        let kubeconfig = stage::environment().role_kubeconfig("runner");
        let runs = database.store().await?.runs();
        Ok(Self { t, runs, database, folder, kubeconfig })
    }

    /// Starts a runner.
    pub(super) fn start(&self, name: &str) -> Result<Operator> {
        let mut options = OperatorOptions::new(program(), &self.kubeconfig);
        let arguments = ["--roles", "runner", "--runner-lease", "5s", "--instance", name];
        options.arguments = arguments.map(String::from).into();
        options.variables.push(("EVENTCENTER_STORE".into(), self.database.url_text()));
        block_in_place(|| Operator::start(&options, &self.folder.path().join(format!("{name}.log"))))
    }

    pub(super) fn tenant(&self) -> TenantName {
        self.t.namespace.parse().expect("a name")
    }

    /// A run that is due now.
    pub(super) fn new_run(&self, task: &Task) -> NewRun {
        let key = TaskKey {
            tenant: self.tenant(),
            namespace: self.t.namespace.clone(),
            name: "nightly".into(),
            uid: Uuid::new_v4(),
        };
        let trigger = Trigger::Manual { id: "test".into() };
        let id = RunId::of(key.uid, &trigger);
        let target: TaskTarget = serde_json::from_value(task.target.clone()).expect("a target");
        let work = Work {
            target,
            parameters: BTreeMap::from([("region".into(), "eu".into())]),
            timeout_ms: Some(task.timeout_ms),
            retry: task.retry,
            shards: None,
            destination: task.destination.as_ref().map(|(cluster, topic)| Destination {
                cluster: cluster.parse().expect("a name"),
                topic: topic.parse().expect("a name"),
            }),
            failed_run: None,
        };
        NewRun {
            id,
            task: key,
            trigger,
            scheduled_at: now(),
            due_at: now(),
            state: RunState::Ready,
            executor: Some(Executor::Runner),
            chain: id.0,
            parameters: BTreeMap::new(),
            work: Some(work.to_json()),
            requested_by: None,
            message: None,
        }
    }

    /// Inserts a run that is due now.
    pub(super) async fn insert(&self, task: &Task) -> Result<RunId> {
        let run = self.new_run(task);
        self.runs.insert(std::slice::from_ref(&run), now()).await?;
        Ok(run.id)
    }

    pub(super) async fn get(&self, id: RunId) -> Result<Run> {
        self.runs.get(&self.tenant(), id).await?.context("the run exists")
    }

    pub(super) async fn attempts(&self, id: RunId) -> Result<Vec<Attempt>> {
        Ok(self.runs.attempts(&self.tenant(), id).await?)
    }

    pub(super) async fn tail(&self, id: RunId, attempt: u32) -> Result<String> {
        Ok(self.runs.log_tail(&self.tenant(), id, attempt).await?.unwrap_or_default())
    }

    /// Waits until the predicate holds for a run.
    pub(super) async fn wait(&self, id: RunId, what: &str, predicate: impl Fn(&Run) -> bool) -> Run {
        let polled = until(async || match self.get(id).await {
            Ok(run) if predicate(&run) => Ok(run),
            other => Err(format!("{other:#?}")),
        });
        polled.await.unwrap_or_else(|last| self.fail(&format!("the run is not {what}"), &last))
    }

    /// Waits until a run has ended.
    pub(super) async fn wait_ended(&self, id: RunId) -> Run {
        self.wait(id, "ended", |run| run.state.is_final()).await
    }

    /// Executes a task once by a runner that runs, and returns its run: state and message.
    pub(super) async fn execute(&self, task: &Task) -> Result<(RunId, String)> {
        let id = self.insert(task).await?;
        let run = self.wait_ended(id).await;
        Ok((id, format!("{} {}", run.state, run.outcome.message.unwrap_or_default())))
    }

    fn fail(&self, what: &str, last: &str) -> ! {
        let logs = std::fs::read_dir(self.folder.path()).expect("the folder");
        let logs = logs
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "log"));
        let logs: Vec<String> = logs.map(|path| xtask::process::tail(&path, 40)).collect();
        panic!("{what}. Last seen:\n{last}\n{}", logs.join("\n"))
    }
}
