//! References such as `$(params.region)` in the target of a task, and their values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use serde_json::Value;

use super::RunState;
use crate::domain::Refusal;

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A parameter of the task.
    Parameter(String),
    /// A property of the run.
    Run(RunProperty),
    /// `task.name`
    TaskName,
    /// `task.namespace`
    TaskNamespace,
}

/// A property of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunProperty {
    /// `run.id`
    Id,
    /// `run.scheduledTime`, RFC 3339.
    ScheduledTime,
    /// `run.attempt`, from 1.
    Attempt,
    /// `run.trigger`, such as `Schedule`.
    Trigger,
    /// `run.state`, such as `TimedOut`; in a failure action only.
    State,
    /// `run.message`, in a failure action only.
    Message,
}

impl Reference {
    /// Parses the text between `$(` and `)`. `None` if it is none of ours: a container may have its own, such as `$(HOME)`.
    fn parse(text: &str) -> Option<Result<Self, String>> {
        let (scope, name) = text.split_once('.')?;
        Some(match scope {
            "params" => Ok(Self::Parameter(name.to_owned())),
            "run" => match name {
                "id" => Ok(Self::Run(RunProperty::Id)),
                "scheduledTime" => Ok(Self::Run(RunProperty::ScheduledTime)),
                "attempt" => Ok(Self::Run(RunProperty::Attempt)),
                "trigger" => Ok(Self::Run(RunProperty::Trigger)),
                "state" => Ok(Self::Run(RunProperty::State)),
                "message" => Ok(Self::Run(RunProperty::Message)),
                _ => Err("a run has id, scheduledTime, attempt and trigger, and in spec.onFailure state and message"
                    .to_owned()),
            },
            "task" => match name {
                "name" => Ok(Self::TaskName),
                "namespace" => Ok(Self::TaskNamespace),
                _ => Err("a task has name and namespace".to_owned()),
            },
            _ => return None,
        })
    }
}

impl Reference {
    /// The property of the run that it names.
    #[must_use]
    pub fn run_property(&self) -> Option<RunProperty> {
        match self {
            Self::Run(property) => Some(*property),
            Self::Parameter(_) | Self::TaskName | Self::TaskNamespace => None,
        }
    }
}

impl RunProperty {
    /// Whether only runs that have failed have it.
    #[must_use]
    pub fn is_of_failure(self) -> bool {
        matches!(self, Self::State | Self::Message)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Parameter(name) => return write!(f, "$(params.{name})"),
            Self::Run(RunProperty::Id) => "run.id",
            Self::Run(RunProperty::ScheduledTime) => "run.scheduledTime",
            Self::Run(RunProperty::Attempt) => "run.attempt",
            Self::Run(RunProperty::Trigger) => "run.trigger",
            Self::Run(RunProperty::State) => "run.state",
            Self::Run(RunProperty::Message) => "run.message",
            Self::TaskName => "task.name",
            Self::TaskNamespace => "task.namespace",
        };
        write!(f, "$({name})")
    }
}

/// The values that references are replaced by.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// The parameters with their values.
    pub parameters: &'a BTreeMap<String, String>,
    /// Name of the task.
    pub task: &'a str,
    /// Namespace of the task.
    pub namespace: &'a str,
    /// The run; `None` where no run is known, such as in the template of a CronJob.
    pub run: Option<RunValues<'a>>,
}

/// The properties of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunValues<'a> {
    /// Its id.
    pub id: super::RunId,
    /// The time that it is planned for.
    pub scheduled_at: Timestamp,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The kind of its trigger.
    pub trigger: &'a str,
    /// State and message of the run that has failed; in a failure action only.
    pub failure: Option<(RunState, &'a str)>,
}

