//! Kafka behind the operator's back.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_kafka_admin::{AclBinding, AclBindingFilter, AdminClient, NewTopic, TopicConfigAlteration};

use super::until;

const REQUEST: Duration = Duration::from_secs(30);

/// A topic as Kafka has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaTopic {
    /// Kafka's identifier of it.
    pub(crate) id: String,
    pub(crate) partitions: i32,
    pub(crate) replicas: i32,
    /// What is set on the topic itself.
    pub(crate) config: BTreeMap<String, String>,
}

impl KafkaTopic {
    /// The value of a key that is set on the topic itself.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// A connection to a broker that may do everything there.
pub(crate) struct Broker {
    client: AdminClient,
    bootstrap: String,
}

impl Broker {
    /// Connects to the broker that everybody may use.
    pub(crate) fn plaintext(bootstrap: &str) -> Self {
        Self::connect(bootstrap, &[])
    }

    /// Connects to the broker with logins as one of its users.
    pub(crate) fn scram(bootstrap: &str, user: &str) -> Self {
        let password = super::stage::password(user);
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
        let client = AdminClient::new(&properties, |_| ()).expect("good properties");
        Self { client, bootstrap: bootstrap.to_owned() }
    }

    /// `HOST:PORT`.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What Kafka has under a name.
    pub(crate) async fn topic(&self, name: &str) -> Option<KafkaTopic> {
        let names = [name.to_owned()];
        let described = self.client.describe_topics(&names, REQUEST).await.expect("Kafka answers");
        let topic = match described.into_iter().next().expect("one answer") {
            Ok(topic) => topic,
            Err(error) if error.is_unknown_topic() => return None,
            Err(error) => panic!("describing {name}: {error}"),
        };
        let entries = self.client.describe_config_overrides(&names, REQUEST).await.expect("Kafka answers");
        let entries = match entries.into_iter().next().expect("one answer") {
            Ok(entries) => entries,
            Err(error) if error.is_unknown_topic() => return None,
            Err(error) => panic!("describing the configuration of {name}: {error}"),
        };
        let config = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        Some(KafkaTopic { id: topic.id, partitions: topic.partitions, replicas: topic.min_replicas, config })
    }

    /// Waits until what Kafka has under a name is as wanted.
    pub(crate) async fn wait(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(Option<&KafkaTopic>) -> bool,
    ) -> Option<KafkaTopic> {
        let seen = until(async || {
            let topic = self.topic(name).await;
            if is_so(topic.as_ref()) { Ok(topic) } else { Err(format!("{topic:?}")) }
        });
        match seen.await {
            Ok(topic) => topic,
            Err(seen) => panic!("Kafka topic {name}: {what}: last seen {seen}"),
        }
    }

    /// Makes a topic and waits until it can be seen.
    pub(crate) async fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> KafkaTopic {
        let new = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            replicas: None,
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let done = self.client.create_topics(&[new], REQUEST).await.expect("Kafka answers");
        done.into_iter().for_each(|done| done.expect("it is made"));
        self.wait(name, "made", |topic| topic.is_some()).await.expect("it is there")
    }

    /// Deletes a topic and waits until it cannot be seen.
    pub(crate) async fn delete(&self, name: &str) {
        let done = self.client.delete_topics(&[name.to_owned()], REQUEST).await.expect("Kafka answers");
        done.into_iter().for_each(|done| done.expect("it is deleted"));
        self.wait(name, "deleted", |topic| topic.is_none()).await;
    }

    /// Sets a configuration key of a topic.
    pub(crate) async fn set(&self, name: &str, key: &str, value: &str) {
        self.alter(name, &[(key, value)], &[]).await;
    }

    /// Gives a configuration key of a topic back to the broker's default.
    pub(crate) async fn reset(&self, name: &str, key: &str) {
        self.alter(name, &[], &[key]).await;
    }

    async fn alter(&self, name: &str, set: &[(&str, &str)], reset: &[&str]) {
        let alteration = TopicConfigAlteration {
            topic: name.to_owned(),
            set: set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            reset: reset.iter().map(|key| (*key).to_owned()).collect(),
        };
        let done = self.client.incremental_alter_configs(&[alteration], REQUEST).await;
        done.expect("Kafka answers").into_iter().for_each(|done| done.expect("it is altered"));
    }

    /// The ACLs that pass a filter.
    pub(crate) async fn acls(&self, filter: &AclBindingFilter) -> Vec<AclBinding> {
        self.client.describe_acls(filter, REQUEST).await.expect("Kafka answers")
    }

    /// Makes ACLs and waits until they can be seen.
    pub(crate) async fn allow(&self, acls: &[AclBinding]) {
        let done = self.client.create_acls(acls, REQUEST).await.expect("Kafka answers");
        done.into_iter().for_each(|done| done.expect("it is made"));
        for acl in acls {
            self.is_allowed(acl, true).await;
        }
    }

    /// Takes an ACL away that is there.
    pub(crate) async fn take_away(&self, acl: &AclBinding) {
        self.is_allowed(acl, true).await;
        let done = self.client.delete_acls(&[acl.clone().into()], REQUEST).await.expect("Kafka answers");
        assert_eq!(done, [Ok(vec![acl.clone()])]);
    }

    async fn is_allowed(&self, acl: &AclBinding, expected: bool) {
        let looked = until(async || {
            let found = self.acls(&acl.clone().into()).await;
            if found.is_empty() != expected { Ok(()) } else { Err(format!("{found:?}")) }
        });
        looked.await.unwrap_or_else(|seen| panic!("{acl:?} is there: {expected}; last seen {seen}"));
    }

    /// Grows a topic to that many partitions.
    pub(crate) async fn grow(&self, name: &str, partitions: i32) {
        let done = self.client.create_partitions(&[(name.to_owned(), partitions)], REQUEST).await;
        done.expect("Kafka answers").into_iter().for_each(|done| done.expect("it grows"));
    }
}
