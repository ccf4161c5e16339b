//! The services of all controllers.

use jiff::Timestamp;

use super::approval::ApprovalStore;
use super::catalog::Catalog;
use super::metrics::Metrics;
use super::options::Audit;
use crate::kubernetes::KubeClient;

/// The services of all controllers.
#[derive(Debug)]
pub struct Services {
    pub(super) kubernetes: KubeClient,
    pub(super) catalog: Catalog,
    pub(super) approvals: ApprovalStore,
    pub(super) metrics: Metrics,
    pub(super) audit: Audit,
    pub(super) clock: fn() -> Timestamp,
}

impl Services {
    /// The services of a process that is the leader.
    #[must_use]
    pub fn new(
        kubernetes: KubeClient,
        approvals: ApprovalStore,
        metrics: Metrics,
        audit: Audit,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { kubernetes, catalog: Catalog::default(), approvals, metrics, audit, clock }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
