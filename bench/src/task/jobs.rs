//! The Jobs of tasks and CronJobs, as a watch shows them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eventcenter::domain::task::job::{CRON_JOB_TIME, SCHEDULED_TIME};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::time::{MissedTickBehavior, interval};

use super::schedule::Schedule;
use crate::load::Load;
use crate::protocol::{self, Latency, Message, Report};

const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// After the last Job, how long the step waits for Jobs that should not exist.
const WAIT_FOR_REPEATED: Duration = Duration::from_secs(2);

/// The observed Jobs.
#[derive(Debug, Default)]
struct Observed {
    /// The UIDs of the Jobs.
    jobs: HashSet<String>,
    /// How late the first Job of each run was observed, by its owner and scheduled time.
    late: HashMap<(String, Timestamp), Duration>,
    /// The number of further Jobs of the same runs.
    repeated: u32,
    /// The last `metadata.creationTimestamp`.
    last_created: Option<Timestamp>,
}

impl Observed {
    /// Records a Job whose owner has this prefix. Returns whether it is a new one.
    fn record(&mut self, prefix: &str, metadata: &ObjectMeta, now: Timestamp) -> bool {
        let Some(run) = run_of(metadata).filter(|(owner, _)| owner.starts_with(prefix)) else { return false };
        if !self.jobs.insert(metadata.uid.clone().unwrap_or_default()) {
            return false;
        }
        self.last_created = self.last_created.max(metadata.creation_timestamp.as_ref().map(|time| time.0));
        let late = Duration::try_from(now.duration_since(run.1)).unwrap_or_default();
        match self.late.entry(run) {
            Entry::Vacant(first) => {
                first.insert(late);
            }
            Entry::Occupied(_) => self.repeated += 1,
        }
        true
    }

    fn count(&self) -> u32 {
        u32::try_from(self.late.len()).unwrap_or(u32::MAX)
    }
}

/// The owner of a Job and the scheduled time of its run.
fn run_of(metadata: &ObjectMeta) -> Option<(String, Timestamp)> {
    let owner = metadata.owner_references.as_ref()?.first()?;
    let annotations = metadata.annotations.as_ref()?;
    let time = annotations.get(SCHEDULED_TIME).or_else(|| annotations.get(CRON_JOB_TIME))?;
    Some((owner.name.clone(), time.parse().ok()?))
}

/// Waits until each run has a Job. The latency is the time from when a run was scheduled until its Job was observed;
/// `written_seconds` the time from the first scheduled time until the last `creationTimestamp`.
pub(super) async fn observe(client: Client, load: &Load, schedule: Schedule) -> Result<Report> {
    let due = schedule.future_due()?;
    let jobs = Api::<PartialObjectMeta<Job>>::namespaced(client, &load.namespace);
    let mut events = Box::pin(watcher(jobs, watcher::Config::default()));
    let prefix = format!("{}-", load.prefix);
    let mut observed = Observed::default();
    loop {
        match events.next().await.context("the watch ended")?.context("watching Jobs")? {
            Event::InitDone => break,
            Event::InitApply(job) => drop(observed.record(&prefix, &job.metadata, Timestamp::now())),
            _ => {}
        }
    }
    protocol::ready().await?;
    let count = load.count * schedule.times();
    let start = Instant::now() + Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
    let mut last_activity = start;
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => {
                let event = event.context("the watch ended")?.context("watching Jobs")?;
                if let Event::Apply(job) | Event::InitApply(job) = event
                    && observed.record(&prefix, &job.metadata, Timestamp::now())
                {
                    last_activity = last_activity.max(Instant::now());
                }
            }
            _ = ticks.tick() => {
                Message::Progress { sent: count, done: observed.count() }.print()?;
                let limit = if observed.count() >= count { WAIT_FOR_REPEATED } else { load.inactivity_timeout };
                if Instant::now().saturating_duration_since(last_activity) >= limit {
                    break;
                }
            }
        }
    }
    let created = observed.last_created.map(|last| last.duration_since(due).as_secs_f64());
    Ok(Report {
        wall_seconds: last_activity.duration_since(start).as_secs_f64(),
        written_seconds: created.unwrap_or_default(),
        count,
        done: observed.count(),
        events: observed.repeated,
        latency_seconds: Latency::of(observed.late.into_values().collect()),
        ..Report::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(uid: &str, owner: &str, annotation: &str, time: &str) -> ObjectMeta {
        let reference = json!({"apiVersion": "v1", "kind": "Any", "name": owner, "uid": "u"});
        serde_json::from_value(json!({
            "uid": uid, "ownerReferences": [reference], "annotations": {annotation: time},
            "creationTimestamp": "2026-12-01T08:05:03Z",
        }))
        .expect("metadata")
    }

    #[test]
    fn a_second_job_of_a_run_is_counted_and_a_second_event_is_not() {
        let mut observed = Observed::default();
        let now = "2026-12-01T08:05:02Z".parse().expect("a time");
        let mut record = |uid: &str, owner: &str, annotation: &str, time: &str| {
            observed.record("at-", &job(uid, owner, annotation, time), now)
        };
        assert!(record("1", "at-00001", SCHEDULED_TIME, "2026-12-01T08:05:00Z"));
        assert!(!record("1", "at-00001", SCHEDULED_TIME, "2026-12-01T08:05:00Z"));
        assert!(record("2", "at-00001", SCHEDULED_TIME, "2026-12-01T08:05:01Z"));
        assert!(record("3", "at-00002", CRON_JOB_TIME, "2026-12-01T09:05:00+01:00"));
        assert!(!record("4", "other-00001", SCHEDULED_TIME, "2026-12-01T08:05:00Z"));
        assert!(record("5", "at-00002", CRON_JOB_TIME, "2026-12-01T08:05:00Z"));
        assert_eq!((observed.count(), observed.repeated), (3, 1));
        let mut late: Vec<u64> = observed.late.values().map(Duration::as_secs).collect();
        late.sort_unstable();
        assert_eq!(late, [1, 2, 2]);
    }
}
