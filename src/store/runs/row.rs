//! Rows of runs and attempts, and their conversion to the types of the domain.

use std::collections::BTreeMap;
use std::str::FromStr;

use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::task::{Attempt, Outcome, Run, RunId, TaskKey, Trigger};
use crate::store::Error;

/// Operation of errors about stored values.
const READING: &str = "reading runs";

/// The columns of [`RunRow`] in `task_run` except for `work`.
macro_rules! run_columns {
    () => {
        "id, tenant, namespace, task_name, task, trigger_json, scheduled_at, due_at, state, executor, chain, parameters, \
         requested_by, cancelled_by, attempts, started_at, ended_at, exit_code, http_status, message, items, errors, executed_by"
    };
}

pub(super) use run_columns;

/// A run as stored.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RunRow {
    id: Uuid,
    tenant: String,
    namespace: String,
    task_name: String,
    task: Uuid,
    trigger_json: String,
    scheduled_at: i64,
    due_at: i64,
    state: String,
    executor: Option<String>,
    chain: Uuid,
    parameters: Option<String>,
    #[sqlx(default)]
    work: Option<String>,
    requested_by: Option<String>,
    cancelled_by: Option<String>,
    attempts: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    #[sqlx(flatten)]
    outcome: OutcomeRow,
    executed_by: Option<String>,
    /// Only of runs to be reported.
    #[sqlx(default)]
    pub(super) start_announced: bool,
}

/// The columns of an outcome.
#[derive(Debug, sqlx::FromRow)]
struct OutcomeRow {
    exit_code: Option<i64>,
    http_status: Option<i64>,
    message: Option<String>,
    items: Option<i64>,
    errors: Option<i64>,
}

/// An attempt as stored, without its log tail.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct AttemptRow {
    run: Uuid,
    number: i64,
    started_at: i64,
    ended_at: Option<i64>,
    state: String,
    #[sqlx(flatten)]
    outcome: OutcomeRow,
    executed_by: Option<String>,
}

impl OutcomeRow {
    fn into_outcome(self) -> Result<Outcome, Error> {
        Ok(Outcome {
            exit_code: self.exit_code.map(narrow).transpose()?,
            http_status: self.http_status.map(narrow).transpose()?,
            message: self.message,
            items: self.items,
            errors: self.errors,
            log_tail: None,
        })
    }
}

impl RunRow {
    pub(super) fn into_run(self) -> Result<Run, Error> {
        let tenant = TenantName::parse(&self.tenant).map_err(|error| corrupt(error.to_string()))?;
        let parameters: Option<BTreeMap<String, String>> =
            self.parameters.as_deref().map(parse_json).transpose()?;
        Ok(Run {
            id: RunId(self.id),
            task: TaskKey { tenant, namespace: self.namespace, name: self.task_name, uid: self.task },
            trigger: parse_json::<Trigger>(&self.trigger_json)?,
            scheduled_at: to_time(self.scheduled_at)?,
            due_at: to_time(self.due_at)?,
            state: parse_word(&self.state)?,
            executor: self.executor.as_deref().map(parse_word).transpose()?,
            chain: self.chain,
            parameters: parameters.unwrap_or_default(),
            work: self.work,
            requested_by: self.requested_by,
            cancelled_by: self.cancelled_by,
            attempts: narrow(self.attempts)?,
            started_at: self.started_at.map(to_time).transpose()?,
            ended_at: self.ended_at.map(to_time).transpose()?,
            outcome: self.outcome.into_outcome()?,
            executed_by: self.executed_by,
        })
    }
}

impl AttemptRow {
    pub(super) fn into_attempt(self) -> Result<Attempt, Error> {
        Ok(Attempt {
            run: RunId(self.run),
            number: narrow(self.number)?,
            started_at: to_time(self.started_at)?,
            ended_at: self.ended_at.map(to_time).transpose()?,
            state: parse_word(&self.state)?,
            outcome: self.outcome.into_outcome()?,
            executed_by: self.executed_by,
        })
    }
}

pub(super) fn to_runs(rows: Vec<RunRow>) -> Result<Vec<Run>, Error> {
    rows.into_iter().map(RunRow::into_run).collect()
}

pub(super) fn to_time(microsecond: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(microsecond).map_err(|error| corrupt(error.to_string()))
}

/// Converts a number of the database, which has 64 bits, to a smaller type.
pub(super) fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T, Error> {
    T::try_from(number).map_err(|_| corrupt(format!("{number} is out of range")))
}

fn parse_word<T: FromStr<Err = String>>(word: &str) -> Result<T, Error> {
    word.parse().map_err(corrupt)
}

fn parse_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))
}

pub(super) fn corrupt(problem: String) -> Error {
    Error::Corrupt { operation: READING, problem }
}

/// The time as stored.
pub(super) fn to_micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}
