//! Which spec of a resource is active.
//!
//! `status.approved`, sealed by the controllers, names the active spec by its hash. The spec itself is the declared
//! one, if that has the same hash, and otherwise that of a ControllerRevision. The revision needs no seal: it is
//! trusted if its content has the sealed hash.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::governed::Governed;
use super::{SpecHash, Statement};
use crate::api::{ApprovedSpec, GovernedChange, HasApproval, Kind};
use crate::domain::Revisioned;
use crate::domain::signature::{PublicKeys, SigningKey};

/// The sealed record of the active spec. Only [`ActiveRecord::verified`] and [`ActiveRecord::seal`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRecord(ApprovedSpec);

impl ActiveRecord {
    /// The record in a resource's status, if the controllers sealed it for this resource.
    #[must_use]
    pub fn verified<K>(resource: &K, keys: &PublicKeys) -> Option<Self>
    where
        K: kube::Resource<DynamicType = ()> + HasStatus<Status: HasApproval>,
    {
        let approved = resource.status()?.approved()?;
        let uid = resource.uid()?;
        let kind = Kind::of::<K>();
        keys.verify(&statement(&kind, &uid, approved), &approved.seal).then(|| Self(approved.clone()))
    }

    /// Seals that a spec of a resource is active.
    #[must_use]
    pub fn seal(
        subject: &Revisioned,
        hash: &SpecHash,
        revision: Option<String>,
        at: Timestamp,
        key: &SigningKey,
    ) -> Self {
        let mut approved = ApprovedSpec {
            hash: hash.to_string(),
            generation: subject.generation,
            revision,
            at,
            seal: String::new(),
        };
        let uid = subject.uid.as_deref().unwrap_or_default();
        approved.seal = key.seal(&statement(&subject.object.kind, uid, &approved));
        Self(approved)
    }

    /// The form of the record in a status.
    #[must_use]
    pub fn as_status(&self) -> &ApprovedSpec {
        &self.0
    }

    /// Whether the active spec has this hash.
    #[must_use]
    pub fn is_of(&self, hash: &SpecHash) -> bool {
        self.0.hash == hash.as_str()
    }

    /// The later of two records; of two from the same time the first.
    #[must_use]
    pub fn newer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.0.at > one.0.at { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

fn statement<'a>(kind: &'a Kind, uid: &'a str, approved: &'a ApprovedSpec) -> Statement<'a> {
    Statement::Approved {
        kind,
        uid,
        hash: &approved.hash,
        generation: approved.generation,
        revision: approved.revision.as_deref(),
        at: approved.at,
    }
}

/// The name of the ControllerRevision that stores a spec: the same for the same spec of the same resource, and another one
/// for another resource of the same name.
#[must_use]
pub fn revision_name(subject: &Revisioned, hash: &SpecHash) -> String {
    let uid: String = subject.uid.as_deref().unwrap_or_default().chars().take(8).collect();
    // At most 253 characters, and no label that ends in a hyphen.
    let name = format!("{:.200}", subject.object.name);
    format!("{}-approved-{uid}-{}", name.trim_end_matches(['-', '.']), hash.short())
}

/// The `data` of the ControllerRevision that stores a spec.
#[must_use]
pub fn revision_data(spec: &impl Serialize) -> Value {
    json!({ "spec": spec })
}

/// The active spec of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum ActiveSpec<S> {
    /// The declared spec.
    Current(ActiveRecord),
    /// A previously declared spec.
    Previous(ActiveRecord, Box<S>),
    /// There is one, but it cannot be determined, for this reason.
    Unknown(String),
    /// There is none.
    None,
}

/// The evidence from which the active spec is determined.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// The newest verified record.
    pub record: Option<ActiveRecord>,
    /// The `data` of the ControllerRevision that the record names.
    pub revision: Option<&'a Value>,
    /// Whether any ControllerRevision stores a spec of this resource.
    pub has_revisions: bool,
    /// Whether the record may be an outdated one that was restored, because the revision it names does not exist.
    pub is_stale: bool,
}

