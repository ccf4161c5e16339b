use super::*;
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::verify::Requirements;
use expect_test::expect;
use std::time::Duration;

fn verified() -> Verified {
    Verified {
        log: log(),
        first: 0,
        records: 120,
        omitted: 0,
        size: 120,
        root: Hash::leaf(b"x"),
        chain: None,
        checkpoints: 2,
        signed: 100,
        signed_records: 100,
        unsigned_times: Some((0, 1)),
        last_times: None,
        drop: DropEvidence::NothingDropped,
    }
}

/// Reports a log that was verified.
fn report(verified: Verified, signing_delay: Option<Duration>) -> LogReport {
    let assessment = verified.assess(Requirements { signing_delay });
    LogReport::of_verified(verified, assessment, Vec::new(), None)
}

const DELAY: Option<Duration> = Some(Duration::from_secs(300));

fn log() -> LogName {
    "shop".parse().expect("a log")
}

fn record() -> Value {
    json!({
        "id": "019aa5d0-0000-7000-8000-000000000007", "seq": 7, "tenant": "shop", "time": "2026-11-21T10:05:07Z",
        "actor": {"user": "alice\u{1b}[2K", "via": "Admission"}, "action": "Update", "outcome": "Denied",
        "target": {"kind": "EventTopic", "namespace": "shop", "name": "orders"},
        "origin": {"component": "webhook", "instance": "a"},
    })
}

