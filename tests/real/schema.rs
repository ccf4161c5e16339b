//! The schema of the definitions: what the API server refuses, and the documentation of the fields.

use crate::support::{Fixture, cluster_scoped, yaml};
use ::kube::Error;
use ::kube::api::PatchParams;
use serde_json::{Value, json};

/// For each rule of the EventTopic a spec that violates it, and the message of the refusal.
fn topic_rules() -> Vec<(String, &'static str)> {
    let long_key = "k".repeat(256);
    let many_keys: Vec<String> = (0..129).map(|number| format!("key-{number}: 1")).collect();
    let text = |row: (&str, &'static str)| (row.0.to_owned(), row.1);
    let mut rows: Vec<(String, &'static str)> = [
        ("{retention: {time: 7d}, config: {retention.ms: 5}}", "spec.config has retention.ms and spec.retention.time is set: keep one of them"),
        ("{retention: {size: 1Gi}, config: {retention.bytes: 5}}", "spec.config has retention.bytes and spec.retention.size is set: keep one of them"),
        ("{cleanupPolicy: Compact, config: {cleanup.policy: delete}}", "spec.config has cleanup.policy and spec.cleanupPolicy is set: keep one of them"),
        ("{config: {segment.ms: 5}, ignoreConfig: [flush.ms, segment.ms]}", "spec.config and spec.ignoreConfig contain the same key: remove it from one of them"),
        ("{retention: {time: 7d}, ignoreConfig: [retention.ms]}", "spec.ignoreConfig contains retention.ms and spec.retention.time is set: remove one of them"),
        ("{retention: {size: 1Gi}, ignoreConfig: [retention.bytes]}", "spec.ignoreConfig contains retention.bytes and spec.retention.size is set: remove one of them"),
        ("{cleanupPolicy: Delete, ignoreConfig: [cleanup.policy]}", "spec.ignoreConfig contains cleanup.policy and spec.cleanupPolicy is set: remove one of them"),
        ("topicName: '.'", "spec.topicName: Kafka does not allow '.' and '..' as names"),
        ("topicName: '..'", "spec.topicName: Kafka does not allow '.' and '..' as names"),
        ("topicName: 'a/b'", "spec.topicName in body should match '^[a-zA-Z0-9._-]+$'"),
        ("topicName: 'ä'", "spec.topicName in body should match"),
        ("topicName: ''", "spec.topicName in body should be at least 1 chars long"),
        ("cluster: ''", "spec.cluster in body should be at least 1 chars long"),
        ("partitions: 0", "spec.partitions in body should be greater than or equal to 1"),
        ("partitions: 100001", "spec.partitions in body should be less than or equal to 100000"),
        ("partitions: three", ".spec.partitions: expected numeric (int or float), got string"),
        ("replicas: 0", "spec.replicas in body should be greater than or equal to 1"),
        ("retention: {time: 7 days}", "spec.retention.time: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"),
        ("retention: {time: '-1'}", "spec.retention.time: write a number and its unit"),
        ("retention: {time: 0d}", "spec.retention.time: write a number and its unit"),
        ("retention: {time: 7}", ".spec.retention.time: expected string, got &value.valueUnstructured{Value:7}"),
        ("retention: {size: 10GB}", "spec.retention.size: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 10Gi, or unlimited"),
        ("retention: {size: '-1'}", "spec.retention.size: write a number of bytes"),
        ("cleanupPolicy: delete", r#"spec.cleanupPolicy: Unsupported value: "delete": supported values: "Delete", "Compact", "CompactAndDelete""#),
        ("deletionPolicy: Keep", r#"spec.deletionPolicy: Unsupported value: "Keep": supported values: "Retain", "Delete""#),
        ("driftPolicy: Ignore", r#"spec.driftPolicy: Unsupported value: "Ignore": supported values: "Correct", "Report""#),
        ("config: {'a b': 1}", "spec.config: a key is at most 255 letters, digits, '.', '_' and '-', as in Kafka's documentation"),
        ("config: {'': 1}", "spec.config: a key is at most 255 letters"),
        ("config: {min.cleanable.dirty.ratio: 0.5}", "must be of type integer"),
        ("config: {unclean.leader.election.enable: true}", "must be of type integer"),
        ("config: {cleanup.policy: [compact, delete]}", "must be of type integer"),
        ("ignoreConfig: ['a b']", "spec.ignoreConfig[0] in body should match"),
        ("ignoreConfig: ['']", "spec.ignoreConfig[0] in body should be at least 1 chars long"),
        ("ignoreConfig: [a, a]", "duplicate"),
        ("owner: {contact: me}", "spec.owner.team: Required value"),
        ("owner: {team: ''}", "spec.owner.team in body should be at least 1 chars long"),
        ("eventTypes: [{name: 'order created'}]", "spec.eventTypes[0].name in body should match"),
        ("eventTypes: [{name: a.b, version: 0}]", "spec.eventTypes[0].version in body should be greater than or equal to 1"),
        ("eventTypes: [{name: a.b, schema: [1]}]", ".spec.eventTypes[0].schema: expected map, got"),
        ("eventTypes: [{name: a.b, schema: {}, schemaFrom: {configMapKeyRef: {name: a, key: b}}}]", "spec.eventTypes: schema and schemaFrom are both set: keep one of them"),
        ("eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: a}}}]", "spec.eventTypes[0].schemaFrom.configMapKeyRef.key: Required value"),
        ("compatibility: {mode: backward}", r#"spec.compatibility.mode: Unsupported value: "backward": supported values: "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE""#),
        ("compatibility: {policy: lenient}", r#"spec.compatibility.policy: Unsupported value: "lenient": supported values: "Lenient", "Strict""#),
        ("access: [{principal: 'Group:alice', operations: [Read]}]", "spec.access[0].principal in body should match"),
        ("access: [{principal: 'User:alice'}]", "spec.access[0].operations: Required value"),
        ("access: [{principal: 'User:alice', operations: []}]", "spec.access[0].operations in body should have at least 1 items"),
        ("access: [{principal: 'User:alice', operations: [Delete]}]", r#"spec.access[0].operations[0]: Unsupported value: "Delete": supported values: "Read", "Write", "Describe", "DescribeConfigs""#),
        ("access: [{principal: 'User:a', operations: [Read]}, {principal: 'User:a', operations: [Write]}]", "duplicate"),
        ("access: [{principal: 'User:alice', operations: [Write], groups: [shop.g]}]", "spec.access: groups require the operation Read: add it to operations, or remove groups"),
        ("access: [{principal: 'User:alice', operations: [Read], groups: ['a*b']}]", "spec.access[0].groups[0] in body should match"),
        ("eventTypes: [{description: nameless}]", "name"),
        ("partitons: 3", ".spec.partitons: field not declared in schema"),
    ]
    .map(text)
    .into();
    rows.push((
        format!("topicName: {}", "n".repeat(250)),
        "spec.topicName: Too long: may not be more than 249 bytes",
    ));
    rows.push((format!("config: {{{long_key}: 1}}"), "spec.config: a key is at most 255 letters"));
    rows.push((
        format!("config: {{{}}}", many_keys.join(", ")),
        "spec.config: Too many: 129: must have at most 128 items",
    ));
    rows.push((
        format!("config: {{flush.ms: '{}'}}", "1".repeat(4097)),
        "spec.config.flush.ms: Too long: may not be more than 4096 bytes",
    ));
    rows.push((
        format!("description: '{}'", "d".repeat(4097)),
        "spec.description: Too long: may not be more than 4096 bytes",
    ));
    rows
}

#[tokio::test]
async fn every_rule_of_event_topics_is_enforced() {
    let t = Fixture::new("schema").await;
    for (spec, expected) in topic_rules() {
        t.topic("orders").assert_rejected(&spec, expected).await;
    }
    let mut missing = t.topic("orders").manifest("{}");
    missing.as_object_mut().expect("an object").remove("spec");
    let error = t.kube.try_apply(&missing).await.expect_err("a spec is needed").to_string();
    assert!(error.contains("spec: Required value"), "{error}");
    for spec in [
        "{}",
        "{partitions: 100000, replicas: 10000}",
        "retention: {time: unlimited, size: unlimited}",
        "retention: {time: 1ms, size: '1'}",
        "retention: {time: 999999999999999999w, size: 999999999999999999Pi}",
        "config: {flush.messages: 9223372036854775807, preallocate: \"true\", cleanup.policy: \"compact,delete\"}",
        "{config: {segment.ms: 5}, ignoreConfig: [flush.ms]}",
        "eventTypes: [{name: Order.Created.v1}, {name: SKU_1.Made}, {name: Order}]",
        "eventTypes: [{name: user.created}, {name: user.created, version: 2}]",
        "{eventTypes: [{name: a.b, schema: {type: object, anything: [1, {b: c}]}}], compatibility: {mode: FULL_TRANSITIVE, policy: Strict}}",
        "eventTypes: [{name: a.b, schemaFrom: {configMapKeyRef: {name: schemas, key: a.json}}}]",
        "access: [{principal: 'User:alice', operations: [Read], groups: [shop.billing, 'shop.b*']}, {principal: 'User:*', operations: [Describe, DescribeConfigs, Write]}]",
        "{owner: {team: checkout}, description: ''}",
        "topicName: '...'",
    ] {
        t.topic("orders").assert_accepted(spec).await;
    }
}

#[tokio::test]
async fn every_rule_of_tenants_and_clusters_is_enforced() {
    let t = Fixture::new("schema").await;
    let assert_rejected = async |kind: &str, name: &str, spec: &str, expected: &str| {
        let object = cluster_scoped(kind, name, yaml(spec));
        match t.kube.try_apply(&object).await {
            Err(Error::Api(status)) => {
                assert!(status.message.contains(expected), "{kind} {name} {spec}: {}", status.message);
            }
            other => panic!("{kind} {name} {spec}: {other:?}"),
        }
    };
    let invalid_name =
        "metadata.name: a tenant is named like a namespace: at most 63 letters, digits and '-', no '.'";
    assert_rejected("Tenant", "a.b", "{}", invalid_name).await;
    assert_rejected("Tenant", &"a".repeat(64), "{}", invalid_name).await;
    for (spec, expected) in [
        ("namespaces: [Upper]", "spec.namespaces[0] in body should match"),
        ("namespaces: ['']", "spec.namespaces[0] in body should be at least 1 chars long"),
        ("namespaces: [a, a]", "duplicate"),
        ("topicPrefix: shop", "spec.topicPrefix in body should match"),
        ("topicPrefix: '.'", "spec.topicPrefix in body should"),
        ("topicPrefix: 'a b.'", "spec.topicPrefix in body should match"),
        ("clusters: ['']", "spec.clusters[0] in body should be at least 1 chars long"),
        ("quotas: {topics: -1}", "spec.quotas.topics in body should be greater than or equal to 0"),
        (
            "quotas: {retentionTime: unlimited}",
            "spec.quotas.retentionTime: write a number and its unit (ms, s, m, h, d or w), such as 30d",
        ),
        (
            "quotas: {retentionSize: 1GB}",
            "spec.quotas.retentionSize: write a number of bytes, alone or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 500Gi",
        ),
        ("quotas: {messageSize: big}", "spec.quotas.messageSize: write a number of bytes"),
        ("callbacks: {hosts: []}", "spec.callbacks.hosts in body should have at least 1 items"),
        ("callbacks: {hosts: [a.example, a.example]}", "duplicate"),
        (
            "callbacks: {hosts: ['https://api.example.com']}",
            "spec.callbacks.hosts: write a host name in lower case, *.DOMAIN, an IP address or a network such as 10.0.0.0/8, with or without a port such as :8443 (an IPv6 address with a port in brackets)",
        ),
        ("callbacks: {hosts: ['[fd00::1]443']}", "spec.callbacks.hosts: write a host name"),
        (
            "naming: {conventions: [entity]}",
            r#"spec.naming.conventions[0]: Unsupported value: "entity": supported values: "Entity", "Service", "System", "Dotted""#,
        ),
        (
            "whenSuspended: Delete",
            r#"spec.whenSuspended: Unsupported value: "Delete": supported values: "KeepRunning", "Stop""#,
        ),
        ("namespace: [a]", ".spec.namespace: field not declared in schema"),
    ] {
        assert_rejected("Tenant", "refused", spec, expected).await;
    }
    for (spec, expected) in [
        ("{}", "spec.bootstrapServers: Required value"),
        ("bootstrapServers: []", "spec.bootstrapServers in body should have at least 1 items"),
        ("bootstrapServers: [localhost]", "spec.bootstrapServers[0] in body should match"),
        ("bootstrapServers: ['kafka:/9092']", "spec.bootstrapServers[0] in body should match"),
        ("bootstrapServers: ['a:1,b:2']", "spec.bootstrapServers[0] in body should match"),
        ("{bootstrapServers: ['a:1'], sasl: {}}", "spec.sasl.secret: Required value"),
        ("{bootstrapServers: ['a:1'], sasl: {secret: {}}}", "spec.sasl.secret.name: Required value"),
        (
            "{bootstrapServers: ['a:1'], sasl: {mechanism: GSSAPI, secret: {name: x}}}",
            r#"spec.sasl.mechanism: Unsupported value: "GSSAPI": supported values: "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN""#,
        ),
        ("{bootstrapServers: ['a:1'], tls: {caSecret: {}}}", "spec.tls.caSecret.name: Required value"),
    ] {
        assert_rejected("KafkaCluster", "refused", spec, expected).await;
    }
    let dry_run = PatchParams::apply("tests").force().dry_run();
    for (kind, spec) in [
        ("Tenant", "{}"),
        ("Tenant", "{suspended: true, whenSuspended: Stop, naming: {conventions: [Entity, Dotted]}}"),
        (
            "Tenant",
            "quotas: {topics: 0, partitions: 10, subscriptions: 1, tasks: 1, retentionTime: 30d, retentionSize: 500Gi, messageSize: '1000000'}",
        ),
        ("Tenant", "{namespaces: [a, b-1], topicPrefix: a_, clusters: [x], description: what}"),
        ("KafkaCluster", "bootstrapServers: ['kafka-0.kafka:9092', '[::1]:9092', '10.0.0.1:1']"),
        ("KafkaCluster", "{bootstrapServers: ['a:1'], tls: {}, sasl: {secret: {name: x}}}"),
    ] {
        let object = cluster_scoped(kind, "accepted", yaml(spec));
        let stored = t.kube.try_apply_with(&object, &dry_run).await;
        stored.unwrap_or_else(|error| panic!("{kind} {spec}: {error}"));
    }
}

#[tokio::test]
async fn defaults_are_filled_in_when_a_resource_is_stored() {
    let t = Fixture::new("schema").await;
    let topic = t.apply(&t.topic("orders").manifest("{}")).await;
    assert_eq!(topic["spec"], json!({"partitions": 1, "deletionPolicy": "Retain", "driftPolicy": "Correct"}));
    let dry_run = PatchParams::apply("tests").force().dry_run();
    let spec = json!({
        "bootstrapServers": ["a:1"],
        "sasl": {"secret": {"name": "x"}},
        "tls": {"caSecret": {"name": "y"}},
    });
    let cluster = t.kube.try_apply_with(&cluster_scoped("KafkaCluster", "filled", spec), &dry_run).await;
    let cluster = cluster.expect("the cluster is accepted");
    assert_eq!(
        cluster["spec"],
        json!({
            "bootstrapServers": ["a:1"],
            "default": false,
            "sasl": {
                "mechanism": "SCRAM-SHA-512",
                "secret": {"name": "x", "usernameKey": "username", "passwordKey": "password"},
            },
            "tls": {"caSecret": {"name": "y", "key": "ca.crt"}},
        })
    );
}

/// Each way of writing a resource is refused with the same message.
#[tokio::test]
async fn every_way_of_applying_refuses_the_same() {
    let t = Fixture::new("schema").await;
    t.topic("grown").apply_and_wait("partitions: 3").await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, spec: &str| {
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, t.topic(name).manifest(spec).to_string()).expect("the file is written");
        path.display().to_string()
    };
    let rows = [
        (
            write("grown", "partitions: 2"),
            "spec.partitions cannot be reduced: Kafka cannot remove partitions. Create a new EventTopic with fewer",
        ),
        (
            write("new", "{cleanupPolicy: Compact, config: {cleanup.policy: delete}}"),
            "spec.config has cleanup.policy and spec.cleanupPolicy is set: keep one of them",
        ),
        (write("newer", "partitions: 0"), "spec.partitions in body should be greater than or equal to 1"),
    ];
    for arguments in [
        &["apply"][..],
        &["apply", "--server-side", "--force-conflicts"],
        &["apply", "--dry-run=server"],
        &["apply", "--server-side", "--force-conflicts", "--dry-run=server"],
    ] {
        for (file, expected) in &rows {
            let refused = t
                .kubectl(&[arguments, &["-f", file]].concat())
                .expect_err("the API server refuses the request");
            assert!(refused.contains(expected), "{arguments:?} {file}: {refused}");
        }
    }
    for (file, expected) in &rows[1..] {
        let refused = t.kubectl(&["create", "-f", file]).expect_err("the API server refuses the request");
        assert!(refused.contains(expected), "create {file}: {refused}");
    }
    let (file, expected) = &rows[0];
    let refused = t.kubectl(&["replace", "-f", file]).expect_err("the API server refuses the request");
    assert!(refused.contains(expected), "replace {file}: {refused}");
    let patch = r#"{"spec": {"partitions": 1}}"#;
    let refused = t
        .kubectl(&["patch", "etopic", "grown", "--type=merge", "-p", patch])
        .expect_err("the API server refuses the request");
    assert!(refused.contains(expected), "patch: {refused}");
    // kubectl refuses a misspelt field as well, instead of dropping it.
    let refused = t
        .kubectl(&["apply", "-f", &write("misspelt", "partitons: 3")])
        .expect_err("the API server refuses the request");
    assert!(refused.contains(r#"unknown field "spec.partitons""#), "{refused}");
}

/// Collects the paths of all fields below a schema that have no description.
fn collect_undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
    let described = |field: &Value| {
        // A reference has its own description beside the reference.
        field["description"].as_str().is_some_and(|text| !text.is_empty())
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if !described(field) {
            found.push(path.clone());
        }
        collect_undescribed(field, &path, found);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            collect_undescribed(&schema[inner], path, found);
        }
    }
}

#[tokio::test]
async fn every_field_is_explained() {
    let t = Fixture::new("schema").await;
    let mut found = Vec::new();
    for plural in ["eventtopics", "tenants", "kafkaclusters"] {
        let url = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.eventcenter.io");
        let request = ::kube::core::Request::new(url).list(&Default::default()).expect("a request");
        let definition: Value = t.kube.client().request(request).await.expect("the CRD is installed");
        let schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        assert!(
            schema["properties"]["spec"]["properties"].as_object().is_some_and(|fields| fields.len() > 3)
        );
        collect_undescribed(&schema, plural, &mut found);
        for (name, field) in schema["properties"]["spec"]["properties"].as_object().expect("fields") {
            let output = t
                .kubectl(&["explain", &format!("{plural}.spec.{name}")])
                .expect("kubectl explains the field");
            let first_word = field["description"].as_str().and_then(|text| text.split_whitespace().next());
            assert!(output.contains(first_word.expect("a description")), "{plural}.spec.{name}:\n{output}");
        }
    }
    // Every field has a description.
    assert!(found.is_empty(), "no description: {found:#?}");
}
