//! A group in SQLite: statements for many rows at once, of few sizes, so that each is prepared once.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::layout::{KeptNode, Layout, Placed, Tail};
use super::{ByLog, WRITING};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::Hash;
use crate::store::Error;
use crate::store::audit::{Head, signed};

const TAILS: &str = "SELECT log, size, first, chain, range_hashes, earliest, latest FROM audit_head \
     WHERE log IN (SELECT value FROM json_each($1))";
const KNOWN: &str = "SELECT id FROM audit_record WHERE log = $1 AND id = $2";
const NODES: &str = "INSERT INTO audit_node (log, level, idx, hash, earliest, latest) \
     SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5 FROM json_each($1)";
const HEADS: &str = "INSERT INTO audit_head (log, size, first, first_chain, chain, range_hashes, earliest, latest) \
     SELECT value ->> 0, value ->> 1, 0, zeroblob(32), unhex(value ->> 2), unhex(value ->> 3), value ->> 4, value ->> 5 \
     FROM json_each($1) WHERE true \
     ON CONFLICT (log) DO UPDATE SET size = excluded.size, chain = excluded.chain, range_hashes = excluded.range_hashes, \
     earliest = excluded.earliest, latest = excluded.latest";

/// Rows of one statement: as many as are left, in few statements. Each of them wakes the thread of the connection.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

static RECORDS: LazyLock<[&'static str; 5]> = LazyLock::new(|| {
    CHUNKS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let text = format!(
            "INSERT INTO audit_record \
             (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) VALUES {values}"
        );
        &*text.leak()
    })
});

type TailRow = (String, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// Where the logs end. Nobody else writes before this transaction ends.
pub(super) async fn tails<'a>(
    connection: &mut SqliteConnection,
    logs: &ByLog<'a>,
) -> Result<BTreeMap<&'a LogName, Tail>, Error> {
    let names: Vec<&str> = logs.keys().map(|log| log.as_str()).collect();
    let rows: Vec<TailRow> = sqlx::query_as(TAILS)
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

pub(super) async fn insert(connection: &mut SqliteConnection, layout: &Layout<'_>) -> Result<(), Error> {
    let mut rows = layout.records.as_slice();
    for (size, text) in CHUNKS.into_iter().zip(*RECORDS) {
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            insert_records(connection, text, chunk).await?;
            rows = rest;
        }
    }
    let node = |node: &KeptNode<'_>| {
        let (earliest, latest) = node.times.unzip();
        json!([node.log, node.node.level, node.node.index, node.hash, earliest, latest])
    };
    let tail = |(log, _, tail): &(&LogName, u64, Tail)| {
        let (earliest, latest) = tail.times.unzip();
        let hashes: String = tail.head.range.hashes().iter().map(Hash::to_string).collect();
        json!([log, tail.head.size, tail.head.chain, hashes, earliest, latest])
    };
    let nodes: Vec<Value> = layout.nodes.iter().map(node).collect();
    let tails: Vec<Value> = layout.tails.iter().map(tail).collect();
    for (text, rows) in [(NODES, nodes), (HEADS, tails)] {
        if !rows.is_empty() {
            let rows = Value::from(rows).to_string();
            sqlx::query(text).bind(rows).execute(&mut *connection).await.map_err(Error::driver(WRITING))?;
        }
    }
    Ok(())
}

async fn insert_records(
    connection: &mut SqliteConnection,
    text: &'static str,
    rows: &[Placed<'_>],
) -> Result<(), Error> {
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
    query.execute(connection).await.map(|_| ()).map_err(Error::driver(WRITING))
}
