//! `eventctl audit`: verifies that a database or an export is unchanged.

use std::path::Path;

use serde_json::Value;

use super::archive::{Archive, Clock};

async fn archive() -> Archive {
    Archive::create(300, 200, Clock::System).await
}

#[tokio::test]
async fn an_export_is_verified_offline() {
    let archive = archive().await;
    let (code, out, err) = archive.eventctl("verify --file shop.ndjson --key keys.txt");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(lines[0], "shop: 200 records (0 to 199) are intact");
    assert!(lines[1].starts_with("  size 300, root ") && lines[1].ends_with('…'), "{out}");
    assert_eq!(
        lines[2..],
        [
            "  1 checkpoint, signed by a trusted key, up to 200 records",
            "  no checkpoint covers the last 100 records yet: nothing shows that they are as they were written",
        ]
    );

    archive.check("verify --file - --key keys.txt", 0, "are intact");
    let all = "2 checkpoints, signed by a trusted key, and all records are covered";
    archive.check("verify --file shop.ndjson --key keys.txt --checkpoint late.note", 0, all);
    archive.check("verify --file shop.ndjson --key other-keys.txt --key keys.txt", 0, "are intact");
    archive.check(
        "verify --file shop.ndjson",
        2,
        "no signature was verified, because no public key is known",
    );
    archive.check("verify --file shop.ndjson --unsigned", 0, "are consistent; no signature was verified");

    let (code, out, _) = archive.eventctl("verify --file shop.ndjson --key keys.txt -o json");
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer[0]["right"], &answer[0]["verified"]["signed"]), (0, &true.into(), &200.into()));
}

#[tokio::test]
async fn tampering_with_an_export_is_detected() {
    let archive = archive().await;
    let verify = "verify --file edited.ndjson --key keys.txt";
    let assert_detected = |part: &str| archive.check(verify, 1, part);

    archive.write_edited(|lines| lines[9] = lines[9].replace("alice", "mallory"));
    assert_detected(
        "shop: records between 0 and 199 were rewritten: their root does not match the checkpoint in line 2",
    );
    archive.write_edited(|lines| drop(lines.remove(9)));
    assert_detected("shop: record 7 is missing");
    archive.write_edited(|lines| lines.swap(9, 10));
    assert_detected("shop: records 7 and 8 were swapped");
    archive.write_edited(|lines| lines.insert(10, lines[9].clone()));
    assert_detected("shop: the record at position 8 (ID) was inserted");
    archive.write_edited(|lines| lines[1] = lines[1].replace("\\n200\\n", "\\n199\\n"));
    assert_detected("the checkpoint in line 2 is not trusted: the signature is invalid");
    archive.check("verify --file shop.ndjson --key other-keys.txt", 1, "not signed by a trusted key");

    // A consistent truncation is detectable only with a later checkpoint.
    archive.write_edited(|lines| {
        lines.truncate(252);
        lines.push("{\"end\":{\"records\":250}}".into());
        lines[0] = lines[0].replace("\"size\":300", "\"size\":250");
    });
    archive.check(verify, 0, "200 records (0 to 199) are intact");
    let late = format!("{verify} --checkpoint late.note");
    archive.check(
        &late,
        1,
        "the log was truncated: it has 250 records, 300 according to the checkpoint of 300",
    );
    archive.check(&late, 1, "what to do: keep the database");

    // So is a change after the last checkpoint of the export.
    archive.write_edited(|lines| lines[280] = lines[280].replace("alice", "mallory"));
    archive.check(verify, 0, "are intact");
    archive.check(&late, 1, "shop: records between 200 and 299 were rewritten: their root does not match");
    let (code, out, _) = archive.eventctl(&format!("{late} -o json"));
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer[0]["findings"][0]["finding"]), (1, &"Root".into()), "{out}");
}

#[tokio::test]
async fn unverifiable_input_is_an_error() {
    let archive = archive().await;
    archive.write_edited(|lines| lines.truncate(100));
    archive.write("none.txt", "none\n");
    for (line, part) in [
        ("verify --file edited.ndjson --key keys.txt", "edited.ndjson: line 101: unexpected end of file"),
        ("verify --file none.txt --key keys.txt", "none.txt: line 1: this is not an export"),
        ("verify --file gone.ndjson --key keys.txt", "reading gone.ndjson: No such file"),
        ("verify --file shop.ndjson --key none.txt", "none.txt: the file has no public key"),
        (
            "verify --file shop.ndjson --checkpoint late.note",
            "--checkpoint cannot be verified without a public key",
        ),
        (
            "verify --file shop.ndjson --key keys.txt --checkpoint none.txt",
            "none.txt: not a signed checkpoint: the note has no signature",
        ),
        ("verify --file shop.ndjson --key keys.txt --tenant other", "this is the log shop, not other"),
        (
            "verify --file shop.ndjson --key keys.txt --installation x",
            "of the installation eventcenter, not of x",
        ),
        ("verify --file shop.ndjson --store sqlite:audit.db", "cannot be used with"),
        ("verify --file shop.ndjson --cluster", "no configuration to reach Kubernetes"),
        ("verify --store sqlite:gone.db --key keys.txt", "there is no database gone.db"),
        ("verify --store mysql:x --key keys.txt", "write sqlite:FILE or postgres://"),
        ("verify --key keys.txt", "give --server URL, or set EVENTCTL_SERVER"),
        ("list", "give --server URL, or set EVENTCTL_SERVER"),
        ("list --server http://eventcenter.example.com --token x", "http is not encrypted"),
        ("list --server https://127.0.0.1:1", "finding a token (give --token, or set EVENTCTL_TOKEN)"),
        ("list --server http://127.0.0.1:1 --token x", "the server cannot be reached"),
        ("list --since soon", "\"soon\" is not a time"),
        ("list --action Dance", "is none of: Create, Update"),
        ("list --limit 0", "--limit"),
        ("show 17", "<ID>"),
        ("tail --server http://127.0.0.1:1 --token x", "the server cannot be reached"),
    ] {
        archive.check(line, 2, part);
    }
    let to = "export --server http://127.0.0.1:1 --token x --to out.ndjson";
    archive.check(to, 2, "the server cannot be reached");
    assert!(!archive.path("out.ndjson").exists());
}

