//! ACLs: one look at all of a cluster's serves many topics, and many changes make one request.

use std::collections::{BTreeSet, HashMap};

use eventcenter_kafka_admin as admin;
use eventcenter_kafka_admin::{AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType};
use eventcenter_sdk::name::TopicName;

use super::Error;
use super::batch::{Batched, Batcher};
use super::topics::{Kafka, Link, REQUEST};
use crate::domain::topic::access::{Acl, Object};

/// How many ACLs one operation hands in at once, so that some operations fit into one request.
const AT_ONCE: usize = 500;

/// What can be done about ACLs, single operations made few requests.
pub(super) struct Acls {
    looking: Batcher<Looking>,
    allowing: Batcher<Allowing>,
    withdrawing: Batcher<Withdrawing>,
}

impl Acls {
    pub(super) fn start(link: &Link) -> Self {
        Self {
            looking: Batcher::start(Looking(link.clone())),
            allowing: Batcher::start(Allowing(link.clone())),
            withdrawing: Batcher::start(Withdrawing(link.clone())),
        }
    }
}

/// The ACLs of many topics and consumer groups.
#[derive(Debug, Default)]
pub struct Found(HashMap<Object, BTreeSet<Acl>>);

impl Found {
    fn of(acls: impl Iterator<Item = admin::AclBinding>) -> Self {
        let mut found = Self::default();
        for acl in acls.filter_map(read) {
            found.0.entry(acl.object.clone()).or_default().insert(acl);
        }
        found
    }

    /// Those of a topic and of some groups.
    #[must_use]
    pub fn about(&self, topic: &TopicName, groups: &BTreeSet<Object>) -> BTreeSet<Acl> {
        let topic = Object::Topic(topic.to_string());
        let about = std::iter::once(&topic).chain(groups).filter_map(|object| self.0.get(object));
        about.flatten().cloned().collect()
    }
}

impl Kafka {
    /// The ACLs that Kafka has on a topic itself and on some consumer groups.
    ///
    /// # Errors
    /// Kafka has no authorizer, does not let the operator see its ACLs, or does not answer.
    pub async fn acls(&self, topic: &TopicName, groups: BTreeSet<Object>) -> Result<BTreeSet<Acl>, Error> {
        self.acls.looking.call((topic.clone(), groups)).await
    }

    /// The ACLs of all topics and, if they are asked for, of all consumer groups.
    ///
    /// # Errors
    /// As [`Kafka::acls`].
    pub async fn all_acls(&self, groups: bool) -> Result<Found, Error> {
        let mut all = look(&self.link, 1, filter(ResourceType::Topic)).await?;
        if groups {
            all.extend(look(&self.link, 1, filter(ResourceType::Group)).await?);
        }
        Ok(Found::of(all.into_iter()))
    }

    /// Makes ACLs for a topic. Making one that is there already succeeds.
    ///
    /// # Errors
    /// Kafka has no authorizer, refuses one of them in its own words, or does not answer.
    pub async fn allow(&self, topic: &TopicName, acls: &[Acl]) -> Result<(), Error> {
        for some in acls.chunks(AT_ONCE) {
            self.acls.allowing.call((topic.clone(), some.to_vec())).await?;
        }
        Ok(())
    }

    /// Takes ACLs away. Taking away one that is not there succeeds.
    ///
    /// # Errors
    /// As [`Kafka::allow`].
    pub async fn withdraw(&self, topic: &TopicName, acls: &[Acl]) -> Result<(), Error> {
        for some in acls.chunks(AT_ONCE) {
            self.acls.withdrawing.call((topic.clone(), some.to_vec())).await?;
        }
        Ok(())
    }
}

/// All ACLs about topics themselves, or about groups.
fn filter(resource: ResourceType) -> AclBindingFilter {
    let pattern = (resource == ResourceType::Topic).then_some(PatternType::Literal);
    AclBindingFilter { resource_type: Some(resource), pattern_type: pattern, ..AclBindingFilter::default() }
}

