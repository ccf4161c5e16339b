//! Writes a batch to PostgreSQL, with one statement per table.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::layout::{EntriesByLog, Layout, Tail, WRITING};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::Hash;
use crate::store::Error;
use crate::store::audit::Head;
use crate::store::audit::convert::to_i64;

const LOCK_HEADS: &str = "SELECT log, size, first, chain, range_hashes, earliest, latest FROM audit_head \
     WHERE log = ANY ($1) ORDER BY log FOR UPDATE";
const INSERT_HEADS: &str = "INSERT INTO audit_head (log, size, first, first_chain, chain, range_hashes) \
     SELECT log, 0, 0, $2, $2, ''::bytea FROM UNNEST($1::text[]) AS log ORDER BY log ON CONFLICT (log) DO NOTHING";
const SELECT_EXISTING: &str = "SELECT id FROM audit_record WHERE log = $1 AND id = ANY ($2)";
const INSERT_RECORDS: &str = "INSERT INTO audit_record \
     (log, seq, id, time, actor, action, kind, namespace, name, outcome, completes, hash, chain, body) \
     SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], \
     $9::text[], $10::text[], $11::uuid[], $12::bytea[], $13::bytea[], $14::text[])";
const INSERT_NODES: &str = "INSERT INTO audit_node (log, level, idx, hash, earliest, latest) \
     SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bigint[])";
const UPDATE_HEADS: &str = "UPDATE audit_head AS head SET size = new.size, chain = new.chain, range_hashes = new.range_hashes, \
     earliest = new.earliest, latest = new.latest \
     FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[]) \
     AS new (log, before, size, chain, range_hashes, earliest, latest) WHERE head.log = new.log AND head.size = new.before";

type TailRow = (String, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// Locks the ends of logs until the transaction ends, and returns them.
pub(super) async fn lock_tails<'a>(
    connection: &mut PgConnection,
    logs: &EntriesByLog<'a>,
) -> Result<BTreeMap<&'a LogName, Tail>, Error> {
    let names: Vec<&str> = logs.keys().map(|log| log.as_str()).collect();
    let mut rows = lock_heads(connection, &names).await?;
    if rows.len() < names.len() {
        sqlx::query(INSERT_HEADS)
            .bind(&names)
            .bind(Hash([0; 32]).0.as_slice())
            .execute(&mut *connection)
            .await
            .map_err(Error::driver(WRITING))?;
        rows = lock_heads(connection, &names).await?;
    }
    let mut tails = BTreeMap::new();
    for (log, size, first, chain, hashes, earliest, latest) in rows {
        if let Some(log) = logs.keys().find(|one| one.as_str() == log) {
            let head = Head::from_columns(size, first, &chain, &hashes)?;
            tails.insert(*log, Tail { head, times: earliest.zip(latest) });
        }
    }
    Ok(tails)
}

async fn lock_heads(connection: &mut PgConnection, names: &[&str]) -> Result<Vec<TailRow>, Error> {
    sqlx::query_as(LOCK_HEADS).bind(names).fetch_all(connection).await.map_err(Error::driver(WRITING))
}

/// Removes entries that exist in the database.
pub(super) async fn skip_existing(
    connection: &mut PgConnection,
    logs: &mut EntriesByLog<'_>,
) -> Result<(), Error> {
    for (log, entries) in logs {
        let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id()).collect();
        let existing: Vec<Uuid> = sqlx::query_scalar(SELECT_EXISTING)
            .bind(log.as_str())
            .bind(ids)
            .fetch_all(&mut *connection)
            .await
            .map_err(Error::driver(WRITING))?;
        let mut existing: HashSet<Uuid> = existing.into_iter().collect();
        entries.retain(|entry| existing.insert(entry.id()));
    }
    Ok(())
}

pub(super) async fn insert(connection: &mut PgConnection, layout: &Layout<'_>) -> Result<(), Error> {
    if layout.records.is_empty() {
        return Ok(());
    }
    insert_records(connection, layout).await?;
    if !layout.nodes.is_empty() {
        insert_nodes(connection, layout).await?;
    }
    let tails = &layout.tails;
    let updated = sqlx::query(UPDATE_HEADS)
        .bind(tails.iter().map(|(log, _, _)| log.as_str()).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, size_before, _)| to_i64(*size_before)).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, _, tail)| to_i64(tail.head.size)).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, _, tail)| tail.head.chain.0.to_vec()).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, _, tail)| tail.head.range_hashes()).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, _, tail)| tail.times.map(|times| times.0)).collect::<Vec<_>>())
        .bind(tails.iter().map(|(_, _, tail)| tail.times.map(|times| times.1)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map_err(Error::driver(WRITING))?;
    match updated.rows_affected() == tails.len() as u64 {
        true => Ok(()),
        false => Err(Error::Corrupt {
            operation: WRITING,
            problem: "the size of a log changed within the transaction".to_owned(),
        }),
    }
}

async fn insert_records(connection: &mut PgConnection, layout: &Layout<'_>) -> Result<(), Error> {
    let rows = &layout.records;
    let records = || rows.iter().map(|row| row.entry.record());
    let targets = || records().map(|record| record.target.as_ref());
    sqlx::query(INSERT_RECORDS)
        .bind(records().map(|record| record.tenant.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| to_i64(row.seq)).collect::<Vec<_>>())
        .bind(records().map(|record| record.id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.entry.time()).collect::<Vec<_>>())
        .bind(records().map(|record| record.actor.user.as_str()).collect::<Vec<_>>())
        .bind(records().map(|record| record.action.as_str()).collect::<Vec<_>>())
        .bind(targets().map(|target| target.map(|target| target.kind.as_str())).collect::<Vec<_>>())
        .bind(
            targets().map(|target| target.and_then(|target| target.namespace.as_deref())).collect::<Vec<_>>(),
        )
        .bind(targets().map(|target| target.map(|target| target.name.as_str())).collect::<Vec<_>>())
        .bind(records().map(|record| record.outcome.as_str()).collect::<Vec<_>>())
        .bind(records().map(|record| record.completes).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.hash.0.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.chain.0.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.body.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(Error::driver(WRITING))
}

async fn insert_nodes(connection: &mut PgConnection, layout: &Layout<'_>) -> Result<(), Error> {
    let nodes = &layout.nodes;
    sqlx::query(INSERT_NODES)
        .bind(nodes.iter().map(|node| node.log.as_str()).collect::<Vec<_>>())
        .bind(nodes.iter().map(|node| i64::from(node.node.level)).collect::<Vec<_>>())
        .bind(nodes.iter().map(|node| to_i64(node.node.index)).collect::<Vec<_>>())
        .bind(nodes.iter().map(|node| node.hash.0.as_slice()).collect::<Vec<_>>())
        .bind(nodes.iter().map(|node| node.times.map(|times| times.0)).collect::<Vec<_>>())
        .bind(nodes.iter().map(|node| node.times.map(|times| times.1)).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(Error::driver(WRITING))
}
