//! Accounts for quotas that count over all topics of a tenant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TenantName, TopicName};

use super::{Amount, KafkaTopic, Limits, UnmanagedTopics};
use crate::api::Usage;
use crate::domain::object_ref::ObjectRef;
use crate::domain::ownership::Claim;
use crate::domain::refusal::Refusal;

/// Usage of a quota in percent from which on a warning is reported.
pub const WARNING_PERCENT: i64 = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    requested: Amount,
    granted: Amount,
}

impl Entry {
    /// The larger of both: a topic keeps what it has even if it requests less.
    fn max(self) -> Amount {
        self.requested.join(self.granted, i64::max)
    }
}

#[derive(Debug, Default)]
struct Account {
    entries: BTreeMap<Claim, Entry>,
    max: Amount,
    granted: Amount,
    on_hold: BTreeSet<ObjectRef>,
}

/// Requested and granted amounts of all topics, by tenant.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<TenantName, Account>,
    unmanaged: UnmanagedTopics,
    by_resource: HashMap<ObjectRef, (TenantName, Claim)>,
}

impl Ledger {
    /// Sets the requested and granted amount of a topic; `None` if it counts for no tenant. Returns the topics on hold that
    /// may be granted now.
    pub fn upsert(&mut self, claim: &Claim, count: Option<(&TenantName, Amount, Amount)>) -> Vec<ObjectRef> {
        let before = self.take(&claim.resource);
        let mut freed = Vec::new();
        let same_tenant =
            |tenant: &TenantName| before.as_ref().filter(|(of, _)| of == tenant).map(|(_, entry)| *entry);
        if let Some((tenant, requested, mut granted)) = count {
            if let Some(known) = same_tenant(tenant) {
                // A reservation may not have reached the status yet.
                granted = granted.join(known.granted.join(requested, i64::min), i64::max);
                if known.requested.beyond(requested) != Amount::ZERO
                    || known.granted.beyond(granted) != Amount::ZERO
                {
                    freed = self.on_hold(tenant);
                }
            }
            let account = self.accounts.entry(tenant.clone()).or_default();
            let entry = Entry { requested, granted };
            account.max = account.max.plus(entry.max());
            account.granted = account.granted.plus(granted);
            account.entries.insert(claim.clone(), entry);
            self.by_resource.insert(claim.resource.clone(), (tenant.clone(), claim.clone()));
        }
        if let Some((tenant, _)) = before.filter(|(tenant, _)| count.is_none_or(|(now, ..)| now != tenant)) {
            freed.extend(self.release(&tenant, &claim.resource));
        }
        freed.retain(|resource| *resource != claim.resource);
        freed
    }

    /// Removes a topic. Returns the topics on hold that may be granted now.
    pub fn remove(&mut self, resource: &ObjectRef) -> Vec<ObjectRef> {
        match self.take(resource) {
            Some((tenant, _)) => self.release(&tenant, resource),
            None => Vec::new(),
        }
    }

