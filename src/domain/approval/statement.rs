//! Statements that one role of the operator seals and another verifies.
//!
//! Anybody with write access to a resource can write anything into it while the webhook is not installed. So a
//! statement is trusted only with the seal of the role that may make it. It names its purpose and its subject, so that
//! a seal cannot be used for another purpose or on another resource.

use jiff::Timestamp;
use serde::Serialize;

use super::claims::{DeletionClaims, RequestClaims};
use crate::api::{ApprovalAction, Approver, Decision, Kind};

/// The sealed content. All of it is signed, in canonical JSON (RFC 8785); tag and field names are part of the format.
#[derive(Debug, Serialize)]
#[serde(tag = "statement")]
pub enum Statement<'a> {
    /// The webhook asserts that these users requested this spec.
    Request {
        /// The kind of the resource.
        kind: &'a Kind,
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// Who requested what.
        request: &'a RequestClaims,
    },
    /// The webhook asserts that this user deletes this resource.
    Deletion {
        /// The kind of the resource.
        kind: &'a Kind,
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// Who deletes what.
        request: &'a DeletionClaims,
    },
    /// The webhook asserts that this user decided.
    Approval {
        /// The namespace of the resource and of the ChangeApproval.
        namespace: &'a str,
        /// The kind of the resource.
        kind: &'a Kind,
        /// Its name.
        name: &'a str,
        /// Its uid; `None` if it does not exist yet.
        uid: Option<&'a str>,
        /// Its generation; `None` if it does not exist yet.
        generation: Option<i64>,
        /// The action that is decided on.
        action: ApprovalAction,
        /// The [`SpecHash`](super::SpecHash) that is decided on.
        hash: &'a str,
        /// The hash of the existing data that the change takes over.
        #[serde(skip_serializing_if = "Option::is_none")]
        takeover_hash: Option<&'a str>,
        /// The decision.
        decision: Decision,
        /// The approver.
        approver: &'a Approver,
        /// The time of the decision.
        at: Timestamp,
        /// The reason that the approver gave.
        comment: Option<&'a str>,
    },
    /// The controllers assert that this spec is active.
    Approved {
        /// The kind of the resource.
        kind: &'a Kind,
        /// Its uid.
        uid: &'a str,
        /// The [`SpecHash`](super::SpecHash) of the active spec.
        hash: &'a str,
        /// The `metadata.generation` that declared it.
        generation: i64,
        /// The ControllerRevision that stores it.
        revision: Option<&'a str>,
        /// The time of its activation.
        at: Timestamp,
    },
}
