//! Classifications, printed.

mod schema;

use super::super::diff::diff;
use super::*;
use crate::domain::approval::Governed;
use crate::domain::testing::topic;
use expect_test::{Expect, expect};
use std::fmt::Write;

fn spec(yaml: &str) -> EventTopicSpec {
    topic(yaml).spec
}

fn print(touched: &BTreeSet<GovernedChange>) -> String {
    let names: Vec<String> = touched.iter().map(|change| format!("{change:?}")).collect();
    if names.is_empty() { "nothing".into() } else { names.join(" ") }
}

/// Each pair both ways.
fn check(pairs: &[(&str, &str)], expected: Expect) {
    let mut lines = String::new();
    for (one, other) in pairs {
        for (base, new) in [(one, other), (other, one)] {
            let touched = EventTopic::classify(Some(&spec(base)), &spec(new), &None);
            let _ = writeln!(lines, "{base} -> {new}: {}", print(&touched));
        }
    }
    expected.assert_eq(&lines);
}

/// First declarations, of a topic that Kafka has as `PARTITIONS key=value …`, or has not.
fn check_first(cases: &[(&str, &str)], expected: Expect) {
    let mut lines = String::new();
    for (new, kafka) in cases {
        let mut words = kafka.split_whitespace();
        let existing = words.next().map(|partitions| Observed {
            id: "id".into(),
            partitions: partitions.parse().expect("a number"),
            replicas: 1,
            config: words
                .map(|word| word.split_once('=').expect("key=value"))
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        });
        let touched = EventTopic::classify(None, &spec(new), &existing);
        let _ = writeln!(lines, "{new} on [{kafka}]: {}", print(&touched));
    }
    expected.assert_eq(&lines);
}

