//! Failure actions: what a task does when a run of it has failed after all retries.
//!
//! An action is a run of its own, so that it is executed, retried and logged as every other one.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reference::{Reference, RunValues};
use super::tenant_rules::TaskRules;
use super::{RetryPlan, Run, RunId, RunState, event, http};
use crate::api::FailureAction;
use crate::domain::Refusal;

/// The retries of an action: about an hour, in which a receiver that is down recovers or somebody notices.
pub const RETRIES: RetryPlan = RetryPlan {
    limit: 10,
    initial: Duration::from_secs(5),
    factor: 2,
    max: Duration::from_mins(10),
    has_backoff: true,
};

/// What an action tells of the run that has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRun {
    /// Its id.
    pub id: RunId,
    /// The time that it was planned for.
    pub scheduled_at: Timestamp,
    /// Number of its attempts.
    pub attempts: u32,
    /// The kind of its trigger.
    pub trigger: String,
    /// `Failed` or `TimedOut`.
    pub state: RunState,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl FailedRun {
    /// What an action tells of this run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self {
            id: run.id,
            scheduled_at: run.scheduled_at,
            attempts: run.attempts,
            trigger: run.trigger.kind().to_owned(),
            state: run.state,
            message: run.outcome.message.clone().unwrap_or_default(),
        }
    }

    /// The values of references to the run.
    #[must_use]
    pub fn values(&self) -> RunValues<'_> {
        RunValues {
            id: self.id,
            scheduled_at: self.scheduled_at,
            attempt: self.attempts,
            trigger: &self.trigger,
            failure: Some((self.state, &self.message)),
        }
    }
}

/// Checks an action by itself. Returns its references.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(action: &FailureAction, rules: &TaskRules) -> Result<BTreeSet<Reference>, Refusal> {
    let mut references = BTreeSet::new();
    if let Some(target) = &action.http {
        http::check("spec.onFailure.http", target, rules)?;
        references.extend(http::references("spec.onFailure.http", target)?);
    }
    if let Some(target) = &action.event {
        event::check("spec.onFailure.event", target)?;
        references.extend(event::references("spec.onFailure.event", target)?);
    }
    Ok(references)
}
