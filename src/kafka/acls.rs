//! The batched requests about ACLs. One DescribeAcls of the whole cluster serves many topics.

use std::collections::{BTreeSet, HashMap};

use eventcenter_kafka_admin as admin;
use eventcenter_kafka_admin::{AclBindingFilter, AclOperation, AclPermissionType, PatternType, ResourceType};
use eventcenter_sdk::name::TopicName;

use super::batch::{BatchRequest, Batcher, MAX_WEIGHT, MIN_WEIGHT};
use super::connection::{Connection, REQUEST_TIMEOUT};
use super::error::Error;
use crate::domain::topic::access::{AclBinding, ResourcePattern};

/// The maximum number of ACLs in one operation, so that several operations fit into one request.
pub(super) const MAX_ACLS_PER_OPERATION: usize = 500;

/// The weight of one ACL: a request of the maximum weight has [`admin::MAX_ACLS_PER_REQUEST`] of them.
const ACL_WEIGHT: usize = MAX_WEIGHT / admin::MAX_ACLS_PER_REQUEST;

/// The weight of one topic in DescribeAcls. The request writes nothing; the weight limits the operations that wait for it.
const DESCRIBE_WEIGHT: usize = 8;

/// The ACLs that a request describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclScope {
    /// The ACLs of all topics.
    Topics,
    /// The ACLs of all topics and all consumer groups.
    TopicsAndGroups,
}

/// The ACLs of many topics and consumer groups.
#[derive(Debug, Default)]
pub struct AclIndex(HashMap<ResourcePattern, BTreeSet<AclBinding>>);

impl AclIndex {
    fn new(acls: impl Iterator<Item = admin::AclBinding>) -> Self {
        let mut index = Self::default();
        for acl in acls.filter_map(from_kafka) {
            index.0.entry(acl.resource.clone()).or_default().insert(acl);
        }
        index
    }

    /// The ACLs of a topic and of some groups.
    #[must_use]
    pub fn select(&self, topic: &TopicName, groups: &BTreeSet<ResourcePattern>) -> BTreeSet<AclBinding> {
        let topic = ResourcePattern::Topic(topic.to_string());
        let acls = std::iter::once(&topic).chain(groups).filter_map(|resource| self.0.get(resource));
        acls.flatten().cloned().collect()
    }
}

/// One batcher for each operation on ACLs.
pub(super) struct AclBatchers {
    pub(super) describe: Batcher<DescribeAcls>,
    pub(super) create: Batcher<CreateAcls>,
    pub(super) delete: Batcher<DeleteAcls>,
}

impl AclBatchers {
    pub(super) fn start(connection: &Connection) -> Self {
        Self {
            describe: Batcher::start(DescribeAcls(connection.clone())),
            create: Batcher::start(CreateAcls(connection.clone())),
            delete: Batcher::start(DeleteAcls(connection.clone())),
        }
    }
}

/// All ACLs of the cluster within a scope.
pub(super) async fn describe_all_acls(connection: &Connection, scope: AclScope) -> Result<AclIndex, Error> {
    describe(connection, 1, scope, all_of(ResourceType::Topic)).await
}

/// The ACLs of the topics that match a filter and, depending on the scope, of all groups. `topics` is the number of topics
/// that the request serves, for the metrics.
async fn describe(
    connection: &Connection,
    topics: usize,
    scope: AclScope,
    topic_filter: AclBindingFilter,
) -> Result<AclIndex, Error> {
    let mut acls = send_describe(connection, topics, &topic_filter).await?;
    if scope == AclScope::TopicsAndGroups {
        acls.extend(send_describe(connection, topics, &all_of(ResourceType::Group)).await?);
    }
    Ok(AclIndex::new(acls.into_iter()))
}

async fn send_describe(
    connection: &Connection,
    topics: usize,
    filter: &AclBindingFilter,
) -> Result<Vec<admin::AclBinding>, Error> {
    let request = connection.client.describe_acls(filter, REQUEST_TIMEOUT);
    connection.send("DescribeAcls", topics, request).await
}