async fn look(link: &Link, topics: usize, filter: AclBindingFilter) -> Result<Vec<admin::AclBinding>, Error> {
    let request = async { Ok(vec![Ok(link.client.describe_acls(&filter, REQUEST).await?)]) };
    link.note("DescribeAcls", topics, request).await.into_iter().next().unwrap_or(Err(Error::Closed))
}

/// What the operator has to do with; all others are no business of a topic.
fn read(acl: admin::AclBinding) -> Option<Acl> {
    let object = match (acl.resource_type, acl.pattern_type) {
        (ResourceType::Topic, PatternType::Literal) => Object::Topic(acl.name),
        (ResourceType::Group, PatternType::Literal) => Object::Group(acl.name),
        (ResourceType::Group, PatternType::Prefixed) => Object::GroupsBeginning(acl.name),
        _ => return None,
    };
    Some(Acl {
        object,
        principal: acl.principal,
        host: acl.host,
        operation: format!("{:?}", acl.operation),
        allows: acl.permission_type == AclPermissionType::Allow,
    })
}

fn written(acl: Acl) -> admin::AclBinding {
    let (resource, name, pattern) = match acl.object {
        Object::Topic(name) => (ResourceType::Topic, name, PatternType::Literal),
        Object::Group(name) => (ResourceType::Group, name, PatternType::Literal),
        Object::GroupsBeginning(name) => (ResourceType::Group, name, PatternType::Prefixed),
    };
    let operation = match acl.operation.as_str() {
        "Read" => AclOperation::Read,
        "Write" => AclOperation::Write,
        "Describe" => AclOperation::Describe,
        "DescribeConfigs" => AclOperation::DescribeConfigs,
        // Which cannot be sent: no other is ever declared.
        _ => AclOperation::Unknown,
    };
    let permission = if acl.allows { AclPermissionType::Allow } else { AclPermissionType::Deny };
    admin::AclBinding {
        resource_type: resource,
        name,
        pattern_type: pattern,
        principal: acl.principal,
        host: acl.host,
        operation,
        permission_type: permission,
    }
}

struct Looking(Link);

impl Batched for Looking {
    type Operation = (TopicName, BTreeSet<Object>);
    type Answer = BTreeSet<Acl>;

    fn topic(operation: &Self::Operation) -> &TopicName {
        &operation.0
    }

    fn weight(_: &Self::Operation) -> usize {
        8 // Nothing is written: this bounds what waits for one answer.
    }

