//! What all topics of a tenant ask for together, and whose wish is granted.

use crate::domain::ObjectRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::TenantName;

use super::Limits;
use crate::api::{EventTopic, Usage};
use crate::domain::Refusal;
use crate::domain::ownership::Claim;

/// The share of a quota, in percent, from which on it is nearly reached.
pub const NEARLY: i64 = 80;

/// What counts towards a tenant's quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Number of topics.
    pub topics: i64,
    /// Number of partitions.
    pub partitions: i64,
    /// Bytes that may be kept, as far as they are limited.
    pub retention_bytes: i64,
}

impl Demand {
    const ZERO: Self = Self { topics: 0, partitions: 0, retention_bytes: 0 };

    /// What a topic asks for.
    #[must_use]
    pub fn of(topic: &EventTopic) -> Self {
        let partitions = i64::from(topic.spec.partitions.max(0));
        let size = crate::domain::topic::Declared::read(topic)
            .ok()
            .and_then(|declared| declared.config.get("retention.bytes")?.trim().parse().ok());
        Self::new(partitions, size)
    }

    /// What a topic has, by its status.
    #[must_use]
    pub fn granted(topic: &EventTopic) -> Self {
        let Some(status) = topic.status.as_ref().filter(|status| status.topic_name.is_some()) else {
            return Self::ZERO;
        };
        let size = status.config.get("retention.bytes").and_then(|size| size.parse().ok());
        Self::new(i64::from(status.partitions.unwrap_or_default()), size)
    }

    fn new(partitions: i64, size: Option<i64>) -> Self {
        let bytes = size.filter(|size| *size > 0).unwrap_or_default();
        Self { topics: 1, partitions, retention_bytes: bytes.saturating_mul(partitions) }
    }

    fn join(self, other: Self, by: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            topics: by(self.topics, other.topics),
            partitions: by(self.partitions, other.partitions),
            retention_bytes: by(self.retention_bytes, other.retention_bytes),
        }
    }

    fn plus(self, other: Self) -> Self {
        self.join(other, i64::saturating_add)
    }

    fn minus(self, other: Self) -> Self {
        self.join(other, i64::saturating_sub)
    }

    /// What this asks for beyond what there is.
    fn beyond(self, granted: Self) -> Self {
        self.minus(granted).join(Self::ZERO, i64::max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    demand: Demand,
    granted: Demand,
}

impl Entry {
    /// What counts at the most: a topic may ask for less than it has, and have it still.
    fn most(self) -> Demand {
        self.demand.join(self.granted, i64::max)
    }
}

#[derive(Debug, Default)]
struct Account {
    entries: BTreeMap<Claim, Entry>,
    most: Demand,
    granted: Demand,
    held: BTreeSet<ObjectRef>,
}

/// What the topics of all tenants ask for and have.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<TenantName, Account>,
    by_resource: HashMap<ObjectRef, (TenantName, Claim)>,
}

impl Ledger {
    /// Notes what a topic asks for and has, or that it counts for nobody. Returns the topics that
    /// were held and may fit now.
    pub fn set(&mut self, claim: &Claim, count: Option<(&TenantName, Demand, Demand)>) -> Vec<ObjectRef> {
        let before = self.take(&claim.resource);
        let mut freed = Vec::new();
        let same_tenant =
            |tenant: &TenantName| before.as_ref().filter(|(of, _)| of == tenant).map(|(_, entry)| *entry);
        if let Some((tenant, demand, mut granted)) = count {
            if let Some(known) = same_tenant(tenant) {
                // What was promised a moment ago is not in the status yet.
                granted = granted.join(known.granted.join(demand, i64::min), i64::max);
                if known.demand.beyond(demand) != Demand::ZERO
                    || known.granted.beyond(granted) != Demand::ZERO
                {
                    freed = self.held(tenant);
                }
            }
            let account = self.accounts.entry(tenant.clone()).or_default();
            let entry = Entry { demand, granted };
            account.most = account.most.plus(entry.most());
            account.granted = account.granted.plus(granted);
            account.entries.insert(claim.clone(), entry);
            self.by_resource.insert(claim.resource.clone(), (tenant.clone(), claim.clone()));
        }
        if let Some((tenant, _)) = before.filter(|(tenant, _)| count.is_none_or(|(now, ..)| now != tenant)) {
            freed.extend(self.released(&tenant, &claim.resource));
        }
        freed.retain(|resource| *resource != claim.resource);
        freed
    }

