//! A task as the operator executes it: its spec with its template, parsed and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::board::Gate;
use super::duration::parse_duration;
use super::reference::{EventProperty, Reference, RunProperty};
use super::retry::RetryPlan;
use super::tenant_rules::TaskRules;
use super::timing::{self, Timing};
use super::{event, event_trigger, failure_action, http, pod};
use crate::api::{
    ConcurrencyPolicy, EventTarget, FailureAction, HttpTarget, ScheduledTaskSpec, TaskTarget,
    TaskTemplateSpec,
};
use crate::domain::Refusal;

/// Duration of a call without a declared timeout.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of ended Jobs that are kept by default.
const DEFAULT_HISTORY: i32 = 3;

/// A task as the operator executes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// When it runs.
    pub timing: Timing,
    /// Whether no occurrences are planned.
    pub is_suspended: bool,
    /// What it does.
    pub target: Target,
    /// Its parameters with their values, those of the template included.
    pub parameters: BTreeMap<String, String>,
    /// What the start of its runs depends on.
    pub gate: Gate,
    /// How failed runs are retried.
    pub retry: RetryPlan,
    /// Maximum duration of an attempt; `None` is unlimited.
    pub timeout: Option<Duration>,
    /// Number of pods that share a run; `None` is one pod without an index.
    pub shards: Option<NonZeroU32>,
    /// Number of succeeded and of failed Jobs that are kept.
    pub history: (i32, i32),
    /// What happens after a failure.
    pub on_failure: Option<FailureAction>,
    /// The properties of a run that the target contains.
    pub run_properties: BTreeSet<RunProperty>,
    /// The properties of an event that the target contains.
    pub event_properties: BTreeSet<EventProperty>,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Runs a pod.
    Container(Box<PodTemplateSpec>),
    /// Calls an HTTP server.
    Http(Box<HttpTarget>),
    /// Publishes an event.
    Event(Box<EventTarget>),
}

impl Definition {
    /// Reads a task. `template` is the active spec of the template that it names; `created` is when the task was created.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn read(
        spec: &ScheduledTaskSpec,
        template: Option<&TaskTemplateSpec>,
        created: Timestamp,
        rules: &TaskRules,
    ) -> Result<Self, Refusal> {
        let timing = timing::read(spec.schedule.as_ref(), created)?;
        let (field, declared) = match (&spec.target, template) {
            (Some(target), _) => ("spec.target", target),
            (None, Some(template)) => ("spec.target of the template", &template.target),
            (None, None) => {
                return Err(Refusal::at(
                    Reason::InvalidResource,
                    "spec.target",
                    "is missing: declare a target, or name a template",
                ));
            }
        };
        let parameters = merge_parameters(spec, template)?;
        let target = Target::read(field, declared, rules)?;
        let mut references = target.references(field)?;
        let run_properties = references.iter().filter_map(Reference::run_property).collect();
        if let Some(action) = &spec.on_failure {
            references.extend(failure_action::check(action, rules)?);
        }
        let event_target = match &target {
            Target::Event(event) => Some(&**event),
            Target::Container(_) | Target::Http(_) => None,
        };
        event_trigger::check(spec, &timing, event_target, &references)?;
        for reference in &references {
            if let Reference::Parameter(name) = reference
                && !parameters.contains_key(name)
            {
                return Err(Refusal::at(
                    Reason::InvalidResource,
                    "spec.parameters",
                    format!("{reference} has no value: add the parameter {name}"),
                ));
            }
        }
        let is_container = matches!(target, Target::Container(_));
        if spec.shards.is_some() && !is_container {
            return Err(Refusal::at(
                Reason::InvalidResource,
                "spec.shards",
                "applies to container targets only: remove it",
            ));
        }
        let timeout = spec.timeout.as_deref().map(|text| parse_duration("spec.timeout", text)).transpose()?;
        let history = spec.history.clone().unwrap_or_default();
        Ok(Self {
            is_suspended: spec.suspend,
            parameters,
            gate: gate(spec, &timing, rules),
            retry: RetryPlan::read(spec.retry.as_ref())?,
            timeout: timeout.or((!is_container).then_some(DEFAULT_CALL_TIMEOUT)),
            shards: spec.shards.and_then(|shards| NonZeroU32::new(u32::try_from(shards).ok()?)),
            history: (
                history.succeeded.unwrap_or(DEFAULT_HISTORY),
                history.failed.unwrap_or(DEFAULT_HISTORY),
            ),
            on_failure: spec.on_failure.clone(),
            run_properties,
            event_properties: references.iter().filter_map(Reference::event_property).collect(),
            target,
            timing,
        })
    }

    /// The first time after `after` at which the task is due; `None` if no time is known.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.timing {
            Timing::Time { timetable, .. } if !self.is_suspended => timetable.next_after(after),
            _ => None,
        }
    }

    /// Checks the values that a trigger replaces.
    ///
    /// # Errors
    /// The task has no such parameter, or the value is too long.
    pub fn check_parameters(&self, replaced: &BTreeMap<String, String>) -> Result<(), Refusal> {
        const MAX_VALUE_BYTES: usize = 16 * 1024;
        for (name, value) in replaced {
            let invalid = |detail: String| {
                Err(Refusal::at(Reason::InvalidResource, format!("parameters.{name}"), detail))
            };
            if !self.parameters.contains_key(name) {
                let names: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
                return invalid(match names.is_empty() {
                    true => "the task has no parameters: omit it".to_owned(),
                    false => format!("the task has no such parameter: write one of {}", names.join(", ")),
                });
            }
            if value.len() > MAX_VALUE_BYTES {
                return invalid(format!("the value has more than {MAX_VALUE_BYTES} bytes: shorten it"));
            }
        }
        Ok(())
    }
}

