//! Admission of EventTopics.

use kube::ResourceExt;

use super::{Change, Verdict};
use crate::api::{EventTopic, MANAGED, PAUSED};
use crate::domain::management::{ManagementMode, management_mode};
use crate::domain::topic::plan::Observed;
use crate::domain::topic::validate::suspended;
use crate::domain::topic::{Declared, access, plan, validate};
use crate::domain::{Catalog, Refusal, event_type};

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

/// Validates a change of an EventTopic. A delete is always allowed: the controllers decide what to delete in Kafka.
#[must_use]
pub fn topic(change: &Change<'_, EventTopic>, catalog: &Catalog) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } if is_governed(old, new) => (Some(old), new),
        Change::Update { .. } | Change::Delete(_) => return Verdict::default(),
    };
    match validate_change(old, new, catalog) {
        Ok(declared) => Verdict { refusals: Vec::new(), warnings: warnings(old, new, &declared) },
        Err(refusal) => Verdict::refused(refusal),
    }
}

/// Whether an update changes anything that the rules validate.
#[must_use]
pub fn is_governed(old: &EventTopic, new: &EventTopic) -> bool {
    let annotations = |topic: &EventTopic| [PAUSED, MANAGED].map(|key| topic.annotations().get(key).cloned());
    new.metadata.deletion_timestamp.is_none()
        && (old.spec != new.spec || annotations(old) != annotations(new))
}

fn validate_change(
    old: Option<&EventTopic>,
    new: &EventTopic,
    catalog: &Catalog,
) -> Result<Declared, Refusal> {
    let namespace = new.namespace().unwrap_or_default();
    let tenant = catalog.tenants().of_namespace(&namespace)?;
    if tenant.suspended.is_some() {
        return Err(suspended(tenant));
    }
    // The rules apply to a paused resource too, or pausing would bypass them.
    if management_mode(new)? == ManagementMode::Unmanaged {
        return Declared::read(new);
    }
    let declared = validate(new, &catalog.neighbours())?.declared;
    match unsupported(old, new, &declared) {
        Some(refusal) => Err(refusal),
        None => Ok(declared),
    }
}

/// A change that Kafka does not support, by the topic in the status. Only changed values are refused: if partitions were
/// added in Kafka directly, other fields can still be changed.
fn unsupported(old: Option<&EventTopic>, new: &EventTopic, declared: &Declared) -> Option<Refusal> {
    let size = |topic: &EventTopic| (topic.spec.partitions, topic.spec.replicas);
    if old.is_some_and(|old| size(old) == size(new)) {
        return None;
    }
    plan(declared, Some(&Observed::in_status(new)?), false, None).refusals.into_iter().next()
}

