//! Direct access to Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_kafka_admin::{AclBinding, AclBindingFilter, AdminClient, NewTopic, TopicConfigAlteration};

use super::until;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A topic in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaTopic {
    /// Kafka's id of the topic.
    pub(crate) id: String,
    pub(crate) partitions: i32,
    pub(crate) replicas: i32,
    /// The configuration that is set on the topic itself.
    pub(crate) config: BTreeMap<String, String>,
}

impl KafkaTopic {
    /// The value of a configuration key that is set on the topic itself.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// A connection to a broker, as a user with all rights.
pub(crate) struct Broker {
    /// The client of its requests.
    pub(crate) client: AdminClient,
    bootstrap: String,
}

impl Broker {
    /// Connects to a broker without authentication.
    pub(crate) fn plaintext(bootstrap: &str) -> Self {
        Self::connect(bootstrap, &[])
    }

    /// Connects to the broker with SASL/SCRAM as one of its users.
    pub(crate) fn scram(bootstrap: &str, user: &str) -> Self {
        let users = xtask::kafka::USERS;
        let (_, password) = users.iter().find(|(name, _)| *name == user).expect("one of the users");
        Self::connect(
            bootstrap,
            &[
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", "SCRAM-SHA-512"),
                ("sasl.username", user),
                ("sasl.password", password),
            ],
        )
    }

    fn connect(bootstrap: &str, more: &[(&str, &str)]) -> Self {
        let properties: Vec<(String, String)> = [("bootstrap.servers", bootstrap)]
            .iter()
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let client = AdminClient::new(&properties, |_| ()).expect("valid properties");
        Self { client, bootstrap: bootstrap.to_owned() }
    }

    /// `HOST:PORT`.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The topic of a name, if it exists.
    pub(crate) async fn topic(&self, name: &str) -> Option<KafkaTopic> {
        let names = [name.to_owned()];
        let described = self.client.describe_topics(&names, REQUEST_TIMEOUT).await.expect("Kafka answers");
        let topic = match described.into_iter().next().expect("one result") {
            Ok(topic) => topic,
            Err(error) if error.is_unknown_topic() => return None,
            Err(error) => panic!("describing {name}: {error}"),
        };
        let entries =
            self.client.describe_config_overrides(&names, REQUEST_TIMEOUT).await.expect("Kafka answers");
        let entries = match entries.into_iter().next().expect("one result") {
            Ok(entries) => entries,
            Err(error) if error.is_unknown_topic() => return None,
            Err(error) => panic!("describing the configuration of {name}: {error}"),
        };
        let config = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        Some(KafkaTopic { id: topic.id, partitions: topic.partitions, replicas: topic.min_replicas, config })
    }

    /// Waits until the predicate holds for the topic of a name.
    pub(crate) async fn wait(
        &self,
        name: &str,
        expectation: &str,
        predicate: impl Fn(Option<&KafkaTopic>) -> bool,
    ) -> Option<KafkaTopic> {
        let polled = until(async || {
            let topic = self.topic(name).await;
            if predicate(topic.as_ref()) { Ok(topic) } else { Err(format!("{topic:?}")) }
        });
        polled
            .await
            .unwrap_or_else(|last| panic!("Kafka topic {name} is not {expectation}. Last seen: {last}"))
    }

    /// Creates a topic and waits until the broker shows it.
    pub(crate) async fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> KafkaTopic {
        let new = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            replicas: None,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let results = self.client.create_topics(&[new], REQUEST_TIMEOUT).await.expect("Kafka answers");
        results.into_iter().for_each(|result| result.expect("the topic is created"));
        self.wait(name, "created", |topic| topic.is_some()).await.expect("the topic exists")
    }

    /// Deletes a topic and waits until the broker no longer shows it.
    pub(crate) async fn delete(&self, name: &str) {
        let results =
            self.client.delete_topics(&[name.to_owned()], REQUEST_TIMEOUT).await.expect("Kafka answers");
        results.into_iter().for_each(|result| result.expect("the topic is deleted"));
        self.wait(name, "deleted", |topic| topic.is_none()).await;
    }

    /// Sets a configuration key of a topic.
    pub(crate) async fn set(&self, name: &str, key: &str, value: &str) {
        self.alter(name, &[(key, value)], &[]).await;
    }

    /// Resets a configuration key of a topic to the broker's default.
    pub(crate) async fn reset(&self, name: &str, key: &str) {
        self.alter(name, &[], &[key]).await;
    }

    async fn alter(&self, name: &str, set: &[(&str, &str)], reset: &[&str]) {
        let alteration = TopicConfigAlteration {
            topic: name.to_owned(),
            set: set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            reset: reset.iter().map(|key| (*key).to_owned()).collect(),
        };
        let results = self.client.incremental_alter_configs(&[alteration], REQUEST_TIMEOUT).await;
        results
            .expect("Kafka answers")
            .into_iter()
            .for_each(|result| result.expect("the configuration is altered"));
    }

    /// The ACLs that match a filter.
    pub(crate) async fn acls(&self, filter: &AclBindingFilter) -> Vec<AclBinding> {
        self.client.describe_acls(filter, REQUEST_TIMEOUT).await.expect("Kafka answers")
    }

    /// Creates ACLs and waits until the broker shows them.
    pub(crate) async fn create_acls(&self, acls: &[AclBinding]) {
        let results = self.client.create_acls(acls, REQUEST_TIMEOUT).await.expect("Kafka answers");
        results.into_iter().for_each(|result| result.expect("the ACL is created"));
        for acl in acls {
            self.wait_for_acl(acl).await;
        }
    }

    /// Deletes an ACL that exists.
    pub(crate) async fn delete_acl(&self, acl: &AclBinding) {
        self.wait_for_acl(acl).await;
        let results =
            self.client.delete_acls(&[acl.clone().into()], REQUEST_TIMEOUT).await.expect("Kafka answers");
        assert_eq!(results, [Ok(vec![acl.clone()])]);
    }

    async fn wait_for_acl(&self, acl: &AclBinding) {
        let polled = until(async || {
            let found = self.acls(&acl.clone().into()).await;
            if found.is_empty() { Err("no such ACL".to_owned()) } else { Ok(()) }
        });
        polled.await.unwrap_or_else(|last| panic!("{acl:?}: {last}"));
    }

    /// Increases the partitions of a topic to this number.
    pub(crate) async fn add_partitions(&self, name: &str, partitions: i32) {
        let results = self.client.create_partitions(&[(name.to_owned(), partitions)], REQUEST_TIMEOUT).await;
        results
            .expect("Kafka answers")
            .into_iter()
            .for_each(|result| result.expect("the partitions are added"));
    }
}
