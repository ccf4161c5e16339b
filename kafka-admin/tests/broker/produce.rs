//! Producing messages.

use eventcenter_kafka_admin::RequestError;

use crate::support::{client, create, default_topic, sasl_client, unique_name};

#[tokio::test]
async fn a_message_is_delivered_or_the_failure_is_reported() {
    let client = client();
    let topic = unique_name("messages");
    create(&client, &[default_topic(&topic)]).await;
    client.produce(&topic, b"key", b"value").await.expect("delivered");
    client.produce(&topic, b"", &[7; 100_000]).await.expect("delivered");
    let large = vec![0; 20_000_000];
    let refused = client.produce(&topic, b"key", &large).await.expect_err("too large");
    assert!(matches!(&refused, RequestError::Failed { operation: "Produce", .. }), "{refused}");
    let refused = client.produce("a\0b", b"", b"").await.expect_err("an invalid name");
    assert!(matches!(&refused, RequestError::InvalidInput { .. }), "{refused}");
    client.close().await;
    let closed = client.produce(&topic, b"", b"").await.expect_err("closed");
    assert!(matches!(closed, RequestError::Closed { .. }), "{closed}");
}

#[tokio::test]
async fn a_missing_write_authorization_is_reported() {
    let admin = sasl_client("admin", "admin-secret", |_| {});
    let topic = unique_name("forbidden-messages");
    create(&admin, &[default_topic(&topic)]).await;
    admin.produce(&topic, b"key", b"value").await.expect("delivered");
    let alice = sasl_client("alice", "alice-secret", |_| {});
    let refused = alice.produce(&topic, b"key", b"value").await.expect_err("unauthorized");
    let message = refused.to_string();
    assert!(message.contains("authorization") && !message.contains("value"), "{message}");
}
