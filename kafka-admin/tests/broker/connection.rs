//! Connections: failing to connect, authentication, cancellation and closing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eventcenter_kafka_admin::{
    AdminClient, BrokerError, ClientEvent, ErrorCode, NewClientError, RequestError, TopicConfigAlteration,
};

use crate::support::{
    TIMEOUT, bootstrap, client, create, default_topic, describe, eventually, properties, sasl_client,
    unique_name,
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
    let invalid = properties(&[("security.protocol", "ssl"), ("ssl.ca.location", "/no/such/file")]);
    let invalid = AdminClient::new(&invalid, |_| {}).expect_err("a refusal");
    assert!(matches!(invalid, NewClientError::Create(_)), "{invalid}");
}

#[tokio::test]
async fn without_a_broker_a_request_times_out_with_the_cause() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&events);
    let observer = move |event| observed.lock().expect("not poisoned").push(event);
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
            .expect("not poisoned")
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
async fn dropping_the_client_does_not_block() {
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
async fn a_wrong_password_is_reported_to_the_observer_and_the_caller() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&events);
    let client =
        sasl_client("admin", "wrong", move |event| observed.lock().expect("not poisoned").push(event));
    let error = client.describe_cluster(Duration::from_secs(2)).await.expect_err("no access");
    assert!(matches!(error, RequestError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("Authentication failed"), "{error}");
    let error = client.list_topics(Duration::from_secs(2)).await.expect_err("no access");
    assert!(error.to_string().contains("Authentication failed"), "{error}");
    let events = events.lock().expect("not poisoned");
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
async fn an_unauthorized_user_gets_an_error_for_each_topic() {
    let admin = sasl_client("admin", "admin-secret", |_| {});
    let alice = sasl_client("alice", "alice-secret", |_| {});
    let (existing, other) = (unique_name("existing"), unique_name("other"));
    create(&admin, &[default_topic(&existing)]).await;
    let both = [existing.clone(), other.clone()];

    let created = alice
        .create_topics(&[default_topic(&existing), default_topic(&other)], TIMEOUT)
        .await
        .expect("a response");
    let deleted = alice.delete_topics(&both, TIMEOUT).await.expect("a response");
    let extended = alice.create_partitions(&[(existing.clone(), 4)], TIMEOUT).await.expect("a response");
    let change = TopicConfigAlteration {
        topic: existing.clone(),
        set: properties(&[("retention.ms", "1")]),
        reset: Vec::new(),
    };
    let altered = alice.incremental_alter_configs(&[change], TIMEOUT).await.expect("a response");
    for result in created.iter().chain(&deleted).chain(&extended).chain(&altered) {
        let error = result.as_ref().expect_err("a refusal");
        assert!(error.is_authorization(), "{error:?}");
        assert!(!error.message().is_empty());
    }
    let described = alice.describe_topics(&both, TIMEOUT).await.expect("a response");
    assert!(
        described.iter().all(|topic| topic.as_ref().is_err_and(BrokerError::is_authorization)),
        "{described:?}"
    );
    let configs = alice.describe_configs(&both, TIMEOUT).await.expect("a response");
    assert!(
        configs.iter().all(|topic| topic.as_ref().is_err_and(BrokerError::is_authorization)),
        "{configs:?}"
    );
    let broker = alice.describe_cluster(TIMEOUT).await.expect("a response").brokers[0].id;
    let broker = alice.describe_broker_configs(broker, TIMEOUT).await.expect("a response");
    assert!(broker.is_err_and(|error| error.is_authorization()));
    assert!(!alice.list_topics(TIMEOUT).await.expect("names").contains(&existing));
    assert!(describe(&admin, &existing).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_futures_and_concurrent_requests_are_safe() {
    let client = Arc::new(client());
    let prefix = unique_name("dropped");
    for i in 0..60_u64 {
        let name = format!("{prefix}-{i}");
        let moment = Duration::from_micros(i * 60);
        let topics = [default_topic(&name)];
        let _ = tokio::time::timeout(moment, client.create_topics(&topics, TIMEOUT)).await;
        let _ = tokio::time::timeout(moment, client.describe_configs(&[name], TIMEOUT)).await;
        let _ = tokio::time::timeout(moment, client.list_topics(Duration::from_secs(5))).await;
    }
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let client = Arc::clone(&client);
            let name = unique_name("concurrent");
            tokio::spawn(async move {
                match i % 3 {
                    0 => client
                        .create_topics(&[default_topic(&name)], TIMEOUT)
                        .await
                        .map(|results| results[0].is_ok()),
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
        // Every second round has no broker, so no request gets a response.
        let servers = if round % 2 == 0 { "127.0.0.1:1".to_owned() } else { bootstrap("KAFKA_BOOTSTRAP") };
        let client =
            AdminClient::new(&properties(&[("bootstrap.servers", &servers)]), |_| {}).expect("a client");
        let client = Arc::new(client);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let client = Arc::clone(&client);
                let topics = [default_topic(&unique_name("closing"))];
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
    // A consumer's property, for which librdkafka logs a warning.
    let properties = properties(&[("bootstrap.servers", &servers), ("session.timeout.ms", "10000")]);
    let observed = Arc::new(Mutex::new(0));
    let count = Arc::clone(&observed);
    let client = AdminClient::new(&properties, move |_| {
        *count.lock().expect("not poisoned") += 1;
        std::panic::resume_unwind(Box::new("a bug of the observer"));
    })
    .expect("a client");
    eventually("an event", || async { (*observed.lock().expect("not poisoned") > 0).then_some(()) }).await;
    client.describe_cluster(TIMEOUT).await.expect("a response");
}
