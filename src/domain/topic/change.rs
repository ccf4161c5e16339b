//! Classifies a change of an EventTopic for the approval rules.
//!
//! The result depends only on the two specs, and on the existing Kafka topic at a takeover, so that webhook and
//! controllers agree without any request. Unknown values (a broker's defaults, an ignored key, the content of a ConfigMap)
//! count as changes that need approval. Schema compatibility is not decided here: an incompatible schema is refused even
//! if it is approved.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    CompatibilityMode, CompatibilityPolicy, EventTopic, EventTopicSpec, EventType, GovernedChange, TopicAcl,
};
use crate::domain::Refusal;
use crate::domain::event_type::{self, TypeId};
use crate::domain::registration::Source;
use crate::domain::topic::{Change, Declared, Observed, access, plan};

/// All changes, for a spec whose effect is unknown.
pub(super) const ALL_CHANGES: [GovernedChange; 5] = [
    GovernedChange::AddPartitions,
    GovernedChange::ReduceRetention,
    GovernedChange::ChangeConfig,
    GovernedChange::BreakSchema,
    GovernedChange::GrantAccess,
];

/// Kafka settings that limit how long or how much is kept; a negative value is no limit (in `local.*`: the limit of the
/// whole topic).
const LIMIT_KEYS: [&str; 7] = [
    "delete.retention.ms",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "min.compaction.lag.ms",
    "retention.bytes",
    "retention.ms",
];

/// Kafka settings that decide how old records are deleted, so that any change may delete records.
const POLICY_KEYS: [&str; 3] = ["cleanup.policy", "remote.log.delete.on.disable", "remote.storage.enable"];

/// The unknown value of a key that was ignored before.
const UNKNOWN: &str = "(unknown)";

/// Which governed changes lead from one spec to another; none if they are equal. `existing` is what Kafka has under the name of
/// a first spec, which may take over a Kafka topic.
pub(super) fn classify(
    base: Option<&EventTopicSpec>,
    new: &EventTopicSpec,
    existing: Option<&Observed>,
) -> BTreeSet<GovernedChange> {
    let mut changes = BTreeSet::from([GovernedChange::Any]);
    match base {
        Some(base) if base == new => return BTreeSet::new(),
        // It may be another Kafka topic, whose state is unknown. The status could tell that the name was the default, but
        // it is not trusted.
        Some(base) if is_renamed(base, new) => {
            changes.insert(GovernedChange::Create);
            changes.extend(ALL_CHANGES);
        }
        Some(base) => {
            changes.extend(kafka_changes(base, new));
            if breaks_schema(base, new) {
                changes.insert(GovernedChange::BreakSchema);
            }
        }
        None => {
            changes.insert(GovernedChange::Create);
            changes.extend(takeover_changes(new, existing));
        }
    }
    if !granted(base, new).is_empty() {
        changes.insert(GovernedChange::GrantAccess);
    }
    changes
}

/// Whether a spec names another Kafka topic.
pub(super) fn is_renamed(base: &EventTopicSpec, new: &EventTopicSpec) -> bool {
    (&base.cluster, &base.topic_name) != (&new.cluster, &new.topic_name)
}

/// The changes in Kafka between two specs.
fn kafka_changes(base: &EventTopicSpec, new: &EventTopicSpec) -> BTreeSet<GovernedChange> {
    let (Ok(base), Ok(new)) = (parse(base), parse(new)) else { return BTreeSet::from(ALL_CHANGES) };
    let mut changes: BTreeSet<GovernedChange> =
        plan_changes(&base, &new).iter().map(governed_change).collect();
    if base.ignored != new.ignored || base.drift != new.drift || base.replicas != new.replicas {
        changes.insert(GovernedChange::ChangeConfig);
    }
    changes
}

/// The changes of an existing Kafka topic by its first spec.
fn takeover_changes(new: &EventTopicSpec, existing: Option<&Observed>) -> BTreeSet<GovernedChange> {
    let Ok(declared) = parse(new) else { return BTreeSet::from(ALL_CHANGES) };
    let Some(existing) = existing else { return BTreeSet::new() };
    let mut changes: BTreeSet<GovernedChange> =
        plan(&declared, Some(existing), false, None).changes.iter().map(governed_change).collect();
    // Earlier schemas of the topic are unknown.
    if new.event_types.iter().any(|declared| Source::of(declared) != Source::None) {
        changes.insert(GovernedChange::BreakSchema);
    }
    changes
}

/// The desired state in Kafka of a spec.
pub(super) fn parse(spec: &EventTopicSpec) -> Result<Declared, Refusal> {
    Declared::read(&EventTopic::new("", spec.clone()))
}

/// The changes in Kafka if it matches the base.
pub(super) fn plan_changes(base: &Declared, new: &Declared) -> Vec<Change> {
    let mut config = base.config.clone();
    // A key that is no longer ignored has an unknown value and is set or reset.
    let released = base.ignored.difference(&new.ignored);
    config.extend(released.map(|key| (key.clone(), UNKNOWN.to_owned())));
    let observed = Observed { id: String::new(), partitions: base.partitions, replicas: 0, config };
    plan(new, Some(&observed), false, None).changes
}

