//! What is in force, as the controllers have noted and sealed it.
//!
//! `status.approved` names a content by its hash. The content itself is what the resource declares, if that has the
//! same hash, and otherwise what a ControllerRevision keeps. The revision needs no seal: it is believed if its
//! content has the hash that is sealed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{PublicKeys, SigningKey, SpecHash, Statement, Subject};
use crate::api::{ApprovedSpec, EventTopic, EventTopicSpec, GovernedChange, GovernedKind};
use crate::domain::topic::{Observed, change};

/// A note of what is in force that the controllers have sealed. There is no other way to have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRecord(ApprovedSpec);

impl ActiveRecord {
    /// What a resource's status says, if the controllers have sealed that for this very resource.
    #[must_use]
    pub fn verified(topic: &EventTopic, keys: &PublicKeys) -> Option<Self> {
        let said = topic.status.as_ref()?.approved.as_ref()?;
        let uid = topic.uid()?;
        keys.verify(&statement(&uid, said), &said.seal).then(|| Self(said.clone()))
    }

    /// Notes that what a resource declares is in force.
    #[must_use]
    pub fn of(
        subject: &Subject,
        hash: &SpecHash,
        revision: Option<String>,
        at: Timestamp,
        key: &SigningKey,
    ) -> Self {
        let mut said = ApprovedSpec {
            hash: hash.to_string(),
            generation: subject.generation,
            revision,
            at,
            seal: String::new(),
        };
        said.seal = key.seal(&statement(subject.uid.as_deref().unwrap_or_default(), &said));
        Self(said)
    }

    /// As the status has it.
    #[must_use]
    pub fn as_status(&self) -> &ApprovedSpec {
        &self.0
    }

    /// Whether this is the content that is in force.
    #[must_use]
    pub fn is_of(&self, hash: &SpecHash) -> bool {
        self.0.hash == hash.as_str()
    }

    /// Whichever was noted later; of two at once the first.
    #[must_use]
    pub fn newer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.0.at > one.0.at { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

fn statement<'a>(uid: &'a str, said: &'a ApprovedSpec) -> Statement<'a> {
    Statement::Approved {
        kind: GovernedKind::EventTopic,
        uid,
        hash: &said.hash,
        generation: said.generation,
        revision: said.revision.as_deref(),
        at: said.at,
    }
}

/// The name of the ControllerRevision that keeps a content: the same for the same content of the same resource,
/// and another one for another resource under its name.
#[must_use]
pub fn revision_name(subject: &Subject, hash: &SpecHash) -> String {
    let uid: String = subject.uid.as_deref().unwrap_or_default().chars().take(8).collect();
    // At most 253 characters, and no label that ends in a hyphen.
    let name = format!("{:.200}", subject.name);
    format!("{}-approved-{uid}-{}", name.trim_end_matches(['-', '.']), hash.short())
}

/// What the ControllerRevision keeps.
#[must_use]
pub fn kept(spec: &EventTopicSpec) -> Value {
    json!({ "spec": spec })
}

/// What is in force of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum ActiveSpec {
    /// What it declares.
    Current(ActiveRecord),
    /// What it declared before.
    Previous(ActiveRecord, Box<EventTopicSpec>),
    /// Something, and it is not known any more what, for this reason.
    Unknown(String),
    /// Nothing.
    None,
}

/// What is there to tell it by.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// What is noted.
    pub record: Option<ActiveRecord>,
    /// What the ControllerRevision that the note names keeps.
    pub kept: Option<&'a Value>,
    /// Whether a ControllerRevision keeps a content of this resource.
    pub any: bool,
    /// Whether the note may be an old one that somebody has put back: what it names is kept nowhere.
    pub stale: bool,
}

