//! Replicas of the operator.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The replicas of all roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Nodes {
    /// The replicas, by role and name. A process with several roles is listed once for each.
    pub items: Vec<Node>,
}

/// A replica of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    /// The role: `api`, `controllers`, `runner` or `webhook`.
    pub role: String,
    /// The name of the process.
    pub instance: String,
    /// Whether its heartbeat is in time.
    pub status: NodeStatus,
    /// Whether it leads; only a replica of the role `controllers` does.
    pub is_leader: bool,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub started_at: Option<Timestamp>,
    /// Its last heartbeat, which is renewed every 10 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub last_heartbeat: Option<Timestamp>,
}

/// Whether the heartbeat of a replica is in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum NodeStatus {
    /// It is.
    Alive,
    /// It is not: the replica was killed, or cannot reach the API server.
    Expired,
}
