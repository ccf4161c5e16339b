//! The inverted index: which records of a segment have a value that is searched by.
//!
//! It is written beside the log, one complete segment after the other, by whichever replica is first. What is not in it yet
//! is looked through.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::query::Query;
use sqlx::{AssertSqlSafe, QueryBuilder, Row};

use super::record::count;
use super::{Audit, signed};
use crate::domain::audit::verify::Posting;
pub(super) use crate::domain::audit::verify::SEGMENT;
use crate::domain::audit::{Filter, LogName, Outcome};
use crate::store::Error;
use crate::store::database::{Database, reading};

const INDEXING: &str = "indexing the audit log";
const LOOKING_UP: &str = "looking something up in the index of the audit log";

/// Stands for all places of a segment, where a value has more than a quarter of them.
const MANY: &str = "*";

/// What is looked up: a column and the value it has to have.
pub(super) type Term<'a> = (&'static str, &'a str);

/// What a filter asks for that the index knows.
pub(super) fn terms(filter: &Filter) -> Vec<Term<'_>> {
    let started = filter.open.then_some(Outcome::Started);
    let term = |field: &'static str, value| Some(field).zip(value);
    [
        term("name", filter.name.as_deref()),
        term("actor", filter.actor.as_deref()),
        term("namespace", filter.namespace.as_deref()),
        term("kind", filter.kind.as_deref()),
        term("action", filter.action.as_deref()),
        term("outcome", filter.outcome.map(Outcome::as_str)),
        term("outcome", started.map(Outcome::as_str)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A list as it is kept; none if there are many.
fn listed(list: &str) -> Result<Option<Vec<u64>>, std::num::ParseIntError> {
    if list == MANY {
        return Ok(None);
    }
    let mut places = list.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    places.sort_unstable();
    Ok(Some(places))
}

/// The places of a segment that are in all lists, in order.
fn common(lists: &[String]) -> Option<Vec<u64>> {
    let mut common: Option<Vec<u64>> = None;
    for list in lists {
        let Some(places) = listed(list).ok()? else { continue };
        common = Some(match common {
            None => places,
            Some(common) => common.into_iter().filter(|place| places.binary_search(place).is_ok()).collect(),
        });
    }
    Some(common.unwrap_or_else(|| (0..SEGMENT).collect()))
}

/// Goes on by one segment. Whoever is second waits here, and finds that there is nothing to do.
const NEXT: &str = "INSERT INTO audit_indexed (log, segments) VALUES ($1, $2 + 1) ON CONFLICT (log) \
     DO UPDATE SET segments = excluded.segments WHERE audit_indexed.segments = $2";

/// The rows of a segment, in the order of their key.
const POSTINGS: &str = "WITH part AS MATERIALIZED \
     (SELECT CAST(seq - $3 AS text) AS place, actor, action, kind, namespace, name, outcome \
     FROM audit_record WHERE log = $1 AND seq >= $3 AND seq < $4), \
     term AS (SELECT 'actor' AS field, actor AS value, place FROM part \
     UNION ALL SELECT 'action', action, place FROM part UNION ALL SELECT 'kind', kind, place FROM part \
     UNION ALL SELECT 'namespace', namespace, place FROM part UNION ALL SELECT 'name', name, place FROM part \
     UNION ALL SELECT 'outcome', outcome, place FROM part) \
     SELECT $1 AS log, $2 AS segment, field, value, CASE WHEN COUNT(*) > $5 THEN $6 ELSE string_agg(place, ',') END AS places \
     FROM term WHERE value IS NOT NULL GROUP BY field, value";

const WRITE: &str = "INSERT INTO audit_posting (log, segment, field, value, places) \
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($1)";

fn of_segment<DB>(text: AssertSqlSafe<String>, log: &LogName, segment: u64) -> Query<'_, DB, DB::Arguments>
where
    DB: sqlx::Database,
    for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let (from, until) = (segment * SEGMENT, (segment + 1) * SEGMENT);
    let query = sqlx::query(text).bind(log.as_str()).bind(signed(segment));
    query.bind(signed(from)).bind(signed(until)).bind(signed(SEGMENT / 4)).bind(MANY)
}

impl Audit {
    /// The logs with complete segments that are not in the index.
    pub(in crate::store) async fn to_be_indexed(&self) -> Result<Vec<LogName>, Error> {
        const QUERY: &str = "SELECT head.log FROM audit_head AS head LEFT JOIN audit_indexed AS indexed ON indexed.log = head.log \
             WHERE head.size >= (COALESCE(indexed.segments, 0) + 1) * $1 ORDER BY head.log";
        let logs: Vec<String> = reading!(&self.database, pool => {
            sqlx::query_scalar(QUERY).bind(signed(SEGMENT)).fetch_all(pool).await
        })
        .map_err(Error::driver(INDEXING))?;
        Ok(logs.iter().filter_map(|log| log.parse().ok()).collect())
    }

    /// Adds all complete segments of a log to the index.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn index(&self, log: &LogName) -> Result<(), Error> {
        while self.index_next(log).await? {}
        Ok(())
    }

    /// The next segment, if there is one that is complete; says whether there was.
    pub(in crate::store) async fn index_next(&self, log: &LogName) -> Result<bool, Error> {
        let (segment, size) = (self.indexed(log).await? / SEGMENT, self.head(log).await?.size);
        if (segment + 1) * SEGMENT > size {
            return Ok(false);
        }
        match &self.database {
            Database::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(Error::driver(INDEXING))?;
                let next = sqlx::query(NEXT).bind(log.as_str()).bind(signed(segment));
                let next = next.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                if next.rows_affected() == 1 {
                    let write =
                        format!("INSERT INTO audit_posting (log, segment, field, value, places) {POSTINGS}");
                    let write = of_segment(AssertSqlSafe(write), log, segment);
                    write.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                }
                transaction.commit().await.map_err(Error::driver(INDEXING))?;
            }
            Database::Sqlite(file) => {
                // What is complete does not change: it is read beside the writing, which then takes a third of the time.
                let read = format!(
                    "SELECT json_group_array(json_array(log, segment, field, value, places)) FROM ({POSTINGS})"
                );
                let read = of_segment(AssertSqlSafe(read), log, segment);
                let row = read.fetch_one(file.readers()).await.map_err(Error::driver(INDEXING))?;
                let rows: String = row.try_get(0).map_err(Error::driver(INDEXING))?;
                let mut transaction = file.writer().begin().await.map_err(Error::driver(INDEXING))?;
                let next = sqlx::query(NEXT).bind(log.as_str()).bind(signed(segment));
                let next = next.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                if next.rows_affected() == 1 {
                    let write = sqlx::query(WRITE).bind(rows);
                    write.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                }
                transaction.commit().await.map_err(Error::driver(INDEXING))?;
            }
        }
        Ok(true)
    }

    /// The place up to which a log is in the index. What follows is looked through: the end of the log always is, because only
    /// what is complete is compared with the index when a log is verified.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn indexed(&self, log: &LogName) -> Result<u64, Error> {
        const QUERY: &str = "SELECT indexed.segments, head.size FROM audit_indexed AS indexed \
             JOIN audit_head AS head ON head.log = indexed.log WHERE indexed.log = $1";
        let row: Option<(i64, i64)> = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).fetch_optional(pool).await
        })
        .map_err(Error::driver(LOOKING_UP))?;
        let (segments, size) = row.unwrap_or_default();
        let complete = count(size, LOOKING_UP)? / SEGMENT;
        Ok(count(segments, LOOKING_UP)?.min(complete) * SEGMENT)
    }

    /// The index of some segments, each with the place where it begins, as it is kept. A list that cannot be read is one
    /// without places, which no value has.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn postings(
        &self,
        log: &LogName,
        segments: Range<u64>,
    ) -> Result<Vec<(u64, Vec<Posting>)>, Error> {
        // One value for all of it: see the rows of records.
        const SQLITE: &str = "SELECT json_group_array(json_array(segment, field, value, places)) FROM audit_posting \
             WHERE log = $1 AND segment >= $2 AND segment < $3";
        const POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_array(segment, field, value, places)), '[]')::text \
             FROM audit_posting WHERE log = $1 AND segment >= $2 AND segment < $3";
        let (from, until) = (signed(segments.start), signed(segments.end));
        let all: String = match &self.database {
            Database::Postgres(pool) => {
                sqlx::query_scalar(POSTGRES).bind(log.as_str()).bind(from).bind(until).fetch_one(pool).await
            }
            Database::Sqlite(file) => {
                let query = sqlx::query_scalar(SQLITE).bind(log.as_str()).bind(from).bind(until);
                query.fetch_one(file.readers()).await
            }
        }
        .map_err(Error::driver(LOOKING_UP))?;
        let damaged = |why: String| Error::Damaged { what: LOOKING_UP, why };
        let rows: Vec<(u64, String, String, String)> =
            serde_json::from_str(&all).map_err(|error| damaged(error.to_string()))?;
        let mut found: BTreeMap<u64, Vec<Posting>> =
            segments.map(|segment| (segment * SEGMENT, Vec::new())).collect();
        for (segment, field, value, places) in rows {
            let places = listed(&places).unwrap_or_else(|_| Some(Vec::new()));
            found.entry(segment * SEGMENT).or_default().push(Posting { field, value, places });
        }
        Ok(found.into_iter().collect())
    }

    /// The places of records that have all these values, in order, in the segments from one to before another.
    pub(super) async fn places(
        &self,
        log: &LogName,
        terms: &[Term<'_>],
        segments: Range<u64>,
    ) -> Result<Vec<u64>, Error> {
        let rows: Vec<(i64, String)> = reading!(&self.database, pool => {
            postings(log, terms, &segments).build_query_as().persistent(false).fetch_all(pool).await
        })
        .map_err(Error::driver(LOOKING_UP))?;
        let damaged = |segment| Error::Damaged {
            what: LOOKING_UP,
            why: format!("the index of segment {segment} of the log {log} cannot be read"),
        };
        let mut found = Vec::new();
        for (segment, lists) in rows {
            let lists: Vec<String> = lists.split_whitespace().map(str::to_owned).collect();
            let places = common(&lists).ok_or_else(|| damaged(segment))?;
            let first = count(segment, LOOKING_UP)? * SEGMENT;
            found.extend(places.into_iter().map(|place| first + place));
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// For each of the segments that have all terms the lists of their places, with spaces between. Each list is asked for by
/// its key, and the next one only where the one before is there: told to join, a database may read the whole index. That is
/// what the limits are for, which limit nothing: neither database looks behind one.
fn postings<DB>(log: &LogName, terms: &[Term<'_>], segments: &Range<u64>) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new("WITH RECURSIVE segments(segment) AS (SELECT CAST(");
    query.push_bind(signed(segments.start));
    query.push(" AS bigint) UNION ALL SELECT segment + 1 FROM segments WHERE segment + 1 < ");
    query.push_bind(signed(segments.end)).push("), found0 AS (SELECT segment, '' AS places FROM segments)");
    for (number, (field, value)) in terms.iter().enumerate() {
        query.push(format!(
            ", found{} AS (SELECT segment, places || ' ' || (SELECT posting.places FROM audit_posting AS posting \
             WHERE posting.segment = before.segment AND posting.log = ",
            number + 1
        ));
        query.push_bind(log.as_str()).push(" AND posting.field = ").push_bind(*field);
        query.push(" AND posting.value = ").push_bind(*value);
        query.push(format!(
            ") AS places FROM found{number} AS before WHERE places IS NOT NULL LIMIT {})",
            i64::MAX
        ));
    }
    query.push(format!(" SELECT segment, places FROM found{} WHERE places IS NOT NULL", terms.len()));
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_all_lists_have() {
        let common = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(|list| (*list).to_owned()).collect();
            common(&lists).map(|places| format!("{} {:?}", places.len(), &places[..places.len().min(4)]))
        };
        for (lists, found) in [
            (vec!["7"], "1 [7]"),
            (vec!["12,3,1000"], "3 [3, 12, 1000]"),
            (vec!["3,12,1000", "12,4,3"], "2 [3, 12]"),
            (vec!["*", "5,6", "*"], "2 [5, 6]"),
            (vec!["1,2", "3,4"], "0 []"),
            (vec!["*"], "1024 [0, 1, 2, 3]"),
        ] {
            assert_eq!(common(&lists).as_deref(), Some(found), "{lists:?}");
        }
        assert_eq!(common(&["1,x"]), None);
    }
}
