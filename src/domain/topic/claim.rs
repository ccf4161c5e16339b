//! Who owns a Kafka topic that several resources stand for: the oldest of them.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::Identity;
use crate::api::EventTopic;
use crate::domain::age;

/// One resource's claim, ordered by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// When the resource was made. Kubernetes notes it to the second, so ties do happen.
    pub made: Timestamp,
    /// Whether the resource has not had a Kafka topic yet: of two that are equally old, nobody
    /// loses what they have.
    pub newcomer: bool,
    /// Its uid, which settles what is left.
    pub uid: String,
    /// The resource.
    pub resource: Resource,
}

impl Claim {
    /// The claim of a resource, as far as the resource itself tells.
    #[must_use]
    pub fn of(topic: &EventTopic) -> Self {
        let (made, uid) = age(topic);
        let had = topic.status.as_ref().is_some_and(|status| status.topic_name.is_some());
        Self { made, newcomer: !had, uid, resource: Resource::of(topic) }
    }
}

/// An EventTopic by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// All claims, kept while resources come and go.
#[derive(Debug, Default)]
pub struct Claims {
    by_topic: HashMap<Identity, BTreeSet<Claim>>,
    by_resource: HashMap<Resource, (Identity, Claim)>,
}

impl Claims {
    /// Notes what a resource stands for now, or that it stands for nothing. Returns the resources
    /// whose right has changed by that and that have to be looked at again, itself left out.
    pub fn set(&mut self, claim: &Claim, identity: Option<Identity>) -> Vec<Resource> {
        if self.by_resource.get(&claim.resource).map(|(known, by)| (known, by))
            == identity.as_ref().map(|i| (i, claim))
        {
            return Vec::new();
        }
        let mut affected = self.remove(&claim.resource);
        if let Some(identity) = identity {
            let claims = self.by_topic.entry(identity.clone()).or_default();
            let owner_before = claims.first().cloned();
            claims.insert(claim.clone());
            // Only the arrival of an older one takes the topic away from its owner.
            if let Some(owner) = owner_before.filter(|owner| claim < owner) {
                affected.push(owner.resource);
            }
            self.by_resource.insert(claim.resource.clone(), (identity, claim.clone()));
        }
        affected.retain(|resource| *resource != claim.resource);
        affected
    }

    /// Forgets a resource. Returns the one that owns the Kafka topic from now on, if that changes.
    pub fn remove(&mut self, resource: &Resource) -> Vec<Resource> {
        let Some((identity, claim)) = self.by_resource.remove(resource) else { return Vec::new() };
        let Some(claims) = self.by_topic.get_mut(&identity) else { return Vec::new() };
        let owned = claims.first() == Some(&claim);
        claims.remove(&claim);
        let heir = claims.first().filter(|_| owned).map(|heir| heir.resource.clone());
        if claims.is_empty() {
            self.by_topic.remove(&identity);
        }
        heir.into_iter().collect()
    }

    /// The resource that owns a Kafka topic.
    #[must_use]
    pub fn owner(&self, identity: &Identity) -> Option<&Resource> {
        self.by_topic.get(identity)?.first().map(|claim| &claim.resource)
    }

    /// The resource that would own a Kafka topic if this one went.
    #[must_use]
    pub fn heir(&self, identity: &Identity, of: &Resource) -> Option<&Resource> {
        self.by_topic.get(identity)?.iter().map(|claim| &claim.resource).find(|resource| *resource != of)
    }

    /// All Kafka topics that are claimed, with their owners.
    pub fn owned(&self) -> impl Iterator<Item = (&Identity, &Resource)> {
        self.by_topic.iter().filter_map(|(identity, claims)| Some((identity, &claims.first()?.resource)))
    }

