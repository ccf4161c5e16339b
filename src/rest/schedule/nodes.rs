//! The replicas of the operator.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::rest::Response;
use eventcenter_sdk::rest::schedule::{Node, NodeStatus, Nodes};

use super::documentation::ErrorResponses;
use super::tasks::session;
use crate::rest::authentication::Caller;
use crate::rest::parameter::QueryParameters;
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;

/// The replicas of every role with their heartbeats. The caller needs the right `list` on `leases` in the operator's namespace.
#[utoipa::path(
    get,
    path = "/api/schedule/nodes",
    tag = "schedule",
    responses((status = 200, description = "The replicas", body = Response<Nodes>), ErrorResponses)
)]
pub(in crate::rest) async fn list(
    State(state): State<ApiState>,
    _: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    QueryParameters::parse(&uri, &[])?;
    let session = session(&state, &headers)?;
    let replicas = session.list_replicas(state.kube.namespace(), &state.options.leader_lease).await;
    let replicas = replicas.map_err(|error| ApiError::kubernetes(&error))?;
    let now = (state.clock)();
    let items = replicas.into_iter().map(|replica| Node {
        status: if replica.is_alive(now) { NodeStatus::Alive } else { NodeStatus::Expired },
        role: replica.role,
        instance: replica.instance,
        is_leader: replica.is_leader,
        started_at: replica.started,
        last_heartbeat: replica.renewed,
    });
    Ok(success(Nodes { items: items.collect() }))
}
