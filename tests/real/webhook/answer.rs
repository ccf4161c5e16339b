//! The webhook's responses.

use crate::stage;
use eventcenter::api::KafkaCluster;
use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use eventcenter::domain::audit::{Filter, LogName, Outcome};
use eventcenter_sdk::Reason;
use kube::ResourceExt;
use serde_json::json;

use crate::support::{Fixture, WriteMethod, assert_refused, cluster_scoped, unique, until};

async fn on_webhook_stage(name: &str) -> Fixture {
    Fixture::on(stage::with_webhook(), name).await
}

/// The number of reviews that reached the webhook.
fn reviews(labels: &[&str]) -> f64 {
    stage::webhook_metric("eventcenter_webhook_reviews_total", labels)
}

#[tokio::test]
async fn every_write_method_gets_the_same_answer() {
    let t = on_webhook_stage("answer").await;
    let warnings = t.kube.assert_accepted(&t.topic("orders").manifest("{}")).await;
    assert_eq!(warnings, ["spec.owner: the topic has no owner"]);
    let wrong = t.topic("orders").manifest("topicName: elsewhere.orders");
    t.kube
        .assert_rejected(
            &wrong,
            Reason::InvalidResource,
            "spec.topicName: elsewhere.orders does not begin with",
        )
        .await;
    t.kube
        .assert_rejected(
            &t.topic("orders").manifest("cluster: nowhere"),
            Reason::ClusterNotAllowed,
            "may not use cluster",
        )
        .await;

    // A change of an existing resource.
    t.topic("orders").apply_and_wait("{}").await;
    let wrong = t.topic("orders").manifest("retention: {time: 999999999999999999w}");
    t.kube.assert_rejected(&wrong, Reason::InvalidResource, "spec.retention.time").await;
    let warnings = t.kube.assert_accepted(&t.topic("orders").manifest("partitions: 2")).await;
    assert!(
        warnings.iter().any(|warning| warning.contains("1 -> 2 sends keys to other partitions")),
        "{warnings:?}"
    );
    assert_eq!(t.topic("orders").get().await.spec.partitions, 1, "dry runs store nothing");
}

#[tokio::test]
async fn kubectl_shows_the_webhooks_message() {
    let t = on_webhook_stage("answer").await;
    let (logs, log) = (stage::webhook_logs(), LogName::of(Some(&t.namespace)));
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, spec: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, t.topic("orders").manifest(spec).to_string()).expect("written");
        file.display().to_string()
    };
    let (valid, invalid) =
        (file("good.yaml", "{owner: {team: shop}}"), file("bad.yaml", "topicName: else.orders"));
    for arguments in [&["apply", "-f"][..], &["apply", "--server-side", "-f"], &["create", "-f"]] {
        let error = t.kubectl(&[arguments, &[&invalid]].concat()).expect_err("the webhook refuses the topic");
        assert!(
            error.contains("admission webhook \"eventtopics.eventcenter.io\" denied the request"),
            "{error}"
        );
        assert!(
            error.contains("InvalidResource: spec.topicName: else.orders does not begin with"),
            "{error}"
        );
    }
    t.kubectl(&["apply", "-f", &valid]).expect("the topic is accepted");
    // A forced apply takes no refusal for an immutable field, which it would answer by deleting the topic.
    let before = t.topic("orders").get().await.uid();
    let refused = file("refused.yaml", "retention: {time: 999999999999999999w}");
    let error = t.kubectl(&["apply", "--force", "-f", &refused]).expect_err("the webhook refuses the change");
    assert!(error.contains("InvalidResource: spec.retention.time"), "{error}");
    assert_eq!(t.topic("orders").get().await.uid(), before);
    let taken = file("taken.yaml", &format!("{{topicName: {}orders, owner: {{team: shop}}}}", t.prefix));
    let mut other = t.topic("other").manifest("{}");
    other["spec"]["topicName"] = json!(format!("{}orders", t.prefix));
    std::fs::write(&taken, other.to_string()).expect("written");
    let error = until(async || match t.kubectl(&["apply", "-f", &taken]) {
        Err(error) if error.contains("ResourceConflict") => Ok(error),
        other => Err(format!("{other:?}")),
    });
    let error = error.await.expect("the webhook has received the first topic");
    assert!(error.contains("belongs to EventTopic"), "{error}");

    // kubectl retries a request after a conflict of resource versions, but not after a refusal.
    let denied = async || {
        let records = logs.read(&log, &Filter::default()).await;
        records.iter().filter(|record| record.outcome == Outcome::Denied).count()
    };
    t.topic("first").apply_and_wait("{owner: {team: shop}, eventTypes: [{name: Order.Created.v1}]}").await;
    t.kubectl(&["apply", "-f", &file("second.yaml", "{owner: {team: shop}}").replace("second", "good")])
        .expect("accepted");
    let second = file("second.yaml", "{owner: {team: shop}, eventTypes: [{name: Order.Created.v1}]}");
    let before = denied().await;
    let error = t.kubectl(&["apply", "-f", &second]).expect_err("the type is registered already");
    assert!(error.contains("ResourceConflict: spec.eventTypes"), "{error}");
    assert_eq!(denied().await, before + 1);
}

