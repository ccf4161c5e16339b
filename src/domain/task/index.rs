//! What the tasks of a namespace say about one another: dependencies, templates and groups.

use std::collections::{BTreeMap, BTreeSet};

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use crate::api::{ScheduledTask, ScheduledTaskSpec, TaskTemplate, TaskTemplateSpec, Upstream};
use crate::domain::age::age;
use crate::domain::{ObjectRef, Refusal};

/// The references of all tasks, and all templates.
#[derive(Debug, Default)]
pub struct TaskIndex {
    tasks: BTreeMap<ObjectRef, References>,
    /// `None` for a template that is refused.
    templates: BTreeMap<ObjectRef, Option<TaskTemplateSpec>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct References {
    upstream: Vec<Upstream>,
    template: Option<String>,
    /// The EventTopic whose events it runs for.
    event_topic: Option<String>,
    age: (Timestamp, String),
}

fn upstream_of(spec: &ScheduledTaskSpec) -> Vec<Upstream> {
    spec.schedule.as_ref().map(|schedule| schedule.after.clone()).unwrap_or_default()
}

impl TaskIndex {
    /// Adds or replaces a task, with the spec that is executed.
    pub fn set_task(&mut self, task: &ScheduledTask, spec: &ScheduledTaskSpec) {
        let trigger = spec.schedule.as_ref().and_then(|schedule| schedule.on_event.as_ref());
        let references = References {
            upstream: upstream_of(spec),
            template: spec.template.clone(),
            event_topic: trigger.map(|trigger| trigger.topic.clone()),
            age: age(task),
        };
        self.tasks.insert(ObjectRef::of(task), references);
    }

    /// Removes a task.
    pub fn remove_task(&mut self, task: &ObjectRef) {
        self.tasks.remove(task);
    }

    /// Keeps these tasks only.
    pub fn retain_tasks(&mut self, present: &BTreeSet<ObjectRef>) {
        self.tasks.retain(|task, _| present.contains(task));
    }

    /// Adds or replaces a template, with the spec that is used. Returns the tasks that use it, if it has changed.
    pub fn set_template(&mut self, template: &ObjectRef, spec: &TaskTemplateSpec) -> Vec<ObjectRef> {
        match self.templates.insert(template.clone(), Some(spec.clone())) {
            Some(Some(before)) if before == *spec => Vec::new(),
            _ => self.users_of(template),
        }
    }

    /// Sets that tasks cannot use a template that exists. Returns those that want to.
    pub fn refuse_template(&mut self, template: &ObjectRef) -> Vec<ObjectRef> {
        match self.templates.insert(template.clone(), None) {
            Some(None) => Vec::new(),
            _ => self.users_of(template),
        }
    }

    /// Removes a template. Returns the tasks that use it.
    pub fn remove_template(&mut self, template: &ObjectRef) -> Vec<ObjectRef> {
        match self.templates.remove(template) {
            Some(Some(_)) => self.users_of(template),
            Some(None) | None => Vec::new(),
        }
    }

    /// Whether it is decided if tasks can use a template.
    #[must_use]
    pub fn has_template(&self, template: &ObjectRef) -> bool {
        self.templates.contains_key(template)
    }

    /// Keeps these templates only.
    pub fn retain_templates(&mut self, present: &BTreeSet<ObjectRef>) {
        self.templates.retain(|template, _| present.contains(template));
    }

    /// The tasks that use a template.
    #[must_use]
    pub fn users_of(&self, template: &ObjectRef) -> Vec<ObjectRef> {
        let uses = |references: &References| references.template.as_deref() == Some(&*template.name);
        self.in_namespace(&template.namespace)
            .filter(|(_, references)| uses(references))
            .map(|(task, _)| task.clone())
            .collect()
    }

    /// The EventTopics for whose events the tasks run that use a template.
    #[must_use]
    pub fn event_topics_of_users(&self, template: &ObjectRef) -> BTreeSet<String> {
        let uses = |references: &References| references.template.as_deref() == Some(&*template.name);
        let users = self.in_namespace(&template.namespace).filter(|(_, references)| uses(references));
        users.filter_map(|(_, references)| references.event_topic.clone()).collect()
    }

    /// The tasks that follow a task.
    #[must_use]
    pub fn downstream_of(&self, task: &ObjectRef) -> Vec<(ObjectRef, Vec<Upstream>)> {
        self.in_namespace(&task.namespace)
            .filter(|(_, references)| references.upstream.iter().any(|upstream| *upstream.task == *task.name))
            .map(|(downstream, references)| (downstream.clone(), references.upstream.clone()))
            .collect()
    }

    /// Whether a task exists.
    #[must_use]
    pub fn has_task(&self, task: &ObjectRef) -> bool {
        self.tasks.contains_key(task)
    }

    /// The template that a task names.
    ///
    /// # Errors
    /// There is none of this name in the namespace.
    pub fn template_of(
        &self,
        namespace: &str,
        spec: &ScheduledTaskSpec,
    ) -> Result<Option<&TaskTemplateSpec>, Refusal> {
        let Some(name) = spec.template.as_deref() else { return Ok(None) };
        let template = self.templates.get(&ObjectRef::new::<TaskTemplate>(namespace, name));
        template.and_then(Option::as_ref).map(Some).ok_or_else(|| {
            Refusal::at(
                Reason::TemplateNotFound,
                "spec.template",
                format!("there is no TaskTemplate {name} in namespace {namespace} that is active: correct the name, or create it"),
            )
        })
    }

