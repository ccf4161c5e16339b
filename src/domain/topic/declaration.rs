//! The desired state of a Kafka topic, parsed from an EventTopic.

use std::collections::{BTreeMap, BTreeSet};

use eventcenter_sdk::Reason;

use crate::api::{CleanupPolicy, ConfigValue, DriftPolicy, EventTopic};
use crate::domain::quantity;
use crate::domain::refusal::Refusal;

/// Tools that move replicas (Kafka's reassignment, Cruise Control) set these keys while they work. Resetting them would
/// abort the move.
pub(super) const ALWAYS_IGNORED: [&str; 2] =
    ["follower.replication.throttled.replicas", "leader.replication.throttled.replicas"];

/// The desired state of a Kafka topic. It is valid by itself; only Kafka can still refuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas of each partition. `None` is the default of the Kafka cluster.
    pub replicas: Option<i32>,
    /// Configuration by Kafka's names.
    pub config: BTreeMap<String, String>,
    /// Configuration keys that are neither set nor reset.
    pub ignored: BTreeSet<String>,
    /// How to handle drift.
    pub drift: DriftPolicy,
}

impl Declared {
    /// Parses the spec of an EventTopic.
    ///
    /// # Errors
    /// A value that passed the checks of the API server (an older definition, a large number) but that Kafka cannot
    /// accept.
    pub fn read(topic: &EventTopic) -> Result<Self, Refusal> {
        let spec = &topic.spec;
        let mut config = BTreeMap::new();
        for (key, value) in &spec.config {
            let value = match value {
                ConfigValue::Number(number) => number.to_string(),
                ConfigValue::Text(text) => text.clone(),
            };
            if value.contains('\0') {
                return Err(Refusal::at(
                    Reason::InvalidResource,
                    "spec.config",
                    format!(
                        "the value of {key} contains a NUL character, which Kafka does not accept: remove it"
                    ),
                ));
            }
            config.insert(key.clone(), value);
        }
        let mut field = |key: &str, name: &str, value: Option<String>| {
            let Some(value) = value else { return Ok(()) };
            match config.insert(key.to_owned(), value) {
                None => Ok(()),
                Some(_) => Err(Refusal::new(
                    Reason::InvalidResource,
                    format!("spec.config has {key} and {name} is set: keep one of them"),
                )),
            }
        };
        let retention = spec.retention.clone().unwrap_or_default();
        let time = retention.time.as_deref().map(parse_retention_time).transpose()?;
        let size = retention.size.as_deref().map(parse_retention_size).transpose()?;
        field("retention.ms", "spec.retention.time", time.map(|time| time.to_string()))?;
        field("retention.bytes", "spec.retention.size", size.map(|size| size.to_string()))?;
        field(
            "cleanup.policy",
            "spec.cleanupPolicy",
            spec.cleanup_policy.map(|policy| kafka_word(policy).into()),
        )?;

        let ignored: BTreeSet<String> =
            spec.ignore_config.iter().cloned().chain(ALWAYS_IGNORED.map(String::from)).collect();
        if let Some(key) = config.keys().find(|key| ignored.contains(*key)) {
            return Err(Refusal::at(
                Reason::InvalidResource,
                "spec.config",
                format!(
                    "{key} is both declared and ignored: remove it from spec.config or spec.ignoreConfig"
                ),
            ));
        }
        if spec.partitions < 1
            || spec.replicas.is_some_and(|replicas| !(1..=i32::from(i16::MAX)).contains(&replicas))
        {
            return Err(Refusal::new(
                Reason::InvalidResource,
                "spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)",
            ));
        }
        Ok(Self {
            partitions: spec.partitions,
            replicas: spec.replicas,
            config,
            ignored,
            drift: spec.drift_policy,
        })
    }
}

fn parse_retention_time(text: &str) -> Result<i64, Refusal> {
    quantity::parse_millis(text).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            "spec.retention.time",
            format!(
                "{text:?} is not a time that Kafka can keep: write a number and its unit (ms, s, m, h, d or w), such as \
                 7d, or unlimited"
            ),
        )
    })
}

