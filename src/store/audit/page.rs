//! Finding records.
//!
//! What an index finds is looked up in it, from the place where the page begins; whatever else is asked for is tried on
//! what was found. Times become places first: the nodes of the lowest level that is kept tell of which times the records
//! below are. So many rows are looked at and no more, and the page says how far it has come.

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::record::{StoredRow, count, stored};
use super::{Audit, BLOCK, Page, Stored, signed};
use crate::domain::audit::{Filter, LogName, Outcome};
use crate::store::Error;
use crate::store::database::reading;

const SEARCHING: &str = "searching the audit log";

/// Rows that a page looks at.
const LOOKED_AT: u64 = 20_000;
/// The same where their text has to be read.
const READ: u64 = 4_000;

/// Which end is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    fn words(self) -> &'static str {
        match self {
            Self::NewestFirst => " ORDER BY seq DESC",
            Self::OldestFirst => " ORDER BY seq",
        }
    }
}

/// What is looked through: an index with the value that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup<'a> {
    Name(&'a str),
    Actor(&'a str),
    Outcome(&'a str),
    Kind(&'a str),
    Namespace(&'a str),
    Action(&'a str),
    /// All records, by their place.
    Place,
}

impl<'a> Lookup<'a> {
    /// The index that is likely to leave the fewest.
    fn of(filter: &'a Filter) -> Self {
        let outcome = filter.outcome.filter(|outcome| matches!(outcome, Outcome::Denied | Outcome::Failed));
        let kind = filter.kind.as_deref().filter(|kind| *kind != "EventTopic");
        None.or(filter.name.as_deref().map(Self::Name))
            .or(filter.actor.as_deref().map(Self::Actor))
            .or(outcome.map(|outcome| Self::Outcome(outcome.as_str())))
            .or(kind.map(Self::Kind))
            .or(filter.namespace.as_deref().map(Self::Namespace))
            .or(filter.action.as_deref().map(Self::Action))
            .unwrap_or(Self::Place)
    }

    /// The index, as the migrations call it.
    fn index(self) -> Option<&'static str> {
        match self {
            Self::Name(_) => Some("audit_record_name"),
            Self::Actor(_) => Some("audit_record_actor"),
            Self::Outcome(_) => Some("audit_record_outcome"),
            Self::Kind(_) => Some("audit_record_kind"),
            Self::Namespace(_) => Some("audit_record_namespace"),
            Self::Action(_) => Some("audit_record_action"),
            Self::Place => None,
        }
    }

    /// The condition. What an index is limited to is repeated, so that the database knows that it can be used.
    fn push<DB>(self, query: &mut QueryBuilder<DB>)
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    {
        let (condition, value) = match self {
            Self::Name(value) => (" AND name IS NOT NULL AND name = ", value),
            Self::Actor(value) => (" AND actor = ", value),
            Self::Outcome(value) => (" AND outcome IN ('Denied', 'Failed') AND outcome = ", value),
            Self::Kind(value) => (" AND kind <> 'EventTopic' AND kind = ", value),
            Self::Namespace(value) => (" AND namespace IS NOT NULL AND namespace = ", value),
            Self::Action(value) => (" AND action = ", value),
            Self::Place => return,
        };
        query.push(condition);
        query.push_bind(value);
    }
}

/// One search in one log.
struct Search<'a> {
    log: &'a LogName,
    filter: &'a Filter,
    lookup: Lookup<'a>,
    /// What the record's JSON has to be like.
    text: Option<String>,
    order: Order,
    from: u64,
    until: u64,
}

impl<'a> Search<'a> {
    fn new(log: &'a LogName, filter: &'a Filter, order: Order, from: u64, until: u64) -> Self {
        let text = filter.text.as_ref().filter(|text| !text.is_empty()).map(|text| pattern(text));
        Self { log, filter, lookup: Lookup::of(filter), text, order, from, until }
    }

    /// Where the next page begins, if there may be one.
    fn after(&self, last: u64) -> Option<u64> {
        match self.order {
            Order::NewestFirst => (last > self.from).then_some(last),
            Order::OldestFirst => (last + 1 < self.until).then_some(last + 1),
        }
    }

    fn is_empty(&self) -> bool {
        self.from >= self.until
    }

    /// How many rows are looked at.
    fn bound(&self) -> u64 {
        if self.text.is_some() { READ } else { LOOKED_AT }
    }

    /// Whether all records are wanted.
    fn is_for_all(&self) -> bool {
        *self.filter == Filter { text: self.filter.text.clone(), ..Filter::default() } && self.text.is_none()
    }

    /// What is looked at: `columns` of rows that the index finds.
    fn push_looked_at<DB>(&self, query: &mut QueryBuilder<DB>, columns: &str)
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        query.push("SELECT ").push(columns).push(" FROM audit_record");
        // SQLite knows nothing of how many there are of a value, and would read all records in their order.
        if let Some(index) = self.lookup.index().filter(|_| DB::NAME == sqlx::Sqlite::NAME) {
            query.push(" INDEXED BY ").push(index);
        }
        query.push(" WHERE log = ").push_bind(self.log.as_str());
        self.lookup.push(query);
        query.push(" AND seq >= ").push_bind(signed(self.from));
        query.push(" AND seq < ").push_bind(signed(self.until));
        query.push(self.order.words()).push(" LIMIT ").push_bind(signed(self.bound()));
    }

    /// The places of records that pass, as many as are wanted.
    fn places<DB>(&self, limit: usize) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT seq FROM (");
        let columns = "seq, id, time, actor, action, kind, namespace, name, outcome";
        let body = if self.text.is_some() { ", body" } else { "" };
        self.push_looked_at(&mut query, &format!("{columns}{body}"));
        query.push(") AS looked_at WHERE 1 = 1");
        let filter = self.filter;
        for (column, value) in [
            (" AND actor = ", filter.actor.as_deref()),
            (" AND action = ", filter.action.as_deref()),
            (" AND kind = ", filter.kind.as_deref()),
            (" AND namespace = ", filter.namespace.as_deref()),
            (" AND name = ", filter.name.as_deref()),
            (" AND outcome = ", filter.outcome.map(Outcome::as_str)),
        ] {
            if let Some(value) = value {
                query.push(column).push_bind(value);
            }
        }
        if let Some(since) = filter.since {
            query.push(" AND time >= ").push_bind(since.as_microsecond());
        }
        if let Some(until) = filter.until {
            query.push(" AND time < ").push_bind(until.as_microsecond());
        }
        if filter.open {
            query.push(
                " AND outcome = 'Started' AND NOT EXISTS (SELECT 1 FROM audit_record AS ended WHERE ended.completes IS NOT NULL \
                 AND ended.completes = looked_at.id AND ended.log = ",
            );
            query.push_bind(self.log.as_str()).push(")");
        }
        if let Some(text) = &self.text {
            // Some of them have it elsewhere: the record tells.
            query.push(r" AND lower(body) LIKE ").push_bind(text.as_str()).push(r" ESCAPE '\'");
        }
        // SQLite takes the rows as they come, which is in order; told to sort them it would look at all first.
        if DB::NAME == sqlx::Postgres::NAME {
            query.push(self.order.words());
        }
        query.push(" LIMIT ").push_bind(signed(limit as u64));
        query
    }

    /// The next records, if all are wanted.
    fn all<DB>(&self, limit: usize) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT body, hash FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        query.push(" AND seq >= ").push_bind(signed(self.from));
        query.push(" AND seq < ").push_bind(signed(self.until));
        query.push(self.order.words()).push(" LIMIT ").push_bind(signed(limit as u64));
        query
    }

    /// The records at places.
    fn records<DB>(&self, places: &[i64]) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT body, hash FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str()).push(" AND seq IN (");
        let mut list = query.separated(", ");
        for place in places {
            list.push_bind(*place);
        }
        query.push(")").push(self.order.words());
        query
    }

    /// How many rows were looked at, and the last place.
    fn looked_at<DB>(&self) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new(match self.order {
            Order::NewestFirst => "SELECT COUNT(*), MIN(seq) FROM (",
            Order::OldestFirst => "SELECT COUNT(*), MAX(seq) FROM (",
        });
        self.push_looked_at(&mut query, "seq");
        query.push(") AS looked_at");
        query
    }
}

