//! ScheduledTasks while operators, PostgreSQL and the API server fail: each occurrence runs once.
//!
//! [`TaskFixture`]: tasks, the run log, and what HTTP server and processes have seen of the runs. [`check`] compares them.

mod calls;
mod check;
mod event;
mod kills;
mod leaders;
mod outages;
mod retention;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use eventcenter::api::ScheduledTask;
use eventcenter::domain::task::{Run, RunId, RunState};
use eventcenter::store::{RunFilter, Runs, Store, StoreUrl};
use eventcenter_sdk::name::TenantName;
use futures::StreamExt;
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::environment::temporary_folder;
use xtask::operator::Operator;
use xtask::postgres::Postgres;

use crate::fixture::FaultFixture;
use crate::support::ResourceHandle;
use calls::CallServer;

#[allow(clippy::disallowed_methods, reason = "runs are due by the clock, as in the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// How long ended work may take to be stored: many runs are made up for after an outage.
const MAX_SETTLING: Duration = Duration::from_secs(600);

/// Number of tasks that are declared at once.
const MAX_DECLARING: usize = 8;

/// Number of runs that are read at once.
const PAGE: usize = 1000;

/// Who executes the runs of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The role `runner` calls the server.
    Http,
    /// A Job whose process appends a line to a file.
    Container,
}

/// A task of the fixture.
#[derive(Clone, Debug)]
struct Declared {
    name: String,
    kind: Kind,
    uid: Uuid,
    created: Timestamp,
    period: Duration,
}

/// Tasks of a tenant, their targets, and a database.
struct TaskFixture {
    t: FaultFixture,
    runs: Runs,
    server: CallServer,
    tasks: Vec<Declared>,
    url: String,
    postgres: Mutex<Postgres>,
    folder: TempDir,
}

impl TaskFixture {
    /// A namespace, a database and a server of this name, without tasks.
    async fn new(name: &'static str) -> Result<Self> {
        let folder = temporary_folder()?;
        let postgres = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
        let url = block_in_place(|| postgres.create_database(name))?;
        let store = Store::open(&url.parse::<StoreUrl>()?)?;
        store.migrate().await?;
        let runs = store.runs();
        let t = FaultFixture::new(name).await?;
        t.tenant().apply(json!({"namespaces": [name], "callbacks": {"hosts": ["127.0.0.1/32"]}})).await;
        let server = CallServer::start(runs.clone(), name.parse()?).await?;
        let postgres = Mutex::new(postgres);
        Ok(Self { t, runs, server, tasks: Vec::new(), url, postgres, folder })
    }