impl Values<'_> {
    fn value_of(&self, reference: &Reference) -> Option<String> {
        Some(match reference {
            Reference::Parameter(name) => self.parameters.get(name)?.clone(),
            Reference::TaskName => self.task.to_owned(),
            Reference::TaskNamespace => self.namespace.to_owned(),
            Reference::Run(property) => {
                let run = self.run?;
                match property {
                    RunProperty::Id => run.id.to_string(),
                    RunProperty::ScheduledTime => run.scheduled_at.to_string(),
                    RunProperty::Attempt => run.attempt.to_string(),
                    RunProperty::Trigger => run.trigger.to_owned(),
                    RunProperty::State => run.failure?.0.to_string(),
                    RunProperty::Message => run.failure?.1.to_owned(),
                }
            }
        })
    }

    /// Replaces the references of a text, each value encoded by `encode`. A reference without a value stays, and so does the
    /// text after `$$`, as in Kubernetes.
    #[must_use]
    pub fn render(&self, text: &str, encode: impl Fn(String) -> String) -> String {
        let mut rendered = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Reference(text, reference) => {
                    match reference.ok().and_then(|reference| self.value_of(&reference)) {
                        Some(value) => rendered.push_str(&encode(value)),
                        None => rendered.push_str(text),
                    }
                }
            }
        }
        rendered
    }

    /// Replaces the references of all strings in a JSON value. Keys stay.
    pub fn render_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.render(text, |value| value),
            Value::Array(items) => items.iter_mut().for_each(|item| self.render_json(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.render_json(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

enum Part<'a> {
    Text(&'a str),
    Reference(&'a str, Result<Reference, String>),
}

/// Splits a text into its references and the text between them.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        loop {
            let Some(start) = rest[from..].find("$(").map(|start| from + start) else {
                return Some(Part::Text(std::mem::take(&mut rest)));
            };
            let Some(end) = rest[start..].find(')').map(|end| start + end + 1) else {
                return Some(Part::Text(std::mem::take(&mut rest)));
            };
            let is_escaped = rest[..start].ends_with('$');
            let parsed = (!is_escaped).then(|| Reference::parse(&rest[start + 2..end - 1])).flatten();
            match parsed {
                None => from = start + 2,
                Some(_) if start > 0 => {
                    let (before, after) = rest.split_at(start);
                    rest = after;
                    return Some(Part::Text(before));
                }
                Some(reference) => {
                    let (this, after) = rest.split_at(end);
                    rest = after;
                    return Some(Part::Reference(this, reference));
                }
            }
        }
    })
}

/// The references of a text.
///
/// # Errors
/// A reference names a property that does not exist; `field` is the path of the text.
pub fn references_of(field: &str, text: &str) -> Result<BTreeSet<Reference>, Refusal> {
    let mut all = BTreeSet::new();
    for part in parts(text) {
        if let Part::Reference(text, reference) = part {
            let reference = reference.map_err(|rule| {
                Refusal::at(Reason::InvalidResource, field, format!("{text} is unknown: {rule}"))
            })?;
            all.insert(reference);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(parameters: &BTreeMap<String, String>) -> Values<'_> {
        Values { parameters, task: "nightly", namespace: "shop", run: None }
    }

    #[test]
    fn references_are_replaced_and_everything_else_stays() {
        let parameters = BTreeMap::from([("region".to_owned(), "eu $(params.x)".to_owned())]);
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(params.region)", "eu $(params.x)"),
            ("a $(params.region) b $(task.name)/$(task.namespace)", "a eu $(params.x) b nightly/shop"),
            ("$(HOME) $(date +%s) $(params.none) $(", "$(HOME) $(date +%s) $(params.none) $("),
            ("$$(params.region)", "$$(params.region)"),
            ("$(run.id)", "$(run.id)"),
            ("$($(params.region))", "$(eu $(params.x))"),
            ("ü$(params.region)ü", "üeu $(params.x)ü"),
        ] {
            assert_eq!(values(&parameters).render(text, |value| value), expected, "{text}");
        }
        assert_eq!(values(&parameters).render("$(task.name)", |value| value.to_uppercase()), "NIGHTLY");
    }

    #[test]
    fn values_in_json_replace_strings_only() {
        let parameters = BTreeMap::from([("n".to_owned(), "\"}".to_owned())]);
        let mut value = serde_json::json!({"$(params.n)": ["$(params.n)", 1, {"a": "x$(params.n)"}]});
        values(&parameters).render_json(&mut value);
        assert_eq!(value, serde_json::json!({"$(params.n)": ["\"}", 1, {"a": "x\"}"}]}));
    }

    #[test]
    fn an_unknown_property_is_refused() {
        let references =
            references_of("spec.target.http.body", "$(run.id) $(params.a) $(HOME)").expect("valid");
        assert_eq!(
            references.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["$(params.a)", "$(run.id)"]
        );
        let refusal = references_of("spec.target.http.body", "$(run.name)").expect_err("unknown");
        assert_eq!(
            refusal.to_string(),
            "InvalidResource: spec.target.http.body: $(run.name) is unknown: a run has id, scheduledTime, attempt and trigger, and in spec.onFailure state and message"
        );
    }
}
