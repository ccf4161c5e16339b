//! Which ACLs are declared by whom, because one ACL of a consumer group can serve several topics.

use std::collections::{BTreeSet, HashMap};

use eventcenter_sdk::name::ClusterName;

use super::Identity;
use super::access::AclBinding;
use crate::api::TopicAcl;
use crate::domain::ObjectRef;
use crate::domain::ownership::Claims;

type Key = (ClusterName, AclBinding);

/// The ACLs that all resources declare, kept while resources come and go. One that declares none
/// takes no memory.
#[derive(Debug, Default)]
pub struct Grants {
    wanted: HashMap<Key, BTreeSet<ObjectRef>>,
    by_resource: HashMap<ObjectRef, (Identity, BTreeSet<TopicAcl>)>,
}

impl Grants {
    /// Notes what a resource declares now for which Kafka topic.
    pub fn upsert(&mut self, resource: &ObjectRef, identity: Option<Identity>, declared: BTreeSet<TopicAcl>) {
        self.remove(resource);
        let Some(identity) = identity.filter(|_| !declared.is_empty()) else { return };
        for acl in &declared {
            self.wanted.entry(key(&identity, acl)).or_default().insert(resource.clone());
        }
        self.by_resource.insert(resource.clone(), (identity, declared));
    }

    /// Forgets a resource.
    pub fn remove(&mut self, resource: &ObjectRef) {
        let Some((identity, declared)) = self.by_resource.remove(resource) else { return };
        for acl in &declared {
            let key = key(&identity, acl);
            if let Some(wanting) = self.wanted.get_mut(&key) {
                wanting.remove(resource);
                if wanting.is_empty() {
                    self.wanted.remove(&key);
                }
            }
        }
    }

    /// Whether an ACL of this resource is also declared by another that owns its Kafka topic, or will
    /// once this one is out of the way.
    #[must_use]
    pub fn is_wanted_by_others(
        &self,
        identity: &Identity,
        acl: &TopicAcl,
        this: &ObjectRef,
        claims: &Claims<Identity>,
    ) -> bool {
        let wanting = self.wanted.get(&key(identity, acl)).into_iter().flatten();
        wanting.filter(|other| *other != this).any(|other| {
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
            self.0.upsert(&resource, Some(identity), super::super::access::declared(&declared));
        }

        fn is_wanted_by_others(&self, name: &str, kafka: &str, group: Option<&str>) -> bool {
            let acl = TopicAcl {
                principal: "User:a".into(),
                operation: crate::api::AccessOperation::Read,
                group: group.map(Into::into),
            };
            self.0.is_wanted_by_others(&identity(kafka), &acl, &resource(name), &self.1)
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
    fn a_group_is_wanted_until_the_last_one_goes() {
        let mut catalog = TestCatalog(Grants::default(), Claims::default());
        catalog.upsert(1, "x", "shop.x", READS);
        assert!(!catalog.is_wanted_by_others("x", "shop.x", Some("shop.g")), "itself does not count");
        catalog.upsert(2, "y", "shop.y", READS);
        assert!(catalog.is_wanted_by_others("x", "shop.x", Some("shop.g")));
        assert!(!catalog.is_wanted_by_others("x", "shop.x", Some("shop.g*")), "which is another ACL");
        assert!(!catalog.is_wanted_by_others("x", "shop.x", None), "another topic is another ACL");
        catalog.upsert(2, "y", "shop.y", "[{principal: 'User:a', operations: [Read]}]");
        assert!(!catalog.is_wanted_by_others("x", "shop.x", Some("shop.g")));
        catalog.upsert(2, "y", "shop.y", READS);
        catalog.0.remove(&resource("y"));
        assert!(!catalog.is_wanted_by_others("x", "shop.x", Some("shop.g")));
        catalog.0.remove(&resource("x"));
        assert!(catalog.0.wanted.is_empty() && catalog.0.by_resource.is_empty());
    }

    #[test]
    fn who_does_not_own_its_topic_keeps_nothing_alive_and_an_heir_does() {
        let mut catalog = TestCatalog(Grants::default(), Claims::default());
        catalog.upsert(1, "other", "shop.other", READS);
        catalog.upsert(2, "owner", "shop.x", READS);
        catalog.upsert(3, "loser", "shop.x", READS);
        catalog.0.remove(&resource("owner"));
        assert!(
            !catalog.is_wanted_by_others("other", "shop.other", Some("shop.g")),
            "the loser is not in force"
        );
        assert!(
            catalog.is_wanted_by_others("owner", "shop.x", None),
            "when the owner goes, the loser takes over"
        );
    }
}
