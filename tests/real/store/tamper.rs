//! Detects tampering by a user with all permissions in the database.
//!
//! Each log has 600 records: two nodes of 256 leaves are stored, and there is a checkpoint of the first 500 records. Changes before
//! it cannot be hidden; changes after it can, until the next checkpoint is signed.

use anyhow::{Context, Result};
use eventcenter::domain::audit::checkpoint::{Checkpoint, origin};
use eventcenter::domain::audit::merkle::{Hash, Node, Range};
use eventcenter::domain::audit::verify::Row;
use eventcenter::domain::audit::{Filter, LogName, Record, canonical_json};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{Audit, Store, StoredCheckpoint};
use expect_test::{Expect, expect};
use regex::Regex;

use super::database::TestDatabase;
use super::journal::{TestJournal, key, log, options, signed, verify};
use super::on_both;

const RECORDS: usize = 600;
const SIGNED: usize = 500;

/// A log to tamper with.
pub(super) struct TestLog {
    database: TestDatabase,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) acme: LogName,
    published: StoredCheckpoint,
}

impl TestLog {
    pub(super) async fn create(database: TestDatabase) -> Result<Self> {
        let acme = log("acme");
        let store = database.store().await?;
        let audit = store.audit();
        let journal = TestJournal::start(&store, options("a"))?;
        journal.record_many(&acme, SIGNED).await?;
        let published = signed(&audit, &acme).await?;
        assert_eq!(published.size, u64::try_from(SIGNED)?);
        audit.insert_checkpoint(&acme, &published).await?;
        journal.record_many(&acme, RECORDS - SIGNED).await?;
        journal.record_many(&log("globex"), 3).await?;
        journal.stop().await?;
        let test = Self { database, store, audit, acme, published };
        let verified = test.verify().await?.expect("no finding");
        assert_eq!((verified.records, verified.signed), (600, 500));
        Ok(test)
    }

    pub(super) async fn sql(&self, statements: &str) -> Result<()> {
        self.database.sql(statements).await
    }

    pub(super) async fn verify(
        &self,
    ) -> Result<
        Result<eventcenter::domain::audit::verify::Verified, eventcenter::domain::audit::verify::Finding>,
    > {
        verify(&self.audit, &self.acme, std::slice::from_ref(&self.published)).await
    }

    /// Checks the finding. Ids, which are random, are replaced.
    pub(super) async fn expect_finding(&self, expected: Expect) -> Result<()> {
        let found = match self.verify().await? {
            Ok(verified) => format!("no finding: {verified:?}"),
            Err(finding) => finding.to_string(),
        };
        let id = Regex::new("[0-9a-f]{8}-[0-9a-f-]{27}")?;
        expected.assert_eq(&id.replace_all(&found, "ID"));
        // Other logs are not affected.
        verify(&self.audit, &log("globex"), &[]).await?.expect("no finding");
        self.store.close().await;
        Ok(())
    }

    pub(super) async fn rows(&self, from: u64) -> Result<Vec<Row>> {
        Ok(self.audit.read_rows(&self.acme, from, 2 * RECORDS).await?)
    }

    /// The body and hash of a record with another actor.
    async fn forge_actor(&self, seq: u64) -> Result<(String, Hash)> {
        let row = self.rows(seq).await?.into_iter().next().context("a row")?;
        let mut record: Record = serde_json::from_slice(&row.body)?;
        record.actor.user = "mallory".to_owned();
        let body = canonical_json(&record);
        let hash = Hash::leaf(&body);
        Ok((String::from_utf8(body)?, hash))
    }

    pub(super) fn bytes(&self, hash: &Hash) -> String {
        self.database.bytes(&hash.0)
    }

    /// Bytes as an SQL literal.
    pub(super) fn bytes_of(&self, bytes: &[u8]) -> String {
        self.database.bytes(bytes)
    }

