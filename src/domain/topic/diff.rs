//! Renders a change of an EventTopic for approvers.
//!
//! Changes in Kafka use the words of the plan and the status. Changes that may need approval come first, so that truncation
//! hides none of them; control characters are escaped, so that no value can imitate a line.

use std::fmt::Display;

use json_patch::PatchOperation;
use serde_json::{Map, Value};

use super::change::{self, Pair};
use crate::api::{
    Compatibility, CompatibilityMode, CompatibilityPolicy, DeletionPolicy, EventTopicSpec, GovernedChange,
    Owner, TopicAcl,
};
use crate::domain::registration::Source;
use crate::domain::spec_diff::{escape, truncate};
use crate::domain::topic::{Change, Declared, Observed, plan};

/// Further lines are only counted.
const MAX_LINES: usize = 50;

/// Longer lines are truncated.
const MAX_LINE_CHARS: usize = 300;

/// Further changes of one schema are only counted.
const MAX_SCHEMA_CHANGES: usize = 5;

/// Longer values are truncated, so that a line has room for two of them.
const MAX_VALUE_CHARS: usize = 100;

/// The changes, one line each; empty if there are none. `existing` is the Kafka topic that a first spec takes over.
#[must_use]
pub fn diff(base: Option<&EventTopicSpec>, new: &EventTopicSpec, existing: Option<&Observed>) -> Vec<String> {
    if base == Some(new) {
        return Vec::new();
    }
    let mut lines = Lines::default();
    match (base, existing) {
        (None, None) => lines.creation(new),
        (None, Some(existing)) => lines.takeover(existing, new),
        (Some(base), _) => lines.kafka(base, new),
    }
    lines.access(base, new);
    lines.event_types(base, new);
    lines.compatibility(base, new);
    lines.policies(base, new);
    lines.people(base, new);
    if lines.may_need_approval.is_empty() && lines.harmless.is_empty() {
        lines.add(false, "spec: another notation of the same values");
    }
    lines.bounded()
}

/// Lines of changes that may need approval, and of the others.
#[derive(Default)]
struct Lines {
    may_need_approval: Vec<String>,
    harmless: Vec<String>,
}

impl Lines {
    fn add(&mut self, may_need_approval: bool, line: impl Display) {
        let lines = if may_need_approval { &mut self.may_need_approval } else { &mut self.harmless };
        lines.push(truncate(&escape(&line.to_string()), MAX_LINE_CHARS));
    }

    fn bounded(self) -> Vec<String> {
        let mut lines = self.may_need_approval;
        lines.extend(self.harmless);
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.truncate(MAX_LINES);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        lines
    }

    /// An existing topic is taken over. The changes are those of the Kafka topic.
    fn takeover(&mut self, existing: &Observed, new: &EventTopicSpec) {
        self.named("cluster", None, new.cluster.as_ref());
        self.named("topicName", None, new.topic_name.as_ref());
        let declared = match change::parse(new) {
            Ok(declared) => declared,
            Err(refusal) => return self.add(true, refusal),
        };
        self.add(
            true,
            format!("take over the existing Kafka topic with partitions: {}", existing.partitions),
        );
        for change in plan(&declared, Some(existing), false, None).changes {
            match change::governed_change(&change) {
                GovernedChange::ReduceRetention => {
                    self.add(true, format!("{change}, which may delete records"))
                }
                _ => self.add(true, change),
            }
        }
    }

    /// A topic is created.
    fn creation(&mut self, new: &EventTopicSpec) {
        let declared = match change::parse(new) {
            Ok(declared) => declared,
            Err(refusal) => return self.add(true, refusal),
        };
        for change in plan(&declared, None, false, None).changes {
            let is_long = escape(&change.to_string()).chars().count() > MAX_LINE_CHARS;
            match change {
                // Too long for one line: write one line for each key.
                Change::Create { partitions, replicas, config } if is_long => {
                    self.add(true, Change::Create { partitions, replicas, config: [].into() });
                    for (key, to) in config {
                        self.change(&Change::Set { key, from: None, to });
                    }
                }
                change => self.add(true, change),
            }
        }
        self.named("cluster", None, new.cluster.as_ref());
        self.named("topicName", None, new.topic_name.as_ref());
    }

