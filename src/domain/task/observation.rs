//! What the Jobs and pods of a task say about its runs.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use uuid::Uuid;

use super::job::scheduled_time;
use super::report::Report;
use super::{Outcome, RunId, RunState};
use crate::api::{ATTEMPT, RUN_ID, TASK_LABEL};

/// Number of failed pods of a Job that are stored as attempts before the decisive one.
pub const MAX_EARLIER: usize = 20;
/// Maximum size of the last line of a log in a message, in bytes.
const MAX_LINE_BYTES: usize = 256;
/// The longest message of an outcome, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;

/// The annotation of a pod with the index of its shard.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The longest stored end of a log, in bytes.
pub const MAX_TAIL_BYTES: usize = 64 * 1024;

/// What the operator reads of a Job: the watch keeps thousands of them in memory, and most of a Job is its pod template.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = Job)]
pub struct ObservedJob {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    pub spec: Option<ObservedJobSpec>,
    /// Its status.
    pub status: Option<JobStatus>,
}

/// The spec of an [`ObservedJob`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedJobSpec {
    /// `Indexed` if its pods are shards.
    pub completion_mode: Option<String>,
}

/// How far a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobProgress {
    /// It has no pod yet.
    Waiting,
    /// It runs since then.
    Running(Timestamp),
    /// It has ended.
    Ended {
        /// When it started.
        started: Timestamp,
        /// When it ended.
        ended: Timestamp,
        /// `Succeeded`, `Failed` or `TimedOut`.
        state: RunState,
        /// Why, as the Job says it.
        message: Option<String>,
    },
}

/// How far a Job is.
#[must_use]
pub fn progress_of(job: &ObservedJob) -> JobProgress {
    let Some(status) = &job.status else { return JobProgress::Waiting };
    let created = job.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let started = status.start_time.as_ref().map(|time| time.0);
    let condition = |kind: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.clone().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    let ended = match (condition("Complete"), condition("Failed")) {
        (Some(complete), _) => Some((RunState::Succeeded, complete)),
        (None, Some(failed)) if failed.reason.as_deref() == Some("DeadlineExceeded") => {
            Some((RunState::TimedOut, failed))
        }
        (None, Some(failed)) => Some((RunState::Failed, failed)),
        (None, None) => None,
    };
    match (ended, started) {
        (Some((state, condition)), _) => {
            let started = started.unwrap_or(created);
            let end = status.completion_time.as_ref().or(condition.last_transition_time.as_ref());
            let ended = end.map_or(started, |time| time.0);
            let message = condition.message.clone().filter(|_| state != RunState::Succeeded);
            JobProgress::Ended { started, ended, state, message }
        }
        (None, Some(started)) => JobProgress::Running(started),
        (None, None) => JobProgress::Waiting,
    }
}

/// The run and the attempt of a Job that the operator created.
#[must_use]
pub fn run_of(job: &ObservedJob) -> Option<(RunId, u32)> {
    let annotations = job.annotations();
    Some((RunId(annotations.get(RUN_ID)?.parse().ok()?), annotations.get(ATTEMPT)?.parse().ok()?))
}

/// The uid of the task of a Job.
#[must_use]
pub fn task_of(job: &ObservedJob) -> Option<Uuid> {
    job.labels().get(TASK_LABEL)?.parse().ok()
}

/// Whether Kubernetes' CronJob controller created a Job.
#[must_use]
pub fn is_of_cron_job(job: &ObservedJob) -> bool {
    run_of(job).is_none() && scheduled_time(job).is_some()
}

/// The pod that tells most about a Job that has ended in this state: the last one of that result, or else the last one.
#[must_use]
pub fn decisive_pod(pods: &[Pod], state: RunState) -> Option<&Pod> {
    let started = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.start_time.clone());
    let expected = if state == RunState::Succeeded { "Succeeded" } else { "Failed" };
    let of_result = pods.iter().filter(|pod| phase(pod) == Some(expected));
    of_result.max_by_key(started).or_else(|| pods.iter().max_by_key(started))
}

