//! The times of nodes, and the end of the log as a database states it.

use super::*;

/// Searches by time skip nodes with other times.
#[test]
fn changed_times_of_nodes() {
    check(
        &[
            ("set to 0", &|log| log.nodes[2].times = Some((0, 0))),
            ("removed", &|log| log.nodes[2].times = None),
            ("only the earliest", &|log| {
                let (earliest, latest) = log.nodes[0].times.expect("times");
                log.nodes[0].times = Some((earliest + 1, latest));
            }),
            ("wider than the records", &|log| log.nodes[6].times = Some((i64::MIN, i64::MAX))),
            // The node of the record comes first.
            ("with an edited node", &|log| {
                log.nodes[2].times = None;
                log.nodes[2].hash = Hash([7; 32]);
            }),
            ("of a block of which records were dropped", &|log| {
                log.drop_before(600);
                log.nodes[2].times = Some((0, 0));
            }),
        ],
        expect![[r#"
            set to 0
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the times of the tree node of records 512 to 767 were changed: a search by time may miss some of them
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            removed
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the times of the tree node of records 512 to 767 were changed: a search by time may miss some of them
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            only the earliest
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the times of the tree node of records 0 to 255 were changed: a search by time may miss some of them
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            wider than the records
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the times of the tree node of records 1536 to 1791 were changed: a search by time may miss some of them
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            with an edited node
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: records 512 to 767 were rewritten: they do not match the stored tree node
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            of a block of which records were dropped
                rows, stored: verified: 1400 records of 600..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 1400 records of 600..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

/// Changes what the database states about the end of the log.
type TamperEnd<'a> = &'a dyn Fn(&mut StoredEnd);

#[test]
fn a_changed_end() {
    let cases: [(&str, TamperEnd<'_>); 9] = [
        ("unchanged", &|_| {}),
        ("the chain", &|end| end.chain = Hash([7; 32])),
        ("the range", &|end| end.range = Log::whole().range(0, 1999)),
        ("the hashes of the range", &|end| {
            let hashes = vec![Hash([7; 32]); end.range.hashes().len()];
            end.range = Range::of(0, SIZE, hashes).expect("as many");
        }),
        ("the earliest time", &|end| end.times = end.times.map(|(_, latest)| (0, latest))),
        ("the latest time", &|end| end.times = end.times.map(|(earliest, _)| (earliest, 0))),
        ("both times", &|end| end.times = Some((0, 0))),
        ("no times", &|end| end.times = None),
        // The verification has read other records.
        ("another size", &|end| (end.size, end.chain) = (1999, Hash([7; 32]))),
    ];
    let whole = Log::whole();
    let all = [(whole.checkpoint(SIZE), "all")];
    let print = |(what, tamper): (&str, TamperEnd<'_>)| {
        let mut end = whole.end();
        tamper(&mut end);
        let describe =
            |checkpoints| describe(whole.verify(checkpoints).and_then(|verified| verified.verify_end(&end)));
        format!("{what}: {}\n    all signed: {}\n", describe(&*SIGNED), describe(&all))
    };
    expect![[r#"
        unchanged: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            all signed: verified: 2000 records of 0..2000, signed up to 2000 by 1 checkpoints
        the chain: the column chain of audit_head does not match the 2000 records of the log
            all signed: the column chain of audit_head does not match the 2000 records of the log
        the range: records 1900 to 1999 were rewritten: they do not match the stored tree node
            all signed: the column range_hashes of audit_head does not match the 2000 records of the log
        the hashes of the range: records 1900 to 1999 were rewritten: they do not match the stored tree node
            all signed: the column range_hashes of audit_head does not match the 2000 records of the log
        the earliest time: the column earliest of audit_head does not match the 2000 records of the log
            all signed: the column earliest of audit_head does not match the 2000 records of the log
        the latest time: the column latest of audit_head does not match the 2000 records of the log
            all signed: the column latest of audit_head does not match the 2000 records of the log
        both times: the column earliest of audit_head does not match the 2000 records of the log
            all signed: the column earliest of audit_head does not match the 2000 records of the log
        no times: the column latest of audit_head does not match the 2000 records of the log
            all signed: the column latest of audit_head does not match the 2000 records of the log
        another size: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            all signed: verified: 2000 records of 0..2000, signed up to 2000 by 1 checkpoints
    "#]]
    .assert_eq(&cases.map(print).concat());
    // The end of an incomplete block, and of a complete one.
    for size in [1, 255, 256, 257, 1024] {
        let mut log = Log::whole();
        log.rows.truncate(size);
        log.recorded_size = size as u64;
        log.store_nodes();
        let end = log.end();
        assert_eq!(end.times.is_none(), size % 256 == 0);
        log.verify(&[]).and_then(|verified| verified.verify_end(&end)).expect("no finding");
    }
}
