//! The inverted index: for each segment the positions of the values that records are searched by.
//!
//! Replicas index complete segments concurrently to writes; the first one to start a segment wins. Searches scan records that are
//! not indexed.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::query::Query;
use sqlx::{AssertSqlSafe, QueryBuilder, Row};

use super::convert::{to_i64, to_u64};
use super::log::Audit;
use crate::domain::audit::verify::{MAX_LISTED_POSITIONS, Posting, SEGMENT_RECORDS};
use crate::domain::audit::{Filter, LogName, Outcome};
use crate::store::Error;
use crate::store::database::{Database, reading};

const INDEXING: &str = "indexing the audit log";
const SEARCHING: &str = "searching the index of the audit log";

/// The stored list of a value with more than [`MAX_LISTED_POSITIONS`] positions.
const UNLISTED: &str = "*";

/// A search term: a column and its value.
pub(super) type Term<'a> = (&'static str, &'a str);

/// The conditions of a filter that the index can answer.
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

/// Parses a stored list; `None` if it is unlisted.
fn parse_list(list: &str) -> Result<Option<Vec<u64>>, std::num::ParseIntError> {
    if list == UNLISTED {
        return Ok(None);
    }
    let mut positions = list.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    positions.sort_unstable();
    Ok(Some(positions))
}

/// The positions of a segment that are in all lists, sorted.
fn intersect(lists: &[String]) -> Option<Vec<u64>> {
    let mut common: Option<Vec<u64>> = None;
    for list in lists {
        let Some(positions) = parse_list(list).ok()? else { continue };
        common = Some(match common {
            None => positions,
            Some(common) => {
                common.into_iter().filter(|position| positions.binary_search(position).is_ok()).collect()
            }
        });
    }
    Some(common.unwrap_or_else(|| (0..SEGMENT_RECORDS).collect()))
}

/// Claims the next segment. A concurrent transaction waits here, and then updates no row.
const CLAIM_SEGMENT: &str = "INSERT INTO audit_indexed (log, segments) VALUES ($1, $2 + 1) ON CONFLICT (log) \
     DO UPDATE SET segments = excluded.segments WHERE audit_indexed.segments = $2";

/// Selects the postings of a segment, sorted by their key.
const SELECT_POSTINGS: &str = "WITH part AS MATERIALIZED \
     (SELECT CAST(seq - $3 AS text) AS place, actor, action, kind, namespace, name, outcome \
     FROM audit_record WHERE log = $1 AND seq >= $3 AND seq < $4), \
     term AS (SELECT 'actor' AS field, actor AS value, place FROM part \
     UNION ALL SELECT 'action', action, place FROM part UNION ALL SELECT 'kind', kind, place FROM part \
     UNION ALL SELECT 'namespace', namespace, place FROM part UNION ALL SELECT 'name', name, place FROM part \
     UNION ALL SELECT 'outcome', outcome, place FROM part) \
     SELECT $1 AS log, $2 AS segment, field, value, CASE WHEN COUNT(*) > $5 THEN $6 ELSE string_agg(place, ',') END AS places \
     FROM term WHERE value IS NOT NULL GROUP BY field, value";

const INSERT_POSTINGS: &str = "INSERT INTO audit_posting (log, segment, field, value, places) \
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($1)";

fn bind_segment<DB>(
    statement: AssertSqlSafe<String>,
    log: &LogName,
    segment: u64,
) -> Query<'_, DB, DB::Arguments>
where
    DB: sqlx::Database,
    for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let (from, until) = (segment * SEGMENT_RECORDS, (segment + 1) * SEGMENT_RECORDS);
    let query = sqlx::query(statement).bind(log.as_str()).bind(to_i64(segment));
    query.bind(to_i64(from)).bind(to_i64(until)).bind(to_i64(MAX_LISTED_POSITIONS)).bind(UNLISTED)
}

