//! The problems of a resource, with their positions.

use super::super::manifest::Position;
use crate::domain::lint::Diagnostic;

/// The result for one resource.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: String,
    /// The beginning of the resource.
    pub(super) position: Position,
    /// Its kind, namespace and name.
    pub(super) resource: String,
    /// Sorted by position.
    pub(super) problems: Vec<Problem>,
}

/// A diagnostic and the position of its field.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) position: Position,
    pub(super) diagnostic: Diagnostic,
}

impl Report {
    /// Whether the API server would refuse the resource.
    pub(super) fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.diagnostic.is_refusal())
    }
}
