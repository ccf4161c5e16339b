//! What one declares cannot disturb another: unreadable resources, clusters that do not answer, absurd values.

use std::time::Duration;

use anyhow::Result;
use eventcenter::api::{EventTopic, KafkaCluster, Tenant};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, CustomResourceExt, ResourceExt};
use serde_json::{Value, json};

use crate::support::proxy::{Mode, Protocol, Proxy};
use crate::support::site::{CLUSTER, LIMIT, Site, condition, is_ready, reason};

/// How long a topic may take beside others that go nowhere.
const SOON: Duration = Duration::from_secs(5);

/// A tenant may use these clusters.
async fn allow(site: &Site, tenant: &str, clusters: &[&str]) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"clusters": clusters}}));
    site.tenants().patch(tenant, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Declares topics that nothing is wrong with and waits until all are Ready.
async fn others_are_served(site: &Site, prefix: &str, spec: &Value) -> Result<()> {
    for number in 0..5 {
        let name = format!("{prefix}-{number}");
        site.declare(&name, spec.clone()).await?;
        site.ready_within(&name, SOON).await;
    }
    Ok(())
}

fn no_panic(operator: &mut xtask::operator::Operator) -> Result<()> {
    assert_eq!(operator.exited()?, None);
    let output = operator.output()?;
    assert!(!output.contains("panicked"), "{output}");
    Ok(())
}

/// Stores objects that the definition in force would refuse, as an older definition may have let in.
async fn smuggle<K: CustomResourceExt + kube::Resource<DynamicType = ()>>(
    site: &Site,
    namespace: Option<&str>,
    objects: &[Value],
) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(site.client());
    let name = K::crd_name();
    let strict = definitions.get(name).await?;
    let mut loose = strict.clone();
    for version in &mut loose.spec.versions {
        let anything =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        version.schema = Some(serde_json::from_value(anything)?);
    }
    definitions.replace(name, &PostParams::default(), &loose).await?;
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(site.client(), namespace, &kind),
        None => Api::all_with(site.client(), &kind),
    };
    let mut stored = Vec::new();
    for object in objects {
        let mut object = object.clone();
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        let object: DynamicObject = serde_json::from_value(object)?;
        let made = site
            .eventually("the loose definition is in force", LIMIT, async || {
                api.create(&PostParams::default(), &object).await
            })
            .await;
        stored.push(made);
    }
    let mut again = strict.clone();
    again.metadata.resource_version = definitions.get(name).await?.resource_version();
    definitions.replace(name, &PostParams::default(), &again).await?;
    let mut probe = stored[0].clone();
    probe.metadata = kube::api::ObjectMeta { name: Some("probe".into()), ..Default::default() };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    site.eventually("the strict definition is in force", LIMIT, async || {
        match api.create(&dry, &probe).await {
            Err(kube::Error::Api(status)) if status.code == 422 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    Ok(())
}

/// What the condition Stalled says of a resource that is not valid.
fn stalled(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let stalled = conditions.clone().find(|condition| {
        condition["type"] == "Stalled"
            && condition["status"] == "True"
            && condition["reason"] == "InvalidResource"
    });
    stalled.and_then(|stalled| stalled["message"].as_str().map(String::from))
}

/// What an Event says of a resource that is not valid, where the API server takes no status for it.
async fn event(site: &Site, name: &str) -> Option<String> {
    let events = Api::<Event>::namespaced(site.client(), "unreadable");
    let events = events.list(&ListParams::default()).await.ok()?;
    let event = events.into_iter().find(|event| {
        let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        about == Some(name) && event.reason.as_deref() == Some("InvalidResource")
    });
    event.and_then(|event| event.note)
}

#[tokio::test]
async fn resources_that_cannot_be_read() -> Result<()> {
    let site = Site::new("unreadable").await?;
    let bad = [
        ("partitions", json!({"partitions": "many"})),
        ("retention", json!({"retention": "7d"})),
        ("event-types", json!({"eventTypes": {"a": "b"}})),
        ("policy", json!({"deletionPolicy": "Perhaps"})),
        ("config", json!({"config": {"retention.ms": {"nested": true}}})),
        ("spec", json!("none")),
    ];
    site.declare("before", json!({})).await?;
    let object = |(name, spec): &(&str, Value)| json!({"metadata": {"name": name}, "spec": spec});
    let mut objects: Vec<Value> = bad.iter().map(object).collect();
    let finalized = json!({"name": "finalized", "finalizers": [eventcenter::api::DELETE_FINALIZER]});
    objects.push(json!({"metadata": finalized, "spec": {"deletionPolicy": "Perhaps"}}));
    smuggle::<EventTopic>(&site, Some("unreadable"), &objects).await?;
    let tenant = json!({"metadata": {"name": "nobody"}, "spec": {"namespaces": "unreadable"}});
    smuggle::<Tenant>(&site, None, &[tenant]).await?;
    let cluster = json!({"metadata": {"name": "nothing"}, "spec": {"bootstrapServers": 5, "default": true}});
    smuggle::<KafkaCluster>(&site, None, &[cluster]).await?;

    let mut operator = site.operator("a", &[])?;
    site.ready("before").await;
    others_are_served(&site, "after", &json!({})).await?;
    let kind = ApiResource::erase::<EventTopic>(&());
    let raw = Api::<DynamicObject>::namespaced_with(site.client(), "unreadable", &kind);
    for (name, _) in &bad {
        let said = site
            .eventually(&format!("{name} is reported"), LIMIT, async || {
                let topic = raw.get(name).await.map_err(|error| error.to_string())?;
                let status = topic.data.get("status").cloned().unwrap_or_default();
                match stalled(&status).or(event(&site, name).await) {
                    Some(message) => Ok(message),
                    None => Err(status.to_string()),
                }
            })
            .await;
        assert!(said.contains("cannot be deserialized"), "{name}: {said}");
    }
    let tries = operator.output()?.matches("the resource cannot be deserialized").count();
    assert!(tries <= 2 * objects.len(), "it is not tried over and over: {}", site.operators_said());

    // Corrected, it is as any other.
    site.change("config", json!({"config": {"retention.ms": 5}})).await?;
    site.ready("config").await;
    assert_eq!(site.config("config").await, [("retention.ms".into(), "5".into())].into());
    // And it can be deleted as it is.
    for name in ["retention", "finalized"] {
        raw.delete(name, &DeleteParams::default()).await?;
        site.eventually(&format!("{name} is gone"), LIMIT, async || match raw.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    no_panic(&mut operator)
}

#[tokio::test]
async fn clusters_that_do_not_answer() -> Result<()> {
    let site = Site::new("no-answer").await?;
    let hole = Proxy::start(site.broker.port(), Protocol::Kafka)?;
    hole.set(Mode::HoldAll);
    site.kafka_cluster("hole", &format!("127.0.0.1:{}", hole.port()), false).await?;
    let closed = xtask::port::free()?;
    site.kafka_cluster("closed", &format!("127.0.0.1:{closed}"), false).await?;
    site.kafka_cluster("nowhere", "no-such-host.invalid:9092", false).await?;
    allow(&site, "no-answer", &[CLUSTER, "hole", "closed", "nowhere"]).await?;
    let mut operator = site.operator("a", &[])?;

    let many = futures::stream::iter(0..300).map(|number| {
        let site = &site;
        async move { site.declare(&format!("hole-{number}"), json!({"cluster": "hole"})).await }
    });
    let declared = many.buffer_unordered(16).try_collect::<Vec<_>>();
    let here = json!({"cluster": CLUSTER});
    let (declared, served) = tokio::join!(declared, others_are_served(&site, "meanwhile", &here));
    declared?;
    served?;
    for cluster in ["closed", "nowhere"] {
        site.declare(cluster, json!({"cluster": cluster, "deletionPolicy": "Delete"})).await?;
    }
    for name in ["hole-0", "hole-299", "closed", "nowhere"] {
        site.topic(name, "waiting", LIMIT, |topic| reason(topic) == "ClusterUnavailable").await;
    }
    for cluster in ["hole", "closed", "nowhere"] {
        site.cluster_is(cluster, "KafkaUnavailable").await;
    }
    others_are_served(&site, "after", &here).await?;
    site.change("after-0", json!({"partitions": 2})).await?;
    site.ready_within("after-0", SOON).await;

    // What was away comes.
    hole.set(Mode::Pass);
    for number in 0..300 {
        site.ready(&format!("hole-{number}")).await;
    }
    no_panic(&mut operator)
}

/// Specs that the API server takes and nobody can give to Kafka.
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
    let site = Site::new("absurd").await?;
    let mut operator = site.operator("a", &[])?;
    site.cluster_is(CLUSTER, "Available").await;
    let mut wrong = Vec::new();
    for (name, spec) in absurd() {
        // Those that the API server itself refuses are dealt with.
        match site.declare(name, spec).await {
            Ok(_) => wrong.push(name),
            Err(error) => println!("{name}: {error:#}"),
        }
        // In the same batch as one that is well.
        site.declare(&format!("beside-{name}"), json!({"deletionPolicy": "Delete"})).await?;
    }
    assert!(wrong.len() >= 8, "{wrong:?}");
    for (name, _) in absurd() {
        site.ready_within(&format!("beside-{name}"), Duration::from_secs(10)).await;
    }
    for name in &wrong {
        let refused = |topic: &EventTopic| condition(topic, "Stalled").is_some() && !is_ready(topic);
        let topic = site.topic(name, "refused", LIMIT, refused).await;
        let (_, reason, message) = condition(&topic, "Ready").unwrap_or_default();
        println!("{name}: {reason}: {}", message.chars().take(120).collect::<String>());
        assert!(message.len() <= 4096 && !message.is_empty());
        assert_eq!(site.in_kafka(name).await, None, "{name}");
    }

    // A change that cannot be made leaves the others' changes alone.
    for (name, spec) in absurd() {
        drop(site.change(&format!("beside-{name}"), spec).await);
        site.declare(&format!("again-{name}"), json!({})).await?;
    }
    for (name, _) in absurd() {
        site.ready_within(&format!("again-{name}"), Duration::from_secs(10)).await;
    }
    let refused = |topic: &EventTopic| condition(topic, "Stalled").is_some();
    site.topic("beside-partitions", "refused", LIMIT, refused).await;
    assert_eq!(site.in_kafka("beside-partitions").await.map(|topic| topic.partitions), Some(1));
    for (name, _) in absurd() {
        site.delete(&format!("beside-{name}")).await?;
    }
    for (name, _) in absurd() {
        site.gone(&format!("beside-{name}")).await;
    }
    no_panic(&mut operator)
}