    /// Removes a topic from a tenant's account. Returns the topics on hold that may be granted now.
    fn release(&mut self, tenant: &TenantName, resource: &ObjectRef) -> Vec<ObjectRef> {
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.on_hold.remove(resource);
        }
        self.on_hold(tenant)
    }

    fn take(&mut self, resource: &ObjectRef) -> Option<(TenantName, Entry)> {
        let (tenant, claim) = self.by_resource.remove(resource)?;
        let account = self.accounts.get_mut(&tenant)?;
        let entry = account.entries.remove(&claim)?;
        account.max = account.max.minus(entry.max());
        account.granted = account.granted.minus(entry.granted);
        Some((tenant, entry))
    }

    fn on_hold(&self, tenant: &TenantName) -> Vec<ObjectRef> {
        self.accounts.get(tenant).map(|account| account.on_hold.iter().cloned().collect()).unwrap_or_default()
    }

    /// Adds a Kafka topic that no resource manages any more.
    pub fn leave_behind(&mut self, tenant: &TenantName, topic: KafkaTopic, amount: Amount) {
        self.unmanaged.insert(tenant, topic, amount);
    }

    /// Removes a Kafka topic that a resource manages now.
    pub fn take_over(&mut self, tenant: &TenantName, topic: &KafkaTopic) {
        self.unmanaged.remove(tenant, topic);
    }

    /// Replaces the Kafka topics of a cluster that no resource manages. Returns the topics on hold that may be granted now.
    pub fn replace_unmanaged(
        &mut self,
        cluster: &ClusterName,
        topics: impl IntoIterator<Item = (TenantName, TopicName, Amount)>,
    ) -> Vec<ObjectRef> {
        let tenants = self.unmanaged.replace(cluster, topics);
        tenants.iter().flat_map(|tenant| self.on_hold(tenant)).collect()
    }

    /// Checks whether a topic can be granted what it requests, after the granted amounts of all topics, what no resource manages,
    /// and the requests of older ones. An unknown topic counts as the youngest. `kafka_topic` is the one that the topic names,
    /// which it may take over.
    ///
    /// # Errors
    /// `TenantQuotaExceeded`, with the remaining amount.
    pub fn check(
        &self,
        tenant: &TenantName,
        limits: &Limits,
        resource: &ObjectRef,
        kafka_topic: &KafkaTopic,
        requested: Amount,
    ) -> Result<(), Refusal> {
        let empty = Account::default();
        let account = self.accounts.get(tenant).unwrap_or(&empty);
        let claim = self.by_resource.get(resource).filter(|(of, _)| of == tenant).map(|(_, claim)| claim);
        let counted = claim.and_then(|claim| account.entries.get(claim)).copied();
        let counted = counted.unwrap_or(Entry { requested: Amount::ZERO, granted: Amount::ZERO });
        // What a topic takes over is used already.
        let existing = self.unmanaged.of(tenant, kafka_topic);
        let known = Entry { granted: counted.granted.join(existing, i64::max), ..counted };
        let unmanaged = self.unmanaged.total(tenant);
        let all = account.max.minus(counted.max()).plus(Entry { requested, ..known }.max());
        let all = all.plus(unmanaged).minus(existing);
        if limits.exceeded(all, all).is_none() {
            return Ok(());
        }
        let mut used = account.granted.plus(unmanaged);
        for (other, entry) in &account.entries {
            if claim == Some(other) {
                break;
            }
            let more = entry.requested.beyond(entry.granted);
            if limits.exceeded(used.plus(more), more).is_none() {
                used = used.plus(more);
            }
        }
        let more = requested.beyond(known.granted);
        match limits.exceeded(used.plus(more), more) {
            None => Ok(()),
            Some(limit) => Err(refusal(tenant, limit, used, more)),
        }
    }

    /// Grants a topic what it requests.
    pub fn reserve(&mut self, resource: &ObjectRef, requested: Amount) {
        let Some((tenant, claim)) = self.by_resource.get(resource) else { return };
        let Some(account) = self.accounts.get_mut(tenant) else { return };
        account.on_hold.remove(resource);
        if let Some(entry) = account.entries.get_mut(claim) {
            let more = requested.beyond(entry.granted);
            entry.granted = entry.granted.plus(more);
            account.granted = account.granted.plus(more);
        }
    }

    /// Puts a topic on hold, so that it is reconciled when the quota allows more.
    pub fn hold(&mut self, resource: &ObjectRef) {
        let Some((tenant, _)) = self.by_resource.get(resource) else { return };
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.on_hold.insert(resource.clone());
        }
    }

    /// The usage of a tenant.
    #[must_use]
    pub fn usage(&self, tenant: &TenantName) -> Usage {
        let empty = Account::default();
        let account = self.accounts.get(tenant).unwrap_or(&empty);
        let unmanaged = self.unmanaged.total(tenant);
        let used = account.granted.plus(unmanaged);
        Usage {
            topics: used.topics,
            partitions: used.partitions,
            retention_bytes: used.retention_bytes,
            unmanaged_topics: unmanaged.topics,
            held: i64::try_from(account.on_hold.len()).unwrap_or(i64::MAX),
        }
    }
}

/// A limit on the sum over all topics of a tenant.
#[derive(Clone, Copy, Debug)]
struct CountedLimit {
    /// Field in `spec.quotas`.
    quota: &'static str,
    /// Unit for messages.
    unit: &'static str,
    /// Field of the topic that requests the amount.
    field: &'static str,
    max: i64,
    get: fn(Amount) -> i64,
}

impl Limits {
    fn counted(&self) -> impl Iterator<Item = CountedLimit> {
        let limit = |quota, unit, field, max: Option<i64>, get| {
            max.map(|max| CountedLimit { quota, unit, field, max, get })
        };
        [
            limit("topics", "topics", "metadata", self.topics, |amount: Amount| amount.topics),
            limit("partitions", "partitions", "spec.partitions", self.partitions, |amount: Amount| {
                amount.partitions
            }),
            limit("retentionSize", "bytes", "spec.retention.size", self.retention_bytes, |amount: Amount| {
                amount.retention_bytes
            }),
        ]
        .into_iter()
        .flatten()
    }

