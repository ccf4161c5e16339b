//! The CronJob and the Jobs of a task.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

use super::definition::{Definition, Target};
use super::engine::starting_deadline;
use super::reference::Values;
use super::work::Work;
use super::{Run, TaskKey, pod};
use crate::api::{
    ATTEMPT, ConcurrencyPolicy, RUN_ID, SUSPENDED_BECAUSE, ScheduledTask, ScheduledTaskSpec, TASK_LABEL,
};

/// Longest name of a CronJob: its controller appends 11 characters for the Jobs.
const MAX_CRON_JOB_NAME: usize = 52;

/// Longest name of a Job that the operator creates: pods append characters and are also labels.
const MAX_JOB_PREFIX: usize = 40;

/// Number of ended Jobs that Kubernetes keeps for a CronJob. The operator deletes those that it has recorded, down to the
/// declared number; more are kept so that an outage of the operator loses no result.
const KEPT_BY_KUBERNETES: i32 = 100;

/// Annotation of a Job, and of a run's pod: the time that the run is planned for.
pub const SCHEDULED_TIME: &str = "eventcenter.io/scheduled-time";

/// The annotation that Kubernetes' CronJob controller sets on its Jobs (RFC 3339).
pub const CRON_JOB_TIME: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The label with the shard of a pod, which Kubernetes sets.
const COMPLETION_INDEX: &str = "metadata.annotations['batch.kubernetes.io/job-completion-index']";

/// The name of the CronJob of a task. Long names are shortened and stay unique by a hash.
#[must_use]
pub fn cron_job_name(task: &str) -> String {
    shorten(task, MAX_CRON_JOB_NAME)
}

/// The name of the Job of an attempt. It contains the first digits of the run's id, so that a second Job of the same attempt
/// cannot exist.
#[must_use]
pub fn job_name(run: &Run, attempt: u32) -> String {
    let id = run.id.0.simple().to_string();
    format!("{}-{}-{attempt}", shorten(&run.task.name, MAX_JOB_PREFIX), &id[..12])
}

/// A name of a resource within the length of a label. A dot is allowed in a resource's name, and not in a label.
fn shorten(name: &str, max: usize) -> String {
    const HASH_DIGITS: usize = 8;
    let plain = name.replace('.', "-");
    if plain.len() <= max && plain == name {
        return plain;
    }
    let hash = hex::encode(&Sha256::digest(name.as_bytes())[..HASH_DIGITS / 2]);
    let kept = plain.chars().take(max - HASH_DIGITS - 1).collect::<String>();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

/// The task that owns an object.
struct Owner<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: String,
}

impl<'a> Owner<'a> {
    fn of_object(task: &'a ScheduledTask) -> Self {
        let metadata = &task.metadata;
        Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }

    fn of_run(run: &'a Run) -> Self {
        let TaskKey { namespace, name, uid, .. } = &run.task;
        Self { namespace, name, uid: uid.to_string() }
    }
}

/// The CronJob of a task. `suspended_because` says why another engine executes the runs.
#[must_use]
pub fn build_cron_job(
    task: &ScheduledTask,
    spec: &ScheduledTaskSpec,
    definition: &Definition,
    suspended_because: Option<&str>,
) -> CronJob {
    let schedule = spec.schedule.clone().unwrap_or_default();
    let owner = Owner::of_object(task);
    let values = Values {
        parameters: &definition.parameters,
        task: owner.name,
        namespace: owner.namespace,
        run: None,
    };
    let template = match &definition.target {
        Target::Container(template) => complete_template(&owner, template, &values),
        Target::Http(_) | Target::Event(_) => PodTemplateSpec::default(),
    };
    let annotations = suspended_because.map(|reason| (SUSPENDED_BECAUSE.to_owned(), reason.to_owned()));
    let limit = i32::try_from(definition.retry.limit).unwrap_or(i32::MAX);
    CronJob {
        metadata: ObjectMeta {
            name: Some(cron_job_name(owner.name)),
            annotations: annotations.map(|annotation| BTreeMap::from([annotation])),
            ..metadata(&owner)
        },
        spec: Some(CronJobSpec {
            schedule: schedule.cron.unwrap_or_default(),
            time_zone: Some(schedule.time_zone.unwrap_or_else(|| super::schedule::DEFAULT_ZONE.into())),
            suspend: Some(suspended_because.is_some() || definition.is_suspended),
            concurrency_policy: Some(
                match definition.gate.policy {
                    ConcurrencyPolicy::Allow => "Allow",
                    ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Queue => "Forbid",
                    ConcurrencyPolicy::Replace => "Replace",
                }
                .into(),
            ),
            starting_deadline_seconds: starting_deadline(definition)
                .and_then(|deadline| i64::try_from(deadline.as_secs()).ok()),
            successful_jobs_history_limit: Some(KEPT_BY_KUBERNETES),
            failed_jobs_history_limit: Some(KEPT_BY_KUBERNETES),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels(&owner)), ..ObjectMeta::default() }),
                spec: Some(job_spec(
                    definition.shards.map(Into::into),
                    Some(limit),
                    definition.timeout.map(|timeout| timeout.as_secs()),
                    template,
                )),
            },
        }),
        status: None,
    }
}