impl<S: Serialize + DeserializeOwned> ActiveSpec<S> {
    /// Determines the active spec of a resource whose declared spec has this hash.
    #[must_use]
    pub fn determine<K>(resource: &K, hash: &SpecHash, evidence: Evidence<'_>) -> Self
    where
        K: HasStatus<Status: HasApproval>,
    {
        let Some(record) = evidence.record else {
            let has_status = resource.status().is_some_and(|status| status.approved().is_some());
            return match (has_status, evidence.has_revisions) {
                (true, _) => Self::Unknown("status.approved was changed by another client".into()),
                (false, true) => Self::Unknown("status.approved was removed".into()),
                (false, false) => Self::None,
            };
        };
        if evidence.is_stale {
            return Self::Unknown(
                "status.approved names a revision that does not exist and may be outdated".into(),
            );
        }
        if record.is_of(hash) {
            return Self::Current(record);
        }
        let spec = evidence.revision.and_then(|data| serde_json::from_value::<S>(data["spec"].clone()).ok());
        match (spec, record.0.revision.as_deref()) {
            (Some(spec), _) if record.is_of(&SpecHash::of(&spec)) => Self::Previous(record, Box::new(spec)),
            (Some(_), Some(name)) => Self::Unknown(format!("ControllerRevision {name} has another content")),
            (None, Some(name)) => Self::Unknown(format!("ControllerRevision {name} is missing")),
            (_, None) => Self::Unknown("the declared spec changed before the operator stored it".into()),
        }
    }
}

impl<S> ActiveSpec<S> {
    /// The record of the active spec, if it is certain.
    #[must_use]
    pub fn record(&self) -> Option<&ActiveRecord> {
        match self {
            Self::Current(record) | Self::Previous(record, _) => Some(record),
            Self::Unknown(_) | Self::None => None,
        }
    }

    /// Which governed changes lead to a new spec; none if it is active.
    #[must_use]
    pub fn classify<K: Governed<Spec = S>>(&self, new: &S, facts: &K::Facts) -> BTreeSet<GovernedChange> {
        match self {
            Self::Current(_) => BTreeSet::new(),
            Self::Previous(_, base) => K::classify(Some(base), new, facts),
            Self::Unknown(_) => {
                K::ALL_CHANGES.iter().copied().chain([GovernedChange::Create, GovernedChange::Any]).collect()
            }
            Self::None => K::classify(None, new, facts),
        }
    }

    /// Whether the change is compared with the facts: the classification, or the difference and its approval.
    #[must_use]
    pub fn depends_on_facts<K: Governed<Spec = S>>(&self, new: &S) -> bool {
        match self {
            Self::Current(_) => false,
            Self::Previous(_, base) => K::depends_on_facts(Some(base), new),
            Self::Unknown(_) | Self::None => K::depends_on_facts(None, new),
        }
    }

    /// Why the active spec cannot be determined, if it cannot.
    #[must_use]
    pub fn unknown_because(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Current(_) | Self::Previous(..) | Self::None => None,
        }
    }

    /// The active spec, if it is known and differs from the declared one.
    #[must_use]
    pub fn previous(&self) -> Option<&S> {
        match self {
            Self::Previous(_, base) => Some(base),
            _ => None,
        }
    }

