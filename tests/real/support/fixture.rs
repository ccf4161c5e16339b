//! A namespace with its tenant, and short words for what people do there.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::kube::api::PatchParams;
use eventcenter::api::EventTopic;
use serde_json::{Value, json};

use super::kube::Place;
use super::topic::{has, is_observed, print};
use super::{KafkaTopic, Kube, Stage, unique, until, yaml};

/// A namespace of its own, whose tenant has a prefix of its own.
pub(crate) struct Fixture {
    /// Where it is.
    pub(crate) stage: Stage,
    /// Kubernetes as its administrator.
    pub(crate) kube: Kube,
    /// The namespace; its tenant has the same name.
    pub(crate) namespace: String,
    /// How the names of the tenant's Kafka topics begin.
    pub(crate) prefix: String,
    markers: AtomicUsize,
}

impl Fixture {
    /// A namespace and its tenant on the shared stage.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(Stage::shared(), name).await
    }

    /// A namespace and its tenant on a stage.
    pub(crate) async fn on(stage: Stage, name: &str) -> Self {
        let t = Self::without_tenant(stage, name).await;
        t.tenant(json!({"namespaces": [t.namespace], "clusters": t.stage.clusters})).await;
        t
    }

    /// A namespace that belongs to nobody.
    pub(crate) async fn without_tenant(stage: Stage, name: &str) -> Self {
        let kube = Kube::connect(&stage.kubeconfig).await;
        let namespace = format!("{name}-{}", unique());
        kube.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        let prefix = format!("{namespace}.");
        Self { stage, kube, namespace, prefix, markers: AtomicUsize::default() }
    }

    /// Declares the namespace's tenant and waits until it is in force.
    pub(crate) async fn tenant(&self, mut spec: Value) {
        // Server-side apply takes a spec away altogether that has nothing left but an empty list.
        spec["description"] = json!("The tenant of a test");
        self.apply(&cluster_scoped("Tenant", &self.namespace, spec)).await;
        self.object_is("Tenant", &self.namespace, "Ready=True").await;
    }

    /// Declares a KafkaCluster of this test's own, named as the namespace, and gives the tenant nothing else to use.
    pub(crate) async fn own_cluster(&self, spec: Value) -> String {
        self.apply(&cluster_scoped("KafkaCluster", &self.namespace, spec)).await;
        self.tenant(json!({"namespaces": [self.namespace], "clusters": [self.namespace]})).await;
        self.namespace.clone()
    }

    /// Takes the KafkaCluster of this test's own away, so that nobody asks after a broker that has gone.
    pub(crate) async fn drop_cluster(&self) {
        self.kube.delete(&Place::ours("KafkaCluster", &self.namespace)).await;
    }

    /// Declares any object.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        self.kube.apply(object).await
    }

    /// An EventTopic of this namespace, from the YAML of its spec.
    pub(crate) fn manifest(&self, name: &str, spec: &str) -> Value {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1",
            "kind": "EventTopic",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": yaml(spec),
        })
    }

    /// Declares an EventTopic by the YAML of its spec, which replaces what this declared before.
    pub(crate) async fn declare(&self, name: &str, spec: &str) -> EventTopic {
        let applied = self.apply(&self.manifest(name, spec)).await;
        serde_json::from_value(applied).expect("an EventTopic")
    }

    /// Declares an EventTopic and waits until Kafka has it.
    pub(crate) async fn made(&self, name: &str, spec: &str) -> EventTopic {
        self.declare(name, spec).await;
        self.ready(name).await
    }

    /// The API server accepts a spec. Nothing is stored.
    pub(crate) async fn accepts(&self, name: &str, spec: &str) {
        let parameters = PatchParams::apply("tests").force().dry_run();
        let result = self.kube.try_apply_with(&self.manifest(name, spec), &parameters).await;
        result.unwrap_or_else(|error| panic!("{spec} is refused: {error}"));
    }

    /// The API server refuses a spec and says this. What a tenant was given a moment ago the webhook may not have heard of:
    /// it is asked without storing anything until it has.
    pub(crate) async fn rejects(&self, name: &str, spec: &str, why: &str) {
        let (object, parameters) = (self.manifest(name, spec), PatchParams::apply("tests").force().dry_run());
        let refused = until(async || match self.kube.try_apply_with(&object, &parameters).await {
            Err(_) => Ok(()),
            Ok(_) => Err("it is accepted".to_owned()),
        });
        // Whatever comes of it is told by what follows.
        drop(refused.await);
        let error = match self.kube.try_apply(&self.manifest(name, spec)).await {
            Err(::kube::Error::Api(status)) => status.message.clone(),
            Err(error) => panic!("{spec}: {error}"),
            Ok(_) => panic!("{spec} is accepted, which should be refused because {why}"),
        };
        assert!(error.contains(why), "{spec} should be refused because\n  {why}\nbut\n  {error}");
    }

    /// Sets an annotation of an EventTopic, or removes it.
    pub(crate) async fn annotate(&self, name: &str, key: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {format!("eventcenter.io/{key}"): value}}});
        self.kube.merge(&self.place(name), &patch).await;
    }

    /// Asks for an EventTopic to be deleted.
    pub(crate) async fn delete(&self, name: &str) {
        self.kube.delete(&self.place(name)).await;
    }

    /// Asks for an EventTopic to be deleted and waits until it is gone.
    pub(crate) async fn remove(&self, name: &str) {
        self.delete(name).await;
        self.gone(name).await;
    }

    /// Waits until an EventTopic is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let looked = until(async || match self.kube.get::<EventTopic>(&self.place(name)).await {
            None => Ok(()),
            Some(topic) => Err(print(&topic)),
        });
        if let Err(seen) = looked.await {
            self.fail(&format!("EventTopic {name} is not gone"), &seen);
        }
    }

    /// Where an EventTopic is.
    pub(crate) fn place(&self, name: &str) -> Place {
        Place::topic(&self.namespace, name)
    }

    /// An EventTopic as it is now.
    pub(crate) async fn get(&self, name: &str) -> EventTopic {
        self.kube.get(&self.place(name)).await.unwrap_or_else(|| panic!("there is no EventTopic {name}"))
    }

    /// Waits until Kafka has what an EventTopic declares now. A topic that was made a moment ago is looked at once more for
    /// its identifier; without waiting for that, a test could change it before the operator has seen it.
    pub(crate) async fn ready(&self, name: &str) -> EventTopic {
        self.wait(name, "Ready", |topic| {
            has(topic, "Ready=True Available")
                && topic.status.as_ref().is_some_and(|status| status.topic_id.is_some())
        })
        .await
    }

    /// Waits until a condition is as described (`Ready=False NotSupported`) and speaks of the declaration as it is now.
    pub(crate) async fn condition(&self, name: &str, description: &str) -> EventTopic {
        self.wait(name, description, |topic| has(topic, description)).await
    }

    /// Waits until an EventTopic, its status up to date, is as wanted.
    pub(crate) async fn wait(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&EventTopic) -> bool,
    ) -> EventTopic {
        let looked = until(async || {
            let topic = self.get(name).await;
            if is_observed(&topic) && is_so(&topic) { Ok(topic) } else { Err(print(&topic)) }
        });
        match looked.await {
            Ok(topic) => topic,
            Err(seen) => self.fail(&format!("EventTopic {name} is not {what}"), &seen),
        }
    }

    /// Waits until a condition of a Tenant or KafkaCluster is as described and speaks of the declaration as it is now.
    /// Returns the object.
    pub(crate) async fn object_is(&self, kind: &str, name: &str, description: &str) -> Value {
        let looked = until(async || {
            let object: Value = self.kube.get(&Place::ours(kind, name)).await.unwrap_or_default();
            let observed =
                object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
            // The same words for all kinds: only the conditions are read.
            let conditions = json!({"spec": {}, "metadata": {}, "status": {"conditions": object.pointer("/status/conditions")}});
            let is_so =
                serde_json::from_value(conditions).is_ok_and(|read: EventTopic| has(&read, description));
            if observed && is_so { Ok(object) } else { Err(print(&object)) }
        });
        match looked.await {
            Ok(object) => object,
            Err(seen) => self.fail(&format!("{kind} {name} is not {description}"), &seen),
        }
    }

    /// The name in Kafka of an EventTopic that does not say it.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What Kafka has for an EventTopic that does not name it.
    pub(crate) async fn kafka_topic(&self, name: &str) -> Option<KafkaTopic> {
        self.stage.kafka.topic(&self.name(name)).await
    }

    /// Waits until Kafka's topic is as wanted.
    pub(crate) async fn in_kafka(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&KafkaTopic) -> bool,
    ) -> KafkaTopic {
        let name = self.name(name);
        let topic = self.stage.kafka.wait(&name, what, |topic| topic.is_some_and(&is_so)).await;
        topic.expect("it is so only if it is there")
    }

    /// Waits until Kafka shows an EventTopic's topic no longer: brokers do for a moment after it was deleted.
    pub(crate) async fn deleted(&self, name: &str) {
        self.stage.kafka.wait(&self.name(name), "deleted", |topic| topic.is_none()).await;
    }

    /// Waits until whatever was going to happen to what is as it is now has happened: the resync that puts right a topic
    /// made later and changed later has looked at everything before.
    pub(crate) async fn settled(&self) {
        let marker = format!("marker-{}", self.markers.fetch_add(1, Ordering::Relaxed));
        self.made(&marker, "config: {segment.ms: 3600000}").await;
        self.stage.kafka.set(&self.name(&marker), "segment.ms", "7200000").await;
        self.wait(&marker, "put right", |topic| {
            topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
        })
        .await;
        // What was woken with the marker is done when another change, asked for later, is.
        self.made(&marker, "config: {segment.ms: 1800000}").await;
    }

    /// Waits until what is made from now on is younger than what was made before: Kubernetes counts in seconds.
    pub(crate) async fn younger(&self) {
        let now = async || {
            let parameters = PatchParams::apply("tests").force().dry_run();
            let object = self.manifest(&format!("clock-{}", unique()), "{}");
            let made = self.kube.try_apply_with(&object, &parameters).await.expect("it is accepted");
            made["metadata"]["creationTimestamp"].as_str().map(ToOwned::to_owned).expect("a time")
        };
        let before = now().await;
        let later = until(async || if now().await == before { Err(before.clone()) } else { Ok(()) });
        later.await.expect("time goes on");
    }

    /// Waits for an Event of an EventTopic with this reason that says this.
    pub(crate) async fn event(&self, name: &str, reason: &str, note: &str) {
        self.event_in(&self.namespace, name, reason, note).await;
    }

    /// Waits for an Event of a Tenant or KafkaCluster: Kubernetes keeps those of what has no namespace in `default`.
    pub(crate) async fn cluster_event(&self, name: &str, reason: &str, note: &str) {
        self.event_in("default", name, reason, note).await;
    }

    async fn event_in(&self, namespace: &str, name: &str, reason: &str, note: &str) {
        let looked = until(async || {
            let events = self.events_in(namespace, name).await;
            let found = events.iter().any(|(r, n)| r == reason && n.contains(note));
            if found { Ok(()) } else { Err(format!("{events:#?}")) }
        });
        if let Err(seen) = looked.await {
            self.fail(&format!("there is no Event {reason} of {name} with {note:?}"), &seen);
        }
    }

    /// The reasons and notes of an EventTopic's Events.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String)> {
        self.events_in(&self.namespace, name).await
    }

    async fn events_in(&self, namespace: &str, name: &str) -> Vec<(String, String)> {
        let url = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let request = ::kube::core::Request::new(url).list(&Default::default()).expect("a request");
        let all: Value = self.kube.client().request(request).await.expect("the API server answers");
        let text = |event: &Value, pointer| {
            event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let all = all["items"].as_array().expect("a list");
        all.iter()
            .filter(|event| text(event, "/regarding/name") == name)
            .map(|event| (text(event, "/reason"), text(event, "/note")))
            .collect()
    }

    /// Runs kubectl in the namespace: what it printed, or its complaint.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String, String> {
        let mut command = self.stage.kubectl().command();
        command.args(["-n", &self.namespace]).args(words);
        xtask::process::run(command).map_err(|error| format!("{error:#}"))
    }

    /// Fails with what was seen and what the operator says.
    pub(crate) fn fail(&self, what: &str, seen: &str) -> ! {
        panic!("{what} (namespace {}). Last seen:\n{seen}\n{}", self.namespace, self.stage.log_tail())
    }
}

/// A Tenant or KafkaCluster.
pub(crate) fn cluster_scoped(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "eventcenter.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}