    /// The number of tasks in these namespaces that are older than this one.
    pub fn count_older<'a>(&self, task: &ObjectRef, namespaces: impl Iterator<Item = &'a str>) -> usize {
        let age = self.tasks.get(task).map(|references| &references.age);
        let is_older =
            |other: &(&ObjectRef, &References)| other.0 != task && age.is_none_or(|age| other.1.age < *age);
        namespaces.map(|namespace| self.in_namespace(namespace).filter(is_older).count()).sum()
    }

    /// Checks that a task with this spec does not follow itself, directly or through others.
    ///
    /// # Errors
    /// It does; the message has the path.
    pub fn check_cycle(&self, task: &ObjectRef, spec: &ScheduledTaskSpec) -> Result<(), Refusal> {
        let start: Vec<String> = upstream_of(spec).into_iter().map(|upstream| upstream.task).collect();
        let Some(path) = self.path_to(task, &start) else { return Ok(()) };
        let names = path.iter().map(String::as_str).chain([&*task.name]);
        let cycle: Vec<&str> = [&*task.name].into_iter().chain(names).collect();
        Err(Refusal::at(
            Reason::InvalidResource,
            "spec.schedule.after",
            format!(
                "the tasks would wait for one another: {}; remove one of these dependencies",
                cycle.join(" after ")
            ),
        ))
    }

    /// The names on a way from one of `start` to the task, by their dependencies.
    fn path_to(&self, task: &ObjectRef, start: &[String]) -> Option<Vec<String>> {
        let mut visited = BTreeSet::new();
        let mut stack: Vec<Vec<String>> = start.iter().rev().map(|name| vec![name.clone()]).collect();
        while let Some(path) = stack.pop() {
            let last = path.last()?;
            if **last == *task.name {
                return Some(path[..path.len() - 1].to_vec());
            }
            if !visited.insert(last.clone()) {
                continue;
            }
            let reference = ObjectRef::new::<ScheduledTask>(&task.namespace, last);
            for upstream in self.tasks.get(&reference).into_iter().flat_map(|references| &references.upstream)
            {
                let mut longer = path.clone();
                longer.push(upstream.task.clone());
                stack.push(longer);
            }
        }
        None
    }

    fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a ObjectRef, &'a References)> {
        let first = ObjectRef::new::<ScheduledTask>(namespace, "");
        self.tasks.range(first..).take_while(move |(task, _)| &*task.namespace == namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::expect;

    fn spec(after: &[&str]) -> ScheduledTaskSpec {
        let after: Vec<String> = after.iter().map(|name| format!("{{task: {name}}}")).collect();
        let schedule = match after.is_empty() {
            true => "{every: 1m}".to_owned(),
            false => format!("{{after: [{}]}}", after.join(", ")),
        };
        task(&format!("{{schedule: {schedule}, target: {{http: {{url: 'https://a/'}}}}}}")).spec
    }

    fn reference(name: &str) -> ObjectRef {
        ObjectRef::new::<ScheduledTask>("shop", name)
    }

    fn set(index: &mut TaskIndex, namespace: &str, name: &str, after: &[&str]) {
        let task = task(&format!("{{metadata: {{namespace: {namespace}, name: {name}}}, template: t}}"));
        index.set_task(&task, &spec(after));
    }

    #[test]
    fn a_cycle_is_refused_with_its_path() {
        let mut index = TaskIndex::default();
        set(&mut index, "shop", "load", &["extract"]);
        set(&mut index, "shop", "report", &["load", "check"]);
        set(&mut index, "other", "extract", &["report"]);
        assert_eq!(index.check_cycle(&reference("extract"), &spec(&[])), Ok(()));
        assert_eq!(index.check_cycle(&reference("extract"), &spec(&["none"])), Ok(()));
        let refusal = index.check_cycle(&reference("extract"), &spec(&["report"])).expect_err("a cycle");
        expect!["InvalidResource: spec.schedule.after: the tasks would wait for one another: extract after report after load after extract; remove one of these dependencies"].assert_eq(&refusal.to_string());
        let refusal = index.check_cycle(&reference("extract"), &spec(&["extract"])).expect_err("a cycle");
        expect!["InvalidResource: spec.schedule.after: the tasks would wait for one another: extract after extract; remove one of these dependencies"].assert_eq(&refusal.to_string());
    }

    #[test]
    fn the_events_that_a_template_gets_are_those_of_its_tasks() {
        let mut index = TaskIndex::default();
        for (name, spec) in [
            ("a", "{schedule: {onEvent: {topic: orders}}, template: t}"),
            ("b", "{schedule: {onEvent: {topic: users}}, template: other}"),
            ("c", "{schedule: {every: 1m}, template: t}"),
        ] {
            let task = task(&format!("{{metadata: {{name: {name}}}, {}", &spec[1..]));
            index.set_task(&task, &task.spec);
        }
        let topics = |name: &str| {
            let template = ObjectRef::new::<TaskTemplate>("shop", name);
            index.event_topics_of_users(&template).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(topics("t"), ["orders"]);
        assert!(topics("none").is_empty());
    }

    #[test]
    fn downstream_tasks_are_those_of_the_namespace() {
        let mut index = TaskIndex::default();
        set(&mut index, "shop", "load", &["extract"]);
        set(&mut index, "other", "load", &["extract"]);
        let downstream = index.downstream_of(&reference("extract"));
        assert_eq!(downstream.iter().map(|(task, _)| task.to_string()).collect::<Vec<_>>(), ["shop/load"]);
        index.remove_task(&reference("load"));
        assert!(index.downstream_of(&reference("extract")).is_empty());
    }
}
