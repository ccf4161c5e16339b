//! One attempt of a run.

use std::sync::Arc;

use tokio::time::Instant;

use super::call::Caller;
use super::platform::Platform;
use super::publication::Publisher;
use crate::domain::task::definition::DEFAULT_CALL_TIMEOUT;
use crate::domain::task::permission::tenant_of_run;
use crate::domain::task::{AttemptResult, RetryPlan, Run, Work};

/// Executes attempts.
pub(super) struct Execution {
    pub(super) platform: Arc<Platform>,
    pub(super) caller: Caller,
    pub(super) publisher: Publisher,
}

/// The work of a run, as far as it is known.
pub(super) struct Plan {
    work: Result<Work, String>,
}

impl Plan {
    /// Parses the stored work of a run.
    pub(super) fn of(run: &Run) -> Self {
        let work = run.work.as_deref().ok_or_else(|| "there is none".to_owned());
        Self { work: work.and_then(|text| Work::parse(text).map_err(|error| error.to_string())) }
    }

    /// How a failed attempt is retried.
    pub(super) fn retry(&self) -> RetryPlan {
        self.work.as_ref().map_or_else(|_| RetryPlan::default(), |work| work.retry)
    }

    /// The kind of the target, for metrics.
    pub(super) fn target(&self) -> &'static str {
        match &self.work {
            Ok(work) if work.target.http.is_some() => "http",
            Ok(work) if work.target.event.is_some() => "event",
            _ => "unknown",
        }
    }
}

impl Execution {
    /// Executes an attempt. The caller may drop the future to end it.
    pub(super) async fn execute(&self, run: &Run, plan: &Plan, attempt: u32) -> AttemptResult {
        let work = match &plan.work {
            Ok(work) => work,
            Err(error) => return AttemptResult::invalid_work(error),
        };
        let tenants = self.platform.tenants();
        let tenant = match tenant_of_run(&tenants, &run.task) {
            Ok(tenant) => tenant,
            Err(refusal) => return AttemptResult::refused(&refusal),
        };
        let deadline = Instant::now() + work.timeout().unwrap_or(DEFAULT_CALL_TIMEOUT);
        match (&work.target.http, &work.target.event) {
            (Some(target), _) => self.caller.call(run, work, attempt, target, tenant, deadline).await,
            (None, Some(target)) => {
                self.publisher.publish(run, work, attempt, target, tenant, deadline).await
            }
            (None, None) => AttemptResult::invalid_work("it is neither a call nor an event"),
        }
    }
}
