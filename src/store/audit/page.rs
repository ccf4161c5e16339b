//! Searches records, page by page.
//!
//! The inverted index answers most conditions. Records that are not indexed yet are scanned, and all records if the filter has no
//! indexed condition. The remaining conditions are checked for each candidate. Times are first translated to a range of positions:
//! the nodes of the lowest stored level have the times of the records below them. A page reads a limited number of rows, and
//! states from where the next page continues.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt, stream};

use super::convert::{StoredRecordRow, to_i64, to_stored_record, to_u64};
use super::log::{Audit, BLOCK_RECORDS, Page, StoredRecord};
use super::posting::{self, Term};
use super::query::{Order, SearchQuery};
use crate::domain::audit::verify::SEGMENT_RECORDS;
use crate::domain::audit::{Filter, LogName};
use crate::store::Error;
use crate::store::database::reading;

const SEARCHING: &str = "searching the audit log";

/// Number of segments per search of the index. It grows while nothing is found.
const MIN_SEGMENTS: u64 = 16;
const MAX_SEGMENTS: u64 = 4096;
/// Maximum number of segments that a page searches: 16 million records.
const MAX_PAGE_SEGMENTS: u64 = 16 << 10;
/// Number of segments per query.
const QUERY_SEGMENTS: u64 = 512;
/// Maximum number of concurrent queries: a server uses one processor for each.
const MAX_CONCURRENT_QUERIES: usize = 2;
/// Number of candidates of the index per query. It grows while none of them match.
const MIN_CANDIDATES: usize = 64;
const MAX_CANDIDATES: usize = 2000;

/// The state of a search.
struct Progress {
    /// The positions of matching records.
    seqs: Vec<u64>,
    limit: usize,
    /// The number of rows that may still be read.
    remaining_rows: u64,
}

impl Progress {
    fn missing(&self) -> usize {
        self.limit - self.seqs.len()
    }
}

impl Audit {
    /// Lists records that match a filter, newest first, before a position.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_backward(
        &self,
        log: &LogName,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, Error> {
        let head = self.read_head(log).await?;
        let until = before.map_or(head.size, |before| before.min(head.size));
        let search = SearchQuery::new(log, filter, Order::NewestFirst, head.first, until);
        self.search(self.narrow_by_time(search, head.size).await?, limit).await
    }

