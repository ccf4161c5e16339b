//! One test's place in a borrowed set: a namespace with its tenant, and everything a test asks or does there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::api::{EventTopic, KafkaCluster, Tenant};
use eventcenter_kafka_admin::{
    AclBindingFilter, AdminClient, NewTopic, TopicConfigAlteration, TopicDescription,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use xtask::kubectl::NAMESPACE;

use super::own::{Loan, Own};

/// How long anything may take that is not about time itself: a loaded machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

const KAFKA: Duration = Duration::from_secs(15);

/// The KafkaCluster of every site, which is the default.
pub(crate) const CLUSTER: &str = "main";

/// One test's place.
pub(crate) struct Site {
    own: Loan,
    client: Client,
    admin: AdminClient,
    name: &'static str,
}

impl Deref for Site {
    type Target = Own;

    fn deref(&self) -> &Own {
        &self.own
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Own {
        &mut self.own
    }
}

impl Site {
    /// A place of that name, with its tenant and the default KafkaCluster, and nothing else anywhere.
    pub(crate) async fn new(name: &'static str) -> Result<Self> {
        let own = Own::borrow().await?;
        let (client, admin) = (own.client().await?, own.admin()?);
        own.clear_logs();
        let site = Self { own, client, admin, name };
        site.clean().await.context("cleaning up after another test")?;
        site.namespace(name).await?;
        site.create(
            &Api::all(site.client.clone()),
            json!({"metadata": {"name": name}, "spec": {"namespaces": [name]}}),
        )
        .await
        .map(|_: Tenant| ())?;
        site.kafka_cluster(CLUSTER, &site.bootstrap(), true).await?;
        Ok(site)
    }

    async fn clean(&self) -> Result<()> {
        self.uninstall_webhook()?;
        // Each test has a database of its own, and what is signed is of another one.
        let signed =
            ["delete", "configmap", "eventcenter-audit-checkpoints", "-n", NAMESPACE, "--ignore-not-found"];
        self.kubectl().run(&signed)?;
        self.remove_all::<EventTopic>().await?;
        self.remove_all::<Tenant>().await?;
        self.remove_all::<KafkaCluster>().await?;
        self.leases().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let topics: Vec<String> = self.kafka_topics().await.into_iter().collect();
        self.admin.delete_topics(&topics, KAFKA).await?;
        Ok(())
    }

    /// Removes all resources of a kind, those that cannot be read and those that wait for an operator too.
    async fn remove_all<K: Resource<DynamicType = ()>>(&self) -> Result<()> {
        let kind = ApiResource::erase::<K>(&());
        let all =
            Api::<DynamicObject>::all_with(self.client.clone(), &kind).list(&ListParams::default()).await?;
        let removing = all.into_iter().map(|object| {
            let api = match object.namespace() {
                Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &kind),
                None => Api::<DynamicObject>::all_with(self.client.clone(), &kind),
            };
            async move {
                if !object.finalizers().is_empty() {
                    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                    api.patch(&object.name_any(), &PatchParams::default(), &free).await?;
                }
                match api.delete(&object.name_any(), &DeleteParams::default()).await {
                    // It was being deleted already.
                    Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                    result => result.map(drop),
                }
            }
        });
        futures::stream::iter(removing).buffer_unordered(16).try_collect::<()>().await?;
        Ok(())
    }

    async fn create<K>(&self, api: &Api<K>, object: Value) -> Result<K>
    where
        K: Resource + Clone + Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
    }

    /// Makes a namespace that may be there already.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        if namespaces.get_opt(name).await?.is_none() {
            self.create(&namespaces, json!({"metadata": {"name": name}})).await?;
        }
        Ok(())
    }

    /// Declares a Kafka cluster.
    pub(crate) async fn kafka_cluster(
        &self,
        name: &str,
        bootstrap: &str,
        default: bool,
    ) -> Result<KafkaCluster> {
        let spec = json!({"bootstrapServers": [bootstrap], "default": default});
        self.create(&self.kafka_clusters(), json!({"metadata": {"name": name}, "spec": spec})).await
    }

    /// Kubernetes with all rights.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The test's EventTopics.
    pub(crate) fn topics(&self) -> Api<EventTopic> {
        Api::namespaced(self.client.clone(), self.name)
    }

    /// All Tenants.
    pub(crate) fn tenants(&self) -> Api<Tenant> {
        Api::all(self.client.clone())
    }

    /// All KafkaClusters.
    pub(crate) fn kafka_clusters(&self) -> Api<KafkaCluster> {
        Api::all(self.client.clone())
    }

    /// The Leases in the operator's namespace.
    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Declares a topic.
    pub(crate) async fn declare(&self, name: &str, spec: Value) -> Result<EventTopic> {
        self.create(&self.topics(), json!({"metadata": {"name": name}, "spec": spec})).await
    }

    /// Declares a topic that is deleted from Kafka with its resource, its finalizer written already.
    pub(crate) async fn declare_finalized(&self, name: &str) -> Result<EventTopic> {
        let metadata = json!({"name": name, "finalizers": [eventcenter::api::DELETE_FINALIZER]});
        self.create(&self.topics(), json!({"metadata": metadata, "spec": {"deletionPolicy": "Delete"}})).await
    }

    /// Changes fields of a topic's spec.
    pub(crate) async fn change(&self, name: &str, spec: Value) -> Result<EventTopic> {
        let patch = Patch::Merge(json!({"spec": spec}));
        Ok(self.topics().patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Deletes a topic's resource, and does not wait.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.topics().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Takes all ACLs away that a test before may have left.
    pub(crate) async fn forget_acls(&self) -> Result<()> {
        for answer in self.admin.delete_acls(&[AclBindingFilter::default()], KAFKA).await? {
            answer?;
        }
        Ok(())
    }

    /// The Kafka topic of a resource.
    pub(crate) fn kafka_name(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// All topics in Kafka that are not its own.
    pub(crate) async fn kafka_topics(&self) -> BTreeSet<String> {
        let all = self.admin.list_topics(KAFKA).await.expect("Kafka lists its topics");
        all.into_iter().filter(|name| !name.starts_with("__")).collect()
    }

    /// What Kafka has for a resource.
    pub(crate) async fn in_kafka(&self, name: &str) -> Option<TopicDescription> {
        let answers =
            self.admin.describe_topics(&[self.kafka_name(name)], KAFKA).await.expect("Kafka answers");
        answers.into_iter().next()?.ok()
    }

    /// What is set on a resource's topic in Kafka.
    pub(crate) async fn config(&self, name: &str) -> BTreeMap<String, String> {
        let topics = [self.kafka_name(name)];
        let answers = self.admin.describe_config_overrides(&topics, KAFKA).await.expect("Kafka answers");
        let entries = answers.into_iter().next().and_then(Result::ok).unwrap_or_default();
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    /// Somebody sets a configuration key behind the operator's back.
    pub(crate) async fn meddle(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let set = vec![(key.to_owned(), value.to_owned())];
        let alteration = TopicConfigAlteration { topic: self.kafka_name(name), set, reset: vec![] };
        for answer in self.admin.incremental_alter_configs(&[alteration], KAFKA).await? {
            answer?;
        }
        Ok(())
    }

    /// Somebody makes a topic that no resource declares.
    pub(crate) async fn make_foreign(&self, topic: &str) -> Result<()> {
        let new = NewTopic { name: topic.into(), partitions: Some(1), ..NewTopic::default() };
        for answer in self.admin.create_topics(&[new], KAFKA).await? {
            answer?;
        }
        Ok(())
    }

    /// Waits until something is so. If it does not come, says what there was last and what the operators said.
    pub(crate) async fn eventually<T, E: Debug>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Result<T, E>,
    ) -> T {
        let begin = Instant::now();
        loop {
            match look().await {
                Ok(found) => return found,
                Err(last) if begin.elapsed() >= limit => {
                    panic!("{what}: not within {limit:?}. Last: {last:#?}\n{}", self.operators_said());
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Waits until a topic looks like this.
    pub(crate) async fn topic(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        holds: impl Fn(&EventTopic) -> bool,
    ) -> EventTopic {
        self.eventually(&format!("{name} is {what}"), limit, async || {
            let topic = self.topics().get(name).await.map_err(|error| error.to_string())?;
            if holds(&topic) { Ok(topic) } else { Err(format!("{:#?}", (&topic.metadata, &topic.status))) }
        })
        .await
    }

    /// Waits until what a topic declares now is in force.
    pub(crate) async fn ready(&self, name: &str) -> EventTopic {
        self.ready_within(name, LIMIT).await
    }

    /// As [`Site::ready`], within a time.
    pub(crate) async fn ready_within(&self, name: &str, limit: Duration) -> EventTopic {
        self.topic(name, "Ready", limit, is_ready).await
    }

    /// Waits until a topic's resource is gone.
    pub(crate) async fn gone(&self, name: &str) {
        self.gone_within(name, LIMIT).await;
    }

    /// As [`Site::gone`], within a time.
    pub(crate) async fn gone_within(&self, name: &str, limit: Duration) {
        self.eventually(&format!("{name} is gone"), limit, async || {
            match self.topics().get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(topic)) => Err(format!("{:#?}", (&topic.metadata, &topic.status))),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Waits until the KafkaCluster's Ready has this reason.
    pub(crate) async fn cluster_is(&self, name: &str, reason: &str) -> KafkaCluster {
        self.eventually(&format!("KafkaCluster {name} is {reason}"), LIMIT, async || {
            let cluster = self.kafka_clusters().get(name).await.map_err(|error| error.to_string())?;
            let status = cluster.status.clone().unwrap_or_default();
            let is = status.conditions.iter().any(|ready| ready.type_ == "Ready" && ready.reason == reason);
            if is { Ok(cluster) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    /// Waits until an operator has written this to its log since it was started.
    pub(crate) async fn says(&self, operator: &xtask::operator::Operator, words: &str) {
        self.eventually(&format!("the operator says {words:?}"), LIMIT, async || {
            let output = operator.output().map_err(|error| error.to_string())?;
            if output.contains(words) { Ok(()) } else { Err("it did not".to_owned()) }
        })
        .await;
    }
}

/// Whether what a topic declares now is in force.
pub(crate) fn is_ready(topic: &EventTopic) -> bool {
    condition(topic, "Ready").is_some_and(|(status, _, _)| status == "True")
        && topic.status.as_ref().and_then(|status| status.observed_generation) == topic.metadata.generation
}

/// Status, reason and message of a topic's condition.
pub(crate) fn condition(topic: &EventTopic, type_: &str) -> Option<(String, String, String)> {
    let conditions = &topic.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// The reason of a topic's Ready.
pub(crate) fn reason(topic: &EventTopic) -> String {
    condition(topic, "Ready").map(|(_, reason, _)| reason).unwrap_or_default()
}

/// Kafka's identifier of a topic, as its status tells it.
pub(crate) fn id(topic: &EventTopic) -> String {
    topic.status.as_ref().and_then(|status| status.topic_id.clone()).unwrap_or_default()
}