    fn kafka(&mut self, base: &EventTopicSpec, new: &EventTopicSpec) {
        self.named("cluster", base.cluster.as_ref(), new.cluster.as_ref());
        self.named("topicName", base.topic_name.as_ref(), new.topic_name.as_ref());
        let (old, declared) = match (change::parse(base), change::parse(new)) {
            (Ok(old), Ok(declared)) => (old, declared),
            (_, Err(refusal)) => return self.add(true, refusal),
            (Err(refusal), Ok(_)) => {
                return self.add(true, format!("the active spec is invalid: {refusal}"));
            }
        };
        change::plan_changes(&old, &declared).iter().for_each(|change| self.change(change));
        self.beside_the_plan(&old, &declared);
    }

    /// Changes of the spec that the operator does not apply to Kafka.
    fn beside_the_plan(&mut self, base: &Declared, new: &Declared) {
        if new.partitions < base.partitions {
            self.add(
                false,
                format!("partitions: {} -> {} (Kafka cannot remove any)", base.partitions, new.partitions),
            );
        }
        let replicas = |declared: &Declared| declared.replicas.map_or("default".into(), |n| n.to_string());
        self.changed(false, "replicas", &replicas(base), &replicas(new));
        for key in new.ignored.difference(&base.ignored) {
            self.add(false, format!("ignoreConfig: {key} is added"));
        }
        for key in base.ignored.difference(&new.ignored) {
            self.add(true, format!("ignoreConfig: {key} is removed"));
        }
    }

    fn change(&mut self, change: &Change) {
        let may_need_approval = change::governed_change(change) != GovernedChange::ChangeConfig;
        let value = |text: &str| truncate(&escape(text), MAX_VALUE_CHARS);
        self.add(
            may_need_approval,
            match change {
                Change::Set { key, from, to } => {
                    Change::Set { key: key.clone(), from: from.as_deref().map(value), to: value(to) }
                }
                Change::Reset { key, from } => Change::Reset { key: key.clone(), from: value(from) },
                change => change.clone(),
            },
        );
    }

    fn access(&mut self, base: Option<&EventTopicSpec>, new: &EventTopicSpec) {
        let what = |acl: &TopicAcl| match &acl.group {
            None => format!("{:?}", acl.operation),
            Some(group) => format!("be part of group {group}"),
        };
        for acl in change::granted(base, new) {
            self.add(true, format!("access: {} may {}", acl.principal, what(&acl)));
        }
        for acl in change::withdrawn(base, new) {
            self.add(false, format!("access: {} may no longer {}", acl.principal, what(&acl)));
        }
    }

    fn event_types(&mut self, base: Option<&EventTopicSpec>, new: &EventTopicSpec) {
        let nothing = EventTopicSpec { event_types: Vec::new(), ..new.clone() };
        let base = base.unwrap_or(&nothing);
        let modes = [base, new].map(|spec| spec.compatibility.unwrap_or_default().mode);
        let is_unchecked = modes.contains(&CompatibilityMode::None);
        match change::pairs(base, new) {
            None if base.event_types == new.event_types => {}
            None => self.add(true, "eventTypes: changed, and a type is listed twice or has an invalid name"),
            Some(pairs) => {
                for (id, pair) in &pairs {
                    for text in type_changes(pair) {
                        self.add(pair.breaks(is_unchecked), format!("eventTypes: {id}{text}"));
                    }
                }
            }
        }
    }

    fn compatibility(&mut self, base: Option<&EventTopicSpec>, new: &EventTopicSpec) {
        let of = |spec: &EventTopicSpec| spec.compatibility.unwrap_or_default();
        let (before, after) = (base.map(of).unwrap_or_default(), of(new));
        self.changed(
            change::is_weaker(before.mode, after.mode),
            "compatibility",
            &mode(before),
            &mode(after),
        );
        let policy = |compatibility: Compatibility| format!("{:?}", compatibility.policy);
        let is_looser = after.policy == CompatibilityPolicy::Lenient;
        self.changed(is_looser, "compatibility.policy", &policy(before), &policy(after));
    }