    /// The file to which the processes of container tasks append a line for each attempt.
    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("attempts")
    }

    /// Starts an operator with some roles on the database. A leader keeps its Lease also on a busy machine; after a restart it has
    /// the same name, so it leads at once. Without `wait` the operator may be killed before it is ready.
    fn start(&self, instance: &str, roles: &str, wait: bool) -> Result<Operator> {
        self.start_with(instance, &["--roles", roles, "--lease-duration", "60s"], wait)
    }

    /// As [`TaskFixture::start`], with these arguments.
    fn start_with(&self, instance: &str, arguments: &[&str], wait: bool) -> Result<Operator> {
        let all = [&["--runner-lease", "5s", "--store", &self.url], arguments].concat();
        block_in_place(|| match wait {
            true => self.t.parts.start_operator(instance, &all),
            false => self.t.parts.launch_operator(instance, &all),
        })
    }

    fn task(&self, name: &str) -> ResourceHandle<ScheduledTask> {
        self.t.resource(name)
    }

    /// Declares tasks that call the server every second, and tasks whose process appends a line every two seconds.
    async fn declare(&mut self, http: usize, container: usize) {
        self.declare_every(http, container, 2).await;
    }

    /// Declares tasks that call the server every second, and tasks whose process appends a line in this interval. All of them make up
    /// for every occurrence. The first attempt of each run of the last container task fails.
    async fn declare_every(&mut self, http: usize, container: usize, seconds: u64) {
        let url = self.server.url("/$(task.name)/$(run.scheduledTime)");
        let call = json!({"http": {"method": "POST", "url": url}});
        let calls = (0..http).map(|number| (format!("call-{number}"), Kind::Http, 1, call.clone()));
        let processes = (1..=container).map(|number| {
            let end = if number == container { "[ $EVENTCENTER_ATTEMPT != 1 ]" } else { "true" };
            (format!("process-{number}"), Kind::Container, seconds, self.process(end))
        });
        let all: Vec<_> = calls.chain(processes).collect();
        let declared = futures::stream::iter(all).map(|(name, kind, seconds, target)| {
            let this = &*self;
            async move { this.declare_one(name, kind, seconds, &target).await }
        });
        let declared: Vec<Declared> = declared.buffer_unordered(MAX_DECLARING).collect().await;
        self.tasks.extend(declared);
    }

    /// A target whose process appends a line to the file, and ends with this command.
    fn process(&self, end: &str) -> Value {
        let file = self.file();
        let script = format!("echo $EVENTCENTER_RUN_ID $EVENTCENTER_ATTEMPT >> {}; {end}", file.display());
        json!({"container": {"template": {"spec": {"containers": [
            {"name": "main", "image": "busybox", "command": ["sh", "-c", script]},
        ]}}}})
    }

    async fn declare_one(&self, name: String, kind: Kind, seconds: u64, target: &Value) -> Declared {
        let spec = json!({
            "schedule": {"every": format!("{seconds}s"), "catchUp": "All"},
            "concurrency": {"policy": "Allow"},
            "retry": {"limit": 1, "backoff": {"initial": "1s"}},
            // Ended Jobs are deleted soon: a deleted Job must not be created again.
            "history": {"succeeded": 1, "failed": 1},
            "target": target,
        });
        let task = self.task(&name);
        task.apply(spec).await;
        let task = task.get().await;
        let uid = task.uid().expect("a uid").parse().expect("a UUID");
        let created = task.creation_timestamp().expect("a time").0;
        Declared { name, kind, uid, created, period: Duration::from_secs(seconds) }
    }

    /// Waits until the server has received this many further calls.
    async fn wait_for_calls(&self, further: usize) {
        let count = self.server.count() + further;
        self.t
            .eventually("the server is called", async || match self.server.count() {
                received if received >= count => Ok(()),
                received => Err(format!("{received} of {count} calls")),
            })
            .await;
    }

    /// Waits until everything until now is planned, suspends the tasks, and waits until everything has ended. Returns the time until
    /// which everything is planned.
    async fn finish(&self) -> Timestamp {
        let stop = now();
        self.t
            .eventually_within(MAX_SETTLING, "all occurrences are planned", async || {
                let cursors = self.runs.load_cursors().await.map_err(|error| error.to_string())?;
                let is_planned =
                    |task: &&Declared| cursors.get(&task.uid).is_some_and(|cursor| cursor.at >= stop);
                match self.tasks.iter().filter(|task| !is_planned(task)).count() {
                    0 => Ok(()),
                    behind => Err(format!("the cursors of {behind} tasks are before {stop}")),
                }
            })
            .await;
        for task in &self.tasks {
            self.task(&task.name).patch_spec(json!({"suspend": true})).await;
        }
        for task in &self.tasks {
            self.task(&task.name).wait_for_status("suspended", |_| true).await;
        }
        self.wait_until_reported().await;
        stop
    }

    /// Waits until all runs have ended, and the controllers have processed their ends.
    async fn wait_until_reported(&self) {
        self.t
            .eventually_within(MAX_SETTLING, "all runs have ended and are reported", async || {
                let open = self.runs.list_open(None, PAGE).await.map_err(|error| error.to_string())?;
                let unreported =
                    self.runs.list_unreported(&[], PAGE).await.map_err(|error| error.to_string())?;
                match open.is_empty() && unreported.is_empty() {
                    true => Ok(()),
                    false => {
                        Err(format!("{} open and {} unreported: {open:#?}", open.len(), unreported.len()))
                    }
                }
            })
            .await;
    }

    fn tenant(&self) -> TenantName {
        self.t.namespace.parse().expect("a name")
    }

    /// All runs of a task, the oldest first.
    async fn runs_of(&self, task: &str) -> Result<Vec<Run>> {
        let filter = RunFilter {
            tenants: vec![self.tenant()],
            namespaces: Some(vec![self.t.namespace.clone()]),
            task: Some(task.to_owned()),
            ..RunFilter::default()
        };
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.runs.list(&filter, after, PAGE).await?;
            all.extend(page.runs);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        all.reverse();
        Ok(all)
    }

    /// Waits until the runs of a task have these states, the oldest first.
    async fn wait_for_states(&self, task: &str, expected: &[RunState]) {
        self.t
            .eventually(&format!("the runs of {task} are {expected:?}"), async || {
                let runs = self.runs_of(task).await.map_err(|error| error.to_string())?;
                let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
                if states == expected { Ok(()) } else { Err(format!("{runs:#?}")) }
            })
            .await;
    }

    /// The attempts that processes have made: how many lines each has written.
    fn lines(&self) -> Result<BTreeMap<(RunId, u32), usize>> {
        let mut lines = BTreeMap::new();
        let text = if self.file().exists() { std::fs::read_to_string(self.file())? } else { String::new() };
        for line in text.lines() {
            let (run, attempt) =
                line.split_once(' ').ok_or_else(|| anyhow::anyhow!("no attempt: {line:?}"))?;
            *lines.entry((RunId(run.parse()?), attempt.parse()?)).or_default() += 1;
        }
        Ok(lines)
    }
}