    fn text(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// SQL that changes a body, its hash, and the chain up to the end of the log. Also returns all leaves.
    async fn rewrite_sql(&self, seq: u64) -> Result<(String, Vec<Hash>)> {
        let (body, hash) = self.forge_actor(seq).await?;
        let before = self.rows(seq - 1).await?;
        let mut chain = before[0].stored.as_ref().context("stored values")?.chain;
        let mut leaves: Vec<Hash> = Vec::new();
        for row in self.rows(0).await? {
            leaves.push(row.stored.context("stored values")?.hash);
        }
        leaves[usize::try_from(seq)?] = hash;
        let mut statements = format!(
            "UPDATE audit_record SET body = {}, hash = {}, actor = 'mallory' WHERE log = 'acme' AND seq = {seq}",
            Self::text(&body),
            self.bytes(&hash),
        );
        for (at, leaf) in leaves.iter().enumerate().skip(usize::try_from(seq)?) {
            chain = Hash::chained(&chain, leaf);
            let chain = self.bytes(&chain);
            statements +=
                &format!("; UPDATE audit_record SET chain = {chain} WHERE log = 'acme' AND seq = {at}");
        }
        statements += &format!("; UPDATE audit_head SET chain = {} WHERE log = 'acme'", self.bytes(&chain));
        Ok((statements, leaves))
    }

    /// SQL that stores the nodes and the compact range of leaves.
    fn nodes_sql(&self, leaves: &[Hash]) -> String {
        let mut range = Range::empty(0);
        let mut statements = String::new();
        for leaf in leaves {
            range.push(*leaf, |Node { level, index }, hash| {
                if level > 0 && level.is_multiple_of(8) {
                    let hash = self.bytes(&hash);
                    statements += &format!(
                        "; UPDATE audit_node SET hash = {hash} WHERE log = 'acme' AND level = {level} AND idx = {index}"
                    );
                }
            });
        }
        let hashes: Vec<u8> = range.hashes().iter().flat_map(|hash| hash.0).collect();
        let hashes = self.database.bytes(&hashes);
        statements
            + &format!(
                "; UPDATE audit_head SET range_hashes = {hashes}, size = {} WHERE log = 'acme'",
                range.end()
            )
    }
}

on_both! {
    a_field_is_edited,
    a_field_and_its_hash_are_edited,
    a_field_its_hash_and_the_chain_are_edited,
    the_chain_is_rewritten_after_the_last_checkpoint,
    the_whole_database_is_rewritten,
    a_searched_column_is_edited,
    a_posting_is_changed,
    the_indexed_end_is_overstated,
    a_record_is_deleted_from_the_middle,
    the_log_is_truncated,
    the_log_is_truncated_with_its_recorded_size,
    the_log_is_truncated_without_its_nodes,
    two_records_are_swapped,
    a_record_is_inserted,
    a_record_is_added_without_the_journal,
    a_record_is_moved_to_another_log,
    a_node_is_edited,
    a_node_is_deleted,
    an_old_database_is_restored,
    a_checkpoint_has_another_key,
    a_checkpoint_is_edited,
    a_checkpoint_is_of_another_log,
}

async fn a_field_is_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let (body, _) = test.forge_actor(300).await?;
    let body = TestLog::text(&body);
    test.sql(&format!("UPDATE audit_record SET body = {body} WHERE log = 'acme' AND seq = 300")).await?;
    test.expect_finding(expect!["record 300 (ID) was edited: its content does not match its hash"]).await
}

async fn a_field_and_its_hash_are_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let (body, hash) = test.forge_actor(300).await?;
    let (body, hash) = (TestLog::text(&body), test.bytes(&hash));
    let set = format!("UPDATE audit_record SET body = {body}, hash = {hash}, actor = 'mallory'");
    test.sql(&format!("{set} WHERE log = 'acme' AND seq = 300")).await?;
    test.expect_finding(expect!["record 300 (ID) was rewritten: its hash does not match the hash chain"])
        .await
}

async fn a_field_its_hash_and_the_chain_are_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let (statements, _) = test.rewrite_sql(100).await?;
    // The node of the first 256 records is not changed.
    test.sql(&statements).await?;
    test.expect_finding(expect!["records 0 to 255 were rewritten: they do not match the stored tree node"])
        .await
}

