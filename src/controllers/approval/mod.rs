//! Approvals, as the controllers of every governed kind apply them.
//!
//! [`decide`] determines what is reconciled: the declared spec, or the active one while a change is pending. A new spec is
//! recorded as active before anything is done for it: first a ControllerRevision stores it, then the status names it. A kill
//! in between leaves either the spec before or the new one, and never an unknown one.

mod activation;
mod decide;
mod report;
mod store;
mod watch;

pub(super) use activation::{Activation, activate, prune_revisions, publish};
pub(super) use decide::{
    ApprovalDecision, DeletionApproval, Disposition, FactsLookup, GovernedReconciler, Obstacle, decide,
    decide_deletion,
};
pub(super) use report::{ApprovalReport, report_approval};
pub use store::ApprovalStore;
pub use watch::{GovernedQueue, GovernedQueues, wait_for_key};
pub(super) use watch::{follow_decisions, follow_trusted_keys};
