//! `eventctl schema`: compatible revisions and valid events.

use expect_test::expect;
use serde_json::Value;

use super::{BROKEN, Folder, ORDER, WITH_STATUS};

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
        good.json: valid
    "#]],
    );
    folder.check(
        "schema validate order.json good.json bad.json",
        1,
        &expect![[r#"
        good.json: valid
        bad.json: invalid
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
        eventctl: order.json: the member data is missing: write an envelope or a CloudEvent, or leave --envelope out if this is the data
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