async fn the_chain_is_rewritten_after_the_last_checkpoint(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let (statements, _) = test.rewrite_sql(590).await?;
    test.sql(&statements).await?;
    test.expect_finding(expect![[
        r#"records 500 to 599 were rewritten: they do not match the stored tree node"#
    ]])
    .await
}

async fn the_whole_database_is_rewritten(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let (statements, leaves) = test.rewrite_sql(300).await?;
    test.sql(&(statements + &test.nodes_sql(&leaves))).await?;
    test.expect_finding(expect![
        "records between 0 and 499 were rewritten: their root does not match checkpoint 500 of the database"
    ])
    .await
}

async fn a_searched_column_is_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("UPDATE audit_record SET actor = 'mallory' WHERE log = 'acme' AND seq = 300").await?;
    test.expect_finding(expect!["record 300 (ID): the column actor does not match its content"]).await
}

/// Hides the records of an actor from searches, without changing them.
async fn a_posting_is_changed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let journal = TestJournal::start(&test.store, options("a"))?;
    journal.record_many(&test.acme, 1600).await?;
    journal.stop().await?;
    test.audit.index_log(&test.acme).await?;
    let index = "SELECT * FROM audit_posting WHERE log = 'acme'";
    test.sql(&format!("CREATE TABLE saved_posting AS {index}")).await?;
    let second = "log = 'acme' AND segment = 1";
    for statement in [
        format!("DELETE FROM audit_posting WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET value = 'mallory' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET field = 'name' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET places = '2' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET places = '*' WHERE {second} AND value = 'topic-7'"),
        format!("UPDATE audit_posting SET places = 'x' WHERE {second} AND value = 'topic-7'"),
        "INSERT INTO audit_posting VALUES ('acme', 1, 'actor', 'mallory', '3')".to_owned(),
        format!("DELETE FROM audit_posting WHERE {second}"),
    ] {
        test.sql(&statement).await?;
        let found = test.verify().await?.expect_err(&statement).to_string();
        expect!["the index of records 1024 to 2047 was changed: a search may miss some of them"]
            .assert_eq(&found);
        let restore = "DELETE FROM audit_posting WHERE log = 'acme'; INSERT INTO audit_posting SELECT * FROM saved_posting";
        test.sql(restore).await?;
        let verified = test.verify().await?.expect("no finding");
        assert_eq!(verified.records, 2200);
    }
    test.store.close().await;
    Ok(())
}

/// Incomplete segments never count as indexed.
async fn the_indexed_end_is_overstated(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let named = Filter { name: Some("topic-7".to_owned()), ..Filter::default() };
    let before = test.audit.list_backward(&test.acme, &named, None, 1000).await?;
    assert_eq!(before.records.len(), 30);
    test.sql("DELETE FROM audit_indexed; INSERT INTO audit_indexed VALUES ('acme', 9)").await?;
    assert_eq!(test.audit.list_backward(&test.acme, &named, None, 1000).await?, before);
    // Complete segments are compared.
    let journal = TestJournal::start(&test.store, options("a"))?;
    journal.record_many(&test.acme, 1600).await?;
    journal.stop().await?;
    test.expect_finding(expect!["the index of records 0 to 1023 was changed: a search may miss some of them"])
        .await
}

async fn a_record_is_deleted_from_the_middle(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("DELETE FROM audit_record WHERE log = 'acme' AND seq BETWEEN 300 AND 302").await?;
    test.expect_finding(expect!["records 300 to 302 are missing"]).await
}

async fn the_log_is_truncated(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("DELETE FROM audit_record WHERE log = 'acme' AND seq >= 590").await?;
    test.expect_finding(expect![
        "the log was truncated: it has 590 records, 600 according to the recorded size"
    ])
    .await
}

