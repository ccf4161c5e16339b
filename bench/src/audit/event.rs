//! Events for records of about 600 bytes, by 200 users, about 2,000 resources in 40 namespaces.

use anyhow::Result;
use eventcenter::domain::audit::{Action, Actor, Change, Event, LogName, Outcome, Target, Via};
use eventcenter_sdk::Reason;
use serde_json::json;

/// One of this number of requests is denied.
pub(crate) const REQUESTS_PER_DENIAL: u32 = 500;

/// One of this number of events is an action with a completion.
const EVENTS_PER_ACTION: u32 = 20;

/// One of this number of actions has no completion.
const ACTIONS_PER_OPEN: u32 = 50;

pub(crate) const USERS: u32 = 200;
pub(crate) const NAMESPACES: u32 = 40;
pub(crate) const NAMES: u32 = 2000;

/// The log of a tenant.
pub(crate) fn log(tenant: u32) -> Result<LogName> {
    Ok(format!("tenant-{tenant:03}").parse()?)
}

pub(crate) fn user(number: u32) -> String {
    format!("user-{:03}@example.com", number % USERS)
}

pub(crate) fn namespace(number: u32) -> String {
    format!("team-{:02}", number % NAMESPACES)
}

pub(crate) fn name(number: u32) -> String {
    format!("orders-{:04}", number % NAMES)
}

/// The kinds, the most frequent first.
pub(crate) const KINDS: [&str; 3] = ["EventTopic", "EventSubscription", "ChangeApproval"];

/// Hashes a number, so that the fields of an event are independent of each other.
pub(crate) fn scatter(number: u32, salt: u32) -> u32 {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (u64::from(salt) << 17));
    u32::try_from(mixed >> 40).unwrap_or_default()
}

/// The event with a number, and whether it gets a completion.
pub(crate) fn event(number: u32, log: LogName) -> (Event, bool) {
    let is_action = number.is_multiple_of(EVENTS_PER_ACTION);
    let denied = !is_action && scatter(number, 1).is_multiple_of(REQUESTS_PER_DENIAL);
    let (action, outcome, via) = match (is_action, denied) {
        (true, _) => (Action::AlterConfig, Outcome::Started, Via::Controllers),
        (false, true) => (Action::Update, Outcome::Denied, Via::Admission),
        (false, false) => (
            [Action::Create, Action::Update, Action::Update, Action::Delete][scatter(number, 2) as usize % 4],
            Outcome::Allowed,
            Via::Admission,
        ),
    };
    let actor = Actor {
        user: if is_action { "eventcenter-0".to_owned() } else { user(scatter(number, 3)) },
        groups: vec!["system:authenticated".to_owned(), "oidc:team".to_owned()],
        via,
    };
    let mut event = Event::new(log, actor, action, outcome);
    let kind = match scatter(number, 4) % 100 {
        0 => KINDS[2],
        1..10 => KINDS[1],
        _ => KINDS[0],
    };
    event.target = Some(Target {
        kind: kind.to_owned(),
        namespace: Some(namespace(scatter(number, 5))),
        name: name(scatter(number, 6)),
        uid: Some(format!("6f1c2a52-0000-4000-8000-{number:012x}")),
    });
    event.reason = denied.then_some(Reason::Forbidden);
    event.message = Some("retention.ms from 604800000 to 86400000".to_owned());
    event.change = Some(Change {
        patch: vec![
            json!({"op": "test", "path": "/spec/config/retention.ms", "value": 604_800_000}),
            json!({"op": "replace", "path": "/spec/config/retention.ms", "value": 86_400_000 + number % 1000}),
        ],
        paths: Vec::new(),
        before: None,
        after: None,
    });
    event.request = Some(format!("b2a7c1d0-0000-4000-8000-{number:012x}"));
    let is_completed = is_action && !(number / EVENTS_PER_ACTION).is_multiple_of(ACTIONS_PER_OPEN);
    (event, is_completed)
}

#[cfg(test)]
mod tests {
    use eventcenter::domain::audit::canonical_json;

    use super::*;

    #[test]
    fn records_have_a_realistic_size() {
        let log = log(7).expect("a name");
        let size = |number| {
            let (event, _) = event(number, log.clone());
            let draft =
                event.into_draft(uuid::Uuid::from_u128(7), jiff::Timestamp::UNIX_EPOCH, "webhook", "bench");
            canonical_json(&draft.at_seq(1_000_000)).len()
        };
        let mean = (0..1000).map(size).sum::<usize>() / 1000;
        assert!((550..950).contains(&mean), "{mean}");
    }

    #[test]
    fn every_filter_matches_some_events() {
        let log = log(0).expect("a name");
        let all: Vec<_> = (0..20_000).map(|number| event(number, log.clone())).collect();
        let share = |found: usize| all.len() / found.max(1);
        let denied = all.iter().filter(|(event, _)| event.outcome == Outcome::Denied).count();
        assert!((300..1000).contains(&share(denied)), "{denied}");
        let open = all
            .iter()
            .filter(|(event, is_completed)| event.outcome == Outcome::Started && !is_completed)
            .count();
        assert_eq!(open, 20);
        for kind in KINDS {
            let of = |event: &Event| event.target.as_ref().is_some_and(|target| target.kind == kind);
            assert!(all.iter().any(|(event, _)| of(event)), "{kind}");
        }
        let users: std::collections::BTreeSet<_> = all.iter().map(|(event, _)| &event.actor.user).collect();
        assert_eq!(users.len(), 201);
    }
}
