//! Schemas without the webhook: they are registered and compared, and incompatible ones are refused.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::support::{Fixture, has_condition, message};

/// The numbers of the registered revisions of a topic, oldest first.
async fn revisions(t: &Fixture, name: &str) -> Vec<i64> {
    let uid = t.topic(name).get().await.metadata.uid.expect("a uid");
    let api = Api::<ControllerRevision>::namespaced(t.kube.client(), &t.namespace);
    let of_topic = ListParams::default().labels(&format!("{}={uid}", eventcenter::api::REVISION_LABEL));
    let mut numbers: Vec<i64> =
        api.list(&of_topic).await.expect("a list").items.iter().map(|revision| revision.revision).collect();
    numbers.sort_unstable();
    numbers
}

fn spec_with(schema: &str) -> String {
    format!("eventTypes: [{{name: Order.Created.v1, schema: {schema}}}]")
}

const FIRST: &str = "{type: object, properties: {id: {type: string}}, required: [id]}";
const MORE: &str = "{type: object, properties: {id: {type: string}, note: {type: string}}, required: [id]}";
const BROKEN: &str =
    "{type: object, properties: {id: {type: string}, note: {type: string}}, required: [id, note]}";

#[tokio::test]
async fn compatible_revisions_are_registered() {
    let t = Fixture::new("schemas").await;
    let topic = t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
    assert!(has_condition(&topic, "SchemaCompatible=True Available"), "{topic:?}");
    let registered = topic.status.expect("a status").event_types;
    assert_eq!(
        (registered[0].name.as_str(), registered[0].version, registered[0].revision),
        ("Order.Created.v1", 1, 1)
    );

    let topic = t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
    assert_eq!(topic.status.expect("a status").event_types[0].revision, 2);
    assert_eq!(revisions(&t, "orders").await, [1, 2]);

    // Another order of the same fields is the same schema.
    let reordered = "{required: [id], properties: {note: {type: string}, id: {type: string}}, type: object}";
    t.topic("orders").apply_and_wait(&spec_with(reordered)).await;
    assert_eq!(revisions(&t, "orders").await, [1, 2]);
}

#[tokio::test]
async fn an_incompatible_revision_is_held_and_other_changes_are_applied() {
    let t = Fixture::new("schemas").await;
    t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
    t.topic("orders").apply(&format!("{{partitions: 2, {}}}", spec_with(BROKEN))).await;
    let held = t.topic("orders").wait_for_condition("Ready=False SchemaIncompatible").await;
    assert!(
        has_condition(&held, "Stalled=True SchemaIncompatible")
            && has_condition(&held, "SchemaCompatible=False SchemaIncompatible")
    );
    let reported = message(&held, "SchemaCompatible");
    assert!(
        reported.starts_with(
            "spec.eventTypes: the schema of Order.Created.v1 is not compatible with the registered revisions:"
        ),
        "{reported}"
    );
    assert_eq!(revisions(&t, "orders").await, [1]);
    t.wait_for_kafka_topic("orders", "2 partitions", |topic| topic.partitions == 2).await;

    // Removing the type and adding it again does not bypass the check.
    t.topic("orders").apply_and_wait("partitions: 2").await;
    t.topic("orders").apply(&format!("{{partitions: 2, {}}}", spec_with(BROKEN))).await;
    t.topic("orders").wait_for_condition("SchemaCompatible=False SchemaIncompatible").await;

    // A new major version is registered beside the old one.
    let both = format!(
        "{{partitions: 2, eventTypes: [{{name: Order.Created.v1, schema: {FIRST}}}, {{name: Order.Created.v2, schema: {BROKEN}}}]}}"
    );
    t.topic("orders").apply_and_wait(&both).await;
    assert_eq!(revisions(&t, "orders").await, [1, 1]);
}

#[tokio::test]
async fn an_invalid_schema_is_held() {
    let t = Fixture::new("schemas").await;
    t.topic("orders").apply(&spec_with("{type: thing}")).await;
    t.topic("orders").wait_for_condition("Ready=False SchemaInvalid").await;
    t.topic("orders").apply(&spec_with("{$ref: 'https://example.com/schema.json'}")).await;
    let held = t.topic("orders").wait_for_condition("SchemaCompatible=False SchemaInvalid").await;
    assert!(message(&held, "Ready").contains("$ref"), "{held:?}");
    t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
}

