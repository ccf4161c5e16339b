//! Verifying a whole log: one task reads it, and a thread compares.

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::rows::Rows;
use super::{Audit, Head};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Node};
use crate::domain::audit::verify::{Finding, Found, Part, Posting, SEGMENT, Verified, Verifier, Witnesses};
use crate::store::Error;

const VERIFYING: &str = "verifying the audit log";

/// How many rows are read at a time.
const ROWS: u64 = 2 * SEGMENT;

/// How many parts are asked for at once: a database works on the next while the one before is on its way.
const AT_ONCE: usize = 3;

/// How many parts may wait to be compared, so that the memory is bounded.
const AHEAD: usize = 4;

/// How far beyond the end of a log is looked for what is left of records that were there: a million.
const BEYOND: u64 = 1 << 20;

/// What is read at a time.
struct Read {
    rows: Rows,
    nodes: Vec<(Node, Hash)>,
    index: Vec<(u64, Vec<Posting>)>,
}

impl Audit {
    /// Reads a log from the first record that is there, and compares everything that is said of it twice. `told` is told how
    /// many records of how many have been read.
    ///
    /// # Errors
    /// The database does not answer, or has what it cannot have from us.
    pub async fn verify(
        &self,
        log: &LogName,
        witnesses: &Witnesses,
        mut told: impl FnMut(u64, u64),
    ) -> Result<Result<Verified, Box<Found>>, Error> {
        loop {
            let head = self.head(log).await?;
            let verdict = self.verify_from(log, &head, witnesses.clone(), &mut told).await?;
            if let Err(found) = &verdict
                && let Finding::Missing { from, .. } | Finding::Index { from, .. } = found.finding
                && self.head(log).await?.first > from.max(head.first)
            {
                // The retention has dropped them meanwhile.
                continue;
            }
            return Ok(verdict);
        }
    }

    async fn verify_from(
        &self,
        log: &LogName,
        head: &Head,
        witnesses: Witnesses,
        told: &mut impl FnMut(u64, u64),
    ) -> Result<Result<Verified, Box<Found>>, Error> {
        let dropped = self.range(log, 0, head.first).await?;
        let chain = self.chain_before(log).await?;
        let verifier = Verifier::new(log.clone(), dropped, chain, witnesses);
        let (sender, receiver) = mpsc::channel(AHEAD);
        let comparing = tokio::task::spawn_blocking(move || compare(verifier, receiver));
        let noted = self.read(log, head, sender, told).await?;
        let compared = comparing.await.map_err(|ended| Error::away(VERIFYING, ended))??;
        Ok(compared.and_then(|verifier| {
            let verified = verifier.end(Some(noted.size)).and_then(|verified| verified.noted(&noted.range));
            verified.map_err(|finding| Box::new(Found { finding, body: Vec::new() }))
        }))
    }

    /// Reads all rows, and says where the log ends by what the database notes. Records that are written meanwhile are read as
    /// well, so that the note and the rows are of one moment.
    async fn read(
        &self,
        log: &LogName,
        head: &Head,
        parts: mpsc::Sender<Read>,
        told: &mut impl FnMut(u64, u64),
    ) -> Result<Head, Error> {
        let (mut from, mut noted) = (head.first, head.clone());
        let indexed = self.indexed(log).await? / SEGMENT;
        'reading: loop {
            // Parts are read ahead, as if no record were missing.
            let begin = from;
            let starts = (0..).map_while(move |number: u64| begin.checked_add(number.checked_mul(ROWS)?));
            // Boxed, so that it can be dropped: what is not asked any more holds on to its connection.
            let mut ahead =
                stream::iter(starts).map(|start| self.part(log, start, indexed)).buffered(AT_ONCE).boxed();
            let none = loop {
                let Some((part, next)) = ahead.try_next().await? else { return Ok(noted) };
                let Some(next) = next else { break part };
                let is_whole = from.checked_add(ROWS) == Some(next);
                from = next;
                told(from, noted.size.max(from));
                if parts.send(part).await.is_err() {
                    // Something was found, and nothing can be said of what follows.
                    return Ok(noted);
                }
                if !is_whole {
                    continue 'reading;
                }
            };
            drop(ahead);
            let beyond = self.nodes(log, from, from.saturating_add(BEYOND)).await?;
            let before = std::mem::replace(&mut noted, self.head(log).await?);
            if noted.size > from && noted.size != before.size {
                continue;
            }
            if noted.size <= from {
                // Whoever has cut the end off and says nothing of it may have left hashes over it.
                drop(parts.send(Read { nodes: beyond, ..none }).await);
            }
            return Ok(noted);
        }
    }

    /// Rows from a place on, what goes with them, and the place after the last of them, if there are any.
    async fn part(&self, log: &LogName, from: u64, indexed: u64) -> Result<(Read, Option<u64>), Error> {
        let until = from.saturating_add(ROWS);
        let segments = (from / SEGMENT).min(indexed)..(until / SEGMENT).min(indexed);
        let rows = Rows::read(&self.database, log, from, usize::try_from(ROWS).unwrap_or(usize::MAX)).await?;
        let nodes = self.nodes(log, from, until).await?;
        let index = self.postings(log, segments).await?;
        let next = rows.last()?.map(|last| last.saturating_add(1));
        // What goes with rows that are not among these is read with those.
        let read = next.unwrap_or(from);
        let is_over =
            |(node, _): &(Node, Hash)| (u128::from(node.index) + 1) << node.level <= u128::from(read);
        let nodes = nodes.into_iter().filter(is_over).collect();
        let index = index.into_iter().filter(|(from, _)| from + SEGMENT <= read).collect();
        Ok((Read { rows, nodes, index }, next))
    }
}

fn compare(
    mut verifier: Verifier,
    mut parts: mpsc::Receiver<Read>,
) -> Result<Result<Verifier, Box<Found>>, Error> {
    while let Some(Read { rows, nodes, index }) = parts.blocking_recv() {
        let part = Part { rows: rows.unpack()?, nodes, index };
        if let Err(found) = verifier.part(part) {
            return Ok(Err(found));
        }
    }
    Ok(Ok(verifier))
}
