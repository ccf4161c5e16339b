//! Renders the EventTopic for an existing Kafka topic.
//!
//! Applying it changes nothing in Kafka, which makes adoption harmless.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;

use super::declaration::ALWAYS_IGNORED;
use super::{Observed, value};
use crate::api::Tenant;
use crate::domain::quantity;
use crate::domain::refusal::Refusal;
use crate::domain::tenant::{Tenants, prefix};

/// Maximum length of a configuration value in a resource, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// Maximum length of a resource name.
const MAX_NAME_LENGTH: usize = 253;

/// Where to create the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The namespace.
    pub namespace: String,
    /// Prefix of the tenant's topics; empty if it is unknown.
    pub prefix: String,
    /// The tenant's other namespaces.
    pub alternatives: Vec<String>,
}

/// Finds the tenant whose prefix a topic name has.
///
/// # Errors
/// No tenant has this prefix, or the tenant has no namespace.
pub fn find_placement(topic: &str, tenants: &[Tenant]) -> Result<Placement, Refusal> {
    let all = Tenants::of(tenants);
    let named = |tenant: &&Tenant| topic.starts_with(&prefix(tenant)) && topic.len() > prefix(tenant).len();
    let owner = tenants.iter().filter(named).find_map(|tenant| {
        let facts = all.by_name(tenant.metadata.name.as_deref()?)?;
        let own = |namespace: &&String| all.of_namespace(namespace).is_ok_and(|owner| owner == facts);
        let mut namespaces = tenant.spec.namespaces.iter().filter(own).cloned();
        let namespace = namespaces.next()?;
        Some(Placement { namespace, prefix: facts.prefix.to_string(), alternatives: namespaces.collect() })
    });
    owner.ok_or_else(|| {
        Refusal::new(
            Reason::TenantNotFound,
            format!(
                "{topic} has the prefix of no tenant with a namespace: create a Tenant with a matching spec.topicPrefix"
            ),
        )
    })
}

/// Renders the resource as YAML, without defaults. `taken` are the used names in each namespace.
#[must_use]
pub fn render_manifest(
    topic: &str,
    observed: &Observed,
    placement: &Placement,
    cluster: Option<&str>,
    taken: &mut BTreeSet<(String, String)>,
) -> String {
    let name = choose_name(topic, placement, taken);
    let mut text = String::new();
    if !placement.alternatives.is_empty() {
        let others = placement.alternatives.join(", ");
        line(&mut text, 0, &format!("# The tenant also has the namespaces {others}: choose one."));
    }
    line(&mut text, 0, "apiVersion: eventcenter.io/v1alpha1");
    line(&mut text, 0, "kind: EventTopic");
    line(&mut text, 0, "metadata:");
    line(&mut text, 1, &format!("name: {}", yaml_scalar(&name)));
    line(&mut text, 1, &format!("namespace: {}", yaml_scalar(&placement.namespace)));
    line(&mut text, 0, "spec:");
    if let Some(cluster) = cluster {
        line(&mut text, 1, &format!("cluster: {}", yaml_scalar(cluster)));
    }
    // Without a known prefix the name is always explicit.
    if placement.prefix.is_empty() || format!("{}{name}", placement.prefix) != topic {
        line(&mut text, 1, &format!("topicName: {}", yaml_scalar(topic)));
    }
    if observed.partitions != 1 {
        line(&mut text, 1, &format!("partitions: {}", observed.partitions));
    }
    if observed.replicas > 0 {
        line(&mut text, 1, &format!("replicas: {}", observed.replicas));
    }
    render_config(&mut text, observed);
    text
}

/// Renders the configuration: in its own field if there is one, otherwise by Kafka's name. Values that do not fit into
/// a resource are ignored.
fn render_config(text: &mut String, observed: &Observed) {
    let mut rest: Vec<(&str, &str)> =
        observed.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    rest.retain(|(key, _)| !ALWAYS_IGNORED.contains(key));
    let field = |rest: &mut Vec<(&str, &str)>, key: &str, written: fn(&str) -> Option<String>| {
        let index = rest.iter().position(|(known, value)| *known == key && written(value).is_some())?;
        written(rest.remove(index).1)
    };
    let time = field(&mut rest, "retention.ms", time);
    let size = field(&mut rest, "retention.bytes", size);
    let policy = field(&mut rest, "cleanup.policy", policy);
    if time.is_some() || size.is_some() {
        line(text, 1, "retention:");
        time.iter().for_each(|time| line(text, 2, &format!("time: {time}")));
        size.iter().for_each(|size| line(text, 2, &format!("size: {size}")));
    }
    policy.iter().for_each(|policy| line(text, 1, &format!("cleanupPolicy: {policy}")));
    let (ignored, config): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(_, value)| value.len() > MAX_VALUE_BYTES || value.contains('\0'));
    if !config.is_empty() {
        line(text, 1, "config:");
        config
            .iter()
            .for_each(|(key, value)| line(text, 2, &format!("{}: {}", yaml_scalar(key), yaml_value(value))));
    }
    if !ignored.is_empty() {
        line(text, 1, "# Their values are too long for a resource, so the operator ignores these keys.");
        line(text, 1, "ignoreConfig:");
        ignored.iter().for_each(|(key, _)| line(text, 2, &format!("- {}", yaml_scalar(key))));
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(content);
    text.push('\n');
}

