//! The rights that a user needs who writes a target: whoever declares what the operator does must be allowed to do it.

use std::collections::BTreeSet;

use super::http;
use crate::api::{FailureAction, HttpTarget, TaskSchedule, TaskTarget};

/// A right in the namespace of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To create Jobs: the operator creates them for a container target.
    CreateJobs,
    /// To read a Secret: its value is sent to the server that the task calls.
    ReadSecret(String),
    /// To create tokens of a ServiceAccount: the task sends one.
    CreateToken(String),
    /// To publish events to an EventTopic (verb `create` on `eventtopics/events`).
    Publish(String),
    /// To read the events of an EventTopic (verb `get` on `eventtopics/events`).
    Consume(String),
}

impl Right {
    /// The right as `kubectl auth can-i` names it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::CreateJobs => "create jobs.batch".into(),
            Self::ReadSecret(name) => format!("get secrets/{name}"),
            Self::CreateToken(name) => format!("create serviceaccounts/{name} --subresource=token"),
            Self::Publish(name) => format!("create eventtopics.eventcenter.io/{name} --subresource=events"),
            Self::Consume(name) => format!("get eventtopics.eventcenter.io/{name} --subresource=events"),
        }
    }
}

/// The rights that a target and a failure action need, each with the field that needs it.
#[must_use]
pub fn rights_of(
    target: Option<&TaskTarget>,
    action: Option<&FailureAction>,
) -> BTreeSet<(&'static str, Right)> {
    let mut all = BTreeSet::new();
    if let Some(target) = target {
        if target.container.is_some() {
            all.insert(("spec.target.container", Right::CreateJobs));
        }
        target.http.iter().for_each(|target| of_http("spec.target.http", target, &mut all));
        let event = target.event.as_ref().map(|target| Right::Publish(target.topic.clone()));
        all.extend(event.map(|right| ("spec.target.event.topic", right)));
    }
    if let Some(action) = action {
        action.http.iter().for_each(|target| of_http("spec.onFailure.http", target, &mut all));
        let event = action.event.as_ref().map(|target| Right::Publish(target.topic.clone()));
        all.extend(event.map(|right| ("spec.onFailure.event.topic", right)));
    }
    all
}

/// The right that a schedule needs, with the field that needs it.
#[must_use]
pub fn right_of_schedule(schedule: Option<&TaskSchedule>) -> Option<(&'static str, Right)> {
    let trigger = schedule?.on_event.as_ref()?;
    Some(("spec.schedule.onEvent.topic", Right::Consume(trigger.topic.clone())))
}

fn of_http(field: &'static str, target: &HttpTarget, all: &mut BTreeSet<(&'static str, Right)>) {
    all.extend(http::secrets(target).map(|key| (field, Right::ReadSecret(key.name.clone()))));
    let token = target.service_account_token.as_ref();
    all.extend(token.map(|token| (field, Right::CreateToken(token.service_account_name.clone()))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::expect;

    #[test]
    fn each_target_needs_the_right_to_do_the_same() {
        let print = |yaml: &str| {
            let spec = task(yaml).spec;
            let rights = rights_of(spec.target.as_ref(), spec.on_failure.as_ref());
            rights
                .iter()
                .map(|(field, right)| format!("{field}: {}", right.describe()))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let spec = task("{schedule: {onEvent: {topic: orders}}, template: t}").spec;
        let (field, right) = right_of_schedule(spec.schedule.as_ref()).expect("a right");
        expect!["spec.schedule.onEvent.topic: get eventtopics.eventcenter.io/orders --subresource=events"]
            .assert_eq(&format!("{field}: {}", right.describe()));
        assert_eq!(
            right_of_schedule(task("{schedule: {every: 1m}, template: t}").spec.schedule.as_ref()),
            None
        );
        expect!["spec.target.container: create jobs.batch"]
            .assert_eq(&print("{target: {container: {template: {spec: {}}}}}"));
        expect![[r#"
            spec.onFailure.event.topic: create eventtopics.eventcenter.io/alerts --subresource=events
            spec.target.http: get secrets/s
            spec.target.http: create serviceaccounts/ci --subresource=token"#]].assert_eq(&print(
            "{target: {http: {url: 'https://a/', headers: [{name: a, valueFrom: {secretKeyRef: {name: s, key: k}}}], serviceAccountToken: {serviceAccountName: ci, audience: a}}}, onFailure: {event: {topic: alerts, type: A.B.v1}}}",
        ));
    }
}
