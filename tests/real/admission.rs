//! Each rule of a tenant is enforced twice, with the same message: by the webhook before a resource is stored, and by the operator
//! for resources that the webhook did not review.

use crate::stage;
use kube::api::PatchParams;
use serde_json::{Value, json};

use crate::support::{Fixture, ObjectPath, cluster_scoped, message, until, yaml};

/// A violation of a rule.
struct Case {
    /// The spec of the tenant, without its namespaces.
    tenant: &'static str,
    /// The name and spec of an EventTopic that must exist before, if any.
    before: Option<(&'static str, &'static str)>,
    /// The name and spec of the EventTopic that violates the rule.
    topic: (&'static str, &'static str),
    /// The reason of the refusal.
    reason: &'static str,
    /// The message of the refusal. `NS` is the namespace, which is also the name of the tenant.
    message: &'static str,
}

const CASES: &[Case] = &[
    Case {
        tenant: "namespaces: []",
        before: None,
        topic: ("orders", "{}"),
        reason: "TenantNotFound",
        message: "namespace NS belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant \
                that is Ready",
    },
    Case {
        tenant: "suspended: true",
        before: None,
        topic: ("orders", "partitions: 2"),
        reason: "TenantSuspended",
        message: "tenant NS is suspended, so its resources cannot be created or changed: ask the platform's administrator to set \
                spec.suspended: false in the Tenant",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: ("orders", "topicName: other.orders"),
        reason: "InvalidResource",
        message: "spec.topicName: other.orders does not begin with NS., the prefix of tenant NS: write NS.other.orders, or leave \
                the field out",
    },
    Case {
        tenant: "clusters: [nowhere]",
        before: None,
        topic: ("orders", "cluster: nowhere"),
        reason: "ClusterNotFound",
        message: "spec.cluster: there is no KafkaCluster nowhere: correct the name, or create the KafkaCluster",
    },
    Case {
        tenant: "clusters: [nowhere]",
        before: None,
        topic: ("orders", "cluster: main"),
        reason: "ClusterNotAllowed",
        message: "spec.cluster: tenant NS may not use cluster main: name another one, or ask the platform's administrator to add \
                it to spec.clusters of the Tenant",
    },
    Case {
        tenant: "{}",
        before: Some(("a-first", "topicName: NS.orders")),
        topic: ("orders", "{}"),
        reason: "ResourceConflict",
        message: "Kafka topic NS.orders in cluster main belongs to EventTopic NS/a-first, which is older: delete one of the two, or \
                set another spec.topicName in a new EventTopic",
    },
    Case {
        tenant: "{}",
        before: Some(("a-first", "eventTypes: [{name: Order.Paid.v1}]")),
        topic: ("orders", "eventTypes: [{name: Order.Paid.v1}]"),
        reason: "ResourceConflict",
        message: "spec.eventTypes: Order.Paid.v1 is registered by EventTopic NS/a-first, which is older: a type has one topic within \
                a tenant, so remove it from one of the two",
    },
    Case {
        tenant: "naming: {conventions: [Service]}",
        before: None,
        topic: ("orders", "eventTypes: [{name: Order.Paid.v1}]"),
        reason: "InvalidResource",
        message: "spec.eventTypes: Order.Paid.v1 follows the convention Entity, and the tenant's naming.conventions allow Service \
                ({Service}.{Entity}.{Action}.v{N}): rename it",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: ("orders", "eventTypes: [{name: Order.Paid}]"),
        reason: "InvalidResource",
        message: "spec.eventTypes: event type `Order.Paid` does not end in a version from `.v1` to `.v4294967295`; end it in `.v1`",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: ("orders", "eventTypes: [{name: order.paid}, {name: order.paid}]"),
        reason: "InvalidResource",
        message: "spec.eventTypes: order.paid version 1 is listed twice: remove one of them",
    },
    Case {
        tenant: "quotas: {topics: 1}",
        before: Some(("a-first", "{}")),
        topic: ("orders", "{}"),
        reason: "TenantQuotaExceeded",
        message: "metadata: tenant NS may have 1 topics (quotas.topics), 1 are used and this topic requests 1 more: delete one \
                that is no longer needed, or ask the platform's administrator for a larger quota",
    },
    Case {
        tenant: "quotas: {partitions: 5}",
        before: Some(("a-first", "partitions: 3")),
        topic: ("orders", "partitions: 3"),
        reason: "TenantQuotaExceeded",
        message: "spec.partitions: tenant NS may have 5 partitions (quotas.partitions), 3 are used and this topic requests 3 \
                more: request at most 2 more, or ask the platform's administrator for a larger quota",
    },
    Case {
        tenant: "quotas: {retentionSize: 1Ki}",
        before: None,
        topic: ("orders", "{partitions: 2, retention: {size: '1000'}}"),
        reason: "TenantQuotaExceeded",
        message: "spec.retention.size: tenant NS may have 1024 bytes (quotas.retentionSize), 0 are used and this topic requests \
                2000 more: request at most 1024 more, or ask the platform's administrator for a larger quota",
    },
    Case {
        tenant: "quotas: {retentionTime: 7d}",
        before: None,
        topic: ("orders", "retention: {time: 8d}"),
        reason: "TenantQuotaExceeded",
        message: "spec.retention.time: the tenant's quotas.retentionTime is 7d: keep records for at most 7d, or ask the platform's \
                administrator for more",
    },
    Case {
        tenant: "quotas: {messageSize: 1Ki}",
        before: None,
        topic: ("orders", "config: {max.message.bytes: 1025}"),
        reason: "TenantQuotaExceeded",
        message: "spec.config: max.message.bytes: the tenant's quotas.messageSize is 1Ki: allow messages of at most 1024 bytes, or ask \
                the platform's administrator for more",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: ("orders", "access: [{principal: 'User:alice', operations: [Read], groups: [other.group]}]"),
        reason: "InvalidResource",
        message: "spec.access: group other.group",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: ("orders", "retention: {time: 999999999999999999w}"),
        reason: "InvalidResource",
        message: "spec.retention.time: \"999999999999999999w\" is not a time that Kafka can keep: write a number and its unit (ms, s, \
                m, h, d or w), such as 7d, or unlimited",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: (
            "orders",
            "eventTypes: [{name: Order.Paid.v1, schema: {$ref: 'https://example.com/a.json'}}]",
        ),
        reason: "SchemaInvalid",
        message: "spec.eventTypes: Order.Paid.v1: ",
    },
    Case {
        tenant: "{}",
        before: None,
        topic: (
            "orders",
            "eventTypes: [{name: Order.Paid.v1, schemaFrom: {configMapKeyRef: {name: none, key: a}}}]",
        ),
        reason: "SchemaNotFound",
        message: "spec.eventTypes: Order.Paid.v1: schemaFrom: there is no key a in a ConfigMap none of this namespace with the label \
                eventcenter.io/schema: \"true\": create it, or correct the reference",
    },
];

