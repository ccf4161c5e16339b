//! Conditions that follow kstatus.
//!
//! `Ready` is always present. `Reconciling` and `Stalled` are abnormal-true: present only while true. A permanent refusal
//! is `Ready=False` with `Stalled=True`; work in progress is `Ready=False` with `Reconciling=True`.

use eventcenter_sdk::{Reason, ReasonClass};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::refusal::{Failure, Refusal};

/// Whether the spec is in effect.
pub const READY: &str = "Ready";
/// Present while the operator is working, or waiting for something that needs no user.
pub const RECONCILING: &str = "Reconciling";
/// Present while nothing will happen until a user changes something.
pub const STALLED: &str = "Stalled";

/// Maximum length of a message in bytes. Kubernetes allows 32,768; this stays readable.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Health of a resource, the source of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The spec is in effect.
    Ready(Reason, String),
    /// The spec will take effect without a user, or is retried until it does.
    Reconciling(Reason, String),
    /// The spec will not take effect until a user changes something.
    Stalled(Reason, String),
}

impl Health {
    /// The health of a refused resource. The class of the reason tells whether a user has to act.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        let health = match refusal.reason.class() {
            // `Steady` reasons, such as `Paused`, end only when a user decides so.
            ReasonClass::Refused | ReasonClass::Steady => Self::Stalled,
            ReasonClass::Waiting | ReasonClass::Failed => Self::Reconciling,
        };
        health(refusal.reason, refusal.message())
    }

    /// The health of a resource after a failed operation.
    #[must_use]
    pub fn after_failure(failure: &Failure) -> Self {
        let health = if failure.is_stalled { Self::Stalled } else { Self::Reconciling };
        health(failure.refusal.reason, failure.refusal.message())
    }

    /// The machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Ready(reason, _) | Self::Reconciling(reason, _) | Self::Stalled(reason, _) => *reason,
        }
    }
}

/// Builds the conditions of a status from the previous ones.
#[derive(Debug)]
pub struct Conditions<'a> {
    previous: &'a [Condition],
    conditions: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Starts from the previous conditions. Those that are not set again are dropped.
    #[must_use]
    pub fn from_previous(previous: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { previous, conditions: Vec::with_capacity(previous.len() + 1), generation, now }
    }

    /// Sets a condition. `lastTransitionTime` changes only with the status.
    pub fn set(&mut self, type_: &str, status: bool, reason: Reason, message: &str) {
        let status = if status { "True" } else { "False" };
        let last_transition_time = find(self.previous, type_)
            .filter(|before| before.status == status)
            .map_or(Time(self.now), |before| before.last_transition_time.clone());
        self.conditions.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: truncate(message),
            observed_generation: self.generation,
            last_transition_time,
        });
    }

    /// Keeps a previous condition, including its `observedGeneration`.
    pub fn keep(&mut self, type_: &str) {
        if let Some(before) = find(self.previous, type_) {
            self.conditions.push(before.clone());
        }
    }

    /// Adds a finished condition.
    pub fn push(&mut self, condition: Condition) {
        self.conditions.push(condition);
    }

    /// Sets `Ready`, `Reconciling` and `Stalled`.
    pub fn set_health(&mut self, health: &Health) {
        match health {
            Health::Ready(reason, message) => self.set(READY, true, *reason, message),
            Health::Reconciling(reason, message) => {
                self.set(READY, false, *reason, message);
                self.set(RECONCILING, true, *reason, message);
            }
            Health::Stalled(reason, message) => {
                self.set(READY, false, *reason, message);
                self.set(STALLED, true, *reason, message);
            }
        }
    }

    /// The resulting conditions.
    #[must_use]
    pub fn finish(self) -> Vec<Condition> {
        self.conditions
    }
}

/// Finds a condition by type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// When `Ready` became false, if it is.
#[must_use]
pub fn failing_since(conditions: &[Condition]) -> Option<Timestamp> {
    find(conditions, READY).filter(|ready| ready.status == "False").map(|ready| ready.last_transition_time.0)
}

fn truncate(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    let end = (0..=MAX_MESSAGE_BYTES - 3).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn print(conditions: &[Condition]) -> String {
        conditions
            .iter()
            .map(|c| {
                format!(
                    "{}={} {} gen {} since {}",
                    c.type_,
                    c.status,
                    c.reason,
                    c.observed_generation.unwrap_or(0),
                    c.last_transition_time.0.as_second()
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn step(before: &[Condition], generation: i64, second: i64, health: &Health) -> Vec<Condition> {
        let mut conditions = Conditions::from_previous(before, Some(generation), at(second));
        conditions.set_health(health);
        conditions.finish()
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let waiting = Health::Reconciling(Reason::KafkaUnavailable, "no answer".into());
        let refused = Health::Stalled(Reason::NotSupported, "no".into());
        let ready = Health::Ready(Reason::Available, "fine".into());

        let first = step(&[], 1, 10, &waiting);
        expect_test::expect![[r"
            Ready=False KafkaUnavailable gen 1 since 10
            Reconciling=True KafkaUnavailable gen 1 since 10"]]
        .assert_eq(&print(&first));

        let second = step(&first, 2, 20, &refused);
        expect_test::expect![[r"
            Ready=False NotSupported gen 2 since 10
            Stalled=True NotSupported gen 2 since 20"]]
        .assert_eq(&print(&second));
        assert_eq!(failing_since(&second), Some(at(10)));

        let third = step(&second, 2, 30, &ready);
        expect_test::expect![[r"Ready=True Available gen 2 since 30"]].assert_eq(&print(&third));
        assert_eq!(failing_since(&third), None);
    }

    #[test]
    fn a_message_is_truncated_between_characters() {
        let long = "ü".repeat(MAX_MESSAGE_BYTES);
        let cut = truncate(&long);
        assert!(cut.len() <= MAX_MESSAGE_BYTES && cut.ends_with("..."));
        assert_eq!(truncate("short"), "short");
    }
}
