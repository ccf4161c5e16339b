//! The Kafka topic of an EventTopic.

use std::fmt;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};
use kube::ResourceExt;

use crate::api::{EventTopic, EventTopicStatus};
use crate::domain::Refusal;
use crate::domain::cluster::Clusters;
use crate::domain::tenant::{TenantFacts, Tenants};

/// A Kafka topic: a name in a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The KafkaCluster resource.
    pub cluster: ClusterName,
    /// The name in Kafka.
    pub topic: TopicName,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.topic, self.cluster)
    }
}

/// Determines the Kafka topic of a resource, within the limits of its tenant.
///
/// This check prevents a tenant from naming another tenant's topic or a cluster that it may not use: nothing is read,
/// changed or deleted in Kafka without it.
///
/// # Errors
/// The namespace has no tenant, the cluster is unknown or not allowed, the name lacks the tenant's prefix or is invalid in
/// Kafka, or the resource would become another Kafka topic.
pub fn identity(topic: &EventTopic, tenants: &Tenants, clusters: &Clusters) -> Result<Identity, Refusal> {
    let tenant = tenants.of_namespace(&topic.namespace().unwrap_or_default())?;
    let identity = Identity { cluster: cluster(topic, tenant, clusters)?, topic: name(topic, tenant)? };
    match &topic.status {
        Some(status) => check_unchanged(identity, status),
        None => Ok(identity),
    }
}

fn cluster(topic: &EventTopic, tenant: &TenantFacts, clusters: &Clusters) -> Result<ClusterName, Refusal> {
    let default = clusters.default();
    let cluster = match &topic.spec.cluster {
        Some(name) => name
            .parse::<ClusterName>()
            .map_err(|error| Refusal::at(Reason::InvalidResource, "spec.cluster", error.to_string()))?,
        None => default.cloned().ok_or_else(|| {
            Refusal::new(
                Reason::ClusterNotFound,
                "spec.cluster is not set and no KafkaCluster has spec.default: true: name a cluster, or ask the \
                 platform's administrator for a default",
            )
        })?,
    };
    let allowed = if tenant.clusters.is_empty() {
        default == Some(&cluster)
    } else {
        tenant.clusters.contains(&cluster)
    };
    if !allowed {
        return Err(Refusal::at(
            Reason::ClusterNotAllowed,
            "spec.cluster",
            format!(
                "tenant {} may not use cluster {cluster}: name another one, or ask the platform's \
                 administrator to add it to spec.clusters of the Tenant",
                tenant.name
            ),
        ));
    }
    if !clusters.contains(&cluster) {
        return Err(Refusal::at(
            Reason::ClusterNotFound,
            "spec.cluster",
            format!("there is no KafkaCluster {cluster}: correct the name, or create the KafkaCluster"),
        ));
    }
    Ok(cluster)
}

fn name(topic: &EventTopic, tenant: &TenantFacts) -> Result<TopicName, Refusal> {
    let invalid = |detail: String| Refusal::at(Reason::InvalidResource, "spec.topicName", detail);
    match &topic.spec.topic_name {
        Some(name) if !name.starts_with(tenant.prefix.as_ref()) => Err(invalid(format!(
            "{name} does not begin with {}, the prefix of tenant {}: write {}{name}, or leave the \
             field out",
            tenant.prefix, tenant.name, tenant.prefix
        ))),
        Some(name) => name.parse().map_err(|error| invalid(format!("{error}"))),
        None => format!("{}{}", tenant.prefix, topic.name_any()).parse().map_err(|error| {
            let message = format!(
                "metadata.name, after the prefix {} of tenant {}: {error}; set spec.topicName",
                tenant.prefix, tenant.name
            );
            Refusal::new(Reason::InvalidResource, message)
        }),
    }
}

