//! A namespace with its tenant.

use eventcenter::api::{EventTopic, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::condition::has_condition;
use super::resource::{ResourceHandle, Scope};
use super::{KafkaTopic, KubeClient, Stage};

/// A namespace whose tenant has the same name and a prefix of its own.
pub(crate) struct Fixture {
    /// The stage of the namespace.
    pub(crate) stage: Stage,
    /// Kubernetes as its administrator.
    pub(crate) kube: KubeClient,
    /// The namespace, and the name of its tenant.
    pub(crate) namespace: String,
    /// The prefix of the names of the tenant's Kafka topics.
    pub(crate) prefix: String,
}

impl Fixture {
    /// A namespace on a stage. It belongs to no tenant yet.
    pub(crate) async fn in_namespace(stage: Stage, namespace: String) -> Self {
        let kube = KubeClient::connect(&stage.kubeconfig).await;
        kube.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        let prefix = format!("{namespace}.");
        Self { stage, kube, namespace, prefix }
    }

    /// A resource of any kind, in the namespace if its kind has one.
    pub(crate) fn resource<K>(&self, name: &str) -> ResourceHandle<K>
    where
        K: ::kube::Resource<DynamicType = (), Scope: Scope> + DeserializeOwned + Serialize,
    {
        ResourceHandle::new(&self.kube, &self.stage.logs, &self.namespace, name)
    }

    /// An EventTopic of the namespace.
    pub(crate) fn topic(&self, name: &str) -> ResourceHandle<EventTopic> {
        self.resource(name)
    }

    /// The tenant of the namespace.
    pub(crate) fn tenant(&self) -> ResourceHandle<Tenant> {
        self.resource(&self.namespace)
    }

    /// The name of the Kafka topic of an EventTopic without `spec.topicName`.
    pub(crate) fn kafka_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The Kafka topic of an EventTopic without `spec.topicName`, if it exists.
    pub(crate) async fn kafka_topic(&self, name: &str) -> Option<KafkaTopic> {
        self.stage.kafka.topic(&self.kafka_name(name)).await
    }

    /// Waits until the predicate holds for the Kafka topic of an EventTopic without `spec.topicName`.
    pub(crate) async fn wait_for_kafka_topic(
        &self,
        name: &str,
        expectation: &str,
        predicate: impl Fn(&KafkaTopic) -> bool,
    ) -> KafkaTopic {
        let name = self.kafka_name(name);
        let topic = self.stage.kafka.wait(&name, expectation, |topic| topic.is_some_and(&predicate)).await;
        topic.expect("the predicate holds only for a topic")
    }

    /// Waits until the Kafka topic of an EventTopic without `spec.topicName` has this number of partitions. A broker shows a
    /// change a moment after it has accepted it.
    pub(crate) async fn wait_for_partitions(&self, name: &str, partitions: i32) {
        let expectation = format!("of {partitions} partitions");
        self.wait_for_kafka_topic(name, &expectation, |topic| topic.partitions == partitions).await;
    }

    /// Waits until the broker no longer shows the Kafka topic of an EventTopic without `spec.topicName`. It may show it for a
    /// moment after the deletion.
    pub(crate) async fn wait_until_kafka_topic_deleted(&self, name: &str) {
        self.stage.kafka.wait(&self.kafka_name(name), "deleted", |topic| topic.is_none()).await;
    }
}

impl ResourceHandle<EventTopic> {
    /// Waits until Kafka has what the topic declares now, and the status has Kafka's id of the topic. The operator reads the
    /// id only after the creation; a test that changes the topic in Kafka before that would change it unseen.
    pub(crate) async fn wait_until_ready(&self) -> EventTopic {
        self.wait_for_status("Ready=True Available, with status.topicId", |topic| {
            has_condition(topic, "Ready=True Available")
                && topic.status.as_ref().is_some_and(|status| status.topic_id.is_some())
        })
        .await
    }

    /// Applies a spec and waits until it is ready.
    pub(crate) async fn apply_and_wait(&self, spec: impl super::resource::IntoSpec) -> EventTopic {
        self.apply(spec).await;
        self.wait_until_ready().await
    }
}

/// The manifest of a cluster-scoped resource of the product.
pub(crate) fn cluster_scoped(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "eventcenter.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}