#[test]
fn equivalent_specs_change_nothing_or_only_any() {
    check(
        &[
            ("{}", "{}"),
            ("{}", "{partitions: 1, deletionPolicy: Retain, driftPolicy: Correct}"),
            ("{}", "{compatibility: {mode: BACKWARD, policy: Lenient}}"),
            ("{config: {a: 1}}", "{config: {a: '1'}}"),
            ("{config: {retention.ms: 1}}", "{config: {retention.ms: '1.0'}}"),
            ("{config: {retention.ms: 604800000}}", "{retention: {time: 7d}}"),
            ("{retention: {time: 168h}}", "{retention: {time: 7d}}"),
            ("{retention: {}}", "{}"),
            ("{cleanupPolicy: Delete}", "{config: {cleanup.policy: delete}}"),
            ("{cleanupPolicy: CompactAndDelete}", "{config: {cleanup.policy: 'compact, delete'}}"),
            ("{ignoreConfig: [a, b]}", "{ignoreConfig: [b, a]}"),
            ("{ignoreConfig: [leader.replication.throttled.replicas]}", "{}"),
            ("{eventTypes: [{name: order.created}]}", "{eventTypes: [{name: order.created, version: 1}]}"),
        ],
        expect![[r#"
            {} -> {}: nothing
            {} -> {}: nothing
            {} -> {partitions: 1, deletionPolicy: Retain, driftPolicy: Correct}: nothing
            {partitions: 1, deletionPolicy: Retain, driftPolicy: Correct} -> {}: nothing
            {} -> {compatibility: {mode: BACKWARD, policy: Lenient}}: Any
            {compatibility: {mode: BACKWARD, policy: Lenient}} -> {}: Any
            {config: {a: 1}} -> {config: {a: '1'}}: Any
            {config: {a: '1'}} -> {config: {a: 1}}: Any
            {config: {retention.ms: 1}} -> {config: {retention.ms: '1.0'}}: Any
            {config: {retention.ms: '1.0'}} -> {config: {retention.ms: 1}}: Any
            {config: {retention.ms: 604800000}} -> {retention: {time: 7d}}: Any
            {retention: {time: 7d}} -> {config: {retention.ms: 604800000}}: Any
            {retention: {time: 168h}} -> {retention: {time: 7d}}: Any
            {retention: {time: 7d}} -> {retention: {time: 168h}}: Any
            {retention: {}} -> {}: Any
            {} -> {retention: {}}: Any
            {cleanupPolicy: Delete} -> {config: {cleanup.policy: delete}}: Any
            {config: {cleanup.policy: delete}} -> {cleanupPolicy: Delete}: Any
            {cleanupPolicy: CompactAndDelete} -> {config: {cleanup.policy: 'compact, delete'}}: Any
            {config: {cleanup.policy: 'compact, delete'}} -> {cleanupPolicy: CompactAndDelete}: Any
            {ignoreConfig: [a, b]} -> {ignoreConfig: [b, a]}: Any
            {ignoreConfig: [b, a]} -> {ignoreConfig: [a, b]}: Any
            {ignoreConfig: [leader.replication.throttled.replicas]} -> {}: Any
            {} -> {ignoreConfig: [leader.replication.throttled.replicas]}: Any
            {eventTypes: [{name: order.created}]} -> {eventTypes: [{name: order.created, version: 1}]}: Any
            {eventTypes: [{name: order.created, version: 1}]} -> {eventTypes: [{name: order.created}]}: Any
        "#]],
    );
}

#[test]
fn descriptions_change_only_any() {
    check(
        &[
            ("{deletionPolicy: Delete}", "{}"),
            ("{description: a}", "{description: b}"),
            ("{description: a}", "{}"),
            ("{owner: {team: a}}", "{owner: {team: b}}"),
            ("{owner: {team: a}}", "{}"),
            ("{eventTypes: [{name: a.b}]}", "{}"),
            ("{eventTypes: [{name: a.b}]}", "{eventTypes: [{name: a.b, description: d}]}"),
            ("{eventTypes: [{name: a.b}, {name: a.c}]}", "{eventTypes: [{name: a.c}, {name: a.b}]}"),
        ],
        expect![[r#"
            {deletionPolicy: Delete} -> {}: Any
            {} -> {deletionPolicy: Delete}: Any
            {description: a} -> {description: b}: Any
            {description: b} -> {description: a}: Any
            {description: a} -> {}: Any
            {} -> {description: a}: Any
            {owner: {team: a}} -> {owner: {team: b}}: Any
            {owner: {team: b}} -> {owner: {team: a}}: Any
            {owner: {team: a}} -> {}: Any
            {} -> {owner: {team: a}}: Any
            {eventTypes: [{name: a.b}]} -> {}: Any
            {} -> {eventTypes: [{name: a.b}]}: Any
            {eventTypes: [{name: a.b}]} -> {eventTypes: [{name: a.b, description: d}]}: Any
            {eventTypes: [{name: a.b, description: d}]} -> {eventTypes: [{name: a.b}]}: Any
            {eventTypes: [{name: a.b}, {name: a.c}]} -> {eventTypes: [{name: a.c}, {name: a.b}]}: Any
            {eventTypes: [{name: a.c}, {name: a.b}]} -> {eventTypes: [{name: a.b}, {name: a.c}]}: Any
        "#]],
    );
}

#[test]
fn partitions() {
    check(
        &[("{}", "{partitions: 2}"), ("{partitions: 3}", "{partitions: 6}")],
        expect![[r#"
        {} -> {partitions: 2}: AddPartitions Any
        {partitions: 2} -> {}: Any
        {partitions: 3} -> {partitions: 6}: AddPartitions Any
        {partitions: 6} -> {partitions: 3}: Any
    "#]],
    );
}

#[test]
fn retention() {
    check(
        &[
            ("{retention: {time: 7d}}", "{retention: {time: 1d}}"),
            ("{retention: {time: 7d}}", "{retention: {time: unlimited}}"),
            ("{retention: {time: 7d}}", "{}"),
            ("{retention: {time: unlimited}}", "{}"),
            ("{retention: {size: 10Gi}}", "{retention: {size: 1Gi}}"),
            ("{retention: {size: 10Gi}}", "{retention: {size: unlimited}}"),
            ("{retention: {size: 10Gi}}", "{}"),
            ("{retention: {time: 7d, size: 1Gi}}", "{retention: {time: 1d, size: 10Gi}}"),
            ("{retention: {time: 7d}}", "{config: {retention.ms: 1}}"),
            ("{config: {retention.ms: ' 5 '}}", "{config: {retention.ms: '+6'}}"),
            ("{config: {retention.ms: 5}}", "{config: {retention.ms: five}}"),
            ("{config: {retention.ms: 5}}", "{config: {retention.ms: '99999999999999999999'}}"),
            ("{cleanupPolicy: Compact}", "{cleanupPolicy: CompactAndDelete}"),
            ("{cleanupPolicy: Delete}", "{}"),
            ("{config: {cleanup.policy: 'delete,compact'}}", "{cleanupPolicy: CompactAndDelete}"),
            ("{config: {delete.retention.ms: 5}}", "{config: {delete.retention.ms: 6}}"),
            ("{config: {delete.retention.ms: 5}}", "{}"),
            ("{config: {local.retention.ms: 5}}", "{config: {local.retention.ms: -2}}"),
            ("{config: {local.retention.ms: -1}}", "{config: {local.retention.ms: -2}}"),
            ("{config: {local.retention.bytes: 5}}", "{config: {local.retention.bytes: 6}}"),
            ("{config: {max.compaction.lag.ms: 5}}", "{config: {max.compaction.lag.ms: 6}}"),
            ("{config: {min.compaction.lag.ms: 5}}", "{config: {min.compaction.lag.ms: 6}}"),
            ("{config: {remote.storage.enable: 'true'}}", "{config: {remote.storage.enable: 'false'}}"),
            ("{config: {remote.log.delete.on.disable: 'true'}}", "{}"),
        ],
        expect![[r#"
            {retention: {time: 7d}} -> {retention: {time: 1d}}: ReduceRetention Any
            {retention: {time: 1d}} -> {retention: {time: 7d}}: ChangeConfig Any
            {retention: {time: 7d}} -> {retention: {time: unlimited}}: ChangeConfig Any
            {retention: {time: unlimited}} -> {retention: {time: 7d}}: ReduceRetention Any
            {retention: {time: 7d}} -> {}: ReduceRetention Any
            {} -> {retention: {time: 7d}}: ReduceRetention Any
            {retention: {time: unlimited}} -> {}: ReduceRetention Any
            {} -> {retention: {time: unlimited}}: ChangeConfig Any
            {retention: {size: 10Gi}} -> {retention: {size: 1Gi}}: ReduceRetention Any
            {retention: {size: 1Gi}} -> {retention: {size: 10Gi}}: ChangeConfig Any
            {retention: {size: 10Gi}} -> {retention: {size: unlimited}}: ChangeConfig Any
            {retention: {size: unlimited}} -> {retention: {size: 10Gi}}: ReduceRetention Any
            {retention: {size: 10Gi}} -> {}: ReduceRetention Any
            {} -> {retention: {size: 10Gi}}: ReduceRetention Any
            {retention: {time: 7d, size: 1Gi}} -> {retention: {time: 1d, size: 10Gi}}: ReduceRetention ChangeConfig Any
            {retention: {time: 1d, size: 10Gi}} -> {retention: {time: 7d, size: 1Gi}}: ReduceRetention ChangeConfig Any
            {retention: {time: 7d}} -> {config: {retention.ms: 1}}: ReduceRetention Any
            {config: {retention.ms: 1}} -> {retention: {time: 7d}}: ChangeConfig Any
            {config: {retention.ms: ' 5 '}} -> {config: {retention.ms: '+6'}}: ChangeConfig Any
            {config: {retention.ms: '+6'}} -> {config: {retention.ms: ' 5 '}}: ReduceRetention Any
            {config: {retention.ms: 5}} -> {config: {retention.ms: five}}: ReduceRetention Any
            {config: {retention.ms: five}} -> {config: {retention.ms: 5}}: ReduceRetention Any
            {config: {retention.ms: 5}} -> {config: {retention.ms: '99999999999999999999'}}: ReduceRetention Any
            {config: {retention.ms: '99999999999999999999'}} -> {config: {retention.ms: 5}}: ReduceRetention Any
            {cleanupPolicy: Compact} -> {cleanupPolicy: CompactAndDelete}: ReduceRetention Any
            {cleanupPolicy: CompactAndDelete} -> {cleanupPolicy: Compact}: ReduceRetention Any
            {cleanupPolicy: Delete} -> {}: ReduceRetention Any
            {} -> {cleanupPolicy: Delete}: ReduceRetention Any
            {config: {cleanup.policy: 'delete,compact'}} -> {cleanupPolicy: CompactAndDelete}: ReduceRetention Any
            {cleanupPolicy: CompactAndDelete} -> {config: {cleanup.policy: 'delete,compact'}}: ReduceRetention Any
            {config: {delete.retention.ms: 5}} -> {config: {delete.retention.ms: 6}}: ChangeConfig Any
            {config: {delete.retention.ms: 6}} -> {config: {delete.retention.ms: 5}}: ReduceRetention Any
            {config: {delete.retention.ms: 5}} -> {}: ReduceRetention Any
            {} -> {config: {delete.retention.ms: 5}}: ReduceRetention Any
            {config: {local.retention.ms: 5}} -> {config: {local.retention.ms: -2}}: ChangeConfig Any
            {config: {local.retention.ms: -2}} -> {config: {local.retention.ms: 5}}: ReduceRetention Any
            {config: {local.retention.ms: -1}} -> {config: {local.retention.ms: -2}}: ChangeConfig Any
            {config: {local.retention.ms: -2}} -> {config: {local.retention.ms: -1}}: ChangeConfig Any
            {config: {local.retention.bytes: 5}} -> {config: {local.retention.bytes: 6}}: ChangeConfig Any
            {config: {local.retention.bytes: 6}} -> {config: {local.retention.bytes: 5}}: ReduceRetention Any
            {config: {max.compaction.lag.ms: 5}} -> {config: {max.compaction.lag.ms: 6}}: ChangeConfig Any
            {config: {max.compaction.lag.ms: 6}} -> {config: {max.compaction.lag.ms: 5}}: ReduceRetention Any
            {config: {min.compaction.lag.ms: 5}} -> {config: {min.compaction.lag.ms: 6}}: ChangeConfig Any
            {config: {min.compaction.lag.ms: 6}} -> {config: {min.compaction.lag.ms: 5}}: ReduceRetention Any
            {config: {remote.storage.enable: 'true'}} -> {config: {remote.storage.enable: 'false'}}: ReduceRetention Any
            {config: {remote.storage.enable: 'false'}} -> {config: {remote.storage.enable: 'true'}}: ReduceRetention Any
            {config: {remote.log.delete.on.disable: 'true'}} -> {}: ReduceRetention Any
            {} -> {config: {remote.log.delete.on.disable: 'true'}}: ReduceRetention Any
        "#]],
    );
}

#[test]
fn other_configuration() {
    check(
        &[
            ("{config: {segment.ms: 5}}", "{config: {segment.ms: 6}}"),
            ("{config: {segment.ms: 5}}", "{}"),
            ("{config: {compression.type: zstd}}", "{config: {compression.type: ZSTD}}"),
            ("{replicas: 3}", "{}"),
            ("{replicas: 3}", "{replicas: 2}"),
            ("{driftPolicy: Report}", "{}"),
            ("{retention: {time: 7d}, config: {a: 1}}", "{retention: {time: 1d}, config: {a: 2}}"),
        ],
        expect![[r#"
            {config: {segment.ms: 5}} -> {config: {segment.ms: 6}}: ChangeConfig Any
            {config: {segment.ms: 6}} -> {config: {segment.ms: 5}}: ChangeConfig Any
            {config: {segment.ms: 5}} -> {}: ChangeConfig Any
            {} -> {config: {segment.ms: 5}}: ChangeConfig Any
            {config: {compression.type: zstd}} -> {config: {compression.type: ZSTD}}: ChangeConfig Any
            {config: {compression.type: ZSTD}} -> {config: {compression.type: zstd}}: ChangeConfig Any
            {replicas: 3} -> {}: ChangeConfig Any
            {} -> {replicas: 3}: ChangeConfig Any
            {replicas: 3} -> {replicas: 2}: ChangeConfig Any
            {replicas: 2} -> {replicas: 3}: ChangeConfig Any
            {driftPolicy: Report} -> {}: ChangeConfig Any
            {} -> {driftPolicy: Report}: ChangeConfig Any
            {retention: {time: 7d}, config: {a: 1}} -> {retention: {time: 1d}, config: {a: 2}}: ReduceRetention ChangeConfig Any
            {retention: {time: 1d}, config: {a: 2}} -> {retention: {time: 7d}, config: {a: 1}}: ChangeConfig Any
        "#]],
    );
}

#[test]
fn ignored_keys() {
    check(
        &[
            ("{ignoreConfig: [segment.ms]}", "{}"),
            ("{ignoreConfig: [segment.ms]}", "{config: {segment.ms: 5}}"),
            ("{ignoreConfig: [retention.ms]}", "{}"),
            ("{ignoreConfig: [retention.ms]}", "{retention: {time: 7d}}"),
            ("{ignoreConfig: [retention.ms]}", "{retention: {time: unlimited}}"),
            ("{ignoreConfig: [cleanup.policy]}", "{}"),
            ("{ignoreConfig: [delete.retention.ms]}", "{config: {delete.retention.ms: 5}}"),
        ],
        expect![[r#"
            {ignoreConfig: [segment.ms]} -> {}: ChangeConfig Any
            {} -> {ignoreConfig: [segment.ms]}: ChangeConfig Any
            {ignoreConfig: [segment.ms]} -> {config: {segment.ms: 5}}: ChangeConfig Any
            {config: {segment.ms: 5}} -> {ignoreConfig: [segment.ms]}: ChangeConfig Any
            {ignoreConfig: [retention.ms]} -> {}: ReduceRetention ChangeConfig Any
            {} -> {ignoreConfig: [retention.ms]}: ChangeConfig Any
            {ignoreConfig: [retention.ms]} -> {retention: {time: 7d}}: ReduceRetention ChangeConfig Any
            {retention: {time: 7d}} -> {ignoreConfig: [retention.ms]}: ChangeConfig Any
            {ignoreConfig: [retention.ms]} -> {retention: {time: unlimited}}: ChangeConfig Any
            {retention: {time: unlimited}} -> {ignoreConfig: [retention.ms]}: ChangeConfig Any
            {ignoreConfig: [cleanup.policy]} -> {}: ReduceRetention ChangeConfig Any
            {} -> {ignoreConfig: [cleanup.policy]}: ChangeConfig Any
            {ignoreConfig: [delete.retention.ms]} -> {config: {delete.retention.ms: 5}}: ReduceRetention ChangeConfig Any
            {config: {delete.retention.ms: 5}} -> {ignoreConfig: [delete.retention.ms]}: ChangeConfig Any
        "#]],
    );
}

#[test]
fn access() {
    check(
        &[
            ("{}", "{access: [{principal: 'User:a', operations: [Read]}]}"),
            (
                "{access: [{principal: 'User:a', operations: [Read]}]}",
                "{access: [{principal: 'User:a', operations: [Read, Write]}]}",
            ),
            (
                "{access: [{principal: 'User:a', operations: [Read]}]}",
                "{access: [{principal: 'User:b', operations: [Read]}]}",
            ),
            (
                "{access: [{principal: 'User:a', operations: [Read]}]}",
                "{access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]}",
            ),
            (
                "{access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]}",
                "{access: [{principal: 'User:a', operations: [Read], groups: ['shop.*']}]}",
            ),
            (
                "{access: [{principal: 'User:a', operations: [Read, Write]}]}",
                "{access: [{principal: 'User:a', operations: [Write, Read]}]}",
            ),
            (
                "{access: [{principal: 'User:a', operations: [Read]}]}",
                "{access: [{principal: 'User:a', operations: [Read, Describe]}]}",
            ),
        ],
        expect![[r#"
            {} -> {access: [{principal: 'User:a', operations: [Read]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read]}]} -> {}: Any
            {access: [{principal: 'User:a', operations: [Read]}]} -> {access: [{principal: 'User:a', operations: [Read, Write]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read, Write]}]} -> {access: [{principal: 'User:a', operations: [Read]}]}: Any
            {access: [{principal: 'User:a', operations: [Read]}]} -> {access: [{principal: 'User:b', operations: [Read]}]}: GrantAccess Any
            {access: [{principal: 'User:b', operations: [Read]}]} -> {access: [{principal: 'User:a', operations: [Read]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read]}]} -> {access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]} -> {access: [{principal: 'User:a', operations: [Read]}]}: Any
            {access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]} -> {access: [{principal: 'User:a', operations: [Read], groups: ['shop.*']}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read], groups: ['shop.*']}]} -> {access: [{principal: 'User:a', operations: [Read], groups: [shop.g]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read, Write]}]} -> {access: [{principal: 'User:a', operations: [Write, Read]}]}: Any
            {access: [{principal: 'User:a', operations: [Write, Read]}]} -> {access: [{principal: 'User:a', operations: [Read, Write]}]}: Any
            {access: [{principal: 'User:a', operations: [Read]}]} -> {access: [{principal: 'User:a', operations: [Read, Describe]}]}: GrantAccess Any
            {access: [{principal: 'User:a', operations: [Read, Describe]}]} -> {access: [{principal: 'User:a', operations: [Read]}]}: Any
        "#]],
    );
}

#[test]
fn another_topic_or_an_invalid_spec_changes_everything() {
    check(
        &[
            ("{topicName: shop.x}", "{}"),
            ("{cluster: main}", "{}"),
            ("{partitions: 0}", "{}"),
            ("{retention: {time: soon}}", "{retention: {time: later}}"),
        ],
        expect![[r#"
            {topicName: shop.x} -> {}: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {} -> {topicName: shop.x}: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {cluster: main} -> {}: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {} -> {cluster: main}: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {partitions: 0} -> {}: AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {} -> {partitions: 0}: AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {retention: {time: soon}} -> {retention: {time: later}}: AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {retention: {time: later}} -> {retention: {time: soon}}: AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
        "#]],
    );
}

#[test]
fn first_declarations() {
    check_first(
        &[
            ("{}", ""),
            ("{partitions: 6, config: {a: 1}, retention: {time: 1d}, deletionPolicy: Delete}", ""),
            ("{eventTypes: [{name: a.b, schema: {}}]}", ""),
            ("{access: [{principal: 'User:a', operations: [Describe]}]}", ""),
            ("{partitions: 0}", ""),
            ("{partitions: 3}", "3"),
            ("{partitions: 3, replicas: 3}", "6"),
            ("{partitions: 6}", "3"),
            ("{retention: {time: 7d}}", "1 retention.ms=604800000"),
            ("{retention: {time: 7d}}", "1 retention.ms=86400000"),
            ("{retention: {time: 1d}}", "1 retention.ms=604800000"),
            ("{retention: {time: 1d}}", "1"),
            ("{}", "1 retention.ms=604800000"),
            ("{ignoreConfig: [retention.ms]}", "1 retention.ms=604800000"),
            ("{}", "1 cleanup.policy=compact segment.ms=5"),
            ("{config: {segment.ms: 5, preallocate: 'TRUE'}}", "1 segment.ms=5 preallocate=true"),
            ("{}", "1 leader.replication.throttled.replicas=*"),
            ("{eventTypes: [{name: a.b, schema: {}}]}", "1"),
            ("{eventTypes: [{name: a.b}]}", "1"),
            ("{partitions: 0}", "1"),
        ],
        expect![[r#"
            {} on []: Create Any
            {partitions: 6, config: {a: 1}, retention: {time: 1d}, deletionPolicy: Delete} on []: Create Any
            {eventTypes: [{name: a.b, schema: {}}]} on []: Create Any
            {access: [{principal: 'User:a', operations: [Describe]}]} on []: Create GrantAccess Any
            {partitions: 0} on []: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
            {partitions: 3} on [3]: Create Any
            {partitions: 3, replicas: 3} on [6]: Create Any
            {partitions: 6} on [3]: Create AddPartitions Any
            {retention: {time: 7d}} on [1 retention.ms=604800000]: Create Any
            {retention: {time: 7d}} on [1 retention.ms=86400000]: Create ChangeConfig Any
            {retention: {time: 1d}} on [1 retention.ms=604800000]: Create ReduceRetention Any
            {retention: {time: 1d}} on [1]: Create ReduceRetention Any
            {} on [1 retention.ms=604800000]: Create ReduceRetention Any
            {ignoreConfig: [retention.ms]} on [1 retention.ms=604800000]: Create Any
            {} on [1 cleanup.policy=compact segment.ms=5]: Create ReduceRetention ChangeConfig Any
            {config: {segment.ms: 5, preallocate: 'TRUE'}} on [1 segment.ms=5 preallocate=true]: Create Any
            {} on [1 leader.replication.throttled.replicas=*]: Create Any
            {eventTypes: [{name: a.b, schema: {}}]} on [1]: Create BreakSchema Any
            {eventTypes: [{name: a.b}]} on [1]: Create Any
            {partitions: 0} on [1]: Create AddPartitions ReduceRetention ChangeConfig BreakSchema GrantAccess Any
        "#]],
    );
}

#[test]
fn the_existing_topic_counts_only_without_an_active_spec() {
    let kafka = Observed { partitions: 1, ..Observed::default() };
    let (base, new) = (spec("{partitions: 3}"), spec("{partitions: 3, description: d}"));
    assert_eq!(print(&EventTopic::classify(Some(&base), &new, &Some(kafka))), "Any");
}

fn any_spec() -> impl proptest::strategy::Strategy<Value = EventTopicSpec> {
    use proptest::prelude::*;
    let one =
        |values: &[&str]| prop::sample::select(values.iter().map(ToString::to_string).collect::<Vec<_>>());
    let fields = (
        one(&["", "partitions: 1", "partitions: 2"]),
        one(&["", "replicas: 1"]),
        one(&["", "retention: {time: 7d}", "retention: {time: 1d}", "config: {retention.ms: 86400000}"]),
        one(&["", "cleanupPolicy: Compact", "ignoreConfig: [cleanup.policy]", "ignoreConfig: [a]"]),
        one(&["", "description: a", "owner: {team: a}", "deletionPolicy: Delete", "driftPolicy: Report"]),
        one(&[
            "",
            "access: [{principal: 'User:a', operations: [Read]}]",
            "access: [{principal: 'User:b', operations: [Write]}]",
        ]),
        one(&["", "eventTypes: [{name: a.b}]", "eventTypes: [{name: a.b, schema: {type: object}}]"]),
        one(&["", "compatibility: {mode: NONE}", "compatibility: {mode: FULL, policy: Strict}"]),
    );
    fields.prop_map(|(a, b, c, d, e, f, g, h)| {
        let fields = [a, b, c, d, e, f, g, h];
        let fields: Vec<String> = fields.into_iter().filter(|field| !field.is_empty()).collect();
        spec(&format!("{{{}}}", fields.join(", ")))
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn there_are_changes_and_lines_if_and_only_if_the_specs_differ(base in any_spec(), new in any_spec()) {
        let touched = EventTopic::classify(Some(&base), &new, &None);
        proptest::prop_assert_eq!(touched.is_empty(), base == new);
        proptest::prop_assert_eq!(touched.contains(&GovernedChange::Any), base != new);
        proptest::prop_assert_eq!(diff(Some(&base), &new, None).is_empty(), base == new);
        proptest::prop_assert!(EventTopic::classify(Some(&new), &new, &None).is_empty());
    }

    /// Several steps have at least the changes of the whole, so that steps avoid no approval; only a retention that is
    /// raised by way of the default may count as reduced, twice.
    #[test]
    fn steps_change_no_less_than_the_whole(base in any_spec(), between in any_spec(), new in any_spec()) {
        let mut steps = EventTopic::classify(Some(&base), &between, &None);
        steps.extend(EventTopic::classify(Some(&between), &new, &None));
        let mut at_once = EventTopic::classify(Some(&base), &new, &None);
        if steps.contains(&GovernedChange::ReduceRetention) {
            at_once.remove(&GovernedChange::ChangeConfig);
        }
        proptest::prop_assert!(at_once.is_subset(&steps), "{at_once:?} by {steps:?}");
    }
}
