//! Requests about topics: results, errors and batches.

use std::time::{Duration, Instant};

use eventcenter_kafka_admin::{
    AdminClient, BrokerError, ConfigSource, ErrorCode, MAX_TOPICS_PER_REQUEST, NewTopic, RequestError,
    TopicConfigAlteration,
};

use crate::support::{
    TIMEOUT, await_topics, bootstrap, client, create, default_topic, describe, error_code, error_message,
    eventually, overrides, properties, sasl_client, unique_name,
};

#[tokio::test]
async fn topics_are_created_with_defaults_and_with_explicit_numbers() {
    let client = client();
    let defaults = default_topic(&unique_name("defaults"));
    let explicit = NewTopic {
        name: unique_name("explicit"),
        partitions: Some(3),
        replicas: Some(1),
        config: vec![("retention.ms".into(), "1234567".into())],
    };
    let created = create(&client, &[explicit.clone(), defaults.clone()]).await;

    assert_eq!(created[0].name, explicit.name);
    assert_eq!((created[0].partitions, created[0].replicas), (3, 1));
    assert_eq!((created[0].min_replicas, created[0].max_replicas, created[0].under_replicated), (1, 1, 0));
    assert!(!created[0].internal);
    assert_eq!(created[1].name, defaults.name);
    assert_eq!((created[1].partitions, created[1].replicas), (1, 1));
    assert_eq!(overrides(&client, &explicit.name).await, [("retention.ms".into(), "1234567".into())]);
    assert_eq!(overrides(&client, &defaults.name).await, []);
}

#[tokio::test]
async fn a_failed_creation_returns_kafkas_text_for_its_topic() {
    let client = client();
    let existing = unique_name("existing");
    create(&client, &[default_topic(&existing)]).await;
    let bad_config = unique_name("bad-config");
    let unknown_config = unique_name("unknown-config");
    let too_many = unique_name("too-many-replicas");
    let no_partitions = unique_name("no-partitions");
    let good = unique_name("good");
    let topics = [
        default_topic(&existing),
        NewTopic { config: vec![("retention.ms".into(), "long".into())], ..default_topic(&bad_config) },
        NewTopic { config: vec![("no.such.key".into(), "1".into())], ..default_topic(&unknown_config) },
        NewTopic { replicas: Some(30), ..default_topic(&too_many) },
        default_topic("not a name"),
        NewTopic { partitions: Some(0), ..default_topic(&no_partitions) },
        default_topic(&good),
    ];
    let results = client.create_topics(&topics, TIMEOUT).await.expect("a response");

    assert_eq!(results.len(), topics.len());
    assert_eq!(error_message(&results[0]), format!("Topic '{existing}' already exists."));
    assert!(results[0].as_ref().is_err_and(BrokerError::is_topic_already_exists));
    assert_eq!(error_code(&results[1]), ErrorCode::INVALID_CONFIG);
    assert_eq!(
        error_message(&results[1]),
        "Invalid value long for configuration retention.ms: Not a number of type LONG"
    );
    assert_eq!(error_code(&results[2]), ErrorCode::INVALID_CONFIG);
    assert_eq!(error_message(&results[2]), "Unknown topic config name: no.such.key");
    assert_eq!(error_code(&results[3]), ErrorCode::INVALID_REPLICATION_FACTOR);
    assert!(
        error_message(&results[3]).starts_with("Unable to replicate the partition 30 time(s)"),
        "{results:?}"
    );
    assert_eq!(error_code(&results[4]), ErrorCode::INVALID_TOPIC);
    assert!(error_message(&results[4]).starts_with("Topic name is invalid: 'not a name'"), "{results:?}");
    assert_eq!(error_code(&results[5]), ErrorCode::INVALID_PARTITIONS);
    assert!(!error_message(&results[5]).is_empty());
    assert_eq!(results[6], Ok(()));
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|error| !error.is_retriable()));
}

#[tokio::test]
async fn an_unknown_topic_in_a_batch_does_not_affect_others_and_is_not_created() {
    let client = client();
    let (first, missing, last) = (unique_name("first"), unique_name("missing"), unique_name("last"));
    create(&client, &[default_topic(&last), default_topic(&first)]).await;
    let names = [first.clone(), missing.clone(), "not a name".into(), last.clone()];

    let topics = client.describe_topics(&names, TIMEOUT).await.expect("a response");
    assert_eq!(topics[0].as_ref().map(|topic| topic.name.as_str()), Ok(first.as_str()));
    assert!(topics[1].as_ref().is_err_and(BrokerError::is_unknown_topic));
    assert_eq!(error_message(&topics[1]), "Broker: Unknown topic or partition");
    assert_eq!(error_code(&topics[2]), ErrorCode::INVALID_TOPIC);
    assert_eq!(topics[3].as_ref().map(|topic| topic.name.as_str()), Ok(last.as_str()));

    let configs =
        client.describe_configs(&[first, missing.clone(), last], TIMEOUT).await.expect("a response");
    assert!(configs[0].is_ok() && configs[2].is_ok());
    assert!(configs[1].as_ref().is_err_and(BrokerError::is_unknown_topic), "{:?}", configs[1]);

    assert!(!client.list_topics(TIMEOUT).await.expect("names").contains(&missing));
}