#[tokio::test]
async fn compatibility_modes_are_enforced() {
    let t = Fixture::new("schemas").await;
    let spec =
        |mode: &str, schema: &str| format!("{{compatibility: {{mode: {mode}}}, {}}}", spec_with(schema));
    t.topic("orders").apply_and_wait(&spec("NONE", FIRST)).await;
    t.topic("orders").apply_and_wait(&spec("NONE", BROKEN)).await;
    t.topic("orders").apply_and_wait(&spec("BACKWARD", MORE)).await;
    t.topic("orders").apply(&spec("BACKWARD", BROKEN)).await;
    t.topic("orders").wait_for_condition("SchemaCompatible=False SchemaIncompatible").await;
}

/// A ConfigMap of the fixture with a schema under `order.json`.
fn config_map(t: &Fixture, label: Value, schema: &str) -> Value {
    let schema: Value = crate::support::yaml(schema);
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "schemas", "namespace": t.namespace, "labels": {"eventcenter.io/schema": label}},
        "data": {"order.json": schema.to_string()},
    })
}

const FROM: &str =
    "eventTypes: [{name: Order.Created.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: order.json}}}]";

#[tokio::test]
async fn a_changed_config_map_changes_the_topic() {
    let t = Fixture::new("schemas").await;
    t.topic("orders").apply(FROM).await;
    let waiting = t.topic("orders").wait_for_condition("Ready=False SchemaNotFound").await;
    assert!(has_condition(&waiting, "Reconciling=True SchemaNotFound"), "{waiting:?}");
    t.apply(&config_map(&t, json!("true"), FIRST)).await;
    t.topic("orders").wait_until_ready().await;
    t.apply(&config_map(&t, json!("true"), MORE)).await;
    t.topic("orders")
        .wait_for_status("revision 2 is registered", |topic| {
            topic.status.as_ref().is_some_and(|status| {
                status.event_types.first().is_some_and(|event_type| event_type.revision == 2)
            })
        })
        .await;
    t.apply(&config_map(&t, json!("true"), BROKEN)).await;
    t.topic("orders").wait_for_condition("SchemaCompatible=False SchemaIncompatible").await;
    t.apply(&config_map(&t, json!("true"), MORE)).await;
    t.topic("orders").wait_for_condition("SchemaCompatible=True").await;
}

/// The operator may read every ConfigMap. A user who may only write EventTopics must not gain that right through it.
#[tokio::test]
async fn a_config_map_without_the_label_is_not_read() {
    let t = Fixture::new("schemas").await;
    t.apply(&config_map(&t, json!("no"), "{type: secret-word}")).await;
    t.topic("orders").apply(FROM).await;
    let waiting = t.topic("orders").wait_for_condition("Ready=False SchemaNotFound").await;
    assert!(!message(&waiting, "Ready").contains("secret-word"));
    t.apply(&config_map(&t, json!("true"), FIRST)).await;
    t.topic("orders").wait_until_ready().await;
    t.apply(&config_map(&t, json!("no"), FIRST)).await;
    t.topic("orders").wait_for_condition("Ready=False SchemaNotFound").await;
}

#[tokio::test]
async fn old_revisions_are_removed() {
    let t = Fixture::new("schemas").await;
    for number in 1..=12 {
        let properties: Vec<String> = (0..number).map(|n| format!("p{n}: {{type: string}}")).collect();
        t.topic("orders")
            .apply_and_wait(&spec_with(&format!(
                "{{type: object, properties: {{{}}}}}",
                properties.join(", ")
            )))
            .await;
    }
    assert_eq!(revisions(&t, "orders").await, (3..=12).collect::<Vec<i64>>());
}

#[tokio::test]
async fn the_history_is_deleted_with_the_kafka_topic() {
    let t = Fixture::new("schemas").await;
    let deleted = format!("deletionPolicy: Delete\n{}", spec_with(FIRST));
    t.topic("orders").apply_and_wait(&deleted).await;
    t.topic("orders").delete_and_wait().await;
    t.topic("orders").apply_and_wait(&spec_with(BROKEN)).await;
    assert_eq!(revisions(&t, "orders").await, [1]);
}

/// Registered schemas belong to the Kafka topic: neither deleting the resource nor another resource drops them.
#[tokio::test]
async fn schemas_stay_registered_when_another_resource_owns_the_kafka_topic() {
    let t = Fixture::new("schemas").await;
    t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
    t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
    t.topic("orders").delete_and_wait().await;
    // Created again, first without types.
    t.topic("orders").apply_and_wait("{}").await;
    t.topic("orders").apply(&spec_with(BROKEN)).await;
    let refused = t.topic("orders").wait_for_condition("Ready=False SchemaIncompatible").await;
    assert!(message(&refused, "Ready").contains("Order.Created.v1"), "{}", message(&refused, "Ready"));
    t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
    assert_eq!(t.topic("orders").get().await.status.expect("a status").event_types[0].revision, 2);
    t.topic("orders").delete_and_wait().await;
    // Taken over under another name.
    let twin = |schema: &str| format!("topicName: {}\n{}", t.kafka_name("orders"), spec_with(schema));
    t.topic("twin").apply(&twin(BROKEN)).await;
    t.topic("twin").wait_for_condition("Ready=False SchemaIncompatible").await;
    t.topic("twin").apply_and_wait(&twin(MORE)).await;
    assert_eq!(t.topic("twin").get().await.status.expect("a status").event_types[0].revision, 2);
}

