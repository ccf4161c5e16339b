//! Records are gone because they were old.

use super::*;

/// Writes another hash over what is left of records that were dropped.
fn edit_left(log: &mut Log) {
    let mut hashes = log.dropped.hashes().to_vec();
    hashes[1] = Hash([7; 32]);
    log.dropped = Range::of(0, log.dropped.end(), hashes).expect("as many");
}

#[test]
fn dropped_records_are_no_finding() {
    check(
        &[
            ("before 768", &|log| log.drop_before(768)),
            ("before a checkpoint", &|log| log.drop_before(1000)),
            ("a checkpoint with them", &|log| log.drop_before(1024)),
        ],
        expect![[r#"
            before 768
                rows, kept: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 1232 records of 768..2000, signed up to 1900 by 2 checkpoints
            before a checkpoint
                rows, kept: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 1000 records of 1000..2000, signed up to 1900 by 2 checkpoints
            a checkpoint with them
                rows, kept: verified: 976 records of 1024..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 976 records of 1024..2000, signed up to 1900 by 1 checkpoints
        "#]],
    );
}

#[test]
fn more_is_gone_than_was_dropped() {
    check(
        &[
            ("nothing is noted of it", &|log| drop(log.rows.drain(..256))),
            ("what is left does not begin at the beginning", &|log| {
                log.rows.drain(..768);
                log.dropped = Range::empty(768);
            }),
        ],
        expect![[r#"
            nothing is noted of it: records 0 to 255 are missing
            what is left does not begin at the beginning: records 0 to 767 are missing
        "#]],
    );
}

#[test]
fn what_is_left_of_dropped_records_was_edited() {
    check(
        &[
            ("before 768", &|log| {
                log.drop_before(768);
                edit_left(log);
            }),
            ("before a checkpoint", &|log| {
                log.drop_before(1000);
                edit_left(log);
            }),
        ],
        expect![[r#"
            before 768
                rows: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
                kept, signed: records 512 to 767 were rewritten: the hash over them that is kept is another
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
            before a checkpoint
                rows: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
                kept: records 512 to 767 were rewritten: the hash over them that is kept is another
                signed, export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
}

/// All of it was dropped, and nothing was ever written.
#[test]
fn a_log_without_records() {
    let none = |log: &mut Log| {
        *log = Log {
            rows: Vec::new(),
            nodes: Vec::new(),
            noted: 0,
            dropped: Range::empty(0),
            chain: Hash([0; 32]),
        };
    };
    check(
        &[("nothing was ever written", &none)],
        expect![[r#"
        nothing was ever written
            rows, kept: verified: 0 records of 0..0, signed up to 0 by 0 checkpoints
            signed, export: the end was cut off: there are 0 records, and there were 1900 by checkpoint 1900
    "#]],
    );
    let verifier =
        Verifier::new(log_name(), Log::whole().range(0, SIZE), Hash([0; 32]), Witnesses::default());
    assert_eq!(verifier.end(Some(SIZE)).expect("verified").root, Log::whole().checkpoint(SIZE).root);
}
