//! Admission of Tenants.

use eventcenter_sdk::Reason;
use kube::ResourceExt;

use super::{Change, Verdict, summarize};
use crate::api::Tenant;
use crate::domain::quota::Limits;
use crate::domain::tenant::{Tenants, prefix};
use crate::domain::{Catalog, Refusal};

/// Validates a change of a Tenant. `tenants` are all stored ones.
///
/// The controllers resolve a conflict by age. Admission refuses to create one, even for the older tenant.
#[must_use]
pub fn tenant<'a>(
    change: &Change<'_, Tenant>,
    tenants: impl IntoIterator<Item = &'a Tenant>,
    catalog: &Catalog,
) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(old) => return delete(old, catalog),
    };
    if new.metadata.deletion_timestamp.is_some() || old.is_some_and(|old| old.spec == new.spec) {
        return Verdict::default();
    }
    let others: Vec<&Tenant> =
        tenants.into_iter().filter(|other| other.name_any() != new.name_any()).collect();
    match validate(old, new, &others, catalog) {
        Ok(()) => Verdict { refusals: Vec::new(), warnings: warnings(old, new, catalog) },
        Err(refusal) => Verdict::refused(refusal),
    }
}

fn delete(old: &Tenant, catalog: &Catalog) -> Verdict {
    match summarize(catalog.topics_of(old)) {
        None => Verdict::default(),
        Some(topics) => Verdict::refused(Refusal::new(
            Reason::ResourceInUse,
            format!(
                "tenant {} still has EventTopics: {topics}. Delete them first, or give their namespaces to another \
                 tenant",
                old.name_any()
            ),
        )),
    }
}

fn validate(
    old: Option<&Tenant>,
    new: &Tenant,
    others: &[&Tenant],
    catalog: &Catalog,
) -> Result<(), Refusal> {
    // Treated as the youngest, so that every other tenant keeps what it has.
    let mut youngest = new.clone();
    youngest.metadata.creation_timestamp = None;
    let had = |namespace: &String| old.is_some_and(|old| old.spec.namespaces.contains(namespace));
    youngest.spec.namespaces.retain(|namespace| !had(namespace));
    let all = Tenants::of(others.iter().copied().chain([&youngest]));
    all.check(&new.name_any())?;
    match old.filter(|old| prefix(old) != prefix(new)).and_then(|old| summarize(catalog.topics_of(old))) {
        None => Ok(()),
        Some(topics) => Err(Refusal::at(
            Reason::NotSupported,
            "spec.topicPrefix",
            format!(
                "Kafka cannot rename topics, and the tenant has EventTopics: {topics}. Keep the \
                 prefix {}, or create a new Tenant and move producers and consumers to its topics",
                old.map(prefix).unwrap_or_default()
            ),
        )),
    }
}

