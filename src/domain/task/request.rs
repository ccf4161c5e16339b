//! Runs that users request, before the controllers plan them.

use std::collections::BTreeMap;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use uuid::Uuid;

use super::{NewRun, RunId, RunState, TaskKey, Trigger};
use crate::api::ScheduledTaskSpec;
use crate::domain::Refusal;

/// Maximum length of the id of a trigger by hand, in bytes.
const MAX_TRIGGER_ID_BYTES: usize = 128;

/// Checks the id of a trigger by hand, which is part of the identity of its run.
///
/// # Errors
/// It is empty, too long, or has other characters.
pub fn check_trigger_id(field: &str, id: &str) -> Result<(), Refusal> {
    let is_valid = !id.is_empty()
        && id.len() <= MAX_TRIGGER_ID_BYTES
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c));
    match is_valid {
        true => Ok(()),
        false => Err(Refusal::at(
            Reason::InvalidResource,
            field,
            format!(
                "a trigger id has 1 to {MAX_TRIGGER_ID_BYTES} letters, digits, '-', '_', '.', ':' and '/': write another one"
            ),
        )),
    }
}

/// Checks early whether a task has the parameters of a trigger. Those of a template are only known to the controllers, which
/// check again.
///
/// # Errors
/// The task has no such parameter.
pub fn check_parameters(
    spec: &ScheduledTaskSpec,
    replaced: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    if spec.target.is_none() {
        return Ok(());
    }
    let unknown = replaced.keys().find(|name| !spec.parameters.contains_key(*name));
    let Some(unknown) = unknown else { return Ok(()) };
    let names: Vec<&str> = spec.parameters.keys().map(String::as_str).collect();
    let remedy = match names.is_empty() {
        true => "the task has no parameters: omit it".to_owned(),
        false => format!("the task has no such parameter: write one of {}", names.join(", ")),
    };
    Err(Refusal::at(Reason::InvalidResource, format!("parameters.{unknown}"), remedy))
}

/// A run that is requested `now`. It begins a chain unless it belongs to one.
#[must_use]
pub fn new_run(task: &TaskKey, trigger: Trigger, chain: Option<Uuid>, now: Timestamp) -> NewRun {
    let id = RunId::of(task.uid, &trigger);
    NewRun {
        id,
        task: task.clone(),
        trigger,
        scheduled_at: now,
        due_at: now,
        state: RunState::Requested,
        executor: None,
        chain: chain.unwrap_or(id.0),
        parameters: BTreeMap::new(),
        work: None,
        requested_by: None,
        message: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::task;
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn parameters_are_those_of_the_task() {
        let check = |spec: &str, name: &str, expected: Expect| {
            let replaced = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            let result = check_parameters(&task(spec).spec, &replaced);
            expected.assert_eq(&result.map_or_else(|refusal| refusal.message(), |()| "accepted".into()));
        };
        let target = "target: {http: {url: 'https://a/'}}";
        check(&format!("{{{target}, parameters: {{day: a, size: b}}}}"), "day", expect!["accepted"]);
        check(
            &format!("{{{target}, parameters: {{day: a, size: b}}}}"),
            "days",
            expect!["parameters.days: the task has no such parameter: write one of day, size"],
        );
        check(
            &format!("{{{target}}}"),
            "day",
            expect!["parameters.day: the task has no parameters: omit it"],
        );
        check("{template: t}", "day", expect!["accepted"]);
    }

    #[test]
    fn a_trigger_id_is_short_and_plain() {
        for id in ["a", "2026-01-01T00:00:00/x.y_z", &"x".repeat(128)] {
            assert_eq!(check_trigger_id("id", id), Ok(()), "{id}");
        }
        for id in ["", "a b", "é", &"x".repeat(129)] {
            assert!(check_trigger_id("id", id).is_err(), "{id}");
        }
    }
}
