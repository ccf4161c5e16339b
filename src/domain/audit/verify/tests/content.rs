//! What a record says was changed, or what is kept beside it.

use super::*;

#[test]
fn a_log_as_it_was_written() {
    check(
        &[("nothing was done", &|_| {})],
        expect![[r#"
        nothing was done
            rows, kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
            signed, export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
    let verified = Log::whole().verify(&[]).expect("verified");
    assert_eq!(verified.root, Log::whole().checkpoint(SIZE).root);
    assert_eq!(verified.log, log_name());
}

/// Another outcome, with a hash that fits.
fn deny(log: &mut Log, at: usize) {
    log.edit(at, |record| record.outcome = Outcome::Denied);
    log.hash(at);
}

/// With a chain that fits as well.
fn rewrite(log: &mut Log, at: usize) {
    deny(log, at);
    log.chain_from(at);
}

#[test]
fn a_field_was_edited() {
    check(
        &[
            ("the field only", &|log| log.edit(700, |record| record.actor.user = "somebody-else".to_owned())),
            ("its hash too", &|log| deny(log, 700)),
            ("its chain too", &|log| {
                deny(log, 700);
                log.chain_at(700);
            }),
        ],
        expect![[r#"
            the field only
                rows, kept, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
            its hash too
                rows, kept, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
            its chain too
                rows, kept, signed: record 701 (01900000-0000-7000-8000-0000000002bd) was rewritten: it does not fit into the chain
                export: something in records 0 to 999 was rewritten: their root is not that of checkpoint 1000
        "#]],
    );
}

#[test]
fn everything_after_it_was_rewritten() {
    check(
        &[
            ("but not the nodes", &|log| rewrite(log, 1200)),
            // Then only somebody who has seen the log before can tell.
            ("nodes included", &|log| {
                rewrite(log, 1200);
                log.keep_nodes();
            }),
            // Nobody has seen it.
            ("after the last checkpoint", &|log| {
                rewrite(log, 1950);
                log.keep_nodes();
            }),
        ],
        expect![[r#"
            but not the nodes
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                kept, signed: records 1024 to 1279 were rewritten: the hash over them that is kept is another
                export: something in records 1000 to 1899 was rewritten: their root is not that of checkpoint 1900
            nodes included
                rows, kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: something in records 1000 to 1899 was rewritten: their root is not that of checkpoint 1900
            after the last checkpoint
                rows, kept: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

#[test]
fn a_record_was_moved_here_from_another_log() {
    check(
        &[("and all rewritten", &|log| {
            log.edit(700, |record| record.tenant = LogName::platform());
            log.hash(700);
            log.chain_from(700);
            log.keep_nodes();
        })],
        expect![[r#"
            and all rewritten: record 700 (01900000-0000-7000-8000-0000000002bc) is kept under another tenant than it says
        "#]],
    );
}

#[test]
fn a_record_cannot_be_read() {
    check(
        &[
            ("it says nothing", &|log| log.rows[700].body = b"{}".to_vec()),
            ("it is no JSON, and all fits", &|log| {
                log.rows[700].body = b"nonsense".to_vec();
                log.kept(700).hash = Hash::leaf(b"nonsense");
                log.chain_from(700);
            }),
        ],
        expect![[r#"
            it says nothing
                rows, kept, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content is not what its hash was made of
                export: record 700 cannot be read
            it is no JSON, and all fits: record 700 cannot be read
        "#]],
    );
}

#[test]
fn the_chain_of_a_record_was_edited() {
    check(
        &[
            ("in the middle", &|log| log.kept(700).chain = Hash([7; 32])),
            ("at the end", &|log| log.kept(1999).chain = Hash([7; 32])),
            ("before the first", &|log| log.chain = Hash([7; 32])),
        ],
        expect![[r#"
            in the middle
                rows, kept, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: it does not fit into the chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            at the end
                rows, kept, signed: record 1999 (01900000-0000-7000-8000-0000000007cf) was rewritten: it does not fit into the chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            before the first
                rows, kept, signed: record 0 (01900000-0000-7000-8000-000000000000) was rewritten: it does not fit into the chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

#[test]
fn a_node_was_edited() {
    check(
        &[("one of them", &|log| log.nodes[2].1 = Hash([7; 32]))],
        expect![[r#"
        one of them
            rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
            kept, signed: records 512 to 767 were rewritten: the hash over them that is kept is another
            export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
}

#[test]
fn a_node_was_deleted() {
    check(
        &[
            ("one of them", &|log| log.nodes.retain(|(node, _)| *node != Node { level: 8, index: 2 })),
            ("the last", &|log| log.nodes.truncate(log.nodes.len() - 1)),
            // What stands in the wrong place is more than that.
            ("and records swapped", &|log| {
                log.nodes.retain(|(node, _)| *node != Node { level: 8, index: 2 });
                log.rows.swap(700, 900);
                (log.rows[700].seq, log.rows[900].seq) = (700, 900);
            }),
        ],
        expect![[r#"
            one of them
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                kept, signed: the hash over records 512 to 767 is missing: none of them can be proved
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            the last
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                kept, signed: the hash over records 1536 to 1791 is missing: none of them can be proved
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            and records swapped: records 700 and 900 stand in each other's place
        "#]],
    );
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
        &[("an export has no columns", &|log| log.kept(704).columns.actor.clear())],
        expect![[r#"
        an export has no columns
            rows, kept, signed: record 704 (01900000-0000-7000-8000-0000000002c0) is kept under another actor than it says
            export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
    "#]],
    );
}