/// Truncates the log and adapts its head.
async fn truncate_with_head(test: &TestLog, size: usize) -> Result<()> {
    let rows = test.rows(0).await?;
    let kept: Vec<_> = rows.iter().take(size).filter_map(|row| row.stored.as_ref()).collect();
    let leaves: Vec<_> = kept.iter().map(|kept| kept.hash).collect();
    let chain = test.bytes(&kept[size - 1].chain);
    let statements = format!(
        "DELETE FROM audit_record WHERE log = 'acme' AND seq >= {size};
         DELETE FROM audit_checkpoint WHERE log = 'acme' AND size > {size};
         UPDATE audit_head SET chain = {chain} WHERE log = 'acme'"
    );
    test.sql(&(statements + &test.nodes_sql(&leaves))).await
}

async fn the_log_is_truncated_without_its_nodes(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let journal = TestJournal::start(&test.store, options("a"))?;
    journal.record_many(&test.acme, 600).await?;
    journal.stop().await?;
    truncate_with_head(&test, 700).await?;
    test.expect_finding(expect![
        "the log was truncated: it has 700 records, 768 according to a stored tree node"
    ])
    .await
}

async fn the_log_is_truncated_with_its_recorded_size(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    truncate_with_head(&test, 450).await?;
    test.sql("DELETE FROM audit_node WHERE log = 'acme' AND level = 8 AND idx >= 1").await?;
    test.expect_finding(expect![
        "the log was truncated: it has 450 records, 500 according to published checkpoint 500"
    ])
    .await
}

async fn two_records_are_swapped(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql(
        "UPDATE audit_record SET seq = -1 WHERE log = 'acme' AND seq = 300;
             UPDATE audit_record SET seq = 300 WHERE log = 'acme' AND seq = 310;
             UPDATE audit_record SET seq = 310 WHERE log = 'acme' AND seq = -1",
    )
    .await?;
    test.expect_finding(expect!["records 300 and 310 were swapped"]).await
}

/// SQL that copies record 5 to another position, with another id.
fn copy_sql(test: &TestLog, seq: usize) -> String {
    let id = match test.database {
        TestDatabase::Sqlite { .. } => "randomblob(16)",
        TestDatabase::Postgres { .. } => "gen_random_uuid()",
    };
    let columns = "time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body";
    format!(
        "INSERT INTO audit_record (log, seq, id, {columns})
         SELECT log, {seq}, {id}, {columns} FROM audit_record WHERE log = 'acme' AND seq = 5"
    )
}

async fn a_record_is_inserted(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let make_room = "UPDATE audit_record SET seq = -(seq + 1) WHERE log = 'acme' AND seq >= 300;
                     UPDATE audit_record SET seq = -seq WHERE log = 'acme' AND seq < 0";
    test.sql(&format!("{make_room}; {}", copy_sql(&test, 300))).await?;
    test.expect_finding(expect!["the record at position 300 (ID) was inserted: it does not belong there"])
        .await
}

async fn a_record_is_added_without_the_journal(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    // A correct next record, without a change of the head.
    let rows = test.rows(599).await?;
    let mut record: Record = serde_json::from_slice(&rows[0].body)?;
    record.seq = 600;
    let body = canonical_json(&record);
    let hash = Hash::leaf(&body);
    let chain = Hash::chained(&rows[0].stored.as_ref().context("stored values")?.chain, &hash);
    let (hash, chain) = (test.bytes(&hash), test.bytes(&chain));
    let body = TestLog::text(&String::from_utf8(body)?);
    // The id exists already.
    test
        .sql(&format!(
            "DROP INDEX audit_record_id;
             INSERT INTO audit_record (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body)
             SELECT log, 600, id, time, actor, action, kind, namespace, name, outcome, completes, {hash}, {chain}, {body}
             FROM audit_record WHERE log = 'acme' AND seq = 599"
        ))
        .await?;
    test.expect_finding(expect![
        "records were added without the journal: the log has 601, 600 according to the recorded size"
    ])
    .await
}

