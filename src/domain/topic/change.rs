//! What a change of an EventTopic touches.
//!
//! Decided from the two declarations alone, and from what Kafka has where a topic is taken over: webhook and
//! controllers come to the same answer without asking anybody. Whatever cannot be known here (a broker's defaults, a
//! key that others manage, the content of a ConfigMap) is taken to be what needs approval. Whether a schema
//! fits to those before it is not decided here: what does not fit is refused whoever approves it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    CompatibilityMode, CompatibilityPolicy, EventTopic, EventTopicSpec, EventType, GovernedChange, TopicAcl,
};
use crate::domain::Refusal;
use crate::domain::event_type::{self, TypeId};
use crate::domain::registration::{Source, source};
use crate::domain::topic::{Change, Declared, Observed, access, plan};

/// Whatever a change of a topic can touch, where it cannot be told what it does.
pub(super) const ALL_CHANGES: [GovernedChange; 5] = [
    GovernedChange::AddPartitions,
    GovernedChange::ReduceRetention,
    GovernedChange::ChangeConfig,
    GovernedChange::BreakSchema,
    GovernedChange::GrantAccess,
];

/// Keys of Kafka whose number says how long or how much is kept; one below 0 is no limit (in `local.*`: the limit
/// of the whole topic).
const LIMIT_KEYS: [&str; 7] = [
    "delete.retention.ms",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "min.compaction.lag.ms",
    "retention.bytes",
    "retention.ms",
];

/// Keys of Kafka that say what becomes of old records, so that any change may cost some.
const POLICY_KEYS: [&str; 3] = ["cleanup.policy", "remote.log.delete.on.disable", "remote.storage.enable"];

/// Stands for the value of a key that others have managed: nothing is known of it.
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
        // Another Kafka topic may be meant, of which nothing is known. The status might say that the name was the default
        // before, but anybody could have written that.
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

/// What of a topic in Kafka a declaration changes that comes after another.
fn kafka_changes(base: &EventTopicSpec, new: &EventTopicSpec) -> BTreeSet<GovernedChange> {
    let (Ok(base), Ok(new)) = (parse(base), parse(new)) else { return BTreeSet::from(ALL_CHANGES) };
    let mut changes: BTreeSet<GovernedChange> =
        plan_changes(&base, &new).iter().map(governed_change).collect();
    if base.ignored != new.ignored || base.drift != new.drift || base.replicas != new.replicas {
        changes.insert(GovernedChange::ChangeConfig);
    }
    changes
}

/// What of a topic that Kafka has already is changed by the first declaration of it.
fn takeover_changes(new: &EventTopicSpec, existing: Option<&Observed>) -> BTreeSet<GovernedChange> {
    let Ok(declared) = parse(new) else { return BTreeSet::from(ALL_CHANGES) };
    let Some(existing) = existing else { return BTreeSet::new() };
    let mut changes: BTreeSet<GovernedChange> =
        plan(&declared, Some(existing), false, None).changes.iter().map(governed_change).collect();
    // What was registered for the topic before is not known.
    if new.event_types.iter().any(|declared| source(declared) != Source::None) {
        changes.insert(GovernedChange::BreakSchema);
    }
    changes
}

/// What Kafka is given, read from a spec alone.
pub(super) fn parse(spec: &EventTopicSpec) -> Result<Declared, Refusal> {
    Declared::read(&EventTopic::new("", spec.clone()))
}

/// What is changed in Kafka if it has what the base declares.
pub(super) fn plan_changes(base: &Declared, new: &Declared) -> Vec<Change> {
    let mut config = base.config.clone();
    // A key that others have managed has whatever they gave it, and is set or reset now.
    let released = base.ignored.difference(&new.ignored);
    config.extend(released.map(|key| (key.clone(), UNKNOWN.to_owned())));
    let observed = Observed { id: String::new(), partitions: base.partitions, replicas: 0, config };
    plan(new, Some(&observed), false, None).changes
}

/// What one change in Kafka is to the rules.
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

/// Whether Kafka may keep less after a change of a key; none is the default, which is not known.
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

/// Whether less is demanded of the events or of the schemas to come.
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
    let anything_goes = [before.mode, after.mode].contains(&CompatibilityMode::None);
    match pairs(base, new) {
        None => true,
        Some(pairs) => pairs.values().any(|pair| pair.breaks(anything_goes)),
    }
}

/// Whether a mode leaves out anything that another demands; neither of two that differ need be the stronger.
pub(super) fn is_weaker(before: CompatibilityMode, after: CompatibilityMode) -> bool {
    let ((old_backward, old_forward), (backward, forward)) = (demands(before), demands(after));
    backward < old_backward || forward < old_forward
}

/// How far back (not at all, to the last revision, to all of them) new consumers have to read old events, and old
/// consumers new ones.
fn demands(mode: CompatibilityMode) -> (u8, u8) {
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

/// An event type as it was and as it will be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair<'a> {
    pub(super) before: Option<&'a EventType>,
    pub(super) after: Option<&'a EventType>,
}

impl<'a> Pair<'a> {
    /// Where its schema was and will be.
    pub(super) fn sources(&self) -> (Source<'a>, Source<'a>) {
        (self.before.map_or(Source::None, source), self.after.map_or(Source::None, source))
    }

    /// Whether a schema is taken away, or replaced by one that nobody compares with it or that is not here to
    /// be read. `anything_goes`: nothing is demanded of new schemas.
    pub(super) fn breaks(&self, anything_goes: bool) -> bool {
        match self.sources() {
            (Source::None, _) => false,
            (_, Source::None) => true,
            (before, after) if before == after => false,
            // What is in a ConfigMap can become anything later, and no spec changes by it.
            (_, Source::ConfigMap(_)) => true,
            (_, Source::Inline(_)) => anything_goes,
        }
    }
}

/// The event types of both; none if it is not certain which of them are the same, because a name cannot be
/// read or is there twice.
pub(super) fn pairs<'a>(
    base: &'a EventTopicSpec,
    new: &'a EventTopicSpec,
) -> Option<BTreeMap<TypeId, Pair<'a>>> {
    let mut pairs: BTreeMap<TypeId, Pair<'a>> = BTreeMap::new();
    for declared in &base.event_types {
        let pair = pairs.entry(event_type::read(declared).ok()?).or_default();
        if pair.before.replace(declared).is_some() {
            return None;
        }
    }
    for declared in &new.event_types {
        let pair = pairs.entry(event_type::read(declared).ok()?).or_default();
        if pair.after.replace(declared).is_some() {
            return None;
        }
    }
    Some(pairs)
}

/// What somebody may do that they might not before. To the letter: a group that one with `*` before includes
/// is new all the same.
pub(super) fn granted(base: Option<&EventTopicSpec>, new: &EventTopicSpec) -> Vec<TopicAcl> {
    let before = base.map(acls).unwrap_or_default();
    acls(new).difference(&before).cloned().collect()
}

/// What somebody may no longer do.
pub(super) fn withdrawn(base: Option<&EventTopicSpec>, new: &EventTopicSpec) -> Vec<TopicAcl> {
    base.map(|base| granted(Some(new), base)).unwrap_or_default()
}

fn acls(spec: &EventTopicSpec) -> BTreeSet<TopicAcl> {
    access::declared(&EventTopic::new("", spec.clone()))
}

#[cfg(test)]
mod tests;
