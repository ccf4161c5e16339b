//! Recreating, not managing, pausing and deleting a resource do not bypass approval.

use eventcenter::api::{ApprovalAction, GovernedChange};
use serde_json::json;

use super::fixture::{ApprovalFixture, ONE_APPROVAL, approved, pending};
use crate::support::signer::DecisionInput;
use crate::support::{has_condition, message};

#[tokio::test]
async fn a_recreated_resource_needs_approval_again() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let old = s.apply_approved("orders", "config: {retention.ms: 86400000}").await;
    s.t.topic("orders").delete_and_wait().await;
    let before = s.t.kafka_topic("orders").await.expect("the Kafka topic exists");
    // The approval of the deleted resource, which had the same content and generation, does not count.
    s.webhook.store(&s.t.namespace, s.webhook.decision(&old, DecisionInput::approve("bob"))).await;
    s.request("orders", "config: {retention.ms: 86400000}").await;
    s.wait_until_pending("orders").await;
    // The status of the deleted resource does not count.
    s.forge("orders", json!({ "approved": approved(&old) })).await;
    s.t.topic("orders").wait_for_condition("Approved=False AwaitingApproval").await;
    // The change would adopt an existing topic and reduce its retention.
    s.request("orders", "config: {retention.ms: 1000}").await;
    s.wait_until_pending("orders").await;
    s.approve("orders", "alice").await;
    s.apply_approved("marker", "{}").await;
    s.wait_for_reconcile("marker").await;
    assert_eq!(s.t.kafka_topic("orders").await, Some(before));
    s.approve("orders", "bob").await;
    s.t.wait_for_kafka_topic("orders", "retention.ms is 1000", |topic| {
        topic.get("retention.ms") == Some("1000")
    })
    .await;
}

#[tokio::test]
async fn pausing_or_not_managing_does_not_bypass_approval() {
    let s = ApprovalFixture::new(ONE_APPROVAL).await;
    let before = s.apply_approved("orders", "{}").await;
    s.t.topic("orders").annotate("managed", Some("false")).await;
    let unmanaged = s.t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    assert!(before.status.is_some_and(|status| status.approved.is_some()));
    assert_eq!(
        unmanaged.status.and_then(|status| status.approved),
        None,
        "another resource may own the topic now"
    );
    s.request("orders", "partitions: 3").await;
    s.t.topic("orders").wait_for_condition("Ready=True Unmanaged").await;
    s.t.topic("orders").annotate("managed", None).await;
    s.wait_until_pending("orders").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    // Pausing does not bypass approval either.
    s.t.topic("orders").annotate("paused", Some("true")).await;
    s.request("orders", "partitions: 4").await;
    let paused =
        s.t.topic("orders")
            .wait_for_status("paused", |topic| has_condition(topic, "Ready=False Paused"))
            .await;
    assert!(has_condition(&paused, "Approved=False"));
    s.t.topic("orders").annotate("paused", None).await;
    s.wait_until_pending("orders").await;
    s.apply_approved("marker", "{}").await;
    s.wait_for_reconcile("marker").await;
    assert_eq!(s.partitions("orders").await, Some(1));
    s.approve("orders", "bob").await;
    s.t.topic("orders").wait_until_ready().await;
    s.t.wait_for_partitions("orders", 4).await;
}

