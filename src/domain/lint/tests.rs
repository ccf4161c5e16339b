use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use serde::Deserialize;

use super::*;

fn check(before: &str, now: &str, expected: Expect) {
    let lines: Vec<String> = check_all(before, now)
        .into_iter()
        .map(|report| {
            let diagnostics: Vec<String> = report.diagnostics.iter().map(ToString::to_string).collect();
            let found = if diagnostics.is_empty() { "allowed".into() } else { diagnostics.join("\n") };
            format!("{} {}: {found}", report.manifest + 1, report.resource)
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

fn check_all(before: &str, now: &str) -> Vec<Report> {
    let objects = |yaml: &str| -> Vec<Value> {
        let documents = serde_yaml::Deserializer::from_str(yaml);
        documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
    };
    let (before, now) = (objects(before), objects(now));
    lint(&manifests(&now), &manifests(&before))
}

fn manifests(objects: &[Value]) -> Vec<Manifest<'_>> {
    objects.iter().map(|object| Manifest { object, repeated_keys: Vec::new() }).collect()
}

const TENANT: &str = "
apiVersion: eventcenter.io/v1alpha1
kind: Tenant
metadata: {name: shop}
spec: {namespaces: [shop], quotas: {topics: 1}}
";

fn resource(kind: &str, metadata: &str, spec: &str) -> String {
    format!("---\napiVersion: eventcenter.io/v1alpha1\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n")
}

fn topic(name: &str, spec: &str) -> String {
    resource("EventTopic", &format!("{{name: {name}, namespace: shop}}"), spec)
}

#[test]
fn a_good_folder() {
    check(
        "",
        &[TENANT, &topic("orders", "{owner: {team: a}}"), "---\nkind: Namespace\n"].concat(),
        expect![[r#"
            1 Tenant shop: allowed
            2 EventTopic shop/orders: allowed"#]],
    );
}

/// The definition and the operator accept the same hosts, as far as the definition can tell.
#[test]
fn hosts_of_callbacks_are_checked() {
    let tenant = |hosts: &str| {
        resource("Tenant", "{name: shop}", &format!("{{namespaces: [shop], callbacks: {{hosts: {hosts}}}}}"))
    };
    let good = "[api.example.com, my_service.svc:8080, '*.example.com:443', 10.0.0.1, '10.0.0.0/8:80', 'fd00::/8', \
                '[fd00::1]', '[fd00::/8]:8443', '::/0']";
    check("", &tenant(good), expect!["1 Tenant shop: allowed"]);
    for bad in
        ["[]", "[Example.com]", "['https://example.com']", "['*']", "['[fd00::1]443']", "[example.com/a]"]
    {
        let reports = check_all("", &tenant(bad));
        let by_definition =
            reports[0].diagnostics.iter().any(|one| one.to_string().contains("spec.callbacks.hosts"));
        assert!(by_definition, "{bad}: {:?}", reports[0].diagnostics);
    }
    check(
        "",
        &tenant("['*.com']"),
        expect![
            "1 Tenant shop: refused: InvalidResource: spec.callbacks.hosts[0]: a wildcard needs a domain of at least two labels: write it like *.example.com"
        ],
    );
}

#[test]
fn rules_are_kept_in_the_order_of_the_files() {
    check(
        "",
        &[TENANT, &topic("a", "{owner: {team: a}}"), &topic("b", "{}")].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        2 EventTopic shop/a: allowed
        3 EventTopic shop/b: refused: TenantQuotaExceeded: metadata: tenant shop may have 1 topics (quotas.topics), 1 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota"#]],
    );
    check(
        "",
        &topic("orders", "{}"),
        expect![
            "1 EventTopic shop/orders: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
        ],
    );
}

#[test]
fn a_task_is_checked_by_itself_when_its_tenant_is_not_among_the_manifests() {
    let task = |name: &str, spec: &str| {
        resource("ScheduledTask", &format!("{{name: {name}, namespace: shop}}"), spec)
    };
    let call = "target: {http: {url: 'https://a/'}}";
    check(
        "",
        &[
            task("cron", &format!("{{schedule: {{cron: '0 25 * * *'}}, {call}}}")),
            task("first", &format!("{{schedule: {{after: [{{task: second}}]}}, {call}}}")),
            task("second", &format!("{{schedule: {{after: [{{task: first}}]}}, {call}}}")),
            // Whether the tenant may call it is unknown.
            task("loopback", "{target: {http: {url: 'http://127.0.0.1/'}}}"),
        ]
        .concat(),
        expect![[r#"
            1 ScheduledTask shop/cron: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready
            refused: InvalidResource: spec.schedule.cron: hour "25": 25 is above the maximum 23: write hours from 0 to 23, such as "30 8-18 * * *"
            2 ScheduledTask shop/first: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready
            refused: InvalidResource: spec.schedule.after: the tasks would wait for one another: first after second after first; remove one of these dependencies
            3 ScheduledTask shop/second: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready
            refused: InvalidResource: spec.schedule.after: the tasks would wait for one another: second after first after second; remove one of these dependencies
            4 ScheduledTask shop/loopback: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"#]],
    );
}

/// The validator's own messages name neither all values nor a remedy.
#[test]
fn values_of_the_wrong_type_have_a_remedy() {
    let task = "{target: {http: {method: get, url: 'https://a/', expectedStatus: [200]}}, concurrency: {policy: Wait}, \
                retry: {limit: many}}";
    check(
        "",
        &[TENANT, &resource("ScheduledTask", "{name: a, namespace: shop}", task)].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        2 ScheduledTask shop/a: refused: InvalidResource: spec.concurrency.policy: "Wait" is not supported: write one of Allow, Forbid, Replace, Queue
        refused: InvalidResource: spec.retry.limit: "many" is not a whole number: write one, without quotes
        refused: InvalidResource: spec.target.http.expectedStatus[0]: 200 is not text: write "200"
        refused: InvalidResource: spec.target.http.method: "get" is not supported: write one of GET, HEAD, POST, PUT, PATCH, DELETE"#]],
    );
}

#[test]
fn unknown_fields_are_reported() {
    check(
        "",
        &[TENANT, &topic("orders", "{partitons: 3, partitions: three, retention: {tme: 1d}}")].concat(),
        expect![[r#"
            1 Tenant shop: allowed
            2 EventTopic shop/orders: refused: InvalidResource: spec.partitons: there is no such field: correct its name, or remove it
            refused: InvalidResource: spec.retention.tme: there is no such field: correct its name, or remove it
            refused: InvalidResource: spec.partitions: "three" is not a whole number: write one, without quotes"#]],
    );
    check(
        "",
        "apiVersion: eventcenter.io/v1alpha1\nkind: EventTopics\nmetadata: {name: a}\n",
        expect![
            "1 EventTopics a: refused: InvalidResource: kind: there is no kind EventTopics in eventcenter.io: write one of ChangeApproval, EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant"
        ],
    );
}

#[test]
fn changes_are_checked_against_the_previous_spec() {
    let with = |schema: &str| {
        topic(
            "orders",
            &format!("{{owner: {{team: a}}, eventTypes: [{{name: Order.Paid.v1, schema: {schema}}}]}}"),
        )
    };
    check(
        &[TENANT, &with("{type: object}")].concat(),
        &[TENANT, &with("{type: object, required: [id]}")].concat(),
        expect![[r#"
            1 Tenant shop: allowed
            2 EventTopic shop/orders: refused: SchemaIncompatible: spec.eventTypes: the schema of Order.Paid.v1 is not compatible with the registered revisions: REQUIRED_PROPERTY_ADDED at /required: a property became required: nothing -> "id" (BACKWARD, revision 1); make it optional and let consumers do without it, or register the next major version beside this one"#]],
    );
}

#[test]
fn schemas_come_from_the_config_maps_beside_them() {
    let map = |label: &str| {
        format!(
            "---\nkind: ConfigMap\nmetadata: {{name: schemas, namespace: shop, labels: {{eventcenter.io/schema: \"{label}\"}}}}\ndata: {{a.json: '{{\"type\": 7}}'}}\n"
        )
    };
    let from = topic(
        "orders",
        "{owner: {team: a}, eventTypes: [{name: Order.Paid.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: a.json}}}]}",
    );
    check(
        "",
        &[TENANT, &map("true"), &from].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        3 EventTopic shop/orders: refused: SchemaInvalid: spec.eventTypes: Order.Paid.v1: key a.json of ConfigMap schemas: /type: 7 is not a type; name one type or several different ones"#]],
    );
    check(
        "",
        &[TENANT, &map("no"), &from].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        3 EventTopic shop/orders: refused: SchemaNotFound: spec.eventTypes: Order.Paid.v1: schemaFrom: there is no key a.json in a ConfigMap schemas of this namespace with the label eventcenter.io/schema: "true": create it, or correct the reference"#]],
    );
}

#[test]
fn every_mistake_is_reported() {
    check(
        "",
        &[
            TENANT,
            &topic(
                "Bad_Name",
                "{partitions: 0, retention: {time: 7 days}, config: {retention.ms: 1}, eventTypes: [{name: Order Created}]}",
            ),
        ]
        .concat(),
        expect![[r#"
            1 Tenant shop: allowed
            2 EventTopic shop/Bad_Name: refused: InvalidResource: metadata.name: "Bad_Name": use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of every part (RFC 1123)
            refused: InvalidResource: spec.eventTypes[0].name: "Order Created" does not match "^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$"
            refused: InvalidResource: spec.partitions: 0 is less than the minimum of 1
            refused: InvalidResource: spec.config has retention.ms and spec.retention.time is set: keep one of them
            refused: InvalidResource: spec.retention.time: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"#]],
    );
}

#[test]
fn metadata_is_checked_for_every_kind() {
    check(
        "",
        &resource("Tenant", "{name: a.b}", "{}"),
        expect![
            "1 Tenant a.b: refused: InvalidResource: metadata.name: a tenant is named like a namespace: at most 63 letters, digits and '-', no '.'"
        ],
    );
    check(
        "",
        &resource("KafkaCluster", "{name: Main}", "{bootstrapServers: ['kafka:9092']}"),
        expect![[
            r#"1 KafkaCluster Main: refused: InvalidResource: metadata.name: "Main": use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of every part (RFC 1123)"#
        ]],
    );
    check(
        "",
        &resource("ChangeApproval", "{namespace: shop, labels: {a: 1}}", "{decision: Maybe}"),
        expect![[r#"
            1 ChangeApproval shop/without a name: refused: InvalidResource: metadata.name: a name is required
            refused: InvalidResource: metadata.labels.a: 1 is not text: write "1"
            refused: InvalidResource: spec: "specHash" is a required property
            refused: InvalidResource: spec: "target" is a required property
            refused: InvalidResource: spec.decision: "Maybe" is not supported: write one of Approve, Reject"#]],
    );
    check(
        "",
        "apiVersion: eventcenter.io/v2\nkind: Tenant\nmetadata: {name: a}\nspec: {}\n",
        expect![
            "1 Tenant a: refused: InvalidResource: apiVersion: there is no such version of Tenant: write eventcenter.io/v1alpha1"
        ],
    );
}

#[test]
fn a_resource_with_mistakes_takes_part() {
    check(
        "",
        &[
            &resource("Tenant", "{name: shop}", "{namespaces: [shop], clusters: [a, a]}"),
            &topic("orders", "{owner: {team: a}}") as &str,
        ]
        .concat(),
        expect![[r#"
            1 Tenant shop: refused: InvalidResource: spec.clusters[1]: "a" stands in spec.clusters[0] already: remove one of them
            2 EventTopic shop/orders: refused: ClusterNotAllowed: spec.cluster: tenant shop may not use cluster default: name another one, or ask the platform's administrator to add it to spec.clusters of the Tenant"#]],
    );
}

#[test]
fn the_younger_of_two_tenants_is_refused() {
    let tenant = |name: &str, created: &str| {
        resource("Tenant", &format!("{{name: {name}{created}}}"), "{topicPrefix: shop.}")
    };
    let exported = tenant("exported", ", creationTimestamp: '2026-01-01T00:00:00Z'");
    check(
        "",
        &[tenant("new", ""), exported.clone()].concat(),
        expect![[r#"
        1 Tenant new: refused: ResourceConflict: spec.topicPrefix: shop. overlaps with shop. of tenant exported, which is older: choose a prefix that neither starts with another prefix nor is the start of one
        2 Tenant exported: allowed"#]],
    );
    check(
        "",
        &[exported.clone(), tenant("new", "")].concat(),
        expect![[r#"
        1 Tenant exported: allowed
        2 Tenant new: refused: ResourceConflict: spec.topicPrefix: shop. overlaps with shop. of tenant exported, which is older: choose a prefix that neither starts with another prefix nor is the start of one"#]],
    );
    check(
        "",
        &[tenant("b", ""), tenant("a", "")].concat(),
        expect![[r#"
        1 Tenant b: allowed
        2 Tenant a: refused: ResourceConflict: spec.topicPrefix: shop. overlaps with shop. of tenant b, which is older: choose a prefix that neither starts with another prefix nor is the start of one"#]],
    );
    check(
        "",
        &[tenant("newer", ", creationTimestamp: '2026-01-01T00:00:01Z'"), exported].concat(),
        expect![[r#"
            1 Tenant newer: refused: ResourceConflict: spec.topicPrefix: shop. overlaps with shop. of tenant exported, which is older: choose a prefix that neither starts with another prefix nor is the start of one
            2 Tenant exported: allowed"#]],
    );
}

#[test]
fn exported_topics_are_older_than_those_without_a_time() {
    let exported = resource(
        "EventTopic",
        "{name: exported, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z', uid: 6dd6ae5c}",
        "{owner: {team: a}}",
    );
    check(
        "",
        &[TENANT, &topic("new", "{owner: {team: a}}"), &exported].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        2 EventTopic shop/new: refused: TenantQuotaExceeded: metadata: tenant shop may have 1 topics (quotas.topics), 1 are used and this topic requests 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota
        3 EventTopic shop/exported: allowed"#]],
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let object = serde_json::json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "Tenant", "metadata": {"name": "a"}, "spec": {"namespaces": ["a"]},
    });
    let repeated_keys = vec![FieldPath::parse("spec.namespaces")];
    let reports = lint(&[Manifest { object: &object, repeated_keys }], &[]);
    let diagnostics: Vec<String> = reports[0].diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        diagnostics,
        ["refused: InvalidResource: spec.namespaces: the key occurs more than once: remove all but one"]
    );
}

/// Specs that break CEL rules: before, if a rule is about changes, and now. Between them they break every rule.
#[rustfmt::skip]
const BROKEN_RULES: &[(&str, Option<&str>, &str)] = &[
    ("EventTopic", Some("{topicName: shop.a}"), "{topicName: shop.b}"),
    ("EventTopic", Some("{cluster: a}"), "{cluster: b}"),
    ("EventTopic", Some("{partitions: 2}"), "{}"),
    ("EventTopic", None, "{retention: {time: 1d}, config: {retention.ms: 1}}"),
    ("EventTopic", None, "{retention: {size: 1Gi}, config: {retention.bytes: 1}}"),
    ("EventTopic", None, "{cleanupPolicy: Delete, config: {cleanup.policy: delete}}"),
    ("EventTopic", None, "{config: {a: 1}, ignoreConfig: [b, a]}"),
    ("EventTopic", None, "{retention: {time: 1d}, ignoreConfig: [retention.ms]}"),
    ("EventTopic", None, "{retention: {size: 1Gi}, ignoreConfig: [retention.bytes]}"),
    ("EventTopic", None, "{cleanupPolicy: Delete, ignoreConfig: [cleanup.policy]}"),
    ("EventTopic", None, "{topicName: '..'}"),
    ("EventTopic", None, "{config: {a b: 1}}"),
    ("EventTopic", None, "{retention: {time: 7 days}}"),
    ("EventTopic", None, "{retention: {size: 1 GB}}"),
    ("EventTopic", None, "{eventTypes: [{name: a.v1, schema: {}, schemaFrom: {configMapKeyRef: {name: a, key: b}}}]}"),
    ("EventTopic", None, "{access: [{principal: 'User:a', operations: [Write], groups: [shop.a]}]}"),
    ("Tenant", None, "{quotas: {retentionTime: 7 days, retentionSize: 1 GB, messageSize: 1 MB}}"),
    ("Tenant", None, "{approval: {rules: [], validFor: soon}}"),
    ("ScheduledTask", None, "{target: {}, template: t}"),
    ("ScheduledTask", None, "{target: {http: {url: 'ftp://a'}}, shards: 2}"),
    ("ScheduledTask", None, "{shards: 2, retry: {limit: 1, backoff: {initial: soon, max: later}}}"),
    ("ScheduledTask", None, "{schedule: {timeZone: UTC, dst: Once, anchor: '2026-01-01T00:00:00Z', every: soon, jitter: some, catchUpWindow: x, catchUp: Skip, cron: x}}"),
    ("ScheduledTask", None, "{schedule: {at: '2026-01-01T00:00:00Z', timeZone: UTC, dst: Once, anchor: '2026-01-01T00:00:00Z', notBefore: '2026-01-02T00:00:00Z', notAfter: '2026-01-01T00:00:00Z'}}"),
    ("ScheduledTask", None, "{concurrency: {limit: 2}, timeout: soon, parameters: {a b: c}, onFailure: {}}"),
    ("ScheduledTask", None, "{target: {http: {url: 'https://a', headers: [{name: a}]}}}"),
    ("Tenant", None, "{callbacks: {hosts: ['https://example.com']}}"),
    ("ChangeApproval", Some("{comment: a}"), "{comment: b}"),
];

#[test]
fn every_cel_rule_of_the_definitions_is_evaluated() {
    let mut broken = BTreeSet::new();
    for (kind, before, now) in BROKEN_RULES {
        // The dot breaks the rule about the names of tenants.
        let object = |spec: &str| resource(kind, "{name: a.b, namespace: shop}", spec);
        let reports = check_all(&before.map(object).unwrap_or_default(), &object(now));
        broken.extend(
            reports.into_iter().flat_map(|report| report.diagnostics).map(|diagnostic| diagnostic.message),
        );
    }
    let definitions = Definitions::compile();
    let rules: Vec<_> = definitions.0.values().flat_map(|definition| definition.shape.rules.list()).collect();
    assert!(rules.len() >= 22, "{rules:?}");
    for (expression, message) in rules {
        assert!(broken.contains(message), "add what breaks this rule to BROKEN_RULES: {expression}");
        assert!(
            message.contains("spec") || message.contains("metadata"),
            "the message names no field: {message}"
        );
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_reported() {
    let rules =
        |rule: &str| cel::Rules::compile(&serde_json::json!({"x-kubernetes-validations": [{"rule": rule}]}));
    for rule in ["self.unknownFunction()", "self ==", "self.missing", "1"] {
        let outcome = rules(rule).evaluate(&serde_json::json!({"a": 1}), None);
        assert_eq!((outcome.violations.len(), outcome.unevaluated.len()), (0, 1), "{rule}: {outcome:?}");
    }
}

#[test]
fn annotations_that_only_the_webhook_writes() {
    let metadata =
        |annotations: &str| format!("{{name: orders, namespace: shop, annotations: {annotations}}}");
    let stamped = metadata(
        "{eventcenter.io/request: '{}', eventcenter.io/requested-by: alice, eventcenter.io/deletion-request: '{}', \
         eventcenter.io/authored-by: alice}",
    );
    check(
        "",
        &[TENANT, &resource("EventTopic", &stamped, "{owner: {team: a}}")].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        2 EventTopic shop/orders: refused: InvalidResource: metadata.annotations[eventcenter.io/request]: only the webhook writes it, for one object and one content: in a manifest it is ignored, and Argo CD reports a difference that never ends: remove it (kubectl get -o yaml prints it)
        refused: InvalidResource: metadata.annotations[eventcenter.io/requested-by]: only the webhook writes it, for one object and one content: in a manifest it is ignored, and Argo CD reports a difference that never ends: remove it (kubectl get -o yaml prints it)
        refused: InvalidResource: metadata.annotations[eventcenter.io/deletion-request]: only the webhook writes it, for one object and one content: in a manifest it is ignored, and Argo CD reports a difference that never ends: remove it (kubectl get -o yaml prints it)"#]],
    );
    let named = metadata("{eventcenter.io/authored-by: alice, example.com/requested-by: alice}");
    check(
        "",
        &[TENANT, &resource("EventTopic", &named, "{owner: {team: a}}")].concat(),
        expect![[r#"
        1 Tenant shop: allowed
        2 EventTopic shop/orders: allowed"#]],
    );
}