impl Target {
    /// Reads a declared target.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn read(field: &str, declared: &TaskTarget, rules: &TaskRules) -> Result<Self, Refusal> {
        match (&declared.container, &declared.http, &declared.event) {
            (Some(container), None, None) => {
                let field = format!("{field}.container.template");
                let template = pod::parse_template(&field, &container.template)?;
                pod::check_template(&field, &template, rules)?;
                Ok(Self::Container(Box::new(template)))
            }
            (None, Some(target), None) => {
                http::check(&format!("{field}.http"), target, rules)?;
                Ok(Self::Http(target.clone()))
            }
            (None, None, Some(target)) => {
                event::check(&format!("{field}.event"), target)?;
                Ok(Self::Event(target.clone()))
            }
            _ => Err(Refusal::at(
                Reason::InvalidResource,
                field,
                "set exactly one of container, http and event",
            )),
        }
    }

    /// The parameters that the target contains.
    ///
    /// # Errors
    /// A reference names a property that does not exist.
    pub fn parameters(&self, field: &str) -> Result<BTreeSet<String>, Refusal> {
        let names = self.references(field)?.into_iter().filter_map(|reference| match reference {
            Reference::Parameter(name) => Some(name),
            _ => None,
        });
        Ok(names.collect())
    }

    fn references(&self, field: &str) -> Result<BTreeSet<Reference>, Refusal> {
        let all = match self {
            Self::Container(template) => pod::references(&format!("{field}.container.template"), template)?,
            Self::Http(target) => http::references(&format!("{field}.http"), target)?,
            Self::Event(target) => event::references(&format!("{field}.event"), target)?,
        };
        let is_of_failure = |reference: &&Reference| {
            reference.run_property().is_some_and(|property| property.is_of_failure())
        };
        match all.iter().find(is_of_failure) {
            None => Ok(all),
            Some(reference) => Err(Refusal::at(
                Reason::InvalidResource,
                field,
                format!("{reference} has a value in spec.onFailure only: remove it"),
            )),
        }
    }
}

/// The parameters of a task: those of its template with their defaults, replaced by its own.
fn merge_parameters(
    spec: &ScheduledTaskSpec,
    template: Option<&TaskTemplateSpec>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let Some(template) = template.filter(|_| spec.target.is_none()) else {
        return Ok(spec.parameters.clone());
    };
    let name = spec.template.as_deref().unwrap_or_default();
    for parameter in spec.parameters.keys() {
        if !template.parameters.iter().any(|declared| declared.name == *parameter) {
            return Err(Refusal::at(
                Reason::InvalidResource,
                format!("spec.parameters.{parameter}"),
                format!("template {name} has no such parameter: remove it"),
            ));
        }
    }
    let mut merged = BTreeMap::new();
    for declared in &template.parameters {
        let value = spec.parameters.get(&declared.name).or(declared.default.as_ref()).ok_or_else(|| {
            Refusal::at(
                Reason::InvalidResource,
                format!("spec.parameters.{}", declared.name),
                format!("template {name} needs a value: set it"),
            )
        })?;
        merged.insert(declared.name.clone(), value.clone());
    }
    Ok(merged)
}

fn gate(spec: &ScheduledTaskSpec, timing: &Timing, rules: &TaskRules) -> Gate {
    let concurrency = spec.concurrency.clone().unwrap_or_default();
    let policy = concurrency.policy.unwrap_or(match timing {
        // Once for each event, also while another run has not ended.
        Timing::OnEvent(_) => ConcurrencyPolicy::Queue,
        Timing::Manual | Timing::Time { .. } | Timing::After(_) => ConcurrencyPolicy::Forbid,
    });
    let limit = concurrency.limit.and_then(|limit| usize::try_from(limit).ok());
    let task_limit = match (&concurrency.group, policy) {
        (None, ConcurrencyPolicy::Queue) => Some(limit.unwrap_or(1)),
        (None, ConcurrencyPolicy::Allow) => limit,
        (Some(_), ConcurrencyPolicy::Queue) => Some(1),
        _ => None,
    };
    Gate {
        policy,
        task_limit,
        group: concurrency.group.map(|group| (group, limit.unwrap_or(1))),
        tenant_limit: rules.concurrent_runs,
    }
}
