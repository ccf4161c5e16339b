//! `eventctl lint`: the line of every mistake, and the output formats.

use expect_test::expect;
use serde_json::{Value, json};

use super::{Folder, topic};

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
              "text": "The resource is accepted, but its declaration is risky."
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
          standard input:7:3: refused: InvalidResource: spec.suspended: the key occurs more than once: remove all but one
          standard input:7:3: refused: InvalidResource: spec.suspended: 2 is not of type "boolean"
        1 resource, 1 refused
    "#]];
    expected.assert_eq(&out);
}