    fn policies(&mut self, base: Option<&EventTopicSpec>, new: &EventTopicSpec) {
        let deletion = |spec: &EventTopicSpec| spec.deletion_policy;
        let before = base.map(deletion).unwrap_or_default();
        let may_need_approval = deletion(new) == DeletionPolicy::Delete;
        self.changed(
            may_need_approval,
            "deletionPolicy",
            &format!("{before:?}"),
            &format!("{:?}", deletion(new)),
        );
        let drift = |spec: &EventTopicSpec| spec.drift_policy;
        let before = base.map(drift).unwrap_or_default();
        self.changed(false, "driftPolicy", &format!("{before:?}"), &format!("{:?}", drift(new)));
    }

    fn people(&mut self, base: Option<&EventTopicSpec>, new: &EventTopicSpec) {
        let owner = |spec: &EventTopicSpec| spec.owner.as_ref().map_or("none".into(), name);
        self.changed(false, "owner", &base.map_or("none".into(), owner), &owner(new));
        let before = base.and_then(|base| base.description.as_ref());
        if let Some(verb) = text_change(before, new.description.as_ref()) {
            self.add(false, format!("description: {verb}"));
        }
    }

    fn changed(&mut self, may_need_approval: bool, field: &str, before: &str, after: &str) {
        if before != after {
            let value = |text: &str| truncate(&escape(text), MAX_VALUE_CHARS);
            self.add(may_need_approval, format!("{field}: {} -> {}", value(before), value(after)));
        }
    }

    /// A change of the topic's identity.
    fn named(&mut self, field: &str, before: Option<&String>, after: Option<&String>) {
        let word = |name: Option<&String>| name.map_or("default".to_owned(), Clone::clone);
        self.changed(true, field, &word(before), &word(after));
    }
}

/// The changes of an event type, each as the end of a line.
fn type_changes(pair: &Pair<'_>) -> Vec<String> {
    let (before, after) = match (pair.before, pair.after) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(_)) if pair.sources().1 == Source::None => {
            return vec![" is added, without a schema".into()];
        }
        (None, _) => return vec![" is added".into()],
        (Some(_), None) => return vec![" is removed".into()],
    };
    let schema = match pair.sources() {
        (before, after) if before == after => None,
        (Source::None, _) => Some(": a schema is added".into()),
        (_, Source::None) => Some(": the schema is removed".into()),
        (_, Source::ConfigMap(from)) => {
            Some(format!(": the schema is key {} of ConfigMap {}", from.key, from.name))
        }
        (Source::Inline(before), Source::Inline(after)) => {
            Some(format!(": the schema changes: {}", schema_changes(before, after)))
        }
        (Source::ConfigMap(_), Source::Inline(_)) => Some(": the schema is part of the resource".into()),
    };
    let description = text_change(before.description.as_ref(), after.description.as_ref());
    schema.into_iter().chain(description.map(|verb| format!(": description: {verb}"))).collect()
}

/// The changed parts of a schema, as JSON pointers.
fn schema_changes(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let (before, after) = (Value::Object(before.clone()), Value::Object(after.clone()));
    let changes = json_patch::diff(&before, &after).0;
    let mut lines: Vec<String> = changes
        .iter()
        .take(MAX_SCHEMA_CHANGES)
        .map(|change| {
            let verb = match change {
                PatchOperation::Add(_) => "adds",
                PatchOperation::Remove(_) => "removes",
                _ => "changes",
            };
            format!("{verb} {}", change.path())
        })
        .collect();
    let more = changes.len().saturating_sub(MAX_SCHEMA_CHANGES);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines.join(", ")
}

/// How a text changed that is too long to show.
fn text_change(before: Option<&String>, after: Option<&String>) -> Option<&'static str> {
    match (before, after) {
        (before, after) if before == after => None,
        (None, _) => Some("added"),
        (_, None) => Some("removed"),
        _ => Some("changed"),
    }
}

fn name(owner: &Owner) -> String {
    match &owner.contact {
        None => owner.team.clone(),
        Some(contact) => format!("{} ({contact})", owner.team),
    }
}

/// The mode's name as in schema registries.
fn mode(compatibility: Compatibility) -> String {
    let word = serde_json::to_value(compatibility.mode).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
