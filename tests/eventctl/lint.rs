//! `eventctl lint`: what it refuses in a folder of manifests.

use expect_test::expect;
use serde_json::Value;

use super::{BROKEN, Folder, ORDER, topic};

const PLATFORM: &str = "
apiVersion: eventcenter.io/v1alpha1
kind: Tenant
metadata: {name: shop}
spec: {namespaces: [shop], quotas: {partitions: 4}}
";

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
          ./b.yaml:4:8: refused: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (quotas.partitions), 0 are used and this topic requests 5 more: request at most 4 more, or ask the platform's administrator for a larger quota
          ./b.yaml:4:35: refused: InvalidResource: spec.retention.tim: there is no such field: correct its name, or remove it
        EventTopic shop/payments
          ./b.yaml:9:8: refused: TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions (quotas.partitions), 0 are used and this topic requests 5 more: request at most 4 more, or ask the platform's administrator for a larger quota
        3 resources, 2 refused
    "#]]);
    let (code, out, _) = folder.run("lint . --json", "");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["accepted"]), (1, &Value::Bool(false)));
    assert_eq!(answer["resources"][1]["refusals"][0]["reason"], "TenantQuotaExceeded");
    assert_eq!(answer["resources"][1]["refusals"][1]["reason"], "InvalidResource");
    assert_eq!(answer["resources"][2]["refusals"][0]["reason"], "TenantQuotaExceeded");
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
        assert!(out.contains("Tenant a-young\n") && out.contains("of tenant old, which is older"), "{out}");
        assert!(out.ends_with("2 resources, 1 refused\n"), "{out}");
    }
}

#[test]
fn a_namespaced_resource_gets_the_namespace_of_the_flag() {
    let approval = "apiVersion: eventcenter.io/v1alpha1\nkind: ChangeApproval\nmetadata: {name: orders-1}\nspec: {target: {kind: EventTopic, name: orders}, specHash: \"HASH\", decision: Approve}\n"
        .replace("HASH", &"0".repeat(64));
    let folder = Folder::with(&[("approval.yaml", &approval)]);
    folder.check(
        "lint approval.yaml -n shop --json",
        0,
        &expect![[r#"
        {
          "accepted": true,
          "resources": [
            {
              "file": "approval.yaml",
              "line": 1,
              "problems": [],
              "refusals": [],
              "resource": "ChangeApproval shop/orders-1",
              "warnings": []
            }
          ]
        }
    "#]],
    );
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
