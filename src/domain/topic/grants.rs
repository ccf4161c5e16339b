//! Index of the declared ACLs of all EventTopics. One ACL of a consumer group can serve several topics.

use std::collections::{BTreeSet, HashMap};

use eventcenter_sdk::name::ClusterName;

use super::Identity;
use super::access::AclBinding;
use crate::api::TopicAcl;
use crate::domain::ObjectRef;
use crate::domain::ownership::Claims;

type Key = (ClusterName, AclBinding);

/// The declared ACLs of all resources. A resource without ACLs takes no memory.
#[derive(Debug, Default)]
pub struct Grants {
    by_acl: HashMap<Key, BTreeSet<ObjectRef>>,
    by_resource: HashMap<ObjectRef, (Identity, BTreeSet<TopicAcl>)>,
}

impl Grants {
    /// Sets the declared ACLs of a resource.
    pub fn upsert(&mut self, resource: &ObjectRef, identity: Option<Identity>, declared: BTreeSet<TopicAcl>) {
        self.remove(resource);
        let Some(identity) = identity.filter(|_| !declared.is_empty()) else { return };
        for acl in &declared {
            self.by_acl.entry(key(&identity, acl)).or_default().insert(resource.clone());
        }
        self.by_resource.insert(resource.clone(), (identity, declared));
    }

    /// Removes a resource.
    pub fn remove(&mut self, resource: &ObjectRef) {
        let Some((identity, declared)) = self.by_resource.remove(resource) else { return };
        for acl in &declared {
            let key = key(&identity, acl);
            if let Some(resources) = self.by_acl.get_mut(&key) {
                resources.remove(resource);
                if resources.is_empty() {
                    self.by_acl.remove(&key);
                }
            }
        }
    }

    /// Whether another resource declares the same ACL and owns its Kafka topic, or will own it once this resource is
    /// deleted.
    #[must_use]
    pub fn is_wanted_elsewhere(
        &self,
        identity: &Identity,
        acl: &TopicAcl,
        this: &ObjectRef,
        claims: &Claims<Identity>,
    ) -> bool {
        let resources = self.by_acl.get(&key(identity, acl)).into_iter().flatten();
        resources.filter(|other| *other != this).any(|other| {
            let identity = self.by_resource.get(other).map(|(identity, _)| identity);
            identity.and_then(|identity| claims.heir(identity, this)) == Some(other)
        })
    }
}

fn key(identity: &Identity, acl: &TopicAcl) -> Key {
    (identity.cluster.clone(), AclBinding::of(acl, &identity.topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ownership::Claim;
    use crate::domain::testing::topic;

    struct TestCatalog(Grants, Claims<Identity>);

    impl TestCatalog {
        fn upsert(&mut self, second: i64, name: &str, kafka: &str, access: &str) {
            let declared = topic(&format!("{{name: {name}, access: {access}}}"));
            let resource = ObjectRef::of(&declared);
            let identity = identity(kafka);
            let created = jiff::Timestamp::from_second(second).expect("in range");
            let claim = Claim { created, is_new: true, uid: name.into(), resource: resource.clone() };
            self.1.set(&claim, Some(identity.clone()));
            self.0.upsert(&resource, Some(identity), super::super::access::declared_acls(&declared));
        }

        fn is_wanted_elsewhere(&self, name: &str, kafka: &str, group: Option<&str>) -> bool {
            let acl = TopicAcl {
                principal: "User:a".into(),
                operation: crate::api::AccessOperation::Read,
                group: group.map(Into::into),
            };
            self.0.is_wanted_elsewhere(&identity(kafka), &acl, &resource(name), &self.1)
        }
    }

    fn identity(topic: &str) -> Identity {
        Identity { cluster: "main".parse().expect("a name"), topic: topic.parse().expect("a name") }
    }

    fn resource(name: &str) -> ObjectRef {
        ObjectRef::new::<crate::api::EventTopic>("shop", name)
    }

    const READS: &str = "[{principal: 'User:a', operations: [Read], groups: [shop.g]}]";

    #[test]
    fn a_group_acl_is_shared_until_the_last_resource_is_removed() {
        let mut catalog = TestCatalog(Grants::default(), Claims::default());
        catalog.upsert(1, "x", "shop.x", READS);
        assert!(!catalog.is_wanted_elsewhere("x", "shop.x", Some("shop.g")), "itself does not count");
        catalog.upsert(2, "y", "shop.y", READS);
        assert!(catalog.is_wanted_elsewhere("x", "shop.x", Some("shop.g")));
        assert!(!catalog.is_wanted_elsewhere("x", "shop.x", Some("shop.g*")), "which is another ACL");
        assert!(!catalog.is_wanted_elsewhere("x", "shop.x", None), "another topic is another ACL");
        catalog.upsert(2, "y", "shop.y", "[{principal: 'User:a', operations: [Read]}]");
        assert!(!catalog.is_wanted_elsewhere("x", "shop.x", Some("shop.g")));
        catalog.upsert(2, "y", "shop.y", READS);
        catalog.0.remove(&resource("y"));
        assert!(!catalog.is_wanted_elsewhere("x", "shop.x", Some("shop.g")));
        catalog.0.remove(&resource("x"));
        assert!(catalog.0.by_acl.is_empty() && catalog.0.by_resource.is_empty());
    }

    #[test]
    fn only_owners_and_next_owners_share_an_acl() {
        let mut catalog = TestCatalog(Grants::default(), Claims::default());
        catalog.upsert(1, "other", "shop.other", READS);
        catalog.upsert(2, "owner", "shop.x", READS);
        catalog.upsert(3, "loser", "shop.x", READS);
        catalog.0.remove(&resource("owner"));
        assert!(
            !catalog.is_wanted_elsewhere("other", "shop.other", Some("shop.g")),
            "the loser is not in force"
        );
        assert!(
            catalog.is_wanted_elsewhere("owner", "shop.x", None),
            "when the owner goes, the loser takes over"
        );
    }
}
