//! Short ways to write rules, resources and approvals in the tests of this module.

use jiff::Timestamp;

use super::claims::RequestClaims;
use super::{ChangeRequest, Rules, SpecHash, VerifiedDecision};
use crate::api::{ApprovalAction, Approver, Decision, EventTopic};
use crate::domain::signature::SigningKey;
use crate::domain::{ObjectRef, Revisioned};

/// What a tenant declares as `spec.approval`.
pub(super) fn rules(yaml: &str) -> Rules {
    Rules::parse(Some(&serde_yaml::from_str(yaml).expect("an approval"))).expect("rules")
}

/// Seconds after noon of an unremarkable day, or before it.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_700_800 + seconds).expect("in range")
}

/// The third content of EventTopic shop/orders, which is a day old.
pub(super) fn orders() -> Revisioned {
    Revisioned {
        object: ObjectRef::new::<EventTopic>("shop", "orders"),
        uid: Some("u1".into()),
        generation: 3,
        created: Some(at(-86_400)),
    }
}

/// The name of a content.
pub(super) fn hash(content: &str) -> SpecHash {
    SpecHash::of(&content)
}

/// A signing key, by a digit.
pub(super) fn key(digit: char) -> SigningKey {
    SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key")
}

pub(super) fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A request of these users, with these authors, for the content `new` of orders.
pub(super) fn requested_by(requesters: &[&str], authors: &[&str]) -> ChangeRequest {
    let claims = RequestClaims {
        hash: hash("new").to_string(),
        uid: Some("u1".into()),
        generation: 3,
        requesters: groups(requesters),
        authors: groups(authors),
        at: at(-7200),
        break_glass: None,
    };
    ChangeRequest { claims, seal: String::new() }
}

/// An approval by a member of the group approvers, an hour ago.
pub(super) fn approval(by: &str) -> VerifiedDecision {
    VerifiedDecision {
        uid: Some("u1".into()),
        generation: 3,
        action: ApprovalAction::Apply,
        hash: hash("new").to_string(),
        takeover_hash: None,
        decision: Decision::Approve,
        approver: Approver { username: by.into(), groups: groups(&["approvers"]), revocable: false },
        at: at(-3600),
        comment: None,
    }
}