/// All ACLs of a resource type; of topics only those with a literal name.
fn all_of(resource_type: ResourceType) -> AclBindingFilter {
    let pattern_type = (resource_type == ResourceType::Topic).then_some(PatternType::Literal);
    AclBindingFilter { resource_type: Some(resource_type), pattern_type, ..AclBindingFilter::default() }
}

/// `None` for an ACL that does not concern a single topic or a group.
fn from_kafka(acl: admin::AclBinding) -> Option<AclBinding> {
    let resource = match (acl.resource_type, acl.pattern_type) {
        (ResourceType::Topic, PatternType::Literal) => ResourcePattern::Topic(acl.name),
        (ResourceType::Group, PatternType::Literal) => ResourcePattern::Group(acl.name),
        (ResourceType::Group, PatternType::Prefixed) => ResourcePattern::PrefixedGroup(acl.name),
        _ => return None,
    };
    Some(AclBinding {
        resource,
        principal: acl.principal,
        host: acl.host,
        operation: format!("{:?}", acl.operation),
        allows: acl.permission_type == AclPermissionType::Allow,
    })
}

fn to_kafka(acl: AclBinding) -> admin::AclBinding {
    let (resource_type, name, pattern_type) = match acl.resource {
        ResourcePattern::Topic(name) => (ResourceType::Topic, name, PatternType::Literal),
        ResourcePattern::Group(name) => (ResourceType::Group, name, PatternType::Literal),
        ResourcePattern::PrefixedGroup(name) => (ResourceType::Group, name, PatternType::Prefixed),
    };
    let operation = match acl.operation.as_str() {
        "Read" => AclOperation::Read,
        "Write" => AclOperation::Write,
        "Describe" => AclOperation::Describe,
        "DescribeConfigs" => AclOperation::DescribeConfigs,
        // The client refuses to send this value. No other operation can be declared.
        _ => AclOperation::Unknown,
    };
    let permission_type = if acl.allows { AclPermissionType::Allow } else { AclPermissionType::Deny };
    admin::AclBinding {
        resource_type,
        name,
        pattern_type,
        principal: acl.principal,
        host: acl.host,
        operation,
        permission_type,
    }
}

pub(super) struct DescribeAcls(Connection);

impl BatchRequest for DescribeAcls {
    type Operation = (TopicName, BTreeSet<ResourcePattern>);
    type Output = BTreeSet<AclBinding>;

    fn topic(operation: &Self::Operation) -> &TopicName {
        &operation.0
    }

    fn weight(_: &Self::Operation) -> usize {
        DESCRIBE_WEIGHT
    }

    /// For one topic the request has its name; for several it describes the ACLs of all topics.
    async fn send(&self, operations: Vec<Self::Operation>) -> Vec<Result<BTreeSet<AclBinding>, Error>> {
        let mut topic_filter = all_of(ResourceType::Topic);
        if let [(topic, _)] = operations.as_slice() {
            topic_filter.name = Some(topic.to_string());
        }
        let scope = match operations.iter().all(|(_, groups)| groups.is_empty()) {
            true => AclScope::Topics,
            false => AclScope::TopicsAndGroups,
        };
        let index = describe(&self.0, operations.len(), scope, topic_filter).await;
        operations
            .iter()
            .map(|(topic, groups)| match &index {
                Ok(index) => Ok(index.select(topic, groups)),
                Err(error) => Err(error.clone()),
            })
            .collect()
    }
}

/// ACLs to create or delete for one topic.
type AclBatch = (TopicName, Vec<AclBinding>);

fn batch_weight(batch: &AclBatch) -> usize {
    (batch.1.len() * ACL_WEIGHT).max(MIN_WEIGHT)
}