    /// The first limit that `total` exceeds and to which `more` contributes.
    fn exceeded(&self, total: Amount, more: Amount) -> Option<CountedLimit> {
        self.counted().find(|limit| (limit.get)(more) > 0 && (limit.get)(total) > limit.max)
    }

    /// The quotas that are used to at least [`WARNING_PERCENT`] percent.
    #[must_use]
    pub fn near_limits(&self, usage: &Usage) -> Vec<NearLimit> {
        let used = Amount {
            topics: usage.topics,
            partitions: usage.partitions,
            retention_bytes: usage.retention_bytes,
        };
        self.counted()
            .map(|limit| NearLimit {
                quota: limit.quota,
                used: (limit.get)(used),
                limit: limit.max,
                unit: limit.unit,
            })
            .filter(|near| near.limit > 0 && near.used.saturating_mul(100) / near.limit >= WARNING_PERCENT)
            .collect()
    }
}

/// A quota that is nearly used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearLimit {
    /// Field in `spec.quotas`.
    pub quota: &'static str,
    /// The used amount.
    pub used: i64,
    /// The maximum.
    pub limit: i64,
    unit: &'static str,
}

impl std::fmt::Display for NearLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} {} are used (spec.quotas.{})", self.used, self.limit, self.unit, self.quota)
    }
}

