//! Attacks by somebody who can change a database or an export, and knows what `eventctl audit verify` compares.

use eventcenter::domain::audit::merkle::{Hash, Range};
use eventcenter::domain::audit::{Action, Actor, Event, Outcome, Via};
use eventcenter::store::Store;
use regex::Regex;

use super::archive::{Archive, Clock, shop};

const VERIFY_EXPORT: &str = "verify --file edited.ndjson --key keys.txt";
const VERIFY_STORE: &str = "verify --store sqlite:audit.db --key keys.txt --tenant shop";

/// The address space that has to be enough, in KiB: less than the checkpoints of a large file have.
const LIMIT_KIB: u64 = 280_000;

/// The number of records, and the sizes of the checkpoints. The records are a minute apart.
const RECORDS: u64 = 900;
const CHECKPOINTS: [u64; 2] = [100, 900];

/// An archive whose database and export have both checkpoints.
async fn archive() -> Archive {
    let archive = Archive::create(RECORDS, CHECKPOINTS[0], Clock::Minutes).await;
    let store = archive.open().await;
    sign_and_export(&archive, &store).await;
    store.close().await;
    archive
}

/// Signs the whole log, and exports it with all checkpoints of the database.
async fn sign_and_export(archive: &Archive, store: &Store) {
    let signed = archive.sign(store, &shop()).await;
    store.audit().insert_checkpoint(&shop(), &signed).await.expect("the checkpoint is stored");
    let mut stored = store.audit().list_checkpoints(&shop(), 100).await.expect("checkpoints");
    stored.reverse();
    let notes: Vec<&str> = stored.iter().map(|checkpoint| checkpoint.note.as_str()).collect();
    archive.export(store, &notes).await;
}

/// The line of a record in an export with both checkpoints.
fn line_of(record: usize) -> usize {
    1 + CHECKPOINTS.len() + record
}

fn edit(lines: &mut [String], at: usize) {
    let edited = lines[at].replace("alice", "mallory");
    assert_ne!(edited, lines[at]);
    lines[at] = edited;
}

/// SQL that removes records and claims that the retention dropped them.
fn drop_sql(until: u64) -> String {
    format!(
        "UPDATE audit_head SET first = {until}, first_chain = \
         (SELECT chain FROM audit_record WHERE log = 'shop' AND seq = {until} - 1) WHERE log = 'shop'; \
         DELETE FROM audit_record WHERE log = 'shop' AND seq < {until}"
    )
}

/// The event that the operator records before it drops records.
fn drop_event(from: u64, until: u64) -> Event {
    let actor = Actor { user: "operator-0".into(), groups: Vec::new(), via: Via::Controllers };
    let message = format!("records {from} to {}, which are older than 2026-01-01T00:00:00Z", until - 1);
    Event { message: Some(message), ..Event::new(shop(), actor, Action::DropRecords, Outcome::Started) }
}

#[tokio::test]
async fn checkpoints_are_removed_from_an_export() {
    let archive = archive().await;
    archive.write_edited(|_| {});
    archive.check(VERIFY_EXPORT, 0, "shop: 900 records (0 to 899) are intact");
    // All but the smallest.
    archive.write_edited(|lines| {
        edit(lines, line_of(500));
        lines.remove(2);
    });
    archive.check(
        VERIFY_EXPORT,
        2,
        "shop: records 100 to 899 are not signed, although they were written within ",
    );
    archive.check(VERIFY_EXPORT, 2, "shop: 100 records (0 to 99) are intact");
    archive.check(&format!("{VERIFY_EXPORT} --signing-delay 2000h"), 0, "100 records (0 to 99) are intact");
    archive.check(
        &format!("{VERIFY_EXPORT} --checkpoint late.note"),
        1,
        "records between 100 and 899 were rewritten",
    );
    archive.write_edited(|lines| {
        edit(lines, line_of(500));
        lines.drain(1..3);
    });
    archive.check(VERIFY_EXPORT, 2, "shop: no checkpoint with a trusted signature covers the 900 records");
    // Nothing is left.
    archive.write_edited(|lines| {
        lines.truncate(1);
        lines[0] = lines[0].replace("\"size\":900", "\"size\":0");
        lines.push("{\"end\":{\"records\":0}}".into());
    });
    archive.check(VERIFY_EXPORT, 2, "shop: no checkpoint with a trusted signature covers the log");
}