    /// A resource under deletion, with a spec that keeps its data unless both the declared and the active spec delete it. An
    /// unknown active spec may delete it.
    #[must_use]
    pub fn limit_deletion<'k, K: Governed<Spec = S>>(&self, resource: &'k K) -> Cow<'k, K> {
        let destroys = match self {
            Self::Current(_) | Self::Unknown(_) => true,
            Self::Previous(_, base) => K::destroys_data(base),
            Self::None => false,
        };
        if destroys || !K::destroys_data(resource.spec()) {
            return Cow::Borrowed(resource);
        }
        let mut retaining = resource.clone();
        K::keep_data(retaining.spec_mut());
        Cow::Owned(retaining)
    }

    /// The resource with its previous spec and generation: what is reconciled while a change is pending.
    #[must_use]
    pub fn restore<K: Governed<Spec = S>>(&self, resource: &K) -> Option<K>
    where
        S: Clone,
    {
        let Self::Previous(record, base) = self else { return None };
        let mut restored = resource.clone();
        *restored.spec_mut() = S::clone(base);
        restored.meta_mut().generation = Some(record.0.generation);
        Some(restored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, EventTopicSpec};
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn key(digit: char) -> SigningKey {
        SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key")
    }

    fn keys() -> PublicKeys {
        PublicKeys::parse(&key('1').public_key())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn record(of: &EventTopic, revision: Option<&str>, second: i64) -> ActiveRecord {
        let revision = revision.map(String::from);
        ActiveRecord::seal(&Revisioned::of(of), &SpecHash::of(&of.spec), revision, at(second), &key('1'))
    }

    fn with_record(mut topic: EventTopic, record: &ActiveRecord) -> EventTopic {
        topic.status.get_or_insert_default().approved = Some(record.as_status().clone());
        topic
    }

    #[test]
    fn only_records_sealed_for_this_resource_are_trusted() {
        let orders = topic("{}");
        let record = record(&orders, Some("r"), 1);
        let orders = with_record(orders, &record);
        assert_eq!(ActiveRecord::verified(&orders, &keys()), Some(record.clone()));
        assert_eq!(ActiveRecord::verified(&orders, &PublicKeys::parse(&key('2').public_key())), None);
        assert_eq!(ActiveRecord::verified(&with_record(topic("{name: other}"), &record), &keys()), None);
        type Edit = fn(&mut ApprovedSpec);
        let edits: [Edit; 5] = [
            |approved| approved.hash = "f".repeat(64),
            |approved| approved.generation += 1,
            |approved| approved.revision = None,
            |approved| approved.at = at(2),
            |approved| approved.seal = "v1.x.y".into(),
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
        let mut now = with_record(topic(now), &record);
        let mut kept = revision_data(&before.spec);
        forge(&mut now, &mut kept);
        let hash = SpecHash::of(&now.spec);
        let evidence = Evidence {
            record: ActiveRecord::verified(&now, &keys()),
            revision: Some(&kept),
            has_revisions: true,
            is_stale: false,
        };
        let evidence = if kept.is_null() {
            Evidence { revision: None, has_revisions: false, ..evidence }
        } else {
            evidence
        };
        let found = ActiveSpec::<EventTopicSpec>::determine(&now, &hash, evidence);
        let touched = found.classify::<EventTopic>(&now.spec, &None);
        expected.assert_eq(&match &found {
            ActiveSpec::Current(_) => "declared".into(),
            ActiveSpec::Previous(record, base) => {
                let instead = found.restore(&now).expect("there is one");
                assert_eq!(instead.metadata.generation, Some(record.as_status().generation));
                assert_eq!(instead.spec, **base);
                format!("before: {} partitions, {touched:?}", base.partitions)
            }
            ActiveSpec::Unknown(reason) => format!("lost: {reason}, {} changes", touched.len()),
            ActiveSpec::None => format!("nothing, {touched:?}"),
        });
    }

    #[test]
    fn seal_and_content_determine_the_active_spec() {
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
            expect!["lost: ControllerRevision orders-approved-x has another content, 7 changes"],
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
            expect!["lost: status.approved was changed by another client, 7 changes"],
        );
        check(
            "partitions: 3",
            "{partitions: 4, generation: 2}",
            |now, _| now.status = None,
            expect!["lost: status.approved was removed, 7 changes"],
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
        let mut subject = Revisioned::of(&topic("{}"));
        subject.uid = Some("0f1e2d3c-0000-0000-0000-000000000000".into());
        let hash = SpecHash::of(&topic("{}").spec);
        assert_eq!(revision_name(&subject, &hash), "orders-approved-0f1e2d3c-cac458024348");
        subject.object.name = format!("{}.{}", "a".repeat(199), "b".repeat(53)).into();
        let name = revision_name(&subject, &hash);
        assert!(name.len() <= 253 && name.starts_with(&format!("{}-approved-", "a".repeat(199))), "{name}");
    }

    #[test]
    fn data_is_deleted_only_if_the_active_spec_deletes_it_too() {
        use crate::api::DeletionPolicy::{Delete, Retain};
        let policy = |declared: &str, active: &ActiveSpec<EventTopicSpec>| {
            active.limit_deletion(&topic(declared)).spec.deletion_policy
        };
        let before = |yaml: &str| {
            let before = topic(yaml);
            ActiveSpec::Previous(record(&before, None, 0), Box::new(before.spec))
        };
        let (delete, retain) = ("deletionPolicy: Delete", "{}");
        assert_eq!(policy(delete, &before("{deletionPolicy: Delete, partitions: 2}")), Delete);
        assert_eq!(policy(delete, &before(retain)), Retain, "a pending change");
        assert_eq!(policy(retain, &before(delete)), Retain, "the remedy");
        assert_eq!(policy(delete, &ActiveSpec::None), Retain);
        assert_eq!(policy(delete, &ActiveSpec::Unknown("gone".into())), Delete, "with approval");
    }
}