#[test]
fn an_intact_log() {
    let report = report(verified(), DELAY);
    assert!(!report.has_findings() && report.is_verified());
    expect![[r#"
        shop: 100 records (0 to 99) are intact
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written"#]]
    .assert_eq(&report.to_text(true, &TimeZone::UTC));
    let drop = DropEvidence::Recorded { seq: 70 };
    let dropped = Verified { first: 20, records: 100, signed: 120, drop, ..verified() };
    let report = self::report(dropped, None);
    expect![[r#"
        shop: 100 records (20 to 119) are consistent; no signature was verified
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, whose signatures were not verified, and all records are covered
          record 70 shows that the retention dropped the first 20 records"#]]
    .assert_eq(&report.to_text(false, &TimeZone::UTC));
    let report = self::report(verified(), DELAY);
    expect![[r#"{"filter":null,"findings":[],"log":"shop","right":true,"signaturesChecked":true,"unverified":[],"verified":{"checkpoints":2,"first":0,"omitted":0,"records":120,"root":"3c7e9bc930dc93f01fa69985ef242d9f9e861f3c5355aa24ce5ef4b4b8a70ccb","signed":100,"size":120}}"#]].assert_eq(&report.to_json(true).to_string());
}

#[test]
fn a_finding_names_the_record_and_the_remedy() {
    let finding = Finding::Edited { seq: 7, id: "019aa5d0-0000-7000-8000-000000000007".into() };
    let found = LocatedFinding::new(finding, record().to_string().as_bytes());
    let report = LogReport::of_finding(log(), found, Vec::new());
    assert!(report.has_findings());
    expect![[r#"
        shop: record 7 (019aa5d0-0000-7000-8000-000000000007) was edited: its content does not match its hash
          record: 019aa5d0-0000-7000-8000-000000000007, 2026-11-21 10:05:07, alice�[2K, Update EventTopic shop/orders, Denied
          what to do: keep the database, its backups and the checkpoints unchanged, as evidence. Compare the record with an older export or copy of the database; the records before it are intact"#]].assert_eq(&report.to_text(true, &TimeZone::UTC));
    let json = report.to_json(true);
    assert_eq!((&json["findings"][0]["finding"], &json["findings"][0]["seq"]), (&json!("Edited"), &json!(7)));
    let other = Finding::Unreadable { seq: 8 };
    assert!(LocatedFinding::new(other, record().to_string().as_bytes()).record.is_none(), "another record");
}

#[test]
fn an_untrusted_checkpoint() {
    let untrusted = Finding::UntrustedCheckpoint {
        source: "the store's checkpoint of 5 records".into(),
        problem: "why".into(),
    };
    let report = LogReport::of_verified(verified(), Assessment::default(), vec![untrusted], None);
    expect![[r#"
        shop: 100 records (0 to 99) are intact, but a checkpoint is not trusted
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
        shop: the store's checkpoint of 5 records is not trusted: why
          what to do: find out who could write that checkpoint, and whether a key is missing (--key): replaced keys still verify what they signed"#]].assert_eq(&report.to_text(true, &TimeZone::UTC));
}

/// What is not known of a log is not reported as intact.
#[test]
fn what_is_not_known() {
    let describe = |verified: Verified| {
        let report = report(verified, DELAY);
        assert!(!report.is_verified() || report.has_findings());
        report.to_text(true, &TimeZone::UTC) + "\n"
    };
    let drop = |drop| Verified { first: 20, records: 100, drop, ..verified() };
    expect![[r#"
        shop: no record is known to be intact
          size 120, root 3c7e9bc930dc93f0…
          no checkpoint: nothing shows that the records are as they were written
        shop: no checkpoint with a trusted signature covers the 120 records: nothing shows that they are as they were written
          what to do: compare with the published checkpoint (--cluster), or with one that you have kept (--checkpoint); for a log that was written just now, try again after the next checkpoint. If the operator signs less often, set --signing-delay. Otherwise checkpoints were removed, or the log is no longer signed
        shop: there are no records
          size 0, root 3c7e9bc930dc93f0…
          no checkpoint: nothing shows that the records are as they were written
        shop: no checkpoint with a trusted signature covers the log, which has no records
          what to do: compare with the published checkpoint (--cluster), or with one that you have kept (--checkpoint); for a log that was written just now, try again after the next checkpoint. If the operator signs less often, set --signing-delay. Otherwise checkpoints were removed, or the log is no longer signed
        shop: 100 records (0 to 99) are intact
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
        shop: records 100 to 119 are not signed, although they were written within 5 min: the operator signs after 5 min at most
          what to do: compare with the published checkpoint (--cluster), or with one that you have kept (--checkpoint); for a log that was written just now, try again after the next checkpoint. If the operator signs less often, set --signing-delay. Otherwise checkpoints were removed, or the log is no longer signed
        shop: 100 records (20 to 99) are intact, but the log was tampered with
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
        shop: records 0 to 19 are missing: no record shows that the retention dropped them
          what to do: keep the database, its backups and the checkpoints unchanged, as evidence. Look for the missing records in an older export or copy of the database, and find out who could write to the database
        shop: 100 records (20 to 99) are intact
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
        shop: records 0 to 19 are missing: the export does not contain the record which shows that the retention dropped them
          what to do: export the log again, because an earlier version left that record out; or verify an export without a filter
        shop: 100 records (20 to 99) are intact
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
        shop: records 0 to 19 are missing: record 110 says that the retention dropped them, but is not signed
          what to do: verify again after the next checkpoint, or with one that covers that record (--cluster, --checkpoint)
    "#]].assert_eq(
        &[
            Verified { checkpoints: 0, signed: 0, signed_records: 0, ..verified() },
            Verified { size: 0, records: 0, checkpoints: 0, signed: 0, signed_records: 0, ..verified() },
            Verified { unsigned_times: Some((-5, 300_000_000)), ..verified() },
            drop(DropEvidence::NotRecorded),
            drop(DropEvidence::Unknown),
            drop(DropEvidence::Recorded { seq: 110 }),
        ]
        .map(describe)
        .concat(),
    );
}

#[test]
fn an_export_with_a_filter() {
    let filter = || Unverified::Filtered { filter: "outcome Denied".into(), omitted: 110, all: 120 };
    let verified = Verified { records: 10, omitted: 110, signed_records: 8, ..verified() };
    let accepted =
        LogReport::of_verified(verified.clone(), Assessment::default(), Vec::new(), Some(filter()));
    assert!(accepted.is_verified());
    expect![[r#"
        shop: 8 records (0 to 99) are intact
          size 120, root 3c7e9bc930dc93f0…
          2 checkpoints, signed by a trusted key, up to 100 records
          no checkpoint covers the last 20 records yet: nothing shows that they are as they were written
          the export has the filter outcome Denied and leaves out 110 of 120 records: nothing shows that they do not match"#]].assert_eq(&accepted.to_text(true, &TimeZone::UTC));
    let assessment = Assessment { unverified: vec![filter()], ..Assessment::default() };
    let refused = LogReport::of_verified(verified, assessment, Vec::new(), None);
    assert!(!refused.is_verified());
    expect![[r#"[{"message":"the export has the filter outcome Denied and leaves out 110 of 120 records: nothing shows that they do not match","reason":"Filtered"}]"#]].assert_eq(&refused.to_json(true)["unverified"].to_string());
}
