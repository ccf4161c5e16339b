//! Conditions as kstatus reads them.
//!
//! `Ready` is always there. `Reconciling` and `Stalled` are there only while they are true, which
//! is what kstatus calls abnormal-true: refused for good is `Ready=False` with `Stalled=True`,
//! still being worked on is `Ready=False` with `Reconciling=True`.

use eventcenter_sdk::{Reason, ReasonClass};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::refusal::{Failure, Refusal};

/// Whether what is declared is in force.
pub const READY: &str = "Ready";
/// Present while the operator works, or waits for something that will come by itself.
pub const RECONCILING: &str = "Reconciling";
/// Present while nothing will happen until somebody changes something.
pub const STALLED: &str = "Stalled";

/// Kubernetes bounds a condition's message at 32,768 bytes; ours stay readable.
const MESSAGE_LIMIT: usize = 4096;

/// How a resource is doing, before it is spelled out in conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// What is declared is in force.
    Ready(Reason, String),
    /// It will become true without anybody's help, or is tried again until it does.
    Reconciling(Reason, String),
    /// It will not become true until something is changed.
    Stalled(Reason, String),
}

impl Health {
    /// How a resource is doing of which something is refused: whether somebody has to act is a
    /// property of the reason.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        let health = match refusal.reason.class() {
            // What waits because somebody wants it so goes on when somebody wants otherwise.
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

    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Ready(reason, _) | Self::Reconciling(reason, _) | Self::Stalled(reason, _) => *reason,
        }
    }
}

/// Conditions in the making: what was before, and when now is.
#[derive(Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    after: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Starts from what the status had before. Conditions that are not set again are dropped.
    #[must_use]
    pub fn after(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self { before, after: Vec::with_capacity(before.len() + 1), generation, now }
    }

    /// Sets one condition. The time of its last transition changes only with its status.
    pub fn set(&mut self, type_: &str, status: bool, reason: Reason, message: &str) {
        let status = if status { "True" } else { "False" };
        let last_transition_time = find(self.before, type_)
            .filter(|before| before.status == status)
            .map_or(Time(self.now), |before| before.last_transition_time.clone());
        self.after.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: bounded(message),
            observed_generation: self.generation,
            last_transition_time,
        });
    }

    /// Keeps a condition as it was, the generation it spoke of included.
    pub fn keep(&mut self, type_: &str) {
        if let Some(before) = find(self.before, type_) {
            self.after.push(before.clone());
        }
    }

    /// Takes a condition over as it is.
    pub fn take(&mut self, condition: Condition) {
        self.after.push(condition);
    }

    /// Spells out how the resource is doing.
    pub fn health(&mut self, health: &Health) {
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

    /// The finished list.
    #[must_use]
    pub fn finish(self) -> Vec<Condition> {
        self.after
    }
}

/// The condition of that type, if there is one.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Since when the resource has not been ready, if it is not.
#[must_use]
pub fn failing_since(conditions: &[Condition]) -> Option<Timestamp> {
    find(conditions, READY).filter(|ready| ready.status == "False").map(|ready| ready.last_transition_time.0)
}

fn bounded(message: &str) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message.to_owned();
    }
    let end = (0..=MESSAGE_LIMIT - 3).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
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
        let mut conditions = Conditions::after(before, Some(generation), at(second));
        conditions.health(health);
        conditions.finish()
    }

    #[test]
    fn the_time_of_transition_moves_with_the_status_only() {
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
    fn a_message_is_cut_between_characters() {
        let long = "ü".repeat(MESSAGE_LIMIT);
        let cut = bounded(&long);
        assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with("..."));
        assert_eq!(bounded("short"), "short");
    }
}
