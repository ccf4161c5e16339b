//! What the webhook asserts about requests.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the webhook asserts about a request. The field names are part of the sealed format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestClaims {
    /// The [`SpecHash`](super::SpecHash) of the requested spec.
    pub hash: String,
    /// The uid of the resource; `None` at its creation, before it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The generation that the resource had or was about to have: if the same spec comes back later, it was not requested
    /// by the same people.
    #[serde(default)]
    pub generation: i64,
    /// The users who requested a change since the last active spec, the first one first.
    pub requesters: Vec<String>,
    /// The authors of what they applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The time of the request (RFC 3339).
    pub at: Timestamp,
    /// Why the change must not wait for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// Why a change must not wait for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The user who asserts this.
    pub by: String,
    /// Those of the user's groups that the rules name.
    pub groups: Vec<String>,
    /// The user's reason.
    pub reason: String,
}

/// `alice, bob for carol`: requesters, then authors.
impl fmt::Display for RequestClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.requesters.join(", "))?;
        if self.authors.is_empty() { Ok(()) } else { write!(f, " for {}", self.authors.join(", ")) }
    }
}

/// What the webhook asserts about a deletion. The field names are part of the sealed format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletionClaims {
    /// The uid of the resource.
    pub uid: String,
    /// Its generation before the deletion.
    pub generation: i64,
    /// The [`SpecHash`](super::SpecHash) of its spec.
    pub hash: String,
    /// The user who deletes.
    pub user: String,
    /// The time of the request (RFC 3339).
    pub at: Timestamp,
}
