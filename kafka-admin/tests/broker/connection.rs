//! Connections: making, losing, refusing and closing them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eventcenter_kafka_admin::{
    AdminClient, BrokerError, ClientEvent, ErrorCode, NewClientError, RequestError, TopicConfigAlteration,
};

use crate::support::{
    TIMEOUT, bootstrap, client, create, describe, eventually, plain, properties, sasl_client, unique,
};

#[tokio::test]
async fn a_property_that_librdkafka_refuses_is_named() {
    let unknown = AdminClient::new(&properties(&[("bootstrap.server", "x")]), |_| {}).expect_err("a refusal");
    assert_eq!(
        unknown.to_string(),
        r#"property "bootstrap.server": No such configuration property: "bootstrap.server""#
    );
    let value =
        AdminClient::new(&properties(&[("security.protocol", "none")]), |_| {}).expect_err("a refusal");
    assert!(matches!(value, NewClientError::Property { .. }), "{value}");
    let nul = AdminClient::new(&properties(&[("client.id", "a\0b")]), |_| {}).expect_err("a refusal");
    assert!(matches!(nul, NewClientError::Property { .. }), "{nul}");
    let whole = properties(&[("security.protocol", "ssl"), ("ssl.ca.location", "/no/such/file")]);
    let whole = AdminClient::new(&whole, |_| {}).expect_err("a refusal");
    assert!(matches!(whole, NewClientError::Create(_)), "{whole}");
}

