//! The end of a Job, as its pod and its log tell it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Secret};
use kube::ResourceExt;

use super::super::context::Context;
use crate::domain::task::mask::Mask;
use crate::domain::task::observation::{
    JobProgress, MAX_TAIL_BYTES, ObservedJob, decisive_container, decisive_pod, earlier_failures, is_indexed,
    is_of_cron_job, outcome_of, progress_of, tail_of, times_of,
};
use crate::domain::task::{Outcome, RunState, pod};
use crate::store::runs::EarlierAttempt;

/// Number of lines that are read of a log.
const MAX_LINES: i64 = 2_000;

/// What stands in place of a log that may contain the value of a Secret.
const WITHHELD: &str =
    "the log is not stored, because a Secret of the pod cannot be read to remove its values";

/// The end of a Job.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) state: RunState,
    pub(super) outcome: Outcome,
    pub(super) pod: Option<String>,
    /// When the attempt started that decides.
    pub(super) started: Timestamp,
    /// The failed pods before it.
    pub(super) earlier: Vec<EarlierAttempt>,
}

/// Reads what the pods of an ended Job tell; `None` if it has not ended.
pub(super) async fn collect(context: &Context, job: &ObservedJob) -> Option<End> {
    let JobProgress::Ended { ended, state, message, .. } = progress_of(job) else { return None };
    Some(read_end(context, job, state, ended, message.as_deref()).await)
}

/// Reads what the pods of a Job tell that ends in this state.
pub(super) async fn read_end(
    context: &Context,
    job: &ObservedJob,
    state: RunState,
    at: Timestamp,
    why: Option<&str>,
) -> End {
    let pods = match context.services.kubernetes.list_pods_of_job(job).await {
        Ok(pods) => pods,
        Err(error) => {
            tracing::warn!(job = job.name_any(), %error, "reading the pods of a Job");
            Vec::new()
        }
    };
    let pod = decisive_pod(&pods, state);
    let outcome = read_outcome(context, state, why, pod).await;
    let mut earlier = Vec::new();
    // Attempts of other Jobs are the operator's, each with a Job of its own.
    if is_of_cron_job(job) || is_indexed(job) {
        for pod in earlier_failures(&pods, pod) {
            let (started_at, ended_at) = times_of(pod).unwrap_or((at, at));
            let outcome = read_outcome(context, RunState::Failed, None, Some(pod)).await;
            earlier.push(EarlierAttempt { started_at, at: ended_at, outcome, pod: pod.name_any() });
        }
    }
    let started = pod.and_then(times_of).map_or(at, |(started, _)| started);
    End { at, state, outcome, pod: pod.map(ResourceExt::name_any), started, earlier }
}

/// What a pod tells.
async fn read_outcome(context: &Context, state: RunState, why: Option<&str>, pod: Option<&Pod>) -> Outcome {
    let mut outcome = outcome_of(state, why, pod);
    if let Some(pod) = pod {
        let mask = mask_of(context, pod).await;
        outcome.message = outcome.message.map(|message| match &mask {
            Some(mask) => mask.apply(&message),
            None => WITHHELD.into(),
        });
        outcome.log_tail = read_log(context, pod, mask.as_ref()).await;
    }
    outcome
}

async fn read_log(context: &Context, pod: &Pod, mask: Option<&Mask>) -> Option<String> {
    let Some(mask) = mask else { return Some(WITHHELD.into()) };
    let (container, _) = decisive_container(pod)?;
    let namespace = pod.namespace().unwrap_or_default();
    let log = context.services.kubernetes.log_tail(&namespace, &pod.name_any(), container, MAX_LINES).await;
    match log {
        Ok(log) => Some(tail_of(&mask.apply(tail_of(&log, MAX_TAIL_BYTES)), MAX_TAIL_BYTES).to_owned()),
        Err(error) => {
            tracing::debug!(pod = pod.name_any(), %error, "reading the log of a pod");
            None
        }
    }
}

/// The values of the Secrets that a pod refers to; `None` if they cannot be read.
async fn mask_of(context: &Context, pod: &Pod) -> Option<Mask> {
    let template = PodTemplateSpec { metadata: None, spec: pod.spec.clone() };
    let mut values = Vec::new();
    for name in pod::secrets(&template) {
        let namespace = pod.namespace().unwrap_or_default();
        match context.services.kubernetes.get::<Secret>(&namespace, name).await {
            Ok(secret) => {
                let data = secret.and_then(|secret| secret.data).unwrap_or_default();
                values.extend(data.into_values().filter_map(|value| String::from_utf8(value.0).ok()));
            }
            Err(error) => {
                tracing::warn!(secret = name, namespace, %error, "reading a Secret to remove its values from a log");
                return None;
            }
        }
    }
    Some(Mask::of(values.iter().map(String::as_str)))
}