#[tokio::test]
async fn a_refusal_names_reason_and_field() {
    let t = on_webhook_stage("answer").await;
    let answer =
        t.kube.write(&t.topic("orders").manifest("topicName: else.orders"), WriteMethod::Apply).await;
    assert_eq!((answer.status, &answer.body["reason"]), (403, &json!("InvalidResource")));
    let cause = &answer.body["details"]["causes"][0];
    assert_eq!((&cause["field"], &cause["reason"]), (&json!("spec.topicName"), &json!("InvalidResource")));

    let t = Fixture::without_tenant(stage::with_webhook(), "answer").await;
    let answer = t.kube.write(&t.topic("orders").manifest("{}"), WriteMethod::Apply).await;
    assert_refused(&answer, Reason::TenantNotFound, "belongs to no tenant");
    assert_eq!((answer.status, &answer.body["reason"]), (403, &json!("TenantNotFound")));
}

#[tokio::test]
async fn tenants_do_not_overlap_and_are_not_deleted_with_topics() {
    let t = on_webhook_stage("answer").await;
    let other = format!("{}-other", t.namespace);
    let claim = cluster_scoped("Tenant", &other, json!({"namespaces": [t.namespace]}));
    // The policy of the API server and the webhook refuse with the same message.
    for method in WriteMethod::ALL {
        let answer = t.kube.write(&claim, method).await;
        let expected = format!("{} belongs to tenant {}", t.namespace, t.namespace);
        assert!(answer.message().contains("ResourceConflict: spec.namespaces"), "{}", answer.message());
        assert!(answer.message().contains(&expected), "{}", answer.message());
    }
    let overlap = cluster_scoped("Tenant", &other, json!({"topicPrefix": format!("{}x.", t.prefix)}));
    let answer = t.kube.write(&overlap, WriteMethod::Apply).await;
    assert!(answer.message().contains("overlaps with"), "{}", answer.message());

    t.topic("orders").apply_and_wait("{}").await;
    let answer = t.kube.try_delete(t.tenant().path()).await;
    assert_refused(&answer, Reason::ResourceInUse, &format!("still has EventTopics: {}/orders", t.namespace));
    t.topic("orders").delete_and_wait().await;
    assert_eq!(
        t.kube.try_delete(t.tenant().path()).await.status,
        200,
        "a tenant without topics can be deleted"
    );
}

/// Resources are applied and deleted without waiting, as by `kubectl apply -f` and `kubectl delete -f` of a folder.
#[tokio::test]
async fn resources_applied_together_do_not_refuse_each_other() {
    let t = Fixture::without_tenant(stage::with_webhook(), "answer").await;
    let mut tenant = cluster_scoped("Tenant", &t.namespace, json!({"namespaces": [t.namespace]}));
    for round in 0..10 {
        tenant["spec"]["description"] = json!(round.to_string());
        t.apply(&tenant).await;
        let answer = t.kube.write(&t.topic("orders").manifest("{}"), WriteMethod::Apply).await;
        assert_eq!(answer.status, 201, "round {round}: {}", answer.message());
        assert_eq!(t.kube.try_delete(t.topic("orders").path()).await.status, 200);
        let answer = t.kube.try_delete(t.tenant().path()).await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.message());
    }
}

#[tokio::test]
async fn deleting_a_cluster_with_topics_is_refused() {
    let t = on_webhook_stage("answer").await;
    t.topic("orders").apply_and_wait("{}").await;
    let answer = t.kube.try_delete(t.resource::<KafkaCluster>(stage::MAIN).path()).await;
    assert_refused(&answer, Reason::ResourceInUse, "EventTopics live in KafkaCluster main");
}

#[tokio::test]
async fn the_finalizer_is_set_on_creation() {
    let t = on_webhook_stage("answer").await;
    let topic = t.topic("orders").apply("deletionPolicy: Delete").await;
    assert_eq!(topic.finalizers(), [DELETE_FINALIZER]);
    t.topic("orders").wait_until_ready().await;
    assert!(t.topic("retained").apply("{}").await.finalizers().is_empty());
    t.topic("orders").delete_and_wait().await;
}

/// The API server does not call the webhook for changes of status, finalizers and labels, or of a resource that is being deleted. It
/// does for the deletion of a resource, which may need approval.
/// The number of reviews of a kind in the fixture's namespace. The metric also counts those of tests that run at the same
/// time.
fn count_reviews(t: &Fixture, kind: &str) -> usize {
    let (kind, namespace) = (format!("kind=\"{kind}\""), format!("namespace=\"{}\"", t.namespace));
    let log = t.stage.logs.read();
    let of_fixture = |line: &&str| line.contains(&kind) && line.contains(&namespace);
    log.lines().filter(|line| of_fixture(line) && line.contains("review: ")).count()
}

