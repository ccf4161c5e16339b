//! Admission of ScheduledTasks and TaskTemplates.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::{Change, Verdict, summarize};
use crate::api::{EventTopic, MANAGED, PAUSED, ScheduledTask, TRIGGER, TaskTemplate};
use crate::domain::management::management_mode;
use crate::domain::task::request::check_trigger_id;
use crate::domain::task::schedule::Schedule;
use crate::domain::task::{Definition, Target, Timing, validate, validate_template};
use crate::domain::topic::validate::suspended;
use crate::domain::{Catalog, ObjectRef, Refusal};

/// Validates a change of a ScheduledTask. A delete is always allowed.
#[must_use]
pub fn task(change: &Change<'_, ScheduledTask>, catalog: &Catalog) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(_) => return Verdict::default(),
    };
    if let Err(refusal) = check_trigger(old, new) {
        return Verdict::refused(refusal);
    }
    if !validates_task(old, new) {
        return Verdict::default();
    }
    let result = check_tenant(new, catalog)
        .and_then(|()| management_mode(new).map(drop))
        .and_then(|()| validate(new, &new.spec, catalog.task_neighbours()));
    match result {
        Ok(_) => Verdict::default(),
        // The template may be applied after the task.
        Err(refusal) if refusal.reason == Reason::TemplateNotFound => {
            Verdict { refusals: Vec::new(), warnings: vec![refusal.message()] }
        }
        Err(refusal) => Verdict::refused(refusal),
    }
}

/// Risks of a valid change of a ScheduledTask, one sentence each.
#[must_use]
pub fn task_warnings(change: &Change<'_, ScheduledTask>, catalog: &Catalog, now: Timestamp) -> Vec<String> {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(_) => return Vec::new(),
    };
    match validates_task(old, new).then(|| validate(new, &new.spec, catalog.task_neighbours())) {
        Some(Ok(definition)) => warnings(new, &definition, catalog, now),
        _ => Vec::new(),
    }
}

fn validates_task(old: Option<&ScheduledTask>, new: &ScheduledTask) -> bool {
    old.is_none_or(|old| is_governed(old, new, old.spec == new.spec))
}

/// Validates a change of a TaskTemplate. A delete is always allowed: tasks that use it are no longer Ready.
#[must_use]
pub fn task_template(change: &Change<'_, TaskTemplate>, catalog: &Catalog) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(old) => return Verdict { refusals: Vec::new(), warnings: users(old, catalog) },
    };
    if old.is_some_and(|old| !is_governed(old, new, old.spec == new.spec)) {
        return Verdict::default();
    }
    let result = check_tenant(new, catalog)
        .and_then(|()| management_mode(new).map(drop))
        .and_then(|()| validate_template(new, catalog.tenants()));
    result.map_or_else(Verdict::refused, |()| Verdict::default())
}

/// Whether an update changes anything that the rules validate.
fn is_governed<K: kube::Resource>(old: &K, new: &K, has_same_spec: bool) -> bool {
    let annotations = |resource: &K| [PAUSED, MANAGED].map(|key| resource.annotations().get(key).cloned());
    new.meta().deletion_timestamp.is_none() && (!has_same_spec || annotations(old) != annotations(new))
}

fn check_tenant(resource: &impl kube::Resource, catalog: &Catalog) -> Result<(), Refusal> {
    let tenant = catalog.tenants().of_namespace(&resource.namespace().unwrap_or_default())?;
    match tenant.suspended {
        Some(_) => Err(suspended(tenant)),
        None => Ok(()),
    }
}

/// The id of a trigger is part of the identity of its run.
fn check_trigger(old: Option<&ScheduledTask>, new: &ScheduledTask) -> Result<(), Refusal> {
    let trigger = |task: &ScheduledTask| task.annotations().get(TRIGGER).cloned();
    let Some(id) = trigger(new).filter(|id| old.and_then(trigger).as_ref() != Some(id)) else {
        return Ok(());
    };
    check_trigger_id(&format!("metadata.annotations[{TRIGGER}]"), &id)
}

fn warnings(task: &ScheduledTask, definition: &Definition, catalog: &Catalog, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    let namespace = task.namespace().unwrap_or_default();
    match &definition.timing {
        Timing::Time { timetable, .. } => {
            let is_container = matches!(definition.target, Target::Container(_));
            match (timetable.next_after(now), &timetable.schedule) {
                (None, Schedule::At(at)) if *at <= now => {
                    warnings.push(
                        "spec.schedule.at: the time has passed, so the task does not run: write a later one"
                            .into(),
                    );
                }
                (None, _) => warnings.push("spec.schedule: the task is never due from now on".into()),
                (Some(_), Schedule::Every(rate)) if is_container && rate.period().as_secs() < 30 => {
                    warnings.push("spec.schedule.every: a pod takes seconds to start: for intervals below 30s use the target http or event".into());
                }
                _ => {}
            }
        }
        Timing::After(upstream) => {
            let missing = upstream.iter().filter(|upstream| {
                !catalog.tasks().has_task(&ObjectRef::new::<ScheduledTask>(&namespace, &upstream.task))
            });
            if let Some(missing) = summarize(missing.map(|upstream| &upstream.task)) {
                warnings.push(format!(
                    "spec.schedule.after: no such tasks in namespace {namespace} yet: {missing}"
                ));
            }
        }
        Timing::Manual | Timing::OnEvent(_) => {}
    }
    let topics = [
        match &definition.target {
            Target::Event(target) => Some(("spec.target.event.topic", &target.topic)),
            _ => None,
        },
        match &definition.timing {
            Timing::OnEvent(trigger) => Some(("spec.schedule.onEvent.topic", &trigger.topic)),
            _ => None,
        },
    ];
    for (field, topic) in topics.into_iter().flatten() {
        if !catalog.has_topic(&ObjectRef::new::<EventTopic>(&namespace, topic)) {
            warnings.push(format!("{field}: there is no EventTopic {topic} in namespace {namespace} yet"));
        }
    }
    warnings
}