fn warnings(old: Option<&Tenant>, new: &Tenant, catalog: &Catalog) -> Vec<String> {
    let mut warnings = Vec::new();
    let lost = old.into_iter().flat_map(|old| &old.spec.namespaces);
    for namespace in lost.filter(|namespace| !new.spec.namespaces.contains(namespace)) {
        if let Some(topics) = summarize(catalog.topics_in(namespace)) {
            warnings.push(format!(
                "spec.namespaces: {namespace} would have no tenant and has EventTopics: {topics}"
            ));
        }
    }
    for cluster in &new.spec.clusters {
        let known = cluster.parse().is_ok_and(|cluster| catalog.clusters().contains(&cluster));
        if !known {
            warnings.push(format!("spec.clusters: there is no KafkaCluster {cluster}"));
        }
    }
    if let (Ok(limits), Some(usage)) = (Limits::parse(new.spec.quotas.as_ref()), catalog.usage(new)) {
        for near in limits.near_limits(&usage) {
            warnings.push(near.to_string());
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::domain::testing::{self, topic};
    use expect_test::{Expect, expect};

    /// A tenant with an older and a younger one, and an EventTopic in `shop`.
    fn check(old: Option<&str>, new: Option<&str>, expected: Expect) {
        let read = |yaml: &str| testing::tenant("shop", 2, yaml);
        let (old, new) = (old.map(read), new.map(read));
        let mut stored = vec![
            testing::tenant("elder", 1, "namespaces: [e]"),
            testing::tenant("junior", 3, "namespaces: [j]"),
        ];
        stored.extend(old.clone());
        let mut catalog = Catalog::default();
        catalog.set_clusters(testing::clusters(&[("main", true)]), std::iter::empty());
        catalog.set_tenants(Tenants::of(&stored), std::iter::empty());
        catalog.upsert(&topic("{}"));
        let change = match (&old, &new) {
            (None, Some(new)) => Change::Create(new),
            (Some(old), Some(new)) => Change::Update { old, new },
            (old, None) => Change::Delete(old.as_ref().expect("one of the two")),
        };
        expected.assert_eq(&print(&super::tenant(&change, &stored, &catalog)));
    }

    const SHOP: &str = "namespaces: [shop]";

    #[test]
    fn a_change_cannot_create_a_conflict() {
        check(None, Some(SHOP), expect!["allowed"]);
        check(
            None,
            Some("namespaces: [shop, e]"),
            expect![
                "refused: ResourceConflict: spec.namespaces: e belongs to tenant elder, which is older: remove it from one of the two tenants"
            ],
        );
        check(
            Some(SHOP),
            Some("namespaces: [shop, j]"),
            expect![
                "refused: ResourceConflict: spec.namespaces: j belongs to tenant junior, which is older: remove it from one of the two tenants"
            ],
        );
        check(
            None,
            Some("{namespaces: [new], topicPrefix: elder.eu.}"),
            expect![
                "refused: ResourceConflict: spec.topicPrefix: elder.eu. overlaps with elder. of tenant elder, which is older: choose a prefix that neither starts with another prefix nor is the start of one"
            ],
        );
        check(Some("namespaces: [x]"), Some("{namespaces: [x], topicPrefix: junior-}"), expect!["allowed"]);
        check(
            Some("namespaces: [x]"),
            Some("{namespaces: [x], topicPrefix: junior.x.}"),
            expect![
                "refused: ResourceConflict: spec.topicPrefix: junior.x. overlaps with junior. of tenant junior, which is older: choose a prefix that neither starts with another prefix nor is the start of one"
            ],
        );
    }

    #[test]
    fn a_tenant_with_topics_is_not_deleted() {
        check(
            Some(SHOP),
            None,
            expect![
                "refused: ResourceInUse: tenant shop still has EventTopics: shop/orders. Delete them first, or give their namespaces to another tenant"
            ],
        );
        check(Some("namespaces: [empty]"), None, expect!["allowed"]);
    }

    #[test]
    fn a_prefix_stays_while_there_are_topics() {
        check(
            Some(SHOP),
            Some("{namespaces: [shop], topicPrefix: other.}"),
            expect![
                "refused: NotSupported: spec.topicPrefix: Kafka cannot rename topics, and the tenant has EventTopics: shop/orders. Keep the prefix shop., or create a new Tenant and move producers and consumers to its topics"
            ],
        );
        check(Some(SHOP), Some("{namespaces: [shop], topicPrefix: shop.}"), expect!["allowed"]);
    }

    #[test]
    fn risks_are_warnings() {
        check(
            Some(SHOP),
            Some("{namespaces: [], description: empty}"),
            expect!["warning: spec.namespaces: shop would have no tenant and has EventTopics: shop/orders"],
        );
        check(
            Some(SHOP),
            Some("{namespaces: [shop], clusters: [main, nowhere], quotas: {topics: 1}}"),
            expect!["warning: spec.clusters: there is no KafkaCluster nowhere"],
        );
        check(
            Some(SHOP),
            Some("{namespaces: [shop], quotas: {retentionSize: 99999999999999999Pi}}"),
            expect![[
                r#"refused: InvalidResource: spec.quotas.retentionSize: "99999999999999999Pi" exceeds 64 bits: write a smaller number"#
            ]],
        );
    }

    #[test]
    fn an_existing_conflict_does_not_block_other_changes() {
        check(Some("namespaces: [shop, e]"), Some("{namespaces: [shop]}"), expect!["allowed"]);
        check(
            Some("namespaces: [shop, e]"),
            Some("{namespaces: [shop, e], description: more}"),
            expect!["allowed"],
        );
    }
}