/// The pods of a Job that failed before the decisive one, the oldest first; at most the last [`MAX_EARLIER`].
#[must_use]
pub fn earlier_failures<'a>(pods: &'a [Pod], decisive: Option<&Pod>) -> Vec<&'a Pod> {
    let is_decisive = |pod: &Pod| decisive.is_some_and(|decisive| decisive.metadata.uid == pod.metadata.uid);
    let mut failed: Vec<&Pod> =
        pods.iter().filter(|pod| phase(pod) == Some("Failed") && !is_decisive(pod)).collect();
    failed.sort_by_key(|pod| pod.status.as_ref().and_then(|status| status.start_time.clone()));
    failed.split_off(failed.len().saturating_sub(MAX_EARLIER))
}

/// Whether the pods of a Job are its shards.
#[must_use]
pub fn is_indexed(job: &ObservedJob) -> bool {
    job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref()) == Some("Indexed")
}

/// When the decisive container of a pod started and ended.
#[must_use]
pub fn times_of(pod: &Pod) -> Option<(Timestamp, Timestamp)> {
    let (_, ended) = decisive_container(pod)?;
    let ended = ended?;
    let end = ended.finished_at.as_ref()?.0;
    Some((ended.started_at.as_ref().map_or(end, |start| start.0), end))
}

/// The container of a pod whose end decides: the first that failed, or else the first.
#[must_use]
pub fn decisive_container(pod: &Pod) -> Option<(&str, Option<&ContainerStateTerminated>)> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let main = status.container_statuses.iter().flatten();
    let ends = init.chain(main.clone()).map(|container| {
        let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        (container.name.as_str(), ended)
    });
    let failed = ends.clone().find(|(_, ended)| ended.is_some_and(|ended| ended.exit_code != 0));
    failed.or_else(|| {
        main.clone().next().map(|container| {
            let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
            (container.name.as_str(), ended)
        })
    })
}

/// The result of an ended Job: exit code, message and counts of its decisive pod. `why` is what the Job says.
#[must_use]
pub fn outcome_of(state: RunState, why: Option<&str>, pod: Option<&Pod>) -> Outcome {
    let ended = pod.and_then(decisive_container).and_then(|(_, ended)| ended);
    let text =
        ended.and_then(|ended| ended.message.as_deref()).map(str::trim).filter(|text| !text.is_empty());
    let report = text.and_then(Report::parse);
    let reason = ended.and_then(|ended| ended.reason.as_deref());
    let of_pod = pod.and_then(|pod| pod.status.as_ref()?.message.clone());
    let message = match (&report, state) {
        (Some(report), _) => report.message.clone(),
        (None, RunState::TimedOut) => why.map(ToOwned::to_owned),
        (None, RunState::Succeeded) => None,
        (None, _) => match (reason, ended) {
            (Some("OOMKilled"), _) => Some("the container exceeded its memory limit (OOMKilled)".into()),
            (_, Some(ended)) => {
                let last_line = text
                    .and_then(|text| text.lines().last())
                    .map(|line| truncate(line.trim(), MAX_LINE_BYTES));
                let because = last_line.map(|line| format!(": {line}")).unwrap_or_default();
                Some(format!("exit code {}{because}", ended.exit_code))
            }
            (_, None) => of_pod.or_else(|| why.map(ToOwned::to_owned)),
        },
    };
    let shard =
        pod.and_then(|pod| pod.annotations().get(COMPLETION_INDEX)).filter(|_| state != RunState::Succeeded);
    let message = match shard {
        Some(shard) => message.map(|message| format!("shard {shard}: {message}")),
        None => message,
    };
    Outcome {
        exit_code: ended.map(|ended| ended.exit_code),
        http_status: None,
        message: message.map(|message| truncate(&message, MAX_MESSAGE_BYTES)),
        items: report.as_ref().and_then(|report| report.items),
        errors: report.as_ref().and_then(|report| report.errors),
        log_tail: None,
    }
}

/// The last bytes of a text, from the beginning of a line if there is one.
#[must_use]
pub fn tail_of(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let start = text.ceil_char_boundary(text.len() - max);
    let tail = &text[start..];
    tail.find('\n').map_or(tail, |line| &tail[line + 1..])
}

