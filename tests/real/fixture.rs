//! Fixtures on the stages that these tests share.

use ::kube::Error;
use ::kube::api::PatchParams;
use eventcenter::api::{EventTopic, KafkaCluster};
use serde_json::{Value, json};

use crate::stage;
use crate::support::{Fixture, ResourceHandle, Stage, unique, until};

impl Fixture {
    /// A namespace and its tenant on the shared stage.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(stage::shared(), name).await
    }

    /// A namespace and its tenant on a stage.
    pub(crate) async fn on(stage: Stage, name: &str) -> Self {
        let t = Self::without_tenant(stage, name).await;
        t.apply_tenant(json!({"namespaces": [t.namespace], "clusters": t.stage.clusters})).await;
        t
    }

    /// A namespace that belongs to no tenant.
    pub(crate) async fn without_tenant(stage: Stage, name: &str) -> Self {
        Self::in_namespace(stage, format!("{name}-{}", unique())).await
    }

    /// Applies the namespace's tenant and waits until it is ready.
    pub(crate) async fn apply_tenant(&self, mut spec: Value) {
        // Server-side apply removes a spec in which only an empty list is left.
        spec["description"] = json!("The tenant of a test");
        self.tenant().apply(spec).await;
        self.tenant().wait_for_condition("Ready=True").await;
    }

    /// The KafkaCluster that has the name of the namespace.
    pub(crate) fn own_cluster(&self) -> ResourceHandle<KafkaCluster> {
        self.resource(&self.namespace)
    }

    /// Applies a KafkaCluster with the name of the namespace, and makes it the only one of the tenant. Returns its name.
    pub(crate) async fn create_cluster(&self, spec: Value) -> String {
        self.own_cluster().apply(spec).await;
        self.apply_tenant(json!({"namespaces": [self.namespace], "clusters": [self.namespace]})).await;
        self.namespace.clone()
    }

    /// Deletes the KafkaCluster with the name of the namespace, so that the operator does not connect to a broker that no
    /// longer runs.
    pub(crate) async fn delete_cluster(&self) {
        self.own_cluster().delete().await;
    }

    /// Applies any object.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        self.kube.apply(object).await
    }

    /// Waits until the operator has done everything that is due: until a resync has corrected a topic that was created
    /// and changed later than everything else.
    pub(crate) async fn wait_for_resync(&self) {
        let name = format!("marker-{}", unique());
        let marker = self.topic(&name);
        marker.apply_and_wait("config: {segment.ms: 3600000}").await;
        self.stage.kafka.set(&self.kafka_name(&name), "segment.ms", "7200000").await;
        marker
            .wait_for_status("status.lastDrift is set", |topic| {
                topic.status.as_ref().is_some_and(|status| status.last_drift.is_some())
            })
            .await;
        // The reconciles that the same resync has triggered end before that of a later change.
        marker.apply_and_wait("config: {segment.ms: 1800000}").await;
    }

    /// Waits until objects that are created from now on have a later creationTimestamp: it has a resolution of one second.
    pub(crate) async fn wait_for_next_second(&self) {
        let now = async || {
            let object = self.topic(&format!("clock-{}", unique())).manifest("{}");
            let created =
                self.kube.try_apply_with(&object, &dry_run()).await.expect("the object is accepted");
            created["metadata"]["creationTimestamp"].as_str().map(ToOwned::to_owned).expect("a time")
        };
        let before = now().await;
        let later = until(async || if now().await == before { Err(before.clone()) } else { Ok(()) });
        later.await.expect("the clock runs");
    }

    /// Fails the test with the last observed state.
    pub(crate) fn fail(&self, what: &str, last: &str) -> ! {
        panic!("{what} (namespace {}). Last seen:\n{last}\n{}", self.namespace, self.stage.logs.tail())
    }

    /// Runs kubectl in the namespace. Returns its output, or its error.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.stage.kubectl().command();
        command.args(["-n", &self.namespace]).args(arguments);
        xtask::process::run(command).map_err(|error| format!("{error:#}"))
    }
}

impl ResourceHandle<EventTopic> {
    /// Asserts that the API server accepts a spec, with a dry run.
    pub(crate) async fn assert_accepted(&self, spec: &str) {
        let result = self.kube.try_apply_with(&self.manifest(spec), &dry_run()).await;
        result.unwrap_or_else(|error| panic!("{spec} is refused: {error}"));
    }

    /// Asserts that the API server refuses a spec with a message that contains the text. The webhook may receive a change of the
    /// tenant or of a topic with a delay, so this polls with dry runs first.
    pub(crate) async fn assert_rejected(&self, spec: &str, text: &str) {
        let object = self.manifest(spec);
        let refused = until(async || match self.kube.try_apply_with(&object, &dry_run()).await {
            Err(error) if error.to_string().contains(text) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("the spec is accepted".to_owned()),
        });
        // If it was never refused with that, the next call fails the test.
        drop(refused.await);
        let message = match self.kube.try_apply(&object).await {
            Err(Error::Api(status)) => status.message.clone(),
            Err(error) => panic!("{spec}: {error}"),
            Ok(_) => panic!("{spec} is accepted, but should be refused with {text}"),
        };
        assert!(
            message.contains(text),
            "{spec} should be refused with\n  {text}\nbut is refused with\n  {message}"
        );
    }
}

fn dry_run() -> PatchParams {
    PatchParams::apply("tests").force().dry_run()
}
