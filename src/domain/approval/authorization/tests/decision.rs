//! Which ChangeApprovals are heard.

use super::*;
use crate::api::{ApprovalTarget, ChangeApprovalSpec, GovernedKind};
use crate::domain::approval::testing::key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A ChangeApproval as the webhook stores it.
fn stored(by: &str) -> ChangeApproval {
    let spec = ChangeApprovalSpec {
        target: ApprovalTarget {
            kind: GovernedKind::EventTopic,
            name: "orders".into(),
            uid: Some("u1".into()),
            generation: Some(3),
        },
        action: ApprovalAction::Apply,
        spec_hash: hash("new").to_string(),
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

/// Whether somebody is heard after this was done to a ChangeApproval.
fn is_heard(tamper: impl FnOnce(&mut ChangeApproval)) -> bool {
    let mut approval = stored("bob");
    tamper(&mut approval);
    VerifiedDecision::verified(&approval, &orders(), &PublicKeys::read(&key('1').public())).is_some()
}

#[test]
fn what_is_sealed_is_heard() {
    let decision =
        VerifiedDecision::verified(&stored("bob"), &orders(), &PublicKeys::read(&key('1').public()));
    assert_eq!(decision, Some(VerifiedDecision { comment: Some("fine".into()), ..approval("bob") }));
    assert_eq!(VerifiedDecision::verified(&stored("bob"), &orders(), &PublicKeys::default()), None);
}

#[test]
fn what_was_written_past_the_webhook_is_not_heard() {
    assert!(is_heard(|_| {}));
    assert!(is_heard(|approval| approval.metadata.name = Some("another".into())));
    assert!(!is_heard(|approval| approval.spec.seal = None));
    assert!(!is_heard(|approval| seal(approval, '2')));
    assert!(!is_heard(|approval| approval.spec.approver = None));
    assert!(!is_heard(|approval| approval.spec.at = None));
    assert!(!is_heard(|approval| approval.spec.at = Some(at(0))));
    assert!(!is_heard(|approval| approval.spec.approver = Some(Approver::default())));
    assert!(!is_heard(|approval| approval.spec.approver.iter_mut().for_each(|by| by.groups.clear())));
    assert!(!is_heard(|approval| approval.spec.comment = None));
    assert!(!is_heard(|approval| approval.spec.decision = Decision::Reject));
    assert!(!is_heard(|approval| approval.spec.action = ApprovalAction::Delete));
    assert!(!is_heard(|approval| approval.spec.spec_hash = hash("other").to_string()));
    assert!(!is_heard(|approval| approval.spec.target.generation = Some(4)));
    assert!(!is_heard(|approval| approval.spec.target.generation = None));
    assert!(!is_heard(|approval| approval.spec.target.uid = None));
    assert!(!is_heard(|approval| approval.spec.target.uid = Some("u2".into())));
}

#[test]
fn an_approval_of_another_resource_is_not_heard() {
    assert!(!is_heard(|approval| approval.metadata.namespace = Some("other".into())));
    assert!(!is_heard(|approval| {
        approval.spec.target.name = "other".into();
        seal(approval, '1');
    }));
    // Sealed for a resource of the same name elsewhere, and copied.
    let mut elsewhere = orders();
    elsewhere.namespace = "other".into();
    let mut copied = stored("bob");
    copied.metadata.namespace = Some("other".into());
    let keys = PublicKeys::read(&key('1').public());
    assert_eq!(VerifiedDecision::verified(&copied, &elsewhere, &keys), None);
    assert_eq!(VerifiedDecision::verified(&stored("bob"), &elsewhere, &keys), None);
}

#[test]
fn an_approval_that_goes_is_not_heard() {
    let goes = Some(Time(at(0)));
    assert!(!is_heard(|approval| approval.metadata.deletion_timestamp = goes));
}

/// Taken back, and put back by somebody who had kept it while the webhook was away.
#[test]
fn an_approval_that_was_made_again_is_not_heard() {
    let made = |seconds: i64| Some(Time(at(-3600 + seconds)));
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = None), "in admission");
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = made(60)));
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = made(-60)));
    assert!(!is_heard(|approval| approval.metadata.creation_timestamp = made(61)));
    assert!(!is_heard(|approval| approval.metadata.creation_timestamp = made(-61)));
}