    /// One topic is asked for by name, several by one look at all.
    async fn send(&self, operations: Vec<Self::Operation>) -> Vec<Result<BTreeSet<Acl>, Error>> {
        let mut topics = filter(ResourceType::Topic);
        if let [(topic, _)] = operations.as_slice() {
            topics.name = Some(topic.to_string());
        }
        let mut all = look(&self.0, operations.len(), topics).await;
        if let Ok(found) = &mut all
            && operations.iter().any(|(_, groups)| !groups.is_empty())
        {
            match look(&self.0, operations.len(), filter(ResourceType::Group)).await {
                Ok(groups) => found.extend(groups),
                Err(error) => all = Err(error),
            }
        }
        match all {
            Ok(all) => {
                let found = Found::of(all.into_iter());
                operations.iter().map(|(topic, groups)| Ok(found.about(topic, groups))).collect()
            }
            Err(error) => operations.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// Some ACLs that are handed in for one topic.
type Some = (TopicName, Vec<Acl>);

/// As many as [`admin::MAX_ACLS_PER_REQUEST`] of them reach the weight that closes a request.
fn weight(some: &Some) -> usize {
    (some.1.len() * 2).max(4)
}

/// Gives each operation its own answer: the first of its ACLs that failed.
fn each<T>(sizes: &[usize], answers: Vec<Result<T, Error>>) -> Vec<Result<(), Error>> {
    let mut answers = answers.into_iter();
    sizes
        .iter()
        .map(|size| {
            let own: Vec<_> = answers.by_ref().take(*size).collect();
            own.into_iter().try_for_each(|answer| answer.map(drop))
        })
        .collect()
}

struct Allowing(Link);

impl Batched for Allowing {
    type Operation = Some;
    type Answer = ();

    fn topic(operation: &Some) -> &TopicName {
        &operation.0
    }

    fn weight(operation: &Some) -> usize {
        weight(operation)
    }

    async fn send(&self, operations: Vec<Some>) -> Vec<Result<(), Error>> {
        let sizes: Vec<usize> = operations.iter().map(|(_, acls)| acls.len()).collect();
        let acls: Vec<admin::AclBinding> =
            operations.into_iter().flat_map(|(_, acls)| acls).map(written).collect();
        let answers = self.0.note("CreateAcls", acls.len(), self.0.client.create_acls(&acls, REQUEST)).await;
        each(&sizes, answers)
    }
}

struct Withdrawing(Link);

impl Batched for Withdrawing {
    type Operation = Some;
    type Answer = ();

    fn topic(operation: &Some) -> &TopicName {
        &operation.0
    }

    fn weight(operation: &Some) -> usize {
        weight(operation)
    }

    async fn send(&self, operations: Vec<Some>) -> Vec<Result<(), Error>> {
        let sizes: Vec<usize> = operations.iter().map(|(_, acls)| acls.len()).collect();
        let acls = operations.into_iter().flat_map(|(_, acls)| acls).map(written);
        let filters: Vec<AclBindingFilter> = acls.map(AclBindingFilter::from).collect();
        let answers =
            self.0.note("DeleteAcls", filters.len(), self.0.client.delete_acls(&filters, REQUEST)).await;
        each(&sizes, answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(resource: ResourceType, pattern: PatternType, name: &str) -> admin::AclBinding {
        admin::AclBinding {
            resource_type: resource,
            name: name.into(),
            pattern_type: pattern,
            principal: "User:a".into(),
            host: "*".into(),
            operation: AclOperation::DescribeConfigs,
            permission_type: AclPermissionType::Allow,
        }
    }

    #[test]
    fn what_is_read_is_written_alike() {
        for (resource, pattern) in [
            (ResourceType::Topic, PatternType::Literal),
            (ResourceType::Group, PatternType::Literal),
            (ResourceType::Group, PatternType::Prefixed),
        ] {
            let acl = acl(resource, pattern, "shop.orders");
            assert_eq!(read(acl.clone()).map(written), Some(acl));
        }
    }

    #[test]
    fn a_topic_is_told_what_speaks_of_itself_and_its_groups() {
        let all = [
            acl(ResourceType::Topic, PatternType::Literal, "shop.orders"),
            acl(ResourceType::Topic, PatternType::Literal, "shop.other"),
            acl(ResourceType::Topic, PatternType::Prefixed, "shop.orders"),
            acl(ResourceType::Topic, PatternType::Literal, "*"),
            acl(ResourceType::Group, PatternType::Literal, "shop."),
            acl(ResourceType::Group, PatternType::Prefixed, "shop."),
            acl(ResourceType::Cluster, PatternType::Literal, "kafka-cluster"),
        ];
        let topic: TopicName = "shop.orders".parse().expect("a name");
        let found = Found::of(all.into_iter());
        let objects = |groups: &[&str]| -> Vec<Object> {
            let groups = groups.iter().map(|group| Object::group(group)).collect();
            found.about(&topic, &groups).into_iter().map(|acl| acl.object).collect()
        };
        assert_eq!(objects(&[]), [Object::Topic("shop.orders".into())]);
        assert_eq!(
            objects(&["shop.*", "shop.g"]),
            [Object::Topic("shop.orders".into()), Object::GroupsBeginning("shop.".into())]
        );
    }

    #[test]
    fn each_operation_has_its_own_answer() {
        let answers = vec![Ok(1), Err(Error::Closed), Ok(3), Ok(4)];
        let each = each(&[1, 2, 0, 1], answers);
        assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    }
}
