//! A group in SQLite: statements for many rows at once, of few sizes, so that each is prepared once.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::layout::{Layout, Placed, Tail};
use super::{ByLog, WRITING};
use crate::domain::audit::LogName;
use crate::store::Error;
use crate::store::audit::{Head, signed};

const TAIL: &str = "SELECT size, first, chain, range_hashes, earliest, latest FROM audit_head WHERE log = $1";
const KNOWN: &str = "SELECT id FROM audit_record WHERE log = $1 AND id = $2";
const NODE: &str =
    "INSERT INTO audit_node (log, level, idx, hash, earliest, latest) VALUES ($1, $2, $3, $4, $5, $6)";
const HEAD: &str = "INSERT INTO audit_head (log, size, first, first_chain, chain, range_hashes, earliest, latest) \
     VALUES ($1, $2, 0, zeroblob(32), $3, $4, $5, $6) \
     ON CONFLICT (log) DO UPDATE SET size = excluded.size, chain = excluded.chain, range_hashes = excluded.range_hashes, \
     earliest = excluded.earliest, latest = excluded.latest";

/// Rows of one statement: as many as are left, in the fewest statements.
const CHUNKS: [usize; 3] = [64, 8, 1];

static RECORDS: LazyLock<[&'static str; 3]> = LazyLock::new(|| {
    CHUNKS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let text = format!(
            "INSERT INTO audit_record \
             (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) VALUES {values}"
        );
        &*text.leak()
    })
});

type TailRow = (i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// Where the logs end. Nobody else writes before this transaction ends.
pub(super) async fn tails<'a>(
    connection: &mut SqliteConnection,
    logs: &ByLog<'a>,
) -> Result<BTreeMap<&'a LogName, Tail>, Error> {
    let mut tails = BTreeMap::new();
    for log in logs.keys() {
        let row: Option<TailRow> = sqlx::query_as(TAIL)
            .bind(log.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(Error::driver(WRITING))?;
        if let Some((size, first, chain, hashes, earliest, latest)) = row {
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
    for node in &layout.nodes {
        sqlx::query(NODE)
            .bind(node.log.as_str())
            .bind(i64::from(node.node.level))
            .bind(signed(node.node.index))
            .bind(node.hash.0.as_slice())
            .bind(node.times.map(|times| times.0))
            .bind(node.times.map(|times| times.1))
            .execute(&mut *connection)
            .await
            .map_err(Error::driver(WRITING))?;
    }
    for (log, _, tail) in &layout.tails {
        sqlx::query(HEAD)
            .bind(log.as_str())
            .bind(signed(tail.head.size))
            .bind(tail.head.chain.0.as_slice())
            .bind(tail.head.hashes())
            .bind(tail.times.map(|times| times.0))
            .bind(tail.times.map(|times| times.1))
            .execute(&mut *connection)
            .await
            .map_err(Error::driver(WRITING))?;
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