/// A unique resource name: the topic name without the prefix, adapted to the rules of Kubernetes.
fn choose_name(topic: &str, placement: &Placement, taken: &mut BTreeSet<(String, String)>) -> String {
    let rest = topic.strip_prefix(&placement.prefix).unwrap_or(topic);
    let lower: String = rest
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-' | '.') => c,
            _ => '-',
        })
        .collect();
    let parts = lower.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    let mut name = parts.collect::<Vec<_>>().join(".");
    name.truncate(MAX_NAME_LENGTH - 5);
    let name = name.trim_end_matches(['-', '.']);
    let name = if name.is_empty() { "topic" } else { name };
    let numbered = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    let mut free = numbered.filter(|name| taken.insert((placement.namespace.clone(), name.clone())));
    free.next().expect("the numbers do not end")
}

/// A duration in the largest exact unit.
fn time(milliseconds: &str) -> Option<String> {
    let number: i64 = milliseconds.parse().ok()?;
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    in_largest_unit(number, &units).filter(|text| quantity::parse_millis(text) == Some(number))
}

/// A size in the largest exact unit.
fn size(bytes: &str) -> Option<String> {
    let number: i64 = bytes.parse().ok()?;
    let units = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
    let text = in_largest_unit(number, &units).filter(|text| quantity::parse_bytes(text) == Some(number))?;
    // YAML would parse an unquoted number as a number, but the field is a string.
    Some(if text.ends_with(|c: char| c.is_ascii_digit()) { format!("\"{text}\"") } else { text })
}

fn in_largest_unit(number: i64, units: &[(&str, i64)]) -> Option<String> {
    match number {
        -1 => Some("unlimited".into()),
        1.. => units
            .iter()
            .find(|(_, size)| number % size == 0)
            .map(|(unit, size)| format!("{}{unit}", number / size)),
        _ => None,
    }
}

fn policy(words: &str) -> Option<String> {
    let known = [("delete", "Delete"), ("compact", "Compact"), ("compact,delete", "CompactAndDelete")];
    known.iter().find(|(word, _)| value::is_equal(words, word)).map(|(_, policy)| (*policy).to_owned())
}

fn yaml_value(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => value.to_owned(),
        _ => yaml_scalar(value),
    }
}

