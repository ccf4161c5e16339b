//! The resource that stands for a Kafka topic as it is.
//!
//! Applied, it changes nothing in Kafka: that is what makes taking over a topic harmless.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;

use super::declaration::ALWAYS_IGNORED;
use super::{Observed, value};
use crate::api::Tenant;
use crate::domain::quantity;
use crate::domain::refusal::Refusal;
use crate::domain::tenant::{Tenants, prefix};

/// The longest value that a resource can declare.
const LONGEST_VALUE: usize = 4096;

/// The longest name of a resource.
const LONGEST_NAME: usize = 253;

/// Where the resource of a topic belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// The namespace.
    pub namespace: String,
    /// What the tenant's topics begin with; empty if that is not known.
    pub prefix: String,
    /// The tenant's other namespaces, where it could be as well.
    pub others: Vec<String>,
}

/// Finds the tenant to whom a topic's name belongs.
///
/// # Errors
/// Its name begins with no tenant's prefix, or that tenant has no namespace.
pub fn home(topic: &str, tenants: &[Tenant]) -> Result<Home, Refusal> {
    let all = Tenants::of(tenants);
    let named = |tenant: &&Tenant| topic.starts_with(&prefix(tenant)) && topic.len() > prefix(tenant).len();
    let owner = tenants.iter().filter(named).find_map(|tenant| {
        let facts = all.by_name(tenant.metadata.name.as_deref()?)?;
        let own = |namespace: &&String| all.of_namespace(namespace).is_ok_and(|owner| owner == facts);
        let mut namespaces = tenant.spec.namespaces.iter().filter(own).cloned();
        let namespace = namespaces.next()?;
        Some(Home { namespace, prefix: facts.prefix.to_string(), others: namespaces.collect() })
    });
    owner.ok_or_else(|| {
        Refusal::new(
            Reason::TenantNotFound,
            format!(
                "{topic} begins with the prefix of no tenant that has a namespace: make one whose spec.topicPrefix it \
                 begins with"
            ),
        )
    })
}

/// Writes the resource as YAML: what Kafka has, where that is not what a resource has by default.
/// `taken` are the names that are given in each namespace.
#[must_use]
pub fn manifest(
    topic: &str,
    found: &Observed,
    home: &Home,
    cluster: Option<&str>,
    taken: &mut BTreeSet<(String, String)>,
) -> String {
    let name = name(topic, home, taken);
    let mut text = String::new();
    if !home.others.is_empty() {
        let others = home.others.join(", ");
        line(
            &mut text,
            0,
            &format!("# The tenant also has the namespaces {others}: move it where it belongs."),
        );
    }
    line(&mut text, 0, "apiVersion: eventcenter.io/v1alpha1");
    line(&mut text, 0, "kind: EventTopic");
    line(&mut text, 0, "metadata:");
    line(&mut text, 1, &format!("name: {}", scalar(&name)));
    line(&mut text, 1, &format!("namespace: {}", scalar(&home.namespace)));
    line(&mut text, 0, "spec:");
    if let Some(cluster) = cluster {
        line(&mut text, 1, &format!("cluster: {}", scalar(cluster)));
    }
    // Whose prefix is not known may have any.
    if home.prefix.is_empty() || format!("{}{name}", home.prefix) != topic {
        line(&mut text, 1, &format!("topicName: {}", scalar(topic)));
    }
    if found.partitions != 1 {
        line(&mut text, 1, &format!("partitions: {}", found.partitions));
    }
    if found.replicas > 0 {
        line(&mut text, 1, &format!("replicas: {}", found.replicas));
    }
    settings(&mut text, found);
    text
}

/// The configuration that is set on the topic: what has a field of its own, the rest by Kafka's names, and
/// what cannot be written left to others.
fn settings(text: &mut String, found: &Observed) {
    let mut rest: Vec<(&str, &str)> =
        found.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
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
        rest.into_iter().partition(|(_, value)| value.len() > LONGEST_VALUE || value.contains('\0'));
    if !config.is_empty() {
        line(text, 1, "config:");
        config
            .iter()
            .for_each(|(key, value)| line(text, 2, &format!("{}: {}", scalar(key), number_or_text(value))));
    }
    if !ignored.is_empty() {
        line(text, 1, "# Their values are too long for a resource, so they are left to others.");
        line(text, 1, "ignoreConfig:");
        ignored.iter().for_each(|(key, _)| line(text, 2, &format!("- {}", scalar(key))));
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(content);
    text.push('\n');
}

/// A name for the resource: as the topic's goes on after the prefix, as far as Kubernetes allows it.
fn name(topic: &str, home: &Home, taken: &mut BTreeSet<(String, String)>) -> String {
    let rest = topic.strip_prefix(&home.prefix).unwrap_or(topic);
    let lower: String = rest
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-' | '.') => c,
            _ => '-',
        })
        .collect();
    let parts = lower.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    let mut name = parts.collect::<Vec<_>>().join(".");
    name.truncate(LONGEST_NAME - 5);
    let name = name.trim_end_matches(['-', '.']);
    let name = if name.is_empty() { "topic" } else { name };
    let numbered = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    let mut free = numbered.filter(|name| taken.insert((home.namespace.clone(), name.clone())));
    free.next().expect("the numbers do not end")
}

