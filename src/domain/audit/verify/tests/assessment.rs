//! What is not known of a log without a finding.

use std::time::Duration;

use super::*;

const REQUIREMENTS: Requirements = Requirements { signing_delay: Some(Duration::from_mins(5)) };

/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

fn print(result: Result<Verified, Finding>, requirements: Requirements) -> String {
    let verified = match result {
        Ok(verified) => verified,
        Err(finding) => return format!("finding: {finding}"),
    };
    let Assessment { findings, unverified } = verified.assess(requirements);
    let findings = findings.iter().map(|finding| format!("finding: {finding}"));
    let lines: Vec<String> = findings.chain(unverified.iter().map(ToString::to_string)).collect();
    if lines.is_empty() { "verified".to_owned() } else { lines.join("; ") }
}

/// The log with these times of the records after the first 1,900, which are signed.
fn with_times(times: [i64; 100]) -> Log {
    let mut log = Log::whole();
    for (at, minutes) in (1900..).zip(times) {
        log.edit(at, |record| {
            record.time = jiff::Timestamp::from_microsecond(minutes * MINUTE).expect("a time")
        });
    }
    log
}

#[test]
fn only_the_last_records_may_be_unsigned() {
    let whole = Log::whole();
    let checkpoints: [&[(Checkpoint, &str)]; 4] =
        [&[], &[(whole.checkpoint(0), "empty")], &*SIGNED, &[(whole.checkpoint(SIZE), "all")]];
    let each =
        checkpoints.map(|checkpoints| print(export(&whole, checkpoints), REQUIREMENTS) + "\n").concat();
    expect![[r#"
        no checkpoint with a trusted signature covers the 2000 records: nothing shows that they are as they were written
        no checkpoint with a trusted signature covers the 2000 records: nothing shows that they are as they were written
        verified
        verified
    "#]].assert_eq(&each);
    let mut times = [7; 100];
    let print_times = |times: [i64; 100]| print(export(&with_times(times), &*SIGNED), REQUIREMENTS) + "\n";
    let mut text = print_times(times);
    // The order does not matter: records of an outage are written later.
    times[99] = 2;
    text += &print_times(times);
    times[50] = 8;
    text += &print_times(times);
    expect![[r#"
        verified
        verified
        records 1900 to 1999 are not signed, although they were written within 6 min: the operator signs after 5 min at most
    "#]].assert_eq(&text);
    let unsigned = print(export(&with_times(times), &[]), Requirements::default());
    assert_eq!(unsigned, "verified", "no signature is required");
}

/// The log of which the first records were dropped, with a record of a drop at its end.
fn dropped(first: u64, recorded: Option<(u64, u64)>) -> Log {
    let mut log = Log::whole();
    if let Some((from, until)) = recorded {
        let event =
            DroppedRecords { from, until }.to_event(log_name(), jiff::Timestamp::UNIX_EPOCH, "operator-0");
        let draft =
            event.into_draft(testing::id(7_000), jiff::Timestamp::UNIX_EPOCH, "controllers", "operator-0");
        log.rows.push(testing::row(&draft.at_seq(SIZE)));
        log.chain_from(1999);
        log.recorded_size = SIZE + 1;
        log.store_nodes();
    }
    if first > 0 {
        log.drop_before(first);
    }
    log
}

/// A description, the first record that exists, the recorded drop, and whether its record is signed.
type DropCase = (&'static str, u64, Option<(u64, u64)>, bool);

#[test]
fn a_drop_is_proven_by_its_record() {
    let cases: [DropCase; 8] = [
        ("nothing dropped", 0, None, true),
        ("not recorded", 256, None, true),
        ("recorded", 256, Some((0, 256)), true),
        ("recorded, and not signed", 256, Some((0, 256)), false),
        // A drop of several batches was interrupted.
        ("more recorded than dropped", 256, Some((0, 512)), true),
        ("less recorded than dropped", 512, Some((0, 256)), true),
        ("recorded after earlier drops", 768, Some((512, 768)), true),
        ("recorded, and not dropped", 0, Some((0, 256)), true),
    ];
    let print = |(what, first, recorded, is_signed): DropCase| {
        let log = dropped(first, recorded);
        let size = if is_signed { log.recorded_size } else { SIZE };
        let mut signed = dropped(0, recorded);
        signed.rows.truncate(usize::try_from(size).expect("small"));
        let checkpoint = [(signed.checkpoint(size), "a checkpoint")];
        let requirements = Requirements { signing_delay: Some(Duration::MAX) };
        let ways = [log.verify(&checkpoint), export(&log, &checkpoint)].map(|way| print(way, requirements));
        assert_eq!(ways[0], ways[1], "{what}");
        format!("{what}: {}\n", ways[0])
    };
    expect![[r#"
        nothing dropped: verified
        not recorded: finding: records 0 to 255 are missing: no record shows that the retention dropped them
        recorded: verified
        recorded, and not signed: records 0 to 255 are missing: record 2000 says that the retention dropped them, but is not signed
        more recorded than dropped: verified
        less recorded than dropped: finding: records 0 to 511 are missing: no record shows that the retention dropped them
        recorded after earlier drops: verified
        recorded, and not dropped: verified
    "#]].assert_eq(&cases.map(print).concat());
}

/// The record of the drop may be among the omitted ones.
#[test]
fn an_export_that_omits_the_record_of_a_drop() {
    let whole = dropped(0, Some((0, 256)));
    let log = dropped(256, Some((0, 256)));
    let checkpoints = [(whole.checkpoint(SIZE + 1), "a checkpoint".to_owned())];
    let checkpoints = TrustedCheckpoints { checkpoints: checkpoints.to_vec() };
    let mut verifier = Verifier::new(log_name(), log.dropped.clone(), log.chain, checkpoints);
    verifier.verify_gap(&whole.range(256, SIZE + 1)).expect("no finding");
    let verified = verifier.finish(Some(SIZE + 1)).expect("no finding");
    assert_eq!((verified.omitted, verified.records), (SIZE + 1 - 256, 0));
    expect!["records 0 to 255 are missing: the export does not contain the record which shows that the retention dropped them"].assert_eq(&print(Ok(verified), REQUIREMENTS));
}

#[test]
fn a_sentence_has_the_number_of_its_records() {
    let one = |from: u64| {
        [
            Finding::NodeMismatch { from, to: from + 1 },
            Finding::RootMismatch { from, to: from + 1, source: "a checkpoint".to_owned() },
            Finding::Omitted { from, to: from + 1 },
            Finding::DropNotRecorded { first: 1 },
        ]
    };
    expect![[r#"
        record 5 was rewritten: it does not match the stored tree node
        record 5 was rewritten: the root up to it does not match a checkpoint
        record 5 was left out: an export without a filter contains every record
        record 0 is missing: no record shows that the retention dropped them
    "#]]
    .assert_eq(&one(5).map(|finding| format!("{finding}\n")).concat());
}
