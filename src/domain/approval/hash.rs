//! The hash that identifies a spec.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The reason of the status cause in which a denial names the hash of the spec that must be approved.
pub const SPEC_HASH_CAUSE: &str = "SpecHash";

/// SHA-256, in hexadecimal, of a spec with all defaults in canonical JSON (RFC 8785). Two specs have the same hash only if
/// they declare the same.
///
/// A field that is added to a governed spec must not be serialized while it has its default: otherwise every approval
/// would become void when the operator is upgraded. A test pins the current hashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecHash(String);

impl SpecHash {
    /// Computes the hash of a spec.
    ///
    /// # Panics
    /// Never: the specs of all kinds are JSON objects.
    #[must_use]
    pub fn of(spec: &impl Serialize) -> Self {
        let canonical = serde_json_canonicalizer::to_vec(spec).expect("a spec is a JSON object");
        Self(hex::encode(Sha256::digest(canonical)))
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for names and for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;

    fn of(yaml: &str) -> String {
        SpecHash::of(&topic(yaml).spec).to_string()
    }

    #[test]
    fn equal_specs_have_the_same_hash() {
        assert_eq!(of("{}"), of("{partitions: 1, deletionPolicy: Retain, driftPolicy: Correct}"));
        assert_eq!(of("{config: {a: 1, b: 2}}"), of("{config: {b: 2, a: 1}}"));
        assert_ne!(of("{config: {a: 1}}"), of("{config: {a: '1'}}"), "what is written is what is approved");
        assert_ne!(of("{}"), of("{partitions: 2}"));
        assert_eq!(of("{name: a}"), of("{name: b, annotations: {x: y}}"), "only the spec counts");
    }

    /// Approvals outlive operators: changing a hash voids all approvals in every cluster.
    #[test]
    fn hashes_are_the_same_in_every_version() {
        assert_eq!(of("{}"), "cac45802434851a4efd753caa73f9b326e744c290a547517bf705abd1fd6f946");
        let full = "{cluster: main, topicName: shop.x, partitions: 3, replicas: 2, retention: {time: 7d, size: 1Gi}, \
                    cleanupPolicy: Compact, config: {a: 1}, ignoreConfig: [b], owner: {team: a, contact: b}, description: d, \
                    eventTypes: [{name: a.b, version: 1, schema: {type: object}}], compatibility: {mode: FULL, policy: Strict}, \
                    access: [{principal: 'User:a', operations: [Read], groups: [g]}], deletionPolicy: Delete, driftPolicy: Report}";
        assert_eq!(of(full), "a1ef2a8cdac0e324dc2c1e3fc0bbeb333122ce2363e7ac8f06d5e4f16a004101");
    }
}
