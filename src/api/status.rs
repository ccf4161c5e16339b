//! Traits of statuses.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::{
    ApprovedSpec, EventTopicStatus, KafkaClusterStatus, PendingChange, ScheduledTaskStatus,
    TaskTemplateStatus, TenantStatus,
};

/// A status with standard conditions.
pub trait HasConditions {
    /// The conditions.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to replace them.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The `metadata.generation` that the status describes.
    fn observed_generation(&self) -> Option<i64>;
    /// The `metadata.generation` that the status describes, to replace it.
    fn observed_generation_mut(&mut self) -> &mut Option<i64>;
}

/// The status of a kind whose changes may need approval.
pub trait HasApproval: HasConditions + Clone + Default + PartialEq + Serialize {
    /// The spec that is approved and active.
    fn approved(&self) -> Option<&ApprovedSpec>;
    /// Replaces the spec that is approved and active.
    fn set_approved(&mut self, approved: Option<ApprovedSpec>);
    /// The change that is pending approval.
    fn pending(&self) -> Option<&PendingChange>;
    /// Replaces the change that is pending approval.
    fn set_pending(&mut self, pending: Option<PendingChange>);
}

/// Implements [`HasConditions`] for statuses with the fields `conditions` and `observed_generation`.
#[macro_export]
macro_rules! has_conditions {
    ($($status:ty),+) => {$(
        impl $crate::api::HasConditions for $status {
            fn conditions(&self) -> &[::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                &self.conditions
            }

            fn conditions_mut(
                &mut self,
            ) -> &mut Vec<::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
                &mut self.conditions
            }

            fn observed_generation(&self) -> Option<i64> {
                self.observed_generation
            }

            fn observed_generation_mut(&mut self) -> &mut Option<i64> {
                &mut self.observed_generation
            }
        }
    )+};
}

/// Implements [`HasApproval`] for statuses with the fields `approved` and `pending`.
#[macro_export]
macro_rules! has_approval {
    ($($status:ty),+) => {$(
        impl $crate::api::HasApproval for $status {
            fn approved(&self) -> Option<&$crate::api::ApprovedSpec> {
                self.approved.as_ref()
            }

            fn set_approved(&mut self, approved: Option<$crate::api::ApprovedSpec>) {
                self.approved = approved;
            }

            fn pending(&self) -> Option<&$crate::api::PendingChange> {
                self.pending.as_deref()
            }

            fn set_pending(&mut self, pending: Option<$crate::api::PendingChange>) {
                self.pending = pending.map(Box::new);
            }
        }
    )+};
}

has_conditions!(TenantStatus, KafkaClusterStatus, EventTopicStatus, ScheduledTaskStatus, TaskTemplateStatus);
has_approval!(EventTopicStatus, ScheduledTaskStatus, TaskTemplateStatus);