/// A time without loss in the largest unit that fits.
fn time(milliseconds: &str) -> Option<String> {
    let number: i64 = milliseconds.parse().ok()?;
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    written(number, &units).filter(|text| quantity::parse_millis(text) == Some(number))
}

/// A size without loss in the largest unit that fits.
fn size(bytes: &str) -> Option<String> {
    let number: i64 = bytes.parse().ok()?;
    let units = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
    let text = written(number, &units).filter(|text| quantity::parse_bytes(text) == Some(number))?;
    // A bare number is text here, and YAML would read it as a number.
    Some(if text.ends_with(|c: char| c.is_ascii_digit()) { format!("\"{text}\"") } else { text })
}

fn written(number: i64, units: &[(&str, i64)]) -> Option<String> {
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
    known.iter().find(|(word, _)| value::same(words, word)).map(|(_, policy)| (*policy).to_owned())
}

fn number_or_text(value: &str) -> String {
    match value.parse::<i64>() {
        Ok(number) if number.to_string() == value => value.to_owned(),
        _ => scalar(value),
    }
}

/// A text as YAML reads it, whatever its version: quoted unless it can be nothing else.
fn scalar(text: &str) -> String {
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

    fn shop() -> Home {
        Home { namespace: "shop".into(), prefix: "shop.".into(), others: vec![] }
    }

    fn observed(partitions: i32, config: &[(&str, &str)]) -> Observed {
        let config = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Observed { id: "id".into(), partitions, replicas: 3, config }
    }

    fn check(topic: &str, found: &Observed, home: &Home, expected: Expect) {
        expected.assert_eq(&manifest(topic, found, home, None, &mut BTreeSet::new()));
    }

    #[test]
    fn only_what_differs_is_written() {
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
        let home = Home { others: vec!["shop-eu".into()], ..shop() };
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
                # The tenant also has the namespaces shop-eu: move it where it belongs.
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
    fn what_no_field_can_say_is_said_by_kafkas_name() {
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
            &Home { prefix: String::new(), ..shop() },
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
                  # Their values are too long for a resource, so they are left to others.
                  ignoreConfig:
                    - follower.list
            "#]],
        );
    }

    #[test]
    fn names_are_kubernetes_and_their_own() {
        let mut taken = BTreeSet::new();
        let mut name = |topic: &str| super::name(topic, &shop(), &mut taken);
        assert_eq!(
            ["shop.a_b", "shop.a-b", "shop.A.B", "shop.__", "shop.-a.-b", "shop.yes"].map(&mut name),
            ["a-b", "a-b-2", "a.b", "topic", "a.b-2", "yes"]
        );
        assert_eq!(name(&format!("shop.{}", "a".repeat(244))).len(), 244);
        assert_eq!(scalar("yes"), "\"yes\"");
    }

    #[test]
    fn a_topic_belongs_to_the_tenant_whose_prefix_it_has() {
        let tenants = [
            tenant("shop", 1, "{namespaces: [shop, shop-eu]}"),
            tenant("bank", 2, "{namespaces: [shop, bank], topicPrefix: bk_}"),
            tenant("empty", 3, "{namespaces: []}"),
        ];
        let found = home("shop.orders", &tenants).expect("a home");
        assert_eq!((found.namespace.as_str(), found.others), ("shop", vec!["shop-eu".to_owned()]));
        assert_eq!(home("bk_accounts", &tenants).map(|home| home.namespace), Ok("bank".into()));
        for nobodys in ["orders", "shop.", "shopping.orders", "empty.orders"] {
            assert!(home(nobodys, &tenants).is_err(), "{nobodys}");
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
        /// Whatever a topic is like, the resource that stands for it asks for no change.
        #[test]
        fn applied_it_changes_nothing(
            partitions in 1..100_i32,
            config in proptest::collection::btree_map(
                proptest::sample::select(vec!["retention.ms", "retention.bytes", "cleanup.policy", "segment.ms", "x"]),
                value(),
                0..5,
            ),
        ) {
            let config = config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let found = Observed { id: "id".into(), partitions, replicas: 2, config };
            let text = manifest("shop.orders", &found, &shop(), Some("main"), &mut BTreeSet::new());
            let topic: EventTopic = serde_yaml::from_str(&text).expect(&text);
            let declared = Declared::read(&topic).expect(&text);
            let plan = plan(&declared, Some(&found), false, None);
            proptest::prop_assert!(plan.changes.is_empty() && plan.refusals.is_empty(), "{text}\n{plan:?}");
        }
    }
}
