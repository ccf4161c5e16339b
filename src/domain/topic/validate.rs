//! Whether the operator may act on a resource, before any request to Kafka.

use std::sync::Arc;

use eventcenter_sdk::Reason;

use super::status::is_applied;
use super::{Declared, Identity, access, identity, quota};
use crate::api::{EventTopic, WhenSuspended};
use crate::domain::ObjectRef;
use crate::domain::Refusal;
use crate::domain::cluster::Clusters;
use crate::domain::event_type::{self, TenantType, TypeId};
use crate::domain::management::{ManagementMode, management_mode};
use crate::domain::ownership::Claims;
use crate::domain::quota::Ledger;
use crate::domain::tenant::{TenantFacts, Tenants};

/// The declarations that a resource is validated against.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a> {
    /// The tenants.
    pub tenants: &'a Tenants,
    /// The Kafka clusters.
    pub clusters: &'a Clusters,
    /// The owners of Kafka topics.
    pub claims: &'a Claims<Identity>,
    /// The owners of event types.
    pub types: &'a Claims<TenantType>,
    /// The usage of the tenants.
    pub ledger: &'a Ledger,
}

/// What the operator may do for a resource in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing until it is resumed.
    Paused,
    /// The operator does not manage the Kafka topic.
    Unmanaged,
    /// Apply the declaration.
    Managed(Identity, Declared),
    /// Remove the access and leave the Kafka topic as it is.
    Stopped(Identity, Refusal),
}

/// Decides what the operator may do for a resource.
///
/// # Errors
/// A refusal with its remedy: what [`validate`] refuses, and any change while the tenant is
/// suspended.
pub fn permission(topic: &EventTopic, neighbours: &Neighbours<'_>) -> Result<Permission, Refusal> {
    match management_mode(topic)? {
        ManagementMode::Paused => return Ok(Permission::Paused),
        ManagementMode::Unmanaged => return Ok(Permission::Unmanaged),
        ManagementMode::Managed => {}
    }
    let validated = validate(topic, neighbours)?;
    match validated.tenant.suspended {
        Some(WhenSuspended::Stop) => {
            Ok(Permission::Stopped(validated.identity, suspended(&validated.tenant)))
        }
        Some(WhenSuspended::KeepRunning) if !is_applied(topic) => Err(suspended(&validated.tenant)),
        _ => Ok(Permission::Managed(validated.identity, validated.declared)),
    }
}

/// The refusal of any change of a suspended tenant.
#[must_use]
pub fn suspended(tenant: &TenantFacts) -> Refusal {
    Refusal::new(
        Reason::TenantSuspended,
        format!(
            "tenant {} is suspended, so its resources cannot be created or changed: ask the platform's administrator to set \
             spec.suspended: false in the Tenant",
            tenant.name
        ),
    )
}

/// A topic that satisfies all rules: those of its tenant, and against all other declarations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedTopic {
    /// Its tenant.
    pub tenant: Arc<TenantFacts>,
    /// Its Kafka topic.
    pub identity: Identity,
    /// The desired state of the Kafka topic.
    pub declared: Declared,
    /// The event types it registers.
    pub types: Vec<TypeId>,
}

/// Validates a resource against all rules, for webhook and controllers.
///
/// # Errors
/// The first violated rule, with its remedy: no tenant, a cluster that may not be used, a
/// name that is not the tenant's, another resource that owns the topic or an event type, a name of
/// an event type, a field, a quota.
pub fn validate(topic: &EventTopic, neighbours: &Neighbours<'_>) -> Result<ValidatedTopic, Refusal> {
    let this = ObjectRef::of(topic);
    let tenant = neighbours.tenants.of_namespace(&this.namespace)?;
    let identity = identity::identity(topic, neighbours.tenants, neighbours.clusters)?;
    if let Some(owner) = neighbours.claims.owner(&identity).filter(|owner| **owner != this) {
        return Err(Refusal::new(
            Reason::ResourceConflict,
            format!(
                "Kafka topic {} in cluster {} belongs to EventTopic {owner}, which is older: delete one of the two, or \
                 set another spec.topicName in a new EventTopic",
                identity.topic, identity.cluster
            ),
        ));
    }
    let types = event_type::parse_types(topic, &tenant.conventions)?;
    for id in &types {
        let registered = TenantType { tenant: tenant.name.clone(), id: id.clone() };
        if let Some(owner) = neighbours.types.owner(&registered).filter(|owner| **owner != this) {
            return Err(Refusal::at(
                Reason::ResourceConflict,
                "spec.eventTypes",
                format!(
                    "{id} is registered by EventTopic {owner}, which is older: a type has one topic \
                     within a tenant, so remove it from one of the two"
                ),
            ));
        }
    }
    let declared = Declared::read(topic)?;
    access::check(topic, tenant)?;
    quota::check_limits(topic, &declared, &tenant.limits)?;
    let kafka_topic = (identity.cluster.clone(), identity.topic.clone());
    let requested = quota::requested(topic);
    neighbours.ledger.check(&tenant.name, &tenant.limits, &this, &kafka_topic, requested)?;
    Ok(ValidatedTopic { tenant: Arc::clone(tenant), identity, declared, types })
}