fn users(template: &TaskTemplate, catalog: &Catalog) -> Vec<String> {
    let users = catalog.tasks().users_of(&ObjectRef::of(template));
    summarize(users.iter())
        .map(|users| format!("these tasks use the template and stop without it: {users}"))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::domain::task::testing;
    use crate::domain::testing::catalog;
    use expect_test::{Expect, expect};

    fn check(tenant: &str, old: Option<&str>, new: &str, expected: Expect) {
        let catalog = catalog(&[("shop", tenant)], &[("main", true)]);
        let (old, new) = (old.map(testing::task), testing::task(new));
        let change = match &old {
            Some(old) => Change::Update { old, new: &new },
            None => Change::Create(&new),
        };
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let verdict = task(&change, &catalog);
        let warnings = task_warnings(&change, &catalog, now);
        expected.assert_eq(&print(&verdict.and(Verdict { refusals: Vec::new(), warnings })));
    }

    const SHOP: &str = "namespaces: [shop]";
    const CALL: &str = "target: {http: {url: 'https://a/'}}";

    #[test]
    fn a_valid_task_is_allowed_and_an_invalid_one_refused() {
        check(SHOP, None, &format!("{{schedule: {{cron: '@daily'}}, {CALL}}}"), expect!["allowed"]);
        check(
            SHOP,
            None,
            &format!("{{schedule: {{cron: '@dayly'}}, {CALL}}}"),
            expect![[
                r#"refused: InvalidResource: spec.schedule.cron: "@dayly" is not a descriptor: write @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, or an interval such as "@every 1h30m""#
            ]],
        );
        check(
            "{namespaces: [shop], suspended: true}",
            None,
            &format!("{{{CALL}}}"),
            expect![
                "refused: TenantSuspended: tenant shop is suspended, so its resources cannot be created or changed: ask the platform's administrator to set spec.suspended: false in the Tenant"
            ],
        );
    }

    #[test]
    fn risks_are_warnings() {
        check(
            SHOP,
            None,
            "{template: later}",
            expect![
                "warning: spec.template: there is no TaskTemplate later in namespace shop that is active: correct the name, or create it"
            ],
        );
        check(
            SHOP,
            None,
            &format!("{{schedule: {{cron: '0 0 30 2 *'}}, {CALL}}}"),
            expect!["warning: spec.schedule: the task is never due from now on"],
        );
        check(
            SHOP,
            None,
            &format!("{{schedule: {{at: '2026-01-01T00:00:00Z'}}, {CALL}}}"),
            expect![
                "warning: spec.schedule.at: the time has passed, so the task does not run: write a later one"
            ],
        );
        check(
            SHOP,
            None,
            &format!("{{schedule: {{after: [{{task: later}}]}}, {CALL}}}"),
            expect!["warning: spec.schedule.after: no such tasks in namespace shop yet: later"],
        );
        check(
            SHOP,
            None,
            "{target: {event: {topic: later, type: Order.Created.v1}}}",
            expect!["warning: spec.target.event.topic: there is no EventTopic later in namespace shop yet"],
        );
        check(
            SHOP,
            None,
            "{schedule: {every: 1s}, target: {container: {template: {spec: {containers: [{name: a, image: x}]}}}}}",
            expect![
                "warning: spec.schedule.every: a pod takes seconds to start: for intervals below 30s use the target http or event"
            ],
        );
    }

    #[test]
    fn unchanged_specs_and_triggers_are_not_validated_again() {
        let suspended = "{namespaces: [shop], suspended: true}";
        let with =
            |id: &str| format!("{{metadata: {{annotations: {{eventcenter.io/trigger: '{id}'}}}}, {CALL}}}");
        check(suspended, Some(&format!("{{{CALL}}}")), &with("2026-01"), expect!["allowed"]);
        check(
            SHOP,
            Some(&format!("{{{CALL}}}")),
            &with("a b"),
            expect![
                "refused: InvalidResource: metadata.annotations[eventcenter.io/trigger]: a trigger id has 1 to 128 letters, digits, '-', '_', '.', ':' and '/': write another one"
            ],
        );
    }
}
