//! Which namespace belongs to which tenant, and how its Kafka topics are named.
//!
//! Only Tenants decide that, and only whoever administers the platform writes Tenants: no label,
//! annotation or namespace that a tenant's user can write is read here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, Convention, TenantName, TopicPrefix};
use kube::ResourceExt;

use super::age::age;
use super::approval::Rules;
use super::condition::{Conditions, Health};
use super::event_type::convention;
use super::quota::Limits;
use super::refusal::Refusal;
use crate::api::{Tenant, TenantStatus, Usage, WhenSuspended};

/// A tenant whose declaration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFacts {
    /// Its name.
    pub name: TenantName,
    /// How the names of all its Kafka topics begin.
    pub prefix: TopicPrefix,
    /// The Kafka clusters it may use; empty means the default cluster.
    pub clusters: BTreeSet<ClusterName>,
    /// What becomes of what it has while it is suspended; none if it is not.
    pub suspended: Option<WhenSuspended>,
    /// The most that it may have.
    pub limits: Limits,
    /// How its event types may be named; empty means any convention.
    pub conventions: BTreeSet<Convention>,
    /// Which changes need approval.
    pub approval: Rules,
}

/// All tenants, disputes settled.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    by_namespace: HashMap<String, Arc<TenantFacts>>,
    by_name: BTreeMap<String, Arc<TenantFacts>>,
    refused: BTreeMap<String, Refusal>,
    disputed: BTreeMap<String, Vec<String>>,
}

impl Tenants {
    /// Reads all declarations. The older tenant wins every dispute, so that nobody loses what
    /// they have because somebody else declares it too.
    pub fn of<'a>(tenants: impl IntoIterator<Item = &'a Tenant>) -> Self {
        let mut oldest_first: Vec<_> = tenants.into_iter().collect();
        oldest_first.sort_by_cached_key(|tenant| age(*tenant));

        let mut all = Self::default();
        let mut prefixes: Vec<Arc<TenantFacts>> = Vec::new();
        for tenant in oldest_first {
            let name = tenant.name_any();
            let facts = match facts(tenant).and_then(|facts| undisputed_prefix(facts, &prefixes)) {
                Ok(facts) => Arc::new(facts),
                Err(refusal) => {
                    all.refused.insert(name, refusal);
                    continue;
                }
            };
            for namespace in &tenant.spec.namespaces {
                match all.by_namespace.get(namespace) {
                    Some(owner) if owner.name != facts.name => {
                        let dispute = format!("{namespace} belongs to tenant {}", owner.name);
                        all.disputed.entry(name.clone()).or_default().push(dispute);
                    }
                    _ => {
                        all.by_namespace.insert(namespace.clone(), Arc::clone(&facts));
                    }
                }
            }
            all.by_name.insert(name, Arc::clone(&facts));
            prefixes.push(facts);
        }
        all
    }

    /// The tenant that owns a namespace.
    ///
    /// # Errors
    /// `TenantNotFound` if none does, with what to do.
    pub fn of_namespace(&self, namespace: &str) -> Result<&Arc<TenantFacts>, Refusal> {
        self.by_namespace.get(namespace).ok_or_else(|| {
            Refusal::new(
                Reason::TenantNotFound,
                format!(
                    "namespace {namespace} belongs to no tenant: ask the platform's administrator to add it \
                     to spec.namespaces of a Tenant that is Ready"
                ),
            )
        })
    }

    /// A tenant whose declaration is in force, by name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TenantFacts>> {
        self.by_name.get(name)
    }

    /// The tenants whose declarations are in force, in the order of their names.
    pub fn in_force(&self) -> impl Iterator<Item = &Arc<TenantFacts>> {
        self.by_name.values()
    }

    /// The namespaces whose tenant is another one, or has changed, compared with before.
    #[must_use]
    pub fn moved<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a str> {
        let names = self.by_namespace.keys().chain(before.by_namespace.keys());
        names
            .filter(|name| self.by_namespace.get(*name) != before.by_namespace.get(*name))
            .map(String::as_str)
            .collect()
    }

    /// Whether a tenant's declaration is in effect.
    ///
    /// # Errors
    /// The field that is invalid, or that conflicts with an older tenant.
    pub fn check(&self, tenant: &str) -> Result<(), Refusal> {
        if let Some(refusal) = self.refused.get(tenant) {
            return Err(refusal.clone());
        }
        match self.disputed.get(tenant) {
            None => Ok(()),
            Some(disputes) => Err(Refusal::at(
                Reason::ResourceConflict,
                "spec.namespaces",
                format!(
                    "{}, which keeps what it has: take it out of one of the two tenants",
                    disputes.join(", ")
                ),
            )),
        }
    }

    /// The health of a tenant.
    #[must_use]
    pub fn health(&self, tenant: &str) -> Health {
        match self.check(tenant) {
            Ok(()) => {
                Health::Ready(Reason::Available, "the tenant's namespaces and prefix are its own".into())
            }
            Err(refusal) => Health::Stalled(refusal.reason, refusal.message()),
        }
    }
}

/// What a tenant's namespaces have, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of EventTopics.
    pub topics: Option<i64>,
    /// What counts towards its quotas.
    pub usage: Option<Usage>,
}

impl Counted {
    /// What a status says.
    #[must_use]
    pub fn of(status: Option<&TenantStatus>) -> Self {
        status.map(|status| Self { topics: status.topics, usage: status.usage }).unwrap_or_default()
    }
}

