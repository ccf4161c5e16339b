//! Ownership of what several resources can claim, such as a Kafka topic or an event type: the oldest one owns it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use jiff::Timestamp;

use super::age::age;
use super::object_ref::ObjectRef;
use crate::api::EventTopic;

/// One resource's claim, ordered by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The creation time. Kubernetes stores it in seconds, so ties do occur.
    pub created: Timestamp,
    /// Whether the resource has no Kafka topic yet: of two equally old ones, the one with a topic keeps it.
    pub is_new: bool,
    /// Its uid, which breaks the remaining ties.
    pub uid: Arc<str>,
    /// The resource.
    pub resource: ObjectRef,
}

impl Claim {
    /// The claim of a resource.
    #[must_use]
    pub fn of(topic: &EventTopic) -> Self {
        let (created, uid) = age(topic);
        let has_topic = topic.status.as_ref().is_some_and(|status| status.topic_name.is_some());
        Self { created, is_new: !has_topic, uid: uid.into(), resource: ObjectRef::of(topic) }
    }
}

/// All claims to targets of one type, such as Kafka topics.
#[derive(Debug)]
pub struct Claims<K> {
    /// Sorted. Nearly all have one claim, for which a tree would take ten times the memory.
    by_target: HashMap<K, Vec<Claim>>,
    by_resource: HashMap<ObjectRef, (Vec<K>, Claim)>,
}

impl<K> Default for Claims<K> {
    fn default() -> Self {
        Self { by_target: HashMap::new(), by_resource: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Claims<K> {
    /// Replaces the claims of a resource. Returns the other resources whose ownership has changed.
    pub fn set(&mut self, claim: &Claim, targets: impl IntoIterator<Item = K>) -> Vec<ObjectRef> {
        let mut targets: Vec<K> = targets.into_iter().collect();
        targets.sort();
        targets.dedup();
        match self.by_resource.get(&claim.resource) {
            Some((known, by)) if *known == targets && by == claim => return Vec::new(),
            None if targets.is_empty() => return Vec::new(),
            _ => {}
        }
        let mut affected = self.remove(&claim.resource);
        for target in &targets {
            let claims = self.by_target.entry(target.clone()).or_default();
            // Only an older claim replaces the owner.
            if let Some(owner) = claims.first().filter(|owner| claim < owner) {
                affected.push(owner.resource.clone());
            }
            if let Err(place) = claims.binary_search(claim) {
                claims.reserve_exact(1);
                claims.insert(place, claim.clone());
            }
        }
        if !targets.is_empty() {
            self.by_resource.insert(claim.resource.clone(), (targets, claim.clone()));
        }
        affected.retain(|resource| *resource != claim.resource);
        affected
    }

    /// Removes a resource. Returns the new owners of what it owned.
    pub fn remove(&mut self, resource: &ObjectRef) -> Vec<ObjectRef> {
        let Some((targets, claim)) = self.by_resource.remove(resource) else { return Vec::new() };
        let mut heirs = Vec::new();
        for target in &targets {
            let Some(claims) = self.by_target.get_mut(target) else { continue };
            let owned = claims.first() == Some(&claim);
            if let Ok(place) = claims.binary_search(&claim) {
                claims.remove(place);
            }
            heirs.extend(claims.first().filter(|_| owned).map(|heir| heir.resource.clone()));
            if claims.is_empty() {
                self.by_target.remove(target);
            }
        }
        heirs
    }

    /// The resource that owns a target.
    #[must_use]
    pub fn owner(&self, target: &K) -> Option<&ObjectRef> {
        self.by_target.get(target)?.first().map(|claim| &claim.resource)
    }

    /// The resources that claim a target, its owner first.
    pub fn claimants(&self, target: &K) -> impl Iterator<Item = &ObjectRef> {
        self.by_target.get(target).into_iter().flatten().map(|claim| &claim.resource)
    }

    /// The resource that would own a target without `of`.
    #[must_use]
    pub fn heir(&self, target: &K, of: &ObjectRef) -> Option<&ObjectRef> {
        self.by_target.get(target)?.iter().map(|claim| &claim.resource).find(|resource| *resource != of)
    }

    /// All claimed targets with their owners.
    pub fn owned(&self) -> impl Iterator<Item = (&K, &ObjectRef)> {
        self.by_target.iter().filter_map(|(target, claims)| Some((target, &claims.first()?.resource)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topic::Identity;

    fn claim(name: &str, second: i64) -> Claim {
        Claim {
            created: Timestamp::from_second(second).expect("in range"),
            is_new: true,
            uid: format!("uid-{name}").into(),
            resource: ObjectRef::new::<EventTopic>("shop", name),
        }
    }

    fn identity(topic: &str) -> Identity {
        Identity { cluster: "main".parse().expect("a name"), topic: topic.parse().expect("a name") }
    }

    fn names(resources: &[ObjectRef]) -> Vec<&str> {
        resources.iter().map(|resource| &*resource.name).collect()
    }

    #[test]
    fn the_oldest_owns_and_the_next_takes_over() {
        let mut claims = Claims::default();
        let (a, b, c) = (claim("a", 1), claim("b", 2), claim("c", 3));
        assert!(claims.set(&b, Some(identity("t"))).is_empty());
        assert!(claims.set(&c, Some(identity("t"))).is_empty(), "a younger claim changes no owner");
        assert_eq!(names(&claims.set(&a, Some(identity("t")))), ["b"], "an older one takes over from b");
        assert_eq!(claims.owner(&identity("t")), Some(&a.resource));
        assert_eq!(claims.heir(&identity("t"), &a.resource), Some(&b.resource));
        assert_eq!(claims.heir(&identity("t"), &b.resource), Some(&a.resource));
        assert_eq!(names(&claims.remove(&a.resource)), ["b"]);
        assert!(claims.remove(&c.resource).is_empty(), "a resource without ownership has no heir");
        assert_eq!(claims.owner(&identity("t")), Some(&b.resource));
    }

    #[test]
    fn of_two_equally_old_resources_the_one_with_the_topic_owns_it() {
        let mut claims = Claims::default();
        let owner = Claim { is_new: false, ..claim("b", 1) };
        claims.set(&claim("b", 1), Some(identity("t")));
        claims.set(&owner, Some(identity("t")));
        assert!(claims.set(&claim("a", 1), Some(identity("t"))).is_empty());
        assert_eq!(claims.owner(&identity("t")), Some(&owner.resource));
        assert_eq!(names(&claims.remove(&owner.resource)), ["a"]);
    }

    #[test]
    fn a_resource_that_claims_another_target_releases_the_first() {
        let mut claims = Claims::default();
        let (a, b) = (claim("a", 1), claim("b", 2));
        claims.set(&a, Some(identity("t")));
        claims.set(&b, Some(identity("t")));
        assert_eq!(names(&claims.set(&a, Some(identity("u")))), ["b"]);
        assert_eq!(names(&claims.set(&a, None)), Vec::<&str>::new());
        assert_eq!(claims.owned().count(), 1);
    }

    #[test]
    fn a_recreated_resource_is_a_new_claim() {
        let mut claims = Claims::default();
        claims.set(&claim("a", 1), Some(identity("t")));
        claims.set(&claim("b", 2), Some(identity("t")));
        assert_eq!(names(&claims.set(&claim("a", 3), Some(identity("t")))), ["b"]);
        assert_eq!(claims.owner(&identity("t")).map(|owner| &*owner.name), Some("b"));
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