fn refusal(tenant: &TenantName, limit: CountedLimit, used: Amount, more: Amount) -> Refusal {
    let CountedLimit { quota, unit, field, max, get } = limit;
    let (used, more) = (get(used), get(more));
    let remaining = max.saturating_sub(used).max(0);
    let remedy = match quota {
        "topics" => "delete one that is no longer needed".to_owned(),
        _ => format!("request at most {remaining} more"),
    };
    Refusal::at(
        Reason::TenantQuotaExceeded,
        field,
        format!(
            "tenant {tenant} may have {max} {unit} (quotas.{quota}), {used} are used and this topic requests \
             {more} more: {remedy}, or ask the platform's administrator for a larger quota"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn claim(name: &str, second: i64) -> Claim {
        Claim {
            created: jiff::Timestamp::from_second(second).expect("in range"),
            is_new: true,
            uid: format!("uid-{name}").into(),
            resource: ObjectRef::new::<crate::api::EventTopic>("shop", name),
        }
    }

    fn kafka_topic() -> KafkaTopic {
        ("main".parse().expect("a name"), "shop.orders".parse().expect("a name"))
    }

    fn amount(partitions: i64) -> Amount {
        Amount { topics: 1, partitions, retention_bytes: 0 }
    }

    fn tenant() -> TenantName {
        "shop".parse().expect("a name")
    }

    fn limits(topics: i64, partitions: i64) -> Limits {
        Limits { topics: Some(topics), partitions: Some(partitions), ..Limits::default() }
    }

    fn request(
        ledger: &mut Ledger,
        limits: &Limits,
        resource: &ObjectRef,
        requested: Amount,
    ) -> Result<(), Refusal> {
        let result = ledger.check(&tenant(), limits, resource, &kafka_topic(), requested);
        match result {
            Ok(()) => ledger.reserve(resource, requested),
            Err(_) => ledger.hold(resource),
        }
        result
    }

    /// Topics by name, second, requested and granted partitions; then the result for each.
    fn check(limits: &Limits, topics: &[(&str, i64, i64, i64)], expected: Expect) {
        let mut ledger = Ledger::default();
        for (name, second, wish, has) in topics {
            let granted = if *has > 0 { amount(*has) } else { Amount::ZERO };
            ledger.upsert(&claim(name, *second), Some((&tenant(), amount(*wish), granted)));
        }
        let mut lines = Vec::new();
        for (name, second, wish, _) in topics {
            let resource = claim(name, *second).resource;
            lines.push(match request(&mut ledger, limits, &resource, amount(*wish)) {
                Ok(()) => format!("{name}: granted"),
                Err(refusal) => format!("{name}: {refusal}"),
            });
        }
        lines.push(format!("{:?}", ledger.usage(&tenant())));
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn the_youngest_topic_is_on_hold() {
        check(
            &limits(2, 100),
            &[("c", 3, 1, 0), ("a", 1, 1, 0), ("b", 2, 1, 0)],
            expect![[r#"
                c: TenantQuotaExceeded: metadata: tenant shop may have 2 topics (quotas.topics), 2 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota
                a: granted
                b: granted
                Usage { topics: 2, partitions: 2, retention_bytes: 0, unmanaged_topics: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn granted_amounts_are_kept() {
        check(
            &limits(1, 4),
            &[("old", 1, 9, 3), ("young", 2, 5, 5)],
            expect![[r#"
                old: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (quotas.partitions), 8 are used and this topic requests 6 more: request at most 0 more, or ask the platform's administrator for a larger quota
                young: granted
                Usage { topics: 2, partitions: 8, retention_bytes: 0, unmanaged_topics: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn a_large_request_does_not_block_a_small_one() {
        check(
            &limits(9, 10),
            &[("a", 1, 8, 0), ("b", 2, 5, 0), ("c", 3, 2, 0)],
            expect![[r#"
                a: granted
                b: TenantQuotaExceeded: spec.partitions: tenant shop may have 10 partitions (quotas.partitions), 8 are used and this topic requests 5 more: request at most 2 more, or ask the platform's administrator for a larger quota
                c: granted
                Usage { topics: 2, partitions: 10, retention_bytes: 0, unmanaged_topics: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn an_unknown_topic_is_the_youngest() {
        let mut ledger = Ledger::default();
        ledger.upsert(&claim("a", 1), Some((&tenant(), amount(1), Amount::ZERO)));
        let new = ObjectRef::new::<crate::api::EventTopic>("shop", "new");
        assert!(ledger.check(&tenant(), &limits(1, 9), &new, &kafka_topic(), amount(1)).is_err());
        assert!(ledger.check(&tenant(), &limits(2, 2), &new, &kafka_topic(), amount(1)).is_ok());
        assert!(ledger.check(&tenant(), &limits(2, 2), &new, &kafka_topic(), amount(2)).is_err());
    }

    #[test]
    fn a_removal_returns_the_topics_on_hold() {
        let mut ledger = Ledger::default();
        let (a, b) = (claim("a", 1), claim("b", 2));
        ledger.upsert(&a, Some((&tenant(), amount(1), Amount::ZERO)));
        ledger.upsert(&b, Some((&tenant(), amount(1), Amount::ZERO)));
        assert!(request(&mut ledger, &limits(1, 9), &a.resource, amount(1)).is_ok());
        assert!(request(&mut ledger, &limits(1, 9), &b.resource, amount(1)).is_err());
        assert_eq!(ledger.remove(&a.resource), std::slice::from_ref(&b.resource));
        assert!(request(&mut ledger, &limits(1, 9), &b.resource, amount(1)).is_ok());
        assert_eq!(ledger.usage(&tenant()).held, 0);
    }

    #[test]
    fn a_reservation_holds_until_the_status_reports_it() {
        let mut ledger = Ledger::default();
        let (late, early) = (claim("b", 1), claim("a", 1));
        ledger.upsert(&late, Some((&tenant(), amount(1), Amount::ZERO)));
        assert!(request(&mut ledger, &limits(1, 9), &late.resource, amount(1)).is_ok());
        // Equally old to the second and first by uid, but too late.
        ledger.upsert(&early, Some((&tenant(), amount(1), Amount::ZERO)));
        assert!(request(&mut ledger, &limits(1, 9), &early.resource, amount(1)).is_err());
        ledger.upsert(&late, Some((&tenant(), amount(1), Amount::ZERO)));
        assert!(request(&mut ledger, &limits(1, 9), &early.resource, amount(1)).is_err());
    }

    proptest::proptest! {
        /// In any order of requests, the granted amount never exceeds the quota or what was granted before.
        #[test]
        fn the_granted_amount_stays_within_the_quota(
            steps in proptest::collection::vec((0_u8..6, 0_i64..3, 1_i64..8, proptest::bool::ANY), 0..60),
            most in 0_i64..20,
        ) {
            let (mut ledger, limits, tenant) = (Ledger::default(), limits(4, most), tenant());
            let mut granted: HashMap<u8, i64> = HashMap::new();
            for (name, second, wish, goes) in steps {
                let claim = claim(&name.to_string(), second);
                if goes {
                    ledger.remove(&claim.resource);
                    granted.remove(&name);
                    continue;
                }
                let has = granted.get(&name).map_or(Amount::ZERO, |has| amount(*has));
                ledger.upsert(&claim, Some((&tenant, amount(wish), has)));
                if request(&mut ledger, &limits, &claim.resource, amount(wish)).is_ok() {
                    let has = granted.entry(name).or_default();
                    *has = (*has).max(wish);
                }
                proptest::prop_assert!(granted.values().sum::<i64>() <= most, "{granted:?}");
                proptest::prop_assert!(granted.len() <= 4, "{granted:?}");
                proptest::prop_assert_eq!(ledger.usage(&tenant).partitions, granted.values().sum::<i64>());
            }
        }
    }
}