/// What a tenant's status should say.
#[must_use]
pub fn status(tenant: &Tenant, health: &Health, counted: Counted, now: jiff::Timestamp) -> TenantStatus {
    let before = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut conditions = Conditions::after(before, tenant.metadata.generation, now);
    conditions.health(health);
    TenantStatus {
        conditions: conditions.finish(),
        observed_generation: tenant.metadata.generation,
        topic_prefix: Some(prefix(tenant)),
        topics: Some(counted.topics.unwrap_or_default()),
        usage: counted.usage,
    }
}

/// How the names of a tenant's Kafka topics begin, as declared or by default.
#[must_use]
pub fn prefix(tenant: &Tenant) -> String {
    tenant.spec.topic_prefix.clone().unwrap_or_else(|| format!("{}.", tenant.name_any()))
}

fn facts(tenant: &Tenant) -> Result<TenantFacts, Refusal> {
    let invalid = |field: &str, error: &dyn std::fmt::Display| {
        Refusal::at(Reason::InvalidResource, field, error.to_string())
    };
    Ok(TenantFacts {
        name: tenant.name_any().parse().map_err(|error| invalid("metadata.name", &error))?,
        prefix: prefix(tenant).parse().map_err(|error| invalid("spec.topicPrefix", &error))?,
        clusters: tenant
            .spec
            .clusters
            .iter()
            .map(|name| name.parse().map_err(|error| invalid("spec.clusters", &error)))
            .collect::<Result<_, _>>()?,
        suspended: tenant.spec.suspended.then_some(tenant.spec.when_suspended),
        limits: Limits::parse(tenant.spec.quotas.as_ref())?,
        conventions: tenant
            .spec
            .naming
            .iter()
            .flat_map(|naming| &naming.conventions)
            .map(|word| convention(*word))
            .collect(),
        approval: Rules::parse(tenant.spec.approval.as_ref())?,
    })
}

/// Where one prefix is the beginning of another, a topic name would belong to two tenants.
fn undisputed_prefix(facts: TenantFacts, older: &[Arc<TenantFacts>]) -> Result<TenantFacts, Refusal> {
    let (ours, overlaps) = (facts.prefix.as_ref(), |a: &str, b: &str| a.starts_with(b) || b.starts_with(a));
    match older.iter().find(|other| overlaps(ours, other.prefix.as_ref())) {
        None => Ok(facts),
        Some(other) => Err(Refusal::at(
            Reason::ResourceConflict,
            "spec.topicPrefix",
            format!(
                "{ours} overlaps with {} of tenant {}, which keeps it: choose a prefix that \
                 is not the beginning of another's, nor begins with one",
                other.prefix, other.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{tenant, tenants};

    fn check(tenants: &[(&str, usize, &str)], expected: expect_test::Expect) {
        let tenants: Vec<_> =
            tenants.iter().map(|(name, second, spec)| tenant(name, *second, spec)).collect();
        let all = Tenants::of(&tenants);
        let mut lines: Vec<String> = all
            .by_namespace
            .iter()
            .map(|(namespace, owner)| format!("{namespace} -> {} {}", owner.name, owner.prefix))
            .collect();
        lines.sort();
        for tenant in &tenants {
            let health = match all.health(&tenant.name_any()) {
                Health::Ready(..) => "ready".to_owned(),
                Health::Stalled(reason, message) => format!("{reason}: {message}"),
                Health::Reconciling(..) => "reconciling".to_owned(),
            };
            lines.push(format!("{}: {health}", tenant.name_any()));
        }
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_prefix_defaults_to_the_name() {
        check(
            &[
                ("shop", 1, "namespaces: [shop, shop-test]"),
                ("bank", 2, "{namespaces: [bank], topicPrefix: bk-}"),
            ],
            expect_test::expect![[r#"
                bank -> bank bk-
                shop -> shop shop.
                shop-test -> shop shop.
                shop: ready
                bank: ready"#]],
        );
    }

    #[test]
    fn the_older_tenant_keeps_a_disputed_namespace() {
        check(
            &[("young", 2, "namespaces: [a, b]"), ("old", 1, "namespaces: [b, c]")],
            expect_test::expect![[r#"
                a -> young young.
                b -> old old.
                c -> old old.
                young: ResourceConflict: spec.namespaces: b belongs to tenant old, which keeps what it has: take it out of one of the two tenants
                old: ready"#]],
        );
    }

    #[test]
    fn overlapping_prefixes_are_refused_to_the_younger() {
        check(
            &[
                ("shop", 1, "{namespaces: [a], topicPrefix: shop.}"),
                ("inner", 2, "{namespaces: [b], topicPrefix: shop.eu.}"),
                ("outer", 3, "{namespaces: [c], topicPrefix: shop}"),
            ],
            expect_test::expect![[r#"
                a -> shop shop.
                shop: ready
                inner: ResourceConflict: spec.topicPrefix: shop.eu. overlaps with shop. of tenant shop, which keeps it: choose a prefix that is not the beginning of another's, nor begins with one
                outer: InvalidResource: spec.topicPrefix: topic prefix `shop` does not end in a separator; end it in `.`, `-` or `_`"#]],
        );
    }

    #[test]
    fn only_namespaces_that_changed_hands_have_moved() {
        let before = tenants(&[("t", "namespaces: [a, b]"), ("u", "namespaces: [c]")]);
        let after = tenants(&[("t", "namespaces: [a]"), ("u", "{namespaces: [c], clusters: [x]}")]);
        assert_eq!(after.moved(&before).into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert!(after.moved(&after).is_empty());
    }

    #[test]
    fn a_namespace_of_nobody_is_refused_with_the_way_out() {
        let refusal = Tenants::default().of_namespace("lost").expect_err("nobody has it");
        expect_test::expect![[r#"TenantNotFound: namespace lost belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"#]]
            .assert_eq(&refusal.to_string());
    }
}