/// A text as a pattern for the JSON of records, where it is quoted. Letters of ASCII are small there.
fn pattern(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default().to_ascii_lowercase();
    let inner = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or_default();
    let escaped: String = inner
        .chars()
        .flat_map(|char| matches!(char, '%' | '_' | '\\').then_some('\\').into_iter().chain([char]))
        .collect();
    format!("%{escaped}%")
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
        let places: Vec<i64> = reading!(&self.database, pool => {
            search.places(limit).build_query_scalar().persistent(false).fetch_all(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        let next = match places.last() {
            Some(last) if places.len() == limit => search.after(count(*last, SEARCHING)?),
            _ => self.came_to(&search).await?,
        };
        let mut records = Vec::new();
        if !places.is_empty() {
            let rows: Vec<StoredRow> = reading!(&self.database, pool => {
                search.records(&places).build_query_as().persistent(false).fetch_all(pool).await
            })
            .map_err(Error::driver(SEARCHING))?;
            records = rows.into_iter().map(stored).collect::<Result<_, _>>()?;
            records.retain(|stored| search.filter.matches_text(&stored.record));
        }
        Ok(Page { records, next })
    }

    /// Where a search has come to that found less than was wanted.
    async fn came_to(&self, search: &Search<'_>) -> Result<Option<u64>, Error> {
        let (looked_at, last): (i64, Option<i64>) = reading!(&self.database, pool => {
            search.looked_at().build_query_as().persistent(false).fetch_one(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        match last {
            Some(last) if count(looked_at, SEARCHING)? >= search.bound() => {
                Ok(search.after(count(last, SEARCHING)?))
            }
            _ => Ok(None),
        }
    }
}