    /// Lists records that match a filter, oldest first, from a position on and before another one: for exports and for clients
    /// that follow a log.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_forward(
        &self,
        log: &LogName,
        filter: &Filter,
        from: u64,
        until: u64,
        limit: usize,
    ) -> Result<Page, Error> {
        let head = self.read_head(log).await?;
        let (from, until) = (from.max(head.first), until.min(head.size));
        let search = SearchQuery::new(log, filter, Order::OldestFirst, from, until);
        self.search(self.narrow_by_time(search, head.size).await?, limit).await
    }

    /// Narrows a search to the blocks with records of the requested times.
    async fn narrow_by_time<'a>(
        &self,
        mut search: SearchQuery<'a>,
        size: u64,
    ) -> Result<SearchQuery<'a>, Error> {
        const BLOCKS: &str = "SELECT MIN(idx), MAX(idx) FROM audit_node WHERE log = $1 AND level = 8 AND idx >= $2 AND idx <= $3 \
             AND latest >= $4 AND earliest < $5";
        let Filter { since, until, .. } = search.filter;
        if search.is_empty() || (since.is_none() && until.is_none()) {
            return Ok(search);
        }
        let since = since.map_or(i64::MIN, |since| since.as_microsecond());
        let until = until.map_or(i64::MAX, |until| until.as_microsecond());
        let blocks: (Option<i64>, Option<i64>) = reading!(&self.database, pool => {
            sqlx::query_as(BLOCKS)
                .bind(search.log.as_str())
                .bind(to_i64(search.from / BLOCK_RECORDS))
                .bind(to_i64((search.until - 1) / BLOCK_RECORDS))
                .bind(since)
                .bind(until)
                .fetch_one(pool)
                .await
        })
        .map_err(Error::driver(SEARCHING))?;
        let complete = size / BLOCK_RECORDS * BLOCK_RECORDS;
        let start =
            |block: Option<i64>| block.map(|block| Ok(to_u64(block, SEARCHING)? * BLOCK_RECORDS)).transpose();
        let from = start(blocks.0)?.unwrap_or(complete);
        let end = match start(blocks.1)? {
            _ if search.until > complete
                && self.last_block_overlaps(search.log, complete, since, until).await? =>
            {
                size
            }
            Some(last) => last + BLOCK_RECORDS,
            None => from,
        };
        search.from = search.from.max(from);
        search.until = search.until.min(end);
        Ok(search)
    }

    /// Whether the last block may have records of these times. It is incomplete and has no node; its times are in the head.
    async fn last_block_overlaps(
        &self,
        log: &LogName,
        complete: u64,
        since: i64,
        until: i64,
    ) -> Result<bool, Error> {
        const QUERY: &str = "SELECT size, earliest, latest FROM audit_head WHERE log = $1";
        let (size, earliest, latest): (i64, Option<i64>, Option<i64>) = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).fetch_one(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        // If another block has begun, the times of the previous one are unknown.
        let is_same = to_u64(size, SEARCHING)? / BLOCK_RECORDS * BLOCK_RECORDS == complete;
        Ok(!is_same
            || earliest.zip(latest).is_some_and(|(earliest, latest)| latest >= since && earliest < until))
    }

    async fn search(&self, search: SearchQuery<'_>, limit: usize) -> Result<Page, Error> {
        if search.is_empty() || limit == 0 {
            return Ok(Page { records: Vec::new(), next: None });
        }
        if search.matches_all() {
            let rows: Vec<StoredRecordRow> = reading!(&self.database, pool => {
                search.select_all(limit).build_query_as().fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            let is_full = rows.len() == limit;
            let records = to_stored_records(rows)?;
            let last = records.last().filter(|_| is_full);
            let next = last.and_then(|last| search.next_page(last.record.seq));
            return Ok(Page { records, next });
        }
        let mut progress = Progress { seqs: Vec::new(), limit, remaining_rows: search.max_rows() };
        let next = self.search_index_and_tail(&search, &mut progress).await?;
        let mut records = Vec::new();
        if !progress.seqs.is_empty() {
            let rows: Vec<StoredRecordRow> = reading!(&self.database, pool => {
                search.select_records(&progress.seqs).build_query_as().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            records = to_stored_records(rows)?;
            records.retain(|stored| search.filter.matches_text(&stored.record));
        }
        Ok(Page { records, next })
    }

    /// Searches the indexed records and scans the others, in the order of the search. Returns the start of the next page.
    async fn search_index_and_tail(
        &self,
        search: &SearchQuery<'_>,
        progress: &mut Progress,
    ) -> Result<Option<u64>, Error> {
        let terms = posting::terms(search.filter);
        let indexed = if terms.is_empty() { 0 } else { self.read_indexed_end(search.log).await? };
        let (index, tail) = (search.restrict(&(0..indexed)), search.restrict(&(indexed..u64::MAX)));
        let last = match search.order {
            Order::NewestFirst => match self.scan(&tail, progress).await? {
                None => self.look_up(&index, &terms, progress).await?,
                last => last,
            },
            Order::OldestFirst => match self.look_up(&index, &terms, progress).await? {
                None => self.scan(&tail, progress).await?,
                last => last,
            },
        };
        Ok(last.and_then(|last| search.next_page(last)))
    }

    /// Scans rows. Returns the last position that was read if the page ends there.
    async fn scan(&self, search: &SearchQuery<'_>, progress: &mut Progress) -> Result<Option<u64>, Error> {
        if search.is_empty() {
            return Ok(None);
        }
        let seqs: Vec<i64> = reading!(&self.database, pool => {
            let (max_rows, limit) = (progress.remaining_rows, progress.missing());
            search.select_matching(max_rows, limit).build_query_scalar().persistent(false).fetch_all(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        let seqs: Vec<u64> = seqs.into_iter().map(|seq| to_u64(seq, SEARCHING)).collect::<Result<_, _>>()?;
        progress.seqs.extend(&seqs);
        if progress.missing() == 0 {
            return Ok(seqs.last().copied());
        }
        let (scanned, last): (i64, Option<i64>) = reading!(&self.database, pool => {
            search.select_scanned(progress.remaining_rows).build_query_as().persistent(false).fetch_one(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        progress.remaining_rows = progress.remaining_rows.saturating_sub(to_u64(scanned, SEARCHING)?);
        match last {
            Some(last) if progress.remaining_rows == 0 => to_u64(last, SEARCHING).map(Some),
            _ => Ok(None),
        }
    }

    /// Searches the index, in more segments at a time the longer nothing is found. Returns the last position that was searched if
    /// the page ends there.
    async fn look_up(
        &self,
        search: &SearchQuery<'_>,
        terms: &[Term<'_>],
        progress: &mut Progress,
    ) -> Result<Option<u64>, Error> {
        if search.is_empty() {
            return Ok(None);
        }
        let mut segments = search.from / SEGMENT_RECORDS..(search.until - 1) / SEGMENT_RECORDS + 1;
        let (mut width, mut remaining) = (MIN_SEGMENTS, MAX_PAGE_SEGMENTS);
        while !segments.is_empty() {
            let length = segments.end - segments.start;
            let part = match search.order {
                Order::NewestFirst => segments.end - width.min(length)..segments.end,
                Order::OldestFirst => segments.start..segments.start + width.min(length),
            };
            let mut candidates = self.look_up_segments(search.log, terms, part.clone()).await?;
            candidates.retain(|seq| (search.from..search.until).contains(seq));
            if search.order == Order::NewestFirst {
                candidates.reverse();
            }
            if let Some(last) = self.check_candidates(search, &candidates, progress).await? {
                return Ok(Some(last));
            }
            let last = match search.order {
                Order::NewestFirst => {
                    segments.end = part.start;
                    part.start * SEGMENT_RECORDS
                }
                Order::OldestFirst => {
                    segments.start = part.end;
                    part.end * SEGMENT_RECORDS - 1
                }
            };
            remaining = remaining.saturating_sub(width);
            if remaining == 0 {
                return Ok(Some(last));
            }
            width = (width * 4).min(MAX_SEGMENTS);
        }
        Ok(None)
    }

    /// Searches segments with concurrent queries. Returns sorted positions.
    async fn look_up_segments(
        &self,
        log: &LogName,
        terms: &[Term<'_>],
        segments: Range<u64>,
    ) -> Result<Vec<u64>, Error> {
        let step = usize::try_from(QUERY_SEGMENTS).unwrap_or(usize::MAX);
        let starts = (segments.start..segments.end).step_by(step);
        let queries = starts
            .map(|start| self.search_index(log, terms, start..segments.end.min(start + QUERY_SEGMENTS)));
        stream::iter(queries).buffered(MAX_CONCURRENT_QUERIES).try_concat().await
    }

    /// Checks the remaining conditions for candidates of the index. Returns the last position that was checked if the page ends
    /// there.
    async fn check_candidates(
        &self,
        search: &SearchQuery<'_>,
        candidates: &[u64],
        progress: &mut Progress,
    ) -> Result<Option<u64>, Error> {
        let mut candidates = candidates;
        let mut width = progress.missing().max(MIN_CANDIDATES);
        while !candidates.is_empty() {
            let max_rows = usize::try_from(progress.remaining_rows).unwrap_or(usize::MAX);
            let (now, later) = candidates.split_at(width.min(max_rows).min(candidates.len()));
            let matching: Vec<i64> = reading!(&self.database, pool => {
                search.select_matching_of(now).build_query_scalar().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            progress.remaining_rows -= now.len() as u64;
            for seq in matching.into_iter().take(progress.missing()) {
                progress.seqs.push(to_u64(seq, SEARCHING)?);
            }
            if progress.missing() == 0 {
                return Ok(progress.seqs.last().copied());
            }
            if progress.remaining_rows == 0 {
                return Ok(now.last().copied());
            }
            candidates = later;
            width = (width * 4).min(MAX_CANDIDATES);
        }
        Ok(None)
    }
}

fn to_stored_records(rows: Vec<StoredRecordRow>) -> Result<Vec<StoredRecord>, Error> {
    rows.into_iter().map(|row| to_stored_record(row, SEARCHING)).collect()
}