#[tokio::test]
async fn ids_have_kafkas_format_and_change_when_a_topic_is_recreated() {
    let client = client();
    let name = unique_name("reborn");
    let first = create(&client, &[default_topic(&name)]).await.remove(0).id;
    assert_eq!(first.len(), 22);
    assert!(first.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{first}");

    assert_eq!(
        client.delete_topics(std::slice::from_ref(&name), TIMEOUT).await.expect("a response"),
        [Ok(())]
    );
    eventually("the deletion", || async { describe(&client, &name).await.err() }).await;
    let second = create(&client, &[default_topic(&name)]).await.remove(0).id;
    assert_ne!(first, second);
}

/// Among many random ids, some contain the two characters in which Kafka's alphabet differs from librdkafka's.
#[tokio::test]
async fn many_ids_use_only_the_url_safe_alphabet() {
    let client = client();
    let topics: Vec<NewTopic> = (0..40).map(|_| default_topic(&unique_name("id"))).collect();
    let ids: Vec<String> = create(&client, &topics).await.into_iter().map(|topic| topic.id).collect();
    assert!(ids.iter().all(|id| id.len() == 22 && !id.contains(['+', '/', '='])), "{ids:?}");
    assert!(ids.iter().any(|id| id.contains(['-', '_'])), "{ids:?}");
}

#[tokio::test]
async fn an_alteration_changes_only_the_named_keys() {
    let client = client();
    let topic = unique_name("altered");
    let start = [("cleanup.policy", "compact"), ("retention.ms", "1000"), ("max.message.bytes", "2000")];
    create(&client, &[NewTopic { config: properties(&start), ..default_topic(&topic) }]).await;

    let change = TopicConfigAlteration {
        topic: topic.clone(),
        set: properties(&[("retention.ms", "5000"), ("segment.bytes", "1048576")]),
        reset: vec!["max.message.bytes".into(), "flush.ms".into()],
    };
    let results = client.incremental_alter_configs(&[change], TIMEOUT).await.expect("a response");
    assert_eq!(results, [Ok(())]);
    let expected =
        properties(&[("cleanup.policy", "compact"), ("retention.ms", "5000"), ("segment.bytes", "1048576")]);
    eventually("the change", || async { (overrides(&client, &topic).await == expected).then_some(()) }).await;

    let all = client.describe_configs(std::slice::from_ref(&topic), TIMEOUT).await.expect("a response");
    let all = all[0].as_ref().expect("a configuration");
    assert!(all.len() > 20, "{all:?}");
    let reset = all.iter().find(|entry| entry.name == "max.message.bytes").expect("a default");
    assert_ne!(reset.source, ConfigSource::DynamicTopic);
    assert_eq!(reset.value.as_deref(), Some("1048588"));
    assert!(!reset.sensitive && !reset.read_only);
}

#[tokio::test]
async fn a_failed_alteration_is_reported_for_its_topic() {
    let client = client();
    let (good, bad, unknown) = (unique_name("good"), unique_name("bad"), unique_name("unknown"));
    create(&client, &[default_topic(&good), default_topic(&bad)]).await;
    let set = |topic: &str, name: &str, value: &str| TopicConfigAlteration {
        topic: topic.to_owned(),
        set: properties(&[(name, value)]),
        reset: Vec::new(),
    };
    let nothing = TopicConfigAlteration { topic: unique_name("nothing"), ..TopicConfigAlteration::default() };
    let changes = [
        set(&bad, "min.insync.replicas", "many"),
        set(&unknown, "retention.ms", "1"),
        set(&good, "retention.ms", "7000"),
        nothing,
    ];
    let results = client.incremental_alter_configs(&changes, TIMEOUT).await.expect("a response");
    assert_eq!(error_code(&results[0]), ErrorCode::INVALID_CONFIG);
    assert!(error_message(&results[0]).contains("min.insync.replicas"), "{results:?}");
    assert!(results[1].as_ref().is_err_and(BrokerError::is_unknown_topic), "{results:?}");
    assert!(!error_message(&results[1]).is_empty());
    assert_eq!(results[2], Ok(()));
    assert!(results[3].as_ref().is_err_and(BrokerError::is_unknown_topic), "{results:?}");
    let expected = properties(&[("retention.ms", "7000")]);
    eventually("the change", || async { (overrides(&client, &good).await == expected).then_some(()) }).await;
    assert_eq!(overrides(&client, &bad).await, []);
}

#[tokio::test]
async fn partitions_can_increase_but_not_decrease() {
    let client = client();
    let (grows, shrinks, missing) = (unique_name("grows"), unique_name("shrinks"), unique_name("missing"));
    let two = |name: &str| NewTopic { partitions: Some(2), ..default_topic(name) };
    create(&client, &[two(&grows), two(&shrinks)]).await;

    let totals = [(shrinks.clone(), 1), (missing, 2), (grows.clone(), 5)];
    let results = client.create_partitions(&totals, TIMEOUT).await.expect("a response");
    assert_eq!(error_code(&results[0]), ErrorCode::INVALID_PARTITIONS);
    assert!(
        error_message(&results[0]).starts_with("The topic")
            && error_message(&results[0]).contains("2 partition"),
        "{results:?}"
    );
    assert!(results[1].as_ref().is_err_and(BrokerError::is_unknown_topic));
    assert_eq!(results[2], Ok(()));
    eventually("the partitions", || async {
        describe(&client, &grows).await.ok().filter(|topic| topic.partitions == 5)
    })
    .await;
    assert_eq!(describe(&client, &shrinks).await.map(|topic| topic.partitions), Ok(2));

    let refused = client.create_partitions(&[(grows, 0)], TIMEOUT).await;
    assert!(matches!(refused, Err(RequestError::InvalidInput { .. })), "{refused:?}");
}

#[tokio::test]
async fn topics_are_deleted_and_unknown_ones_reported() {
    let client = client();
    let (name, missing) = (unique_name("deleted"), unique_name("missing"));
    create(&client, &[default_topic(&name)]).await;
    let results = client.delete_topics(&[missing, name.clone()], TIMEOUT).await.expect("a response");
    assert!(results[0].as_ref().is_err_and(BrokerError::is_unknown_topic));
    assert_eq!(results[1], Ok(()));
    let error = eventually("the deletion", || async { describe(&client, &name).await.err() }).await;
    assert!(error.is_unknown_topic());
}

#[tokio::test]
async fn a_thousand_topics_fit_into_one_request_and_keep_their_order() {
    let client = client();
    let prefix = unique_name("thousand");
    // An order that is neither sorted nor that of a hash table.
    let names: Vec<String> = (0..1_000).map(|i| format!("{prefix}-{}", (i * 7_919) % 1_000)).collect();
    let new: Vec<NewTopic> = names
        .iter()
        .enumerate()
        .map(|(i, name)| NewTopic {
            config: vec![("retention.ms".into(), (1_000 + i).to_string())],
            ..default_topic(name)
        })
        .collect();
    let timed =
        |what: &'static str, since: Instant| eprintln!("1,000 topics: {what} in {:?}", since.elapsed());

    let start = Instant::now();
    let results = client.create_topics(&new, TIMEOUT).await.expect("a response");
    timed("created", start);
    assert!(results.len() == 1_000 && results.iter().all(Result::is_ok), "{results:?}");

    let start = Instant::now();
    let topics = await_topics(&client, &names).await;
    timed("await_topics", start);
    assert!(topics.iter().map(|topic| &topic.name).eq(&names));
    let start = Instant::now();
    client.describe_topics(&names, TIMEOUT).await.expect("a response");
    timed("described", start);

    let start = Instant::now();
    let configs = client.describe_configs(&names, TIMEOUT).await.expect("a response");
    timed("configs described", start);
    assert!(configs.iter().all(|entries| entries.as_ref().is_ok_and(|entries| entries.len() > 20)));
    let start = Instant::now();
    let configs = client.describe_config_overrides(&names, TIMEOUT).await.expect("a response");
    timed("overrides described", start);
    for (i, entries) in configs.iter().enumerate() {
        let entries = entries.as_ref().expect("a configuration");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].value, Some((1_000 + i).to_string()));
    }

    let start = Instant::now();
    let listed = client.list_topics(TIMEOUT).await.expect("names");
    timed("listed", start);
    assert!(listed.is_sorted() && listed.iter().filter(|name| name.starts_with(&prefix)).count() == 1_000);

    let changes: Vec<TopicConfigAlteration> = names
        .iter()
        .map(|name| TopicConfigAlteration {
            topic: name.clone(),
            set: properties(&[("retention.ms", "99")]),
            reset: Vec::new(),
        })
        .collect();
    let start = Instant::now();
    let results = client.incremental_alter_configs(&changes, TIMEOUT).await.expect("a response");
    timed("altered", start);
    assert!(results.iter().all(Result::is_ok));

    let start = Instant::now();
    let results = client.delete_topics(&names, TIMEOUT).await.expect("a response");
    timed("deleted", start);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_cluster_and_a_broker_are_described() {
    let client = client();
    let cluster = client.describe_cluster(TIMEOUT).await.expect("a response");
    assert_eq!(cluster.id.len(), 22);
    let broker = cluster.brokers.first().expect("a broker");
    assert_eq!(cluster.controller, Some(broker.id));
    let servers = bootstrap("KAFKA_BOOTSTRAP");
    assert!(servers.ends_with(&format!(":{}", broker.port)), "{broker:?}");

    let configs =
        client.describe_broker_configs(broker.id, TIMEOUT).await.expect("a response").expect("entries");
    let value = |name: &str| configs.iter().find(|entry| entry.name == name).expect(name);
    assert_eq!(value("auto.create.topics.enable").value.as_deref(), Some("false"));
    assert_eq!(value("auto.create.topics.enable").source, ConfigSource::StaticBroker);
    assert_eq!(value("authorizer.class.name").value.as_deref(), Some(""));

    let secure = sasl_client("admin", "admin-secret", |_| {});
    let broker = secure.describe_cluster(TIMEOUT).await.expect("a response").brokers[0].id;
    let configs =
        secure.describe_broker_configs(broker, TIMEOUT).await.expect("a response").expect("entries");
    let value = |name: &str| configs.iter().find(|entry| entry.name == name).expect(name);
    assert!(value("authorizer.class.name").value.as_ref().is_some_and(|class| class.ends_with("Authorizer")));
    let secret = configs.iter().find(|entry| entry.sensitive).expect("a sensitive SASL property");
    assert_eq!(secret.value, None);
}