/// A string as a YAML scalar, quoted unless every YAML version parses it as a string.
fn yaml_scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventTopic;
    use crate::domain::testing::tenant;
    use crate::domain::topic::{Declared, plan};
    use expect_test::{Expect, expect};

    fn shop() -> Placement {
        Placement { namespace: "shop".into(), prefix: "shop.".into(), alternatives: vec![] }
    }

    fn observed(partitions: i32, config: &[(&str, &str)]) -> Observed {
        let config = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Observed { id: "id".into(), partitions, replicas: 3, config }
    }

    fn check(topic: &str, observed: &Observed, placement: &Placement, expected: Expect) {
        expected.assert_eq(&render_manifest(topic, observed, placement, None, &mut BTreeSet::new()));
    }

    #[test]
    fn defaults_are_omitted() {
        check(
            "shop.orders",
            &observed(1, &[]),
            &shop(),
            expect![[r#"
                apiVersion: eventcenter.io/v1alpha1
                kind: EventTopic
                metadata:
                  name: orders
                  namespace: shop
                spec:
                  replicas: 3
            "#]],
        );
        let home = Placement { alternatives: vec!["shop-eu".into()], ..shop() };
        check(
            "shop.Order_Events",
            &observed(
                12,
                &[
                    ("retention.ms", "604800000"),
                    ("retention.bytes", "10737418240"),
                    ("cleanup.policy", "compact,delete"),
                    ("max.message.bytes", "2097152"),
                    ("min.cleanable.dirty.ratio", "0.5"),
                    ("preallocate", "true"),
                    ("leader.replication.throttled.replicas", "*"),
                    ("compression.type", "zstd"),
                ],
            ),
            &home,
            expect![[r#"
                # The tenant also has the namespaces shop-eu: choose one.
                apiVersion: eventcenter.io/v1alpha1
                kind: EventTopic
                metadata:
                  name: order-events
                  namespace: shop
                spec:
                  topicName: shop.Order_Events
                  partitions: 12
                  replicas: 3
                  retention:
                    time: 7d
                    size: 10Gi
                  cleanupPolicy: CompactAndDelete
                  config:
                    compression.type: zstd
                    max.message.bytes: 2097152
                    min.cleanable.dirty.ratio: "0.5"
                    preallocate: "true"
            "#]],
        );
    }

    #[test]
    fn values_without_a_field_use_kafkas_name() {
        let long = "x".repeat(5000);
        check(
            "shop.1",
            &observed(
                1,
                &[
                    ("cleanup.policy", "delete,compact"),
                    ("retention.ms", "0"),
                    ("retention.bytes", "1000"),
                    ("follower.list", &long),
                ],
            ),
            &Placement { prefix: String::new(), ..shop() },
            expect![[r#"
                apiVersion: eventcenter.io/v1alpha1
                kind: EventTopic
                metadata:
                  name: shop.1
                  namespace: shop
                spec:
                  topicName: shop.1
                  replicas: 3
                  retention:
                    size: "1000"
                  config:
                    cleanup.policy: "delete,compact"
                    retention.ms: 0
                  # Their values are too long for a resource, so the operator ignores these keys.
                  ignoreConfig:
                    - follower.list
            "#]],
        );
    }

    #[test]
    fn names_are_valid_and_unique() {
        let mut taken = BTreeSet::new();
        let mut name = |topic: &str| super::choose_name(topic, &shop(), &mut taken);
        assert_eq!(
            ["shop.a_b", "shop.a-b", "shop.A.B", "shop.__", "shop.-a.-b", "shop.yes"].map(&mut name),
            ["a-b", "a-b-2", "a.b", "topic", "a.b-2", "yes"]
        );
        assert_eq!(name(&format!("shop.{}", "a".repeat(244))).len(), 244);
        assert_eq!(yaml_scalar("yes"), "\"yes\"");
    }

    #[test]
    fn the_prefix_determines_the_tenant() {
        let tenants = [
            tenant("shop", 1, "{namespaces: [shop, shop-eu]}"),
            tenant("bank", 2, "{namespaces: [shop, bank], topicPrefix: bk_}"),
            tenant("empty", 3, "{namespaces: []}"),
        ];
        let found = find_placement("shop.orders", &tenants).expect("a home");
        assert_eq!((found.namespace.as_str(), found.alternatives), ("shop", vec!["shop-eu".to_owned()]));
        assert_eq!(
            find_placement("bk_accounts", &tenants).map(|placement| placement.namespace),
            Ok("bank".into())
        );
        for unowned in ["orders", "shop.", "shopping.orders", "empty.orders"] {
            assert!(find_placement(unowned, &tenants).is_err(), "{unowned}");
        }
    }

    fn value() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            (1..10_000_i64, prop::sample::select(vec![1, 1000, 1024, 60_000, 86_400_000]))
                .prop_map(|(number, unit)| (number * unit).to_string()),
            prop::sample::select(vec![
                "-1",
                "delete",
                "compact",
                "delete,compact",
                "compact,delete",
                "yes",
                "0.50",
                "",
                "a: b",
                "'",
                "007"
            ])
            .prop_map(String::from),
        ]
    }

    proptest::proptest! {
        /// The rendered resource never requires a change.
        #[test]
        fn an_adopted_topic_needs_no_change(
            partitions in 1..100_i32,
            config in proptest::collection::btree_map(
                proptest::sample::select(vec!["retention.ms", "retention.bytes", "cleanup.policy", "segment.ms", "x"]),
                value(),
                0..5,
            ),
        ) {
            let config = config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let found = Observed { id: "id".into(), partitions, replicas: 2, config };
            let text = render_manifest("shop.orders", &found, &shop(), Some("main"), &mut BTreeSet::new());
            let topic: EventTopic = serde_yaml::from_str(&text).expect(&text);
            let declared = Declared::read(&topic).expect(&text);
            let plan = plan(&declared, Some(&found), false, None);
            proptest::prop_assert!(plan.changes.is_empty() && plan.refusals.is_empty(), "{text}\n{plan:?}");
        }
    }
}