fn warnings(old: Option<&EventTopic>, new: &EventTopic, declared: &Declared) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |applies: bool, text: String| {
        if applies {
            warnings.push(text);
        }
    };
    let spec = &new.spec;
    let time = declared.config.get("retention.ms").and_then(|time| time.parse::<i64>().ok());
    let compacted = declared.config.get("cleanup.policy").is_some_and(|policy| policy == "compact");
    warn(
        !compacted && time.is_some_and(|time| !(0..=YEAR_MS).contains(&time)),
        "spec.retention.time: records are kept for more than a year".into(),
    );
    warn(spec.replicas == Some(1), "spec.replicas: with one replica, data is lost with its broker".into());
    warn(spec.owner.is_none(), "spec.owner: the topic has no owner".into());
    if let Some(old) = old.filter(|old| old.spec.partitions < spec.partitions) {
        let (from, to) = (old.spec.partitions, spec.partitions);
        warn(
            true,
            format!("spec.partitions: {from} -> {to} sends keys to other partitions, out of their order"),
        );
    }
    for declared in &spec.event_types {
        let schema = declared.schema.is_some() || declared.schema_from.is_some();
        warn(
            !schema,
            format!("spec.eventTypes: {} has no schema, so its events are not checked", declared.name),
        );
        if let Some(hint) = event_type::parse(declared).ok().and_then(|id| event_type::past_tense_hint(&id)) {
            warn(true, hint);
        }
    }
    warnings.extend(access::warnings(new));
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::domain::testing::{catalog, topic};
    use expect_test::{Expect, expect};

    const OWNED: &str = "owner: {team: a}";

    fn check(tenant: &str, old: Option<&str>, new: &str, expected: Expect) {
        let mut catalog = catalog(&[("shop", tenant)], &[("main", true)]);
        let (old, new) = (old.map(topic), topic(new));
        if let Some(old) = &old {
            catalog.upsert(old);
        }
        let change = match &old {
            Some(old) => Change::Update { old, new: &new },
            None => Change::Create(&new),
        };
        expected.assert_eq(&print(&super::topic(&change, &catalog)));
    }

    const SHOP: &str = "namespaces: [shop]";

    #[test]
    fn a_valid_topic_is_allowed() {
        check(SHOP, None, OWNED, expect!["allowed"]);
    }

    #[test]
    fn a_violation_is_refused() {
        check(
            "namespaces: [other]",
            None,
            OWNED,
            expect![
                "refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
        check(
            "{namespaces: [shop], quotas: {topics: 0}}",
            None,
            OWNED,
            expect![
                "refused: TenantQuotaExceeded: metadata: tenant shop may have 0 topics (quotas.topics), 0 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota"
            ],
        );
        check(
            "{namespaces: [shop], suspended: true}",
            None,
            OWNED,
            expect![
                "refused: TenantSuspended: tenant shop is suspended, so its resources cannot be created or changed: ask the platform's administrator to set spec.suspended: false in the Tenant"
            ],
        );
        check(
            SHOP,
            None,
            r#"{annotations: {eventcenter.io/paused: "yes"}}"#,
            expect![[
                r#"refused: InvalidResource: metadata.annotations[eventcenter.io/paused]: the value is "true" or "false"; correct or remove it"#
            ]],
        );
    }

    #[test]
    fn pausing_bypasses_no_rule() {
        check(
            "{namespaces: [shop], quotas: {topics: 0}}",
            None,
            r#"{annotations: {eventcenter.io/paused: "true"}}"#,
            expect![
                "refused: TenantQuotaExceeded: metadata: tenant shop may have 0 topics (quotas.topics), 0 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota"
            ],
        );
        check(
            "namespaces: [other]",
            None,
            r#"{annotations: {eventcenter.io/managed: "false"}}"#,
            expect![
                "refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
    }

    #[test]
    fn unchanged_fields_are_not_validated() {
        const SUSPENDED: &str = "{namespaces: [shop], suspended: true}";
        check(SUSPENDED, Some("{}"), "{finalizers: [a]}", expect!["allowed"]);
        check(
            SUSPENDED,
            Some("{}"),
            "{partitions: 2}",
            expect![
                "refused: TenantSuspended: tenant shop is suspended, so its resources cannot be created or changed: ask the platform's administrator to set spec.suspended: false in the Tenant"
            ],
        );
        check(
            SUSPENDED,
            Some("{}"),
            "{partitions: 2, deletionTimestamp: '2026-01-01T00:00:00Z'}",
            expect!["allowed"],
        );
    }

    #[test]
    fn unsupported_changes_are_refused() {
        const HAS: &str =
            "owner: {team: a}, status: {topicName: shop.orders, cluster: main, partitions: 6, replicas: 3}";
        check(
            SHOP,
            Some(&format!("{{partitions: 6, {HAS}}}")),
            &format!("{{partitions: 6, replicas: 2, {HAS}}}"),
            expect![
                "refused: NotSupported: spec.replicas: Kafka keeps 3 replicas and the operator does not move replicas: set spec.replicas: 3, or reassign the partitions to 2 brokers each with kafka-reassign-partitions"
            ],
        );
        check(
            SHOP,
            Some(&format!("{{partitions: 3, {HAS}}}")),
            &format!("{{partitions: 4, {HAS}}}"),
            expect![
                "refused: NotSupported: spec.partitions: Kafka has 6 partitions and cannot remove any: set spec.partitions: 6, or create a new EventTopic with 4 and move producers and consumers to it"
            ],
        );
        check(
            SHOP,
            Some(&format!("{{partitions: 3, {HAS}}}")),
            &format!("{{partitions: 3, description: more, {HAS}}}"),
            expect!["allowed"],
        );
    }

    #[test]
    fn risks_are_warnings() {
        check(
            SHOP,
            Some("{partitions: 3}"),
            "{partitions: 6, replicas: 1, retention: {time: unlimited}, eventTypes: [{name: Order.Create.v1}]}",
            expect![[r#"
                warning: spec.retention.time: records are kept for more than a year
                warning: spec.replicas: with one replica, data is lost with its broker
                warning: spec.owner: the topic has no owner
                warning: spec.partitions: 3 -> 6 sends keys to other partitions, out of their order
                warning: spec.eventTypes: Order.Create.v1 has no schema, so its events are not checked
                warning: spec.eventTypes: Order.Create.v1: name events in the past tense, such as Created or Paid"#]],
        );
        check(
            SHOP,
            None,
            "{owner: {team: a}, access: [{principal: 'User:*', operations: [Write]}]}",
            expect![
                "warning: spec.access: User:* allows Write to every authenticated Kafka user: list the users, unless this is intended"
            ],
        );
        check(
            SHOP,
            None,
            "{cleanupPolicy: Compact, retention: {time: unlimited}, owner: {team: a}}",
            expect!["allowed"],
        );
    }
}
