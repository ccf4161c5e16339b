//! Resources that the operator cannot process do not affect others: undecodable ones, unreachable clusters, absurd values.

use std::time::Duration;

use anyhow::Result;
use eventcenter::api::{EventTopic, KafkaCluster, Tenant};
use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, CustomResourceExt, ResourceExt};
use serde_json::{Value, json};

use crate::fixture::{CLUSTER, FaultFixture};
use crate::proxy::{Mode, Protocol, Proxy};
use crate::support::{has_condition, message};

/// The limit for a topic beside others that make no progress: below the timeout of a request to an unreachable broker.
const MAX_DELAY: Duration = Duration::from_secs(20);

/// Declares valid topics and waits until all are ready.
async fn assert_others_are_served(t: &FaultFixture, prefix: &str, spec: &Value) {
    for number in 0..5 {
        let name = format!("{prefix}-{number}");
        t.topic(&name).apply(spec).await;
        t.topic(&name).within(MAX_DELAY).wait_until_ready().await;
    }
}

fn assert_no_panic(operator: &mut xtask::operator::Operator) -> Result<()> {
    assert_eq!(operator.exited()?, None);
    let output = operator.output()?;
    assert!(!output.contains("panicked"), "{output}");
    Ok(())
}

/// Stores objects that the CRD does not allow, as an older CRD may have allowed.
async fn store_invalid<K: CustomResourceExt + kube::Resource<DynamicType = ()>>(
    t: &FaultFixture,
    namespace: Option<&str>,
    objects: &[Value],
) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(t.kube.client());
    let name = K::crd_name();
    let strict = definitions.get(name).await?;
    let mut loose = strict.clone();
    for version in &mut loose.spec.versions {
        let any_object =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        version.schema = Some(serde_json::from_value(any_object)?);
    }
    definitions.replace(name, &PostParams::default(), &loose).await?;
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(t.kube.client(), namespace, &kind),
        None => Api::all_with(t.kube.client(), &kind),
    };
    let mut stored = Vec::new();
    for object in objects {
        let mut object = object.clone();
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        let object: DynamicObject = serde_json::from_value(object)?;
        let created = t
            .eventually("the loose CRD is in force", async || {
                api.create(&PostParams::default(), &object).await
            })
            .await;
        stored.push(created);
    }
    let mut again = strict.clone();
    again.metadata.resource_version = definitions.get(name).await?.resource_version();
    definitions.replace(name, &PostParams::default(), &again).await?;
    let mut probe = stored[0].clone();
    probe.metadata = kube::api::ObjectMeta { name: Some("probe".into()), ..Default::default() };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    t.eventually("the strict CRD is in force", async || match api.create(&dry, &probe).await {
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    Ok(())
}

/// The message of the condition Stalled of an invalid resource.
fn stalled(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let stalled = conditions.clone().find(|condition| {
        condition["type"] == "Stalled"
            && condition["status"] == "True"
            && condition["reason"] == "InvalidResource"
    });
    stalled.and_then(|stalled| stalled["message"].as_str().map(String::from))
}

/// The note of the Event about an invalid resource whose status the API server does not accept.
async fn event(t: &FaultFixture, name: &str) -> Option<String> {
    let events = Api::<Event>::namespaced(t.kube.client(), "unreadable");
    let events = events.list(&ListParams::default()).await.ok()?;
    let event = events.into_iter().find(|event| {
        let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        about == Some(name) && event.reason.as_deref() == Some("InvalidResource")
    });
    event.and_then(|event| event.note)
}

#[tokio::test]
async fn undecodable_resources() -> Result<()> {
    let t = FaultFixture::new("unreadable").await?;
    let bad = [
        ("partitions", json!({"partitions": "many"})),
        ("retention", json!({"retention": "7d"})),
        ("event-types", json!({"eventTypes": {"a": "b"}})),
        ("policy", json!({"deletionPolicy": "Perhaps"})),
        ("config", json!({"config": {"retention.ms": {"nested": true}}})),
        ("spec", json!("none")),
    ];
    t.topic("before").apply(json!({})).await;
    let object = |(name, spec): &(&str, Value)| json!({"metadata": {"name": name}, "spec": spec});
    let mut objects: Vec<Value> = bad.iter().map(object).collect();
    let finalized = json!({"name": "finalized", "finalizers": [eventcenter::api::DELETE_FINALIZER]});
    objects.push(json!({"metadata": finalized, "spec": {"deletionPolicy": "Perhaps"}}));
    store_invalid::<EventTopic>(&t, Some("unreadable"), &objects).await?;
    let tenant = json!({"metadata": {"name": "nobody"}, "spec": {"namespaces": "unreadable"}});
    store_invalid::<Tenant>(&t, None, &[tenant]).await?;
    let cluster = json!({"metadata": {"name": "nothing"}, "spec": {"bootstrapServers": 5, "default": true}});
    store_invalid::<KafkaCluster>(&t, None, &[cluster]).await?;

    let mut operator = t.parts.start_operator("a", &[])?;
    t.topic("before").wait_until_ready().await;
    assert_others_are_served(&t, "after", &json!({})).await;
    let kind = ApiResource::erase::<EventTopic>(&());
    let raw = Api::<DynamicObject>::namespaced_with(t.kube.client(), "unreadable", &kind);
    for (name, _) in &bad {
        let text = t
            .eventually(&format!("{name} is reported"), async || {
                let topic = raw.get(name).await.map_err(|error| error.to_string())?;
                let status = topic.data.get("status").cloned().unwrap_or_default();
                match stalled(&status).or(event(&t, name).await) {
                    Some(message) => Ok(message),
                    None => Err(status.to_string()),
                }
            })
            .await;
        assert!(text.contains("cannot be deserialized"), "{name}: {text}");
    }
    let tries = operator.output()?.matches("the resource cannot be deserialized").count();
    assert!(
        tries <= 2 * objects.len(),
        "an invalid resource is not retried repeatedly: {}",
        t.stage.logs.tail()
    );

    // A corrected resource is reconciled like any other.
    t.topic("config").patch_spec(json!({"config": {"retention.ms": 5}})).await;
    t.topic("config").wait_until_ready().await;
    t.wait_for_kafka_config("config", &[("retention.ms", "5")]).await;
    // An invalid resource can be deleted without a correction.
    for name in ["retention", "finalized"] {
        raw.delete(name, &DeleteParams::default()).await?;
        t.eventually(&format!("{name} is deleted"), async || match raw.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    assert_no_panic(&mut operator)
}

#[tokio::test]
async fn unreachable_clusters() -> Result<()> {
    let t = FaultFixture::new("no-answer").await?;
    let hole = Proxy::start(t.parts.broker.port(), Protocol::Kafka)?;
    hole.set(Mode::HoldAll);
    let closed = xtask::port::free()?;
    for (name, bootstrap) in [
        ("hole", format!("127.0.0.1:{}", hole.port())),
        ("closed", format!("127.0.0.1:{closed}")),
        ("nowhere", "no-such-host.invalid:9092".to_owned()),
    ] {
        t.resource::<KafkaCluster>(name).apply(json!({"bootstrapServers": [bootstrap]})).await;
    }
    t.tenant().patch_spec(json!({"clusters": [CLUSTER, "hole", "closed", "nowhere"]})).await;
    let mut operator = t.parts.start_operator("a", &[])?;

    let many = futures::stream::iter(0..300).map(|number| {
        let t = &t;
        async move { t.topic(&format!("hole-{number}")).apply("cluster: hole").await }
    });
    let declared = many.buffer_unordered(16).for_each(async |_| ());
    let here = json!({"cluster": CLUSTER});
    tokio::join!(declared, assert_others_are_served(&t, "meanwhile", &here));
    for cluster in ["closed", "nowhere"] {
        t.topic(cluster).apply(json!({"cluster": cluster, "deletionPolicy": "Delete"})).await;
    }
    for name in ["hole-0", "hole-299", "closed", "nowhere"] {
        t.topic(name).wait_for_condition("Ready=False ClusterUnavailable").await;
    }
    for cluster in ["hole", "closed", "nowhere"] {
        t.resource::<KafkaCluster>(cluster).wait_for_condition("Ready=False KafkaUnavailable").await;
    }
    assert_others_are_served(&t, "after", &here).await;
    t.topic("after-0").patch_spec(json!({"partitions": 2})).await;
    t.topic("after-0").within(MAX_DELAY).wait_until_ready().await;

    // The cluster becomes reachable.
    hole.set(Mode::Pass);
    for number in 0..300 {
        t.topic(&format!("hole-{number}")).wait_until_ready().await;
    }
    assert_no_panic(&mut operator)
}

/// Specs that the API server accepts and Kafka does not.
fn absurd() -> Vec<(&'static str, Value)> {
    let keys = |count: usize| -> Value {
        (0..count)
            .map(|number| (format!("key.{number}"), json!("value")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    vec![
        ("long-value", json!({"config": {"retention.ms": "9".repeat(4096)}})),
        ("long-unicode", json!({"config": {"cleanup.policy": "日本語".repeat(400)}})),
        ("nul", json!({"config": {"retention.ms": "1\u{0}2"}})),
        ("only-nul", json!({"config": {"compression.type": "\u{0}"}})),
        ("lines", json!({"config": {"retention.ms": "1\n2\r\n3"}})),
        ("empty", json!({"config": {"retention.ms": ""}})),
        ("many-keys", json!({"config": keys(128)})),
        ("other-keys", json!({"config": {"log.dirs": "/tmp", "-": "x", "retention.ms ": "1"}})),
        ("partitions", json!({"partitions": 100_000})),
        ("replicas", json!({"replicas": 10_000})),
        ("too-long-ago", json!({"retention": {"time": "999999999999999999w"}})),
        ("too-much", json!({"retention": {"size": "999999999999999999Pi"}})),
        ("number", json!({"config": {"retention.ms": i64::MIN}})),
    ]
}

#[tokio::test]
async fn absurd_values() -> Result<()> {
    let t = FaultFixture::new("absurd").await?;
    let mut operator = t.parts.start_operator("a", &[])?;
    t.cluster().wait_for_condition("Ready=True Available").await;
    let mut wrong = Vec::new();
    for (name, spec) in absurd() {
        // The API server itself may refuse the spec.
        match t.topic(name).try_apply(spec).await {
            Ok(_) => wrong.push(name),
            Err(error) => println!("{name}: {error:#}"),
        }
        // A valid topic is in the same batch.
        t.topic(&format!("beside-{name}")).apply(json!({"deletionPolicy": "Delete"})).await;
    }
    assert!(wrong.len() >= 8, "{wrong:?}");
    for (name, _) in absurd() {
        t.topic(&format!("beside-{name}")).within(MAX_DELAY).wait_until_ready().await;
    }
    for name in &wrong {
        let refused =
            |topic: &EventTopic| has_condition(topic, "Stalled=True") && has_condition(topic, "Ready=False");
        let topic = t.topic(name).wait_for("refused", refused).await;
        let text = message(&topic, "Ready");
        assert!(text.len() <= 4096 && !text.is_empty(), "{name}: {text}");
        assert_eq!(t.kafka_topic(name).await, None, "{name}");
    }

    // A change that Kafka refuses does not affect others.
    for (name, spec) in absurd() {
        drop(t.topic(&format!("beside-{name}")).try_patch(json!({ "spec": spec })).await);
        t.topic(&format!("again-{name}")).apply(json!({})).await;
    }
    for (name, _) in absurd() {
        t.topic(&format!("again-{name}")).within(MAX_DELAY).wait_until_ready().await;
    }
    t.topic("beside-partitions").wait_for("refused", |topic| has_condition(topic, "Stalled=True")).await;
    assert_eq!(t.kafka_topic("beside-partitions").await.map(|topic| topic.partitions), Some(1));
    for (name, _) in absurd() {
        t.topic(&format!("beside-{name}")).delete().await;
    }
    for (name, _) in absurd() {
        t.topic(&format!("beside-{name}")).wait_until_deleted().await;
    }
    assert_no_panic(&mut operator)
}