/// The governed change of one change in Kafka.
pub(super) fn governed_change(change: &Change) -> GovernedChange {
    match change {
        Change::Create { .. } => GovernedChange::Create,
        Change::AddPartitions { .. } => GovernedChange::AddPartitions,
        Change::Set { key, from, to } if may_reduce(key, from.as_deref(), Some(to)) => {
            GovernedChange::ReduceRetention
        }
        Change::Reset { key, from } if may_reduce(key, Some(from), None) => GovernedChange::ReduceRetention,
        Change::Set { .. } | Change::Reset { .. } => GovernedChange::ChangeConfig,
    }
}

/// Whether Kafka may keep less after a change of a key; `None` is the unknown default.
fn may_reduce(key: &str, from: Option<&str>, to: Option<&str>) -> bool {
    let limit = |value: &str| value.trim().parse::<i64>().ok().map(|n| if n < 0 { i64::MAX } else { n });
    let (from, to) = (from.and_then(limit), to.and_then(limit));
    let is_less = match (from, to) {
        (_, Some(i64::MAX)) => false,
        (Some(from), Some(to)) => to < from,
        _ => true,
    };
    POLICY_KEYS.contains(&key) || (LIMIT_KEYS.contains(&key) && is_less)
}

/// Whether the compatibility requirements become weaker.
fn breaks_schema(base: &EventTopicSpec, new: &EventTopicSpec) -> bool {
    let (before, after) = (base.compatibility.unwrap_or_default(), new.compatibility.unwrap_or_default());
    let is_looser =
        (before.policy, after.policy) == (CompatibilityPolicy::Strict, CompatibilityPolicy::Lenient);
    if is_looser || is_weaker(before.mode, after.mode) {
        return true;
    }
    if base.event_types == new.event_types {
        return false;
    }
    let is_unchecked = [before.mode, after.mode].contains(&CompatibilityMode::None);
    match pairs(base, new) {
        None => true,
        Some(pairs) => pairs.values().any(|pair| pair.breaks(is_unchecked)),
    }
}

/// Whether `after` drops a requirement of `before`; two modes can each be weaker than the other.
pub(super) fn is_weaker(before: CompatibilityMode, after: CompatibilityMode) -> bool {
    let ((old_backward, old_forward), (backward, forward)) = (requirements(before), requirements(after));
    backward < old_backward || forward < old_forward
}

/// How many revisions back (none, the last, all) new consumers must read old events, and old consumers new events.
fn requirements(mode: CompatibilityMode) -> (u8, u8) {
    match mode {
        CompatibilityMode::None => (0, 0),
        CompatibilityMode::Backward => (1, 0),
        CompatibilityMode::BackwardTransitive => (2, 0),
        CompatibilityMode::Forward => (0, 1),
        CompatibilityMode::ForwardTransitive => (0, 2),
        CompatibilityMode::Full => (1, 1),
        CompatibilityMode::FullTransitive => (2, 2),
    }
}

/// An event type before and after the change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair<'a> {
    pub(super) before: Option<&'a EventType>,
    pub(super) after: Option<&'a EventType>,
}

impl<'a> Pair<'a> {
    /// The sources of its schema before and after.
    pub(super) fn sources(&self) -> (Source<'a>, Source<'a>) {
        (self.before.map_or(Source::None, Source::of), self.after.map_or(Source::None, Source::of))
    }

    /// Whether a schema is removed, or replaced by one that is not compared with it or not readable here.
    /// `is_unchecked`: the compatibility mode is `None`.
    pub(super) fn breaks(&self, is_unchecked: bool) -> bool {
        match self.sources() {
            (Source::None, _) => false,
            (_, Source::None) => true,
            (before, after) if before == after => false,
            // The content of a ConfigMap can change later without a change of the spec.
            (_, Source::ConfigMap(_)) => true,
            (_, Source::Inline(_)) => is_unchecked,
        }
    }
}

/// The event types of both specs; `None` if a name is invalid or duplicate.
pub(super) fn pairs<'a>(
    base: &'a EventTopicSpec,
    new: &'a EventTopicSpec,
) -> Option<BTreeMap<TypeId, Pair<'a>>> {
    let mut pairs: BTreeMap<TypeId, Pair<'a>> = BTreeMap::new();
    for declared in &base.event_types {
        let pair = pairs.entry(event_type::parse(declared).ok()?).or_default();
        if pair.before.replace(declared).is_some() {
            return None;
        }
    }
    for declared in &new.event_types {
        let pair = pairs.entry(event_type::parse(declared).ok()?).or_default();
        if pair.after.replace(declared).is_some() {
            return None;
        }
    }
    Some(pairs)
}

/// New ACLs. The comparison is literal: a group that an earlier `*` pattern includes is still new.
pub(super) fn granted(base: Option<&EventTopicSpec>, new: &EventTopicSpec) -> Vec<TopicAcl> {
    let before = base.map(acls).unwrap_or_default();
    acls(new).difference(&before).cloned().collect()
}

/// Removed ACLs.
pub(super) fn withdrawn(base: Option<&EventTopicSpec>, new: &EventTopicSpec) -> Vec<TopicAcl> {
    base.map(|base| granted(Some(new), base)).unwrap_or_default()
}

fn acls(spec: &EventTopicSpec) -> BTreeSet<TopicAcl> {
    access::declared_acls(&EventTopic::new("", spec.clone()))
}

#[cfg(test)]
mod tests;
