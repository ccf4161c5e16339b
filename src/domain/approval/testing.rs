//! Short ways to write rules, resources and approvals in the tests of this room.

use jiff::Timestamp;

use super::request::Asserted;
use super::{Request, Rules, SigningKey, SpecHash, Subject};
use crate::api::GovernedKind;

/// What a tenant declares as `spec.approval`.
pub(super) fn rules(yaml: &str) -> Rules {
    Rules::read(Some(&serde_yaml::from_str(yaml).expect("an approval"))).expect("rules")
}

/// Seconds after noon of an unremarkable day, or before it.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_700_800 + seconds).expect("in range")
}

/// The third content of EventTopic shop/orders, which is a day old.
pub(super) fn orders() -> Subject {
    Subject {
        kind: GovernedKind::EventTopic,
        namespace: "shop".into(),
        name: "orders".into(),
        uid: Some("u1".into()),
        generation: 3,
        created: Some(at(-86_400)),
    }
}

/// The name of a content.
pub(super) fn hash(content: &str) -> SpecHash {
    SpecHash::of(&content)
}

/// A key of ours, or of somebody else.
pub(super) fn key(digit: char) -> SigningKey {
    SigningKey::of_seed(&digit.to_string().repeat(64)).expect("a key")
}

pub(super) fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What these have asked for and those have written: the content `new` of orders.
pub(super) fn asked_by(requesters: &[&str], authors: &[&str]) -> Request {
    let asserted = Asserted {
        hash: hash("new").to_string(),
        uid: Some("u1".into()),
        generation: 3,
        requesters: groups(requesters),
        authors: groups(authors),
        at: at(-7200),
        break_glass: None,
    };
    Request { asserted, seal: String::new() }
}