    /// Forgets a topic. Returns the topics that were held and may fit now.
    pub fn remove(&mut self, resource: &ObjectRef) -> Vec<ObjectRef> {
        match self.take(resource) {
            Some((tenant, _)) => self.released(&tenant, resource),
            None => Vec::new(),
        }
    }

    /// A topic no longer counts for a tenant: those that are held there may fit now.
    fn released(&mut self, tenant: &TenantName, resource: &ObjectRef) -> Vec<ObjectRef> {
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.held.remove(resource);
        }
        self.held(tenant)
    }

    fn take(&mut self, resource: &ObjectRef) -> Option<(TenantName, Entry)> {
        let (tenant, claim) = self.by_resource.remove(resource)?;
        let account = self.accounts.get_mut(&tenant)?;
        let entry = account.entries.remove(&claim)?;
        account.most = account.most.minus(entry.most());
        account.granted = account.granted.minus(entry.granted);
        Some((tenant, entry))
    }

    fn held(&self, tenant: &TenantName) -> Vec<ObjectRef> {
        self.accounts.get(tenant).map(|account| account.held.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether there is room for what a topic asks for, after what all topics have and what older
    /// ones ask for. A topic that is not known counts as the youngest.
    ///
    /// # Errors
    /// `TenantQuotaExceeded`, with what is left.
    pub fn room(
        &self,
        tenant: &TenantName,
        limits: &Limits,
        resource: &ObjectRef,
        wish: Demand,
    ) -> Result<(), Refusal> {
        let empty = Account::default();
        let account = self.accounts.get(tenant).unwrap_or(&empty);
        let claim = self.by_resource.get(resource).filter(|(of, _)| of == tenant).map(|(_, claim)| claim);
        let known = claim.and_then(|claim| account.entries.get(claim)).copied();
        let known = known.unwrap_or(Entry { demand: Demand::ZERO, granted: Demand::ZERO });
        let all = account.most.minus(known.most()).plus(Entry { demand: wish, ..known }.most());
        if limits.exceeded(all, all).is_none() {
            return Ok(());
        }
        let mut used = account.granted;
        for (other, entry) in &account.entries {
            if claim == Some(other) {
                break;
            }
            let more = entry.demand.beyond(entry.granted);
            if limits.exceeded(used.plus(more), more).is_none() {
                used = used.plus(more);
            }
        }
        let more = wish.beyond(known.granted);
        match limits.exceeded(used.plus(more), more) {
            None => Ok(()),
            Some(field) => Err(refusal(tenant, field, used, more)),
        }
    }

    /// Promises a topic what it asks for: from now on it counts as something that it has.
    pub fn promise(&mut self, resource: &ObjectRef, wish: Demand) {
        let Some((tenant, claim)) = self.by_resource.get(resource) else { return };
        let Some(account) = self.accounts.get_mut(tenant) else { return };
        account.held.remove(resource);
        if let Some(entry) = account.entries.get_mut(claim) {
            let more = wish.beyond(entry.granted);
            entry.granted = entry.granted.plus(more);
            account.granted = account.granted.plus(more);
        }
    }

    /// Notes that a topic is held, so that it is woken when something is freed.
    pub fn hold(&mut self, resource: &ObjectRef) {
        let Some((tenant, _)) = self.by_resource.get(resource) else { return };
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.held.insert(resource.clone());
        }
    }

    /// What a tenant has.
    #[must_use]
    pub fn usage(&self, tenant: &TenantName) -> Usage {
        let Some(account) = self.accounts.get(tenant) else { return Usage::default() };
        Usage {
            topics: account.granted.topics,
            partitions: account.granted.partitions,
            retention_bytes: account.granted.retention_bytes,
            held: i64::try_from(account.held.len()).unwrap_or(i64::MAX),
        }
    }
}

/// One of the limits that are counted over all topics.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    what: &'static str,
    asks: &'static str,
    limit: i64,
    get: fn(Demand) -> i64,
}

