//! When a ScheduledTask runs.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a task runs. Exactly one of `cron`, `every`, `at`, `after` and `onEvent` is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.cron), has(self.every), has(self.at), has(self.after), has(self.onEvent)].filter(x, x).size() == 1")
        .message("spec.schedule: set exactly one of cron, every, at, after and onEvent"),
    validation = Rule::new("!has(self.timeZone) || has(self.cron)")
        .message("spec.schedule.timeZone applies to cron only: remove it")
        .field_path(".timeZone"),
    validation = Rule::new("!has(self.dst) || has(self.cron)")
        .message("spec.schedule.dst applies to cron only: remove it")
        .field_path(".dst"),
    validation = Rule::new("!has(self.anchor) || has(self.every)")
        .message("spec.schedule.anchor applies to every only: remove it")
        .field_path(".anchor"),
    validation = Rule::new("!has(self.catchUpWindow) || !has(self.catchUp) || self.catchUp != 'Skip'")
        .message("spec.schedule.catchUpWindow has no effect with catchUp Skip: remove it")
        .field_path(".catchUpWindow"),
)]
pub struct TaskSchedule {
    /// Cron expression with five fields or a descriptor such as `@daily`, as in a Kubernetes CronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cron: Option<String>,

    /// IANA time zone of `cron`, such as `Europe/Berlin`. Defaults to `Etc/UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// How `cron` treats changes of daylight saving time. Defaults to `AsClock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstMode>,

    /// Fixed rate: the time between two runs, a number with the unit `s`, `m`, `h`, `d` or `w`, such as `30s`. At least `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,7}(s|m|h|d|w)$')").message("spec.schedule.every: write a number and its unit (s, m, h, d or w), such as 30s"))]
    pub every: Option<String>,

    /// A time of one run, from which `every` counts (RFC 3339). Defaults to the creation of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Timestamp>,

    /// The time of the only run (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,

    /// Tasks in the same namespace whose runs the task follows. It runs when a run of each of them has ended as declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["task"])
    )]
    pub after: Vec<Upstream>,

    /// Events that the task runs for, once for each event from the moment on when the task is Ready. The target may contain
    /// `$(event.id)`, `$(event.type)`, `$(event.source)`, `$(event.subject)`, `$(event.time)` and `$(event.data)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_event: Option<EventTrigger>,

    /// No run is planned before this time (RFC 3339). Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,

    /// No run is planned after this time (RFC 3339). Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,

    /// Maximum delay of each run, chosen at random, so that tasks of the same time spread. A number with the unit `s`, `m` or
    /// `h`, at most `24h`. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 7))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}(s|m|h)$')").message("spec.schedule.jitter: write a number and its unit (s, m or h), such as 30s"))]
    pub jitter: Option<String>,

    /// Which runs are made up for that could not start in time. A run at most 10 s late is in time. Defaults to `Latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUpMode>,

    /// Maximum lateness of a run that is made up for, a number with the unit `s`, `m`, `h`, `d` or `w`, such as `6h`.
    /// Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,7}(s|m|h|d|w)$')").message("spec.schedule.catchUpWindow: write a number and its unit (s, m, h, d or w), such as 6h"))]
    pub catch_up_window: Option<String>,
}

/// How a cron expression treats changes of daylight saving time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DstMode {
    /// As the clock on the wall: a skipped time does not run, a repeated time may run twice. Kubernetes CronJobs do this.
    #[default]
    AsClock,
    /// Each time runs once: a skipped time runs at the end of the gap, a repeated time runs at its first occurrence.
    Once,
}

/// Which runs are made up for that could not start in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CatchUpMode {
    /// None.
    Skip,
    /// The latest of them.
    #[default]
    Latest,
    /// All of them, oldest first.
    All,
}

/// A task whose runs another task follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// Name of the ScheduledTask.
    #[schemars(length(min = 1, max = 253))]
    pub task: String,
    /// How its run must have ended. Defaults to `Succeeded`.
    #[serde(default)]
    pub result: UpstreamResult,
}

/// How the run of an upstream task must have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpstreamResult {
    /// It succeeded.
    #[default]
    Succeeded,
    /// It failed or timed out.
    Failed,
    /// It succeeded, failed or timed out.
    Completed,
}

/// Events that a task runs for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTrigger {
    /// Name of the EventTopic, in the namespace of the task. Whoever writes the task must be allowed to read its events (verb `get`
    /// on `eventtopics/events`).
    #[schemars(length(min = 1, max = 253))]
    pub topic: String,
    /// Event types that the task runs for, which the topic must declare if it declares any. Defaults to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 255)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub types: Vec<String>,
}
