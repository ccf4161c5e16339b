//! Changed records and changed stored values.

use super::*;

#[test]
fn an_untouched_log() {
    check(
        &[("untouched", &|_| {})],
        expect![[r#"
            untouched
                rows, stored: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
    let verified = Log::whole().verify(&[]).expect("verified");
    assert_eq!(verified.root, Log::whole().checkpoint(SIZE).root);
    assert_eq!(verified.log, log_name());
}

/// Changes the outcome and the hash.
fn deny(log: &mut Log, at: usize) {
    log.edit(at, |record| record.outcome = Outcome::Denied);
    log.hash(at);
}

/// Changes the outcome, the hash and the chain.
fn rewrite(log: &mut Log, at: usize) {
    deny(log, at);
    log.chain_from(at);
}

#[test]
fn an_edited_field() {
    check(
        &[
            ("only the field", &|log| log.edit(700, |record| record.actor.user = "somebody-else".to_owned())),
            ("and its hash", &|log| deny(log, 700)),
            ("and its chain", &|log| {
                deny(log, 700);
                log.chain_at(700);
            }),
        ],
        expect![[r#"
            only the field
                rows, stored, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content does not match its hash
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
            and its hash
                rows, stored, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: its hash does not match the hash chain
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
            and its chain
                rows, stored, signed: record 701 (01900000-0000-7000-8000-0000000002bd) was rewritten: its hash does not match the hash chain
                export: records between 0 and 999 were rewritten: their root does not match checkpoint 1000
        "#]],
    );
}

#[test]
fn all_later_records_rewritten() {
    check(
        &[
            ("without the nodes", &|log| rewrite(log, 1200)),
            // Only an earlier checkpoint reveals it.
            ("with the nodes", &|log| {
                rewrite(log, 1200);
                log.store_nodes();
            }),
            // No checkpoint covers it.
            ("after the last checkpoint", &|log| {
                rewrite(log, 1950);
                log.store_nodes();
            }),
        ],
        expect![[r#"
            without the nodes
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: records 1024 to 1279 were rewritten: they do not match the stored tree node
                export: records between 1000 and 1899 were rewritten: their root does not match checkpoint 1900
            with the nodes
                rows, stored: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: records between 1000 and 1899 were rewritten: their root does not match checkpoint 1900
            after the last checkpoint
                rows, stored: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                signed, export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

#[test]
fn a_record_of_another_log() {
    check(
        &[("all values recomputed", &|log| {
            log.edit(700, |record| record.tenant = LogName::platform());
            log.hash(700);
            log.chain_from(700);
            log.store_nodes();
        })],
        expect![[r#"
            all values recomputed: record 700 (01900000-0000-7000-8000-0000000002bc): the column tenant does not match its content
        "#]],
    );
}

#[test]
fn an_unreadable_record() {
    check(
        &[
            ("an empty object", &|log| log.rows[700].body = b"{}".to_vec()),
            ("not JSON, with recomputed hashes", &|log| {
                log.rows[700].body = b"nonsense".to_vec();
                log.stored(700).hash = Hash::leaf(b"nonsense");
                log.chain_from(700);
            }),
        ],
        expect![[r#"
            an empty object
                rows, stored, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was edited: its content does not match its hash
                export: record 700 cannot be read
            not JSON, with recomputed hashes: record 700 cannot be read
        "#]],
    );
}

#[test]
fn an_edited_chain() {
    check(
        &[
            ("in the middle", &|log| log.stored(700).chain = Hash([7; 32])),
            ("at the end", &|log| log.stored(1999).chain = Hash([7; 32])),
            ("before the first", &|log| log.chain = Hash([7; 32])),
        ],
        expect![[r#"
            in the middle
                rows, stored, signed: record 700 (01900000-0000-7000-8000-0000000002bc) was rewritten: its hash does not match the hash chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            at the end
                rows, stored, signed: record 1999 (01900000-0000-7000-8000-0000000007cf) was rewritten: its hash does not match the hash chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            before the first
                rows, stored, signed: record 0 (01900000-0000-7000-8000-000000000000) was rewritten: its hash does not match the hash chain
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

#[test]
fn an_edited_node() {
    check(
        &[("one of them", &|log| log.nodes[2].hash = Hash([7; 32]))],
        expect![[r#"
            one of them
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: records 512 to 767 were rewritten: they do not match the stored tree node
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}

#[test]
fn a_deleted_node() {
    check(
        &[
            ("one of them", &|log| log.nodes.retain(|stored| stored.node != Node { level: 8, index: 2 })),
            ("the last", &|log| log.nodes.truncate(log.nodes.len() - 1)),
            // Misplaced records take precedence.
            ("and records swapped", &|log| {
                log.nodes.retain(|stored| stored.node != Node { level: 8, index: 2 });
                log.rows.swap(700, 900);
                (log.rows[700].seq, log.rows[900].seq) = (700, 900);
            }),
        ],
        expect![[r#"
            one of them
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the tree node of records 512 to 767 is missing: their inclusion cannot be proved
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            the last
                rows: verified: 2000 records of 0..2000, signed up to 0 by 0 checkpoints
                stored, signed: the tree node of records 1536 to 1791 is missing: their inclusion cannot be proved
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
            and records swapped: records 700 and 900 were swapped
        "#]],
    );
}

#[test]
fn an_edited_column() {
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
        edit(&mut log.stored(704).columns);
        let id = testing::id(704).to_string();
        assert_eq!(log.verify(&[]), Err(Finding::ColumnMismatch { seq: 704, id, column }));
    }
    check(
        &[("an export has no columns", &|log| log.stored(704).columns.actor.clear())],
        expect![[r#"
            an export has no columns
                rows, stored, signed: record 704 (01900000-0000-7000-8000-0000000002c0): the column actor does not match its content
                export: verified: 2000 records of 0..2000, signed up to 1900 by 2 checkpoints
        "#]],
    );
}