impl Limits {
    fn counted(&self) -> impl Iterator<Item = Field> {
        let field = |name, what, asks, limit: Option<i64>, get| {
            limit.map(|limit| Field { name, what, asks, limit, get })
        };
        [
            field("topics", "topics", "metadata", self.topics, |demand: Demand| demand.topics),
            field("partitions", "partitions", "spec.partitions", self.partitions, |demand: Demand| {
                demand.partitions
            }),
            field("retentionSize", "bytes", "spec.retention.size", self.retention_bytes, |demand: Demand| {
                demand.retention_bytes
            }),
        ]
        .into_iter()
        .flatten()
    }

    /// The first limit that is exceeded by something that more is asked of.
    fn exceeded(&self, all: Demand, more: Demand) -> Option<Field> {
        self.counted().find(|field| (field.get)(more) > 0 && (field.get)(all) > field.limit)
    }

    /// The quotas of which at least [`NEARLY`] percent are used.
    #[must_use]
    pub fn nearly_reached(&self, usage: &Usage) -> Vec<Near> {
        let used = Demand {
            topics: usage.topics,
            partitions: usage.partitions,
            retention_bytes: usage.retention_bytes,
        };
        self.counted()
            .map(|field| Near {
                quota: field.name,
                used: (field.get)(used),
                limit: field.limit,
                what: field.what,
            })
            .filter(|near| near.limit > 0 && near.used.saturating_mul(100) / near.limit >= NEARLY)
            .collect()
    }
}

/// A quota that is nearly reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// Its field in `spec.quotas`.
    pub quota: &'static str,
    /// How much is used.
    pub used: i64,
    /// How much there is.
    pub limit: i64,
    what: &'static str,
}

impl std::fmt::Display for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} {} are used (spec.quotas.{})", self.used, self.limit, self.what, self.quota)
    }
}

