//! The outcome of a review.

use crate::domain::Refusal;
use crate::domain::admission::Verdict;

/// The webhook that the API server calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewType {
    /// Whether a change is allowed.
    Validate,
    /// How an object is completed.
    Mutate,
}

/// The outcome of a review.
pub(super) enum Outcome {
    /// The change is allowed, with these warnings.
    Allowed(Vec<String>),
    /// The object is completed by this patch.
    Patched(json_patch::Patch),
    /// The change is refused.
    Refused(Vec<Refusal>),
    /// The object, or the request, cannot be understood.
    Invalid(String),
    /// The webhook has not listed all resources yet.
    NotReady,
}

/// The webhook cannot answer before it has listed all resources.
pub(super) struct NotReady;

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict.refusals.is_empty() {
            true => Self::Allowed(verdict.warnings),
            false => Self::Refused(verdict.refusals),
        }
    }
}

impl From<NotReady> for Outcome {
    fn from(_: NotReady) -> Self {
        Self::NotReady
    }
}
