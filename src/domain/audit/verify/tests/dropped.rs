//! Records dropped by the retention.

use super::*;

/// Changes a hash of the dropped records.
fn edit_dropped(log: &mut Log) {
    let mut hashes = log.dropped.hashes().to_vec();
    hashes[1] = Hash([7; 32]);
    log.dropped = Range::of(0, log.dropped.end(), hashes).expect("as many");
}

#[test]
fn dropped_records() {
    check(
        &[
            ("before 768", &|log| log.drop_before(768)),
            ("before a checkpoint", &|log| log.drop_before(1000)),
            ("including a checkpoint", &|log| log.drop_before(1024)),
        ],
        expect![[r#"
            before 768
                rows, stored: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 1232 records of 768..2000, signed up to 1900 by 2 checkpoints
            before a checkpoint
                rows, stored: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 1000 records of 1000..2000, signed up to 1900 by 2 checkpoints
            including a checkpoint
                rows, stored: verified: 976 records of 1024..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 976 records of 1024..2000, signed up to 1900 by 1 checkpoints
        "#]],
    );
}

#[test]
fn records_missing_after_dropped_ones() {
    check(
        &[
            ("deleted without the retention", &|log| drop(log.rows.drain(..256))),
            ("dropped range does not begin at 0", &|log| {
                log.rows.drain(..768);
                log.dropped = Range::empty(768);
            }),
        ],
        expect![[r#"
            deleted without the retention: records 0 to 255 are missing
            dropped range does not begin at 0: records 0 to 767 are missing
        "#]],
    );
}

#[test]
fn edited_hashes_of_dropped_records() {
    check(
        &[
            ("before 768", &|log| {
                log.drop_before(768);
                edit_dropped(log);
            }),
            ("before a checkpoint", &|log| {
                log.drop_before(1000);
                edit_dropped(log);
            }),
        ],
        expect![[r#"
            before 768
                rows: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
                stored, signed: records 512 to 767 were rewritten: they do not match the stored tree node
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
            before a checkpoint
                rows: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
                stored: records 512 to 767 were rewritten: they do not match the stored tree node
                signed, export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
        "#]],
    );
}

/// A log without any record, and a log whose records were all dropped.
#[test]
fn a_log_without_records() {
    let none = |log: &mut Log| {
        *log = Log {
            rows: Vec::new(),
            nodes: Vec::new(),
            recorded_size: 0,
            dropped: Range::empty(0),
            chain: Hash([0; 32]),
        };
    };
    check(
        &[("never written", &none)],
        expect![[r#"
            never written
                rows, stored: verified: 0 records of 0..0, signed up to 0 by 0 checkpoints
                signed, export: the log was truncated: it has 0 records, 1900 according to checkpoint 1900
        "#]],
    );
    let verifier =
        Verifier::new(log_name(), Log::whole().range(0, SIZE), Hash([0; 32]), TrustedCheckpoints::default());
    assert_eq!(verifier.finish(Some(SIZE)).expect("verified").root, Log::whole().checkpoint(SIZE).root);
}
