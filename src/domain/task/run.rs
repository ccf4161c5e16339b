//! Runs: one execution of a task, with its attempts.
//!
//! The identity of a run is derived from its task and its cause: two processes that plan the same occurrence, or two
//! deliveries of the same trigger, name the same run, and the store accepts it once.

use std::collections::BTreeMap;
use std::fmt;

use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Implements `as_str`, `Display` and `FromStr` for enums whose variants are words of the API.
macro_rules! words {
    ($($name:ident { $($variant:ident),+ $(,)? })+) => {$(
        impl $name {
            /// The word in CamelCase.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $(stringify!($variant) => Ok(Self::$variant),)+
                    _ => Err(format!("{word:?} is unknown: write {}", [$(stringify!($variant)),+].join(", "))),
                }
            }
        }
    )+};
}
/// A task by namespace, name and uid. A task that is deleted and created again is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// Its tenant.
    pub tenant: TenantName,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: Uuid,
}

/// The identity of a run, a UUID of version 8 (RFC 9562). HTTP calls carry it as `Idempotency-Key`, and the names of Jobs
/// contain its first digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The run of a task with this cause.
    #[must_use]
    pub fn of(task: Uuid, trigger: &Trigger) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(task.as_bytes());
        hasher.update(trigger.key().as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize()[..16]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a run exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Trigger {
    /// An occurrence of the schedule, also one that a backfill requests: the same time never runs twice.
    Schedule {
        /// The time of the occurrence, before the jitter.
        time: Timestamp,
    },
    /// A user, by command line, REST API or annotation.
    Manual {
        /// The id that the user chose; the same id never runs twice.
        id: String,
    },
    /// The end of the runs that the task depends on.
    Upstream {
        /// The chain that these runs belong to. After a repetition of a run of the chain, the repetition.
        chain: Uuid,
    },
    /// An event.
    Event {
        /// The Kafka topic, partition and offset, such as `shop.orders/3/42`.
        position: String,
        /// Kafka's id of the topic: one that is created again has the same positions.
        #[serde(default)]
        topic_id: String,
    },
    /// A failed run that a user runs again.
    Rerun {
        /// The failed run.
        of: RunId,
        /// The number of the repetition, from 1.
        number: u32,
    },
    /// The failure of a run: the action `spec.onFailure` of the task. It is no run of the task itself, so it counts neither for
    /// its concurrency nor in its status.
    Failure {
        /// The failed run.
        of: RunId,
    },
}

impl Trigger {
    /// Whether the run is a failure action of its task.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failure { .. })
    }

    /// What makes the trigger unique within its task.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Schedule { time } => format!("schedule/{}", time.as_microsecond()),
            Self::Manual { id } => format!("manual/{id}"),
            Self::Upstream { chain } => format!("upstream/{chain}"),
            Self::Event { position, topic_id } => format!("event/{topic_id}/{position}"),
            Self::Rerun { of, number } => format!("rerun/{of}/{number}"),
            Self::Failure { of } => format!("failure/{of}"),
        }
    }

    /// The word for statuses, metrics and the command line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Schedule { .. } => "Schedule",
            Self::Manual { .. } => "Manual",
            Self::Upstream { .. } => "Upstream",
            Self::Event { .. } => "Event",
            Self::Rerun { .. } => "Rerun",
            Self::Failure { .. } => "Failure",
        }
    }
}

/// Who executes a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Executor {
    /// Kubernetes' CronJob controller; the operator observes its Jobs.
    CronJob,
    /// A Job that the operator creates.
    Job,
    /// The role `runner`: HTTP calls and events, without a pod.
    Runner,
}