/// Tells what is in force of a resource that declares this.
#[must_use]
pub fn in_force(topic: &EventTopic, hash: &SpecHash, traces: Evidence<'_>) -> ActiveSpec {
    let Some(record) = traces.record else {
        let said = topic.status.as_ref().is_some_and(|status| status.approved.is_some());
        return match (said, traces.any) {
            (true, _) => ActiveSpec::Unknown("status.approved is not as the operator has written it".into()),
            (false, true) => ActiveSpec::Unknown("status.approved has been taken away".into()),
            (false, false) => ActiveSpec::None,
        };
    };
    if traces.stale {
        return ActiveSpec::Unknown(
            "what status.approved names is not what is kept, so it may be an old one".into(),
        );
    }
    if record.is_of(hash) {
        return ActiveSpec::Current(record);
    }
    let spec =
        traces.kept.and_then(|kept| serde_json::from_value::<EventTopicSpec>(kept["spec"].clone()).ok());
    match (spec, record.0.revision.as_deref()) {
        (Some(spec), _) if record.is_of(&SpecHash::of(&spec)) => ActiveSpec::Previous(record, Box::new(spec)),
        (Some(_), Some(name)) => {
            ActiveSpec::Unknown(format!("ControllerRevision {name} keeps something else"))
        }
        (None, Some(name)) => ActiveSpec::Unknown(format!("ControllerRevision {name} is missing")),
        (_, None) => ActiveSpec::Unknown("it changed before the operator could keep it".into()),
    }
}

impl ActiveSpec {
    /// What a change to what is declared touches. `existing` is what Kafka has under the name that is declared.
    #[must_use]
    pub fn touched(&self, new: &EventTopicSpec, existing: Option<&Observed>) -> BTreeSet<GovernedChange> {
        match self {
            Self::Current(_) => BTreeSet::new(),
            Self::Previous(_, base) => {
                let mut touched = change::touched(Some(base), new, None);
                if moves(base, new) {
                    touched.extend(change::touched(None, new, existing));
                }
                touched
            }
            // Whatever it may be.
            Self::Unknown(_) => BTreeSet::from([
                GovernedChange::Create,
                GovernedChange::AddPartitions,
                GovernedChange::ReduceRetention,
                GovernedChange::ChangeConfig,
                GovernedChange::BreakSchema,
                GovernedChange::GrantAccess,
                GovernedChange::Any,
            ]),
            Self::None => change::touched(None, new, existing),
        }
    }

    /// Whether that depends on what Kafka has: a resource may take over a topic that is there.
    #[must_use]
    pub fn depends_on_kafka(&self, new: &EventTopicSpec) -> bool {
        match self {
            Self::Current(_) | Self::Unknown(_) => false,
            Self::Previous(_, base) => moves(base, new),
            Self::None => true,
        }
    }

    /// The content that is in force, if it is another one than is declared.
    #[must_use]
    pub fn base(&self) -> Option<&EventTopicSpec> {
        match self {
            Self::Previous(_, base) => Some(base),
            _ => None,
        }
    }

    /// The resource as it would be had nothing been asked for since: what is acted on while a change waits.
    #[must_use]
    pub fn instead_of(&self, topic: &EventTopic) -> Option<EventTopic> {
        let Self::Previous(record, base) = self else { return None };
        let mut instead = EventTopic { spec: (**base).clone(), ..topic.clone() };
        instead.metadata.generation = Some(record.0.generation);
        Some(instead)
    }
}