/// Without a later checkpoint a file can be shortened to an earlier one, and continued: the result says what is not signed.
#[tokio::test]
async fn later_records_claim_to_be_of_the_last_interval() {
    let archive = archive().await;
    let time = Regex::new("\"time\":\"[^\"]*\"").expect("a pattern");
    archive.write_edited(|lines| {
        for line in &mut lines[line_of(100)..line_of(900)] {
            *line = time.replace(line, "\"time\":\"2026-09-21T13:00:00Z\"").into_owned();
        }
        lines.remove(2);
    });
    archive.check(VERIFY_EXPORT, 0, "shop: 100 records (0 to 99) are intact");
    archive.check(
        VERIFY_EXPORT,
        0,
        "no checkpoint covers the last 800 records yet: nothing shows that they are as they were written",
    );
    archive.check(
        &format!("{VERIFY_EXPORT} --checkpoint late.note"),
        1,
        "records between 100 and 899 were rewritten",
    );
}

#[tokio::test]
async fn checkpoints_are_removed_from_a_database() {
    let archive = archive().await;
    archive.check(VERIFY_STORE, 0, "shop: 900 records (0 to 899) are intact");
    archive.sql("DELETE FROM audit_checkpoint WHERE size > 100").await;
    archive.check(
        VERIFY_STORE,
        2,
        "shop: records 100 to 899 are not signed, although they were written within",
    );
    archive.check(&format!("{VERIFY_STORE} -o json"), 2, "\"right\": false");
    archive.sql("DELETE FROM audit_checkpoint").await;
    archive.check(VERIFY_STORE, 2, "shop: no checkpoint with a trusted signature covers the 900 records");
    archive.check(&format!("{VERIFY_STORE} --checkpoint late.note"), 0, "900 records (0 to 899) are intact");
}

/// A log without a head is not listed, but its checkpoints are.
#[tokio::test]
async fn a_log_is_hidden() {
    let archive = archive().await;
    let verify = "verify --store sqlite:audit.db --key keys.txt";
    archive.sql("UPDATE audit_head SET size = 0, range_hashes = x'' WHERE log = 'shop'").await;
    archive.check(verify, 1, "shop: records were added without the journal: the log has 900, 0 according to");
    archive
        .sql("DELETE FROM audit_head WHERE log = 'shop'; DELETE FROM audit_record WHERE log = 'shop'")
        .await;
    archive.sql("DELETE FROM audit_node WHERE log = 'shop'").await;
    archive.check(verify, 1, "shop: the log was truncated: it has 0 records, 900 according to");
    archive.check(verify, 1, "_platform: 3 records (0 to 2) are intact");
}

/// The gap of one record.
fn gap(line: &str) -> String {
    let record = line.strip_prefix("{\"record\":").and_then(|line| line.strip_suffix('}')).expect("a record");
    let seq: serde_json::Value = serde_json::from_str(record).expect("JSON");
    let seq = seq["seq"].as_u64().expect("a position");
    let mut range = Range::empty(seq);
    range.push(Hash::leaf(record.as_bytes()), |_, _| {});
    format!("{{\"gap\":{}}}", serde_json::to_string(&range).expect("JSON"))
}

/// Replaces records by gaps.
fn hide(lines: &mut [String], is_hidden: impl Fn(&str) -> bool) {
    let mut hidden = 0;
    for line in lines.iter_mut().filter(|line| line.starts_with("{\"record\"") && is_hidden(line)) {
        *line = gap(line);
        hidden += 1;
    }
    *lines.last_mut().expect("an end") = format!("{{\"end\":{{\"records\":{}}}}}", RECORDS - hidden);
}

