//! Approvals.
//!
//! - `effect`: approved changes take effect without a resync.
//! - `crash`: kills between the effects of an approved change, and changes while no operator runs.
//! - `policy`: what the API server's policies enforce while no webhook is installed.

mod crash;
mod effect;
mod policy;

use eventcenter::api::EventTopic;

use crate::support::has_condition;

/// Whether the change is pending and the operator has accepted its requester.
fn is_pending(topic: &EventTopic) -> bool {
    let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
    has_condition(topic, "Ready=False AwaitingApproval")
        && pending.is_some_and(|pending| !pending.requested_by.is_empty())
}
