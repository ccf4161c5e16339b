//! Reading and requesting runs through the REST API.

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::schedule::{
    Backfill, BackfillRequest, Cancellation, RunDetail, RunFilter, RunPage, TaskId, TriggerRequest, Triggered,
};
use serde_json::json;
use uuid::Uuid;

use super::super::login::LoginArgs;
use super::super::server::{ServerArgs, query};
use crate::kubernetes::{RestError, RestSession};

/// The largest page of the API.
const MAX_PAGE_SIZE: usize = 500;

/// The server, the credentials and the namespace.
#[derive(Debug, Args)]
pub(super) struct JobLogArgs {
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// A client for tasks and runs.
#[derive(Debug)]
pub(super) struct JobLogClient {
    session: RestSession,
}

impl JobLogArgs {
    /// Finds the credentials. Sends no request yet.
    pub(super) async fn open(&self) -> anyhow::Result<JobLogClient> {
        JobLogClient::open(&self.login, &self.server).await
    }

    /// The namespace of the flag, or else of the kubeconfig's context.
    pub(super) async fn namespace(&self) -> anyhow::Result<String> {
        if let Some(namespace) = &self.login.namespace {
            return Ok(namespace.clone());
        }
        match self.login.open().await {
            Ok(session) => Ok(session.namespace().to_owned()),
            Err(_) => bail!("no namespace: give --namespace NAME (there is no kubeconfig to take one from)"),
        }
    }

    /// The id of a task in the namespace.
    pub(super) async fn task_id(&self, name: &str) -> anyhow::Result<TaskId> {
        let namespace = self.namespace().await?;
        TaskId::new(&namespace, name).map_err(|_| {
            anyhow::anyhow!(
                "{name:?} in namespace {namespace:?} is not the name of a task: write such as nightly -n shop"
            )
        })
    }
}

impl JobLogClient {
    /// Finds the credentials. Sends no request yet.
    pub(super) async fn open(login: &LoginArgs, server: &ServerArgs) -> anyhow::Result<Self> {
        if let Some(user) = login.impersonated_user() {
            bail!(
                "--as {user} applies to Kubernetes only: give the REST API a token of that user by --token"
            );
        }
        Ok(Self { session: server.open(login.login()).await? })
    }

    /// A page of runs.
    pub(super) async fn page(
        &self,
        filter: &RunFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<RunPage, RestError> {
        let mut parameters = filter.query();
        parameters.push(("limit", limit.clamp(1, MAX_PAGE_SIZE).to_string()));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let path = format!("/api/schedule/job-logs{}", query(&parameters));
        self.session.get("reading the job log", &path, None).await
    }

    /// A run with its attempts.
    pub(super) async fn run(&self, run: Uuid) -> Result<RunDetail, RestError> {
        self.session.get("reading a run", &format!("/api/schedule/job-logs/{run}"), None).await
    }

    /// The end of the log of an attempt.
    pub(super) async fn log(&self, run: Uuid, attempt: u32) -> Result<String, RestError> {
        let path = format!("/api/schedule/job-logs/{run}/log?attempt={attempt}");
        self.session.get_text("reading the log of a run", &path).await
    }

    /// Runs a task by hand.
    pub(super) async fn trigger(
        &self,
        task: &TaskId,
        request: &TriggerRequest,
    ) -> Result<Triggered, RestError> {
        self.session
            .post("triggering the task", &format!("/api/schedule/tasks/{task}/trigger"), request)
            .await
    }

    /// Runs a task for a time range.
    pub(super) async fn backfill(
        &self,
        task: &TaskId,
        request: &BackfillRequest,
    ) -> Result<Backfill, RestError> {
        let path = format!("/api/schedule/tasks/{task}/backfill");
        self.session.post("requesting the runs of the time range", &path, request).await
    }

    /// Cancels a run.
    pub(super) async fn cancel(&self, run: Uuid) -> Result<Cancellation, RestError> {
        self.session
            .post("cancelling the run", &format!("/api/schedule/job-logs/{run}/cancel"), &json!({}))
            .await
    }

    /// Repeats a run.
    pub(super) async fn rerun(&self, run: Uuid) -> Result<Triggered, RestError> {
        self.session
            .post("repeating the run", &format!("/api/schedule/job-logs/{run}/rerun"), &json!({}))
            .await
    }
}
