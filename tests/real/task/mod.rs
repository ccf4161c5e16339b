//! ScheduledTasks: what runs when, and what is known about it afterwards.

mod admission;
mod chain;
mod cron_jobs;
mod events;
mod examples;
mod forgery;
mod jobs;
mod on_event;
mod on_failure;
mod runs;
mod status;

use eventcenter::api::{ScheduledTask, TaskTemplate};
use eventcenter::domain::task::{Run, RunState};
use eventcenter::store::{RunFilter, Runs, Store, StoreUrl};
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use crate::stage;
use crate::support::{Fixture, ObjectPath, ResourceHandle, until};

/// A namespace with its tenant, on the API server that calls the webhook.
async fn fixture(name: &str) -> Fixture {
    Fixture::on(stage::with_webhook(), name).await
}

/// The run log of the operator.
fn run_log() -> Runs {
    let url = StoreUrl::Sqlite(stage::webhook_data().join("eventcenter.db"));
    Store::open(&url).expect("the operator's database").runs()
}

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is a process like the operator, and reads the clock itself"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A pod template whose container runs a shell script.
fn script(text: &str) -> Value {
    json!({"container": {"template": {"spec": {"containers": [
        {"name": "main", "image": "busybox", "command": ["sh", "-c", text]},
    ]}}}})
}

impl Fixture {
    fn task(&self, name: &str) -> ResourceHandle<ScheduledTask> {
        self.resource(name)
    }

    fn template(&self, name: &str) -> ResourceHandle<TaskTemplate> {
        self.resource(name)
    }

    /// Applies a task and waits until it is Ready.
    async fn schedule(&self, name: &str, spec: Value) -> ScheduledTask {
        self.task(name).apply(spec).await;
        self.task(name).wait_for_condition("Ready=True").await
    }

    /// Makes a CronJob with an interval of a minute due now.
    async fn make_due(&self, cron_job: &str) {
        let path = ObjectPath::of_kind::<CronJob>(Some(&self.namespace), cron_job);
        let before = now() - jiff::SignedDuration::from_secs(90);
        self.kube.merge_status(&path, &json!({"status": {"lastScheduleTime": before}})).await;
    }

    /// The runs of a task, the newest first.
    async fn runs(&self, task: &str) -> Vec<Run> {
        let filter = RunFilter {
            tenants: vec![self.namespace.parse().expect("the tenant has the name of its namespace")],
            namespaces: Some(vec![self.namespace.clone()]),
            task: Some(task.to_owned()),
            ..RunFilter::default()
        };
        run_log().list(&filter, None, 500).await.expect("the run log").runs
    }

    /// Waits until the runs of a task, the newest first, are as expected.
    async fn wait_for_runs(
        &self,
        task: &str,
        expectation: &str,
        predicate: impl Fn(&[Run]) -> bool,
    ) -> Vec<Run> {
        let result = until(async || {
            let runs = self.runs(task).await;
            if predicate(&runs) { Ok(runs) } else { Err(print(&runs)) }
        });
        match result.await {
            Ok(runs) => runs,
            Err(last) => self.fail(&format!("the runs of {task} should be: {expectation}"), &last),
        }
    }

    /// Waits until this many runs of a task have ended in a state.
    async fn wait_for_ended(&self, task: &str, state: RunState, number: usize) -> Vec<Run> {
        let expectation = format!("{number} {state}");
        self.wait_for_runs(task, &expectation, |runs| {
            runs.iter().filter(|run| run.state == state).count() >= number
        })
        .await
    }

    /// The stored end of the log of an attempt.
    async fn log_of(&self, run: &Run, attempt: u32) -> Option<String> {
        run_log().log_tail(&run.task.tenant, run.id, attempt).await.expect("the run log")
    }
}

fn print(runs: &[Run]) -> String {
    let line = |run: &Run| {
        format!(
            "{} {} {} attempts {} {:?}",
            run.scheduled_at,
            run.trigger.kind(),
            run.state,
            run.attempts,
            run.outcome
        )
    };
    runs.iter().map(line).collect::<Vec<_>>().join("\n")
}