#[tokio::test]
async fn without_a_broker_a_request_ends_in_time_and_tells_why() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let observer = move |event| seen.lock().expect("no panic before").push(event);
    let client =
        AdminClient::new(&properties(&[("bootstrap.servers", "127.0.0.1:1")]), observer).expect("a client");
    let start = Instant::now();
    let timeout = Duration::from_millis(1_500);
    let (cluster, list) = tokio::join!(client.describe_cluster(timeout), client.list_topics(timeout));
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    for error in [cluster.expect_err("no broker"), list.expect_err("no broker")] {
        assert!(error.is_retriable());
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
    assert!(
        events
            .lock()
            .expect("no panic before")
            .iter()
            .any(|event| matches!(event, ClientEvent::Error { code, .. } if *code == ErrorCode::TRANSPORT))
    );

    let start = Instant::now();
    client.close().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(
        client.describe_cluster(timeout).await,
        Err(RequestError::Closed { operation: "DescribeCluster" })
    );
    assert_eq!(client.list_topics(timeout).await, Err(RequestError::Closed { operation: "Metadata" }));
    client.close().await;
    let start = Instant::now();
    drop(client);
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[tokio::test]
async fn a_drop_does_not_block() {
    for servers in ["127.0.0.1:1".to_owned(), bootstrap("KAFKA_BOOTSTRAP")] {
        let client =
            AdminClient::new(&properties(&[("bootstrap.servers", &servers)]), |_| {}).expect("a client");
        let _ = client.describe_cluster(Duration::from_millis(500)).await;
        let start = Instant::now();
        drop(client);
        assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_to_the_observer_and_with_the_request() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let client =
        sasl_client("admin", "wrong", move |event| seen.lock().expect("no panic before").push(event));
    let error = client.describe_cluster(Duration::from_secs(2)).await.expect_err("no access");
    assert!(matches!(error, RequestError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("Authentication failed"), "{error}");
    let error = client.list_topics(Duration::from_secs(2)).await.expect_err("no access");
    assert!(error.to_string().contains("Authentication failed"), "{error}");
    let events = events.lock().expect("no panic before");
    let authentication = events.iter().find_map(|event| match event {
        ClientEvent::Error { code: ErrorCode::AUTHENTICATION, message } => Some(message),
        _ => None,
    });
    let text = authentication.expect("an authentication error");
    assert!(text.contains("invalid credentials"), "{text}");
    assert!(
        events.iter().any(|event| matches!(event, ClientEvent::Log { facility, .. } if facility == "FAIL"))
    );
}

#[tokio::test]
async fn a_user_without_rights_is_refused_topic_by_topic() {
    let admin = sasl_client("admin", "admin-secret", |_| {});
    let alice = sasl_client("alice", "alice-secret", |_| {});
    let (existing, other) = (unique("existing"), unique("other"));
    create(&admin, &[plain(&existing)]).await;
    let both = [existing.clone(), other.clone()];

    let created = alice.create_topics(&[plain(&existing), plain(&other)], TIMEOUT).await.expect("an answer");
    let removed = alice.delete_topics(&both, TIMEOUT).await.expect("an answer");
    let grown = alice.create_partitions(&[(existing.clone(), 4)], TIMEOUT).await.expect("an answer");
    let change = TopicConfigAlteration {
        topic: existing.clone(),
        set: properties(&[("retention.ms", "1")]),
        reset: Vec::new(),
    };
    let altered = alice.incremental_alter_configs(&[change], TIMEOUT).await.expect("an answer");
    for result in created.iter().chain(&removed).chain(&grown).chain(&altered) {
        let error = result.as_ref().expect_err("a refusal");
        assert!(error.is_authorization(), "{error:?}");
        assert!(!error.message().is_empty());
    }
    let described = alice.describe_topics(&both, TIMEOUT).await.expect("an answer");
    assert!(
        described.iter().all(|topic| topic.as_ref().is_err_and(BrokerError::is_authorization)),
        "{described:?}"
    );
    let configs = alice.describe_configs(&both, TIMEOUT).await.expect("an answer");
    assert!(
        configs.iter().all(|topic| topic.as_ref().is_err_and(BrokerError::is_authorization)),
        "{configs:?}"
    );
    let broker = alice.describe_cluster(TIMEOUT).await.expect("an answer").brokers[0].id;
    let broker = alice.describe_broker_configs(broker, TIMEOUT).await.expect("an answer");
    assert!(broker.is_err_and(|error| error.is_authorization()));
    assert!(!alice.list_topics(TIMEOUT).await.expect("names").contains(&existing));
    assert!(describe(&admin, &existing).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn futures_dropped_in_flight_and_many_at_once_do_no_harm() {
    let client = Arc::new(client());
    let prefix = unique("dropped");
    for i in 0..60_u64 {
        let name = format!("{prefix}-{i}");
        let moment = Duration::from_micros(i * 60);
        let topics = [plain(&name)];
        let _ = tokio::time::timeout(moment, client.create_topics(&topics, TIMEOUT)).await;
        let _ = tokio::time::timeout(moment, client.describe_configs(&[name], TIMEOUT)).await;
        let _ = tokio::time::timeout(moment, client.list_topics(Duration::from_secs(5))).await;
    }
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let client = Arc::clone(&client);
            let name = unique("concurrent");
            tokio::spawn(async move {
                match i % 3 {
                    0 => {
                        client.create_topics(&[plain(&name)], TIMEOUT).await.map(|results| results[0].is_ok())
                    }
                    1..5 => client.describe_topics(&[name], TIMEOUT).await.map(|results| results[0].is_err()),
                    _ => client.describe_cluster(TIMEOUT).await.map(|cluster| cluster.brokers.len() == 1),
                }
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Ok(true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_requests_in_flight() {
    for round in 0..20 {
        // Every second round has no broker, so that nothing can be answered.
        let servers = if round % 2 == 0 { "127.0.0.1:1".to_owned() } else { bootstrap("KAFKA_BOOTSTRAP") };
        let client =
            AdminClient::new(&properties(&[("bootstrap.servers", &servers)]), |_| {}).expect("a client");
        let client = Arc::new(client);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let client = Arc::clone(&client);
                let topics = [plain(&unique("closing"))];
                tokio::spawn(async move { client.create_topics(&topics, TIMEOUT).await })
            })
            .collect();
        let listing = Arc::clone(&client);
        let listing = tokio::spawn(async move { listing.list_topics(Duration::from_secs(1)).await });
        tokio::task::yield_now().await;
        let start = Instant::now();
        client.close().await;
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(results) => assert!(round % 2 == 1 && results[0].is_ok(), "{results:?}"),
                Err(error) => assert_eq!(error, RequestError::Closed { operation: "CreateTopics" }),
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let _ = listing.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_panic_of_the_observer_does_not_end_the_client() {
    let servers = bootstrap("KAFKA_BOOTSTRAP");
    // A consumer's property, about which librdkafka logs a warning.
    let properties = properties(&[("bootstrap.servers", &servers), ("session.timeout.ms", "10000")]);
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let client = AdminClient::new(&properties, move |_| {
        *count.lock().expect("no panic before") += 1;
        std::panic::resume_unwind(Box::new("the observer's own fault"));
    })
    .expect("a client");
    eventually("an event", || async { (*seen.lock().expect("no panic before") > 0).then_some(()) }).await;
    client.describe_cluster(TIMEOUT).await.expect("an answer");
}
