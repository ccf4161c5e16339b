//! What somebody with all rights did to a database is found and named.
//!
//! Each log has 600 records: two nodes of 256 leaves are kept, and there is a checkpoint of the first 500. What is
//! changed before it cannot be hidden; what is changed after it can be, until the next one is signed.

use anyhow::{Context, Result};
use eventcenter::domain::audit::checkpoint::{Checkpoint, origin};
use eventcenter::domain::audit::merkle::{Hash, Node, Range};
use eventcenter::domain::audit::verify::Row;
use eventcenter::domain::audit::{Filter, LogName, Record, canonical_json};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{Audit, Store, StoredCheckpoint};
use expect_test::{Expect, expect};
use regex::Regex;

use super::keeper::{Keeper, key, log, options, signed, verify};
use super::on_both;
use super::place::Place;

const ALL: usize = 600;
const SIGNED: usize = 500;

/// A log that is as it was written, and somebody who is about to change that.
struct Scene {
    place: Place,
    store: Store,
    audit: Audit,
    acme: LogName,
    published: StoredCheckpoint,
}

impl Scene {
    async fn set(place: Place) -> Result<Self> {
        let acme = log("acme");
        let store = place.store().await?;
        let audit = store.audit();
        let keeper = Keeper::start(&store, options("a"))?;
        keeper.record_many(&acme, SIGNED).await?;
        let published = signed(&audit, &acme).await?;
        assert_eq!(published.size, u64::try_from(SIGNED)?);
        audit.insert_checkpoint(&acme, &published).await?;
        keeper.record_many(&acme, ALL - SIGNED).await?;
        keeper.record_many(&log("globex"), 3).await?;
        keeper.end().await?;
        let scene = Self { place, store, audit, acme, published };
        let verified = scene.verify().await?.expect("it is as it was written");
        assert_eq!((verified.records, verified.signed), (600, 500));
        Ok(scene)
    }

    async fn sql(&self, statements: &str) -> Result<()> {
        self.place.sql(statements).await
    }

    async fn verify(
        &self,
    ) -> Result<
        Result<eventcenter::domain::audit::verify::Verified, eventcenter::domain::audit::verify::Finding>,
    > {
        verify(&self.audit, &self.acme, std::slice::from_ref(&self.published)).await
    }

    /// What is found, without the ids, which differ each time.
    async fn finds(&self, expected: Expect) -> Result<()> {
        let found = match self.verify().await? {
            Ok(verified) => format!("nothing: {verified:?}"),
            Err(finding) => finding.to_string(),
        };
        let id = Regex::new("[0-9a-f]{8}-[0-9a-f-]{27}")?;
        expected.assert_eq(&id.replace_all(&found, "ID"));
        // Other logs have nothing to do with it.
        verify(&self.audit, &log("globex"), &[]).await?.expect("nobody touched it");
        self.store.close().await;
        Ok(())
    }

    async fn rows(&self, from: u64) -> Result<Vec<Row>> {
        Ok(self.audit.read_rows(&self.acme, from, 2 * ALL).await?)
    }

    /// The body of a record after somebody else has done it.
    async fn blamed(&self, seq: u64) -> Result<(String, Hash)> {
        let row = self.rows(seq).await?.into_iter().next().context("it is there")?;
        let mut record: Record = serde_json::from_slice(&row.body)?;
        record.actor.user = "mallory".to_owned();
        let body = canonical_json(&record);
        let hash = Hash::leaf(&body);
        Ok((String::from_utf8(body)?, hash))
    }

    fn bytes(&self, hash: &Hash) -> String {
        self.place.bytes(&hash.0)
    }

