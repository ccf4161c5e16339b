//! Deleted, moved and added records.

use super::*;

#[test]
fn deleted_records() {
    check(
        &[
            ("one", &|log| drop(log.rows.remove(700))),
            ("four", &|log| drop(log.rows.drain(700..704))),
            ("the first", &|log| drop(log.rows.remove(0))),
            // Only one record follows.
            ("the last but one", &|log| drop(log.rows.remove(1998))),
            ("one, and later ones moved up", &|log| {
                log.rows.remove(700);
                (700..1999).for_each(|at| log.rows[at].seq = at as u64);
            }),
            ("one, and later ones renumbered, with new hashes and chain", &|log| {
                log.rows.remove(700);
                log.renumber_from(700);
                (700..1999).for_each(|at| log.hash(at));
                log.chain_from(700);
            }),
        ],
        expect![[r#"
            one: record 700 is missing
            four: records 700 to 703 are missing
            the first: record 0 is missing
            the last but one: record 1998 is missing
            one, and later ones moved up: record 700 is missing
            one, and later ones renumbered, with new hashes and chain
                rows: verified: 1999 records of 0..1999, signed up to 0 by 0 checkpoints
                stored, signed: records 512 to 767 were rewritten: they do not match the stored tree node
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
        "#]],
    );
}

/// Keeps only the first records.
fn truncate(log: &mut Log, left: u64) {
    log.rows.truncate(usize::try_from(left).expect("small"));
}

/// Keeps only the first records, and changes the recorded size.
fn truncate_with_size(log: &mut Log, left: u64) {
    truncate(log, left);
    log.recorded_size = left;
}

#[test]
fn a_truncated_log() {
    check(
        &[
            ("after the last checkpoint", &|log| truncate(log, 1950)),
            ("before the last checkpoint", &|log| truncate(log, 1850)),
            ("before the last checkpoint, with the recorded size", &|log| truncate_with_size(log, 1850)),
            ("before the last node, with the recorded size", &|log| truncate_with_size(log, 1600)),
        ],
        expect![[r#"
            after the last checkpoint
                rows: verified: 1950 records of 0..1950, signed up to 0 by 0 checkpoints
                stored, signed, export: the log was truncated: it has 1950 records, 2000 according to the recorded size
            before the last checkpoint
                rows: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
                stored, signed, export: the log was truncated: it has 1850 records, 2000 according to the recorded size
            before the last checkpoint, with the recorded size
                rows, stored: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
                signed, export: the log was truncated: it has 1850 records, 1900 according to checkpoint 1900
            before the last node, with the recorded size
                rows: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
                stored, signed: the log was truncated: it has 1600 records, 1792 according to a stored tree node
                export: the log was truncated: it has 1600 records, 1900 according to checkpoint 1900
        "#]],
    );
}

/// The whole database is an old one.
#[test]
fn a_restored_old_copy() {
    let restore = |log: &mut Log| {
        truncate_with_size(log, 1600);
        log.store_nodes();
    };
    check(
        &[
            ("unchanged", &restore),
            ("and continued", &|log| {
                restore(log);
                for seq in 1600..1700 {
                    log.rows.push(testing::row(&testing::draft(seq + 5000).at_seq(seq)));
                }
                log.chain_from(1600);
                log.recorded_size = 1700;
                log.store_nodes();
            }),
        ],
        expect![[r#"
            unchanged
                rows, stored: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
                signed, export: the log was truncated: it has 1600 records, 1900 according to checkpoint 1900
            and continued
                rows, stored: verified: 1700 records of 0..1700, signed up to 0 by 0 checkpoints
                signed, export: the log was truncated: it has 1700 records, 1900 according to checkpoint 1900
        "#]],
    );
}

#[test]
fn swapped_records() {
    let swap = |log: &mut Log, one: usize, other: usize| {
        log.rows.swap(one, other);
        (log.rows[one].seq, log.rows[other].seq) = (one as u64, other as u64);
    };
    let swap_contents = |log: &mut Log| {
        let (one, other) = (log.rows[700].body.clone(), log.rows[720].body.clone());
        (log.rows[700].body, log.rows[720].body) = (other, one);
    };
    let rewrite = |log: &mut Log| {
        (700..=720).for_each(|at| log.hash(at));
        log.chain_from(700);
        log.store_nodes();
    };
    check(
        &[
            ("neighbours", &|log| swap(log, 700, 701)),
            ("distant", &|log| swap(log, 700, 1300)),
            ("the first and the last", &|log| swap(log, 0, 1999)),
            ("only their contents", &swap_contents),
            // The records state their positions.
            ("with recomputed values", &|log| {
                swap_contents(log);
                rewrite(log);
            }),
            ("with changed positions", &|log| {
                swap_contents(log);
                log.renumber_from(700);
                rewrite(log);
            }),
        ],
        expect![[r#"
            neighbours: records 700 and 701 were swapped
            distant: records 700 and 1300 were swapped
            the first and the last: records 0 and 1999 were swapped
            only their contents: records 700 and 720 were swapped
            with recomputed values: records 700 and 720 were swapped
            with changed positions
                rows, stored: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
        "#]],
    );
}

/// Inserts a record at position 700. Later records move, but state their old positions.
fn insert(log: &mut Log) {
    log.rows.insert(700, testing::row(&testing::draft(9999).at_seq(700)));
    (701..2001).for_each(|at| log.rows[at].seq = at as u64);
    log.recorded_size = 2001;
}

#[test]
fn an_inserted_record() {
    let renumber = |log: &mut Log| {
        insert(log);
        log.renumber_from(701);
        log.chain_at(700);
    };
    check(
        &[
            ("later records moved", &|log| {
                insert(log);
                log.chain_at(700);
            }),
            ("without a new chain", &insert),
            ("later records renumbered", &renumber),
            ("all values recomputed", &|log| {
                renumber(log);
                (701..2001).for_each(|at| log.hash(at));
                log.chain_from(700);
                log.store_nodes();
            }),
        ],
        expect![[r#"
            later records moved
                rows, stored, signed: the record at position 700 (01900000-0000-7000-8000-00000000270f) was inserted: it does not belong there
                export: the record at position 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            without a new chain
                rows, stored, signed: record 700 (01900000-0000-7000-8000-00000000270f) was rewritten: its hash does not match the hash chain
                export: the record at position 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            later records renumbered
                rows, stored, signed: record 701 (01900000-0000-7000-8000-0000000002bc) was edited: its content does not match its hash
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
            all values recomputed
                rows, stored: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
                signed, export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
        "#]],
    );
}

#[test]
fn a_record_that_replaces_another() {
    let copy = |log: &mut Log, from: usize, to: usize| {
        log.rows[to] = log.rows[from].clone();
        log.rows[to].seq = to as u64;
    };
    check(
        &[
            ("a later record", &|log| copy(log, 1300, 700)),
            ("an earlier record", &|log| copy(log, 700, 1300)),
            ("an impossible position", &|log| {
                let body = String::from_utf8(log.rows[700].body.clone()).expect("text");
                let body = body.replace(r#""seq":700"#, r#""seq":18446744073709551615"#);
                log.rows[700].body = body.into_bytes();
                log.hash(700);
            }),
        ],
        expect![[r#"
            a later record: the record at position 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
            an earlier record: the record at position 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            an impossible position: the record at position 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        "#]],
    );
}

#[test]
fn records_added_without_the_journal() {
    check(
        &[
            ("the next record", &|log| {
                log.rows.push(testing::row(&record(2000)));
                log.chain_at(2000);
            }),
            // A database does not allow two records at one position.
            ("the last record again", &|log| log.rows.push(log.rows[1999].clone())),
        ],
        expect![[r#"
            the next record
                rows: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
                stored, signed, export: records were added without the journal: the log has 2001, 2000 according to the recorded size
            the last record again
                rows, stored, signed: the record at position 1999 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
                export: the record at position 2000 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
        "#]],
    );
}