async fn a_record_is_moved_to_another_log(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("UPDATE audit_record SET log = 'hidden', seq = 0 WHERE log = 'acme' AND seq = 300").await?;
    let hidden = verify(&test.audit, &log("hidden"), &[]).await?;
    assert!(hidden.is_err(), "{hidden:?}");
    test.expect_finding(expect!["record 300 is missing"]).await
}

async fn a_node_is_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let other = test.bytes(&Hash::leaf(b"something else"));
    test.sql(&format!("UPDATE audit_node SET hash = {other} WHERE log = 'acme' AND level = 8 AND idx = 1"))
        .await?;
    test.expect_finding(expect!["records 256 to 511 were rewritten: they do not match the stored tree node"])
        .await
}

async fn a_node_is_deleted(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("DELETE FROM audit_node WHERE log = 'acme' AND level = 8 AND idx = 1").await?;
    test.expect_finding(expect![
        "the tree node of records 256 to 511 is missing: their inclusion cannot be proved"
    ])
    .await
}

async fn an_old_database_is_restored(database: TestDatabase) -> Result<()> {
    let acme = log("acme");
    let store = database.store().await?;
    let journal = TestJournal::start(&store, options("a"))?;
    journal.record_many(&acme, 400).await?;
    journal.record_many(&log("globex"), 3).await?;
    journal.stop().await?;
    let early = signed(&store.audit(), &acme).await?;
    store.audit().insert_checkpoint(&acme, &early).await?;
    store.close().await;
    database.save()?;

    let store = database.store().await?;
    let journal = TestJournal::start(&store, options("a"))?;
    journal.record_many(&acme, 100).await?;
    let published = signed(&store.audit(), &acme).await?;
    store.audit().insert_checkpoint(&acme, &published).await?;
    journal.stop().await?;
    store.close().await;
    database.restore()?;

    let store = database.store().await?;
    let audit = store.audit();
    assert_eq!(audit.read_head(&acme).await?.size, 400, "restored");
    // The database alone is consistent; only the published checkpoint reveals it.
    let alone = verify(&audit, &acme, &[]).await?.expect("no finding");
    assert_eq!((alone.records, alone.signed), (400, 400));
    TestLog { database, store, audit, acme, published }
        .expect_finding(expect![
            "the log was truncated: it has 400 records, 500 according to published checkpoint 500"
        ])
        .await
}

async fn a_checkpoint_has_another_key(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let mallory = SigningKey::from_seed(&"66".repeat(32))?;
    let root = Hash::leaf(b"something else");
    let forged = Checkpoint { origin: origin("test", &test.acme), size: 600, root }.sign(&mallory);
    let forged = TestLog::text(&forged);
    test.sql(&format!(
        "INSERT INTO audit_checkpoint (log, size, note, time) VALUES ('acme', 600, {forged}, 0)"
    ))
    .await?;
    test.expect_finding(expect![
        "checkpoint 600 of the database is not trusted: it is not signed by a trusted key"
    ])
    .await
}

async fn a_checkpoint_is_edited(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    // The signature of another text.
    let other =
        Checkpoint { size: 499, ..Checkpoint::parse_unverified(&test.published.note)? }.sign(&key().0);
    let (text, _) = other.split_once("\n\n").context("a note has a signature")?;
    let (_, signature) = test.published.note.split_once("\n\n").context("a note has a signature")?;
    let edited = TestLog::text(&format!("{text}\n\n{signature}"));
    test.sql(&format!("UPDATE audit_checkpoint SET note = {edited} WHERE log = 'acme'")).await?;
    test.expect_finding(expect!["checkpoint 500 of the database is not trusted: the signature is invalid"])
        .await
}

async fn a_checkpoint_is_of_another_log(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let other = signed(&test.audit, &log("globex")).await?;
    let other = TestLog::text(&other.note);
    test.sql(&format!("UPDATE audit_checkpoint SET note = {other} WHERE log = 'acme'")).await?;
    test.expect_finding(expect![[r#"checkpoint 500 of the database is not trusted: the origin is "test/audit/globex", expected is "test/audit/acme""#]]).await
}
