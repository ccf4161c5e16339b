//! Reading partitions from offsets, and listing offsets.

use std::time::{Duration, Instant};

use eventcenter_kafka_admin::{
    AclBinding, AclOperation, AclPermissionType, Consumer, ErrorCode, Message, NewTopic, OffsetSpec,
    PatternType, Polled, Record, ResourceType,
};

use crate::support::{TIMEOUT, bootstrap, client, create, properties, sasl_client, unique_name};

fn consumer() -> Consumer {
    let servers = bootstrap("KAFKA_BOOTSTRAP");
    Consumer::new(&properties(&[("bootstrap.servers", &servers)])).expect("a consumer")
}

/// Polls until something is as expected, one by one, so that nothing is dropped that follows it.
fn poll_until<T>(consumer: &mut Consumer, mut select: impl FnMut(Polled) -> Option<T>) -> T {
    let deadline = Instant::now() + 3 * TIMEOUT;
    while Instant::now() < deadline {
        for polled in consumer.poll(Duration::from_millis(200), 1) {
            if let Some(found) = select(polled) {
                return found;
            }
        }
    }
    panic!("nothing of the expected kind was received");
}

fn next_record(consumer: &mut Consumer) -> Record {
    poll_until(consumer, |polled| match polled {
        Polled::Record(record) => Some(record),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_read_from_any_offset_without_a_group() {
    let client = client();
    let topic = unique_name("read");
    create(&client, &[NewTopic { name: topic.clone(), partitions: Some(2), ..NewTopic::default() }]).await;
    let headers = [("ce_type".to_owned(), "Ü".to_owned())];
    for value in ["a", "b", "c"] {
        // One key, so that all are in one partition.
        let message = Message { topic: &topic, key: b"k", headers: &headers, value: value.as_bytes() };
        client.produce_message(message).await.expect("delivered");
    }
    let both = [(topic.clone(), 0), (topic.clone(), 1)];
    let ends = client.list_offsets(&both, OffsetSpec::Latest, TIMEOUT).await.expect("a response");
    let ends: Vec<i64> = ends.into_iter().map(|end| end.expect("an offset")).collect();
    assert_eq!(ends.iter().sum::<i64>(), 3);
    let partition = i32::from(ends[1] == 3);
    let first = client.list_offsets(&both, OffsetSpec::Earliest, TIMEOUT).await.expect("a response");
    assert_eq!(first, [Ok(0), Ok(0)]);

    tokio::task::block_in_place(|| {
        let mut consumer = consumer();
        consumer.start(&topic, partition, 1).expect("a topic");
        let record = next_record(&mut consumer);
        assert_eq!((record.offset, record.value.as_deref()), (1, Some(&b"b"[..])));
        assert_eq!(record.headers, [("ce_type".to_owned(), Some("Ü".as_bytes().to_vec()))]);
        assert_eq!((record.topic.as_str(), record.partition), (topic.as_str(), partition));
        assert!(record.timestamp.is_some());
        // What was received before a move is not returned after it.
        consumer.start(&topic, partition, 0).expect("a topic");
        let offsets: Vec<i64> = (0..3).map(|_| next_record(&mut consumer).offset).collect();
        assert_eq!(offsets, [0, 1, 2]);
        assert_eq!(consumer.last_known_end(&topic, partition), Some(3));

        consumer.start(&topic, partition, 7).expect("a topic");
        let error = poll_until(&mut consumer, |polled| match polled {
            Polled::Failed { error, .. } => Some(error),
            _ => None,
        });
        assert_eq!(error.code(), ErrorCode::AUTO_OFFSET_RESET, "{error}");
        consumer.start(&topic, partition, 2).expect("a topic");
        assert_eq!(next_record(&mut consumer).offset, 2);
        consumer.stop(&topic, partition);
        consumer.stop(&topic, partition);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_read_authorization_is_reported_for_the_partition() {
    let admin = sasl_client("admin", "admin-secret", |_| {});
    let topic = unique_name("unreadable");
    create(&admin, &[crate::support::default_topic(&topic)]).await;
    let describe = AclBinding {
        resource_type: ResourceType::Topic,
        name: topic.clone(),
        pattern_type: PatternType::Literal,
        principal: "User:alice".into(),
        host: "*".into(),
        operation: AclOperation::Describe,
        permission_type: AclPermissionType::Allow,
    };
    assert_eq!(admin.create_acls(&[describe], TIMEOUT).await.expect("a response"), [Ok(())]);
    tokio::task::block_in_place(|| {
        let servers = bootstrap("KAFKA_SASL_BOOTSTRAP");
        let mut consumer = Consumer::new(&properties(&[
            ("bootstrap.servers", &servers),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "alice-secret"),
        ]))
        .expect("a consumer");
        consumer.start(&topic, 0, 0).expect("a topic");
        let (failed, error) = poll_until(&mut consumer, |polled| match polled {
            Polled::Failed { topic, error, .. } => Some((topic, error)),
            _ => None,
        });
        assert_eq!(failed, topic);
        assert!(error.is_authorization(), "{error}");
    });
}
