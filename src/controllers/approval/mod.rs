//! Approvals, as the controllers of every governed kind apply them.
//!
//! [`decide`] determines what is reconciled: the declared spec, or the active one while a change is pending. A new spec
//! is recorded as active before any effect: first a ControllerRevision stores it, then the status names it. After a
//! kill in between, the active spec is either the previous or the new one, never unknown.

mod activation;
mod decide;
mod report;
mod store;
mod watch;

pub use activation::{Activation, activate, prune_revisions};
pub(super) use activation::{deactivate, publish};
pub use decide::{ApprovalDecision, Disposition, FactsLookup, GovernedReconciler, Obstacle, decide};
pub(super) use decide::{DeletionApproval, decide_deletion};
pub use report::{ApprovalReport, ReportedStatus, report_status};
pub use store::ApprovalStore;
pub use watch::{GovernedQueue, wait_for_key};
pub(super) use watch::{GovernedQueues, follow_decisions, follow_trusted_keys};
