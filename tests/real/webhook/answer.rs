//! What is said to whoever applies something.

use eventcenter::api::{DELETE_FINALIZER, EventTopic};
use eventcenter_sdk::Reason;
use kube::ResourceExt;
use serde_json::json;

use crate::support::{Fixture, Place, Stage, Way, cluster_scoped, refused, unique, until};

async fn place(name: &str) -> Fixture {
    Fixture::on(Stage::with_webhook(), name).await
}

/// Reviews that reached the webhook.
fn reviews(labels: &[&str]) -> f64 {
    Stage::webhook_metric("eventcenter_webhook_reviews_total", labels)
}

#[tokio::test]
async fn every_way_of_asking_is_answered_the_same() {
    let t = place("answer").await;
    let warnings = t.kube.accepts(&t.manifest("orders", "{}")).await;
    assert_eq!(warnings, ["spec.owner: the topic has no owner"]);
    let wrong = t.manifest("orders", "topicName: elsewhere.orders");
    t.kube
        .rejects(&wrong, Reason::InvalidResource, "spec.topicName: elsewhere.orders does not begin with")
        .await;
    t.kube
        .rejects(&t.manifest("orders", "cluster: nowhere"), Reason::ClusterNotAllowed, "may not use cluster")
        .await;

    // The same of a resource that is there.
    t.made("orders", "{}").await;
    let wrong = t.manifest("orders", "retention: {time: 999999999999999999w}");
    t.kube.rejects(&wrong, Reason::InvalidResource, "spec.retention.time").await;
    let warnings = t.kube.accepts(&t.manifest("orders", "partitions: 2")).await;
    assert!(
        warnings.iter().any(|warning| warning.contains("1 -> 2 sends keys to other partitions")),
        "{warnings:?}"
    );
    assert_eq!(t.get("orders").await.spec.partitions, 1, "nothing was stored");
}

#[tokio::test]
async fn kubectl_says_what_the_webhook_says() {
    let t = place("answer").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, spec: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, t.manifest("orders", spec).to_string()).expect("written");
        file.display().to_string()
    };
    let (good, bad) =
        (file("good.yaml", "{owner: {team: shop}}"), file("bad.yaml", "topicName: else.orders"));
    for words in [&["apply", "-f"][..], &["apply", "--server-side", "-f"], &["create", "-f"]] {
        let said = t.kubectl(&[words, &[&bad]].concat()).expect_err("it is refused");
        assert!(
            said.contains("admission webhook \"eventtopics.eventcenter.io\" denied the request"),
            "{said}"
        );
        assert!(said.contains("InvalidResource: spec.topicName: else.orders does not begin with"), "{said}");
    }
    t.kubectl(&["apply", "-f", &good]).expect("it is accepted");
    let taken = file("taken.yaml", &format!("{{topicName: {}orders, owner: {{team: shop}}}}", t.prefix));
    let mut other = t.manifest("other", "{}");
    other["spec"]["topicName"] = json!(format!("{}orders", t.prefix));
    std::fs::write(&taken, other.to_string()).expect("written");
    let said = until(async || match t.kubectl(&["apply", "-f", &taken]) {
        Err(said) if said.contains("ResourceConflict") => Ok(said),
        other => Err(format!("{other:?}")),
    });
    let said = said.await.expect("the webhook has seen the first one");
    assert!(said.contains("belongs to EventTopic"), "{said}");

    // kubectl tries a conflict of versions several times, a second apart. A refusal is told at once.
    t.made("first", "{owner: {team: shop}, eventTypes: [{name: Order.Created.v1}]}").await;
    t.kubectl(&["apply", "-f", &file("second.yaml", "{owner: {team: shop}}").replace("second", "good")])
        .expect("accepted");
    let second = file("second.yaml", "{owner: {team: shop}, eventTypes: [{name: Order.Created.v1}]}");
    let begun = std::time::Instant::now();
    let said = t.kubectl(&["apply", "-f", &second]).expect_err("the type is registered already");
    assert!(said.contains("ResourceConflict: spec.eventTypes"), "{said}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_answer_names_reason_and_field() {
    let t = place("answer").await;
    let answer = t.kube.ask(&t.manifest("orders", "topicName: else.orders"), Way::Apply).await;
    assert_eq!((answer.status, &answer.body["reason"]), (400, &json!("InvalidResource")));
    let cause = &answer.body["details"]["causes"][0];
    assert_eq!((&cause["field"], &cause["reason"]), (&json!("spec.topicName"), &json!("InvalidResource")));

    let t = Fixture::without_tenant(Stage::with_webhook(), "answer").await;
    let answer = t.kube.ask(&t.manifest("orders", "{}"), Way::Apply).await;
    refused(&answer, Reason::TenantNotFound, "belongs to no tenant");
    assert_eq!((answer.status, &answer.body["reason"]), (404, &json!("TenantNotFound")));
}

