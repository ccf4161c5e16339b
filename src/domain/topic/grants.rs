//! Which ACLs are declared by whom, because one ACL of a consumer group can serve several topics.

use std::collections::{BTreeSet, HashMap};

use eventcenter_sdk::name::ClusterName;

use super::access::Acl;
use super::claim::Resource;
use super::{Claims, Identity};
use crate::api::TopicAcl;

type Key = (ClusterName, Acl);

/// The ACLs that all resources declare, kept while resources come and go. One that declares none
/// takes no memory.
#[derive(Debug, Default)]
pub struct Grants {
    wanted: HashMap<Key, BTreeSet<Resource>>,
    by_resource: HashMap<Resource, (Identity, BTreeSet<TopicAcl>)>,
}

impl Grants {
    /// Notes what a resource declares now for which Kafka topic.
    pub fn seen(&mut self, resource: &Resource, identity: Option<Identity>, declared: BTreeSet<TopicAcl>) {
        self.gone(resource);
        let Some(identity) = identity.filter(|_| !declared.is_empty()) else { return };
        for acl in &declared {
            self.wanted.entry(key(&identity, acl)).or_default().insert(resource.clone());
        }
        self.by_resource.insert(resource.clone(), (identity, declared));
    }

    /// Forgets a resource.
    pub fn gone(&mut self, resource: &Resource) {
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
    pub fn others_want(
        &self,
        identity: &Identity,
        acl: &TopicAcl,
        this: &Resource,
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
    (identity.cluster.clone(), Acl::of(acl, &identity.topic))
}

#[cfg(test)]
mod tests {
    use super::super::claim::Claim;
    use super::*;
    use crate::domain::testing::topic;

    struct World(Grants, Claims<Identity>);

    impl World {
        fn seen(&mut self, second: i64, name: &str, kafka: &str, access: &str) {
            let declared = topic(&format!("{{name: {name}, access: {access}}}"));
            let resource = Resource::of(&declared);
            let identity = identity(kafka);
            let made = jiff::Timestamp::from_second(second).expect("in range");
            let claim = Claim { made, newcomer: true, uid: name.into(), resource: resource.clone() };
            self.1.set(&claim, Some(identity.clone()));
            self.0.seen(&resource, Some(identity), super::super::access::declared(&declared));
        }

        fn others_want(&self, name: &str, kafka: &str, group: Option<&str>) -> bool {
            let acl = TopicAcl {
                principal: "User:a".into(),
                operation: crate::api::AccessOperation::Read,
                group: group.map(Into::into),
            };
            self.0.others_want(&identity(kafka), &acl, &resource(name), &self.1)
        }
    }

    fn identity(topic: &str) -> Identity {
        Identity { cluster: "main".parse().expect("a name"), topic: topic.parse().expect("a name") }
    }

    fn resource(name: &str) -> Resource {
        Resource { namespace: "shop".into(), name: name.into() }
    }

    const READS: &str = "[{principal: 'User:a', operations: [Read], groups: [shop.g]}]";

    #[test]
    fn a_group_is_wanted_until_the_last_one_goes() {
        let mut world = World(Grants::default(), Claims::default());
        world.seen(1, "x", "shop.x", READS);
        assert!(!world.others_want("x", "shop.x", Some("shop.g")), "itself does not count");
        world.seen(2, "y", "shop.y", READS);
        assert!(world.others_want("x", "shop.x", Some("shop.g")));
        assert!(!world.others_want("x", "shop.x", Some("shop.g*")), "which is another ACL");
        assert!(!world.others_want("x", "shop.x", None), "another topic is another ACL");
        world.seen(2, "y", "shop.y", "[{principal: 'User:a', operations: [Read]}]");
        assert!(!world.others_want("x", "shop.x", Some("shop.g")));
        world.seen(2, "y", "shop.y", READS);
        world.0.gone(&resource("y"));
        assert!(!world.others_want("x", "shop.x", Some("shop.g")));
        world.0.gone(&resource("x"));
        assert!(world.0.wanted.is_empty() && world.0.by_resource.is_empty());
    }

    #[test]
    fn who_does_not_own_its_topic_keeps_nothing_alive_and_an_heir_does() {
        let mut world = World(Grants::default(), Claims::default());
        world.seen(1, "other", "shop.other", READS);
        world.seen(2, "owner", "shop.x", READS);
        world.seen(3, "loser", "shop.x", READS);
        world.0.gone(&resource("owner"));
        assert!(!world.others_want("other", "shop.other", Some("shop.g")), "the loser is not in force");
        assert!(world.others_want("owner", "shop.x", None), "when the owner goes, the loser takes over");
    }
}