fn parse_retention_size(text: &str) -> Result<i64, Refusal> {
    quantity::parse_bytes(text).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            "spec.retention.size",
            format!(
                "{text:?} is not a size that Kafka can keep: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, \
                 k, M, G, T or P, such as 10Gi, or unlimited"
            ),
        )
    })
}

fn kafka_word(policy: CleanupPolicy) -> &'static str {
    match policy {
        CleanupPolicy::Delete => "delete",
        CleanupPolicy::Compact => "compact",
        CleanupPolicy::CompactAndDelete => "compact,delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};

    fn check(yaml: &str, expected: Expect) {
        expected.assert_eq(&match Declared::read(&topic(yaml)) {
            Err(refusal) => refusal.to_string(),
            Ok(declared) => {
                let config: Vec<_> =
                    declared.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("{} x {:?} [{}]", declared.partitions, declared.replicas, config.join(" "))
            }
        });
    }

    #[test]
    fn defaults() {
        check("{}", expect!["1 x None []"]);
    }

    #[test]
    fn fields_become_configuration() {
        check(
            "{partitions: 6, replicas: 3, retention: {time: 7d, size: 10Gi}, cleanupPolicy: CompactAndDelete}",
            expect![
                "6 x Some(3) [cleanup.policy=compact,delete retention.bytes=10737418240 retention.ms=604800000]"
            ],
        );
        check(
            "{retention: {time: unlimited, size: unlimited}}",
            expect!["1 x None [retention.bytes=-1 retention.ms=-1]"],
        );
    }

    #[test]
    fn values_are_numbers_or_strings() {
        check(
            r#"{config: {max.message.bytes: 2097152, segment.bytes: 10737418240, preallocate: "true", min.cleanable.dirty.ratio: "0.5", compression.type: zstd}}"#,
            expect![
                "1 x None [compression.type=zstd max.message.bytes=2097152 min.cleanable.dirty.ratio=0.5 preallocate=true segment.bytes=10737418240]"
            ],
        );
    }

    #[test]
    fn invalid_quantities_are_refused() {
        check(
            "{retention: {time: 7 days}}",
            expect![[
                r#"InvalidResource: spec.retention.time: "7 days" is not a time that Kafka can keep: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"#
            ]],
        );
        check(
            "{retention: {size: 10GiB}}",
            expect![[
                r#"InvalidResource: spec.retention.size: "10GiB" is not a size that Kafka can keep: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 10Gi, or unlimited"#
            ]],
        );
    }

    #[test]
    fn contradictions_are_refused() {
        check(
            r#"{retention: {time: 7d}, config: {retention.ms: "5"}}"#,
            expect![
                "InvalidResource: spec.config has retention.ms and spec.retention.time is set: keep one of them"
            ],
        );
        check(
            "{config: {segment.ms: 5}, ignoreConfig: [segment.ms]}",
            expect![
                "InvalidResource: spec.config: segment.ms is both declared and ignored: remove it from spec.config or spec.ignoreConfig"
            ],
        );
        check(
            "{cleanupPolicy: Compact, ignoreConfig: [cleanup.policy]}",
            expect![
                "InvalidResource: spec.config: cleanup.policy is both declared and ignored: remove it from spec.config or spec.ignoreConfig"
            ],
        );
        check(
            "{partitions: 0}",
            expect![
                "InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)"
            ],
        );
        check(
            "{replicas: 40000}",
            expect![
                "InvalidResource: spec.partitions and spec.replicas: write numbers of at least 1 (replicas at most 32767)"
            ],
        );
        check(
            "{retention: {time: 99999999999999999w}}",
            expect![[
                r#"InvalidResource: spec.retention.time: "99999999999999999w" is not a time that Kafka can keep: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"#
            ]],
        );
    }
}