/// The policy protects revisions with both labels, so one with only the label of the Kafka topic may be anybody's.
#[tokio::test]
async fn a_revision_without_the_protected_label_is_no_registered_schema() {
    let t = Fixture::new("schemas").await;
    let topic = t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
    let api = Api::<ControllerRevision>::namespaced(t.kube.client(), &t.namespace);
    let uid = topic.metadata.uid.expect("a uid");
    let of_topic = ListParams::default().labels(&format!("{}={uid}", eventcenter::api::REVISION_LABEL));
    let mut forged = api.list(&of_topic).await.expect("a list").items.remove(0);
    let broken = t.topic("other").apply_and_wait(&spec_with(BROKEN).replace("Created", "Paid")).await;
    let hash = &broken.status.expect("a status").event_types[0].schema_hash;
    forged.metadata = ObjectMeta {
        name: Some("forged".into()),
        labels: forged.metadata.labels.map(|mut labels| {
            labels.remove(eventcenter::api::REVISION_LABEL);
            labels
        }),
        ..ObjectMeta::default()
    };
    forged.revision = 2;
    forged.data.as_mut().expect("data").0["schemaHash"] = json!(hash);
    api.create(&PostParams::default(), &forged).await.expect("the API server accepts it");
    t.topic("orders").apply(&spec_with(BROKEN)).await;
    t.topic("orders").wait_for_condition("Ready=False SchemaIncompatible").await;
}

/// A revision as the version before stored it: with an owner, and without the label of its Kafka topic.
#[tokio::test]
async fn schemas_registered_by_an_older_version_count() {
    let t = Fixture::new("schemas").await;
    let topic = t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
    let uid = topic.metadata.uid.expect("a uid");
    let api = Api::<ControllerRevision>::namespaced(t.kube.client(), &t.namespace);
    let of_topic = ListParams::default().labels(&format!("{}={uid}", eventcenter::api::REVISION_LABEL));
    let stored = api.list(&of_topic).await.expect("a list").items.remove(0);
    let older = json!({"metadata": {
        "labels": {eventcenter::api::KAFKA_TOPIC_LABEL: null},
        "ownerReferences": [{
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic", "name": "orders", "uid": uid,
        }],
    }});
    let name = stored.metadata.name.expect("a name");
    api.patch(&name, &PatchParams::default(), &Patch::Merge(older)).await.expect("patched");
    t.topic("orders").apply(&spec_with(BROKEN)).await;
    t.topic("orders").wait_for_condition("Ready=False SchemaIncompatible").await;
    t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
    assert_eq!(revisions(&t, "orders").await, [1, 2]);
}

mod before_it_is_stored {
    //! The same checks by the webhook.

    use crate::stage;
    use crate::support::Fixture;
    use serde_json::{Value, json};

    use super::{BROKEN, FIRST, FROM, MORE, config_map, revisions, spec_with};

    async fn fixture() -> Fixture {
        Fixture::on(stage::with_webhook(), "schemas").await
    }

    /// A name that is not that of an object could change the URL of a request, and unlink the ConfigMap from its topics.
    #[tokio::test]
    async fn references_are_names_of_objects() {
        let t = fixture().await;
        for (name, key) in [("sch?x=", "a.json"), ("a/b", "a.json"), ("..", "a.json"), ("schemas", "a/b")] {
            let spec = json!({"eventTypes": [{
                "name": "Order.Created.v1", "schemaFrom": {"configMapKeyRef": {"name": name, "key": key}},
            }]});
            let refused = t.topic("orders").try_apply(spec).await.expect_err("refused").to_string();
            assert!(refused.contains("configMapKeyRef") && refused.contains("should match"), "{refused}");
        }
    }

    /// The webhook compares a new resource with the schemas of the Kafka topic that it takes over.
    #[tokio::test]
    async fn a_created_resource_is_compared_with_registered_schemas() {
        let t = fixture().await;
        t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
        t.topic("orders").delete_and_wait().await;
        let refused = t.topic("orders").try_apply(&spec_with(BROKEN)).await.expect_err("refused").to_string();
        assert!(refused.contains("SchemaIncompatible: spec.eventTypes"), "{refused}");
        t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
    }