fn truncate(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(status: serde_json::Value) -> ObservedJob {
        serde_json::from_value(
            json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}),
        )
        .expect("a Job")
    }

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).expect("a pod")
    }

    #[test]
    fn conditions_end_a_job() {
        let ended = |kind: &str, reason: &str| {
            progress_of(&job(json!({
                "startTime": "2026-01-01T00:00:01Z",
                "conditions": [{"type": kind, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:09Z"}],
            })))
        };
        let state = |progress| match progress {
            JobProgress::Ended { state, message, .. } => Some((state, message)),
            _ => None,
        };
        assert_eq!(state(ended("Complete", "")), Some((RunState::Succeeded, None)));
        assert_eq!(
            state(ended("Failed", "BackoffLimitExceeded")),
            Some((RunState::Failed, Some("m".into())))
        );
        assert_eq!(state(ended("Failed", "DeadlineExceeded")), Some((RunState::TimedOut, Some("m".into()))));
        assert_eq!(state(ended("Suspended", "")), None);
        assert_eq!(progress_of(&job(json!({}))), JobProgress::Waiting);
    }

    #[test]
    fn the_failed_container_decides() {
        let ended = |name: &str, code: i32, message: &str| {
            json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": code, "message": message}}})
        };
        let succeeded = pod(json!({"phase": "Succeeded", "startTime": "2026-01-01T00:00:09Z",
            "containerStatuses": [ended("a", 0, r#"{"items": 3, "errors": 1}"#)]}));
        let failed = pod(json!({"phase": "Failed", "startTime": "2026-01-01T00:00:01Z",
            "containerStatuses": [ended("a", 0, ""), ended("b", 7, "line\nboom\n")]}));
        let outcome = outcome_of(RunState::Succeeded, None, Some(&succeeded));
        assert_eq!(
            (outcome.exit_code, outcome.items, outcome.errors, outcome.message),
            (Some(0), Some(3), Some(1), None)
        );
        let pods = [failed.clone(), succeeded.clone()];
        assert_eq!(decisive_pod(&pods, RunState::Failed), Some(&failed));
        assert_eq!(decisive_pod(&pods, RunState::Succeeded), Some(&succeeded));
        assert_eq!(decisive_pod(&pods[1..], RunState::TimedOut), Some(&succeeded));
        assert_eq!(decisive_container(&failed).map(|(name, _)| name), Some("b"));
        let outcome = outcome_of(RunState::Failed, Some("backoff"), Some(&failed));
        assert_eq!((outcome.exit_code, outcome.message.as_deref()), (Some(7), Some("exit code 7: boom")));
        assert_eq!(outcome_of(RunState::Failed, Some("backoff"), None).message.as_deref(), Some("backoff"));
    }

    #[test]
    fn failed_pods_are_attempts_before_the_decisive_one() {
        let pod = |name: &str, phase: &str, start: &str, shard: Option<&str>| {
            let mut pod = pod(json!({"phase": phase, "startTime": start, "containerStatuses": [
                {"name": "a", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 1, "startedAt": start, "finishedAt": "2026-01-01T00:00:09Z"}}},
            ]}));
            (pod.metadata.name, pod.metadata.uid) = (Some(name.into()), Some(name.into()));
            pod.metadata.annotations =
                shard.map(|shard| [(COMPLETION_INDEX.to_owned(), shard.to_owned())].into());
            pod
        };
        let pods = [
            pod("b", "Failed", "2026-01-01T00:00:02Z", Some("7")),
            pod("c", "Succeeded", "2026-01-01T00:00:03Z", Some("7")),
            pod("a", "Failed", "2026-01-01T00:00:01Z", None),
        ];
        let names = |decisive: Option<&Pod>| -> Vec<String> {
            earlier_failures(&pods, decisive).iter().map(|pod| pod.name_any()).collect()
        };
        assert_eq!(names(Some(&pods[1])), ["a", "b"]);
        assert_eq!(names(Some(&pods[0])), ["a"]);
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(times_of(&pods[0]), Some((time("2026-01-01T00:00:02Z"), time("2026-01-01T00:00:09Z"))));
        let outcome = outcome_of(RunState::Failed, None, Some(&pods[0]));
        assert_eq!(outcome.message.as_deref(), Some("shard 7: exit code 1"));
        let many = vec![pod("x", "Failed", "2026-01-01T00:00:01Z", None); 30];
        assert_eq!(earlier_failures(&many, None).len(), MAX_EARLIER);
    }

    #[test]
    fn a_tail_begins_with_a_line() {
        assert_eq!(tail_of("one\ntwo\nthree", 8), "three");
        assert_eq!(tail_of("one\ntwo", 100), "one\ntwo");
        assert_eq!(tail_of("üüüü", 3), "ü");
    }
}