#[tokio::test]
async fn tenants_are_kept_apart_and_not_deleted_with_their_topics() {
    let t = place("answer").await;
    let other = format!("{}-other", t.namespace);
    let claim = cluster_scoped("Tenant", &other, json!({"namespaces": [t.namespace]}));
    // The policy of the API server and the webhook say the same; whichever is asked first answers.
    for way in Way::ALL {
        let answer = t.kube.ask(&claim, way).await;
        let words = format!("{} belongs to tenant {}", t.namespace, t.namespace);
        assert!(answer.message().contains("ResourceConflict: spec.namespaces"), "{}", answer.message());
        assert!(answer.message().contains(&words), "{}", answer.message());
    }
    let overlap = cluster_scoped("Tenant", &other, json!({"topicPrefix": format!("{}x.", t.prefix)}));
    let answer = t.kube.ask(&overlap, Way::Apply).await;
    assert!(answer.message().contains("overlaps with"), "{}", answer.message());

    t.made("orders", "{}").await;
    let place = Place::ours("Tenant", &t.namespace);
    let answer = t.kube.ask_to_delete(&place).await;
    refused(&answer, Reason::ResourceInUse, &format!("still has EventTopics: {}/orders", t.namespace));
    t.remove("orders").await;
    assert_eq!(t.kube.ask_to_delete(&place).await.status, 200, "nothing is left");
}

/// As `kubectl apply -f` of a folder does it, and `kubectl delete -f`: nothing waits in between.
#[tokio::test]
async fn what_is_applied_in_one_go_is_not_held_against_what_came_just_before() {
    let t = Fixture::without_tenant(Stage::with_webhook(), "answer").await;
    let mut tenant = cluster_scoped("Tenant", &t.namespace, json!({"namespaces": [t.namespace]}));
    for round in 0..10 {
        tenant["spec"]["description"] = json!(round.to_string());
        t.apply(&tenant).await;
        let answer = t.kube.ask(&t.manifest("orders", "{}"), Way::Apply).await;
        assert_eq!(answer.status, 201, "round {round}: {}", answer.message());
        assert_eq!(t.kube.ask_to_delete(&t.place("orders")).await.status, 200);
        let answer = t.kube.ask_to_delete(&Place::ours("Tenant", &t.namespace)).await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.message());
    }
}

#[tokio::test]
async fn a_cluster_with_topics_stays() {
    let t = place("answer").await;
    t.made("orders", "{}").await;
    let answer = t.kube.ask_to_delete(&Place::ours("KafkaCluster", "main")).await;
    refused(&answer, Reason::ResourceInUse, "EventTopics live in KafkaCluster main");
}

#[tokio::test]
async fn the_finalizer_is_there_from_the_beginning() {
    let t = place("answer").await;
    let made = t.declare("orders", "deletionPolicy: Delete").await;
    assert_eq!(made.finalizers(), [DELETE_FINALIZER]);
    t.ready("orders").await;
    assert!(t.declare("retained", "{}").await.finalizers().is_empty());
    t.remove("orders").await;
}

