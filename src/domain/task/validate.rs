//! Checks a task by itself, by the rules of its tenant, and beside the other tasks of its namespace.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::{Definition, Target, TaskIndex};
use crate::api::{ScheduledTask, ScheduledTaskSpec, TaskTemplate};
use crate::domain::tenant::{TenantFacts, Tenants};
use crate::domain::{ObjectRef, Refusal};

/// What a task is validated against.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a> {
    /// The tenants.
    pub tenants: &'a Tenants,
    /// The tasks and templates.
    pub tasks: &'a TaskIndex,
}

/// Validates a task with this spec, its declared or its active one.
///
/// # Errors
/// The first field that breaks a rule, or what the task needs and does not exist.
pub fn validate(
    task: &ScheduledTask,
    spec: &ScheduledTaskSpec,
    neighbours: Neighbours<'_>,
) -> Result<Definition, Refusal> {
    let reference = ObjectRef::of(task);
    let tenant = neighbours.tenants.of_namespace(&reference.namespace)?;
    let template = neighbours.tasks.template_of(&reference.namespace, spec)?;
    let definition = Definition::read(spec, template, created(task), &tenant.tasks)?;
    neighbours.tasks.check_cycle(&reference, spec)?;
    check_quota(&reference, tenant, neighbours)?;
    Ok(definition)
}

/// Validates a template by itself. Its references to parameters are those that it declares.
///
/// # Errors
/// The first field that breaks a rule.
pub fn validate_template(template: &TaskTemplate, tenants: &Tenants) -> Result<(), Refusal> {
    let tenant = tenants.of_namespace(&template.namespace().unwrap_or_default())?;
    let target = Target::read("spec.target", &template.spec.target, &tenant.tasks)?;
    let declared = &template.spec.parameters;
    for name in target.parameters("spec.target")? {
        if !declared.iter().any(|parameter| parameter.name == name) {
            return Err(Refusal::at(
                Reason::InvalidResource,
                "spec.parameters",
                format!("$(params.{name}) is not declared: add the parameter {name}"),
            ));
        }
    }
    Ok(())
}