/// The Kafka topic that a resource claims; an unmanaged resource claims none.
#[must_use]
pub fn claimed(topic: &EventTopic, tenants: &Tenants, clusters: &Clusters) -> Option<Identity> {
    match management_mode(topic) {
        Ok(ManagementMode::Unmanaged) => None,
        _ => identity::identity(topic, tenants, clusters).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{catalog, topic};
    use expect_test::{Expect, expect};

    /// The permission of a topic, with an older topic if one is given.
    fn check(yaml: &str, older: Option<&str>, expected: Expect) {
        let mut catalog = catalog(&[("shop", "{namespaces: [shop]}")], &[("main", true)]);
        for topic in older.iter().map(|yaml| topic(yaml)).chain([topic(yaml)]) {
            catalog.upsert(&topic);
        }
        expected.assert_eq(&print(catalog.check(&topic(yaml))));
    }

    fn print(permission: Result<Permission, Refusal>) -> String {
        match permission {
            Ok(Permission::Managed(identity, _)) => format!("managed {identity}"),
            Ok(Permission::Stopped(identity, refusal)) => format!("stopped {identity}: {refusal}"),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn the_older_of_two_owns_the_topic() {
        let older = "{name: a-older, topicName: shop.orders}";
        check("{}", None, expect!["managed shop.orders in main"]);
        check(
            "{}",
            Some(older),
            expect![
                "ResourceConflict: Kafka topic shop.orders in cluster main belongs to EventTopic shop/a-older, which is older: delete one of the two, or set another spec.topicName in a new EventTopic"
            ],
        );
        let released =
            r#"{name: a-older, topicName: shop.orders, annotations: {eventcenter.io/managed: "false"}}"#;
        check("{}", Some(released), expect!["managed shop.orders in main"]);
        let paused =
            r#"{name: a-older, topicName: shop.orders, annotations: {eventcenter.io/paused: "true"}}"#;
        check(
            "{}",
            Some(paused),
            expect![
                "ResourceConflict: Kafka topic shop.orders in cluster main belongs to EventTopic shop/a-older, which is older: delete one of the two, or set another spec.topicName in a new EventTopic"
            ],
        );
    }

    #[test]
    fn annotations_come_first() {
        check(
            r#"{namespace: nowhere, annotations: {eventcenter.io/managed: "false"}}"#,
            None,
            expect!["Unmanaged"],
        );
        check(
            r#"{namespace: nowhere, annotations: {eventcenter.io/paused: "true"}}"#,
            None,
            expect!["Paused"],
        );
        check(
            r#"{annotations: {eventcenter.io/paused: "yes"}}"#,
            None,
            expect![[
                r#"InvalidResource: metadata.annotations[eventcenter.io/paused]: the value is "true" or "false"; correct or remove it"#
            ]],
        );
    }

    #[test]
    fn a_type_has_one_topic() {
        check(
            "eventTypes: [{name: Order.Created.v1}, {name: Order.Paid.v1}]",
            Some("{name: a-older, eventTypes: [{name: Order.Paid.v1}]}"),
            expect![
                "ResourceConflict: spec.eventTypes: Order.Paid.v1 is registered by EventTopic shop/a-older, which is older: a type has one topic within a tenant, so remove it from one of the two"
            ],
        );
        check(
            "eventTypes: [{name: Order.Paid.v2}]",
            Some("{name: a-older, eventTypes: [{name: Order.Paid.v1}]}"),
            expect!["managed shop.orders in main"],
        );
    }

    /// The permission of a topic of this tenant.
    fn check_tenant(tenant: &str, yaml: &str, expected: Expect) {
        let mut catalog = catalog(&[("shop", tenant)], &[("main", true)]);
        catalog.upsert(&topic(yaml));
        expected.assert_eq(&print(catalog.reserve(&topic(yaml))));
    }

    #[test]
    fn a_suspended_tenant_changes_nothing() {
        const APPLIED: &str = "{status: {topicName: shop.orders, cluster: main, conditions: [{type: InSync, status: 'True', \
                               observedGeneration: 1, reason: Available, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}]}}";
        check_tenant(
            "{namespaces: [shop], suspended: true}",
            "{}",
            expect![
                "TenantSuspended: tenant shop is suspended, so its resources cannot be created or changed: ask the platform's administrator to set spec.suspended: false in the Tenant"
            ],
        );
        check_tenant(
            "{namespaces: [shop], suspended: true}",
            APPLIED,
            expect!["managed shop.orders in main"],
        );
        check_tenant(
            "{namespaces: [shop], suspended: true, whenSuspended: Stop}",
            APPLIED,
            expect![
                "stopped shop.orders in main: TenantSuspended: tenant shop is suspended, so its resources cannot be created or changed: ask the platform's administrator to set spec.suspended: false in the Tenant"
            ],
        );
    }

    #[test]
    fn rules_of_the_tenant_apply() {
        check_tenant(
            "{namespaces: [shop], naming: {conventions: [Entity]}}",
            "eventTypes: [{name: a.paid}]",
            expect![
                "InvalidResource: spec.eventTypes: a.paid follows the convention Dotted, and the tenant's naming.conventions allow Entity ({Entity}.{Action}.v{N}): rename it"
            ],
        );
        check_tenant(
            "{namespaces: [shop], quotas: {topics: 0}}",
            "{}",
            expect![
                "TenantQuotaExceeded: metadata: tenant shop may have 0 topics (quotas.topics), 0 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota"
            ],
        );
        check_tenant(
            "{namespaces: [shop], quotas: {partitions: 2}}",
            "partitions: 3",
            expect![
                "TenantQuotaExceeded: spec.partitions: tenant shop may have 2 partitions (quotas.partitions), 0 are used and this topic requests 3 more: request at most 2 more, or ask the platform's administrator for a larger quota"
            ],
        );
        check_tenant(
            "{namespaces: [shop], quotas: {retentionSize: 1Gi}}",
            "{partitions: 3, retention: {size: 500Mi}}",
            expect![
                "TenantQuotaExceeded: spec.retention.size: tenant shop may have 1073741824 bytes (quotas.retentionSize), 0 are used and this topic requests 1572864000 more: request at most 1073741824 more, or ask the platform's administrator for a larger quota"
            ],
        );
    }
}