impl Case {
    /// Applies the tenant and the topic that must exist before.
    async fn set_up(&self, t: &Fixture) {
        if let Some((name, spec)) = self.before {
            t.topic(name).apply_and_wait(&spec.replace("NS", &t.namespace)).await;
            t.wait_for_next_second().await;
        }
        let mut spec = yaml(self.tenant);
        if spec.get("namespaces").is_none() {
            spec["namespaces"] = json!([t.namespace]);
        }
        t.apply_tenant(spec).await;
    }

    fn spec(&self, t: &Fixture) -> String {
        self.topic.1.replace("NS", &t.namespace)
    }

    fn message(&self, t: &Fixture) -> String {
        self.message.replace("NS", &t.namespace)
    }
}

#[tokio::test]
async fn the_operator_refuses_what_the_webhook_did_not_review() {
    for case in CASES {
        let t = Fixture::new("held").await;
        case.set_up(&t).await;
        t.topic(case.topic.0).apply(&case.spec(&t)).await;
        let held = t.topic(case.topic.0).wait_for_condition(&format!("Ready=False {}", case.reason)).await;
        let reported = message(&held, "Ready");
        assert!(reported.starts_with(&case.message(&t)), "{}: {reported}", case.topic.1);
    }
}

/// The webhook refuses the topic for each client and each verb.
#[tokio::test]
async fn the_webhook_refuses_before_anything_is_stored() {
    for case in CASES {
        let t = Fixture::on(stage::with_webhook(), "refused").await;
        case.set_up(&t).await;
        let (name, spec, message) =
            (case.topic.0, case.spec(&t), format!("{}: {}", case.reason, case.message(&t)));
        t.topic(name).assert_rejected(&spec, &message).await;
        let object = t.topic(name).manifest(&spec);
        let dry_run = t.kube.try_apply_with(&object, &PatchParams::apply("tests").force().dry_run()).await;
        let error = dry_run.expect_err("a dry run is refused with the same error").to_string();
        assert!(error.contains(&message), "{error}");
        for verb in [&["apply"][..], &["apply", "--server-side"], &["create"], &["apply", "--dry-run=server"]]
        {
            let error = kubectl(&t, verb, &object).expect_err("the webhook refuses the request");
            assert!(error.contains(&message), "kubectl {verb:?}:\n{error}");
        }
        assert!(t.kube.get::<Value>(t.topic(name).path()).await.is_none(), "nothing is stored");
    }
}

