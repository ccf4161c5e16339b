//! Event types of a topic and their naming conventions.

use std::collections::BTreeSet;
use std::fmt;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{Convention, EventTypeName, TenantName};

use super::refusal::Refusal;
use crate::api::{EventTopic, EventType, NamingConvention};

/// An event type. Unique within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId {
    /// Its name.
    pub name: EventTypeName,
    /// Its major version: from the name, or from the field `version` if the name has none.
    pub version: u32,
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.version() {
            Some(_) => write!(f, "{}", self.name),
            None => write!(f, "{} version {}", self.name, self.version),
        }
    }
}

/// An event type of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantType {
    /// The tenant.
    pub tenant: TenantName,
    /// The event type.
    pub id: TypeId,
}

/// Converts the API's convention to that of the SDK.
#[must_use]
pub fn convention(word: NamingConvention) -> Convention {
    match word {
        NamingConvention::Entity => Convention::Entity,
        NamingConvention::Service => Convention::Service,
        NamingConvention::System => Convention::System,
        NamingConvention::Dotted => Convention::Dotted,
    }
}

/// Parses one event type.
///
/// # Errors
/// The name follows no convention, or the field `version` contradicts it.
pub fn parse(declared: &EventType) -> Result<TypeId, Refusal> {
    let invalid = |detail: String| Refusal::at(Reason::InvalidResource, "spec.eventTypes", detail);
    let name: EventTypeName = declared.name.parse().map_err(|error| invalid(format!("{error}")))?;
    let field = declared
        .version
        .map(u32::try_from)
        .transpose()
        .map_err(|_| invalid(format!("version of {name}: write a whole number from 1 on")))?;
    let version = match (name.version(), field) {
        (Some(named), Some(field)) if named != field => {
            return Err(invalid(format!(
                "{name} ends in version {named} and its field version says {field}: remove the field"
            )));
        }
        (Some(version), _) | (None, Some(version)) => version,
        (None, None) => 1,
    };
    Ok(TypeId { name, version })
}

/// Parses the event types of a topic. `conventions` are the allowed ones; empty allows all.
///
/// # Errors
/// A name is invalid or not allowed, or an event type is listed twice.
pub fn parse_types(topic: &EventTopic, conventions: &BTreeSet<Convention>) -> Result<Vec<TypeId>, Refusal> {
    let mut types: Vec<TypeId> = Vec::with_capacity(topic.spec.event_types.len());
    for declared in &topic.spec.event_types {
        let id = parse(declared)?;
        if !conventions.is_empty() && !conventions.contains(&id.name.convention()) {
            let allowed: Vec<String> = conventions.iter().map(|c| format!("{c} ({})", c.form())).collect();
            return Err(Refusal::at(
                Reason::InvalidResource,
                "spec.eventTypes",
                format!(
                    "{} follows the convention {}, and the tenant's naming.conventions allow {}: \
                     rename it",
                    id.name,
                    id.name.convention(),
                    allowed.join(" and ")
                ),
            ));
        }
        if types.contains(&id) {
            return Err(Refusal::at(
                Reason::InvalidResource,
                "spec.eventTypes",
                format!("{id} is listed twice: remove one of them"),
            ));
        }
        types.push(id);
    }
    Ok(types)
}

/// Past participles that do not end in `ed`.
const IRREGULAR_VERBS: &[&str] = &[
    "begun",
    "bought",
    "bound",
    "broken",
    "built",
    "cast",
    "caught",
    "chosen",
    "cut",
    "dealt",
    "done",
    "drawn",
    "driven",
    "fallen",
    "found",
    "frozen",
    "given",
    "gone",
    "grown",
    "held",
    "hidden",
    "hit",
    "kept",
    "known",
    "laid",
    "left",
    "lent",
    "lost",
    "made",
    "met",
    "overridden",
    "paid",
    "put",
    "quit",
    "read",
    "reset",
    "rewritten",
    "run",
    "seen",
    "sent",
    "set",
    "shown",
    "shut",
    "sold",
    "spent",
    "split",
    "spread",
    "stolen",
    "stuck",
    "swept",
    "taken",
    "thrown",
    "told",
    "undone",
    "upset",
    "withdrawn",
    "withheld",
    "won",
    "written",
];

