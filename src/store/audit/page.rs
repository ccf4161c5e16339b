//! Finding records.
//!
//! What the inverted index knows is looked up in it; the end of the log, which is not in the index yet, is looked through,
//! and so is everything if nothing is asked for that the index knows. Whatever else is asked for is tried on what was found.
//! Times become places first: the nodes of the lowest level that is kept tell of which times the records below are. So many
//! rows are looked at and no more, and the page says how far it has come.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt, stream};

use super::posting::{self, SEGMENT, Term};
use super::record::{StoredRow, count, stored};
use super::search::{Order, Search};
use super::{Audit, BLOCK, Page, Stored, signed};
use crate::domain::audit::{Filter, LogName};
use crate::store::Error;
use crate::store::database::reading;

const SEARCHING: &str = "searching the audit log";

/// Segments that are looked up at once: at first and at most.
const SEGMENTS: (u64, u64) = (16, 4096);
/// Segments that a page looks up: 16 million records.
const MOST_SEGMENTS: u64 = 16 << 10;
/// How many of them are looked up by one question, and how many questions are asked at once: a server answers each of them
/// with one of its processors.
const SLICE: (u64, usize) = (512, 2);
/// Rows that the index has found and that are tried at once: at first and at most.
const ROWS: (usize, usize) = (64, 2000);

/// What a search has found, and how many rows it may still look at.
struct Found {
    places: Vec<u64>,
    limit: usize,
    left: u64,
}

impl Found {
    fn wanted(&self) -> usize {
        self.limit - self.places.len()
    }
}

impl Audit {
    /// Records that pass a filter, newest first, before a place.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn page(
        &self,
        log: &LogName,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, Error> {
        let head = self.head(log).await?;
        let until = before.map_or(head.size, |before| before.min(head.size));
        let search = Search::new(log, filter, Order::NewestFirst, head.first, until);
        self.search(self.narrowed(search, head.size).await?, limit).await
    }