    /// The resources that claim anything.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.by_resource.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, second: i64) -> Claim {
        Claim {
            made: Timestamp::from_second(second).expect("in range"),
            newcomer: true,
            uid: format!("uid-{name}"),
            resource: Resource { namespace: "shop".into(), name: name.into() },
        }
    }

    fn identity(topic: &str) -> Identity {
        Identity { cluster: "main".parse().expect("a name"), topic: topic.parse().expect("a name") }
    }

    fn names(resources: &[Resource]) -> Vec<&str> {
        resources.iter().map(|resource| resource.name.as_str()).collect()
    }

    #[test]
    fn the_oldest_owns_and_the_next_takes_over() {
        let mut claims = Claims::default();
        let (a, b, c) = (claim("a", 1), claim("b", 2), claim("c", 3));
        assert!(claims.set(&b, Some(identity("t"))).is_empty());
        assert!(claims.set(&c, Some(identity("t"))).is_empty(), "a younger one disturbs nobody");
        assert_eq!(names(&claims.set(&a, Some(identity("t")))), ["b"], "an older one takes over from b");
        assert_eq!(claims.owner(&identity("t")), Some(&a.resource));
        assert_eq!(claims.heir(&identity("t"), &a.resource), Some(&b.resource));
        assert_eq!(claims.heir(&identity("t"), &b.resource), Some(&a.resource));
        assert_eq!(names(&claims.remove(&a.resource)), ["b"]);
        assert!(claims.remove(&c.resource).is_empty(), "nobody inherits from one who owned nothing");
        assert_eq!(claims.owner(&identity("t")), Some(&b.resource));
    }

    #[test]
    fn of_two_equally_old_the_one_that_has_the_topic_keeps_it() {
        let mut claims = Claims::default();
        let owner = Claim { newcomer: false, ..claim("b", 1) };
        claims.set(&claim("b", 1), Some(identity("t")));
        claims.set(&owner, Some(identity("t")));
        assert!(claims.set(&claim("a", 1), Some(identity("t"))).is_empty());
        assert_eq!(claims.owner(&identity("t")), Some(&owner.resource));
        assert_eq!(names(&claims.remove(&owner.resource)), ["a"]);
    }

    #[test]
    fn a_resource_that_stands_for_something_else_lets_go() {
        let mut claims = Claims::default();
        let (a, b) = (claim("a", 1), claim("b", 2));
        claims.set(&a, Some(identity("t")));
        claims.set(&b, Some(identity("t")));
        assert_eq!(names(&claims.set(&a, Some(identity("u")))), ["b"]);
        assert_eq!(names(&claims.set(&a, None)), Vec::<&str>::new());
        assert_eq!(claims.owned().count(), 1);
    }

    #[test]
    fn one_recreated_under_the_same_name_starts_anew() {
        let mut claims = Claims::default();
        claims.set(&claim("a", 1), Some(identity("t")));
        claims.set(&claim("b", 2), Some(identity("t")));
        assert_eq!(names(&claims.set(&claim("a", 3), Some(identity("t")))), ["b"]);
        assert_eq!(claims.owner(&identity("t")).map(|owner| owner.name.as_str()), Some("b"));
    }

    #[test]
    fn the_same_claim_again_changes_nothing() {
        let mut claims = Claims::default();
        claims.set(&claim("a", 1), Some(identity("t")));
        assert!(claims.set(&claim("a", 1), Some(identity("t"))).is_empty());
    }

    proptest::proptest! {
        /// Whatever comes and goes in whatever order, the owner is the oldest of those left.
        #[test]
        fn the_owner_is_always_the_oldest(steps in proptest::collection::vec((0_u8..6, 0_i64..4, 0_u8..3), 0..40)) {
            let mut claims = Claims::default();
            let mut expected: HashMap<u8, (Claim, Option<u8>)> = HashMap::new();
            for (name, second, topic) in steps {
                let claim = claim(&name.to_string(), second);
                let target = (topic > 0).then_some(topic);
                claims.set(&claim, target.map(|topic| identity(&format!("t{topic}"))));
                expected.insert(name, (claim, target));
                for topic in 1..3 {
                    let oldest = expected.values().filter(|(_, to)| *to == Some(topic)).map(|(claim, _)| claim).min();
                    let owner = claims.owner(&identity(&format!("t{topic}")));
                    proptest::prop_assert_eq!(owner, oldest.map(|claim| &claim.resource));
                }
            }
        }
    }
}
