//! The problems of one resource, with their places.

use super::super::manifest::Place;
use crate::domain::lint::Diagnostic;

/// What was found in one resource.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: String,
    /// Where the resource begins.
    pub(super) place: Place,
    /// Its kind, namespace and name.
    pub(super) resource: String,
    /// In the order of their places.
    pub(super) problems: Vec<Problem>,
}

/// A diagnostic and where its field is.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) diagnostic: Diagnostic,
}

impl Report {
    pub(super) fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.diagnostic.is_refusal())
    }
}
