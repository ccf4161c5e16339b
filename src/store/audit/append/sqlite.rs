//! A group in SQLite: statements for many rows at once, of few sizes, so that each is prepared once.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use uuid::Uuid;

use super::layout::{KeptNode, Layout, Placed, Tail};
use super::{ByLog, WRITING};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::Hash;
use crate::store::Error;
use crate::store::audit::{Head, signed};

const BEGIN: &str = "BEGIN IMMEDIATE; SELECT log, size, first, chain, range_hashes, earliest, latest FROM audit_head \
     WHERE log IN (SELECT value FROM json_each($1))";
const KNOWN: &str = "SELECT id FROM audit_record WHERE log = $1 AND id = $2";
const COMMIT: &str = "COMMIT";
const ROLL_BACK: &str = "ROLLBACK";
const NODES: &str = "INSERT INTO audit_node (log, level, idx, hash, earliest, latest) \
     SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5 FROM json_each(?)";
const HEADS: &str = "INSERT INTO audit_head (log, size, first, first_chain, chain, range_hashes, earliest, latest) \
     SELECT value ->> 0, value ->> 1, 0, zeroblob(32), unhex(value ->> 2), unhex(value ->> 3), value ->> 4, value ->> 5 \
     FROM json_each(?) WHERE true \
     ON CONFLICT (log) DO UPDATE SET size = excluded.size, chain = excluded.chain, range_hashes = excluded.range_hashes, \
     earliest = excluded.earliest, latest = excluded.latest";

/// Rows of one statement: as many as are left, in few statements. Each of them wakes the thread of the connection.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

/// Statements for so many records.
struct Texts {
    /// These records and no more.
    alone: &'static str,
    /// They are the last of the transaction, with heads.
    last: &'static str,
    /// The same with nodes before the heads.
    last_with_nodes: &'static str,
}

static TEXTS: LazyLock<[Texts; 5]> = LazyLock::new(|| {
    CHUNKS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let records = format!(
            "INSERT INTO audit_record \
             (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) VALUES {values}"
        );
        Texts {
            last: format!("{records}; {HEADS}; {COMMIT}").leak(),
            last_with_nodes: format!("{records}; {NODES}; {HEADS}; {COMMIT}").leak(),
            alone: records.leak(),
        }
    })
});

type TailRow = (String, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// Begins, and says where the logs end. Nobody else writes before this transaction ends.
pub(super) async fn begin<'a>(
    connection: &mut SqliteConnection,
    logs: &ByLog<'a>,
) -> Result<BTreeMap<&'a LogName, Tail>, Error> {
    let names: Vec<&str> = logs.keys().map(|log| log.as_str()).collect();
    let rows: Vec<TailRow> = sqlx::query_as(BEGIN)
        .bind(json!(names).to_string())
        .fetch_all(connection)
        .await
        .map_err(Error::driver(WRITING))?;
    let mut tails = BTreeMap::new();
    for (log, size, first, chain, hashes, earliest, latest) in rows {
        if let Some(log) = logs.keys().find(|one| one.as_str() == log) {
            let head = Head::read(size, first, &chain, &hashes)?;
            tails.insert(*log, Tail { head, times: earliest.zip(latest) });
        }
    }
    Ok(tails)
}

/// What is there already is not written once more.
pub(super) async fn leave_out_known(
    connection: &mut SqliteConnection,
    logs: &mut ByLog<'_>,
) -> Result<(), Error> {
    for (log, entries) in logs {
        let mut known: HashSet<Uuid> = HashSet::new();
        for entry in entries.iter() {
            let found: Option<Uuid> = sqlx::query_scalar(KNOWN)
                .bind(log.as_str())
                .bind(entry.id())
                .fetch_optional(&mut *connection)
                .await
                .map_err(Error::driver(WRITING))?;
            known.extend(found);
        }
        entries.retain(|entry| known.insert(entry.id()));
    }
    Ok(())
}

/// Ends a transaction in which something went wrong.
pub(super) async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(error) = sqlx::query(ROLL_BACK).execute(connection).await {
        // SQLite has ended it by itself, as it does if the disk is full.
        tracing::debug!(%error, "a transaction was over already");
    }
}

pub(super) async fn insert_and_commit(
    connection: &mut SqliteConnection,
    layout: &Layout<'_>,
) -> Result<(), Error> {
    let node = |node: &KeptNode<'_>| {
        let (earliest, latest) = node.times.unzip();
        json!([node.log, node.node.level, node.node.index, node.hash, earliest, latest])
    };
    let tail = |(log, _, tail): &(&LogName, u64, Tail)| {
        let (earliest, latest) = tail.times.unzip();
        let hashes: String = tail.head.range.hashes().iter().map(Hash::to_string).collect();
        json!([log, tail.head.size, tail.head.chain, hashes, earliest, latest])
    };
    let mut rows = layout.records.as_slice();
    for (size, texts) in CHUNKS.into_iter().zip(&*TEXTS) {
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            rows = rest;
            let query = match (rest.is_empty(), layout.nodes.is_empty()) {
                (false, _) => of_records(texts.alone, chunk),
                (true, true) => of_records(texts.last, chunk),
                (true, false) => of_records(texts.last_with_nodes, chunk).bind(json_of(&layout.nodes, node)),
            };
            let query = if rest.is_empty() { query.bind(json_of(&layout.tails, tail)) } else { query };
            query.execute(&mut *connection).await.map_err(Error::driver(WRITING))?;
        }
    }
    if layout.records.is_empty() {
        // All of them were there.
        sqlx::query(COMMIT).execute(connection).await.map_err(Error::driver(WRITING))?;
    }
    Ok(())
}

fn json_of<T>(rows: &[T], json: impl FnMut(&T) -> Value) -> String {
    rows.iter().map(json).collect::<Value>().to_string()
}

fn of_records<'q>(text: &'static str, rows: &'q [Placed<'_>]) -> Query<'q, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(text);
    for row in rows {
        let record = row.entry.record();
        let target = record.target.as_ref();
        query = query
            .bind(record.tenant.as_str())
            .bind(signed(row.seq))
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
