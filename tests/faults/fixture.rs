//! A namespace with its tenant on parts that the test may break.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::api::{DELETE_FINALIZER, EventTopic, KafkaCluster, ScheduledTask, Tenant};
use eventcenter_kafka_admin::AclBindingFilter;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;
use xtask::operator::Operator;

use crate::parts::{Parts, PartsLease};
use crate::support::operator::sum;
use crate::support::{Broker, Fixture, MAX_WAIT, ResourceHandle, to_yaml, until, until_within};

/// The KafkaCluster of every fixture, which is the default.
pub(crate) const CLUSTER: &str = "main";

/// A namespace with its tenant and the default KafkaCluster, on an API server and a broker that have nothing else.
pub(crate) struct FaultFixture {
    fixture: Fixture,
    /// The parts, which the test may break.
    pub(crate) parts: PartsLease,
}

impl Deref for FaultFixture {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl FaultFixture {
    /// A namespace and a tenant of this name.
    pub(crate) async fn new(name: &str) -> Result<Self> {
        let parts = Parts::lease().await?;
        parts.clear_operators();
        let fixture = Fixture::in_namespace(parts.stage(), name.to_owned()).await;
        // For a moment the API server still calls a webhook whose configuration is deleted, so this retries.
        let cleaned = until(async || clean(&fixture).await.map_err(|error| format!("{error:#}"))).await;
        cleaned.map_err(anyhow::Error::msg).context("removing what another test left")?;
        let t = Self { fixture, parts };
        let cluster = json!({"bootstrapServers": [t.parts.bootstrap()], "default": true});
        t.eventually("the API server accepts tenant and cluster", async || {
            t.tenant().try_apply(json!({"namespaces": [name]})).await?;
            t.cluster().try_apply(&cluster).await
        })
        .await;
        Ok(t)
    }

    /// The default KafkaCluster.
    pub(crate) fn cluster(&self) -> ResourceHandle<KafkaCluster> {
        self.resource(CLUSTER)
    }

    /// The EventTopics of the namespace.
    pub(crate) fn topics(&self) -> Api<EventTopic> {
        Api::namespaced(self.kube.client(), &self.namespace)
    }

    /// The Leases of the operator's namespace.
    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.kube.client(), NAMESPACE)
    }

    /// Creates a topic with `deletionPolicy: Delete` whose finalizer exists already.
    pub(crate) async fn apply_finalized(&self, name: &str) {
        let mut manifest = self.topic(name).manifest("deletionPolicy: Delete");
        manifest["metadata"]["finalizers"] = json!([DELETE_FINALIZER]);
        self.kube.apply(&manifest).await;
    }

    /// The configuration that is set on the Kafka topic of an EventTopic; empty if the topic does not exist.
    pub(crate) async fn kafka_config(&self, name: &str) -> BTreeMap<String, String> {
        self.kafka_topic(name).await.map(|topic| topic.config).unwrap_or_default()
    }

    /// Sets a configuration key of the Kafka topic of an EventTopic.
    pub(crate) async fn set_kafka_config(&self, name: &str, key: &str, value: &str) {
        self.stage.kafka.set(&self.kafka_name(name), key, value).await;
    }

    /// Waits until the Kafka topic of an EventTopic has exactly this configuration.
    pub(crate) async fn wait_for_kafka_config(&self, name: &str, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.eventually(&format!("the configuration of {name} is {expected:?}"), async || {
            let config = self.kafka_config(name).await;
            if config == expected { Ok(()) } else { Err(config) }
        })
        .await;
    }

    /// Waits until the operators have sent more requests of this kind to Kafka than before, those that the proxy holds
    /// included.
    pub(crate) async fn wait_for_kafka_request(&self, kind: i16, before: usize) {
        self.eventually(&format!("a request {kind} to Kafka arrives at the proxy"), async || {
            let received = self.parts.kafka_proxy.received(kind);
            if received > before { Ok(()) } else { Err(received) }
        })
        .await;
    }

    /// Polls until the closure returns `Ok`. Otherwise fails with its last error and the operators' logs.
    pub(crate) async fn eventually<T, E: Debug>(
        &self,
        expectation: &str,
        poll: impl AsyncFnMut() -> Result<T, E>,
    ) -> T {
        self.eventually_within(MAX_WAIT, expectation, poll).await
    }

    /// As [`FaultFixture::eventually`], with another limit.
    pub(crate) async fn eventually_within<T, E: Debug>(
        &self,
        limit: Duration,
        expectation: &str,
        mut poll: impl AsyncFnMut() -> Result<T, E>,
    ) -> T {
        let polled = until_within(limit, async || poll().await.map_err(|error| format!("{error:#?}"))).await;
        polled.unwrap_or_else(|last| {
            panic!("not within {limit:?}: {expectation}. Last seen:\n{last}\n{}", self.stage.logs.tail())
        })
    }

    /// Waits until the sum of the samples of an operator's metric with these labels is at least this.
    pub(crate) async fn wait_for_metric(&self, operator: &Operator, name: &str, labels: &[&str], least: f64) {
        self.eventually(&format!("{name} {labels:?} is at least {least}"), async || {
            let value = metric(operator, name, labels).unwrap_or_default();
            if value >= least { Ok(()) } else { Err(value) }
        })
        .await;
    }

    /// Waits until the operator has described this many further topics in Kafka. An operator that has nothing else to do
    /// describes all settled topics at each resync.
    pub(crate) async fn wait_for_resync(&self, operator: &Operator, topics: u32) {
        let (name, labels) = ("eventcenter_kafka_request_topics_sum", ["operation=\"DescribeTopics\""]);
        let before = metric(operator, name, &labels).unwrap_or_default();
        self.wait_for_metric(operator, name, &labels, before + f64::from(topics)).await;
    }

    /// Waits until `/readyz` of an operator answers with this status code. Returns the body.
    pub(crate) async fn wait_for_readyz(&self, operator: &Operator, expected: u16) -> String {
        self.eventually(&format!("/readyz is {expected}"), async || match operator.get("/readyz") {
            Some((status, body)) if status == expected => Ok(body),
            other => Err(other),
        })
        .await
    }
}

