//! Tenants: owners of namespaces and topic names.
//!
//! Only Tenants assign namespaces, and only platform administrators write Tenants. Nothing that a tenant's users can write
//! (labels, annotations, namespaces) is taken into account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, Convention, TenantName, TopicPrefix};
use kube::ResourceExt;

use super::age::age;
use super::approval::Rules;
use super::callback::HostPolicy;
use super::condition::{Conditions, Health};
use super::event_type::convention;
use super::quota::Limits;
use super::refusal::Refusal;
use super::task::TaskRules;
use crate::api::{Tenant, TenantStatus, Usage, WhenSuspended};

/// A valid tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFacts {
    /// Its name.
    pub name: TenantName,
    /// Prefix of the names of its Kafka topics.
    pub prefix: TopicPrefix,
    /// Kafka clusters that it may use; empty allows only the default cluster.
    pub clusters: BTreeSet<ClusterName>,
    /// How its resources are treated while it is suspended. `None` if it is not suspended.
    pub suspended: Option<WhenSuspended>,
    /// Its quotas.
    pub limits: Limits,
    /// Allowed naming conventions for event types; empty allows all.
    pub conventions: BTreeSet<Convention>,
    /// Its approval rules.
    pub approval: Rules,
    /// What its tasks may use.
    pub tasks: TaskRules,
    /// The hosts that it may call.
    pub callbacks: HostPolicy,
}

/// All tenants, with conflicts resolved.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    by_namespace: HashMap<String, Arc<TenantFacts>>,
    by_name: BTreeMap<String, Arc<TenantFacts>>,
    refused: BTreeMap<String, Refusal>,
    disputed: BTreeMap<String, Vec<String>>,
}