#[tokio::test]
async fn data_is_deleted_only_with_approval() {
    let s = ApprovalFixture::new("rules: [{changes: [Delete], groups: [approvers]}]").await;
    for name in ["orders", "early", "kept"] {
        s.t.topic(name).apply("deletionPolicy: Delete").await;
        s.t.topic(name).wait_until_ready().await;
    }
    let delete = DecisionInput { action: ApprovalAction::Delete, ..DecisionInput::approve("bob") };
    // Without the webhook nobody knows who deletes, which takes one approval more.
    let another = DecisionInput { by: "carol", ..delete.clone() };
    // The deletion is approved in advance, although Kubernetes increments the generation on deletion.
    let generation = s.t.topic("early").get().await.metadata.generation;
    s.decide("early", delete.clone()).await;
    s.decide("early", another.clone()).await;
    s.t.topic("early").delete_and_wait().await;
    s.t.wait_until_kafka_topic_deleted("early").await;
    assert_eq!(generation, Some(1));

    for name in ["orders", "kept"] {
        s.t.topic(name).delete().await;
    }
    let waiting = s
        .t
        .topic("orders")
        .wait_for_status("awaiting approval", |topic| has_condition(topic, "Ready=False AwaitingApproval"))
        .await;
    assert_eq!(waiting.metadata.generation, Some(2), "the deletion increments the generation");
    let reported = message(&waiting, "Ready");
    assert!(
        reported.starts_with(
            "Deletion is waiting for approval of Delete (0/2): the deletion is not attributed to a person"
        ),
        "{reported}"
    );
    assert_eq!(pending(&waiting)["action"], "Delete");
    assert_eq!(pending(&waiting)["changes"], json!([GovernedChange::Delete]));
    // An approval of the spec does not approve the deletion.
    s.approve("orders", "bob").await;
    s.t.topic("kept")
        .wait_for_status("awaiting approval", |topic| has_condition(topic, "Ready=False AwaitingApproval"))
        .await;
    s.t.topic("kept").apply("deletionPolicy: Retain").await;
    s.t.topic("kept").wait_until_deleted().await;
    assert!(s.partitions("orders").await.is_some() && s.partitions("kept").await.is_some());
    s.decide("orders", delete).await;
    s.wait_for_approvals("orders", "1/2").await;
    assert!(s.partitions("orders").await.is_some());
    s.decide("orders", another).await;
    s.t.topic("orders").wait_until_deleted().await;
    s.t.wait_until_kafka_topic_deleted("orders").await;
}

/// Records of what was in force do not survive that another resource owns the Kafka topic.
#[tokio::test]
async fn a_resource_that_becomes_the_owner_again_is_compared_with_kafka() {
    let s = ApprovalFixture::new("rules: [{changes: [ReduceRetention], groups: [approvers]}]").await;
    let days = |days: u64| format!("config: {{retention.ms: {}}}", days * 86_400_000);
    let twin = |spec: &str| format!("topicName: {}\n{spec}", s.t.kafka_name("pay"));
    let retention = async |days: u64| {
        let wanted = (days * 86_400_000).to_string();
        s.t.wait_for_kafka_topic("pay", &wanted, |topic| topic.get("retention.ms") == Some(wanted.as_str()))
            .await;
    };
    s.t.topic("pay").apply(&days(1)).await;
    s.t.topic("pay").wait_until_ready().await;
    s.t.wait_for_next_second().await;
    s.t.topic("twin").apply(&twin(&days(1))).await;
    s.t.topic("twin").wait_for_condition("Ready=False ResourceConflict").await;
    // Twin takes over what is in force, and keeps more.
    s.t.topic("pay").annotate("managed", Some("false")).await;
    s.t.topic("twin").wait_until_ready().await;
    s.t.topic("twin").apply(&twin(&days(90))).await;
    retention(90).await;
    // Pay becomes the owner again, with what it had in force before.
    s.t.topic("pay").annotate("managed", None).await;
    let pending_change = s.t.topic("pay").wait_for_condition("Ready=False AwaitingApproval").await;
    assert_eq!(pending(&pending_change)["changes"], json!([GovernedChange::ReduceRetention]));
    s.t.topic("pay").apply(&days(90)).await;
    let owner = s.t.topic("pay").wait_until_ready().await;
    assert!(owner.status.is_some_and(|status| status.approved.is_some()));
    // Nor does Twin keep its record when it is not the owner.
    let displaced = s.t.topic("twin").wait_for_condition("Ready=False ResourceConflict").await;
    assert_eq!(displaced.status.and_then(|status| status.approved), None);
    s.t.topic("pay").apply(&days(120)).await;
    retention(120).await;
    s.t.topic("pay").delete_and_wait().await;
    s.t.topic("twin").wait_for_condition("Ready=False AwaitingApproval").await;
    retention(120).await;
}

