//! `eventctl` as a person and a pipeline run it: output and exit codes. Nothing else is needed.

// A test that panics has said what it has to say.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tempfile::TempDir;

const ORDER: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}}, "required": ["id"]}"#;
const WITH_STATUS: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string"}, "status": {"type": "string"}}, "required": ["id"]}"#;
const BROKEN: &str =
    r#"{"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id", "at"]}"#;

/// A folder with files, in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// The exit code, and what was written to standard output and standard error.
    fn run(&self, arguments: &str, input: &str) -> (i32, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_eventctl"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who does not read its input may be gone before it is written.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn check(&self, arguments: &str, code: i32, expected: &Expect) {
        let (found, out, err) = self.run(arguments, "");
        expected.assert_eq(&format!("{out}{err}"));
        assert_eq!(found, code, "{arguments}");
    }
}

#[test]
fn a_compatible_revision() {
    let folder = Folder::with(&[("old.json", ORDER), ("new.json", WITH_STATUS)]);
    folder.check(
        "schema check old.json new.json",
        0,
        &expect![[r#"
        new.json: compatible (BACKWARD, Lenient)
    "#]],
    );
    folder.check(
        "schema check old.json new.json --mode forward-transitive --policy STRICT",
        0,
        &expect![[r#"
        new.json: compatible (FORWARD_TRANSITIVE, Strict)
    "#]],
    );
}

#[test]
fn a_revision_that_breaks() {
    let folder = Folder::with(&[("old.json", ORDER), ("new.json", BROKEN)]);
    folder.check("schema check old.json new.json", 1, &expect![[r#"
        new.json: not compatible (BACKWARD, Lenient)

        TYPE_NARROWED at /properties/id/type
          a type is no longer accepted (BACKWARD, against old.json)
          old: "integer"
          new: "string"
          remedy: keep accepting the old types beside the new ones, or register the next major version beside this one

        PROPERTY_REMOVED at /properties/note
          a property was removed (BACKWARD, against old.json)
          old: {"type":"string"}
          new: nothing
          remedy: keep it, marked deprecated: true, for at least two revisions, or register the next major version beside this one

        REQUIRED_PROPERTY_ADDED at /required
          a property became required (BACKWARD, against old.json)
          old: nothing
          new: "at"
          remedy: make it optional and let consumers do without it, or register the next major version beside this one
    "#]]);
    folder.check(
        "schema check old.json new.json --mode none",
        0,
        &expect![[r#"
        new.json: compatible (NONE, Lenient)
    "#]],
    );
}

#[test]
fn an_answer_for_programs() {
    let folder = Folder::with(&[
        ("1.json", ORDER),
        ("2.yaml", "type: object\nproperties:\n  id: {type: integer}\n  note: {type: string}\n"),
        (
            "new.json",
            r#"{"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "integer"}}}"#,
        ),
    ]);
    let (code, out, err) =
        folder.run("schema check 1.json 2.yaml new.json --mode BACKWARD_TRANSITIVE --json", "");
    assert_eq!((code, err.as_str()), (1, ""));
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["compatible"], false);
    let of: Vec<&Value> =
        answer["violations"].as_array().unwrap().iter().map(|one| &one["registered"]).collect();
    assert_eq!(of, ["1.json", "2.yaml"]);
    let expected = expect![[r#"
        {
          "direction": "BACKWARD",
          "message": "a type is no longer accepted",
          "new": "integer",
          "old": "string",
          "pointer": "/properties/note/type",
          "registered": "1.json",
          "remedy": "keep accepting the old types beside the new ones, or register the next major version beside this one",
          "revision": 1,
          "rule": "TYPE_NARROWED"
        }"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&answer["violations"][0]).unwrap());
}

#[test]
fn a_schema_from_standard_input() {
    let folder = Folder::with(&[("new.json", WITH_STATUS)]);
    assert_eq!(folder.run("schema check - new.json", ORDER).0, 0);
    let (code, _, err) = folder.run("schema check - -", ORDER);
    assert_eq!(code, 2);
    assert_eq!(err, "eventctl: standard input is given twice: - can stand for one file only\n");
}

#[test]
fn events_that_fit_and_that_do_not() {
    let folder = Folder::with(&[
        ("order.json", ORDER),
        ("good.json", r#"{"id": 1}"#),
        ("bad.json", r#"{"id": "1", "note": 2}"#),
        ("event.json", r#"{"specversion": "1.0", "type": "order.created", "data": {"id": "x"}}"#),
    ]);
    folder.check(
        "schema validate order.json good.json",
        0,
        &expect![[r#"
        good.json: fits
    "#]],
    );
    folder.check(
        "schema validate order.json good.json bad.json",
        1,
        &expect![[r#"
        good.json: fits
        bad.json: does not fit
          /id: "1" is not of type "integer" (type)
          /note: 2 is not of type "string" (type)
    "#]],
    );
    folder.check(
        "schema validate order.json event.json --envelope --json",
        1,
        &expect![[r#"
        {
          "events": [
            {
              "event": "event.json",
              "faults": [
                {
                  "message": "\"x\" is not of type \"integer\"",
                  "pointer": "/id",
                  "rule": "type"
                }
              ],
              "valid": false
            }
          ],
          "valid": false
        }
    "#]],
    );
}

#[test]
fn mistakes_that_people_make() {
    let folder = Folder::with(&[
        ("order.json", ORDER),
        ("cut.json", r#"{"type": "object""#),
        ("typo.json", r#"{"type": "object", "properties": {"id": {"type": "int"}}}"#),
        ("remote.json", r#"{"$ref": "https://example.com/order.json"}"#),
        ("twice.yaml", "type: string\ntype: object\n"),
    ]);
    folder.check(
        "schema check order.json missing.json",
        2,
        &expect![[r#"
        eventctl: reading missing.json: No such file or directory (os error 2)
    "#]],
    );
    folder.check(
        "schema check order.json cut.json",
        2,
        &expect![[r#"
        eventctl: cut.json: this is not JSON: EOF while parsing an object at line 1 column 17
    "#]],
    );
    folder.check("schema check typo.json order.json", 2, &expect![[r#"
        eventctl: typo.json: SchemaInvalid: /properties/id/type: "int" is not a type; name one type or several different ones
    "#]]);
    folder.check("schema validate remote.json order.json", 2, &expect![[r#"
        eventctl: remote.json: SchemaInvalid: /$ref: https://example.com/order.json leads out of this schema, and nothing is ever fetched; copy what it refers to into $defs and write #/$defs/…
    "#]]);
    folder.check("schema validate order.json order.json --envelope", 2, &expect![[r#"
        eventctl: order.json: there is no data in it, as an envelope or a CloudEvent has; leave --envelope out if this is the data
    "#]]);
    let (code, _, err) = folder.run("schema check twice.yaml order.json", "");
    assert!(code == 2 && err.contains("the name \"type\" is repeated"), "{err}");
    let (code, _, err) = folder.run("schema check order.json order.json --mode SIDEWAYS", "");
    assert!(code == 2 && err.contains("BACKWARD_TRANSITIVE"), "{err}");
}

#[test]
fn help_has_examples() {
    for (command, example) in [
        ("schema check --help", "eventctl schema check order.v1.json order.json"),
        ("schema validate --help", "eventctl schema validate order.json event.json"),
    ] {
        let (code, out, _) = Folder::with(&[]).run(command, "");
        assert!(code == 0 && out.contains(example) && out.contains("Exit codes"), "{out}");
    }
}

const PLATFORM: &str = "
apiVersion: eventcenter.io/v1alpha1
kind: Tenant
metadata: {name: shop}
spec: {namespaces: [shop], quotas: {partitions: 4}}
";

fn topic(spec: &str) -> String {
    format!(
        "apiVersion: eventcenter.io/v1alpha1\nkind: EventTopic\nmetadata: {{name: orders, namespace: shop}}\nspec: {spec}\n"
    )
}

#[test]
fn a_folder_of_manifests_that_is_fine() {
    let good = topic("{partitions: 3, owner: {team: a}}");
    let folder = Folder::with(&[("platform.yaml", PLATFORM), ("orders.yaml", &good), ("notes.txt", "none")]);
    folder.check(
        "lint .",
        0,
        &expect![[r#"
        2 resources, 0 refused
    "#]],
    );
    folder.check(
        "lint orders.yaml --tenants platform.yaml",
        0,
        &expect![[r#"
        2 resources, 0 refused
    "#]],
    );
    folder.check("lint orders.yaml", 1, &expect![[r#"
        EventTopic shop/orders
          orders.yaml:1:1: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready
        1 resource, 1 refused
    "#]]);
}

#[test]
fn a_folder_of_manifests_that_is_not() {
    let topic = topic("{partitions: 5, retention: {tim: 1d}}");
    let other = topic.replace("orders", "payments").replace(", retention: {tim: 1d}", "");
    let folder = Folder::with(&[("a.yaml", PLATFORM), ("b.yaml", &format!("{topic}---\n{other}"))]);
    folder.check("lint .", 1, &expect![[r#"
        EventTopic shop/orders
          ./b.yaml:4:8: refused: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (its quotas.partitions), 0 are taken and this topic asks for 5 more: ask for at most 4 more, or ask the platform's administrator for a larger quota
          ./b.yaml:4:35: refused: InvalidResource: spec.retention.tim: there is no such field: correct its name, or remove it
        EventTopic shop/payments
          ./b.yaml:9:8: refused: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (its quotas.partitions), 0 are taken and this topic asks for 5 more: ask for at most 4 more, or ask the platform's administrator for a larger quota
        3 resources, 2 refused
    "#]]);
    let (code, out, _) = folder.run("lint . --json", "");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["accepted"]), (1, &Value::Bool(false)));
    assert_eq!(answer["resources"][1]["refusals"][0]["reason"], "TenantQuotaExceeded");
    assert_eq!(answer["resources"][1]["refusals"][1]["reason"], "InvalidResource");
    assert_eq!(answer["resources"][2]["refusals"][0]["reason"], "TenantQuotaExceeded");
}

/// Five mistakes in the second document of a file.
const FIVE_MISTAKES: &str = "\
apiVersion: eventcenter.io/v1alpha1
kind: Tenant
metadata:
  name: shop
spec:
  namespaces: [shop]
---
# Orders of the shop.
apiVersion: eventcenter.io/v1alpha1
kind: EventTopic
metadata:
  name: Bad_Name
  namespace: shop
spec:
  owner: {team: a}
  partitions: 0
  retention:
    time: 7 days
  config:
    retention.ms: 604800000
  eventTypes:
  - name: Order.Paid.v1
    schema: {type: object}
  - name: Order Created
    schema: {type: object}
";

#[test]
fn every_mistake_of_a_resource_is_reported_with_its_line() {
    let folder = Folder::with(&[("orders.yaml", FIVE_MISTAKES)]);
    let (code, out, err) = folder.run("lint orders.yaml", "");
    assert_eq!((code, err.as_str()), (1, ""));
    for (line, field) in [
        (12, "metadata.name"),
        (16, "spec.partitions"),
        (18, "spec.retention.time"),
        (19, "spec.config"),
        (24, "spec.eventTypes[1].name"),
    ] {
        let found = out.lines().any(|text| {
            text.contains(&format!("orders.yaml:{line}:"))
                && text.contains("refused: InvalidResource: ")
                && text.contains(field)
        });
        assert!(found, "{line} {field}: {out}");
    }
    assert_eq!(out.matches("refused: ").count(), 5, "{out}");
}

#[test]
fn annotations_for_github() {
    let folder = Folder::with(&[("orders.yaml", FIVE_MISTAKES)]);
    folder.check("lint . -o github", 1, &expect![[r#"
        ::error file=orders.yaml,line=12,col=3,title=InvalidResource%3A EventTopic shop/Bad_Name::metadata.name: "Bad_Name": use at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of every part (RFC 1123)
        ::error file=orders.yaml,line=16,col=3,title=InvalidResource%3A EventTopic shop/Bad_Name::spec.partitions: 0 is less than the minimum of 1
        ::error file=orders.yaml,line=18,col=5,title=InvalidResource%3A EventTopic shop/Bad_Name::spec.retention.time: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited
        ::error file=orders.yaml,line=19,col=3,title=InvalidResource%3A EventTopic shop/Bad_Name::spec.config has retention.ms and spec.retention.time is set: keep one of them
        ::error file=orders.yaml,line=24,col=5,title=InvalidResource%3A EventTopic shop/Bad_Name::spec.eventTypes[1].name: "Order Created" does not match "^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$"
        2 resources, 1 refused
    "#]]);
}

#[test]
fn diagnostics_as_json() {
    let folder = Folder::with(&[("orders.yaml", FIVE_MISTAKES)]);
    let (code, out, err) = folder.run("lint orders.yaml -o json", "");
    assert_eq!((code, err.as_str()), (1, ""));
    assert_eq!(folder.run("lint orders.yaml --json", ""), (code, out.clone(), err));
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["accepted"], false);
    let resource = &answer["resources"][1];
    assert_eq!((&resource["file"], &resource["line"]), (&json!("orders.yaml"), &json!(9)));
    let expected = expect![[r#"
        {
          "column": 3,
          "field": "spec.partitions",
          "line": 16,
          "message": "spec.partitions: 0 is less than the minimum of 1",
          "reason": "InvalidResource",
          "severity": "error"
        }"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&resource["problems"][1]).unwrap());
    let refusals = resource["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 5);
    assert_eq!(
        refusals[1],
        json!({"reason": "InvalidResource", "message": resource["problems"][1]["message"]})
    );
}

#[test]
fn diagnostics_as_sarif() {
    let unowned = topic("{partitions: 3}");
    let folder = Folder::with(&[("orders.yaml", FIVE_MISTAKES), ("b c.yaml", &unowned)]);
    let (code, out, err) = folder.run("lint . -o sarif", "");
    assert_eq!((code, err.as_str()), (1, ""));
    let log: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let levels: Vec<&Value> = results.iter().map(|result| &result["level"]).collect();
    assert_eq!(levels, ["warning", "error", "error", "error", "error", "error"]);
    // Each result names a rule of the tool, by its id and its index.
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    let expected = expect![[r#"
        [
          {
            "defaultConfiguration": {
              "level": "warning"
            },
            "id": "Advice",
            "shortDescription": {
              "text": "The resource is accepted, and something about it is unwise."
            }
          },
          {
            "defaultConfiguration": {
              "level": "error"
            },
            "id": "InvalidResource",
            "shortDescription": {
              "text": "A field breaks a rule; the message names the field, the rule and the remedy."
            }
          }
        ]"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&run["tool"]["driver"]["rules"]).unwrap());
    let expected = expect![[r#"
        {
          "level": "warning",
          "locations": [
            {
              "logicalLocations": [
                {
                  "kind": "resource",
                  "name": "EventTopic shop/orders"
                }
              ],
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "b%20c.yaml"
                },
                "region": {
                  "startColumn": 1,
                  "startLine": 1
                }
              }
            }
          ],
          "message": {
            "text": "spec.owner: the topic has no owner"
          },
          "ruleId": "Advice",
          "ruleIndex": 0
        }"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&results[0]).unwrap());
    let expected = expect![[r#"
        {
          "level": "error",
          "locations": [
            {
              "logicalLocations": [
                {
                  "kind": "resource",
                  "name": "EventTopic shop/Bad_Name"
                }
              ],
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "orders.yaml"
                },
                "region": {
                  "startColumn": 3,
                  "startLine": 16
                }
              }
            }
          ],
          "message": {
            "text": "spec.partitions: 0 is less than the minimum of 1"
          },
          "ruleId": "InvalidResource",
          "ruleIndex": 1
        }"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&results[2]).unwrap());
}

#[test]
fn json_manifests_and_standard_input_have_lines_too() {
    let folder = Folder::with(&[]);
    let manifest = "{\n\t\"apiVersion\": \"eventcenter.io/v1alpha1\",\n\t\"kind\": \"Tenant\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"spec\": {\n\t\t\"suspended\": 1,\n\t\t\"suspended\": 2\n\t}\n}\n";
    let (code, out, err) = folder.run("lint -", manifest);
    assert_eq!((code, err.as_str()), (1, ""));
    let expected = expect![[r#"
        Tenant a
          standard input:7:3: refused: InvalidResource: spec.suspended: the key stands more than once: remove all but one
          standard input:7:3: refused: InvalidResource: spec.suspended: 2 is not of type "boolean"
        1 resource, 1 refused
    "#]];
    expected.assert_eq(&out);
}

#[test]
fn a_younger_tenant_is_refused_and_an_exported_one_is_not() {
    let tenant = |name: &str, created: &str| {
        format!(
            "apiVersion: eventcenter.io/v1alpha1\nkind: Tenant\nmetadata: {{name: {name}{created}}}\nspec: {{topicPrefix: shop.}}\n"
        )
    };
    let (young, old) = (tenant("a-young", ""), tenant("old", ", creationTimestamp: '2026-01-01T00:00:00Z'"));
    let folder = Folder::with(&[("a.yaml", &young), ("exported.yaml", &old)]);
    for command in ["lint .", "lint a.yaml --tenants exported.yaml"] {
        let (code, out, err) = folder.run(command, "");
        assert_eq!((code, err.as_str()), (1, ""));
        assert!(out.contains("Tenant a-young\n") && out.contains("of tenant old, which keeps it"), "{out}");
        assert!(out.ends_with("2 resources, 1 refused\n"), "{out}");
    }
}

#[test]
fn a_change_of_manifests() {
    let with = |schema: &str| {
        topic(&format!("{{owner: {{team: a}}, eventTypes: [{{name: Order.Paid.v1, schema: {schema}}}]}}"))
    };
    let folder =
        Folder::with(&[("platform.yaml", PLATFORM), ("now.yaml", &with(BROKEN)), ("was.yaml", &with(ORDER))]);
    folder.check(
        "lint now.yaml --tenants platform.yaml",
        0,
        &expect![[r#"
        2 resources, 0 refused
    "#]],
    );
    folder.check("lint now.yaml --tenants platform.yaml --against was.yaml", 1, &expect![[r#"
        EventTopic shop/orders
          now.yaml:4:26: refused: SchemaIncompatible: spec.eventTypes: the schema of Order.Paid.v1 is not compatible with the registered revisions: TYPE_NARROWED at /properties/id/type: a type is no longer accepted: "integer" -> "string" (BACKWARD, revision 1); keep accepting the old types beside the new ones, or register the next major version beside this one; PROPERTY_REMOVED at /properties/note: a property was removed: {"type":"string"} -> nothing (BACKWARD, revision 1); keep it, marked deprecated: true, for at least two revisions, or register the next major version beside this one; REQUIRED_PROPERTY_ADDED at /required: a property became required: nothing -> "at" (BACKWARD, revision 1); make it optional and let consumers do without it, or register the next major version beside this one
        2 resources, 1 refused
    "#]]);
}

#[test]
fn manifests_that_cannot_be_used() {
    let folder = Folder::with(&[("broken.yaml", "a: [1"), ("other.yaml", "kind: Namespace\n")]);
    folder.check(
        "lint nowhere",
        2,
        &expect![[r#"
        eventctl: reading nowhere: No such file or directory (os error 2)
    "#]],
    );
    folder.check(
        "lint broken.yaml",
        2,
        &expect![[r#"
        eventctl: broken.yaml: this is not YAML: unclosed bracket '[' at line 1, column 4
    "#]],
    );
    folder.check(
        "lint other.yaml",
        2,
        &expect![[r#"
            eventctl: there is no resource of eventcenter.io in other.yaml
        "#]],
    );
}

#[test]
fn decisions_need_a_resource_and_a_cluster() {
    let folder = Folder::with(&[(
        "two.yaml",
        &format!("{}---\n{}", topic("{}"), topic("{}").replace("orders", "users")),
    )]);
    for command in ["diff", "approve", "reject", "withdraw", "approvals"] {
        let (code, _, err) = folder.run(command, "");
        assert!(code == 2 && err.contains("<KIND NAME>"), "{command}: {err}");
    }
    for (command, code, named) in [
        ("diff EventTopic", 2, "Write KIND NAME or KIND/NAME, such as EventTopic orders"),
        ("approve secret/orders", 2, "secret is no kind whose changes need approval: write EventTopic"),
        ("approve etopic/orders --hash abc", 2, "a hash has 64 hexadecimal digits"),
        ("approve etopic/orders --action Destroy", 2, "--action <ACTION>"),
        ("approve etopic/orders --wait soon", 2, "write a number and its unit"),
        ("pending -A -n shop", 2, "cannot be used with"),
        ("pending -o xml", 2, "--output <FORM>"),
        ("pending --as-group leads", 2, "--as <USER>"),
        ("pending --kubeconfig nowhere", 2, "no configuration to reach Kubernetes"),
        ("diff -f nowhere.yaml", 2, "reading nowhere.yaml: No such file"),
        ("diff -f two.yaml", 2, "there are several EventTopics in it"),
        ("diff etopic/gone -f two.yaml", 2, "two.yaml: there is no EventTopic gone in it"),
        ("diff etopic/users -f two.yaml -n x", 2, "it says namespace shop, and --namespace says x"),
    ] {
        let (found, out, err) = folder.run(command, "");
        assert_eq!((found, out.as_str()), (code, ""), "{command}: {err}");
        assert!(err.contains(named), "{command}: {err}");
    }
}

#[test]
fn help_tells_examples_and_exit_codes() {
    for command in ["pending", "diff", "approve", "reject", "withdraw", "approvals"] {
        let (code, out, _) = Folder::with(&[]).run(&format!("{command} --help"), "");
        assert!(
            code == 0 && out.contains(&format!("  eventctl {command} ")) && out.contains("Exit codes"),
            "{out}"
        );
    }
}
