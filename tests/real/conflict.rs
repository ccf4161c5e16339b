//! Two resources stand for one Kafka topic.

use crate::support::{Fixture, has, message};

async fn owner_and_other(spec: &str) -> Fixture {
    let t = Fixture::new("conflict").await;
    let spec = format!("{{topicName: {}, {spec}}}", t.name("shared"));
    t.made("older", &spec).await;
    t.younger().await;
    t.declare("younger", &spec).await;
    t.condition("younger", "Ready=False ResourceConflict").await;
    t
}

#[tokio::test]
async fn the_older_one_owns_it_and_the_other_says_so() {
    let t = owner_and_other("partitions: 2").await;
    let younger = t.get("younger").await;
    assert_eq!(
        message(&younger, "Stalled"),
        format!(
            "Kafka topic {} in cluster main belongs to EventTopic {}/older, which is older: delete one of the two, or set \
             another spec.topicName in a new EventTopic",
            t.name("shared"),
            t.namespace
        )
    );
    assert!(has(&t.get("older").await, "Ready=True Available"), "nobody disturbs the owner");
    t.event("younger", "ResourceConflict", "belongs to EventTopic").await;
    // What the loser declares is of no consequence.
    let spec = format!("{{topicName: {}, partitions: 5, config: {{flush.ms: 1000}}}}", t.name("shared"));
    t.declare("younger", &spec).await;
    t.condition("younger", "Ready=False ResourceConflict").await;
    t.settled().await;
    let kafka = t.kafka_topic("shared").await.expect("it is there");
    assert_eq!((kafka.partitions, kafka.config.len()), (2, 0));
}

#[tokio::test]
async fn a_default_name_counts_like_a_written_one() {
    let t = Fixture::new("conflict").await;
    t.made("orders", "{}").await;
    t.younger().await;
    t.declare("same", &format!("topicName: {}", t.name("orders"))).await;
    t.condition("same", "Ready=False ResourceConflict").await;

    t.made("other", &format!("topicName: {}", t.name("products"))).await;
    t.younger().await;
    t.declare("products", "{}").await;
    let refused = t.condition("products", "Ready=False ResourceConflict").await;
    assert!(message(&refused, "Ready").contains(&format!("{}/other", t.namespace)));
}

#[tokio::test]
async fn the_loser_goes_without_taking_the_topic_along() {
    let t = owner_and_other("deletionPolicy: Delete").await;
    let before = t.kafka_topic("shared").await;
    t.remove("younger").await;
    t.settled().await;
    assert_eq!(t.kafka_topic("shared").await, before);
    assert!(has(&t.get("older").await, "Ready=True Available"));
}

#[tokio::test]
async fn the_next_one_takes_over_when_the_owner_goes() {
    let t = owner_and_other("deletionPolicy: Delete").await;
    let before = t.kafka_topic("shared").await.expect("it is there");
    t.remove("older").await;
    let heir = t.ready("younger").await;
    assert_eq!(heir.status.and_then(|status| status.topic_id), Some(before.id.clone()), "the data stays");
    assert_eq!(t.kafka_topic("shared").await, Some(before));
    t.event("older", "Retained", &format!("EventTopic {}/younger takes the topic over", t.namespace)).await;
    // Now it is the heir's to delete.
    t.remove("younger").await;
    t.deleted("shared").await;
}

#[tokio::test]
async fn the_next_one_takes_over_when_the_owner_lets_go() {
    let t = owner_and_other("partitions: 1").await;
    // The owner grows the topic, then leaves it: what is left is more than the next one declares.
    t.made("older", &format!("{{topicName: {}, partitions: 3}}", t.name("shared"))).await;
    t.annotate("older", "managed", Some("false")).await;
    t.condition("older", "Ready=True Unmanaged").await;
    let heir = t.condition("younger", "Ready=False NotSupported").await;
    assert!(message(&heir, "Ready").contains("set spec.partitions: 3"));
    t.made("younger", &format!("{{topicName: {}, partitions: 3}}", t.name("shared"))).await;
    // Whoever comes back is the older one again.
    t.annotate("older", "managed", None).await;
    t.condition("older", "Ready=True Available").await;
    t.condition("younger", "Ready=False ResourceConflict").await;
}

#[tokio::test]
async fn of_two_made_at_once_exactly_one_owns_it() {
    let t = Fixture::new("conflict").await;
    for round in 0..5 {
        let name = t.name(&format!("shared-{round}"));
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        let spec = format!("topicName: {name}");
        let configured = format!("{{{spec}, config: {{flush.ms: 1}}}}");
        tokio::join!(t.declare(&one, &spec), t.declare(&other, &configured));
        let settled = |topic: &eventcenter::api::EventTopic| {
            has(topic, "Ready=True Available") || has(topic, "Ready=False ResourceConflict")
        };
        // The first of them may be Ready for a moment before the other is seen and turns out to be the older one.
        let (owner, loser) = loop {
            let (a, b) = (t.wait(&one, "settled", settled).await, t.wait(&other, "settled", settled).await);
            match (has(&a, "Ready=True"), has(&b, "Ready=True")) {
                (true, false) => break (&one, b),
                (false, true) => break (&other, a),
                _ => tokio::time::sleep(crate::support::GLANCE).await,
            }
        };
        let told = message(&loser, "Ready");
        assert!(told.contains(&format!("{}/{owner}, which is older", t.namespace)), "{told}");
        t.remove(owner).await;
        t.ready(&loser.metadata.name.expect("a name")).await;
    }
}