words! {
    Executor { CronJob, Job, Runner }
    RunState {
        Requested, Queued, Ready, Running, Succeeded, Failed, TimedOut, Cancelled, Missed, Skipped,
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunState {
    /// A user requested it; the controllers have not planned it yet.
    Requested,
    /// Waits for other runs, because of the concurrency policy, a group or the tenant's limit.
    Queued,
    /// May start at its due time.
    Ready,
    /// An attempt is running.
    Running,
    /// Ended as expected.
    Succeeded,
    /// The last attempt failed.
    Failed,
    /// The last attempt exceeded its timeout.
    TimedOut,
    /// A user, or the concurrency policy `Replace`, ended it.
    Cancelled,
    /// It was not started in time.
    Missed,
    /// It was not started because of the concurrency policy or a condition.
    Skipped,
}

impl RunState {
    /// Whether the run has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Requested | Self::Queued | Self::Ready | Self::Running)
    }
}

/// The result of an attempt or a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the container.
    pub exit_code: Option<i32>,
    /// Status of the HTTP response.
    pub http_status: Option<u16>,
    /// What happened, for people; without values of Secrets. At most 4 KiB.
    pub message: Option<String>,
    /// Number of items that the program reports as processed.
    pub items: Option<i64>,
    /// Number of items that the program reports as failed.
    pub errors: Option<i64>,
    /// The end of the log or the response; without values of Secrets. At most 64 KiB.
    pub log_tail: Option<String>,
}

/// A run to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its identity, [`RunId::of`] its task and trigger.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// Its cause.
    pub trigger: Trigger,
    /// The time that it is planned for; for a trigger without a time, when it was requested.
    pub scheduled_at: Timestamp,
    /// When it may start: the scheduled time and the jitter.
    pub due_at: Timestamp,
    /// Its first state. A final one (`Missed`, `Skipped`) is also its last.
    pub state: RunState,
    /// Who executes it; `None` while it is requested.
    pub executor: Option<Executor>,
    /// The runs that follow from one another have the same chain: the id of the first of them.
    pub chain: Uuid,
    /// Values that replace the task's parameters.
    pub parameters: BTreeMap<String, String>,
    /// What the executor does, rendered from the task, as JSON; `None` until it is known. At most 1 MiB.
    pub work: Option<String>,
    /// The user who requested it; `None` if no user did.
    pub requested_by: Option<String>,
    /// Why it is queued, missed or skipped, for people.
    pub message: Option<String>,
}

/// A stored run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// Its task.
    pub task: TaskKey,
    /// Its cause.
    pub trigger: Trigger,
    /// The time that it is planned for.
    pub scheduled_at: Timestamp,
    /// When it, or its next attempt, may start.
    pub due_at: Timestamp,
    /// Its state.
    pub state: RunState,
    /// Who executes it.
    pub executor: Option<Executor>,
    /// The runs that follow from one another have the same chain.
    pub chain: Uuid,
    /// Values that replace the task's parameters.
    pub parameters: BTreeMap<String, String>,
    /// What the executor does, as JSON.
    pub work: Option<String>,
    /// The user who requested it.
    pub requested_by: Option<String>,
    /// The user who cancelled it, or the rule that did.
    pub cancelled_by: Option<String>,
    /// Number of attempts that have started.
    pub attempts: u32,
    /// When the first attempt started.
    pub started_at: Option<Timestamp>,
    /// When the run ended.
    pub ended_at: Option<Timestamp>,
    /// The result of the last attempt; its log tail is only in the attempt.
    pub outcome: Outcome,
    /// Name of the Job, or of the runner that claimed it.
    pub executed_by: Option<String>,
}

/// One try of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its run.
    pub run: RunId,
    /// Its number, from 1.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is running.
    pub ended_at: Option<Timestamp>,
    /// Its state: `Running` or a final state.
    pub state: RunState,
    /// Its result.
    pub outcome: Outcome,
    /// Name of the pod, or of the runner.
    pub executed_by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_names_the_same_run() {
        let task = Uuid::from_u128(7);
        let at = |second| Trigger::Schedule { time: Timestamp::from_second(second).expect("in range") };
        assert_eq!(RunId::of(task, &at(60)), RunId::of(task, &at(60)));
        assert_ne!(RunId::of(task, &at(60)), RunId::of(task, &at(61)));
        assert_ne!(RunId::of(task, &at(60)), RunId::of(Uuid::from_u128(8), &at(60)));
        let manual = Trigger::Manual { id: "60000000".into() };
        assert_ne!(RunId::of(task, &at(60)), RunId::of(task, &manual));
        assert_eq!(RunId::of(task, &at(60)).0.get_version_num(), 8);
    }

    #[test]
    fn words_are_parsed_as_they_are_written() {
        for state in [RunState::Requested, RunState::TimedOut, RunState::Skipped] {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("Done".parse::<RunState>().is_err());
        assert!(RunState::Missed.is_final() && !RunState::Running.is_final());
    }
}