#[tokio::test]
async fn irrelevant_requests_do_not_reach_the_webhook() {
    let t = on_webhook_stage(&format!("quiet-{}", unique())).await;
    t.topic("orders").apply_and_wait("deletionPolicy: Delete").await;
    t.topic("paused").apply_and_wait("{}").await;
    t.wait_for_resync().await;
    let count_reviews = || count_reviews(&t, "EventTopic");
    assert!(count_reviews() > 0, "reviews are logged");
    let before_patches = count_reviews();
    let patch = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"example.com/x": "y"}}});
    t.kube.merge(t.topic("orders").path(), &patch).await;
    let finalizers = json!({"metadata": {"finalizers": ["example.com/hold", DELETE_FINALIZER]}});
    t.kube.merge(t.topic("orders").path(), &finalizers).await;
    assert_eq!(count_reviews(), before_patches);
    t.topic("kept").apply("{owner: {team: a}}").await;
    let before = count_reviews();
    t.topic("kept").delete().await;
    assert_eq!(count_reviews(), before + 1, "a deletion that keeps the data is reviewed, to record the user");
    t.topic("orders").delete().await;
    assert_eq!(count_reviews(), before + 2, "a deletion of data is reviewed");
    let held = until(async || {
        let topic = t.topic("orders").get().await;
        if topic.finalizers() == ["example.com/hold"] {
            Ok(())
        } else {
            Err(format!("{:?}", topic.finalizers()))
        }
    });
    held.await.expect("the operator removes its finalizer");
    // Changes of a resource that is being deleted are not reviewed.
    t.kube
        .merge(
            t.topic("orders").path(),
            &json!({"spec": {"deletionPolicy": "Retain"}, "metadata": {"finalizers": null}}),
        )
        .await;
    t.topic("orders").wait_until_deleted().await;
    assert_eq!(count_reviews(), before + 2);
    t.topic("paused").annotate("paused", Some("true")).await;
    assert_eq!(count_reviews(), before + 3, "a change of an annotation of the product is reviewed");
    assert!(reviews(&["kind=\"EventTopic\"", "outcome=\"allowed\""]) >= 1.0);
}

#[tokio::test]
async fn only_labelled_config_maps_are_reviewed() {
    let t = on_webhook_stage(&format!("labelled-{}", unique())).await;
    let count_reviews = || count_reviews(&t, "ConfigMap");
    let map = |name: &str, label: &str, data: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": t.namespace, "labels": {"eventcenter.io/schema": label}},
            "data": {"a": data},
        })
    };
    t.apply(&map("other", "false", "{}")).await;
    assert_eq!(count_reviews(), 0);
    t.apply(&map("schema", "true", "{}")).await;
    assert_eq!(count_reviews(), 1);
    t.apply(&map("schema", "true", "{}")).await;
    assert_eq!(count_reviews(), 1, "an unchanged ConfigMap is not reviewed");
    t.apply(&map("schema", "true", "[]")).await;
    t.apply(&map("schema", "no", "[]")).await;
    assert_eq!(count_reviews(), 3, "changes of the data and of the label are reviewed");
}

#[tokio::test]
async fn a_suspended_tenant_can_only_delete() {
    let t = on_webhook_stage("answer").await;
    t.topic("orders").apply_and_wait("{}").await;
    t.apply_tenant(json!({"namespaces": [t.namespace], "suspended": true})).await;
    let wrong = t.topic("orders").manifest("partitions: 2");
    let refused = until(async || {
        let answer = t.kube.write(&wrong, WriteMethod::DryRun).await;
        if answer.message().contains("TenantSuspended") {
            Ok(answer.status)
        } else {
            Err(answer.message().into())
        }
    });
    assert_eq!(refused.await.expect("the tenant is suspended"), 403);
    t.topic("orders").delete_and_wait().await;
}

#[tokio::test]
async fn a_resource_older_than_the_webhook_can_be_labelled() {
    let t = on_webhook_stage("answer").await;
    t.topic("orders").apply_and_wait("{}").await;
    // The tenant loses the namespace; the controller reports that on the existing topic.
    t.apply_tenant(json!({"namespaces": []})).await;
    t.topic("orders").wait_for_condition("Ready=False TenantNotFound").await;
    t.kube.merge(t.topic("orders").path(), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    let answer = t.kube.write(&t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply).await;
    assert_refused(&answer, Reason::TenantNotFound, "belongs to no tenant");
    let topic: EventTopic = t.topic("orders").get().await;
    assert_eq!((topic.spec.partitions, topic.labels().len()), (1, 1));
}