/// The result of each batch: the first error of its ACLs. `sizes` are the numbers of ACLs of the batches.
fn batch_results<T>(sizes: &[usize], results: Vec<Result<T, Error>>) -> Vec<Result<(), Error>> {
    let mut results = results.into_iter();
    sizes
        .iter()
        .map(|size| {
            let batch: Vec<_> = results.by_ref().take(*size).collect();
            batch.into_iter().try_for_each(|result| result.map(drop))
        })
        .collect()
}

pub(super) struct CreateAcls(Connection);

impl BatchRequest for CreateAcls {
    type Operation = AclBatch;
    type Output = ();

    fn topic(operation: &AclBatch) -> &TopicName {
        &operation.0
    }

    fn weight(operation: &AclBatch) -> usize {
        batch_weight(operation)
    }

    async fn send(&self, operations: Vec<AclBatch>) -> Vec<Result<(), Error>> {
        let sizes: Vec<usize> = operations.iter().map(|(_, acls)| acls.len()).collect();
        let acls: Vec<admin::AclBinding> =
            operations.into_iter().flat_map(|(_, acls)| acls).map(to_kafka).collect();
        let request = self.0.client.create_acls(&acls, REQUEST_TIMEOUT);
        batch_results(&sizes, self.0.send_batch("CreateAcls", acls.len(), request).await)
    }
}

pub(super) struct DeleteAcls(Connection);

impl BatchRequest for DeleteAcls {
    type Operation = AclBatch;
    type Output = ();

    fn topic(operation: &AclBatch) -> &TopicName {
        &operation.0
    }

    fn weight(operation: &AclBatch) -> usize {
        batch_weight(operation)
    }

    async fn send(&self, operations: Vec<AclBatch>) -> Vec<Result<(), Error>> {
        let sizes: Vec<usize> = operations.iter().map(|(_, acls)| acls.len()).collect();
        let acls = operations.into_iter().flat_map(|(_, acls)| acls).map(to_kafka);
        let filters: Vec<AclBindingFilter> = acls.map(AclBindingFilter::from).collect();
        let request = self.0.client.delete_acls(&filters, REQUEST_TIMEOUT);
        batch_results(&sizes, self.0.send_batch("DeleteAcls", filters.len(), request).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(resource_type: ResourceType, pattern_type: PatternType, name: &str) -> admin::AclBinding {
        admin::AclBinding {
            resource_type,
            name: name.into(),
            pattern_type,
            principal: "User:a".into(),
            host: "*".into(),
            operation: AclOperation::DescribeConfigs,
            permission_type: AclPermissionType::Allow,
        }
    }

    #[test]
    fn conversion_round_trips() {
        for (resource_type, pattern_type) in [
            (ResourceType::Topic, PatternType::Literal),
            (ResourceType::Group, PatternType::Literal),
            (ResourceType::Group, PatternType::Prefixed),
        ] {
            let acl = acl(resource_type, pattern_type, "shop.orders");
            assert_eq!(from_kafka(acl.clone()).map(to_kafka), Some(acl));
        }
    }

    #[test]
    fn only_acls_of_the_topic_and_its_groups_are_selected() {
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
        let index = AclIndex::new(all.into_iter());
        let resources = |groups: &[&str]| -> Vec<ResourcePattern> {
            let groups = groups.iter().map(|group| ResourcePattern::group(group)).collect();
            index.select(&topic, &groups).into_iter().map(|acl| acl.resource).collect()
        };
        assert_eq!(resources(&[]), [ResourcePattern::Topic("shop.orders".into())]);
        assert_eq!(
            resources(&["shop.*", "shop.g"]),
            [ResourcePattern::Topic("shop.orders".into()), ResourcePattern::PrefixedGroup("shop.".into())]
        );
    }

    #[test]
    fn each_batch_has_its_own_result() {
        let results = vec![Ok(1), Err(Error::Closed), Ok(3), Ok(4)];
        let results = batch_results(&[1, 2, 0, 1], results);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    }
}
