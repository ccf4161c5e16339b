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
    /// A property of the event that the run is for.
    Event(EventProperty),
}

/// A property of an event. Runs have their values as parameters whose names contain a dot, so that no parameter of a task has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventProperty {
    /// `event.id`
    Id,
    /// `event.type`
    Type,
    /// `event.source`
    Source,
    /// `event.subject`; empty if the event has none.
    Subject,
    /// `event.time`, RFC 3339.
    Time,
    /// `event.data`, JSON.
    Data,
}

impl EventProperty {
    /// The name of the parameter that has the value.
    #[must_use]
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Id => "event.id",
            Self::Type => "event.type",
            Self::Source => "event.source",
            Self::Subject => "event.subject",
            Self::Time => "event.time",
            Self::Data => "event.data",
        }
    }

    /// Whether a parameter has a property of an event.
    #[must_use]
    pub fn is_parameter(name: &str) -> bool {
        name.starts_with("event.")
    }
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
            "event" => match name {
                "id" => Ok(Self::Event(EventProperty::Id)),
                "type" => Ok(Self::Event(EventProperty::Type)),
                "source" => Ok(Self::Event(EventProperty::Source)),
                "subject" => Ok(Self::Event(EventProperty::Subject)),
                "time" => Ok(Self::Event(EventProperty::Time)),
                "data" => Ok(Self::Event(EventProperty::Data)),
                _ => Err("an event has id, type, source, subject, time and data".to_owned()),
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
            Self::Parameter(_) | Self::TaskName | Self::TaskNamespace | Self::Event(_) => None,
        }
    }

    /// The property of an event that it names, if it names one.
    #[must_use]
    pub fn event_property(&self) -> Option<EventProperty> {
        match self {
            Self::Event(property) => Some(*property),
            Self::Parameter(_) | Self::Run(_) | Self::TaskName | Self::TaskNamespace => None,
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
            Self::Event(property) => property.parameter(),
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
            Reference::Event(property) => self.parameters.get(property.parameter())?.clone(),
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

    /// Replaces the references of a text that is JSON. Their values are escaped as they are between the quotes of a string, except
    /// for the data of an event outside of quotes, which is JSON itself.
    #[must_use]
    pub fn render_json_text(&self, text: &str) -> String {
        let mut rendered = String::with_capacity(text.len());
        let mut quotes = Quotes::default();
        for part in parts(text) {
            match part {
                Part::Text(text) => {
                    quotes.read(text);
                    rendered.push_str(text);
                }
                Part::Reference(text, reference) => {
                    let is_json = reference == Ok(Reference::Event(EventProperty::Data)) && !quotes.is_inside;
                    match reference.ok().and_then(|reference| self.value_of(&reference)) {
                        Some(value) if is_json => rendered.push_str(&value),
                        Some(value) => rendered.push_str(&escape_json(&value)),
                        None => rendered.push_str(text),
                    }
                }
            }
        }
        rendered
    }

    /// Replaces the references of all strings in a JSON value. Keys stay. A string that is `$(event.data)` becomes the data itself.
    pub fn render_json(&self, value: &mut Value) {
        let data = Reference::Event(EventProperty::Data);
        if value.as_str().is_some_and(|text| text == data.to_string())
            && let Some(Ok(data)) = self.value_of(&data).map(|data| serde_json::from_str(&data))
        {
            *value = data;
            return;
        }
        match value {
            Value::String(text) => *text = self.render(text, |value| value),
            Value::Array(items) => items.iter_mut().for_each(|item| self.render_json(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.render_json(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// A text as it is between the quotes of a JSON string.
fn escape_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Whether a place in a JSON text is inside of a string.
#[derive(Default)]
struct Quotes {
    is_inside: bool,
    is_escaped: bool,
}

impl Quotes {
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                _ if self.is_escaped => self.is_escaped = false,
                '\\' if self.is_inside => self.is_escaped = true,
                '"' => self.is_inside = !self.is_inside,
                _ => {}
            }
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
    fn the_data_of_an_event_is_json_outside_of_quotes() {
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let parameters =
            BTreeMap::from([of("event.data", r#"{"a":"b"}"#), of("event.id", r#"4"2"#), of("n", r#"{"x"}"#)]);
        for (text, expected) in [
            (r#"{"e": $(event.data), "i": "$(event.id)"}"#, r#"{"e": {"a":"b"}, "i": "4\"2"}"#),
            (r#"{"e": "$(event.data)"}"#, r#"{"e": "{\"a\":\"b\"}"}"#),
            (r#"{"q\"": $(event.data)}"#, r#"{"q\"": {"a":"b"}}"#),
            ("$(event.data)", r#"{"a":"b"}"#),
            ("$(params.n) $(event.none)", r#"{\"x\"} $(event.none)"#),
        ] {
            assert_eq!(values(&parameters).render_json_text(text), expected, "{text}");
        }
        let mut value = serde_json::json!({"e": "$(event.data)", "t": "-$(event.data)"});
        values(&parameters).render_json(&mut value);
        assert_eq!(value, serde_json::json!({"e": {"a": "b"}, "t": r#"-{"a":"b"}"#}));
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
