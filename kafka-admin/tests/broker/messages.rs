//! Messages that are appended to a topic.

use eventcenter_kafka_admin::RequestError;

use crate::support::{client, create, plain, sasl_client, unique};

#[tokio::test]
async fn a_message_is_appended_or_the_failure_is_told() {
    let client = client();
    let topic = unique("messages");
    create(&client, &[plain(&topic)]).await;
    client.append(&topic, b"key", b"value").await.expect("it is appended");
    client.append(&topic, b"", &[7; 100_000]).await.expect("it is appended");
    let large = vec![0; 20_000_000];
    let refused = client.append(&topic, b"key", &large).await.expect_err("it is too large");
    assert!(matches!(&refused, RequestError::Failed { operation: "Produce", .. }), "{refused}");
    let refused = client.append("a\0b", b"", b"").await.expect_err("no name");
    assert!(matches!(&refused, RequestError::InvalidInput { .. }), "{refused}");
    client.close().await;
    let closed = client.append(&topic, b"", b"").await.expect_err("it is closed");
    assert!(matches!(closed, RequestError::Closed { .. }), "{closed}");
}

#[tokio::test]
async fn whoever_may_not_write_is_told_so() {
    let admin = sasl_client("admin", "admin-secret", |_| {});
    let topic = unique("forbidden-messages");
    create(&admin, &[plain(&topic)]).await;
    admin.append(&topic, b"key", b"value").await.expect("it is appended");
    let alice = sasl_client("alice", "alice-secret", |_| {});
    let refused = alice.append(&topic, b"key", b"value").await.expect_err("she may not");
    let told = refused.to_string();
    assert!(told.contains("authorization") && !told.contains("value"), "{told}");
}