/// When a task was created; for one that is not stored yet the earliest time, which decides nothing.
#[must_use]
pub fn created(task: &ScheduledTask) -> Timestamp {
    task.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// The oldest tasks of a tenant are within its quota.
fn check_quota(task: &ObjectRef, tenant: &TenantFacts, neighbours: Neighbours<'_>) -> Result<(), Refusal> {
    let Some(quota) = tenant.limits.tasks else { return Ok(()) };
    let namespaces = neighbours.tenants.namespaces_of(tenant);
    let older = neighbours.tasks.count_older(task, namespaces);
    if i64::try_from(older).unwrap_or(i64::MAX) < quota {
        return Ok(());
    }
    Err(Refusal::at(
        Reason::TenantQuotaExceeded,
        "metadata",
        format!(
            "tenant {} may have {quota} tasks (quotas.tasks) and has {older} older ones: delete one that is no longer \
             needed, or ask the platform's administrator for a larger quota",
            tenant.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use crate::domain::testing::tenants;
    use expect_test::{Expect, expect};

    fn check(tenant: &str, spec: &str, expected: Expect) {
        let tenants = tenants(&[("shop", tenant)]);
        let mut tasks = TaskIndex::default();
        let older = task(
            "{metadata: {name: older, uid: 00000000-0000-0000-0000-000000000000}, target: {http: {url: 'https://a/'}}}",
        );
        tasks.set_task(&older, &older.spec);
        let template = ObjectRef::new::<TaskTemplate>("shop", "call");
        let spec_of_template = serde_yaml::from_str(
            "{parameters: [{name: path}, {name: query, default: q}], target: {http: {url: 'https://a/$(params.path)?$(params.query)'}}}",
        );
        tasks.set_template(&template, &spec_of_template.expect("a template"));
        let task = task(spec);
        let neighbours = Neighbours { tenants: &tenants, tasks: &tasks };
        let result = validate(&task, &task.spec, neighbours);
        expected.assert_eq(&result.map_or_else(
            |refusal| refusal.to_string(),
            |definition| format!("valid, with parameters {:?}", definition.parameters),
        ));
    }

    const SHOP: &str = "namespaces: [shop]";

    #[test]
    fn a_task_of_a_template_has_its_parameters() {
        check(
            SHOP,
            "{template: call, parameters: {path: x}}",
            expect![[r#"valid, with parameters {"path": "x", "query": "q"}"#]],
        );
        check(
            SHOP,
            "{template: call}",
            expect!["InvalidResource: spec.parameters.path: template call needs a value: set it"],
        );
        check(
            SHOP,
            "{template: call, parameters: {path: x, other: y}}",
            expect!["InvalidResource: spec.parameters.other: template call has no such parameter: remove it"],
        );
        check(
            SHOP,
            "{template: none}",
            expect![
                "TemplateNotFound: spec.template: there is no TaskTemplate none in namespace shop that is active: correct the name, or create it"
            ],
        );
    }

    #[test]
    fn schedules_are_checked() {
        let with =
            |schedule: &str| format!("{{schedule: {schedule}, target: {{http: {{url: 'https://a/'}}}}}}");
        for (schedule, expected) in [
            (
                "{cron: '0 25 * * *'}",
                expect![[
                    r#"InvalidResource: spec.schedule.cron: hour "25": 25 is above the maximum 23: write hours from 0 to 23, such as "30 8-18 * * *""#
                ]],
            ),
            (
                "{cron: '@daily', timeZone: Europe/Berln}",
                expect![[
                    r#"InvalidResource: spec.schedule.timeZone: "Europe/Berln" is not a time zone: write an IANA name. The nearest one is Europe/Berlin"#
                ]],
            ),
            (
                "{every: 500ms}",
                expect![
                    "InvalidResource: spec.schedule.every: the interval 500ms is too short: write at least 1s"
                ],
            ),
            (
                "{every: 1m, jitter: 25h}",
                expect!["InvalidResource: spec.schedule.jitter: the maximum is 24h: write a shorter time"],
            ),
            (
                "{after: [{task: nightly}]}",
                expect![
                    "InvalidResource: spec.schedule.after: the tasks would wait for one another: nightly after nightly; remove one of these dependencies"
                ],
            ),
            (
                "{}",
                expect![
                    "InvalidResource: spec.schedule: is empty: set exactly one of cron, every, at, after and onEvent"
                ],
            ),
        ] {
            check(SHOP, &with(schedule), expected);
        }
    }

    #[test]
    fn targets_and_tenants_are_checked() {
        check(
            SHOP,
            "{target: {http: {url: 'https://a/', body: '$(params.x)'}}}",
            expect!["InvalidResource: spec.parameters: $(params.x) has no value: add the parameter x"],
        );
        check(
            SHOP,
            "{target: {event: {topic: t, type: order}}}",
            expect![
                "InvalidResource: spec.target.event.type: event type `order` has no dot; name it {entity}.{action}, such as `user.created`"
            ],
        );
        check(
            SHOP,
            "{target: {http: {url: 'https://a/'}, event: {topic: t, type: Order.Created.v1}}}",
            expect!["InvalidResource: spec.target: set exactly one of container, http and event"],
        );
        check(
            "namespaces: [other]",
            "{target: {http: {url: 'https://a/'}}}",
            expect![
                "TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
        check(
            "{namespaces: [shop], quotas: {tasks: 1}}",
            "{target: {http: {url: 'https://a/'}}}",
            expect![
                "TenantQuotaExceeded: metadata: tenant shop may have 1 tasks (quotas.tasks) and has 1 older ones: delete one that is no longer needed, or ask the platform's administrator for a larger quota"
            ],
        );
        check(
            "{namespaces: [shop], quotas: {tasks: 2}}",
            "{target: {http: {url: 'https://a/'}}}",
            expect!["valid, with parameters {}"],
        );
        check(
            SHOP,
            "{timeout: '1', target: {http: {url: 'https://a/'}}}",
            expect![[
                r#"InvalidResource: spec.timeout: "1" is not a duration: write a number and its unit, such as 30s"#
            ]],
        );
        check(
            SHOP,
            "{target: {http: {url: 'https://a/'}}, onFailure: {http: {url: 'ftp://a/'}}}",
            expect![
                "InvalidResource: spec.onFailure.http.url: only http and https URLs are called: write https://HOST/PATH"
            ],
        );
        let with_body = |body: &str, action: &str| {
            format!(
                "{{target: {{http: {{url: 'https://a/', body: '{body}'}}}}, onFailure: {{http: {{url: 'https://a/', body: '{action}'}}}}}}"
            )
        };
        check(
            SHOP,
            &with_body("$(run.id)", "$(run.id) $(run.state) $(run.message)"),
            expect!["valid, with parameters {}"],
        );
        check(
            SHOP,
            &with_body("$(run.message)", ""),
            expect![
                "InvalidResource: spec.target: $(run.message) has a value in spec.onFailure only: remove it"
            ],
        );
        check(
            SHOP,
            &with_body("", "$(params.region)"),
            expect![
                "InvalidResource: spec.parameters: $(params.region) has no value: add the parameter region"
            ],
        );
    }
}