fn refusal(tenant: &TenantName, field: Field, used: Demand, more: Demand) -> Refusal {
    let (limit, used, more) = (field.limit, (field.get)(used), (field.get)(more));
    let left = limit.saturating_sub(used).max(0);
    let what = field.what;
    let remedy = match field.name {
        "topics" => "delete one that is no longer needed".to_owned(),
        _ => format!("ask for at most {left} more"),
    };
    Refusal::at(
        Reason::TenantQuotaExceeded,
        field.asks,
        format!(
            "tenant {tenant} may have {limit} {what} (its quotas.{}), {used} are taken and this topic asks for \
             {more} more: {remedy}, or ask the platform's administrator for a larger quota",
            field.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn claim(name: &str, second: i64) -> Claim {
        Claim {
            made: jiff::Timestamp::from_second(second).expect("in range"),
            newcomer: true,
            uid: format!("uid-{name}").into(),
            resource: ObjectRef::new::<crate::api::EventTopic>("shop", name),
        }
    }

    fn demand(partitions: i64) -> Demand {
        Demand { topics: 1, partitions, retention_bytes: 0 }
    }

    fn tenant() -> TenantName {
        "shop".parse().expect("a name")
    }

    fn limits(topics: i64, partitions: i64) -> Limits {
        Limits { topics: Some(topics), partitions: Some(partitions), ..Limits::default() }
    }

    fn ask(ledger: &mut Ledger, limits: &Limits, resource: &ObjectRef, wish: Demand) -> Result<(), Refusal> {
        let room = ledger.room(&tenant(), limits, resource, wish);
        match room {
            Ok(()) => ledger.promise(resource, wish),
            Err(_) => ledger.hold(resource),
        }
        room
    }

    /// Topics by name, second, partitions asked for and partitions they have; then what each is told.
    fn check(limits: &Limits, topics: &[(&str, i64, i64, i64)], expected: Expect) {
        let mut ledger = Ledger::default();
        for (name, second, wish, has) in topics {
            let granted = if *has > 0 { demand(*has) } else { Demand::ZERO };
            ledger.set(&claim(name, *second), Some((&tenant(), demand(*wish), granted)));
        }
        let mut lines = Vec::new();
        for (name, second, wish, _) in topics {
            let resource = claim(name, *second).resource;
            lines.push(match ask(&mut ledger, limits, &resource, demand(*wish)) {
                Ok(()) => format!("{name}: granted"),
                Err(refusal) => format!("{name}: {refusal}"),
            });
        }
        lines.push(format!("{:?}", ledger.usage(&tenant())));
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn the_youngest_is_held() {
        check(
            &limits(2, 100),
            &[("c", 3, 1, 0), ("a", 1, 1, 0), ("b", 2, 1, 0)],
            expect![[r#"
                c: TenantQuotaExceeded: metadata: tenant shop may have 2 topics (its quotas.topics), 2 are taken and this topic asks for 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota
                a: granted
                b: granted
                Usage { topics: 2, partitions: 2, retention_bytes: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn nobody_loses_what_they_have() {
        check(
            &limits(1, 4),
            &[("old", 1, 9, 3), ("young", 2, 5, 5)],
            expect![[r#"
                old: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (its quotas.partitions), 8 are taken and this topic asks for 6 more: ask for at most 0 more, or ask the platform's administrator for a larger quota
                young: granted
                Usage { topics: 2, partitions: 8, retention_bytes: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn a_large_wish_does_not_hold_up_a_small_one() {
        check(
            &limits(9, 10),
            &[("a", 1, 8, 0), ("b", 2, 5, 0), ("c", 3, 2, 0)],
            expect![[r#"
                a: granted
                b: TenantQuotaExceeded: spec.partitions: tenant shop may have 10 partitions (its quotas.partitions), 8 are taken and this topic asks for 5 more: ask for at most 2 more, or ask the platform's administrator for a larger quota
                c: granted
                Usage { topics: 2, partitions: 10, retention_bytes: 0, held: 1 }"#]],
        );
    }

    #[test]
    fn who_is_not_known_is_the_youngest() {
        let mut ledger = Ledger::default();
        ledger.set(&claim("a", 1), Some((&tenant(), demand(1), Demand::ZERO)));
        let new = ObjectRef::new::<crate::api::EventTopic>("shop", "new");
        assert!(ledger.room(&tenant(), &limits(1, 9), &new, demand(1)).is_err());
        assert!(ledger.room(&tenant(), &limits(2, 2), &new, demand(1)).is_ok());
        assert!(ledger.room(&tenant(), &limits(2, 2), &new, demand(2)).is_err());
    }

    #[test]
    fn what_is_freed_wakes_those_who_wait() {
        let mut ledger = Ledger::default();
        let (a, b) = (claim("a", 1), claim("b", 2));
        ledger.set(&a, Some((&tenant(), demand(1), Demand::ZERO)));
        ledger.set(&b, Some((&tenant(), demand(1), Demand::ZERO)));
        assert!(ask(&mut ledger, &limits(1, 9), &a.resource, demand(1)).is_ok());
        assert!(ask(&mut ledger, &limits(1, 9), &b.resource, demand(1)).is_err());
        assert_eq!(ledger.remove(&a.resource), std::slice::from_ref(&b.resource));
        assert!(ask(&mut ledger, &limits(1, 9), &b.resource, demand(1)).is_ok());
        assert_eq!(ledger.usage(&tenant()).held, 0);
    }

    #[test]
    fn a_promise_holds_until_the_status_has_it() {
        let mut ledger = Ledger::default();
        let (late, early) = (claim("b", 1), claim("a", 1));
        ledger.set(&late, Some((&tenant(), demand(1), Demand::ZERO)));
        assert!(ask(&mut ledger, &limits(1, 9), &late.resource, demand(1)).is_ok());
        // As old to the second, and first by uid: it comes too late all the same.
        ledger.set(&early, Some((&tenant(), demand(1), Demand::ZERO)));
        assert!(ask(&mut ledger, &limits(1, 9), &early.resource, demand(1)).is_err());
        ledger.set(&late, Some((&tenant(), demand(1), Demand::ZERO)));
        assert!(ask(&mut ledger, &limits(1, 9), &early.resource, demand(1)).is_err());
    }

    proptest::proptest! {
        /// Whatever is asked for in whatever order, what is granted never exceeds what was there
        /// or what is allowed.
        #[test]
        fn what_is_granted_stays_within_the_quota(
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
                let has = granted.get(&name).map_or(Demand::ZERO, |has| demand(*has));
                ledger.set(&claim, Some((&tenant, demand(wish), has)));
                if ask(&mut ledger, &limits, &claim.resource, demand(wish)).is_ok() {
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