/// Whether another Kafka topic is meant than before.
fn moves(base: &EventTopicSpec, new: &EventTopicSpec) -> bool {
    (&base.cluster, &base.topic_name) != (&new.cluster, &new.topic_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn key(digit: char) -> SigningKey {
        SigningKey::of_seed(&digit.to_string().repeat(64)).expect("a key")
    }

    fn keys() -> PublicKeys {
        PublicKeys::read(&key('1').public())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn record(of: &EventTopic, revision: Option<&str>, second: i64) -> ActiveRecord {
        let revision = revision.map(String::from);
        ActiveRecord::of(&Subject::topic(of), &SpecHash::of(&of.spec), revision, at(second), &key('1'))
    }

    fn noted(mut topic: EventTopic, record: &ActiveRecord) -> EventTopic {
        topic.status.get_or_insert_default().approved = Some(record.as_status().clone());
        topic
    }

    #[test]
    fn only_what_was_sealed_for_this_resource_is_believed() {
        let orders = topic("{}");
        let record = record(&orders, Some("r"), 1);
        let orders = noted(orders, &record);
        assert_eq!(ActiveRecord::verified(&orders, &keys()), Some(record.clone()));
        assert_eq!(ActiveRecord::verified(&orders, &PublicKeys::read(&key('2').public())), None);
        assert_eq!(ActiveRecord::verified(&noted(topic("{name: other}"), &record), &keys()), None);
        type Edit = fn(&mut ApprovedSpec);
        let edits: [Edit; 5] = [
            |said| said.hash = "f".repeat(64),
            |said| said.generation += 1,
            |said| said.revision = None,
            |said| said.at = at(2),
            |said| said.seal = "v1.x.y".into(),
        ];
        for edit in edits {
            let mut forged = orders.clone();
            edit(forged.status.as_mut().and_then(|status| status.approved.as_mut()).expect("it is there"));
            assert_eq!(ActiveRecord::verified(&forged, &keys()), None);
        }
    }

    fn check(before: &str, now: &str, forge: impl Fn(&mut EventTopic, &mut Value), expected: Expect) {
        let before = topic(before);
        let record = record(&before, Some("orders-approved-x"), 1);
        let mut now = noted(topic(now), &record);
        let mut kept = kept(&before.spec);
        forge(&mut now, &mut kept);
        let hash = SpecHash::of(&now.spec);
        let traces = Evidence {
            record: ActiveRecord::verified(&now, &keys()),
            kept: Some(&kept),
            any: true,
            stale: false,
        };
        let traces = if kept.is_null() { Evidence { kept: None, any: false, ..traces } } else { traces };
        let found = in_force(&now, &hash, traces);
        let touched = found.touched(&now.spec, None);
        expected.assert_eq(&match &found {
            ActiveSpec::Current(_) => "declared".into(),
            ActiveSpec::Previous(record, base) => {
                let instead = found.instead_of(&now).expect("there is one");
                assert_eq!(instead.metadata.generation, Some(record.as_status().generation));
                assert_eq!(instead.spec, **base);
                format!("before: {} partitions, {touched:?}", base.partitions)
            }
            ActiveSpec::Unknown(why) => format!("lost: {why}, {} changes", touched.len()),
            ActiveSpec::None => format!("nothing, {touched:?}"),
        });
    }

    #[test]
    fn what_is_in_force_is_told_by_the_seal_and_the_content() {
        check("{}", "{generation: 2}", |_, _| {}, expect!["declared"]);
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |_, _| {},
            expect!["before: 3 partitions, {AddPartitions, Any}"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |_, kept| kept["spec"]["partitions"] = json!(5),
            expect!["lost: ControllerRevision orders-approved-x keeps something else, 7 changes"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |_, kept| *kept = Value::Null,
            expect!["lost: ControllerRevision orders-approved-x is missing, 7 changes"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |now, _| {
                let hash = SpecHash::of(&now.spec).to_string();
                now.status.as_mut().and_then(|status| status.approved.as_mut()).expect("it is there").hash =
                    hash;
            },
            expect!["lost: status.approved is not as the operator has written it, 7 changes"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |now, _| now.status = None,
            expect!["lost: status.approved has been taken away, 7 changes"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |now, kept| (now.status, *kept) = (None, Value::Null),
            expect!["nothing, {Create, Any}"],
        );
        check(
            "{}",
            "{topicName: shop.other, generation: 2}",
            |_, _| {},
            expect![
                "before: 1 partitions, {Create, AddPartitions, ReduceRetention, ChangeConfig, BreakSchema, GrantAccess, Any}"
            ],
        );
    }

    #[test]
    fn the_later_note_counts() {
        let orders = topic("{}");
        let (first, second) = (record(&orders, None, 1), record(&orders, None, 2));
        assert_eq!(ActiveRecord::newer(Some(first.clone()), Some(second.clone())), Some(second.clone()));
        assert_eq!(ActiveRecord::newer(Some(second.clone()), Some(first.clone())), Some(second));
        assert_eq!(ActiveRecord::newer(None, Some(first.clone())), Some(first.clone()));
        let again = record(&orders, Some("r"), 1);
        assert_eq!(ActiveRecord::newer(Some(again.clone()), Some(first)), Some(again));
    }

    #[test]
    fn a_revision_has_a_name_that_kubernetes_takes() {
        let mut subject = Subject::topic(&topic("{}"));
        subject.uid = Some("0f1e2d3c-0000-0000-0000-000000000000".into());
        let hash = SpecHash::of(&topic("{}").spec);
        assert_eq!(revision_name(&subject, &hash), "orders-approved-0f1e2d3c-cac458024348");
        subject.name = format!("{}.{}", "a".repeat(199), "b".repeat(53));
        let name = revision_name(&subject, &hash);
        assert!(name.len() <= 253 && name.starts_with(&format!("{}-approved-", "a".repeat(199))), "{name}");
    }
}