impl Audit {
    /// Lists the logs with complete segments that are not indexed.
    pub(in crate::store) async fn list_unindexed_logs(&self) -> Result<Vec<LogName>, Error> {
        const QUERY: &str = "SELECT head.log FROM audit_head AS head LEFT JOIN audit_indexed AS indexed ON indexed.log = head.log \
             WHERE head.size >= (COALESCE(indexed.segments, 0) + 1) * $1 ORDER BY head.log";
        let logs: Vec<String> = reading!(&self.database, pool => {
            sqlx::query_scalar(QUERY).bind(to_i64(SEGMENT_RECORDS)).fetch_all(pool).await
        })
        .map_err(Error::driver(INDEXING))?;
        Ok(logs.iter().filter_map(|log| log.parse().ok()).collect())
    }

    /// Indexes all complete segments of a log.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn index_log(&self, log: &LogName) -> Result<(), Error> {
        while self.index_next_segment(log).await? {}
        Ok(())
    }

    /// Indexes the next complete segment. Returns false if there is none.
    pub(in crate::store) async fn index_next_segment(&self, log: &LogName) -> Result<bool, Error> {
        let (segment, size) =
            (self.read_indexed_end(log).await? / SEGMENT_RECORDS, self.read_head(log).await?.size);
        if (segment + 1) * SEGMENT_RECORDS > size {
            return Ok(false);
        }
        match &self.database {
            Database::Postgres(pool) => {
                let mut transaction = pool.begin().await.map_err(Error::driver(INDEXING))?;
                let claim = sqlx::query(CLAIM_SEGMENT).bind(log.as_str()).bind(to_i64(segment));
                let claimed = claim.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                if claimed.rows_affected() == 1 {
                    let insert = format!(
                        "INSERT INTO audit_posting (log, segment, field, value, places) {SELECT_POSTINGS}"
                    );
                    let insert = bind_segment(AssertSqlSafe(insert), log, segment);
                    insert.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                }
                transaction.commit().await.map_err(Error::driver(INDEXING))?;
            }
            Database::Sqlite(sqlite) => {
                // Complete segments do not change. Reading them before the transaction reduces its duration to a third.
                let select = format!(
                    "SELECT json_group_array(json_array(log, segment, field, value, places)) FROM ({SELECT_POSTINGS})"
                );
                let select = bind_segment(AssertSqlSafe(select), log, segment);
                let row = select.fetch_one(sqlite.readers()).await.map_err(Error::driver(INDEXING))?;
                let rows: String = row.try_get(0).map_err(Error::driver(INDEXING))?;
                let mut transaction = sqlite.writer().begin().await.map_err(Error::driver(INDEXING))?;
                let claim = sqlx::query(CLAIM_SEGMENT).bind(log.as_str()).bind(to_i64(segment));
                let claimed = claim.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                if claimed.rows_affected() == 1 {
                    let insert = sqlx::query(INSERT_POSTINGS).bind(rows);
                    insert.execute(&mut *transaction).await.map_err(Error::driver(INDEXING))?;
                }
                transaction.commit().await.map_err(Error::driver(INDEXING))?;
            }
        }
        Ok(true)
    }

    /// Reads the position up to which a log is indexed. Incomplete segments never count, because verification compares only
    /// complete ones.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_indexed_end(&self, log: &LogName) -> Result<u64, Error> {
        const QUERY: &str = "SELECT indexed.segments, head.size FROM audit_indexed AS indexed \
             JOIN audit_head AS head ON head.log = indexed.log WHERE indexed.log = $1";
        let row: Option<(i64, i64)> = reading!(&self.database, pool => {
            sqlx::query_as(QUERY).bind(log.as_str()).fetch_optional(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        let (segments, size) = row.unwrap_or_default();
        let complete = to_u64(size, SEARCHING)? / SEGMENT_RECORDS;
        Ok(to_u64(segments, SEARCHING)?.min(complete) * SEGMENT_RECORDS)
    }

    /// Reads the stored index of segments, each with its first record. A malformed list becomes an empty one, which verification
    /// rejects.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_postings(
        &self,
        log: &LogName,
        segments: Range<u64>,
    ) -> Result<Vec<(u64, Vec<Posting>)>, Error> {
        // One value for all postings, for the reason given in `rows::sqlite_json`.
        const SQLITE: &str = "SELECT json_group_array(json_array(segment, field, value, places)) FROM audit_posting \
             WHERE log = $1 AND segment >= $2 AND segment < $3";
        const POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_array(segment, field, value, places)), '[]')::text \
             FROM audit_posting WHERE log = $1 AND segment >= $2 AND segment < $3";
        let (from, until) = (to_i64(segments.start), to_i64(segments.end));
        let all: String = match &self.database {
            Database::Postgres(pool) => {
                sqlx::query_scalar(POSTGRES).bind(log.as_str()).bind(from).bind(until).fetch_one(pool).await
            }
            Database::Sqlite(sqlite) => {
                let query = sqlx::query_scalar(SQLITE).bind(log.as_str()).bind(from).bind(until);
                query.fetch_one(sqlite.readers()).await
            }
        }
        .map_err(Error::driver(SEARCHING))?;
        let corrupt = |problem: String| Error::Corrupt { operation: SEARCHING, problem };
        let rows: Vec<(u64, String, String, String)> =
            serde_json::from_str(&all).map_err(|error| corrupt(error.to_string()))?;
        let mut postings: BTreeMap<u64, Vec<Posting>> =
            segments.map(|segment| (segment * SEGMENT_RECORDS, Vec::new())).collect();
        for (segment, field, value, list) in rows {
            let positions = parse_list(&list).unwrap_or_else(|_| Some(Vec::new()));
            postings.entry(segment * SEGMENT_RECORDS).or_default().push(Posting { field, value, positions });
        }
        Ok(postings.into_iter().collect())
    }

    /// Searches segments for the records with all terms, and returns their positions, sorted.
    pub(super) async fn search_index(
        &self,
        log: &LogName,
        terms: &[Term<'_>],
        segments: Range<u64>,
    ) -> Result<Vec<u64>, Error> {
        let rows: Vec<(i64, String)> = reading!(&self.database, pool => {
            select_lists(log, terms, &segments).build_query_as().persistent(false).fetch_all(pool).await
        })
        .map_err(Error::driver(SEARCHING))?;
        let corrupt = |segment| Error::Corrupt {
            operation: SEARCHING,
            problem: format!("the index of segment {segment} of the log {log} cannot be parsed"),
        };
        let mut found = Vec::new();
        for (segment, lists) in rows {
            let lists: Vec<String> = lists.split_whitespace().map(str::to_owned).collect();
            let positions = intersect(&lists).ok_or_else(|| corrupt(segment))?;
            let first = to_u64(segment, SEARCHING)? * SEGMENT_RECORDS;
            found.extend(positions.into_iter().map(|position| first + position));
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Selects the lists of all terms, separated by spaces, for each segment that has all terms. Each list is read by its key, and only
/// if the previous one exists; with a join a database may read the whole index. The limits limit nothing, but prevent both
/// databases from rewriting the query to a join.
fn select_lists<DB>(log: &LogName, terms: &[Term<'_>], segments: &Range<u64>) -> QueryBuilder<DB>
where
    DB: sqlx::Database,
    for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut query = QueryBuilder::new("WITH RECURSIVE segments(segment) AS (SELECT CAST(");
    query.push_bind(to_i64(segments.start));
    query.push(" AS bigint) UNION ALL SELECT segment + 1 FROM segments WHERE segment + 1 < ");
    query.push_bind(to_i64(segments.end)).push("), found0 AS (SELECT segment, '' AS places FROM segments)");
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

    #[test]
    fn lists_are_intersected() {
        let intersect = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(|list| (*list).to_owned()).collect();
            super::intersect(&lists)
                .map(|positions| format!("{} {:?}", positions.len(), &positions[..positions.len().min(4)]))
        };
        for (lists, found) in [
            (vec!["7"], "1 [7]"),
            (vec!["12,3,1000"], "3 [3, 12, 1000]"),
            (vec!["3,12,1000", "12,4,3"], "2 [3, 12]"),
            (vec!["*", "5,6", "*"], "2 [5, 6]"),
            (vec!["1,2", "3,4"], "0 []"),
            (vec!["*"], "1024 [0, 1, 2, 3]"),
        ] {
            assert_eq!(intersect(&lists).as_deref(), Some(found), "{lists:?}");
        }
        assert_eq!(intersect(&["1,x"]), None);
    }
}
