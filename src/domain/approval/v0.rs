//! Seals and hashes of the version before the redesign are valid; see `tests/data/v0/README.md`.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::active::{Evidence, revision_data, revision_name};
use super::{ActiveRecord, ActiveSpec, ChangeRequest, SpecHash, VerifiedDecision};
use crate::api::{ChangeApproval, EventTopic, EventTopicSpec};
use crate::domain::Revisioned;
use crate::domain::signature::PublicKeys;

const TOPIC: &str = include_str!("../../../tests/data/v0/event-topic.yaml");
const REVISION: &str = include_str!("../../../tests/data/v0/controller-revision.yaml");
const APPROVAL: &str = include_str!("../../../tests/data/v0/change-approval.yaml");
const KEYS: &str = include_str!("../../../tests/data/v0/seal-keys.yaml");

fn parse<T: DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).expect("a resource")
}

fn keys(role: &str) -> PublicKeys {
    let keys: Value = parse(KEYS);
    PublicKeys::parse(keys["data"][role].as_str().expect("a key"))
}

fn topic() -> (EventTopic, Revisioned, SpecHash) {
    let topic: EventTopic = parse(TOPIC);
    let (subject, hash) = (Revisioned::of(&topic), SpecHash::of(&topic.spec));
    (topic, subject, hash)
}

#[test]
fn the_hash_of_a_v0_spec_has_not_changed() {
    let (topic, _, hash) = topic();
    let pending = topic.status.and_then(|status| status.pending).expect("a pending change");
    assert_eq!((pending.hash.as_str(), pending.generation), (hash.as_str(), 4));
}

#[test]
fn a_v0_request_is_verified() {
    let (topic, subject, hash) = topic();
    let request = ChangeRequest::verified(&topic, &subject, &hash, &keys("webhook")).expect("a valid seal");
    assert_eq!(request.people().collect::<Vec<_>>(), ["system:serviceaccount:argo:argo", "ann"]);
    assert_eq!(Some(&request.to_annotation()), topic.annotations().get(crate::api::REQUEST));
    assert_eq!(ChangeRequest::verified(&topic, &subject, &hash, &keys("controllers")), None, "another key");
    let mut edited = topic;
    let annotation = edited.annotations_mut().get_mut(crate::api::REQUEST).expect("a request");
    *annotation = annotation.replace("ann", "bob");
    assert_eq!(ChangeRequest::verified(&edited, &subject, &hash, &keys("webhook")), None, "edited");
}

#[test]
fn a_v0_active_spec_is_verified_and_its_revision_is_found() {
    let (topic, subject, hash) = topic();
    let record = ActiveRecord::verified(&topic, &keys("controllers")).expect("a valid seal");
    assert_eq!(ActiveRecord::verified(&topic, &keys("webhook")), None, "another key");
    let revision: ControllerRevision = parse(REVISION);
    let data = revision.data.expect("data").0;
    let evidence = Evidence {
        record: Some(record.clone()),
        revision: Some(&data),
        has_revisions: true,
        is_stale: false,
    };
    let active = ActiveSpec::<EventTopicSpec>::determine(&topic, &hash, evidence);
    let ActiveSpec::Previous(found, spec) = active else { panic!("{active:?}") };
    assert_eq!((found, spec.partitions), (record.clone(), 3));
    let active_hash = SpecHash::of(&*spec);
    assert!(record.is_of(&active_hash));
    assert_eq!(revision_data(&*spec), data);
    assert_eq!(revision.metadata.name, Some(revision_name(&subject, &active_hash)));
    assert_eq!(record.as_status().revision, revision.metadata.name);
}

#[test]
fn a_v0_decision_is_verified() {
    let (_, subject, hash) = topic();
    let approval: ChangeApproval = parse(APPROVAL);
    let decision = VerifiedDecision::verify(&approval, &subject, &keys("webhook")).expect("a valid seal");
    assert_eq!((decision.hash.as_str(), decision.approver.username.as_str()), (hash.as_str(), "bob"));
    let mut edited = approval;
    edited.spec.comment = None;
    assert_eq!(VerifiedDecision::verify(&edited, &subject, &keys("webhook")), None, "edited");
}
