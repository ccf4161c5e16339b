//! Detects changes of what a database derives from the records: the times by which searches and the retention skip records, and
//! the end of the log, which new records continue.

use anyhow::Result;
use eventcenter::domain::audit::Filter;
use eventcenter::domain::audit::merkle::Hash;
use eventcenter::store::Error;
use expect_test::expect;

use super::database::TestDatabase;
use super::journal::signed;
use super::on_both;
use super::tamper::TestLog;

on_both! {
    the_times_of_a_node_are_changed,
    the_times_of_the_last_records_are_changed,
    the_chain_of_the_end_is_changed,
    the_hashes_of_the_end_are_changed,
    changed_times_do_not_cause_a_drop,
}

/// A search by time skips the node, and so does an export.
async fn the_times_of_a_node_are_changed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let all = Filter { since: Some(jiff::Timestamp::UNIX_EPOCH), ..Filter::default() };
    let count =
        async || anyhow::Ok(test.audit.list_forward(&test.acme, &all, 0, 1000, 1000).await?.records.len());
    assert_eq!(count().await?, 600);
    test.sql("UPDATE audit_node SET earliest = -1, latest = -1 WHERE log = 'acme' AND level = 8 AND idx = 0")
        .await?;
    assert_eq!(count().await?, 344);
    test.expect_finding(expect![
        "the times of the tree node of records 0 to 255 were changed: a search by time may miss some of them"
    ])
    .await
}

async fn the_times_of_the_last_records_are_changed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    test.sql("UPDATE audit_head SET earliest = 0, latest = 0 WHERE log = 'acme'").await?;
    test.expect_finding(expect![
        "the column earliest of audit_head does not match the 600 records of the log"
    ])
    .await
}

async fn the_chain_of_the_end_is_changed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let other = test.bytes(&Hash::leaf(b"something else"));
    test.sql(&format!("UPDATE audit_head SET chain = {other} WHERE log = 'acme'")).await?;
    test.expect_finding(expect!["the column chain of audit_head does not match the 600 records of the log"])
        .await
}

/// All records are signed, so they cannot be the changed part.
async fn the_hashes_of_the_end_are_changed(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let all = signed(&test.audit, &test.acme).await?;
    test.audit.insert_checkpoint(&test.acme, &all).await?;
    let head = test.audit.read_head(&test.acme).await?;
    let hashes = hex::decode(format!("{:02x}", 7).repeat(32 * head.range.hashes().len()))?;
    let hashes = test.bytes_of(&hashes);
    test.sql(&format!("UPDATE audit_head SET range_hashes = {hashes} WHERE log = 'acme'")).await?;
    test.expect_finding(expect![
        "the column range_hashes of audit_head does not match the 600 records of the log"
    ])
    .await
}

/// The retention reads the times of the records themselves, whose hashes it compares.
async fn changed_times_do_not_cause_a_drop(database: TestDatabase) -> Result<()> {
    let test = TestLog::create(database).await?;
    let long_ago = jiff::Timestamp::from_second(1_000_000_000)?;
    assert_eq!(test.audit.find_first_since(&test.acme, long_ago).await?, 0);
    test.sql(
        "UPDATE audit_node SET earliest = 0, latest = 0 WHERE log = 'acme'; UPDATE audit_record SET time = 0",
    )
    .await?;
    assert_eq!(test.audit.find_first_since(&test.acme, long_ago).await?, 0);
    // The contents as well.
    for row in test.rows(0).await? {
        let mut record: eventcenter::domain::audit::Record = serde_json::from_slice(&row.body)?;
        record.time = jiff::Timestamp::UNIX_EPOCH;
        let body =
            String::from_utf8(eventcenter::domain::audit::canonical_json(&record))?.replace('\'', "''");
        test.sql(&format!(
            "UPDATE audit_record SET body = '{body}' WHERE log = 'acme' AND seq = {}",
            row.seq
        ))
        .await?;
    }
    let found = test.audit.find_first_since(&test.acme, long_ago).await;
    test.store.close().await;
    match found {
        Err(Error::Corrupt { problem, .. }) => {
            expect!["records 0 to 511 of the log acme do not match their nodes"].assert_eq(&problem);
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}
