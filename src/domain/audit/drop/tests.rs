use expect_test::expect;
use uuid::Uuid;

use super::*;
use crate::domain::audit::record::canonical_json;
use crate::domain::audit::testing::log_name;

/// The record of a drop at a position.
fn record(from: u64, until: u64, seq: u64) -> Record {
    let dropped = DroppedRecords { from, until };
    let event = dropped.to_event(log_name(), Timestamp::UNIX_EPOCH, "operator-0");
    event.into_draft(Uuid::nil(), Timestamp::UNIX_EPOCH, "controllers", "operator-0").at_seq(seq)
}

#[test]
fn a_drop_is_recorded_as_a_change_of_the_first_record() {
    let record = record(256, 512, 600);
    assert_eq!(DroppedRecords::parse(&record), Some(DroppedRecords { from: 256, until: 512 }));
    expect![[r#"{"action":"DropRecords","actor":{"user":"operator-0","via":"Controllers"},"change":{"patch":[{"op":"test","path":"/first","value":256},{"op":"replace","path":"/first","value":512}]},"id":"00000000-0000-0000-0000-000000000000","message":"records 256 to 511, which are older than 1970-01-01T00:00:00Z","origin":{"component":"controllers","instance":"operator-0"},"outcome":"Started","seq":600,"tenant":"team-a","time":"1970-01-01T00:00:00Z"}"#]]
        .assert_eq(&String::from_utf8(canonical_json(&record)).expect("text"));
}

#[test]
fn a_record_without_a_change_is_parsed() {
    let before =
        |message: &str| Record { change: None, message: Some(message.to_owned()), ..record(0, 256, 600) };
    let parse =
        |message: &str| DroppedRecords::parse(&before(message)).map(|parsed| (parsed.from, parsed.until));
    assert_eq!(parse("records 256 to 511, which are older than 1970-01-01T00:00:00Z"), Some((256, 512)));
    for other in [
        "",
        "records 256 to 511",
        "records 256, which are older than 1970-01-01T00:00:00Z",
        "records 256 to 255, which are older than 1970-01-01T00:00:00Z",
        "records -1 to 255, which are older than 1970-01-01T00:00:00Z",
        "records 0 to 18446744073709551615, which are older than 1970-01-01T00:00:00Z",
    ] {
        assert_eq!(parse(other), None, "{other}");
    }
}

#[test]
fn other_records_prove_no_drop() {
    let good = record(0, 256, 256);
    assert!(DroppedRecords::parse(&good).is_some());
    let by = |via| Record { actor: Actor { via, ..good.actor.clone() }, ..good.clone() };
    let others = [
        ("before the records that it names", record(0, 256, 255)),
        ("no records", record(256, 256, 600)),
        ("backwards", record(512, 256, 600)),
        ("the end of a drop", Record { outcome: Outcome::Succeeded, ..good.clone() }),
        ("another action", Record { action: "Update".to_owned(), ..good.clone() }),
        ("a user", by(Via::Admission)),
        ("a REST client", by(Via::Api)),
    ];
    for (what, other) in others {
        assert_eq!(DroppedRecords::parse(&other), None, "{what}");
    }
}