/// The operator sees the resources only when it is too late to notice the change of owners.
#[tokio::test]
async fn a_quick_change_of_owners_is_noticed() {
    let s = ApprovalFixture::new("rules: [{changes: [ReduceRetention], groups: [approvers]}]").await;
    let day = "config: {retention.ms: 86400000}";
    s.t.topic("pay").apply(day).await;
    s.t.topic("pay").wait_until_ready().await;
    s.t.wait_for_next_second().await;
    let more = format!("topicName: {}\nconfig: {{retention.ms: 864000000}}", s.t.kafka_name("pay"));
    s.t.topic("twin").apply(&more).await;
    s.t.topic("twin").wait_for_condition("Ready=False ResourceConflict").await;
    for _ in 0..3 {
        s.t.topic("pay").annotate("managed", Some("false")).await;
        s.t.wait_for_kafka_topic("pay", "ten days", |topic| topic.get("retention.ms") == Some("864000000"))
            .await;
        s.t.topic("pay").annotate("managed", None).await;
        s.t.topic("pay").wait_for_condition("Ready=False AwaitingApproval").await;
    }
    let topic = s.t.kafka_topic("pay").await.expect("the topic exists");
    assert_eq!(topic.get("retention.ms"), Some("864000000"));
}

/// The approver of a takeover sees what Kafka has, and approves nothing else.
#[tokio::test]
async fn a_takeover_is_reviewed_against_kafka_and_its_approval_covers_that() {
    let s = ApprovalFixture::new("rules: [{changes: [Create], groups: [approvers]}]").await;
    let kafka = &s.t.stage.kafka;
    let name = s.t.kafka_name("orders");
    kafka.create(&name, 3, &[("cleanup.policy", "compact"), ("retention.ms", "31536000000")]).await;
    s.request("orders", "partitions: 3\nconfig: {retention.ms: 3600000}").await;
    let waiting = s.wait_until_pending("orders").await;
    let diff = [
        "take over the existing Kafka topic with partitions: 3",
        "retention.ms: 31536000000 -> 3600000, which may delete records",
        "cleanup.policy: compact -> default, which may delete records",
    ];
    assert_eq!(pending(&waiting)["diff"], json!(diff));
    let hash = pending(&waiting)["takeoverHash"].as_str().expect("a hash").to_owned();
    let manifest = waiting.status.and_then(|status| status.pending?.approve_with).expect("a manifest");
    assert!(manifest.contains(&format!("takeoverHash: {hash}")), "{manifest}");
    // Kafka changes before the approval is given.
    kafka.set(&name, "retention.ms", "63072000000").await;
    let changed =
        s.t.topic("orders")
            .wait_for_status("the hash has changed", |topic| pending(topic)["takeoverHash"] != json!(hash))
            .await;
    assert!(
        pending(&changed)["diff"].to_string().contains("63072000000 -> 3600000"),
        "{}",
        pending(&changed)
    );
    let old = DecisionInput { takeover_hash: Some(&hash), ..DecisionInput::approve("bob") };
    s.decide("orders", old).await;
    s.apply_approved("marker", "{}").await;
    assert_eq!(
        kafka.topic(&name).await.and_then(|topic| Some(topic.get("retention.ms")?.to_owned())).as_deref(),
        Some("63072000000")
    );
    let current = pending(&changed)["takeoverHash"].as_str().expect("a hash").to_owned();
    s.decide("orders", DecisionInput { takeover_hash: Some(&current), ..DecisionInput::approve("carol") })
        .await;
    s.t.wait_for_kafka_topic("orders", "an hour", |topic| topic.get("retention.ms") == Some("3600000")).await;
}

#[tokio::test]
async fn an_unapproved_topic_is_never_deleted() {
    let s = ApprovalFixture::new("rules: [{changes: [Create, Any], groups: [approvers]}]").await;
    let id = s.t.stage.kafka.create(&s.t.kafka_name("theirs"), 1, &[]).await.id;
    s.request("theirs", "deletionPolicy: Delete").await;
    s.wait_until_pending("theirs").await;
    s.t.topic("theirs").delete_and_wait().await;
    s.apply_approved("orders", "{}").await;
    s.request("orders", "deletionPolicy: Delete").await;
    s.wait_until_pending("orders").await;
    s.t.topic("orders").delete_and_wait().await;
    assert_eq!(s.t.kafka_topic("theirs").await.map(|topic| topic.id), Some(id));
    assert!(s.partitions("orders").await.is_some());
}
