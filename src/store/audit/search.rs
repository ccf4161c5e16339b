//! What is asked for, in the words of the databases.

use std::ops::Range;

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::signed;
use crate::domain::audit::{Filter, LogName, Outcome};

/// Rows that a page looks at.
const LOOKED_AT: u64 = 20_000;
/// The same where their text has to be read.
const READ: u64 = 4_000;

/// Which end is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
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

/// One search in one log.
pub(super) struct Search<'a> {
    pub(super) log: &'a LogName,
    pub(super) filter: &'a Filter,
    /// What the record's JSON has to be like.
    text: Option<String>,
    pub(super) order: Order,
    pub(super) from: u64,
    pub(super) until: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(log: &'a LogName, filter: &'a Filter, order: Order, from: u64, until: u64) -> Self {
        let text = filter.text.as_ref().filter(|text| !text.is_empty()).map(|text| pattern(text));
        Self { log, filter, text, order, from, until }
    }

    /// The same for a part of the log.
    pub(super) fn within(&self, range: &Range<u64>) -> Self {
        let (from, until) = (self.from.max(range.start), self.until.min(range.end));
        Self { from, until, text: self.text.clone(), ..*self }
    }

    /// Where the next page begins, if there may be one.
    pub(super) fn after(&self, last: u64) -> Option<u64> {
        match self.order {
            Order::NewestFirst => (last > self.from).then_some(last),
            Order::OldestFirst => (last + 1 < self.until).then_some(last + 1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.until
    }

    /// How many rows are looked at.
    pub(super) fn bound(&self) -> u64 {
        if self.text.is_some() { READ } else { LOOKED_AT }
    }

    /// Whether all records are wanted.
    pub(super) fn is_for_all(&self) -> bool {
        *self.filter == Filter { text: self.filter.text.clone(), ..Filter::default() } && self.text.is_none()
    }

    /// Rows as they come, as many as may be looked at.
    fn push_range<DB>(&self, query: &mut QueryBuilder<DB>, columns: &str, most: u64)
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        query.push("SELECT ").push(columns).push(" FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        query.push(" AND seq >= ").push_bind(signed(self.from));
        query.push(" AND seq < ").push_bind(signed(self.until));
        query.push(self.order.words()).push(" LIMIT ").push_bind(signed(most));
    }

    /// The columns that conditions are about.
    fn columns(&self) -> &'static str {
        match self.text {
            Some(_) => "seq, id, time, actor, action, kind, namespace, name, outcome, body",
            None => "seq, id, time, actor, action, kind, namespace, name, outcome",
        }
    }

    /// The places of rows that pass, of those that come next.
    pub(super) fn passing<DB>(&self, most: u64, limit: usize) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT seq FROM (");
        self.push_range(&mut query, self.columns(), most);
        query.push(") AS looked_at WHERE 1 = 1");
        self.push_conditions(&mut query);
        // SQLite takes the rows as they come, which is in order; told to sort them it would look at all first.
        if DB::NAME == sqlx::Postgres::NAME {
            query.push(self.order.words());
        }
        query.push(" LIMIT ").push_bind(signed(limit as u64));
        query
    }

    /// The places of rows that pass, of those that the index has found.
    pub(super) fn passing_of<DB>(&self, places: &[u64]) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT seq FROM audit_record AS looked_at WHERE log = ");
        query.push_bind(self.log.as_str());
        push_places(&mut query, places);
        self.push_conditions(&mut query);
        query.push(self.order.words());
        query
    }

    /// Whatever the filter asks for.
    fn push_conditions<DB>(&self, query: &mut QueryBuilder<DB>)
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
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
    }

    /// The next records, if all are wanted.
    pub(super) fn all<DB>(&self, limit: usize) -> QueryBuilder<DB>
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
    pub(super) fn records<DB>(&self, places: &[u64]) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT body, hash FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        push_places(&mut query, places);
        query.push(self.order.words());
        query
    }

    /// How many rows come next, and the last place.
    pub(super) fn range<DB>(&self, most: u64) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new(match self.order {
            Order::NewestFirst => "SELECT COUNT(*), MIN(seq) FROM (",
            Order::OldestFirst => "SELECT COUNT(*), MAX(seq) FROM (",
        });
        self.push_range(&mut query, "seq", most);
        query.push(") AS looked_at");
        query
    }
}

/// Only rows at places.
fn push_places<DB: Database>(query: &mut QueryBuilder<DB>, places: &[u64]) {
    query.push(" AND seq IN (");
    let mut list = query.separated(", ");
    for place in places {
        list.push(place);
    }
    query.push(")");
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
