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

pub(super) use activation::publish;
pub use activation::{Activation, activate, prune_revisions};
pub use decide::{ApprovalDecision, Disposition, FactsLookup, GovernedReconciler, Obstacle, decide};
pub(super) use decide::{DeletionApproval, decide_deletion};
pub use report::{ApprovalReport, ReportedStatus, report_status};
pub use store::ApprovalStore;
pub use watch::{GovernedQueue, wait_for_key};
pub(super) use watch::{GovernedQueues, follow_decisions, follow_trusted_keys};
