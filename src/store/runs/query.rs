//! Translates a filter of runs into SQL.
//!
//! A query is a union of parts, each of which reads the newest runs from one range of one index: of a table, a tenant, and if the
//! filter has states, of a state of the history. A condition on several tenants or states at once would read and sort all of their
//! runs.

use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

use super::row::{run_columns, to_micros};
use crate::domain::task::{RunId, RunState};

/// Which runs to list. All conditions apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// The tenants whose runs are listed; without any, there are no runs.
    pub tenants: Vec<TenantName>,
    /// Only of tasks in these namespaces; `None` for all namespaces.
    pub namespaces: Option<Vec<String>>,
    /// Only of tasks with this name. With exactly one namespace it is found by an index.
    pub task: Option<String>,
    /// Only of the task with this `metadata.uid`.
    pub uid: Option<Uuid>,
    /// Only in one of these states; none for all states.
    pub states: Vec<RunState>,
    /// Only with one of these kinds of triggers ([`crate::domain::task::Trigger::kind`]); none for all kinds.
    pub triggers: Vec<String>,
    /// Only with this scheduled time or a later one.
    pub from: Option<Timestamp>,
    /// Only with an earlier scheduled time.
    pub until: Option<Timestamp>,
    /// Only of this chain.
    pub chain: Option<Uuid>,
}

/// Where a page continues: after this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunCursor {
    /// The scheduled time of the last run of the previous page.
    pub scheduled_at: Timestamp,
    /// Its id.
    pub id: RunId,
}

const OPEN: &str = "task_run";
const HISTORY: &str = "task_run_history";

/// The runs of one range of one index.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    table: &'static str,
    tenant: &'a TenantName,
    /// One of these states; none for all states.
    states: &'a [RunState],
    chain: Option<Chain>,
}

impl Part<'_> {
    fn is_ended_only(&self) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| state.is_final())
    }

    /// The index that finds few runs, if there is one.
    fn selective_index(&self, filter: &RunFilter) -> Option<&'static str> {
        let is_open = self.table == OPEN;
        match self.chain {
            Some(Chain::First(_)) if is_open => Some("sqlite_autoindex_task_run_1"),
            Some(Chain::First(_)) => Some("sqlite_autoindex_task_run_history_1"),
            Some(Chain::Others(_)) if is_open => Some("task_run_chain"),
            Some(Chain::Others(_)) => Some("task_run_history_chain"),
            None if is_open && self.is_ended_only() => Some("task_run_unreported"),
            None if !is_open && self.states.is_empty() && has_no_schedule(filter) => {
                Some("task_run_history_trigger")
            }
            None => None,
        }
    }
}

/// Whether a filter has kinds of triggers, but not `Schedule`.
fn has_no_schedule(filter: &RunFilter) -> bool {
    !filter.triggers.is_empty() && !filter.triggers.iter().any(|kind| kind == "Schedule")
}

/// The runs of a chain are its first one, and others by an index.
#[derive(Clone, Copy, Debug)]
enum Chain {
    First(Uuid),
    Others(Uuid),
}

/// The parts whose union has all runs of a filter.
pub(super) fn parts(filter: &RunFilter) -> Vec<Part<'_>> {
    let chains = match filter.chain {
        Some(chain) => vec![Some(Chain::First(chain)), Some(Chain::Others(chain))],
        None => vec![None],
    };
    let states = filter.states.as_slice();
    let mut parts = Vec::new();
    for tenant in &filter.tenants {
        for &chain in &chains {
            parts.push(Part { table: OPEN, tenant, states, chain });
            if states.is_empty() {
                parts.push(Part { table: HISTORY, tenant, states, chain });
            }
            let ended = states.chunks(1).filter(|state| state[0].is_final());
            parts.extend(ended.map(|states| Part { table: HISTORY, tenant, states, chain }));
        }
    }
    parts
}

/// Selects the newest runs of parts after a cursor.
pub(super) fn select<DB>(
    filter: &RunFilter,
    parts: &[Part<'_>],
    after: Option<RunCursor>,
    limit: i64,
) -> QueryBuilder<DB>
where
    DB: Database,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
{
    const ORDER: &str = " ORDER BY scheduled_at DESC, id DESC LIMIT ";
    let mut query = QueryBuilder::new("");
    for (number, part) in parts.iter().enumerate() {
        query.push(if number == 0 { "SELECT * FROM (SELECT " } else { " UNION ALL SELECT * FROM (SELECT " });
        query.push(run_columns!()).push(" FROM ").push(part.table);
        // SQLite has no statistics, and would read all runs of the tenant in the wanted order instead.
        if let Some(index) = part.selective_index(filter).filter(|_| DB::NAME == sqlx::Sqlite::NAME) {
            query.push(" INDEXED BY ").push(index);
        }
        query.push(" WHERE tenant = ").push_bind(part.tenant.as_str());
        push_conditions(&mut query, filter, part, after);
        query.push(ORDER).push_bind(limit).push(") AS part").push(number);
    }
    query.push(ORDER).push_bind(limit);
    query
}

fn push_conditions<DB>(
    query: &mut QueryBuilder<DB>,
    filter: &RunFilter,
    part: &Part<'_>,
    after: Option<RunCursor>,
) where
    DB: Database,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
{
    if let Some(namespaces) = &filter.namespaces {
        push_list(query, "namespace", namespaces.iter().map(String::as_str));
    }
    if let Some(task) = &filter.task {
        query.push(" AND task_name = ").push_bind(task.as_str());
    }
    if let Some(uid) = filter.uid {
        query.push(" AND task = ").push_bind(uid);
    }
    if !part.states.is_empty() {
        push_list(query, "state", part.states.iter().map(|state| state.as_str()));
        // The conditions of partial indexes.
        if part.table == HISTORY && !part.states.contains(&RunState::Succeeded) {
            query.push(" AND state <> 'Succeeded'");
        }
        if part.table == OPEN && part.is_ended_only() {
            query.push(" AND ended_at IS NOT NULL");
        }
    }
    if !filter.triggers.is_empty() {
        push_list(query, "trigger_kind", filter.triggers.iter().map(String::as_str));
        if part.table == HISTORY && has_no_schedule(filter) {
            query.push(" AND trigger_kind <> 'Schedule'");
        }
    }
    if let Some(from) = filter.from {
        query.push(" AND scheduled_at >= ").push_bind(to_micros(from));
    }
    if let Some(until) = filter.until {
        query.push(" AND scheduled_at < ").push_bind(to_micros(until));
    }
    match part.chain {
        None => {}
        Some(Chain::First(chain)) => {
            query.push(" AND id = ").push_bind(chain).push(" AND chain = id");
        }
        Some(Chain::Others(chain)) => {
            query.push(" AND chain = ").push_bind(chain).push(" AND chain <> id");
        }
    }
    if let Some(RunCursor { scheduled_at, id }) = after {
        query.push(" AND (scheduled_at, id) < (").push_bind(to_micros(scheduled_at));
        query.push(", ").push_bind(id.0).push(")");
    }
}

/// Restricts a column to values. A single one is an equality, by which an index is read in the order of its other columns.
fn push_list<'a, DB>(
    query: &mut QueryBuilder<DB>,
    column: &'static str,
    mut values: impl ExactSizeIterator<Item = &'a str>,
) where
    DB: Database,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
{
    query.push(" AND ").push(column);
    if values.len() == 1
        && let Some(value) = values.next()
    {
        query.push(" = ").push_bind(value);
        return;
    }
    query.push(" IN (");
    let mut list = query.separated(", ");
    // An empty list is not a list in PostgreSQL; no name is empty.
    list.push_bind("");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}