    /// Records that pass a filter, oldest first, from a place on and before another: for exports and for those who follow a
    /// log.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn following(
        &self,
        log: &LogName,
        filter: &Filter,
        from: u64,
        until: u64,
        limit: usize,
    ) -> Result<Page, Error> {
        let head = self.head(log).await?;
        let (from, until) = (from.max(head.first), until.min(head.size));
        let search = Search::new(log, filter, Order::OldestFirst, from, until);
        self.search(self.narrowed(search, head.size).await?, limit).await
    }

    /// Only where records are of the times that are asked for.
    async fn narrowed<'a>(&self, mut search: Search<'a>, size: u64) -> Result<Search<'a>, Error> {
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
                .bind(signed(search.from / BLOCK))
                .bind(signed((search.until - 1) / BLOCK))
                .bind(since)
                .bind(until)
                .fetch_one(pool)
                .await
        })
        .map_err(Error::driver(SEARCHING))?;
        let complete = size / BLOCK * BLOCK;
        let place = |block: Option<i64>| block.map(|block| Ok(count(block, SEARCHING)? * BLOCK)).transpose();
        let from = place(blocks.0)?.unwrap_or(complete);
        let end = match place(blocks.1)? {
            _ if search.until > complete && self.last_has(search.log, complete, since, until).await? => size,
            Some(last) => last + BLOCK,
            None => from,
        };
        search.from = search.from.max(from);
        search.until = search.until.min(end);
        Ok(search)
    }

    /// Whether records of the last block may be of these times. It is not complete and has no node: the end of the log knows.
    async fn last_has(&self, log: &LogName, complete: u64, since: i64, until: i64) -> Result<bool, Error> {
        const QUERY: &str = "SELECT size, earliest, latest FROM audit_head WHERE log = $1";
        let (size, earliest, latest): (i64, Option<i64>, Option<i64>) = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).fetch_one(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        // If it is another block by now, anything may have been in the one before.
        let is_same = count(size, SEARCHING)? / BLOCK * BLOCK == complete;
        Ok(!is_same
            || earliest.zip(latest).is_some_and(|(earliest, latest)| latest >= since && earliest < until))
    }

    async fn search(&self, search: Search<'_>, limit: usize) -> Result<Page, Error> {
        if search.is_empty() || limit == 0 {
            return Ok(Page { records: Vec::new(), next: None });
        }
        if search.is_for_all() {
            let rows: Vec<StoredRow> = reading!(&self.database, pool => {
                search.all(limit).build_query_as().fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            let is_full = rows.len() == limit;
            let records: Vec<Stored> = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
            let last = records.last().filter(|_| is_full);
            let next = last.and_then(|last| search.after(last.record.seq));
            return Ok(Page { records, next });
        }
        let mut found = Found { places: Vec::new(), limit, left: search.bound() };
        let next = self.walk(&search, &mut found).await?;
        let mut records = Vec::new();
        if !found.places.is_empty() {
            let rows: Vec<StoredRow> = reading!(&self.database, pool => {
                search.records(&found.places).build_query_as().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            records = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
            records.retain(|stored| search.filter.matches_text(&stored.record));
        }
        Ok(Page { records, next })
    }

    /// What is in the index and what is not yet, the end that is shown first before the other. Where the next page begins.
    async fn walk(&self, search: &Search<'_>, found: &mut Found) -> Result<Option<u64>, Error> {
        let terms = posting::terms(search.filter);
        let indexed = if terms.is_empty() { 0 } else { self.indexed(search.log).await? };
        let (known, rest) = (search.within(&(0..indexed)), search.within(&(indexed..u64::MAX)));
        let next = match search.order {
            Order::NewestFirst => match self.look_through(&rest, found).await? {
                None => self.look_up(&known, &terms, found).await?,
                next => next,
            },
            Order::OldestFirst => match self.look_up(&known, &terms, found).await? {
                None => self.look_through(&rest, found).await?,
                next => next,
            },
        };
        Ok(next.and_then(|last| search.after(last)))
    }

    /// Rows as they come. The last place that was looked at, if the search ends there.
    async fn look_through(&self, search: &Search<'_>, found: &mut Found) -> Result<Option<u64>, Error> {
        if search.is_empty() {
            return Ok(None);
        }
        let places: Vec<i64> = reading!(&self.database, pool => {
            let (most, limit) = (found.left, found.wanted());
            search.passing(most, limit).build_query_scalar().persistent(false).fetch_all(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        let places: Vec<u64> =
            places.into_iter().map(|place| count(place, SEARCHING)).collect::<Result<_, _>>()?;
        found.places.extend(&places);
        if found.wanted() == 0 {
            return Ok(places.last().copied());
        }
        let (looked_at, last): (i64, Option<i64>) = reading!(&self.database, pool => {
            search.range(found.left).build_query_as().persistent(false).fetch_one(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        found.left = found.left.saturating_sub(count(looked_at, SEARCHING)?);
        match last {
            Some(last) if found.left == 0 => count(last, SEARCHING).map(Some),
            _ => Ok(None),
        }
    }

    /// Rows that the index finds, in some segments at first and in more at a time the longer nothing is found.
    async fn look_up(
        &self,
        search: &Search<'_>,
        terms: &[Term<'_>],
        found: &mut Found,
    ) -> Result<Option<u64>, Error> {
        if search.is_empty() {
            return Ok(None);
        }
        let mut segments = search.from / SEGMENT..(search.until - 1) / SEGMENT + 1;
        let (mut width, mut left) = (SEGMENTS.0, MOST_SEGMENTS);
        while !segments.is_empty() {
            let length = segments.end - segments.start;
            let part = match search.order {
                Order::NewestFirst => segments.end - width.min(length)..segments.end,
                Order::OldestFirst => segments.start..segments.start + width.min(length),
            };
            let mut places = self.places_of_slices(search.log, terms, part.clone()).await?;
            places.retain(|place| (search.from..search.until).contains(place));
            if search.order == Order::NewestFirst {
                places.reverse();
            }
            if let Some(last) = self.try_on(search, &places, found).await? {
                return Ok(Some(last));
            }
            let last = match search.order {
                Order::NewestFirst => {
                    segments.end = part.start;
                    part.start * SEGMENT
                }
                Order::OldestFirst => {
                    segments.start = part.end;
                    part.end * SEGMENT - 1
                }
            };
            left = left.saturating_sub(width);
            if left == 0 {
                return Ok(Some(last));
            }
            width = (width * 4).min(SEGMENTS.1);
        }
        Ok(None)
    }

    /// What the index says of some segments, in order.
    async fn places_of_slices(
        &self,
        log: &LogName,
        terms: &[Term<'_>],
        segments: Range<u64>,
    ) -> Result<Vec<u64>, Error> {
        let (width, at_once) = SLICE;
        let starts = (segments.start..segments.end).step_by(usize::try_from(width).unwrap_or(usize::MAX));
        let slices = starts.map(|start| self.places(log, terms, start..segments.end.min(start + width)));
        stream::iter(slices).buffered(at_once).try_concat().await
    }

    /// Whatever else is asked for, of rows that the index has found. The last place that was looked at, if the search ends
    /// there.
    async fn try_on(
        &self,
        search: &Search<'_>,
        places: &[u64],
        found: &mut Found,
    ) -> Result<Option<u64>, Error> {
        let mut places = places;
        let mut width = found.wanted().max(ROWS.0);
        while !places.is_empty() {
            let most = usize::try_from(found.left).unwrap_or(usize::MAX);
            let (now, later) = places.split_at(width.min(most).min(places.len()));
            let passing: Vec<i64> = reading!(&self.database, pool => {
                search.passing_of(now).build_query_scalar().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            found.left -= now.len() as u64;
            for place in passing.into_iter().take(found.wanted()) {
                found.places.push(count(place, SEARCHING)?);
            }
            if found.wanted() == 0 {
                return Ok(found.places.last().copied());
            }
            if found.left == 0 {
                return Ok(now.last().copied());
            }
            places = later;
            width = (width * 4).min(ROWS.1);
        }
        Ok(None)
    }
}
