//! Verdicts on templates and tasks.

use eventcenter_sdk::{Reason, TenantName};

use super::change::change_of;
use crate::api::{ScheduledTask, ScheduledTaskSpec, TaskTemplate};
use crate::domain::admission::{self, Verdict};
use crate::domain::callback::HostPolicy;
use crate::domain::task::validate::created;
use crate::domain::task::{Definition, TaskIndex, TaskRules};
use crate::domain::{Catalog, ObjectRef, Refusal};

/// Tasks and templates, each with the position of its manifest.
#[derive(Clone, Copy)]
pub(super) struct Tasks<'a> {
    pub(super) tasks: &'a [(usize, ScheduledTask)],
    pub(super) templates: &'a [(usize, TaskTemplate)],
}

impl Tasks<'_> {
    /// The verdicts on templates and tasks. A folder is applied in any order, so all of them are in the catalog first.
    pub(super) fn judge(self, old: Tasks<'_>, catalog: &mut Catalog) -> Vec<(usize, Verdict)> {
        for (_, template) in self.templates {
            catalog.tasks_mut().set_template(&ObjectRef::of(template), &template.spec);
        }
        for (_, task) in self.tasks {
            catalog.tasks_mut().set_task(task, &task.spec);
        }
        let templates = self.templates.iter().map(|(manifest, template)| {
            (*manifest, admission::task_template(&change_of(old.templates, template), catalog))
        });
        let tasks = self.tasks.iter().map(|(manifest, task)| (*manifest, judge_task(task, old, catalog)));
        templates.chain(tasks).collect()
    }
}

fn judge_task(task: &ScheduledTask, old: Tasks<'_>, catalog: &Catalog) -> Verdict {
    let mut verdict = admission::task(&change_of(old.tasks, task), catalog);
    let has_no_tenant = |refusal: &Refusal| refusal.reason == Reason::TenantNotFound;
    if verdict.refusals.iter().any(has_no_tenant) {
        verdict.refusals.extend(check_without_tenant(task, &task.spec, catalog.tasks()).err());
    }
    verdict
}

/// Checks what no tenant decides: schedule, target, parameters and dependencies. The Tenant may not be among the manifests.
fn check_without_tenant(
    task: &ScheduledTask,
    spec: &ScheduledTaskSpec,
    tasks: &TaskIndex,
) -> Result<(), Refusal> {
    // The name is in no message of an invalid field.
    let Ok(name) = "unknown".parse::<TenantName>() else { return Ok(()) };
    let rules = TaskRules::of(name.clone(), None, HostPolicy::of(&name, &[])?);
    let reference = ObjectRef::of(task);
    let check = || {
        let template = tasks.template_of(&reference.namespace, spec)?;
        Definition::read(spec, template, created(task), &rules)?;
        tasks.check_cycle(&reference, spec)
    };
    match check() {
        Err(refusal) if refusal.reason == Reason::InvalidResource => Err(refusal),
        _ => Ok(()),
    }
}