/// A warning if the name of an event is not in the past tense.
#[must_use]
pub fn past_tense_hint(id: &TypeId) -> Option<String> {
    let action = id.name.action();
    let last = action.rfind(|c: char| c.is_ascii_uppercase() || c == '_').map_or(action, |at| &action[at..]);
    let word = last.trim_start_matches('_').to_ascii_lowercase();
    let past = word.ends_with("ed") || IRREGULAR_VERBS.iter().any(|known| word == *known);
    (!past).then(|| format!("spec.eventTypes: {id}: name events in the past tense, such as Created or Paid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(yaml: &str, conventions: &[Convention], expected: Expect) {
        let conventions = conventions.iter().copied().collect();
        expected.assert_eq(&match parse_types(&topic(yaml), &conventions) {
            Ok(types) => types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(refusal) => refusal.to_string(),
        });
    }

    #[test]
    fn any_convention_by_default() {
        check(
            "eventTypes: [{name: Order.Created.v1}, {name: Payment.Order.Paid.v2}, {name: System.Backup.Completed.v1}, \
             {name: user.created}, {name: user.created, version: 2}]",
            &[],
            expect![
                "Order.Created.v1, Payment.Order.Paid.v2, System.Backup.Completed.v1, user.created version 1, user.created version 2"
            ],
        );
    }

    #[test]
    fn names_outside_the_allowed_conventions_are_refused() {
        check(
            "eventTypes: [{name: Order.Created.v1}, {name: user.created}]",
            &[Convention::Entity, Convention::System],
            expect![
                "InvalidResource: spec.eventTypes: user.created follows the convention Dotted, and the tenant's naming.conventions allow Entity ({Entity}.{Action}.v{N}) and System (System.{Component}.{Event}.v{N}): rename it"
            ],
        );
    }

    #[test]
    fn invalid_names_and_versions_are_refused() {
        check(
            "eventTypes: [{name: Order.Created}]",
            &[],
            expect![
                "InvalidResource: spec.eventTypes: event type `Order.Created` does not end in a version from `.v1` to `.v4294967295`; end it in `.v1`"
            ],
        );
        check(
            "eventTypes: [{name: Order.Created.v1, version: 2}]",
            &[],
            expect![
                "InvalidResource: spec.eventTypes: Order.Created.v1 ends in version 1 and its field version says 2: remove the field"
            ],
        );
        check("eventTypes: [{name: Order.Created.v2, version: 2}]", &[], expect!["Order.Created.v2"]);
        check(
            "eventTypes: [{name: user.created}, {name: user.created, version: 1}]",
            &[],
            expect![
                "InvalidResource: spec.eventTypes: user.created version 1 is listed twice: remove one of them"
            ],
        );
        check(
            "eventTypes: [{name: user.created, version: -1}]",
            &[],
            expect![
                "InvalidResource: spec.eventTypes: version of user.created: write a whole number from 1 on"
            ],
        );
    }

    #[test]
    fn names_in_the_past_tense_give_no_warning() {
        let hint = |name: &str| {
            let name = name.parse().expect("a name");
            past_tense_hint(&TypeId { name, version: 1 }).is_some()
        };
        for past in
            ["Order.Created.v1", "Order.Paid.v1", "System.Health.CheckFailed.v1", "user.password_reset"]
        {
            assert!(!hint(past), "{past}");
        }
        for other in ["Order.Create.v1", "Order.Creating.v1", "user.login", "inventory.low_stock"] {
            assert!(hint(other), "{other}");
        }
    }
}
