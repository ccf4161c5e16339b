//! The tasks and the CronJobs.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use eventcenter::api::ScheduledTask;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::Resource;
use serde_json::{Value, json};

/// What a task does, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An HTTP call in the far future.
    Idle,
    /// A container at the due time, once.
    At,
    /// A container each second, all at the same instant.
    Repeated,
    /// An HTTP call each second. The instants of the tasks are distributed evenly over the second.
    Calls,
}

/// The header of an HTTP call with the time that it was scheduled for.
pub(crate) const SCHEDULED: &str = "x-scheduled";

/// The header of an HTTP call with the id of the run.
pub(crate) const KEY: &str = "idempotency-key";

const PERIOD: Duration = Duration::from_secs(1);

impl Kind {
    /// The spec of one of `count` tasks that is due `times` times from `due` on.
    pub(crate) fn spec(
        self,
        number: u32,
        count: u32,
        due: Timestamp,
        times: u32,
        port: u16,
    ) -> Result<Value> {
        // Half a period after the last time.
        let end = PERIOD * times - PERIOD / 2;
        Ok(match self {
            Self::Idle => json!({"schedule": {"at": "2099-01-01T00:00:00Z"}, "target": call(port)}),
            Self::At => json!({"schedule": {"at": due}, "target": {"container": {"template": pod()}}}),
            Self::Repeated => json!({
                "schedule": {"every": "1s", "anchor": due, "notAfter": due.checked_add(end)?},
                "concurrency": {"policy": "Allow"},
                "target": {"container": {"template": pod()}},
            }),
            Self::Calls => {
                let anchor = due.checked_add(PERIOD * number / count.max(1))?;
                json!({
                    "schedule": {"every": "1s", "anchor": anchor, "notAfter": anchor.checked_add(end)?},
                    "concurrency": {"policy": "Allow"},
                    "target": call(port),
                })
            }
        })
    }
}

/// A container that ends at once.
fn pod() -> Value {
    json!({"spec": {
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
    }})
}

fn call(port: u16) -> Value {
    json!({"http": {
        "url": format!("http://127.0.0.1:{port}/"),
        "headers": [{"name": SCHEDULED, "value": "$(run.scheduledTime)"}],
    }})
}

/// A ScheduledTask.
pub(crate) fn task(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": ScheduledTask::api_version(&()), "kind": ScheduledTask::kind(&()),
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// A CronJob that is due in the minute of `due` only, with the same container.
pub(crate) fn cron_job(name: &str, due: Timestamp) -> Value {
    let time = due.to_zoned(TimeZone::UTC);
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": format!("{} {} {} {} *", time.minute(), time.hour(), time.day(), time.month()),
            "timeZone": "Etc/UTC",
            "jobTemplate": {"spec": {"template": pod()}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventcenter::domain::task::schedule::FixedRate;

    fn due() -> Timestamp {
        "2026-12-01T08:05:00Z".parse().expect("a time")
    }

    #[test]
    fn every_spec_is_that_of_a_scheduled_task() {
        for kind in Kind::value_variants() {
            let spec = kind.spec(3, 10, due(), 20, 8080).expect("a spec");
            serde_json::from_value::<ScheduledTask>(task("a", &spec)).expect("a ScheduledTask");
        }
    }

    #[test]
    fn a_repeated_task_is_due_as_often_as_asked() {
        for (kind, first) in
            [(Kind::Repeated, "2026-12-01T08:05:00Z"), (Kind::Calls, "2026-12-01T08:05:00.3Z")]
        {
            let spec = kind.spec(3, 10, due(), 20, 8080).expect("a spec");
            let time = |key: &str| -> Timestamp {
                serde_json::from_value(spec["schedule"][key].clone()).expect("a time")
            };
            assert_eq!(time("anchor"), first.parse().expect("a time"));
            let rate = FixedRate::new(PERIOD, time("anchor")).expect("a rate");
            let times = std::iter::successors(Some(rate.anchor()), |last| rate.next_after(*last));
            assert_eq!(times.take_while(|next| *next <= time("notAfter")).count(), 20);
        }
    }

    #[test]
    fn a_cron_job_is_due_in_one_minute_of_the_year() {
        assert_eq!(cron_job("a", due())["spec"]["schedule"], "5 8 1 12 *");
    }
}
