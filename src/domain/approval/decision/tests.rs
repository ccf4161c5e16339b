//! Which ChangeApprovals count as sealed decisions.

use super::*;
use crate::api::{ApprovalTarget, ChangeApprovalSpec, EventTopic, Kind};
use crate::domain::approval::testing::{approval, at, groups, hash, key, orders};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A ChangeApproval as the webhook stores it.
fn stored(by: &str) -> ChangeApproval {
    let spec = ChangeApprovalSpec {
        target: ApprovalTarget {
            kind: Kind::of::<EventTopic>(),
            name: "orders".into(),
            uid: Some("u1".into()),
            generation: Some(3),
        },
        action: ApprovalAction::Apply,
        spec_hash: hash("new").to_string(),
        takeover_hash: None,
        decision: Decision::Approve,
        comment: Some("fine".into()),
        approver: Some(Approver { username: by.into(), groups: groups(&["approvers"]), revocable: false }),
        at: Some(at(-3600)),
        seal: None,
    };
    let mut stored = ChangeApproval::new("a1", spec);
    stored.metadata.namespace = Some("shop".into());
    stored.metadata.creation_timestamp = Some(Time(at(-3599)));
    seal(&mut stored, '1');
    stored
}

fn seal(approval: &mut ChangeApproval, by: char) {
    let approver = approval.spec.approver.clone().unwrap_or_default();
    let seal = key(by).seal(&statement("shop", approval, &approver, approval.spec.at.unwrap_or_default()));
    approval.spec.seal = Some(seal);
}

/// Whether a ChangeApproval is verified after this was done to it.
fn is_verified(tamper: impl FnOnce(&mut ChangeApproval)) -> bool {
    let mut approval = stored("bob");
    tamper(&mut approval);
    VerifiedDecision::verify(&approval, &orders(), &PublicKeys::parse(&key('1').public_key())).is_some()
}

#[test]
fn sealed_statements_are_verified() {
    let decision =
        VerifiedDecision::verify(&stored("bob"), &orders(), &PublicKeys::parse(&key('1').public_key()));
    assert_eq!(decision, Some(VerifiedDecision { comment: Some("fine".into()), ..approval("bob") }));
    assert_eq!(VerifiedDecision::verify(&stored("bob"), &orders(), &PublicKeys::default()), None);
}

#[test]
fn a_decision_that_the_webhook_did_not_seal_is_not_verified() {
    assert!(is_verified(|_| {}));
    assert!(is_verified(|approval| approval.metadata.name = Some("another".into())));
    assert!(!is_verified(|approval| approval.spec.seal = None));
    assert!(!is_verified(|approval| seal(approval, '2')));
    assert!(!is_verified(|approval| approval.spec.approver = None));
    assert!(!is_verified(|approval| approval.spec.at = None));
    assert!(!is_verified(|approval| approval.spec.at = Some(at(0))));
    assert!(!is_verified(|approval| approval.spec.approver = Some(Approver::default())));
    assert!(!is_verified(|approval| approval.spec.approver.iter_mut().for_each(|by| by.groups.clear())));
    assert!(!is_verified(|approval| approval.spec.comment = None));
    assert!(!is_verified(|approval| approval.spec.decision = Decision::Reject));
    assert!(!is_verified(|approval| approval.spec.action = ApprovalAction::Delete));
    assert!(!is_verified(|approval| approval.spec.spec_hash = hash("other").to_string()));
    assert!(!is_verified(|approval| approval.spec.target.generation = Some(4)));
    assert!(!is_verified(|approval| approval.spec.target.generation = None));
    assert!(!is_verified(|approval| approval.spec.target.uid = None));
    assert!(!is_verified(|approval| approval.spec.target.uid = Some("u2".into())));
}

#[test]
fn an_approval_of_another_resource_is_not_verified() {
    assert!(!is_verified(|approval| approval.metadata.namespace = Some("other".into())));
    assert!(!is_verified(|approval| {
        approval.spec.target.name = "other".into();
        seal(approval, '1');
    }));
    // Sealed for a resource of the same name elsewhere, and copied.
    let mut elsewhere = orders();
    elsewhere.object.namespace = "other".into();
    let mut copied = stored("bob");
    copied.metadata.namespace = Some("other".into());
    let keys = PublicKeys::parse(&key('1').public_key());
    assert_eq!(VerifiedDecision::verify(&copied, &elsewhere, &keys), None);
    assert_eq!(VerifiedDecision::verify(&stored("bob"), &elsewhere, &keys), None);
}

#[test]
fn an_approval_under_deletion_is_not_verified() {
    let deleted = Some(Time(at(0)));
    assert!(!is_verified(|approval| approval.metadata.deletion_timestamp = deleted));
}

/// Deleted, and created again by a user who kept a copy while the webhook was away.
#[test]
fn an_approval_that_was_created_again_is_not_verified() {
    let made = |seconds: i64| Some(Time(at(-3600 + seconds)));
    assert!(is_verified(|approval| approval.metadata.creation_timestamp = None), "in admission");
    assert!(is_verified(|approval| approval.metadata.creation_timestamp = made(60)));
    assert!(is_verified(|approval| approval.metadata.creation_timestamp = made(-60)));
    assert!(!is_verified(|approval| approval.metadata.creation_timestamp = made(61)));
    assert!(!is_verified(|approval| approval.metadata.creation_timestamp = made(-61)));
}
