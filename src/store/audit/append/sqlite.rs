//! Writes a batch to SQLite, with statements for many rows. There are few sizes, so that each statement is prepared once.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use uuid::Uuid;

use super::layout::{EntriesByLog, Layout, NodeRow, RecordRow, Tail, WRITING};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::Hash;
use crate::store::Error;
use crate::store::audit::Head;
use crate::store::audit::convert::to_i64;

const BEGIN_AND_SELECT_HEADS: &str = "BEGIN IMMEDIATE; SELECT log, size, first, chain, range_hashes, earliest, latest FROM audit_head \
     WHERE log IN (SELECT value FROM json_each($1))";
const SELECT_EXISTING: &str = "SELECT id FROM audit_record WHERE log = $1 AND id = $2";
const COMMIT: &str = "COMMIT";
const ROLL_BACK: &str = "ROLLBACK";
const INSERT_NODES: &str = "INSERT INTO audit_node (log, level, idx, hash, earliest, latest) \
     SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5 FROM json_each(?)";
const UPSERT_HEADS: &str = "INSERT INTO audit_head (log, size, first, first_chain, chain, range_hashes, earliest, latest) \
     SELECT value ->> 0, value ->> 1, 0, zeroblob(32), unhex(value ->> 2), unhex(value ->> 3), value ->> 4, value ->> 5 \
     FROM json_each(?) WHERE true \
     ON CONFLICT (log) DO UPDATE SET size = excluded.size, chain = excluded.chain, range_hashes = excluded.range_hashes, \
     earliest = excluded.earliest, latest = excluded.latest";

/// Numbers of rows per statement. A batch uses the largest ones, because each statement wakes the thread of the connection.
const CHUNK_SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// Statements for a number of records.
struct Statements {
    /// Inserts records.
    records: &'static str,
    /// Inserts the last records of the transaction, updates heads and commits.
    last: &'static str,
    /// Like `last`, and inserts nodes.
    last_with_nodes: &'static str,
}

static STATEMENTS: LazyLock<[Statements; 5]> = LazyLock::new(|| {
    CHUNK_SIZES.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let records = format!(
            "INSERT INTO audit_record \
             (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) VALUES {values}"
        );
        Statements {
            last: format!("{records}; {UPSERT_HEADS}; {COMMIT}").leak(),
            last_with_nodes: format!("{records}; {INSERT_NODES}; {UPSERT_HEADS}; {COMMIT}").leak(),
            records: records.leak(),
        }
    })
});

type TailRow = (String, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// Begins a transaction, which locks the database for other writers, and returns the ends of logs.
pub(super) async fn begin<'a>(
    connection: &mut SqliteConnection,
    logs: &EntriesByLog<'a>,
) -> Result<BTreeMap<&'a LogName, Tail>, Error> {
    let names: Vec<&str> = logs.keys().map(|log| log.as_str()).collect();
    let rows: Vec<TailRow> = sqlx::query_as(BEGIN_AND_SELECT_HEADS)
        .bind(json!(names).to_string())
        .fetch_all(connection)
        .await
        .map_err(Error::driver(WRITING))?;
    let mut tails = BTreeMap::new();
    for (log, size, first, chain, hashes, earliest, latest) in rows {
        if let Some(log) = logs.keys().find(|one| one.as_str() == log) {
            let head = Head::from_columns(size, first, &chain, &hashes)?;
            tails.insert(*log, Tail { head, times: earliest.zip(latest) });
        }
    }
    Ok(tails)
}

/// Removes entries that exist in the database.
pub(super) async fn skip_existing(
    connection: &mut SqliteConnection,
    logs: &mut EntriesByLog<'_>,
) -> Result<(), Error> {
    for (log, entries) in logs {
        let mut existing: HashSet<Uuid> = HashSet::new();
        for entry in entries.iter() {
            let found: Option<Uuid> = sqlx::query_scalar(SELECT_EXISTING)
                .bind(log.as_str())
                .bind(entry.id())
                .fetch_optional(&mut *connection)
                .await
                .map_err(Error::driver(WRITING))?;
            existing.extend(found);
        }
        entries.retain(|entry| existing.insert(entry.id()));
    }
    Ok(())
}

/// Rolls back a failed transaction.
pub(super) async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::query(ROLL_BACK).execute(connection).await {
        // SQLite rolls back by itself after some errors, such as a full disk.
        tracing::debug!(%error, "the transaction was already rolled back");
    }
}

pub(super) async fn insert_and_commit(
    connection: &mut SqliteConnection,
    layout: &Layout<'_>,
) -> Result<(), Error> {
    let node = |node: &NodeRow<'_>| {
        let (earliest, latest) = node.times.unzip();
        json!([node.log, node.node.level, node.node.index, node.hash, earliest, latest])
    };
    let tail = |(log, _, tail): &(&LogName, u64, Tail)| {
        let (earliest, latest) = tail.times.unzip();
        let hashes: String = tail.head.range.hashes().iter().map(Hash::to_string).collect();
        json!([log, tail.head.size, tail.head.chain, hashes, earliest, latest])
    };
    let mut rows = layout.records.as_slice();
    for (size, statements) in CHUNK_SIZES.into_iter().zip(&*STATEMENTS) {
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            rows = rest;
            let query = match (rest.is_empty(), layout.nodes.is_empty()) {
                (false, _) => insert_records(statements.records, chunk),
                (true, true) => insert_records(statements.last, chunk),
                (true, false) => {
                    insert_records(statements.last_with_nodes, chunk).bind(to_json(&layout.nodes, node))
                }
            };
            let query = if rest.is_empty() { query.bind(to_json(&layout.tails, tail)) } else { query };
            query.execute(&mut *connection).await.map_err(Error::driver(WRITING))?;
        }
    }
    if layout.records.is_empty() {
        // All records existed.
        sqlx::query(COMMIT).execute(connection).await.map_err(Error::driver(WRITING))?;
    }
    Ok(())
}

fn to_json<T>(rows: &[T], json: impl FnMut(&T) -> Value) -> String {
    rows.iter().map(json).collect::<Value>().to_string()
}

fn insert_records<'q>(
    statement: &'static str,
    rows: &'q [RecordRow<'_>],
) -> Query<'q, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(statement);
    for row in rows {
        let record = row.entry.record();
        let target = record.target.as_ref();
        query = query
            .bind(record.tenant.as_str())
            .bind(to_i64(row.seq))
            .bind(record.id)
            .bind(row.entry.time())
            .bind(record.actor.user.as_str())
            .bind(record.action.as_str())
            .bind(target.map(|target| target.kind.as_str()))
            .bind(target.and_then(|target| target.namespace.as_deref()))
            .bind(target.map(|target| target.name.as_str()))
            .bind(record.outcome.as_str())
            .bind(record.completes)
            .bind(row.hash.0.as_slice())
            .bind(row.chain.0.as_slice())
            .bind(row.body.as_str());
    }
    query
}