#[tokio::test]
async fn a_database_is_verified_without_the_operator() {
    let archive = archive().await;
    let verify = "verify --store sqlite:audit.db --key keys.txt";
    archive.check(verify, 0, "_platform: 3 records (0 to 2) are intact");
    archive.check(verify, 0, "shop: 200 records (0 to 199) are intact");
    archive.check("verify --store sqlite:audit.db", 2, "no signature was verified");
    archive.check(&format!("{verify} --tenant shop --checkpoint late.note"), 0, "all records are covered");
    archive.check(
        &format!("{verify} --tenant _platform --checkpoint late.note"),
        2,
        "which was not verified",
    );
    archive.check(&format!("{verify} --installation x"), 1, "is not trusted");

    archive
        .sql(
            "UPDATE audit_record SET body = replace(body, 'alice', 'mallory') WHERE log = 'shop' AND seq = 7",
        )
        .await;
    archive.check(verify, 1, "shop: record 7 (ID) was edited: its content does not match its hash");
    archive.check(verify, 1, "  record: ID, ");
    archive.check(verify, 1, "mallory, Update EventTopic shop/topic-7, Allowed");
    archive.check(verify, 1, "_platform: 3 records (0 to 2) are intact");
    archive
        .sql(
            "UPDATE audit_record SET body = replace(body, 'mallory', 'alice') WHERE log = 'shop' AND seq = 7",
        )
        .await;
    archive.check(verify, 0, "shop: 200 records");

    archive.sql("UPDATE audit_record SET actor = 'mallory' WHERE log = 'shop' AND seq = 8").await;
    archive.check(verify, 1, "shop: record 8 (ID): the column actor does not match its content");
    archive.sql("UPDATE audit_record SET actor = 'alice' WHERE log = 'shop' AND seq = 8").await;

    archive.sql("DELETE FROM audit_record WHERE log = 'shop' AND seq >= 290").await;
    archive.check(verify, 1, "shop: the log was truncated: it has 290 records, 300 according to");
    // A deleted log is detectable only with a checkpoint of it.
    archive.sql("DELETE FROM audit_record WHERE log = 'shop'").await;
    archive.sql("DELETE FROM audit_head WHERE log = 'shop'").await;
    archive.sql("DELETE FROM audit_checkpoint WHERE log = 'shop'").await;
    archive.check(verify, 0, "_platform: 3 records (0 to 2) are intact");
    archive.check(
        &format!("{verify} --checkpoint early.note"),
        1,
        "shop: the log was truncated: it has 0 records, 256 according to a stored tree node",
    );
}

#[test]
fn help_lists_examples_and_exit_codes() {
    let archive = Archive::empty();
    for command in ["list", "show", "export", "verify", "tail"] {
        let (code, out, _) = archive.eventctl(&format!("{command} --help"));
        assert_eq!(code, 0, "{command}");
        assert!(out.contains(&format!("  eventctl audit {command} ")) && out.contains("Exit codes"), "{out}");
    }
}

/// Exports of the version before the redesign; see `tests/data/v0/README.md`.
#[test]
fn exports_of_an_earlier_version_are_verified_by_the_same_rules() {
    let archive = Archive::empty();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v0");
    for name in ["team-a.ndjson", "shop-denied.ndjson", "audit-keys.txt"] {
        std::fs::copy(data.join(name), archive.path(name)).expect("a copy");
    }
    let verify = |name: &str| format!("verify --file {name}.ndjson --key audit-keys.txt");
    archive.check(&verify("team-a"), 0, "team-a: 27 records (0 to 26) are intact");
    let filtered = "shop: the export has the filter outcome Denied and leaves out 270 of 273 records";
    archive.check(&verify("shop-denied"), 2, filtered);
    let unproven = "shop: records 0 to 767 are missing: the export does not contain the record which shows";
    archive.check(&format!("{} --filtered", verify("shop-denied")), 2, unproven);
}
