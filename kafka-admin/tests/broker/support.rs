//! Clients, names and polling.

use std::future::Future;
use std::time::{Duration, Instant};

use eventcenter_kafka_admin::{
    AdminClient, BrokerError, ClientEvent, ConfigSource, ErrorCode, NewTopic, TopicDescription,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn bootstrap(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: `cargo xtask test` starts a broker and sets it"))
}

pub(crate) fn properties(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

pub(crate) fn client() -> AdminClient {
    let servers = bootstrap("KAFKA_BOOTSTRAP");
    AdminClient::new(&properties(&[("bootstrap.servers", &servers)]), |_| {}).expect("a client")
}

pub(crate) fn sasl_client(
    user: &str,
    password: &str,
    observer: impl Fn(ClientEvent) + Send + Sync + 'static,
) -> AdminClient {
    let servers = bootstrap("KAFKA_SASL_BOOTSTRAP");
    let properties = properties(&[
        ("bootstrap.servers", &servers),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", user),
        ("sasl.password", password),
    ]);
    AdminClient::new(&properties, observer).expect("a client")
}

pub(crate) fn unique_name(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

pub(crate) fn default_topic(name: &str) -> NewTopic {
    NewTopic { name: name.to_owned(), ..NewTopic::default() }
}

pub(crate) fn error_message<T: std::fmt::Debug>(result: &Result<T, BrokerError>) -> String {
    result.as_ref().expect_err("a refusal").to_string()
}

pub(crate) fn error_code<T: std::fmt::Debug>(result: &Result<T, BrokerError>) -> ErrorCode {
    result.as_ref().expect_err("a refusal").code()
}

/// Polls until the value is available: a broker's copy of the metadata lags behind the controller's, by seconds while the
/// test with a thousand topics runs.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut poll: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + 3 * TIMEOUT;
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn describe(client: &AdminClient, name: &str) -> Result<TopicDescription, BrokerError> {
    let mut response = client.describe_topics(&[name.to_owned()], TIMEOUT).await.expect("a response");
    assert_eq!(response.len(), 1);
    response.remove(0)
}

/// Waits until the topics exist and all of their partitions have a leader.
pub(crate) async fn await_topics(client: &AdminClient, names: &[String]) -> Vec<TopicDescription> {
    eventually("the topics", || async {
        let response = client.describe_topics(names, TIMEOUT).await.expect("a response");
        let topics: Option<Vec<_>> = response.into_iter().map(Result::ok).collect();
        topics.filter(|topics| topics.iter().all(|topic| topic.leaderless == 0))
    })
    .await
}

pub(crate) async fn create(client: &AdminClient, topics: &[NewTopic]) -> Vec<TopicDescription> {
    let results = client.create_topics(topics, TIMEOUT).await.expect("a response");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    await_topics(client, &names).await
}

pub(crate) async fn overrides(client: &AdminClient, name: &str) -> Vec<(String, String)> {
    let response = client.describe_config_overrides(&[name.to_owned()], TIMEOUT).await.expect("a response");
    let mut entries: Vec<_> = response[0]
        .as_ref()
        .expect("a configuration")
        .iter()
        .map(|entry| {
            assert_eq!(entry.source, ConfigSource::DynamicTopic);
            (entry.name.clone(), entry.value.clone().expect("a value"))
        })
        .collect();
    entries.sort();
    entries
}