/// A change of a valid topic to one that violates a rule.
#[tokio::test]
async fn the_webhook_refuses_a_change_like_a_creation() {
    for case in CASES.iter().filter(|case| is_violated_by_changes(case)) {
        let t = Fixture::on(stage::with_webhook(), "changed").await;
        let (name, message) = (case.topic.0, format!("{}: {}", case.reason, case.message(&t)));
        t.topic(name).apply_and_wait("description: good").await;
        case.set_up(&t).await;
        let object = t.topic(name).manifest(&case.spec(&t));
        t.topic(name).assert_rejected(&case.spec(&t), &message).await;
        let stored: Value = t.kube.get(t.topic(name).path()).await.expect("the topic exists");
        let mut replaced = object.clone();
        replaced["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
        for (verb, object) in [(&["apply"][..], &object), (&["replace"], &replaced)] {
            let error = kubectl(&t, verb, object).expect_err("the webhook refuses the request");
            assert!(error.contains(&message), "kubectl {verb:?}:\n{error}");
        }
        assert_eq!(t.topic(name).get().await.spec.description.as_deref(), Some("good"), "nothing is stored");
        // Metadata, to which no rule applies, can still be changed.
        t.kube.merge(t.topic(name).path(), &json!({"metadata": {"labels": {"team": "a"}}})).await;
    }
}

#[tokio::test]
async fn a_change_is_admitted_against_the_current_usage() {
    let t = Fixture::on(stage::with_webhook(), "grown").await;
    t.topic("orders").apply_and_wait("partitions: 3").await;
    t.apply_tenant(json!({"namespaces": [t.namespace], "quotas": {"partitions": 5}})).await;
    t.topic("orders")
        .assert_rejected("partitions: 6", "3 are used and this topic requests 3 more: request at most 2 more")
        .await;
    t.topic("orders").apply_and_wait("partitions: 5").await;
}

/// Whether a change of an existing topic can violate the rule: its name and cluster are immutable, and a change does not add a
/// topic.
fn is_violated_by_changes(case: &Case) -> bool {
    !["topicName", "cluster:"].iter().any(|field| case.topic.1.contains(field))
        && !case.tenant.contains("topics:")
        // The usage includes the topic itself: `a_change_is_admitted_against_the_current_usage`.
        && !case.tenant.contains("partitions:")
        && !case.message.starts_with("Kafka topic")
        && case.tenant != "namespaces: []"
}

/// Runs kubectl with an object on its standard input.
fn kubectl(t: &Fixture, verb: &[&str], object: &Value) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), object.to_string()).expect("the file is written");
    let path = file.path().display().to_string();
    let arguments: Vec<&str> = verb.iter().copied().chain(["-f", &path]).collect();
    t.kubectl(&arguments)
}

#[tokio::test]
async fn risky_settings_get_warnings() {
    let t = Fixture::on(stage::with_webhook(), "warned").await;
    let object = t
        .topic("orders")
        .manifest("{replicas: 1, retention: {time: unlimited}, eventTypes: [{name: Order.Create.v1}]}");
    let output = warnings(&t, &object);
    for expected in [
        "Warning: spec.retention.time: records are kept for more than a year",
        "Warning: spec.replicas: with one replica, data is lost with its broker",
        "Warning: spec.owner: the topic has no owner",
        "Warning: spec.eventTypes: Order.Create.v1 has no schema, so its events are not checked",
        "Warning: spec.eventTypes: Order.Create.v1: name events in the past tense, such as Created or Paid",
    ] {
        assert!(output.contains(expected), "{expected} in\n{output}");
    }
    t.topic("orders").wait_until_ready().await;
    let more = t.topic("orders").manifest("{partitions: 2, owner: {team: a}, replicas: 1}");
    let output = warnings(&t, &more);
    assert!(output.contains("Warning: spec.partitions: 1 -> 2 sends keys to other partitions"), "{output}");
}