    #[tokio::test]
    async fn an_incompatible_revision_is_refused() {
        let t = fixture().await;
        t.topic("orders").apply_and_wait(&spec_with(FIRST)).await;
        let expected = "SchemaIncompatible: spec.eventTypes: the schema of Order.Created.v1 is not compatible with the \
                   registered revisions: REQUIRED_PROPERTY_ADDED at /required";
        t.topic("orders").assert_rejected(&spec_with(BROKEN), expected).await;
        t.topic("orders").assert_accepted(&spec_with(MORE)).await;
        t.topic("orders").apply_and_wait(&spec_with(MORE)).await;
        assert_eq!(revisions(&t, "orders").await, [1, 2]);
        // Removing the type and adding it again does not bypass the check.
        t.topic("orders").apply_and_wait("{}").await;
        t.topic("orders").assert_rejected(&spec_with(BROKEN), expected).await;
        // An unchanged schema is not compared again, so other fields can be changed.
        t.topic("orders").apply_and_wait(&format!("{{partitions: 2, {}}}", spec_with(MORE))).await;
    }

    #[tokio::test]
    async fn a_config_map_is_refused_if_its_topics_would_break() {
        let t = fixture().await;
        t.apply(&config_map(&t, json!("true"), FIRST)).await;
        t.topic("orders").apply_and_wait(FROM).await;
        let assert_config_map_refused = async |schema: &str, expected: &str| {
            let error = t
                .kube
                .try_apply(&config_map(&t, json!("true"), schema))
                .await
                .expect_err("the webhook refuses the request");
            let (error, about) = (
                error.to_string(),
                format!("data, which EventTopic {}/orders uses for schemas", t.namespace),
            );
            assert!(error.contains(expected) && error.contains(&about), "{error}");
        };
        assert_config_map_refused(BROKEN, "SchemaIncompatible").await;
        assert_config_map_refused("{type: thing}", "SchemaInvalid").await;
        t.apply(&config_map(&t, json!("true"), MORE)).await;
        t.topic("orders")
            .wait_for_status("revision 2 is registered", |topic| {
                topic.status.as_ref().is_some_and(|status| {
                    status.event_types.first().is_some_and(|event_type| event_type.revision == 2)
                })
            })
            .await;
        // A ConfigMap without the label is not reviewed.
        let mut other = config_map(&t, json!("no"), "{type: thing}");
        other["metadata"]["name"] = json!("other");
        t.apply(&other).await;
    }

    #[tokio::test]
    async fn a_removed_label_is_reported() {
        let t = fixture().await;
        t.apply(&config_map(&t, json!("true"), FIRST)).await;
        t.topic("orders").apply_and_wait(FROM).await;
        let mut command = t.stage.kubectl().command();
        command.args(["-n", &t.namespace, "label", "configmap", "schemas", "eventcenter.io/schema-"]);
        let stderr = String::from_utf8(command.output().expect("kubectl runs").stderr).expect("text");
        let expected = format!("it is no longer read for EventTopics {}/orders", t.namespace);
        assert!(stderr.contains(&expected), "{stderr}");
        t.topic("orders").wait_for_condition("Ready=False SchemaNotFound").await;
    }

    /// Schemas that would be slow to read or to compare are refused, and other reviews are not delayed.
    #[tokio::test]
    async fn no_schema_stalls_admission() {
        let t = fixture().await;
        t.topic("orders").apply_and_wait(&spec_with("{type: object}")).await;
        let branch = |n: usize| json!({"type": "object", "properties": {format!("p{n}"): {"const": n}}, "required": [format!("p{n}")]});
        let wide: Value = json!({"oneOf": (0..400).map(branch).collect::<Vec<_>>()});
        let deep = (0..50).fold(json!({}), |inner, _| json!({"properties": {"a": inner}}));
        let patterns: serde_json::Map<_, _> =
            (0..65).map(|n| (format!("^(a{{1,{n}}}b){{20}}$"), json!({}))).collect();
        for schema in [wide, deep, json!({"patternProperties": patterns}), json!({"pattern": "(a+)+(?=b)"})] {
            let mut object = t.topic("orders").manifest("{}");
            object["spec"]["eventTypes"] = json!([{"name": "Order.Created.v1", "schema": schema}]);
            let refused =
                t.kube.try_apply(&object).await.expect_err("the webhook refuses the request").to_string();
            assert!(refused.contains("SchemaI"), "{refused}");
        }
        t.topic("other").assert_accepted("owner: {team: a}").await;
    }
}
