//! Signed checkpoints, and proofs that a log is append-only.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::merkle::Consistency;
use eventcenter_sdk::rest::audit::{Checkpoints, SignedCheckpoint, TreeHead};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use utoipa::IntoParams;

use super::documentation::{ErrorResponses, TenantHeader};
use super::filter::LogParameters;
use super::root::root_of;
use crate::domain::audit::checkpoint::{TrustedKeys, origin};
use crate::rest::authentication::Caller;
use crate::rest::authorization::Verb;
use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::{ApiError, success};
use crate::rest::state::ApiState;

/// Checkpoints in a response, the newest ones.
const MAX_CHECKPOINTS: usize = 100;

/// The signed checkpoints of a log.
#[utoipa::path(
    get,
    path = "/api/audit/checkpoints",
    tag = "audit",
    params(TenantHeader, LogParameters),
    responses(
        (status = 200, description = "Checkpoints and keys", body = Response<Checkpoints>),
        ErrorResponses,
        (status = 503, description = "The log cannot be read", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let mut query = QueryParameters::parse(&uri, &LogParameters::NAMES)?;
    let tenant = LogParameters::read(&mut query)?.tenant;
    let log = state.authorizer.authorize(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let head = state.audit.read_head(&log).await?;
    let checkpoints = state.audit.list_checkpoints(&log, MAX_CHECKPOINTS).await?;
    let keys = TrustedKeys::parse(&state.checkpoint_keys.get().await?);
    let origin = origin(&state.options.installation, &log);
    let items = checkpoints
        .into_iter()
        .map(|checkpoint| SignedCheckpoint {
            size: checkpoint.size,
            note: checkpoint.note,
            time: checkpoint.time,
        })
        .collect();
    let head = TreeHead { size: head.size, root: root_of(&head)? };
    Ok(success(Checkpoints { keys: keys.verifier_keys(&origin), origin, items, head }))
}

/// The parameters of a consistency proof.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProofParameters {
    /// The number of records of the older tree.
    #[param(minimum = 1)]
    from: u64,
    /// The number of records of the newer tree: at most the size of the log.
    #[param(minimum = 1)]
    to: u64,
}

impl ProofParameters {
    const NAMES: [&str; 2] = ["from", "to"];

    fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        let mut number = |name: &str| {
            let number = query.number(name, 1..=u64::MAX)?;
            let missing = "the parameter is missing: write the number of records of a tree";
            number.ok_or_else(|| invalid_parameter(name, missing))
        };
        let proof = Self { from: number("from")?, to: number("to")? };
        match proof.from <= proof.to {
            true => Ok(proof),
            false => Err(invalid_parameter("from", "write at most the value of to")),
        }
    }
}

/// The proof that the first `from` records of a log are the beginning of the first `to` records.
#[utoipa::path(
    get,
    path = "/api/audit/proof/consistency",
    tag = "audit",
    params(TenantHeader, LogParameters, ProofParameters),
    responses(
        (status = 200, description = "The proof", body = Response<Consistency>),
        ErrorResponses,
        (status = 503, description = "The log cannot be read", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn consistency(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, ApiError> {
    let known = [&LogParameters::NAMES[..], &ProofParameters::NAMES].concat();
    let mut query = QueryParameters::parse(&uri, &known)?;
    let tenant = LogParameters::read(&mut query)?.tenant;
    let proof = ProofParameters::read(&mut query)?;
    let log = state.authorizer.authorize(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let size = state.audit.read_head(&log).await?.size;
    if proof.to > size {
        let rule = format!("the log {log} has {size} records: write at most that");
        return Err(invalid_parameter("to", &rule));
    }
    let proof: Consistency = state.audit.prove_consistency(&log, proof.from, proof.to).await?;
    Ok(success(proof))
}
