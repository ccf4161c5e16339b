//! What a run may do when it is executed. Its work was rendered when it was planned; the tenant may have changed since.

use std::sync::Arc;

use eventcenter_sdk::Reason;

use super::TaskKey;
use super::work::Destination;
use crate::api::WhenSuspended;
use crate::domain::Refusal;
use crate::domain::cluster::Clusters;
use crate::domain::tenant::{TenantFacts, Tenants};

/// The tenant of a run, if its runs may be executed now.
///
/// # Errors
/// The namespace belongs to no tenant or to another one, or the tenant is suspended with `whenSuspended: Stop`.
pub fn tenant_of_run<'a>(tenants: &'a Tenants, task: &TaskKey) -> Result<&'a Arc<TenantFacts>, Refusal> {
    let tenant = tenants.of_namespace(&task.namespace)?;
    if tenant.name != task.tenant {
        return Err(Refusal::new(
            Reason::Forbidden,
            format!(
                "the run was planned when namespace {} belonged to tenant {}, and now it belongs to {}: start it again",
                task.namespace, task.tenant, tenant.name
            ),
        ));
    }
    match tenant.suspended {
        Some(WhenSuspended::Stop) => Err(Refusal::new(
            Reason::TenantSuspended,
            format!(
                "tenant {} is suspended, and whenSuspended is Stop: ask the platform's administrator to set spec.suspended \
                 of the Tenant to false",
                tenant.name
            ),
        )),
        Some(WhenSuspended::KeepRunning) | None => Ok(tenant),
    }
}

/// Checks that a tenant may publish to a topic.
///
/// # Errors
/// The tenant may not use the cluster, or the topic belongs to another tenant.
pub fn check_destination(
    tenant: &TenantFacts,
    clusters: &Clusters,
    destination: &Destination,
) -> Result<(), Refusal> {
    let Destination { cluster, topic } = destination;
    let is_allowed = match tenant.clusters.is_empty() {
        true => clusters.default() == Some(cluster),
        false => tenant.clusters.contains(cluster),
    };
    if !is_allowed {
        return Err(Refusal::new(
            Reason::ClusterNotAllowed,
            format!(
                "tenant {} may not use KafkaCluster {cluster}: name another cluster in the EventTopic, or ask the \
                 platform's administrator to add it to spec.clusters of the Tenant",
                tenant.name
            ),
        ));
    }
    if !topic.as_ref().starts_with(tenant.prefix.as_ref()) {
        return Err(Refusal::new(
            Reason::Forbidden,
            format!(
                "the Kafka topic {topic} does not belong to tenant {}, whose topics begin with {}: start the run again",
                tenant.name, tenant.prefix
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use uuid::Uuid;

    use super::*;
    use crate::domain::testing::tenants;

    fn run_of(all: &[(&str, &str)], expected: Expect) {
        let task = TaskKey {
            tenant: "shop".parse().expect("a name"),
            namespace: "shop-ns".into(),
            name: "nightly".into(),
            uid: Uuid::nil(),
        };
        let tenants = tenants(all);
        let tenant = tenant_of_run(&tenants, &task);
        expected
            .assert_eq(&tenant.map_or_else(|refusal| refusal.to_string(), |tenant| tenant.name.to_string()));
    }

    #[test]
    fn the_tenant_of_a_run_is_that_of_its_plan_and_not_stopped() {
        run_of(&[("shop", "namespaces: [shop-ns]")], expect!["shop"]);
        run_of(&[("shop", "{namespaces: [shop-ns], suspended: true}")], expect!["shop"]);
        run_of(
            &[("shop", "{namespaces: [shop-ns], suspended: true, whenSuspended: Stop}")],
            expect![
                "TenantSuspended: tenant shop is suspended, and whenSuspended is Stop: ask the platform's administrator to set spec.suspended of the Tenant to false"
            ],
        );
        run_of(
            &[("bank", "namespaces: [shop-ns]")],
            expect![
                "Forbidden: the run was planned when namespace shop-ns belonged to tenant shop, and now it belongs to bank: start it again"
            ],
        );
        run_of(
            &[("shop", "namespaces: [other]")],
            expect![
                "TenantNotFound: namespace shop-ns belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
    }

    #[test]
    fn events_go_to_topics_of_the_tenant_on_its_clusters_only() {
        let check = |spec: &str, cluster: &str, topic: &str| {
            let tenants = tenants(&[("shop", spec)]);
            let destination = Destination {
                cluster: cluster.parse().expect("a name"),
                topic: topic.parse().expect("a name"),
            };
            let main: crate::api::KafkaCluster = serde_yaml::from_str(
                "{apiVersion: eventcenter.io/v1alpha1, kind: KafkaCluster, metadata: {name: main}, \
                 spec: {default: true, bootstrapServers: ['a:1']}}",
            )
            .expect("YAML");
            let result = check_destination(
                tenants.by_name("shop").expect("valid"),
                &Clusters::of([&main]),
                &destination,
            );
            result.map_or_else(|refusal| refusal.to_string(), |()| "allowed".to_owned())
        };
        let listed = "{namespaces: [a], clusters: [other]}";
        expect!["allowed"].assert_eq(&check("namespaces: [a]", "main", "shop.orders"));
        expect!["allowed"].assert_eq(&check(listed, "other", "shop.orders"));
        expect!["ClusterNotAllowed: tenant shop may not use KafkaCluster main: name another cluster in the EventTopic, or ask the platform's administrator to add it to spec.clusters of the Tenant"]
            .assert_eq(&check(listed, "main", "shop.orders"));
        expect!["ClusterNotAllowed: tenant shop may not use KafkaCluster other: name another cluster in the EventTopic, or ask the platform's administrator to add it to spec.clusters of the Tenant"]
            .assert_eq(&check("namespaces: [a]", "other", "shop.orders"));
        expect!["Forbidden: the Kafka topic bank.orders does not belong to tenant shop, whose topics begin with shop.: start the run again"]
            .assert_eq(&check("namespaces: [a]", "main", "bank.orders"));
    }
}