#[tokio::test]
async fn records_are_replaced_by_gaps() {
    let archive = archive().await;
    let refused = "record 500 was left out: an export without a filter contains every record";
    archive.write_edited(|lines| hide(lines, |line| line.contains("\"seq\":500,")));
    archive.check(VERIFY_EXPORT, 1, refused);
    archive.write_edited(|lines| hide(lines, |_| true));
    archive.check(
        VERIFY_EXPORT,
        1,
        "record 0 was left out: an export without a filter contains every record",
    );

    // The header claims a filter.
    let with_filter = |lines: &mut Vec<String>, filter: &str| {
        lines[0] = lines[0].replace("\"filter\":{}", &format!("\"filter\":{filter}"));
    };
    archive.write_edited(|lines| {
        hide(lines, |_| true);
        with_filter(lines, "{\"actor\":\"nobody\"}");
    });
    let filtered = "the export has the filter actor \"nobody\" and leaves out 900 of 900 records";
    archive.check(VERIFY_EXPORT, 2, filtered);
    archive.check(&format!("{VERIFY_EXPORT} --filtered"), 0, filtered);
    archive.write_edited(|lines| {
        hide(lines, |line| line.contains("\"seq\":500,"));
        with_filter(lines, "{\"outcome\":\"Denied\"}");
    });
    archive.check(
        VERIFY_EXPORT,
        1,
        "record 0 (ID) does not match the filter that the export names: outcome Denied",
    );
    archive.check(&format!("{VERIFY_EXPORT} --filtered"), 1, "does not match the filter");
}

#[tokio::test]
async fn records_are_removed_and_claimed_to_be_dropped() {
    let unproven = "shop: records 0 to 255 are missing: no record shows that the retention dropped them";
    let archive = archive().await;
    archive.sql(&drop_sql(256)).await;
    archive.check(VERIFY_STORE, 1, unproven);
    let store = archive.open().await;
    sign_and_export(&archive, &store).await;
    store.close().await;
    archive.write_edited(|_| {});
    archive.check(VERIFY_EXPORT, 1, unproven);
    // The attacker adds the record, which is not signed.
    let store = archive.open().await;
    archive.record(&store, [drop_event(0, 256)]).await;
    let stored = store.audit().list_checkpoints(&shop(), 1).await.expect("checkpoints");
    archive.export(&store, &[&stored[0].note]).await;
    store.close().await;
    archive.write_edited(|_| {});
    let unsigned = "shop: records 0 to 255 are missing: record 900 says that the retention dropped them, but is not signed";
    archive.check(VERIFY_STORE, 2, unsigned);
    archive.check(VERIFY_EXPORT, 2, unsigned);
}

#[tokio::test]
async fn recorded_drops_are_proven() {
    let archive = archive().await;
    let store = archive.open().await;
    archive.record(&store, [drop_event(0, 256)]).await;
    assert_eq!(store.audit().drop_before(&shop(), 256).await.expect("dropped"), 256);
    sign_and_export(&archive, &store).await;
    store.close().await;
    archive.write_edited(|_| {});
    archive.check(VERIFY_STORE, 0, "record 900 shows that the retention dropped the first 256 records");
    archive.check(VERIFY_EXPORT, 0, "record 900 shows that the retention dropped the first 256 records");
    // More than the retention dropped.
    archive.sql(&drop_sql(512)).await;
    archive.check(
        VERIFY_STORE,
        1,
        "shop: records 0 to 511 are missing: no record shows that the retention dropped them",
    );
    // With a filter that the record of the drop does not match.
    archive.write_edited(|lines| {
        let records = lines.iter_mut().filter(|line| line.contains("\"DropRecords\""));
        records.for_each(|line| *line = gap(line));
        lines[0] = lines[0].replace("\"filter\":{}", "\"filter\":{\"actor\":\"alice\"}");
        let end = lines.last_mut().expect("an end");
        *end = end.replace("645", "644");
    });
    let omitted = "records 0 to 255 are missing: the export does not contain the record which shows";
    archive.check(&format!("{VERIFY_EXPORT} --filtered"), 2, omitted);
}

/// Each checkpoint is verified when it is read, and only its values are kept.
#[tokio::test]
async fn checkpoints_need_little_memory() {
    let archive = archive().await;
    archive.write_edited(|lines| {
        let note = format!("{{\"checkpoint\":\"{}\"}}", "x".repeat(1_000_000));
        lines.splice(1..1, std::iter::repeat_n(note, 300));
    });
    let too_long = "the checkpoint in line 2 is not trusted: not a signed checkpoint: the note is too long";
    archive.check_within(LIMIT_KIB, VERIFY_EXPORT, 1, too_long);
    archive.check_within(LIMIT_KIB, "verify --file edited.ndjson --unsigned", 0, "no signature was verified");
    archive.write_edited(|lines| {
        let note = lines[1].clone();
        lines.splice(1..1, std::iter::repeat_n(note, 2_000));
    });
    archive.check(VERIFY_EXPORT, 2, "line 1002: more than 1000 checkpoints");
}