/// Refuses another Kafka topic than that in the status, for example after a change of the tenant's prefix or of the default
/// cluster.
fn check_unchanged(identity: Identity, status: &EventTopicStatus) -> Result<Identity, Refusal> {
    if let Some(was) = status.topic_name.as_deref().filter(|was| *was != identity.topic.as_ref()) {
        return Err(Refusal::at(
            Reason::NotSupported,
            "spec.topicName",
            format!(
                "the Kafka topic is {was} and would now be {}, and Kafka cannot rename a topic: \
                 set spec.topicName: {was} if the tenant's prefix allows it, or create a new EventTopic and move \
                 producers and consumers to it",
                identity.topic
            ),
        ));
    }
    if let Some(was) = status.cluster.as_deref().filter(|was| *was != identity.cluster.as_ref()) {
        return Err(Refusal::at(
            Reason::NotSupported,
            "spec.cluster",
            format!(
                "the topic lives in cluster {was} and would now live in {}, and a topic cannot move: \
                 set spec.cluster: {was}, or create a new EventTopic in the other cluster",
                identity.cluster
            ),
        ));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{clusters, tenants, topic};
    use expect_test::{Expect, expect};

    fn check(yaml: &str, expected: Expect) {
        let tenants = tenants(&[
            ("shop", "{namespaces: [shop]}"),
            ("bank", "{namespaces: [bank], topicPrefix: bk_, clusters: [vault]}"),
            ("gone", "{namespaces: [gone], clusters: [nowhere]}"),
        ]);
        let clusters = clusters(&[("main", true), ("vault", false)]);
        expected.assert_eq(&match identity(&topic(yaml), &tenants, &clusters) {
            Ok(identity) => identity.to_string(),
            Err(refusal) => refusal.to_string(),
        });
    }

    #[test]
    fn names_and_clusters_default_by_tenant() {
        check("{}", expect!["shop.orders in main"]);
        check("topicName: shop.x", expect!["shop.x in main"]);
        check("{namespace: bank, cluster: vault}", expect!["bk_orders in vault"]);
    }

    #[test]
    fn a_tenant_cannot_name_topics_or_clusters_of_others() {
        check(
            "topicName: bk_accounts",
            expect![
                "InvalidResource: spec.topicName: bk_accounts does not begin with shop., the prefix of tenant shop: write shop.bk_accounts, or leave the field out"
            ],
        );
        check(
            "cluster: vault",
            expect![
                "ClusterNotAllowed: spec.cluster: tenant shop may not use cluster vault: name another one, or ask the platform's administrator to add it to spec.clusters of the Tenant"
            ],
        );
        check(
            "{namespace: bank}",
            expect![
                "ClusterNotAllowed: spec.cluster: tenant bank may not use cluster main: name another one, or ask the platform's administrator to add it to spec.clusters of the Tenant"
            ],
        );
        check(
            "{namespace: gone, cluster: nowhere}",
            expect![
                "ClusterNotFound: spec.cluster: there is no KafkaCluster nowhere: correct the name, or create the KafkaCluster"
            ],
        );
        check(
            "{namespace: elsewhere}",
            expect![
                "TenantNotFound: namespace elsewhere belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
        check(
            "topicName: shop.a/b",
            expect![
                "InvalidResource: spec.topicName: topic name `shop.a/b` contains '/'; use only letters, digits, `.`, `_` and `-`"
            ],
        );
    }

    #[test]
    fn the_kafka_topic_of_a_resource_cannot_change() {
        check("{status: {topicName: shop.orders, cluster: main}}", expect!["shop.orders in main"]);
        check(
            "{status: {topicName: old.orders}}",
            expect![
                "NotSupported: spec.topicName: the Kafka topic is old.orders and would now be shop.orders, and Kafka cannot rename a topic: set spec.topicName: old.orders if the tenant's prefix allows it, or create a new EventTopic and move producers and consumers to it"
            ],
        );
        check(
            "{status: {topicName: shop.orders, cluster: vault}}",
            expect![
                "NotSupported: spec.cluster: the topic lives in cluster vault and would now live in main, and a topic cannot move: set spec.cluster: vault, or create a new EventTopic in the other cluster"
            ],
        );
    }
}
