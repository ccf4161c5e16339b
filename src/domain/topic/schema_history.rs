//! Where the registered schemas of a Kafka topic are stored.
//!
//! They belong to the Kafka topic and not to the resource: a resource that is deleted and created again, or another one that
//! takes the topic over, is compared with the same revisions. They are deleted with the Kafka topic.

use sha2::{Digest, Sha256};

use super::Identity;
use crate::domain::tenant::{TenantFacts, Tenants};

/// The ControllerRevisions with the schemas of one Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaHistory {
    /// The value of the label that they have in common. Unlike a topic's name, a hash always fits into a label.
    pub topic_label: String,
    /// The namespaces that may contain them: all of the tenant, because a resource in another one may take the topic over.
    pub namespaces: Vec<String>,
}

impl SchemaHistory {
    /// The history of a Kafka topic of a tenant.
    #[must_use]
    pub fn of(identity: &Identity, tenant: &TenantFacts, tenants: &Tenants) -> Self {
        let hash = Sha256::digest(format!("{}\n{}", identity.cluster, identity.topic).as_bytes());
        Self {
            topic_label: hex::encode(&hash[..20]),
            namespaces: tenants.namespaces_of(tenant).map(ToOwned::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::tenants;

    #[test]
    fn a_history_is_that_of_one_kafka_topic_in_all_namespaces_of_its_tenant() {
        let tenants =
            tenants(&[("shop", "{namespaces: [shop, shop-test]}"), ("bank", "{namespaces: [bank]}")]);
        let tenant = tenants.of_namespace("shop").expect("a tenant");
        let history = |cluster: &str, topic: &str| {
            let identity =
                Identity { cluster: cluster.parse().expect("a name"), topic: topic.parse().expect("a name") };
            SchemaHistory::of(&identity, tenant, &tenants)
        };
        let orders = history("main", "shop.orders");
        assert_eq!(orders.namespaces, ["shop", "shop-test"]);
        assert_eq!(orders.topic_label, "47348814f1daa995bf23ab33ffaa43169d5a98fc");
        assert_ne!(orders.topic_label, history("vault", "shop.orders").topic_label);
        assert_ne!(orders.topic_label, history("main", "shop.order").topic_label);
    }
}