    fn text(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// SQL that puts another body, and its hash, and the chain from there to the end of the log.
    async fn rewritten(&self, seq: u64) -> Result<(String, Vec<Hash>)> {
        let (body, hash) = self.blamed(seq).await?;
        let before = self.rows(seq - 1).await?;
        let mut chain = before[0].stored.as_ref().context("it is kept")?.chain;
        let mut leaves: Vec<Hash> = Vec::new();
        for row in self.rows(0).await? {
            leaves.push(row.stored.context("it is kept")?.hash);
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

    /// SQL that puts the nodes and the compact range of these leaves.
    fn retold(&self, leaves: &[Hash]) -> String {
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
        let hashes = self.place.bytes(&hashes);
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
    everything_is_rewritten_that_the_database_has,
    a_column_that_is_searched_is_edited,
    a_line_of_the_index_is_changed,
    the_index_is_said_to_have_more_than_it_has,
    a_record_is_deleted_from_the_middle,
    the_tail_is_cut,
    the_tail_is_cut_and_the_head_says_so,
    the_tail_is_cut_and_hashes_over_it_are_left,
    two_are_swapped,
    one_is_inserted_in_the_middle,
    one_is_added_beside_the_journal,
    one_is_put_into_another_log,
    a_node_is_edited,
    a_node_is_deleted,
    the_whole_database_is_put_back,
    a_checkpoint_is_signed_by_somebody_else,
    a_checkpoint_is_edited,
    a_checkpoint_of_another_log_is_put_in,
}

async fn a_field_is_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let (body, _) = scene.blamed(300).await?;
    let body = Scene::text(&body);
    scene.sql(&format!("UPDATE audit_record SET body = {body} WHERE log = 'acme' AND seq = 300")).await?;
    scene.finds(expect!["record 300 (ID) was edited: its content does not match its hash"]).await
}

async fn a_field_and_its_hash_are_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let (body, hash) = scene.blamed(300).await?;
    let (body, hash) = (Scene::text(&body), scene.bytes(&hash));
    let set = format!("UPDATE audit_record SET body = {body}, hash = {hash}, actor = 'mallory'");
    scene.sql(&format!("{set} WHERE log = 'acme' AND seq = 300")).await?;
    scene.finds(expect!["record 300 (ID) was rewritten: its hash does not match the hash chain"]).await
}

async fn a_field_its_hash_and_the_chain_are_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let (statements, _) = scene.rewritten(100).await?;
    // The node above the first 256 was noted before.
    scene.sql(&statements).await?;
    scene.finds(expect!["records 0 to 255 were rewritten: they do not match the stored tree node"]).await
}

async fn the_chain_is_rewritten_after_the_last_checkpoint(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let (statements, _) = scene.rewritten(590).await?;
    scene.sql(&statements).await?;
    scene
        .finds(expect![[r#"records 500 to 599 were rewritten: they do not match the stored tree node"#]])
        .await
}

async fn everything_is_rewritten_that_the_database_has(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let (statements, leaves) = scene.rewritten(300).await?;
    scene.sql(&(statements + &scene.retold(&leaves))).await?;
    scene.finds(expect!["records between 0 and 499 were rewritten: their root does not match checkpoint 500 of the database"]).await
}

async fn a_column_that_is_searched_is_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene.sql("UPDATE audit_record SET actor = 'mallory' WHERE log = 'acme' AND seq = 300").await?;
    scene.finds(expect!["record 300 (ID): the column actor does not match its content"]).await
}

/// Somebody's records are to be found by nobody any more, and none of them is touched.
async fn a_line_of_the_index_is_changed(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let keeper = Keeper::start(&scene.store, options("a"))?;
    keeper.record_many(&scene.acme, 1600).await?;
    keeper.end().await?;
    scene.audit.index_log(&scene.acme).await?;
    let index = "SELECT * FROM audit_posting WHERE log = 'acme'";
    scene.sql(&format!("CREATE TABLE as_it_was AS {index}")).await?;
    let second = "log = 'acme' AND segment = 1";
    for tampering in [
        format!("DELETE FROM audit_posting WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET value = 'mallory' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET field = 'name' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET places = '2' WHERE {second} AND value = 'carol'"),
        format!("UPDATE audit_posting SET places = '*' WHERE {second} AND value = 'topic-7'"),
        format!("UPDATE audit_posting SET places = 'x' WHERE {second} AND value = 'topic-7'"),
        "INSERT INTO audit_posting VALUES ('acme', 1, 'actor', 'mallory', '3')".to_owned(),
        format!("DELETE FROM audit_posting WHERE {second}"),
    ] {
        scene.sql(&tampering).await?;
        let found = scene.verify().await?.expect_err(&tampering).to_string();
        expect!["the index of records 1024 to 2047 was changed: a search may miss some of them"]
            .assert_eq(&found);
        let put_back =
            "DELETE FROM audit_posting WHERE log = 'acme'; INSERT INTO audit_posting SELECT * FROM as_it_was";
        scene.sql(put_back).await?;
        let verified = scene.verify().await?.expect("it is as it was");
        assert_eq!(verified.records, 2200);
    }
    scene.store.close().await;
    Ok(())
}

/// The end of the log is not in the index, and nobody can say that it is.
async fn the_index_is_said_to_have_more_than_it_has(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let named = Filter { name: Some("topic-7".to_owned()), ..Filter::default() };
    let before = scene.audit.list_backward(&scene.acme, &named, None, 1000).await?;
    assert_eq!(before.records.len(), 30);
    scene.sql("DELETE FROM audit_indexed; INSERT INTO audit_indexed VALUES ('acme', 9)").await?;
    assert_eq!(scene.audit.list_backward(&scene.acme, &named, None, 1000).await?, before);
    // Whatever is complete is compared.
    let keeper = Keeper::start(&scene.store, options("a"))?;
    keeper.record_many(&scene.acme, 1600).await?;
    keeper.end().await?;
    scene.finds(expect!["the index of records 0 to 1023 was changed: a search may miss some of them"]).await
}

async fn a_record_is_deleted_from_the_middle(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene.sql("DELETE FROM audit_record WHERE log = 'acme' AND seq BETWEEN 300 AND 302").await?;
    scene.finds(expect!["records 300 to 302 are missing"]).await
}

async fn the_tail_is_cut(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene.sql("DELETE FROM audit_record WHERE log = 'acme' AND seq >= 590").await?;
    scene
        .finds(expect!["the log was truncated: it has 590 records, 600 according to the recorded size"])
        .await
}

/// Cuts the end off, and makes what is noted of the log fit to what is left.
async fn cut_and_noted(scene: &Scene, size: usize) -> Result<()> {
    let rows = scene.rows(0).await?;
    let kept: Vec<_> = rows.iter().take(size).filter_map(|row| row.stored.as_ref()).collect();
    let leaves: Vec<_> = kept.iter().map(|kept| kept.hash).collect();
    let chain = scene.bytes(&kept[size - 1].chain);
    let statements = format!(
        "DELETE FROM audit_record WHERE log = 'acme' AND seq >= {size};
         DELETE FROM audit_checkpoint WHERE log = 'acme' AND size > {size};
         UPDATE audit_head SET chain = {chain} WHERE log = 'acme'"
    );
    scene.sql(&(statements + &scene.retold(&leaves))).await
}

async fn the_tail_is_cut_and_hashes_over_it_are_left(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let keeper = Keeper::start(&scene.store, options("a"))?;
    keeper.record_many(&scene.acme, 600).await?;
    keeper.end().await?;
    cut_and_noted(&scene, 700).await?;
    scene
        .finds(expect!["the log was truncated: it has 700 records, 768 according to a stored tree node"])
        .await
}

async fn the_tail_is_cut_and_the_head_says_so(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    cut_and_noted(&scene, 450).await?;
    scene.sql("DELETE FROM audit_node WHERE log = 'acme' AND level = 8 AND idx >= 1").await?;
    scene
        .finds(expect![
            "the log was truncated: it has 450 records, 500 according to published checkpoint 500"
        ])
        .await
}

async fn two_are_swapped(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene
        .sql(
            "UPDATE audit_record SET seq = -1 WHERE log = 'acme' AND seq = 300;
             UPDATE audit_record SET seq = 300 WHERE log = 'acme' AND seq = 310;
             UPDATE audit_record SET seq = 310 WHERE log = 'acme' AND seq = -1",
        )
        .await?;
    scene.finds(expect!["records 300 and 310 were swapped"]).await
}

/// SQL that copies the record at 5 to another place, under another id.
fn copy_to(scene: &Scene, seq: usize) -> String {
    let id = match scene.place {
        Place::Sqlite { .. } => "randomblob(16)",
        Place::Postgres { .. } => "gen_random_uuid()",
    };
    let columns = "time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body";
    format!(
        "INSERT INTO audit_record (log, seq, id, {columns})
         SELECT log, {seq}, {id}, {columns} FROM audit_record WHERE log = 'acme' AND seq = 5"
    )
}

async fn one_is_inserted_in_the_middle(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let make_room = "UPDATE audit_record SET seq = -(seq + 1) WHERE log = 'acme' AND seq >= 300;
                     UPDATE audit_record SET seq = -seq WHERE log = 'acme' AND seq < 0";
    scene.sql(&format!("{make_room}; {}", copy_to(&scene, 300))).await?;
    scene.finds(expect!["the record at position 300 (ID) was inserted: it does not belong there"]).await
}

async fn one_is_added_beside_the_journal(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    // As the next record would be, but for what the log's head notes.
    let rows = scene.rows(599).await?;
    let mut record: Record = serde_json::from_slice(&rows[0].body)?;
    record.seq = 600;
    let body = canonical_json(&record);
    let hash = Hash::leaf(&body);
    let chain = Hash::chained(&rows[0].stored.as_ref().context("it is kept")?.chain, &hash);
    let (hash, chain) = (scene.bytes(&hash), scene.bytes(&chain));
    let body = Scene::text(&String::from_utf8(body)?);
    // No two have the same id.
    scene
        .sql(&format!(
            "DROP INDEX audit_record_id;
             INSERT INTO audit_record (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body)
             SELECT log, 600, id, time, actor, action, kind, namespace, name, outcome, completes, {hash}, {chain}, {body}
             FROM audit_record WHERE log = 'acme' AND seq = 599"
        ))
        .await?;
    scene
        .finds(expect![
            "records were added without the journal: the log has 601, 600 according to the recorded size"
        ])
        .await
}

async fn one_is_put_into_another_log(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene.sql("UPDATE audit_record SET log = 'hidden', seq = 0 WHERE log = 'acme' AND seq = 300").await?;
    let elsewhere = verify(&scene.audit, &log("hidden"), &[]).await?;
    assert!(elsewhere.is_err(), "it does not belong there: {elsewhere:?}");
    scene.finds(expect!["record 300 is missing"]).await
}

async fn a_node_is_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let other = scene.bytes(&Hash::leaf(b"something else"));
    scene
        .sql(&format!("UPDATE audit_node SET hash = {other} WHERE log = 'acme' AND level = 8 AND idx = 1"))
        .await?;
    scene.finds(expect!["records 256 to 511 were rewritten: they do not match the stored tree node"]).await
}

async fn a_node_is_deleted(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    scene.sql("DELETE FROM audit_node WHERE log = 'acme' AND level = 8 AND idx = 1").await?;
    scene
        .finds(expect!["the tree node of records 256 to 511 is missing: their inclusion cannot be proved"])
        .await
}

async fn the_whole_database_is_put_back(place: Place) -> Result<()> {
    let acme = log("acme");
    let store = place.store().await?;
    let keeper = Keeper::start(&store, options("a"))?;
    keeper.record_many(&acme, 400).await?;
    keeper.record_many(&log("globex"), 3).await?;
    keeper.end().await?;
    let early = signed(&store.audit(), &acme).await?;
    store.audit().insert_checkpoint(&acme, &early).await?;
    store.close().await;
    place.save()?;

    let store = place.store().await?;
    let keeper = Keeper::start(&store, options("a"))?;
    keeper.record_many(&acme, 100).await?;
    let published = signed(&store.audit(), &acme).await?;
    store.audit().insert_checkpoint(&acme, &published).await?;
    keeper.end().await?;
    store.close().await;
    place.put_back()?;

    let store = place.store().await?;
    let audit = store.audit();
    assert_eq!(audit.read_head(&acme).await?.size, 400, "it was put back");
    // By itself it is what it was once; only what was published tells.
    let alone = verify(&audit, &acme, &[]).await?.expect("it is as it was written");
    assert_eq!((alone.records, alone.signed), (400, 400));
    Scene { place, store, audit, acme, published }
        .finds(expect![
            "the log was truncated: it has 400 records, 500 according to published checkpoint 500"
        ])
        .await
}

async fn a_checkpoint_is_signed_by_somebody_else(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let mallory = SigningKey::from_seed(&"66".repeat(32))?;
    let root = Hash::leaf(b"something else");
    let forged = Checkpoint { origin: origin("test", &scene.acme), size: 600, root }.sign(&mallory);
    let forged = Scene::text(&forged);
    scene
        .sql(&format!(
            "INSERT INTO audit_checkpoint (log, size, note, time) VALUES ('acme', 600, {forged}, 0)"
        ))
        .await?;
    scene
        .finds(expect!["checkpoint 600 of the database is not trusted: it is not signed by a trusted key"])
        .await
}

async fn a_checkpoint_is_edited(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    // The signature stays, and what is said is something else.
    let other =
        Checkpoint { size: 499, ..Checkpoint::parse_unverified(&scene.published.note)? }.sign(&key().0);
    let (text, _) = other.split_once("\n\n").context("a note has a signature")?;
    let (_, signature) = scene.published.note.split_once("\n\n").context("a note has a signature")?;
    let edited = Scene::text(&format!("{text}\n\n{signature}"));
    scene.sql(&format!("UPDATE audit_checkpoint SET note = {edited} WHERE log = 'acme'")).await?;
    scene.finds(expect!["checkpoint 500 of the database is not trusted: the signature is invalid"]).await
}

async fn a_checkpoint_of_another_log_is_put_in(place: Place) -> Result<()> {
    let scene = Scene::set(place).await?;
    let other = signed(&scene.audit, &log("globex")).await?;
    let other = Scene::text(&other.note);
    scene.sql(&format!("UPDATE audit_checkpoint SET note = {other} WHERE log = 'acme'")).await?;
    scene.finds(expect![[r#"checkpoint 500 of the database is not trusted: the origin is "test/audit/globex", expected is "test/audit/acme""#]]).await
}
