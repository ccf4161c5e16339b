//! Verifies a whole log: one task reads it, and a blocking thread compares.

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::log::Audit;
use super::rows::Rows;
use crate::domain::audit::LogName;
use crate::domain::audit::verify::{
    Batch, Finding, Mismatch, Posting, SEGMENT_RECORDS, StoredEnd, StoredNode, TrustedCheckpoints, Verified,
    Verifier,
};
use crate::store::Error;

const VERIFYING: &str = "verifying the audit log";

/// Number of rows per batch.
const BATCH_ROWS: u64 = 2 * SEGMENT_RECORDS;

/// Number of batches that are read concurrently, so that the database works while a response is transferred.
const MAX_CONCURRENT_READS: usize = 3;

/// Maximum number of batches that wait to be compared, to limit memory.
const MAX_QUEUED_BATCHES: usize = 4;

/// Number of positions after the end of a log that are searched for nodes of deleted records: a million.
const MAX_TRAILING_RECORDS: u64 = 1 << 20;

/// A batch before decoding.
struct EncodedBatch {
    rows: Rows,
    nodes: Vec<StoredNode>,
    index: Vec<(u64, Vec<Posting>)>,
}

impl Audit {
    /// Reads a log from its first record on and compares all redundant values. Calls `on_progress` with the number of records
    /// read and the size of the log.
    ///
    /// # Errors
    /// The database is unavailable, or contains values that cannot be decoded.
    pub async fn verify(
        &self,
        log: &LogName,
        checkpoints: &TrustedCheckpoints,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Result<Verified, Box<Mismatch>>, Error> {
        loop {
            let first = self.read_head(log).await?.first;
            let result = self.verify_from(log, first, checkpoints.clone(), &mut on_progress).await?;
            if let Err(mismatch) = &result
                && let Finding::Missing { from, .. } | Finding::IndexMismatch { from, .. } = mismatch.finding
                && self.read_head(log).await?.first > from.max(first)
            {
                // The retention dropped these records during the verification.
                continue;
            }
            return Ok(result);
        }
    }

    async fn verify_from(
        &self,
        log: &LogName,
        first: u64,
        checkpoints: TrustedCheckpoints,
        on_progress: &mut impl FnMut(u64, u64),
    ) -> Result<Result<Verified, Box<Mismatch>>, Error> {
        let dropped = self.read_range(log, 0, first).await?;
        let chain = self.read_first_chain(log).await?;
        let verifier = Verifier::new(log.clone(), dropped, chain, checkpoints);
        let (sender, receiver) = mpsc::channel(MAX_QUEUED_BATCHES);
        let comparing = tokio::task::spawn_blocking(move || compare(verifier, receiver));
        let end = self.read_batches(log, first, sender, on_progress).await?;
        let result = comparing.await.map_err(|error| Error::unavailable(VERIFYING, error))??;
        Ok(result.and_then(|verifier| {
            let verified = verifier.finish(Some(end.size)).and_then(|verified| verified.verify_end(&end));
            verified.map_err(|finding| Box::new(Mismatch { finding, body: Vec::new() }))
        }))
    }

    /// Reads all rows, including those that are written meanwhile, and returns the end of the log as of the last row.
    async fn read_batches(
        &self,
        log: &LogName,
        first: u64,
        batches: mpsc::Sender<EncodedBatch>,
        on_progress: &mut impl FnMut(u64, u64),
    ) -> Result<StoredEnd, Error> {
        let (mut from, mut end) = (first, self.read_end(log).await?);
        let indexed_segments = self.read_indexed_end(log).await? / SEGMENT_RECORDS;
        'reading: loop {
            // Batches are read ahead on the assumption that no record is missing.
            let start = from;
            let starts =
                (0..).map_while(move |number: u64| start.checked_add(number.checked_mul(BATCH_ROWS)?));
            // Boxed, so that it can be dropped: unfinished reads hold a connection.
            let mut read_ahead = stream::iter(starts)
                .map(|start| self.read_batch(log, start, indexed_segments))
                .buffered(MAX_CONCURRENT_READS)
                .boxed();
            let empty = loop {
                let Some((batch, next)) = read_ahead.try_next().await? else { return Ok(end) };
                let Some(next) = next else { break batch };
                let is_complete = from.checked_add(BATCH_ROWS) == Some(next);
                from = next;
                on_progress(from, end.size.max(from));
                if batches.send(batch).await.is_err() {
                    // There is a finding; later batches do not matter.
                    return Ok(end);
                }
                if !is_complete {
                    continue 'reading;
                }
            };
            drop(read_ahead);
            let trailing = self.read_nodes(log, from, from.saturating_add(MAX_TRAILING_RECORDS)).await?;
            let previous = std::mem::replace(&mut end, self.read_end(log).await?);
            if end.size > from && end.size != previous.size {
                continue;
            }
            if end.size <= from {
                // Nodes after the end reveal a truncated log whose recorded size was changed.
                drop(batches.send(EncodedBatch { nodes: trailing, ..empty }).await);
            }
            return Ok(end);
        }
    }

    /// Reads the rows from a position on, the nodes and indexes that they complete, and the position after the last row.
    async fn read_batch(
        &self,
        log: &LogName,
        from: u64,
        indexed_segments: u64,
    ) -> Result<(EncodedBatch, Option<u64>), Error> {
        let until = from.saturating_add(BATCH_ROWS);
        let segments =
            (from / SEGMENT_RECORDS).min(indexed_segments)..(until / SEGMENT_RECORDS).min(indexed_segments);
        let limit = usize::try_from(BATCH_ROWS).unwrap_or(usize::MAX);
        let rows = Rows::read(&self.database, log, from, limit).await?;
        let nodes = self.read_nodes(log, from, until).await?;
        let index = self.read_postings(log, segments).await?;
        let next = rows.last()?.map(|last| last.saturating_add(1));
        // Nodes and indexes that later rows complete are read again with those.
        let end = next.unwrap_or(from);
        let is_complete = |StoredNode { node, .. }: &StoredNode| {
            (u128::from(node.index) + 1) << node.level <= u128::from(end)
        };
        let nodes = nodes.into_iter().filter(is_complete).collect();
        let index = index.into_iter().filter(|(start, _)| start + SEGMENT_RECORDS <= end).collect();
        Ok((EncodedBatch { rows, nodes, index }, next))
    }
}

fn compare(
    mut verifier: Verifier,
    mut batches: mpsc::Receiver<EncodedBatch>,
) -> Result<Result<Verifier, Box<Mismatch>>, Error> {
    while let Some(EncodedBatch { rows, nodes, index }) = batches.blocking_recv() {
        let batch = Batch { rows: rows.decode()?, nodes, index };
        if let Err(mismatch) = verifier.verify_batch(batch) {
            return Ok(Err(mismatch));
        }
    }
    Ok(Ok(verifier))
}
