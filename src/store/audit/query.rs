//! Translates a search into SQL.

use std::ops::Range;

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::convert::to_i64;
use crate::domain::audit::{Filter, LogName, Outcome};

/// Maximum number of rows that the search for a page reads.
const MAX_ROWS: u64 = 20_000;
/// Maximum number of rows if the search reads their bodies.
const MAX_ROWS_WITH_BODY: u64 = 4_000;

/// The order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    fn order_by(self) -> &'static str {
        match self {
            Self::NewestFirst => " ORDER BY seq DESC",
            Self::OldestFirst => " ORDER BY seq",
        }
    }
}

/// A search in a range of a log.
pub(super) struct SearchQuery<'a> {
    pub(super) log: &'a LogName,
    pub(super) filter: &'a Filter,
    /// LIKE pattern for the body, in lower case.
    pattern: Option<String>,
    pub(super) order: Order,
    pub(super) from: u64,
    pub(super) until: u64,
}

impl<'a> SearchQuery<'a> {
    pub(super) fn new(log: &'a LogName, filter: &'a Filter, order: Order, from: u64, until: u64) -> Self {
        let pattern = filter.text.as_ref().filter(|text| !text.is_empty()).map(|text| body_pattern(text));
        Self { log, filter, pattern, order, from, until }
    }

    /// The part of the search within a range.
    pub(super) fn restrict(&self, range: &Range<u64>) -> Self {
        let (from, until) = (self.from.max(range.start), self.until.min(range.end));
        Self { from, until, pattern: self.pattern.clone(), ..*self }
    }

    /// The position from which the next page continues, if there may be one.
    pub(super) fn next_page(&self, last: u64) -> Option<u64> {
        match self.order {
            Order::NewestFirst => (last > self.from).then_some(last),
            Order::OldestFirst => (last + 1 < self.until).then_some(last + 1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.until
    }

    /// Maximum number of rows to read.
    pub(super) fn max_rows(&self) -> u64 {
        if self.pattern.is_some() { MAX_ROWS_WITH_BODY } else { MAX_ROWS }
    }

    /// Whether all records match.
    pub(super) fn matches_all(&self) -> bool {
        *self.filter == Filter { text: self.filter.text.clone(), ..Filter::default() }
            && self.pattern.is_none()
    }

    /// Selects the next rows, whether they match or not.
    fn push_range<DB>(&self, query: &mut QueryBuilder<DB>, columns: &str, max_rows: u64)
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        query.push("SELECT ").push(columns).push(" FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        query.push(" AND seq >= ").push_bind(to_i64(self.from));
        query.push(" AND seq < ").push_bind(to_i64(self.until));
        query.push(self.order.order_by()).push(" LIMIT ").push_bind(to_i64(max_rows));
    }

    /// The columns that conditions refer to.
    fn columns(&self) -> &'static str {
        match self.pattern {
            Some(_) => "seq, id, time, actor, action, kind, namespace, name, outcome, body",
            None => "seq, id, time, actor, action, kind, namespace, name, outcome",
        }
    }

    /// Selects the positions of matching rows among the next rows.
    pub(super) fn select_matching<DB>(&self, max_rows: u64, limit: usize) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT seq FROM (");
        self.push_range(&mut query, self.columns(), max_rows);
        query.push(") AS scanned WHERE 1 = 1");
        self.push_conditions(&mut query);
        // SQLite keeps the order of the inner query. With ORDER BY it would read all rows first.
        if DB::NAME == sqlx::Postgres::NAME {
            query.push(self.order.order_by());
        }
        query.push(" LIMIT ").push_bind(to_i64(limit as u64));
        query
    }

    /// Selects the positions of matching rows among candidates of the index.
    pub(super) fn select_matching_of<DB>(&self, seqs: &[u64]) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT seq FROM audit_record AS scanned WHERE log = ");
        query.push_bind(self.log.as_str());
        push_seqs(&mut query, seqs);
        self.push_conditions(&mut query);
        query.push(self.order.order_by());
        query
    }

    /// Appends the conditions of the filter.
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
                 AND ended.completes = scanned.id AND ended.log = ",
            );
            query.push_bind(self.log.as_str()).push(")");
        }
        if let Some(pattern) = &self.pattern {
            // Other members of the body may match as well, so the caller checks the record.
            query.push(r" AND lower(body) LIKE ").push_bind(pattern.as_str()).push(r" ESCAPE '\'");
        }
    }

    /// Selects the next records without any condition.
    pub(super) fn select_all<DB>(&self, limit: usize) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT body, hash FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        query.push(" AND seq >= ").push_bind(to_i64(self.from));
        query.push(" AND seq < ").push_bind(to_i64(self.until));
        query.push(self.order.order_by()).push(" LIMIT ").push_bind(to_i64(limit as u64));
        query
    }

    /// Selects the records at positions.
    pub(super) fn select_records<DB>(&self, seqs: &[u64]) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new("SELECT body, hash FROM audit_record WHERE log = ");
        query.push_bind(self.log.as_str());
        push_seqs(&mut query, seqs);
        query.push(self.order.order_by());
        query
    }

    /// Selects the number of the next rows, and the position of the last one.
    pub(super) fn select_scanned<DB>(&self, max_rows: u64) -> QueryBuilder<DB>
    where
        DB: Database,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut query = QueryBuilder::new(match self.order {
            Order::NewestFirst => "SELECT COUNT(*), MIN(seq) FROM (",
            Order::OldestFirst => "SELECT COUNT(*), MAX(seq) FROM (",
        });
        self.push_range(&mut query, "seq", max_rows);
        query.push(") AS scanned");
        query
    }
}

/// Restricts a query to positions.
fn push_seqs<DB: Database>(query: &mut QueryBuilder<DB>, seqs: &[u64]) {
    query.push(" AND seq IN (");
    let mut list = query.separated(", ");
    for seq in seqs {
        list.push(seq);
    }
    query.push(")");
}

/// The LIKE pattern that finds a text in the lower-case JSON of a record.
fn body_pattern(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default().to_ascii_lowercase();
    let inner = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or_default();
    let escaped: String = inner
        .chars()
        .flat_map(|char| matches!(char, '%' | '_' | '\\').then_some('\\').into_iter().chain([char]))
        .collect();
    format!("%{escaped}%")
}