/// Applies an object with kubectl. Returns its standard error, which contains the warnings.
fn warnings(t: &Fixture, object: &Value) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), object.to_string()).expect("the file is written");
    let mut command = t.stage.kubectl().command();
    command.args(["-n", &t.namespace, "apply", "-f"]).arg(file.path());
    let output = command.output().expect("kubectl runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Deletes an object that is in use, and returns the refusal. The webhook may receive its users with a delay, so this polls with
/// dry runs first.
async fn refused_deletion(t: &Fixture, kind: &str, name: &str) -> String {
    let delete = |more: &str| t.kubectl(&["delete", kind, name, "--wait=false", more]);
    let is_refused = until(async || match delete("--dry-run=server") {
        Err(_) => Ok(()),
        Ok(output) => Err(output),
    });
    is_refused.await.expect("the webhook refuses the request");
    delete("--dry-run=none").expect_err("the webhook refuses the request")
}

#[tokio::test]
async fn a_tenant_with_topics_cannot_be_deleted() {
    let t = Fixture::on(stage::with_webhook(), "needed").await;
    t.topic("orders").apply_and_wait("{}").await;
    let error = refused_deletion(&t, "tenant", &t.namespace).await;
    let message = format!(
        "ResourceInUse: tenant {ns} still has EventTopics: {ns}/orders. Delete them first, or give their namespaces to another \
         tenant",
        ns = t.namespace
    );
    assert!(error.contains(&message), "{error}");
    t.topic("orders").delete_and_wait().await;
    let deleted = until(async || t.kubectl(&["delete", "tenant", &t.namespace, "--wait=false"]));
    deleted.await.expect("no topic uses it any more");
}

#[tokio::test]
async fn conflicting_tenants_are_refused() {
    let t = Fixture::on(stage::with_webhook(), "dispute").await;
    let rival = |spec: Value| cluster_scoped("Tenant", &format!("{}-rival", t.namespace), spec);
    for (spec, message) in [
        (json!({"namespaces": [t.namespace]}), format!("{} belongs to tenant {}", t.namespace, t.namespace)),
        (json!({"topicPrefix": format!("{}.eu.", t.namespace)}), "spec.topicPrefix: ".to_owned()),
    ] {
        let error =
            t.kube.try_apply(&rival(spec)).await.expect_err("the webhook refuses the request").to_string();
        assert!(error.contains(&message), "{error}");
    }
}

#[tokio::test]
async fn a_cluster_with_topics_cannot_be_deleted() {
    let t = Fixture::on(stage::with_webhook(), "needed").await;
    let cluster = t.create_cluster(json!({"bootstrapServers": [t.stage.kafka.bootstrap()]})).await;
    t.topic("orders").apply_and_wait(&format!("cluster: {cluster}")).await;
    let error = refused_deletion(&t, "kafkacluster", &cluster).await;
    assert!(
        error.contains(&format!("EventTopics live in KafkaCluster {cluster}: {}/orders", t.namespace)),
        "{error}"
    );
    t.topic("orders").delete_and_wait().await;
    let deleted = until(async || t.kubectl(&["delete", "kafkacluster", &cluster, "--wait=false"]));
    deleted.await.expect("no topic uses it any more");
}

/// Topics applied together with their tenant are accepted: the webhook waits for the tenant.
#[tokio::test]
async fn a_tenant_and_its_topics_are_applied_together() {
    for round in 0..10 {
        let t = Fixture::without_tenant(stage::with_webhook(), "together").await;
        let namespaces = [t.namespace.clone()];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            cluster_scoped("Tenant", &t.namespace, json!({"namespaces": namespaces, "description": "new"})),
            t.topic("orders").manifest("{owner: {team: a}}"),
        ]});
        kubectl(&t, &["apply"], &list).unwrap_or_else(|error| panic!("round {round}: {error}"));
        t.topic("orders").wait_until_ready().await;
    }
}

/// Labels and annotations, which users of a tenant can write, do not assign a namespace to a tenant.
#[tokio::test]
async fn a_label_does_not_change_the_tenant_of_a_namespace() {
    let (t, other) = (
        Fixture::on(stage::with_webhook(), "moved").await,
        Fixture::without_tenant(stage::with_webhook(), "moved").await,
    );
    let metadata = json!({"labels": {"eventcenter.io/tenant": t.namespace}, "annotations": {"eventcenter.io/tenant": t.namespace}});
    let namespace = ObjectPath::of(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other.namespace}}),
    );
    other.kube.merge(&namespace, &json!({"metadata": metadata})).await;
    let mut object = other.topic("orders").manifest(&format!("topicName: {}.orders", t.namespace));
    object["metadata"]["labels"] = metadata["labels"].clone();
    object["metadata"]["annotations"] = metadata["annotations"].clone();
    let error = other.kube.try_apply(&object).await.expect_err("the webhook refuses the request").to_string();
    assert!(error.contains("TenantNotFound"), "{error}");
}

/// The policies of the API server make `status.topicName` immutable, except that an unmanaged topic loses it.
#[tokio::test]
async fn a_topic_that_is_managed_again_is_admitted_again() {
    let t = Fixture::on(stage::with_webhook(), "released").await;
    t.topic("orders").apply_and_wait("{}").await;
    t.topic("orders").annotate("managed", Some("false")).await;
    let released = t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    assert_eq!(released.status.expect("a status").topic_name, None);
    t.topic("orders").annotate("managed", None).await;
    t.topic("orders").wait_until_ready().await;
}