impl Tenants {
    /// Resolves conflicts between tenants: the older one wins, so that no tenant loses anything.
    pub fn of<'a>(tenants: impl IntoIterator<Item = &'a Tenant>) -> Self {
        let mut oldest_first: Vec<_> = tenants.into_iter().collect();
        oldest_first.sort_by_cached_key(|tenant| age(*tenant));

        let mut all = Self::default();
        let mut prefixes: Vec<Arc<TenantFacts>> = Vec::new();
        for tenant in oldest_first {
            let name = tenant.name_any();
            let facts = match parse(tenant).and_then(|facts| check_prefix(facts, &prefixes)) {
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
    /// `TenantNotFound` if no tenant owns it.
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

    /// A valid tenant by name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TenantFacts>> {
        self.by_name.get(name)
    }

    /// The valid tenants, ordered by name.
    pub fn in_force(&self) -> impl Iterator<Item = &Arc<TenantFacts>> {
        self.by_name.values()
    }

    /// The namespaces of a tenant, sorted.
    pub fn namespaces_of<'a>(&'a self, tenant: &'a TenantFacts) -> impl Iterator<Item = &'a str> {
        let mut namespaces: Vec<&str> = self
            .by_namespace
            .iter()
            .filter(|(_, owner)| owner.name == tenant.name)
            .map(|(namespace, _)| namespace.as_str())
            .collect();
        namespaces.sort_unstable();
        namespaces.into_iter()
    }

    /// Namespaces whose tenant is another one than before, or has changed.
    #[must_use]
    pub fn changed_namespaces<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a str> {
        let names = self.by_namespace.keys().chain(before.by_namespace.keys());
        names
            .filter(|name| self.by_namespace.get(*name) != before.by_namespace.get(*name))
            .map(String::as_str)
            .collect()
    }

    /// Checks whether a tenant is valid.
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
                format!("{}, which is older: remove it from one of the two tenants", disputes.join(", ")),
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

/// Counts of a tenant's resources, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantCounts {
    /// Number of EventTopics.
    pub topics: Option<i64>,
    /// Usage of the quotas.
    pub usage: Option<Usage>,
}

impl TenantCounts {
    /// The counts in a status.
    #[must_use]
    pub fn of(status: Option<&TenantStatus>) -> Self {
        status.map(|status| Self { topics: status.topics, usage: status.usage }).unwrap_or_default()
    }
}

/// Builds the status of a tenant.
#[must_use]
pub fn build_status(
    tenant: &Tenant,
    health: &Health,
    counted: TenantCounts,
    now: jiff::Timestamp,
) -> TenantStatus {
    let before = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut conditions = Conditions::from_previous(before, tenant.metadata.generation, now);
    conditions.set_health(health);
    TenantStatus {
        conditions: conditions.finish(),
        observed_generation: tenant.metadata.generation,
        topic_prefix: Some(prefix(tenant)),
        topics: Some(counted.topics.unwrap_or_default()),
        usage: counted.usage,
    }
}

/// Prefix of a tenant's Kafka topics, including the default.
#[must_use]
pub fn prefix(tenant: &Tenant) -> String {
    tenant.spec.topic_prefix.clone().unwrap_or_else(|| format!("{}.", tenant.name_any()))
}

fn parse(tenant: &Tenant) -> Result<TenantFacts, Refusal> {
    let invalid = |field: &str, error: &dyn std::fmt::Display| {
        Refusal::at(Reason::InvalidResource, field, error.to_string())
    };
    let name: TenantName = tenant.name_any().parse().map_err(|error| invalid("metadata.name", &error))?;
    let hosts = tenant.spec.callbacks.as_ref().map_or(&[][..], |callbacks| &callbacks.hosts);
    let callbacks = HostPolicy::of(&name, hosts)?;
    Ok(TenantFacts {
        tasks: TaskRules::of(name.clone(), tenant.spec.tasks.as_ref(), callbacks.clone()),
        callbacks,
        name,
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

/// A topic name would belong to two tenants if one prefix were the start of another.
fn check_prefix(facts: TenantFacts, older: &[Arc<TenantFacts>]) -> Result<TenantFacts, Refusal> {
    let ours = facts.prefix.as_ref();
    match older.iter().find(|other| overlaps(ours, other.prefix.as_ref())) {
        None => Ok(facts),
        Some(other) => Err(Refusal::at(
            Reason::ResourceConflict,
            "spec.topicPrefix",
            format!(
                "{ours} overlaps with {} of tenant {}, which is older: choose a prefix that \
                 neither starts with another prefix nor is the start of one",
                other.prefix, other.name
            ),
        )),
    }
}

/// Whether topics with these prefixes could have one name. Kafka does not distinguish `.` and `_`: its metrics have one name for
/// both, so it refuses a topic whose name differs from that of another one only in them.
fn overlaps(one: &str, other: &str) -> bool {
    let (one, other) = (one.replace('_', "."), other.replace('_', "."));
    one.starts_with(&other) || other.starts_with(&one)
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
    fn an_invalid_host_is_refused() {
        check(
            &[
                ("shop", 1, "{namespaces: [a], callbacks: {hosts: [api.example.com, 10.0.0.1/8]}}"),
                (
                    "bank",
                    2,
                    "{namespaces: [b], callbacks: {hosts: ['*.example.com:8443', '[fd00::/8]:443']}}",
                ),
                ("blog", 3, "{namespaces: [c], callbacks: {}}"),
            ],
            expect_test::expect![[r#"
                b -> bank bank.
                c -> blog blog.
                shop: InvalidResource: spec.callbacks.hosts[1]: the address has bits after the prefix: write 10.0.0.0/8
                bank: ready
                blog: ready"#]],
        );
    }

    #[test]
    fn the_older_tenant_keeps_a_shared_namespace() {
        check(
            &[("young", 2, "namespaces: [a, b]"), ("old", 1, "namespaces: [b, c]")],
            expect_test::expect![[r#"
                a -> young young.
                b -> old old.
                c -> old old.
                young: ResourceConflict: spec.namespaces: b belongs to tenant old, which is older: remove it from one of the two tenants
                old: ready"#]],
        );
    }

    #[test]
    fn of_overlapping_prefixes_the_younger_is_refused() {
        check(
            &[
                ("shop", 1, "{namespaces: [a], topicPrefix: shop.}"),
                ("inner", 2, "{namespaces: [b], topicPrefix: shop.eu.}"),
                ("outer", 3, "{namespaces: [c], topicPrefix: shop}"),
            ],
            expect_test::expect![[r#"
                a -> shop shop.
                shop: ready
                inner: ResourceConflict: spec.topicPrefix: shop.eu. overlaps with shop. of tenant shop, which is older: choose a prefix that neither starts with another prefix nor is the start of one
                outer: InvalidResource: spec.topicPrefix: topic prefix `shop` does not end in a separator; end it in `.`, `-` or `_`"#]],
        );
    }

    /// Kafka refuses a topic `a_b` beside `a.b`.
    #[test]
    fn prefixes_that_kafka_does_not_distinguish_overlap() {
        for (one, other) in [("shop.", "shop_"), ("shop_", "shop.eu."), ("shop_eu-", "shop.")] {
            assert!(overlaps(one, other) && overlaps(other, one), "{one} {other}");
        }
        for (one, other) in [("shop.", "shop-"), ("shop_", "shops."), ("shop.eu.", "shop_us.")] {
            assert!(!overlaps(one, other) && !overlaps(other, one), "{one} {other}");
        }
    }

    #[test]
    fn only_namespaces_with_another_tenant_have_changed() {
        let before = tenants(&[("t", "namespaces: [a, b]"), ("u", "namespaces: [c]")]);
        let after = tenants(&[("t", "namespaces: [a]"), ("u", "{namespaces: [c], clusters: [x]}")]);
        assert_eq!(after.changed_namespaces(&before).into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert!(after.changed_namespaces(&after).is_empty());
    }

    #[test]
    fn a_namespace_without_a_tenant_is_refused() {
        let refusal = Tenants::default().of_namespace("lost").expect_err("nobody has it");
        expect_test::expect![[r#"TenantNotFound: namespace lost belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"#]]
            .assert_eq(&refusal.to_string());
    }
}
