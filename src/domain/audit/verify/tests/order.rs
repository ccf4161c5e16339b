//! Records are gone, stand elsewhere, or are too many.

use super::*;

#[test]
fn records_were_deleted() {
    check(
        &[
            ("one", &|log| drop(log.rows.remove(700))),
            ("four", &|log| drop(log.rows.drain(700..704))),
            ("the first", &|log| drop(log.rows.remove(0))),
            // Nothing comes after it that could tell.
            ("the last but one", &|log| drop(log.rows.remove(1998))),
            ("one, and the others moved up, such that no place is empty", &|log| {
                log.rows.remove(700);
                (700..1999).for_each(|at| log.rows[at].seq = at as u64);
            }),
            ("one, and the others are renumbered, with new hashes and a new chain", &|log| {
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
            one, and the others moved up, such that no place is empty: record 700 is missing
            one, and the others are renumbered, with new hashes and a new chain
                rows: verified: 1999 records of 0..1999, signed up to 0 by 0 checkpoints
                kept, signed: records 512 to 767 were rewritten: the hash over them that is kept is another
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
}

/// Only so many are left.
fn cut(log: &mut Log, left: u64) {
    log.rows.truncate(usize::try_from(left).expect("small"));
}

/// And it is noted that there were no more.
fn cut_with_note(log: &mut Log, left: u64) {
    cut(log, left);
    log.noted = left;
}

#[test]
fn the_tail_was_cut_off() {
    check(
        &[
            ("after the last checkpoint", &|log| cut(log, 1950)),
            ("before the last checkpoint", &|log| cut(log, 1850)),
            ("before the last checkpoint, with what is noted", &|log| cut_with_note(log, 1850)),
            ("before the last node, with what is noted", &|log| cut_with_note(log, 1600)),
        ],
        expect![[r#"
            after the last checkpoint
                rows: verified: 1950 records of 0..1950, signed up to 0 by 0 checkpoints
                kept, signed, export: the end was cut off: there are 1950 records, and there were 2000 by the number that is noted
            before the last checkpoint
                rows: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
                kept, signed, export: the end was cut off: there are 1850 records, and there were 2000 by the number that is noted
            before the last checkpoint, with what is noted
                rows, kept: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
                signed, export: the end was cut off: there are 1850 records, and there were 1900 by checkpoint 1900
            before the last node, with what is noted
                rows: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
                kept, signed: the end was cut off: there are 1600 records, and there were 1792 by a hash that is kept over them
                export: the end was cut off: there are 1600 records, and there were 1900 by checkpoint 1900
        "#]],
    );
}

/// All that is in the database is as it once was.
#[test]
fn an_older_copy_was_put_back() {
    let put_back = |log: &mut Log| {
        cut_with_note(log, 1600);
        log.keep_nodes();
    };
    check(
        &[
            ("as it was", &put_back),
            ("and written on from there", &|log| {
                put_back(log);
                for seq in 1600..1700 {
                    log.rows.push(testing::row(&testing::draft(seq + 5000).at(seq)));
                }
                log.chain_from(1600);
                log.noted = 1700;
                log.keep_nodes();
            }),
        ],
        expect![[r#"
            as it was
                rows, kept: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
                signed, export: the end was cut off: there are 1600 records, and there were 1900 by checkpoint 1900
            and written on from there
                rows, kept: verified: 1700 records of 0..1700, signed up to 0 by 0 checkpoints
                signed, export: the end was cut off: there are 1700 records, and there were 1900 by checkpoint 1900
        "#]],
    );
}

#[test]
fn two_were_swapped() {
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
        log.keep_nodes();
    };
    check(
        &[
            ("neighbours", &|log| swap(log, 700, 701)),
            ("two far apart", &|log| swap(log, 700, 1300)),
            ("the first and the last", &|log| swap(log, 0, 1999)),
            ("their contents only", &swap_contents),
            // The records themselves say where they belong.
            ("and everything said of them is made anew", &|log| {
                swap_contents(log);
                rewrite(log);
            }),
            ("and they say something else", &|log| {
                swap_contents(log);
                log.renumber_from(700);
                rewrite(log);
            }),
        ],
        expect![[r#"
            neighbours: records 700 and 701 stand in each other's place
            two far apart: records 700 and 1300 stand in each other's place
            the first and the last: records 0 and 1999 stand in each other's place
            their contents only: records 700 and 720 stand in each other's place
            and everything said of them is made anew: records 700 and 720 stand in each other's place
            and they say something else
                rows, kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
}

/// Puts one at place 700; the others make room, and say where they were.
fn insert(log: &mut Log) {
    log.rows.insert(700, testing::row(&testing::draft(9999).at(700)));
    (701..2001).for_each(|at| log.rows[at].seq = at as u64);
    log.noted = 2001;
}

#[test]
fn one_was_inserted() {
    let renumber = |log: &mut Log| {
        insert(log);
        log.renumber_from(701);
        log.chain_at(700);
    };
    check(
        &[
            ("the others made room", &|log| {
                insert(log);
                log.chain_at(700);
            }),
            ("without a chain that fits", &insert),
            ("the others were renumbered", &renumber),
            ("and everything made anew", &|log| {
                renumber(log);
                (701..2001).for_each(|at| log.hash(at));
                log.chain_from(700);
                log.keep_nodes();
            }),
        ],
        expect![[r#"
            the others made room
                rows, kept, signed: what stands at place 700 (01900000-0000-7000-8000-00000000270f) was inserted: it does not belong there
                export: what stands at place 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            without a chain that fits
                rows, kept, signed: record 700 (01900000-0000-7000-8000-00000000270f) was rewritten: it does not fit into the chain
                export: what stands at place 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            the others were renumbered
                rows, kept, signed: record 701 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
            and everything made anew
                rows, kept: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
                signed, export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
}

#[test]
fn one_stands_where_another_was() {
    let copy = |log: &mut Log, from: usize, to: usize| {
        log.rows[to] = log.rows[from].clone();
        log.rows[to].seq = to as u64;
    };
    check(
        &[
            ("of a later place", &|log| copy(log, 1300, 700)),
            ("of an earlier place", &|log| copy(log, 700, 1300)),
            ("of a place that there is not", &|log| {
                let body = String::from_utf8(log.rows[700].body.clone()).expect("text");
                let body = body.replace(r#""seq":700"#, r#""seq":18446744073709551615"#);
                log.rows[700].body = body.into_bytes();
                log.hash(700);
            }),
        ],
        expect![[r#"
            of a later place: what stands at place 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
            of an earlier place: what stands at place 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
            of a place that there is not: what stands at place 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        "#]],
    );
}

#[test]
fn records_were_added_beside_the_log() {
    check(
        &[
            ("one that fits", &|log| {
                log.rows.push(testing::row(&record(2000)));
                log.chain_at(2000);
            }),
            // The database would not have two at one place.
            ("the last once more", &|log| log.rows.push(log.rows[1999].clone())),
        ],
        expect![[r#"
            one that fits
                rows: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
                kept, signed, export: records were added beside the log: there are 2001, and 2000 are noted
            the last once more
                rows, kept, signed: what stands at place 1999 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
                export: what stands at place 2000 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
        "#]],
    );
}
