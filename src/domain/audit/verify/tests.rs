use expect_test::{Expect, expect};

use super::*;
use crate::domain::audit::record::Outcome;
use crate::domain::audit::testing::{
    self, INSTALLATION, Log, SIGNED, SIZE, key, log_name, record, told, trusted,
};

/// Verifies a log somebody has had their hands on in four ways: by the rows alone; with the nodes and the size that are kept;
/// with checkpoints that were signed before as well; and as an export, which has nothing but records and checkpoints.
fn check(tamper: impl Fn(&mut Log), expected: Expect) {
    let mut log = Log::whole();
    tamper(&mut log);
    let bare = Log { nodes: Vec::new(), noted: log.rows.last().map_or(0, |row| row.seq + 1), ..log.clone() };
    let all = [
        ("rows", told(bare.verify(&[]))),
        ("kept", told(log.verify(&[]))),
        ("signed", told(log.verify(&*SIGNED))),
        ("export", told(export(&log, &*SIGNED))),
    ];
    expected.assert_eq(&all.map(|(way, told)| format!("{way}: {told}\n")).concat());
}

/// As an export: records in their order, without what is kept beside them.
fn export(log: &Log, witnesses: &[(Checkpoint, &str)]) -> Result<Verified, Finding> {
    let checkpoints = witnesses.iter().map(|(checkpoint, name)| (checkpoint.clone(), (*name).to_owned()));
    let witnesses = Witnesses { checkpoints: checkpoints.collect() };
    let mut verifier = Verifier::new(log_name(), log.dropped.clone(), log.chain, witnesses);
    for row in &log.rows {
        verifier.row(&Row { kept: None, ..row.clone() })?;
    }
    verifier.end(Some(log.noted))
}