/// What cannot matter is not asked about: status, finalizers, labels, and what is being deleted. That data is to be
/// deleted with a resource may need approval.
#[tokio::test]
async fn requests_that_cannot_matter_never_reach_the_webhook() {
    let t = place(&format!("quiet-{}", unique())).await;
    t.made("orders", "deletionPolicy: Delete").await;
    t.settled().await;
    // Other tests create and update topics at the same time, so only this namespace's lines are counted.
    let log = || {
        let said = std::fs::read_to_string(&t.stage.log).expect("a log");
        let ours = format!("namespace=\"{}\"", t.namespace);
        said.lines().filter(|line| line.contains(&ours) && line.contains("review: ")).count()
    };
    assert!(log() > 0, "reviews are logged");
    let quiet = log();
    let patch = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"example.com/x": "y"}}});
    t.kube.merge(&t.place("orders"), &patch).await;
    let finalizers = json!({"metadata": {"finalizers": ["example.com/hold", DELETE_FINALIZER]}});
    t.kube.merge(&t.place("orders"), &finalizers).await;
    assert_eq!(log(), quiet);
    t.declare("kept", "{owner: {team: a}}").await;
    let before = log();
    t.delete("kept").await;
    assert_eq!(log(), before + 1, "its data stays, and it is recorded who deletes");
    t.delete("orders").await;
    assert_eq!(log(), before + 2, "its data goes");
    let held = until(async || {
        let topic = t.get("orders").await;
        if topic.finalizers() == ["example.com/hold"] {
            Ok(())
        } else {
            Err(format!("{:?}", topic.finalizers()))
        }
    });
    held.await.expect("the operator has let it go");
    // Being deleted, whatever is changed is nobody's business any more.
    t.kube
        .merge(
            &t.place("orders"),
            &json!({"spec": {"description": "gone"}, "metadata": {"finalizers": null}}),
        )
        .await;
    t.gone("orders").await;
    assert_eq!(log(), before + 2);
    t.annotate("marker-0", "paused", Some("true")).await;
    assert_eq!(log(), before + 3, "an annotation of ours matters");
    assert!(reviews(&["kind=\"EventTopic\"", "outcome=\"allowed\""]) >= 1.0);
}

#[tokio::test]
async fn configmaps_are_asked_about_by_their_label() {
    let t = place("answer").await;
    let before = reviews(&["kind=\"ConfigMap\""]);
    let map = |name: &str, label: &str, data: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": t.namespace, "labels": {"eventcenter.io/schema": label}},
            "data": {"a": data},
        })
    };
    t.apply(&map("other", "false", "{}")).await;
    assert_eq!(reviews(&["kind=\"ConfigMap\""]), before);
    t.apply(&map("schema", "true", "{}")).await;
    assert_eq!(reviews(&["kind=\"ConfigMap\""]), before + 1.0);
    t.apply(&map("schema", "true", "{}")).await;
    assert_eq!(reviews(&["kind=\"ConfigMap\""]), before + 1.0, "nothing changed");
    t.apply(&map("schema", "true", "[]")).await;
    t.apply(&map("schema", "no", "[]")).await;
    assert_eq!(reviews(&["kind=\"ConfigMap\""]), before + 3.0, "its data, and its label");
}

#[tokio::test]
async fn a_suspended_tenant_changes_nothing_and_may_delete() {
    let t = place("answer").await;
    t.made("orders", "{}").await;
    t.tenant(json!({"namespaces": [t.namespace], "suspended": true})).await;
    let wrong = t.manifest("orders", "partitions: 2");
    let refused = until(async || {
        let answer = t.kube.ask(&wrong, Way::DryRun).await;
        if answer.message().contains("TenantSuspended") {
            Ok(answer.status)
        } else {
            Err(answer.message().into())
        }
    });
    assert_eq!(refused.await.expect("it is suspended"), 403);
    t.remove("orders").await;
}

#[tokio::test]
async fn a_resource_of_before_the_webhook_can_still_be_labelled() {
    let t = place("answer").await;
    t.made("orders", "{}").await;
    // The tenant loses the namespace; the topic that is there is told so by the controller.
    t.tenant(json!({"namespaces": []})).await;
    t.condition("orders", "Ready=False TenantNotFound").await;
    t.kube.merge(&t.place("orders"), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    let answer = t.kube.ask(&t.manifest("orders", "partitions: 2"), Way::Apply).await;
    refused(&answer, Reason::TenantNotFound, "belongs to no tenant");
    let topic: EventTopic = t.get("orders").await;
    assert_eq!((topic.spec.partitions, topic.labels().len()), (1, 1));
}