#[tokio::test]
async fn invalid_input_is_refused_before_sending() {
    let client = client();
    let name = unique_name("not-sent");
    let mut refused = Vec::new();
    refused.push(
        client.create_topics(&[default_topic(&name), default_topic("a\0b")], TIMEOUT).await.expect_err("NUL"),
    );
    refused.push(
        client
            .create_topics(&[default_topic(&name), default_topic(&name)], TIMEOUT)
            .await
            .expect_err("twice"),
    );
    let config = NewTopic { config: properties(&[("retention.ms", "1\0")]), ..default_topic(&name) };
    refused.push(client.create_topics(&[config], TIMEOUT).await.expect_err("NUL"));
    let partitions = NewTopic { partitions: Some(1_000_000), ..default_topic(&name) };
    refused.push(client.create_topics(&[default_topic("x"), partitions], TIMEOUT).await.expect_err("range"));
    refused.push(client.delete_topics(&["a".into(), "a".into()], TIMEOUT).await.expect_err("twice"));
    refused.push(client.describe_topics(&["a".into(), String::new()], TIMEOUT).await.expect_err("empty"));
    refused.push(client.describe_configs(&["a".into(), "a".into()], TIMEOUT).await.expect_err("twice"));
    refused.push(client.create_partitions(&[("a\0".into(), 2)], TIMEOUT).await.expect_err("NUL"));
    let both = TopicConfigAlteration {
        topic: name.clone(),
        set: properties(&[("retention.ms", "1")]),
        reset: vec!["retention.ms".into()],
    };
    refused.push(client.incremental_alter_configs(&[both], TIMEOUT).await.expect_err("twice"));
    let many: Vec<String> = (0..=MAX_TOPICS_PER_REQUEST).map(|i| i.to_string()).collect();
    refused.push(client.describe_topics(&many, TIMEOUT).await.expect_err("too many"));
    for error in refused {
        assert!(matches!(error, RequestError::InvalidInput { .. }) && !error.is_retriable(), "{error}");
    }
    assert!(describe(&client, &name).await.is_err_and(|error| error.is_unknown_topic()));
}

#[tokio::test]
async fn empty_batches_need_no_broker() {
    let client =
        AdminClient::new(&properties(&[("bootstrap.servers", "127.0.0.1:1")]), |_| {}).expect("a client");
    let moment = Duration::from_millis(1);
    assert_eq!(client.create_topics(&[], moment).await, Ok(vec![]));
    assert_eq!(client.delete_topics(&[], moment).await, Ok(vec![]));
    assert_eq!(client.create_partitions(&[], moment).await, Ok(vec![]));
    assert_eq!(client.incremental_alter_configs(&[], moment).await, Ok(vec![]));
    assert_eq!(client.describe_configs(&[], moment).await, Ok(vec![]));
    assert_eq!(client.describe_config_overrides(&[], moment).await, Ok(vec![]));
    assert_eq!(client.describe_topics(&[], moment).await, Ok(vec![]));
}
