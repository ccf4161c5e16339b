//! Who deletes a resource whose data is deleted with it.
//!
//! Only the webhook learns the user of a DELETE request, and Kubernetes does not store who deleted an object. Before the
//! deletion is stored, the webhook writes the user, with its seal, into an annotation. The controllers attribute a deletion to
//! nobody else: not to the garbage collector, the namespace controller or another program, behind which anybody may be, and not
//! to a user whom the webhook did not see.

use jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::claims::DeletionClaims;
use super::{ChangeRequest, Rules, SpecHash, Statement};
use crate::api::DELETION_REQUEST;
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::{ObjectRef, Revisioned};

/// A sealed request to delete a resource, as the annotation [`DELETION_REQUEST`] has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRequest {
    /// What the webhook asserts.
    #[serde(flatten)]
    pub claims: DeletionClaims,
    /// The webhook's seal over it.
    pub seal: String,
}

impl DeletionRequest {
    /// Seals that a user deletes a resource.
    #[must_use]
    pub fn seal(subject: &Revisioned, hash: &SpecHash, user: &str, at: Timestamp, key: &SigningKey) -> Self {
        let claims = DeletionClaims {
            uid: subject.uid.clone().unwrap_or_default(),
            generation: subject.generation,
            hash: hash.to_string(),
            user: user.to_owned(),
            at,
        };
        let seal = key.seal(&statement(&subject.object, &claims));
        Self { claims, seal }
    }

    /// The request that a resource carries, if the webhook sealed it for this resource, generation and spec.
    #[must_use]
    pub fn verified(
        resource: &impl kube::Resource,
        subject: &Revisioned,
        hash: &SpecHash,
        keys: &PublicKeys,
    ) -> Option<Self> {
        let request: Self = serde_json::from_str(resource.annotations().get(DELETION_REQUEST)?).ok()?;
        let claims = &request.claims;
        // Kubernetes counts the deletion as a new generation of the same spec.
        let before = subject.generation - i64::from(resource.meta().deletion_timestamp.is_some());
        let is_about = subject.uid.as_ref() == Some(&claims.uid)
            && claims.generation == before
            && claims.hash == hash.as_str();
        (is_about && keys.verify(&statement(&subject.object, claims), &request.seal)).then_some(request)
    }

    /// The value of the annotation.
    ///
    /// # Panics
    /// Never: a request is JSON.
    #[must_use]
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).expect("a request is JSON")
    }

    /// The request as that of any other change.
    #[must_use]
    pub fn into_request(self, subject: &Revisioned, hash: &SpecHash) -> ChangeRequest {
        ChangeRequest::for_deletion(subject, hash, &self.claims.user, self.claims.at)
    }
}

/// Whether a deletion can be attributed to this user: to a person whom Kubernetes has authenticated, and not to a program that
/// deletes for somebody else.
#[must_use]
pub fn is_attributable(username: &str, rules: &Rules) -> bool {
    let username = username.trim();
    !username.is_empty() && !username.starts_with("system:") && !rules.is_automation(username)
}

fn statement<'a>(object: &'a ObjectRef, claims: &'a DeletionClaims) -> Statement<'a> {
    let ObjectRef { kind, namespace, name } = object;
    Statement::Deletion { kind, namespace, name, request: claims }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventTopic;
    use crate::domain::approval::testing::{at, key, rules};
    use crate::domain::testing::topic;

    /// A topic with this annotation: alive, or under deletion.
    fn deleted(annotation: &str, generation: i64, is_deleted: bool) -> EventTopic {
        let mut topic = topic("deletionPolicy: Delete");
        topic.metadata.generation = Some(generation);
        topic.metadata.deletion_timestamp =
            is_deleted.then(|| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
        topic.annotations_mut().insert(DELETION_REQUEST.into(), annotation.into());
        topic
    }

    #[test]
    fn a_request_counts_for_one_generation_of_one_resource() {
        let living = deleted("", 3, false);
        let (subject, hash) = (Revisioned::of(&living), SpecHash::of(&living.spec));
        let sealed = DeletionRequest::seal(&subject, &hash, "alice", at(0), &key('1')).to_annotation();
        let keys = PublicKeys::parse(&key('1').public_key());
        let user = |topic: &EventTopic, keys: &PublicKeys| {
            let (subject, hash) = (Revisioned::of(topic), SpecHash::of(&topic.spec));
            DeletionRequest::verified(topic, &subject, &hash, keys).map(|request| request.claims.user)
        };
        let alice = Some("alice".to_owned());
        assert_eq!(user(&deleted(&sealed, 3, false), &keys), alice, "before the deletion is stored");
        assert_eq!(user(&deleted(&sealed, 4, true), &keys), alice, "afterwards");
        for (generation, is_deleted) in [(4, false), (3, true), (5, true)] {
            assert_eq!(user(&deleted(&sealed, generation, is_deleted), &keys), None, "another generation");
        }
        let mut other = deleted(&sealed, 4, true);
        other.metadata.uid = Some("another".into());
        assert_eq!(user(&other, &keys), None, "another resource of the same name");
        let mut other = deleted(&sealed, 4, true);
        other.spec.partitions = 7;
        assert_eq!(user(&other, &keys), None, "another spec");
        let other = PublicKeys::parse(&key('2').public_key());
        assert_eq!(user(&deleted(&sealed, 4, true), &other), None, "another key");
        let forged = sealed.replace("alice", "bob");
        assert_eq!(user(&deleted(&forged, 4, true), &keys), None, "edited");
        assert_eq!(user(&deleted("{", 4, true), &keys), None, "no JSON");
    }

    #[test]
    fn programs_delete_for_anybody() {
        let rules = rules("{rules: [{changes: [Any], groups: [a]}], automation: [argocd]}");
        for person in ["alice", "oidc:alice@example.com", "kubernetes-admin"] {
            assert!(is_attributable(person, &rules), "{person}");
        }
        for program in [
            "",
            " ",
            "argocd",
            "system:serviceaccount:kube-system:generic-garbage-collector",
            "system:serviceaccount:kube-system:namespace-controller",
            "system:serviceaccount:shop:ci",
            "system:kube-controller-manager",
            "system:node:n1",
            " system:anonymous",
        ] {
            assert!(!is_attributable(program, &rules), "{program:?}");
        }
    }
}