/// The sum of the samples of an operator's metric with these labels; `None` if the operator does not answer.
pub(crate) fn metric(operator: &Operator, name: &str, labels: &[&str]) -> Option<f64> {
    let (status, text) = operator.get("/metrics")?;
    (status == 200).then(|| sum(&text, name, labels))
}

/// Removes everything that another test may have left in the API server and in Kafka.
async fn clean(fixture: &Fixture) -> Result<()> {
    let client = fixture.kube.client();
    let all = ListParams::default();
    let delete = DeleteParams::default();
    Api::<ValidatingWebhookConfiguration>::all(client.clone()).delete_collection(&delete, &all).await?;
    Api::<MutatingWebhookConfiguration>::all(client.clone()).delete_collection(&delete, &all).await?;
    Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()).delete_collection(&delete, &all).await?;
    Api::<ValidatingAdmissionPolicy>::all(client.clone()).delete_collection(&delete, &all).await?;
    // Each test has a database of its own; the checkpoints are those of another database.
    delete_if_exists(Api::<Secret>::namespaced(client.clone(), NAMESPACE), "eventcenter-webhook").await?;
    let config_maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    delete_if_exists(config_maps, "eventcenter-audit-checkpoints").await?;
    remove_all::<ScheduledTask>(&client).await?;
    remove_all::<EventTopic>(&client).await?;
    remove_all::<Tenant>(&client).await?;
    remove_all::<KafkaCluster>(&client).await?;
    Api::<Lease>::namespaced(client.clone(), NAMESPACE).delete_collection(&delete, &all).await?;
    fixture.stage.kafka.delete_all().await
}

async fn delete_if_exists<K>(api: Api<K>, name: &str) -> Result<()>
where
    K: Resource + Clone + Debug + serde::de::DeserializeOwned,
{
    ignore_missing(api.delete(name, &DeleteParams::default()).await)
}

/// An object that no longer exists is no error: a namespace may be about to disappear with its resources.
fn ignore_missing<T>(result: kube::Result<T>) -> Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

/// Removes all resources of a kind, also those that cannot be decoded and those with finalizers.
async fn remove_all<K: Resource<DynamicType = ()>>(client: &Client) -> Result<()> {
    let kind = ApiResource::erase::<K>(&());
    let all = Api::<DynamicObject>::all_with(client.clone(), &kind).list(&ListParams::default()).await?;
    let removals = all.into_iter().map(|object| {
        let api = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &kind),
            None => Api::<DynamicObject>::all_with(client.clone(), &kind),
        };
        async move {
            let name = object.name_any();
            if !object.finalizers().is_empty() {
                let patch = Patch::Merge(json!({"metadata": {"finalizers": Value::Null}}));
                ignore_missing(api.patch(&name, &PatchParams::default(), &patch).await)?;
            }
            ignore_missing(api.delete(&name, &DeleteParams::default()).await)
        }
    });
    futures::stream::iter(removals).buffer_unordered(16).try_collect::<()>().await
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

impl Broker {
    /// The names of all topics that are not Kafka's own.
    pub(crate) async fn topic_names(&self) -> BTreeSet<String> {
        let all = self.client.list_topics(REQUEST_TIMEOUT).await.expect("Kafka answers");
        all.into_iter().filter(|name| !name.starts_with("__")).collect()
    }

    /// Deletes all topics that are not Kafka's own, and all ACLs.
    async fn delete_all(&self) -> Result<()> {
        let topics: Vec<String> = self.topic_names().await.into_iter().collect();
        self.client.delete_topics(&topics, REQUEST_TIMEOUT).await?;
        for deleted in self.client.delete_acls(&[AclBindingFilter::default()], REQUEST_TIMEOUT).await? {
            deleted?;
        }
        Ok(())
    }
}

/// Kafka's id of the topic, as the status has it; empty if it has none.
pub(crate) fn topic_id(topic: &EventTopic) -> String {
    topic.status.as_ref().and_then(|status| status.topic_id.clone()).unwrap_or_default()
}

/// Asserts that the operator found no drift of the topic.
#[track_caller]
pub(crate) fn assert_no_drift(topic: &EventTopic) {
    let drift = topic.status.as_ref().and_then(|status| status.last_drift.as_ref());
    assert_eq!(drift, None, "{}", to_yaml(topic));
}
