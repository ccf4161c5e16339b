//! What the approval rules have to know about ScheduledTasks and TaskTemplates.

use std::collections::BTreeSet;

use crate::api::{GovernedChange, ScheduledTask, ScheduledTaskSpec, TaskTemplate, TaskTemplateSpec};
use crate::domain::approval::Governed;
use crate::domain::spec_diff::diff_fields;

/// What a change of the target is: everything that decides what is executed, and with which rights.
const TARGET_FIELDS: &[&str] = &["target", "template", "parameters", "onFailure", "shards"];

const ALL_CHANGES: &[GovernedChange] = &[GovernedChange::ChangeTarget, GovernedChange::Any];

impl Governed for ScheduledTask {
    type Facts = ();

    const ALL_CHANGES: &'static [GovernedChange] = ALL_CHANGES;
    const DELETION_FIELD: &'static str = "metadata";
    const KEEP_DATA: &'static str = "set spec.suspend: true, which keeps the task without running it";
    const DELETION_EFFECT: &'static str = "ends its schedule";

    fn classify(
        base: Option<&ScheduledTaskSpec>,
        new: &ScheduledTaskSpec,
        (): &(),
    ) -> BTreeSet<GovernedChange> {
        let is_retargeted = |base: &ScheduledTaskSpec| {
            base.target != new.target
                || base.template != new.template
                || base.parameters != new.parameters
                || base.on_failure != new.on_failure
                || base.shards != new.shards
        };
        classify(base.map(|base| (base == new, is_retargeted(base))))
    }

    fn depends_on_facts(_: Option<&ScheduledTaskSpec>, _: &ScheduledTaskSpec) -> bool {
        false
    }

    fn diff(base: Option<&ScheduledTaskSpec>, new: &ScheduledTaskSpec, (): &()) -> Vec<String> {
        diff_fields(base, new, TARGET_FIELDS)
    }

    fn destroys_data(_: &ScheduledTaskSpec) -> bool {
        true
    }

    fn describe_data(&self) -> String {
        "its schedule; the run log stays".into()
    }

    fn keep_data(_: &mut ScheduledTaskSpec) {}
}

impl Governed for TaskTemplate {
    type Facts = ();

    const ALL_CHANGES: &'static [GovernedChange] = ALL_CHANGES;
    const DELETION_FIELD: &'static str = "metadata";
    const KEEP_DATA: &'static str = "leave it unused";
    const DELETION_EFFECT: &'static str = "ends the schedules of the tasks that use it";

    fn classify(
        base: Option<&TaskTemplateSpec>,
        new: &TaskTemplateSpec,
        (): &(),
    ) -> BTreeSet<GovernedChange> {
        let is_retargeted =
            |base: &TaskTemplateSpec| base.target != new.target || base.parameters != new.parameters;
        classify(base.map(|base| (base == new, is_retargeted(base))))
    }

    fn depends_on_facts(_: Option<&TaskTemplateSpec>, _: &TaskTemplateSpec) -> bool {
        false
    }

    fn diff(base: Option<&TaskTemplateSpec>, new: &TaskTemplateSpec, (): &()) -> Vec<String> {
        diff_fields(base, new, TARGET_FIELDS)
    }

    fn destroys_data(_: &TaskTemplateSpec) -> bool {
        true
    }

    fn describe_data(&self) -> String {
        "the target of the tasks that use it".into()
    }

    fn keep_data(_: &mut TaskTemplateSpec) {}
}

/// `change` says about an existing spec whether it is equal, and whether its target differs.
fn classify(change: Option<(bool, bool)>) -> BTreeSet<GovernedChange> {
    use GovernedChange::{Any, ChangeTarget, Create};
    match change {
        None => BTreeSet::from([Create, Any]),
        Some((true, _)) => BTreeSet::new(),
        Some((false, true)) => BTreeSet::from([ChangeTarget, Any]),
        Some((false, false)) => BTreeSet::from([Any]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use GovernedChange::{Any, ChangeTarget, Create};

    #[test]
    fn whatever_decides_what_is_executed_is_a_change_of_the_target() {
        let base = task("{target: {http: {url: 'https://a/'}}, parameters: {a: b}}").spec;
        for (changed, expected) in [
            ("{target: {http: {url: 'https://a/'}}, parameters: {a: b}}", &[][..]),
            ("{target: {http: {url: 'https://a/'}}, parameters: {a: b}, suspend: true}", &[Any]),
            ("{target: {http: {url: 'https://b/'}}, parameters: {a: b}}", &[Any, ChangeTarget]),
            ("{target: {http: {url: 'https://a/'}}, parameters: {a: c}}", &[Any, ChangeTarget]),
            ("{template: t, parameters: {a: b}}", &[Any, ChangeTarget]),
            (
                "{target: {http: {url: 'https://a/'}}, parameters: {a: b}, onFailure: {http: {url: 'https://a/'}}}",
                &[Any, ChangeTarget],
            ),
        ] {
            let changes = ScheduledTask::classify(Some(&base), &task(changed).spec, &());
            assert_eq!(changes, expected.iter().copied().collect(), "{changed}");
        }
        assert_eq!(ScheduledTask::classify(None, &base, &()), BTreeSet::from([Create, Any]));
    }
}