/// The Job of an attempt of a run. It waits if `is_suspended`.
///
/// # Errors
/// The stored work has no pod template.
pub fn build_job(run: &Run, work: &Work, attempt: u32, is_suspended: bool) -> Result<Job, serde_json::Error> {
    let template = work.target.container.as_ref().map(|container| container.template.clone());
    let template: PodTemplateSpec = serde_json::from_value(template.unwrap_or_default())?;
    let owner = Owner::of_run(run);
    let mut template = complete_template(&owner, &template, &work.values(run, attempt));
    let variables = [
        ("EVENTCENTER_RUN_ID", run.id.to_string()),
        ("EVENTCENTER_SCHEDULED_TIME", run.scheduled_at.to_string()),
        ("EVENTCENTER_ATTEMPT", attempt.to_string()),
    ];
    if let Some(spec) = &mut template.spec {
        for (name, value) in &variables {
            add_variable(spec, EnvVar { name: (*name).into(), value: Some(value.clone()), value_from: None });
        }
    }
    // Each attempt is a Job of its own, except that Kubernetes retries shards.
    let retries = work.shards.map_or(0, |_| i32::try_from(work.retry.limit).unwrap_or(i32::MAX));
    let mut spec =
        job_spec(work.shards, Some(retries), work.timeout_ms.map(|timeout| timeout.div_ceil(1000)), template);
    spec.suspend = Some(is_suspended);
    let annotations = BTreeMap::from([
        (RUN_ID.to_owned(), run.id.to_string()),
        (ATTEMPT.to_owned(), attempt.to_string()),
        (SCHEDULED_TIME.to_owned(), run.scheduled_at.to_string()),
    ]);
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(job_name(run, attempt)),
            annotations: Some(annotations),
            ..metadata(&owner)
        },
        spec: Some(spec),
        status: None,
    })
}

fn metadata(owner: &Owner<'_>) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(owner.namespace.to_owned()),
        labels: Some(labels(owner)),
        owner_references: Some(vec![OwnerReference {
            api_version: ScheduledTask::api_version(&()).into_owned(),
            kind: ScheduledTask::kind(&()).into_owned(),
            name: owner.name.to_owned(),
            uid: owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }]),
        ..ObjectMeta::default()
    }
}

fn labels(owner: &Owner<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".to_owned(), "eventcenter".to_owned()),
        (TASK_LABEL.to_owned(), owner.uid.clone()),
    ])
}

/// A timeout of a Job that retries would count all attempts, so the pods have it then.
fn job_spec(
    shards: Option<u32>,
    retries: Option<i32>,
    timeout_seconds: Option<u64>,
    mut template: PodTemplateSpec,
) -> JobSpec {
    let timeout = timeout_seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let is_retried = retries.is_some_and(|limit| limit > 0);
    if is_retried && let Some(spec) = &mut template.spec {
        spec.active_deadline_seconds = spec.active_deadline_seconds.or(timeout);
    }
    let active_deadline_seconds = timeout.filter(|_| !is_retried);
    match shards.and_then(|shards| i32::try_from(shards).ok()) {
        Some(shards) => {
            if let Some(spec) = &mut template.spec {
                add_shard_variables(spec, shards);
                // Kubernetes requires it for retries of single shards.
                spec.restart_policy = Some("Never".into());
            }
            JobSpec {
                completion_mode: Some("Indexed".into()),
                completions: Some(shards),
                parallelism: Some(shards),
                backoff_limit_per_index: retries,
                active_deadline_seconds,
                template,
                ..JobSpec::default()
            }
        }
        None => JobSpec { backoff_limit: retries, active_deadline_seconds, template, ..JobSpec::default() },
    }
}

fn complete_template(owner: &Owner<'_>, template: &PodTemplateSpec, values: &Values<'_>) -> PodTemplateSpec {
    let mut template = template.clone();
    template.metadata.get_or_insert_default().labels.get_or_insert_default().extend(labels(owner));
    if let Some(spec) = &mut template.spec {
        pod::replace_texts(spec, |text| values.render(text, |value| pod::escape(&value)));
        spec.restart_policy.get_or_insert_with(|| "Never".into());
        for container in &mut spec.containers {
            // A failure without a message has the end of the log.
            container.termination_message_policy.get_or_insert_with(|| "FallbackToLogsOnError".into());
        }
    }
    template
}

fn add_shard_variables(spec: &mut PodSpec, shards: i32) {
    let index = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { field_path: COMPLETION_INDEX.into(), api_version: None }),
        ..EnvVarSource::default()
    };
    add_variable(spec, EnvVar { name: "SHARD_INDEX".into(), value: None, value_from: Some(index) });
    let total = Some(shards.to_string());
    add_variable(spec, EnvVar { name: "SHARD_TOTAL".into(), value: total, value_from: None });
}

/// Adds an environment variable to all containers, in place of one of the same name.
fn add_variable(spec: &mut PodSpec, variable: EnvVar) {
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        let env = container.env.get_or_insert_default();
        env.retain(|existing| existing.name != variable.name);
        env.push(variable.clone());
    }
}

/// The time that a Job is planned for, as its creator wrote it.
#[must_use]
pub fn scheduled_time(job: &impl kube::Resource) -> Option<Timestamp> {
    let annotations = job.annotations();
    annotations.get(SCHEDULED_TIME).or_else(|| annotations.get(CRON_JOB_TIME))?.parse().ok()
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