#[test]
fn a_log_as_it_was_written() {
    check(
        |_| {},
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        signed: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    let verified = Log::whole().verify(&[]).expect("verified");
    assert_eq!(verified.root, Log::whole().checkpoint(SIZE).root);
    assert_eq!(verified.log, log_name());
}

#[test]
fn a_field_was_edited() {
    check(
        |log| log.edit(700, |record| record.actor.user = "somebody-else".to_owned()),
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        kept: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
}

#[test]
fn a_field_and_its_hash_were_edited() {
    let edit = |log: &mut Log| {
        log.edit(700, |record| record.outcome = Outcome::Denied);
        log.hash(700);
    };
    check(
        edit,
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        kept: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
}

#[test]
fn a_field_its_hash_and_its_chain_were_edited() {
    let edit = |log: &mut Log| {
        log.edit(700, |record| record.outcome = Outcome::Denied);
        log.hash(700);
        log.chain_at(700);
    };
    check(
        edit,
        expect![[r#"
        rows: record 701 (01900000-0000-7000-8000-0000000002bd) was rewritten: it does not fit into the chain
        kept: record 701 (01900000-0000-7000-8000-0000000002bd) was rewritten: it does not fit into the chain
        signed: record 701 (01900000-0000-7000-8000-0000000002bd) was rewritten: it does not fit into the chain
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
}

#[test]
fn everything_after_it_was_rewritten() {
    let rewrite = |log: &mut Log| {
        log.edit(1200, |record| record.outcome = Outcome::Denied);
        log.hash(1200);
        log.chain_from(1200);
    };
    check(
        rewrite,
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: records 1024 to 1279 were rewritten: the hash over them that is kept is another
        signed: records 1024 to 1279 were rewritten: the hash over them that is kept is another
        export: something in records 1000 to 1899 was rewritten: their root is not that of checkpoint 1900
    "#]],
    );
    // Nodes included: then only somebody who has seen the log before can tell.
    let rewrite = |log: &mut Log| {
        rewrite(log);
        log.keep_nodes();
    };
    check(
        rewrite,
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        signed: something in records 1000 to 1899 was rewritten: their root is not that of checkpoint 1900
        export: something in records 1000 to 1899 was rewritten: their root is not that of checkpoint 1900
    "#]],
    );
    // After the last checkpoint nobody has seen it.
    let rewrite = |log: &mut Log| {
        log.edit(1950, |record| record.outcome = Outcome::Denied);
        log.hash(1950);
        log.chain_from(1950);
        log.keep_nodes();
    };
    check(
        rewrite,
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        signed: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
}

#[test]
fn records_were_deleted() {
    check(
        |log| drop(log.rows.remove(700)),
        expect![[r#"
        rows: record 700 is missing
        kept: record 700 is missing
        signed: record 700 is missing
        export: record 700 is missing
    "#]],
    );
    check(
        |log| drop(log.rows.drain(700..704)),
        expect![[r#"
        rows: records 700 to 703 are missing
        kept: records 700 to 703 are missing
        signed: records 700 to 703 are missing
        export: records 700 to 703 are missing
    "#]],
    );
    check(
        |log| drop(log.rows.remove(0)),
        expect![[r#"
        rows: record 0 is missing
        kept: record 0 is missing
        signed: record 0 is missing
        export: record 0 is missing
    "#]],
    );
    // The place before the last, where nothing comes after that could tell.
    check(
        |log| drop(log.rows.remove(1998)),
        expect![[r#"
        rows: record 1998 is missing
        kept: record 1998 is missing
        signed: record 1998 is missing
        export: record 1998 is missing
    "#]],
    );
    // The others moved up, such that no place is empty.
    let close = |log: &mut Log| {
        log.rows.remove(700);
        (700..1999).for_each(|at| log.rows[at].seq = at as u64);
    };
    check(
        close,
        expect![[r#"
            rows: record 700 is missing
            kept: record 700 is missing
            signed: record 700 is missing
            export: record 700 is missing
        "#]],
    );
    // And renumbered, with new hashes and a new chain.
    let rewrite = |log: &mut Log| {
        log.rows.remove(700);
        log.renumber_from(700);
        (700..1999).for_each(|at| log.hash(at));
        log.chain_from(700);
    };
    check(
        rewrite,
        expect![[r#"
        rows: verified: 1999 records of 0..1999, signed up to 0 by 0 checkpoints
        kept: records 512 to 767 were rewritten: the hash over them that is kept is another
        signed: records 512 to 767 were rewritten: the hash over them that is kept is another
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
}

#[test]
fn the_tail_was_cut_off() {
    check(
        |log| log.rows.truncate(1950),
        expect![[r#"
        rows: verified: 1950 records of 0..1950, signed up to 0 by 0 checkpoints
        kept: the end was cut off: there are 1950 records, and there were 2000 by the number that is noted
        signed: the end was cut off: there are 1950 records, and there were 2000 by the number that is noted
        export: the end was cut off: there are 1950 records, and there were 2000 by the number that is noted
    "#]],
    );
    check(
        |log| log.rows.truncate(1850),
        expect![[r#"
        rows: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
        kept: the end was cut off: there are 1850 records, and there were 2000 by the number that is noted
        signed: the end was cut off: there are 1850 records, and there were 2000 by the number that is noted
        export: the end was cut off: there are 1850 records, and there were 2000 by the number that is noted
    "#]],
    );
    // With what is noted.
    let cut = |log: &mut Log| {
        log.rows.truncate(1850);
        log.noted = 1850;
    };
    check(
        cut,
        expect![[r#"
        rows: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
        kept: verified: 1850 records of 0..1850, signed up to 0 by 0 checkpoints
        signed: the end was cut off: there are 1850 records, and there were 1900 by checkpoint 1900
        export: the end was cut off: there are 1850 records, and there were 1900 by checkpoint 1900
    "#]],
    );
    let cut = |log: &mut Log| {
        log.rows.truncate(1600);
        log.noted = 1600;
    };
    check(
        cut,
        expect![[r#"
        rows: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
        kept: the end was cut off: there are 1600 records, and there were 1792 by a hash that is kept over them
        signed: the end was cut off: there are 1600 records, and there were 1792 by a hash that is kept over them
        export: the end was cut off: there are 1600 records, and there were 1900 by checkpoint 1900
    "#]],
    );
}

/// All that is in the database is as it once was.
#[test]
fn an_older_copy_was_put_back() {
    let put_back = |log: &mut Log| {
        log.rows.truncate(1600);
        log.noted = 1600;
        log.keep_nodes();
    };
    check(
        put_back,
        expect![[r#"
        rows: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
        kept: verified: 1600 records of 0..1600, signed up to 0 by 0 checkpoints
        signed: the end was cut off: there are 1600 records, and there were 1900 by checkpoint 1900
        export: the end was cut off: there are 1600 records, and there were 1900 by checkpoint 1900
    "#]],
    );
    check(
        |log| {
            put_back(log);
            // And written on from there.
            for seq in 1600..1700 {
                log.rows.push(testing::row(&testing::draft(seq + 5000).at(seq)));
            }
            log.chain_from(1600);
            log.noted = 1700;
            log.keep_nodes();
        },
        expect![[r#"
            rows: verified: 1700 records of 0..1700, signed up to 0 by 0 checkpoints
            kept: verified: 1700 records of 0..1700, signed up to 0 by 0 checkpoints
            signed: the end was cut off: there are 1700 records, and there were 1900 by checkpoint 1900
            export: the end was cut off: there are 1700 records, and there were 1900 by checkpoint 1900
        "#]],
    );
}

#[test]
fn two_were_swapped() {
    let swap_whole = |one: usize, other: usize| {
        move |log: &mut Log| {
            log.rows.swap(one, other);
            (log.rows[one].seq, log.rows[other].seq) = (one as u64, other as u64);
        }
    };
    check(
        swap_whole(700, 701),
        expect![[r#"
        rows: records 700 and 701 stand in each other's place
        kept: records 700 and 701 stand in each other's place
        signed: records 700 and 701 stand in each other's place
        export: records 700 and 701 stand in each other's place
    "#]],
    );
    check(
        swap_whole(700, 1300),
        expect![[r#"
        rows: records 700 and 1300 stand in each other's place
        kept: records 700 and 1300 stand in each other's place
        signed: records 700 and 1300 stand in each other's place
        export: records 700 and 1300 stand in each other's place
    "#]],
    );
    check(
        swap_whole(0, 1999),
        expect![[r#"
        rows: records 0 and 1999 stand in each other's place
        kept: records 0 and 1999 stand in each other's place
        signed: records 0 and 1999 stand in each other's place
        export: records 0 and 1999 stand in each other's place
    "#]],
    );
    // Their contents only.
    let swap_bodies = |log: &mut Log| {
        let (one, other) = (log.rows[700].body.clone(), log.rows[720].body.clone());
        (log.rows[700].body, log.rows[720].body) = (other, one);
    };
    check(
        swap_bodies,
        expect![[r#"
        rows: records 700 and 720 stand in each other's place
        kept: records 700 and 720 stand in each other's place
        signed: records 700 and 720 stand in each other's place
        export: records 700 and 720 stand in each other's place
    "#]],
    );
    // And everything said of them is made anew: the records themselves say where they belong.
    let rewrite = |log: &mut Log| {
        swap_bodies(log);
        (700..=720).for_each(|at| log.hash(at));
        log.chain_from(700);
        log.keep_nodes();
    };
    check(
        rewrite,
        expect![[r#"
        rows: records 700 and 720 stand in each other's place
        kept: records 700 and 720 stand in each other's place
        signed: records 700 and 720 stand in each other's place
        export: records 700 and 720 stand in each other's place
    "#]],
    );
    // They as well.
    let renumber = |log: &mut Log| {
        swap_bodies(log);
        log.renumber_from(700);
        (700..=720).for_each(|at| log.hash(at));
        log.chain_from(700);
        log.keep_nodes();
    };
    check(
        renumber,
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        signed: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
}

#[test]
fn one_was_inserted() {
    let inserted = || testing::row(&testing::draft(9999).at(700));
    let move_down = |log: &mut Log| (701..2001).for_each(|at| log.rows[at].seq = at as u64);
    // The others made room, and say where they were.
    let insert = |log: &mut Log| {
        log.rows.insert(700, inserted());
        log.chain_at(700);
        move_down(log);
        log.noted = 2001;
    };
    check(
        insert,
        expect![[r#"
        rows: what stands at place 700 (01900000-0000-7000-8000-00000000270f) was inserted: it does not belong there
        kept: what stands at place 700 (01900000-0000-7000-8000-00000000270f) was inserted: it does not belong there
        signed: what stands at place 700 (01900000-0000-7000-8000-00000000270f) was inserted: it does not belong there
        export: what stands at place 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
    "#]],
    );
    // Without a chain that fits.
    let insert = |log: &mut Log| {
        log.rows.insert(700, inserted());
        move_down(log);
        log.noted = 2001;
    };
    check(
        insert,
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-00000000270f) was rewritten: it does not fit into the chain
        kept: record 700 (01900000-0000-7000-8000-00000000270f) was rewritten: it does not fit into the chain
        signed: record 700 (01900000-0000-7000-8000-00000000270f) was rewritten: it does not fit into the chain
        export: what stands at place 701 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
    "#]],
    );
    // The others were renumbered.
    let renumber = |log: &mut Log| {
        insert(log);
        log.renumber_from(701);
        log.chain_at(700);
    };
    check(
        renumber,
        expect![[r#"
        rows: record 701 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        kept: record 701 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        signed: record 701 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
    let rewrite = |log: &mut Log| {
        renumber(log);
        (701..2001).for_each(|at| log.hash(at));
        log.chain_from(700);
        log.keep_nodes();
    };
    check(
        rewrite,
        expect![[r#"
        rows: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
        kept: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
        signed: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
    // One of another place, instead of what stood there.
    let instead = |log: &mut Log| {
        log.rows[700] = log.rows[1300].clone();
        log.rows[700].seq = 700;
    };
    check(
        instead,
        expect![[r#"
        rows: what stands at place 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
        kept: what stands at place 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
        signed: what stands at place 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
        export: what stands at place 700 (01900000-0000-7000-8000-000000000514) was inserted: it does not belong there
    "#]],
    );
    let instead = |log: &mut Log| {
        log.rows[1300] = log.rows[700].clone();
        log.rows[1300].seq = 1300;
    };
    check(
        instead,
        expect![[r#"
        rows: what stands at place 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        kept: what stands at place 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        signed: what stands at place 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        export: what stands at place 1300 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
    "#]],
    );
    // Which says a place that there is not.
    let beyond = |log: &mut Log| {
        let body = String::from_utf8(log.rows[700].body.clone()).expect("text");
        log.rows[700].body = body.replace(r#""seq":700"#, r#""seq":18446744073709551615"#).into_bytes();
        log.hash(700);
    };
    check(
        beyond,
        expect![[r#"
        rows: what stands at place 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        kept: what stands at place 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        signed: what stands at place 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
        export: what stands at place 700 (01900000-0000-7000-8000-0000000002bc) was inserted: it does not belong there
    "#]],
    );
    // The same twice at the end; the database would not have two at one place.
    check(
        |log| log.rows.push(log.rows[1999].clone()),
        expect![[r#"
        rows: what stands at place 1999 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
        kept: what stands at place 1999 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
        signed: what stands at place 1999 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
        export: what stands at place 2000 (01900000-0000-7000-8000-0000000007cf) was inserted: it does not belong there
    "#]],
    );
}

#[test]
fn records_were_added_beside_the_log() {
    let add = |log: &mut Log| {
        log.rows.push(testing::row(&record(2000)));
        log.chain_at(2000);
    };
    check(
        add,
        expect![[r#"
        rows: verified: 2001 records of 0..2001, signed up to 0 by 0 checkpoints
        kept: records were added beside the log: there are 2001, and 2000 are noted
        signed: records were added beside the log: there are 2001, and 2000 are noted
        export: records were added beside the log: there are 2001, and 2000 are noted
    "#]],
    );
}

#[test]
fn a_record_was_moved_here_from_another_log() {
    let other = |log: &mut Log| {
        log.edit(700, |record| record.tenant = LogName::platform());
        log.hash(700);
        log.chain_from(700);
        log.keep_nodes();
    };
    check(
        other,
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-0000000002bc) is kept under another tenant than it says
        kept: record 700 (01900000-0000-7000-8000-0000000002bc) is kept under another tenant than it says
        signed: record 700 (01900000-0000-7000-8000-0000000002bc) is kept under another tenant than it says
        export: record 700 (01900000-0000-7000-8000-0000000002bc) is kept under another tenant than it says
    "#]],
    );
}

#[test]
fn a_record_cannot_be_read() {
    check(
        |log| log.rows[700].body = b"{}".to_vec(),
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        kept: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
        export: record 700 cannot be read
    "#]],
    );
    let rewrite = |log: &mut Log| {
        log.rows[700].body = b"nonsense".to_vec();
        log.kept(700).hash = Hash::leaf(b"nonsense");
        log.chain_from(700);
    };
    check(
        rewrite,
        expect![[r#"
        rows: record 700 cannot be read
        kept: record 700 cannot be read
        signed: record 700 cannot be read
        export: record 700 cannot be read
    "#]],
    );
}

#[test]
fn the_chain_of_a_record_was_edited() {
    check(
        |log| log.kept(700).chain = Hash([7; 32]),
        expect![[r#"
        rows: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        kept: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    check(
        |log| log.kept(1999).chain = Hash([7; 32]),
        expect![[r#"
        rows: record 1999 (01900000-0000-7000-8000-0000000007cf) was rewritten: it does not fit into the chain
        kept: record 1999 (01900000-0000-7000-8000-0000000007cf) was rewritten: it does not fit into the chain
        signed: record 1999 (01900000-0000-7000-8000-0000000007cf) was rewritten: it does not fit into the chain
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    check(
        |log| log.chain = Hash([7; 32]),
        expect![[r#"
        rows: record 0 (01900000-0000-7000-8000-000000000000) was rewritten: it does not fit into the chain
        kept: record 0 (01900000-0000-7000-8000-000000000000) was rewritten: it does not fit into the chain
        signed: record 0 (01900000-0000-7000-8000-000000000000) was rewritten: it does not fit into the chain
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
}

#[test]
fn a_node_was_edited() {
    check(
        |log| log.nodes[2].1 = Hash([7; 32]),
        expect![[r#"
        rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
        kept: records 512 to 767 were rewritten: the hash over them that is kept is another
        signed: records 512 to 767 were rewritten: the hash over them that is kept is another
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    // Whatever it says of itself: nothing is computed that cannot be.
    for (level, index) in [(8, u64::MAX), (64, 0), (255, 0), (63, 1), (8, 7), (0, SIZE), (63, 0)] {
        let mut log = Log::whole();
        log.nodes = vec![(Node { level, index }, Hash([7; 32]))];
        // 64 bits are not enough for the sum that the loop above makes of it.
        let mut verifier = Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), Witnesses::default());
        log.rows.iter().try_for_each(|row| verifier.row(row)).expect("whole");
        let finding = verifier.node(log.nodes[0].0, &log.nodes[0].1).expect_err("no such node");
        assert!(matches!(finding, Finding::Node { .. } | Finding::Cut { .. }), "{level} {index}: {finding}");
    }
}

#[test]
fn what_records_are_searched_by_was_edited() {
    type Edit = fn(&mut Columns);
    let edits: [(&str, Edit); 13] = [
        ("id", |columns| columns.id.push('0')),
        ("time", |columns| columns.time += 1),
        ("actor", |columns| columns.actor = "somebody-else".to_owned()),
        ("action", |columns| columns.action.clear()),
        ("kind", |columns| columns.kind = None),
        ("kind", |columns| columns.kind = Some("Tenant".to_owned())),
        ("namespace", |columns| columns.namespace = None),
        ("namespace", |columns| columns.namespace = Some("team-b".to_owned())),
        ("name", |columns| columns.name = None),
        ("name", |columns| columns.name = Some(String::new())),
        ("outcome", |columns| columns.outcome = "Denied".to_owned()),
        ("completes", |columns| columns.completes = None),
        ("completes", |columns| columns.completes = Some(String::new())),
    ];
    for (column, edit) in edits {
        let mut log = Log::whole();
        edit(&mut log.kept(704).columns);
        let id = testing::id(704).to_string();
        assert_eq!(log.verify(&[]), Err(Finding::Mislabelled { seq: 704, id, column }));
    }
    check(
        |log| log.kept(704).columns.actor.clear(),
        expect![[r#"
        rows: record 704 (01900000-0000-7000-8000-0000000002c0) is kept under another actor than it says
        kept: record 704 (01900000-0000-7000-8000-0000000002c0) is kept under another actor than it says
        signed: record 704 (01900000-0000-7000-8000-0000000002c0) is kept under another actor than it says
        export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
}

#[test]
fn dropped_records_are_no_finding() {
    check(
        |log| log.drop_before(768),
        expect![[r#"
        rows: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
        kept: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
        signed: verified: 1232 records of 768..2000, signed up to 1900 by 2 checkpoints
        export: verified: 1232 records of 768..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    check(
        |log| log.drop_before(1000),
        expect![[r#"
        rows: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
        kept: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
        signed: verified: 1000 records of 1000..2000, signed up to 1900 by 2 checkpoints
        export: verified: 1000 records of 1000..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    check(
        |log| log.drop_before(1024),
        expect![[r#"
        rows: verified: 976 records of 1024..2000, signed up to 0 by 0 checkpoints
        kept: verified: 976 records of 1024..2000, signed up to 0 by 0 checkpoints
        signed: verified: 976 records of 1024..2000, signed up to 1900 by 1 checkpoints
        export: verified: 976 records of 1024..2000, signed up to 1900 by 1 checkpoints
    "#]],
    );
    // More than was noted, and an edit of what is left of them.
    check(
        |log| drop(log.rows.drain(..256)),
        expect![[r#"
        rows: records 0 to 255 are missing
        kept: records 0 to 255 are missing
        signed: records 0 to 255 are missing
        export: records 0 to 255 are missing
    "#]],
    );
    let edit = |log: &mut Log| {
        log.drop_before(768);
        let mut hashes = log.dropped.hashes().to_vec();
        hashes[1] = Hash([7; 32]);
        log.dropped = Range::of(0, 768, hashes).expect("as many");
    };
    check(
        edit,
        expect![[r#"
            rows: verified: 1232 records of 768..2000, signed up to 0 by 0 checkpoints
            kept: records 512 to 767 were rewritten: the hash over them that is kept is another
            signed: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
            export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
    let edit = |log: &mut Log| {
        log.drop_before(1000);
        let mut hashes = log.dropped.hashes().to_vec();
        hashes[1] = Hash([7; 32]);
        log.dropped = Range::of(0, 1000, hashes).expect("as many");
    };
    check(
        edit,
        expect![[r#"
        rows: verified: 1000 records of 1000..2000, signed up to 0 by 0 checkpoints
        kept: records 512 to 767 were rewritten: the hash over them that is kept is another
        signed: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
    "#]],
    );
    // What is left does not begin at the beginning.
    let edit = |log: &mut Log| {
        log.rows.drain(..768);
        log.dropped = Range::empty(768);
    };
    check(
        edit,
        expect![[r#"
        rows: records 0 to 767 are missing
        kept: records 0 to 767 are missing
        signed: records 0 to 767 are missing
        export: records 0 to 767 are missing
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
        none,
        expect![[r#"
        rows: verified: 0 records of 0..0, signed up to 0 by 0 checkpoints
        kept: verified: 0 records of 0..0, signed up to 0 by 0 checkpoints
        signed: the end was cut off: there are 0 records, and there were 1900 by checkpoint 1900
        export: the end was cut off: there are 0 records, and there were 1900 by checkpoint 1900
    "#]],
    );
    let verifier =
        || Verifier::new(log_name(), Log::whole().range(0, SIZE), Hash([0; 32]), Witnesses::default());
    assert_eq!(verifier().end(Some(SIZE)).expect("verified").root, Log::whole().checkpoint(SIZE).root);
    let empty = Checkpoint { size: 0, root: Hash::empty(), ..Log::whole().checkpoint(1) };
    let told = told(Log::whole().verify(&[(empty, "the first checkpoint")]));
    expect!["verified: 2000 records of 0..2000, signed up to 0 by 1 checkpoints"].assert_eq(&told);
}

#[test]
fn checkpoints_that_do_not_agree() {
    let whole = Log::whole();
    let other = Checkpoint { root: Hash([7; 32]), ..whole.checkpoint(1000) };
    let told = told(whole.verify(&[
        (whole.checkpoint(500), "one"),
        (whole.checkpoint(1000), "another"),
        (other, "a third"),
    ]));
    expect!["something in records 500 to 999 was rewritten: their root is not that of a third"]
        .assert_eq(&told);
}

#[test]
fn notes_are_believed_or_findings() {
    let whole = Log::whole();
    let (ours, other) = (key('1'), key('2'));
    let elsewhere = Checkpoint { origin: "x/audit/team-b".to_owned(), ..whole.checkpoint(3) };
    let notes = [
        ("ours", whole.checkpoint(1).sign(&ours)),
        ("another's", whole.checkpoint(2).sign(&other)),
        ("of another log", elsewhere.sign(&ours)),
        ("edited", whole.checkpoint(4).sign(&ours).replace("\n4\n", "\n5\n")),
        ("\u{1b}[31mhostile\nname", "nonsense".to_owned()),
    ];
    let notes = notes.map(|(name, note)| (name.to_owned(), note));
    let origin = super::super::checkpoint::origin(INSTALLATION, &log_name());
    let (witnesses, forged) = Witnesses::of(notes, &origin, &trusted(&ours));
    assert_eq!(witnesses.checkpoints, [(whole.checkpoint(1), "ours".to_owned())]);
    let told: Vec<String> = forged.iter().map(ToString::to_string).collect();
    expect![[r#"
        another's is not believed: none of the known keys has signed this checkpoint
        of another log is not believed: this checkpoint is about "x/audit/team-b", not about "eventcenter/audit/team-a"
        edited is not believed: the signature of this checkpoint is forged
        \u{1b}[31mhostile\nname is not believed: this is no signed checkpoint: it has no signatures"#]].assert_eq(&told.join("\n"));
}

/// Records of which some do not pass a filter: their hashes are there, and everything else is verified.
#[test]
fn an_export_with_gaps() {
    let whole = Log::whole();
    let check = |gap: Range, checkpoints: &[u64], expected: Expect| {
        let checkpoints =
            checkpoints.iter().map(|size| (whole.checkpoint(*size), format!("checkpoint {size}")));
        let witnesses = Witnesses { checkpoints: checkpoints.collect() };
        let mut verifier = Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), witnesses);
        let row = |row: &Row| Row { seq: 0, body: row.body.clone(), kept: None };
        let verify = || {
            whole.rows[..700].iter().try_for_each(|kept| verifier.row(&row(kept)))?;
            verifier.gap(&gap)?;
            verifier.gap(&whole.range(1300, 1300))?;
            whole.rows[1300..].iter().try_for_each(|kept| verifier.row(&row(kept)))?;
            verifier.end(Some(SIZE))
        };
        expected.assert_eq(&told(verify_once(verify)));
    };
    check(
        whole.range(700, 1300),
        &[500, 1900],
        expect!["verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints"],
    );
    // Inside of a gap no root is known.
    check(
        whole.range(700, 1300),
        &[500, 1000, 1900],
        expect!["verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints"],
    );
    check(
        whole.range(700, 1300),
        &[700, 1300, SIZE],
        expect!["verified: 1400 records of 0..2000, signed up to 2000 by 3 checkpoints"],
    );
    check(whole.range(701, 1300), &[], expect!["record 700 is missing"]);
    check(whole.range(703, 1300), &[], expect!["records 700 to 702 are missing"]);
    check(
        whole.range(699, 1300),
        &[],
        expect!["what stands at place 699 was inserted: it does not belong there"],
    );
    check(whole.range(700, 1299), &[], expect!["record 1299 is missing"]);
    check(
        whole.range(700, 1301),
        &[],
        expect!["what stands at place 1300 was inserted: it does not belong there"],
    );
    let mut hashes = whole.range(700, 1300).hashes().to_vec();
    hashes[3] = Hash([7; 32]);
    let edited = Range::of(700, 1300, hashes).expect("as many");
    check(
        edited.clone(),
        &[500, 1900],
        expect!["something in records 500 to 1899 was rewritten: their root is not that of checkpoint 1900"],
    );
    check(edited, &[500], expect!["verified: 1400 records of 0..2000, signed up to 500 by 1 checkpoints"]);
    let rest =
        Range::of(700, u64::MAX, vec![Hash([7; 32]); Range::nodes(700, u64::MAX).len()]).expect("as many");
    check(rest, &[500], expect!["what stands at place 1300 was inserted: it does not belong there"]);
}

fn verify_once(verify: impl FnOnce() -> Result<Verified, Finding>) -> Result<Verified, Finding> {
    verify()
}

/// Somebody ran the export through a program that writes JSON in its own way.
#[test]
fn an_export_whose_records_are_written_in_another_way() {
    let whole = Log::whole();
    let witnesses = [(whole.checkpoint(1900), "checkpoint 1900")];
    let mut log = whole.clone();
    for row in &mut log.rows {
        let value: serde_json::Value = serde_json::from_slice(&row.body).expect("JSON");
        row.body = serde_json::to_vec_pretty(&value).expect("JSON");
    }
    expect!["verified: 2000 records of 0..2000, signed up to 1900 by 1 checkpoints"]
        .assert_eq(&told(export(&log, &witnesses)));
    // Read by one program this is one record, and by another one another.
    let twice = String::from_utf8(whole.rows[700].body.clone()).expect("text");
    let twice = twice.replace(r#""outcome":"Allowed""#, r#""outcome":"Allowed","tenants":1,"tenants":2"#);
    assert_ne!(twice.as_bytes(), whole.rows[700].body);
    let mut log = whole;
    log.rows[700].body = twice.into_bytes();
    expect!["record 700 cannot be read"].assert_eq(&told(export(&log, &witnesses)));
}

/// Where numbers end.
#[test]
fn hostile_sizes_are_answered() {
    let hash = Hash([7; 32]);
    let range = |start: u64, end: u64| {
        Range::of(start, end, vec![hash; Range::nodes(start, end).len()]).expect("as many")
    };
    for dropped in [range(0, u64::MAX), range(0, u64::MAX - 1), range(u64::MAX, u64::MAX), range(1, u64::MAX)]
    {
        let checkpoint = Checkpoint { origin: String::new(), size: u64::MAX, root: hash };
        let witnesses = Witnesses { checkpoints: vec![(checkpoint, "x".to_owned())] };
        let mut verifier = Verifier::new(log_name(), dropped, hash, witnesses);
        for seq in [u64::MAX, u64::MAX - 1, 0] {
            let mut row = testing::row(&record(1));
            let body = String::from_utf8(row.body).expect("text");
            row.body = body.replace(r#""seq":1"#, &format!(r#""seq":{seq}"#)).into_bytes();
            row.seq = seq;
            for kept in [row.kept.clone(), None] {
                let _ = verifier.row(&Row { kept, ..row.clone() });
            }
        }
        let _ = verifier.gap(&range(u64::MAX - 1, u64::MAX));
        let _ = verifier.node(Node { level: 8, index: u64::MAX >> 8 }, &hash);
        assert!(verifier.end(Some(u64::MAX)).is_err());
    }
}

/// What a database or a file says is shown on terminals.
#[test]
fn findings_are_safe_to_show() {
    let id = format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(1000));
    let told = Finding::Edited { seq: 1, id }.to_string();
    assert!(!told.chars().any(|char| char.is_control() || char == '\u{202e}'), "{told}");
    assert!(told.len() < 500, "{told}");
    expect!["it's a \"name\""].assert_eq(&shown("it's a \"name\""));
}
