//! Kafka topics of tenants that no resource manages: those that are left behind by a deleted or unmanaged resource, and those of
//! others. They use the tenant's quotas like the others.

use std::collections::{BTreeMap, HashMap};

use eventcenter_sdk::name::{ClusterName, TenantName, TopicName};

use super::Amount;

/// A Kafka topic in a cluster.
pub type KafkaTopic = (ClusterName, TopicName);

/// The unmanaged Kafka topics, by tenant.
#[derive(Debug, Default)]
pub struct UnmanagedTopics(HashMap<TenantName, BTreeMap<KafkaTopic, Amount>>);

impl UnmanagedTopics {
    /// Adds a Kafka topic.
    pub fn insert(&mut self, tenant: &TenantName, topic: KafkaTopic, amount: Amount) {
        self.0.entry(tenant.clone()).or_default().insert(topic, amount);
    }

    /// Removes a Kafka topic.
    pub fn remove(&mut self, tenant: &TenantName, topic: &KafkaTopic) {
        if let Some(topics) = self.0.get_mut(tenant) {
            topics.remove(topic);
        }
    }

    /// Replaces all Kafka topics of a cluster. Returns the tenants that have less than before.
    pub fn replace(
        &mut self,
        cluster: &ClusterName,
        topics: impl IntoIterator<Item = (TenantName, TopicName, Amount)>,
    ) -> Vec<TenantName> {
        let before: HashMap<TenantName, Amount> =
            self.0.keys().map(|tenant| (tenant.clone(), self.total(tenant))).collect();
        for topics in self.0.values_mut() {
            topics.retain(|(of, _), _| of != cluster);
        }
        for (tenant, topic, amount) in topics {
            self.insert(&tenant, (cluster.clone(), topic), amount);
        }
        self.0.retain(|_, topics| !topics.is_empty());
        let has_less = |(tenant, amount): (TenantName, Amount)| {
            (amount.beyond(self.total(&tenant)) != Amount::ZERO).then_some(tenant)
        };
        before.into_iter().filter_map(has_less).collect()
    }

    /// The amount of a tenant.
    #[must_use]
    pub fn total(&self, tenant: &TenantName) -> Amount {
        let topics = self.0.get(tenant).into_iter().flatten();
        topics.fold(Amount::ZERO, |total, (_, amount)| total.plus(*amount))
    }

    /// The amount of one Kafka topic; nothing if it is not unmanaged.
    #[must_use]
    pub fn of(&self, tenant: &TenantName, topic: &KafkaTopic) -> Amount {
        self.0.get(tenant).and_then(|topics| topics.get(topic)).copied().unwrap_or(Amount::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_cluster_are_replaced() {
        let (shop, bank): (TenantName, TenantName) = ("shop".parse().expect("a"), "bank".parse().expect("b"));
        let cluster = |name: &str| name.parse::<ClusterName>().expect("a name");
        let topic = |name: &str| name.parse::<TopicName>().expect("a name");
        let three = Amount::of_topic(3, None);
        let mut all = UnmanagedTopics::default();
        all.insert(&shop, (cluster("main"), topic("shop.a")), three);
        all.insert(&shop, (cluster("vault"), topic("shop.a")), three);
        all.insert(&bank, (cluster("main"), topic("bank.a")), three);
        assert_eq!(all.total(&shop), Amount { topics: 2, partitions: 6, retention_bytes: 0 });
        assert_eq!(all.of(&shop, &(cluster("main"), topic("shop.a"))), three);
        let less = all.replace(&cluster("main"), [(bank.clone(), topic("bank.b"), three)]);
        assert_eq!((less, all.total(&shop), all.total(&bank)), (vec![shop], three, three));
    }
}
