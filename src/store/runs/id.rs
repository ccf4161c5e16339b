//! Ids of runs in batches.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use crate::domain::task::RunId;

/// A row of a batch of runs.
#[derive(Debug, Serialize)]
pub(super) struct IdRow {
    id: String,
}

impl IdRow {
    pub(super) fn of(id: Uuid) -> Self {
        Self { id: to_hex(id) }
    }

    pub(super) fn all(ids: &[Uuid]) -> Vec<Self> {
        ids.iter().map(|id| Self::of(*id)).collect()
    }
}

/// An id as text of a batch.
pub(super) fn to_hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// The rows of runs in the order of their ids, in which all processes lock runs.
pub(super) fn to_id_rows(runs: &[RunId]) -> Vec<IdRow> {
    let mut runs = runs.to_vec();
    runs.sort();
    runs.iter().map(|run| IdRow::of(run.0)).collect()
}

/// The runs that a statement changed, once each, in the order of the caller.
pub(super) fn in_order(runs: impl Iterator<Item = RunId>, changed: &[(Uuid,)]) -> Vec<RunId> {
    let mut changed: HashSet<Uuid> = changed.iter().map(|(id,)| *id).collect();
    runs.filter(|run| changed.remove(&run.0)).collect()
}
