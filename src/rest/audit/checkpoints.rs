//! What was signed of a log, and proofs that it was only added to since.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response as HttpResponse;
use eventcenter_sdk::Reason;
use eventcenter_sdk::rest::audit::{Checkpoints, SignedCheckpoint, TreeHead};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use utoipa::IntoParams;

use super::described::{Refusals, TenantHeader};
use super::filter::LogParameters;
use super::logs::root_of;
use crate::domain::audit::checkpoint::{TrustedKeys, origin};
use crate::domain::audit::merkle::Consistency;
use crate::rest::Rest;
use crate::rest::access::Verb;
use crate::rest::envelope::{Chain, Failure, success};
use crate::rest::identity::Caller;
use crate::rest::parameter::{Parameters, refused};

/// How many checkpoints are told, the newest ones.
pub(super) const MOST: usize = 100;

/// How long the public halves of keys count that were read.
pub(in crate::rest) const KEYS_LAST: Duration = Duration::from_secs(10);

/// What was signed of a log.
#[utoipa::path(
    get,
    path = "/api/audit/checkpoints",
    tag = "audit",
    params(TenantHeader, LogParameters),
    responses(
        (status = 200, description = "Checkpoints and keys", body = Response<Checkpoints>),
        Refusals,
        (status = 503, description = "The log cannot be read", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn list(
    State(rest): State<Rest>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, Failure> {
    let mut given = Parameters::read(&uri, &LogParameters::NAMES)?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let head = rest.audit.read_head(&log).await?;
    let noted = rest.audit.list_checkpoints(&log, MOST).await?;
    let keys = TrustedKeys::parse(&rest.checkpoint_keys().await?);
    let origin = origin(&rest.options.installation, &log);
    Ok(success(Checkpoints {
        keys: keys.verifier_keys(&origin),
        origin,
        items: noted
            .into_iter()
            .map(|noted| SignedCheckpoint { size: noted.size, note: noted.note, time: noted.time })
            .collect(),
        head: TreeHead { size: head.size, root: root_of(&head)? },
    }))
}

impl Rest {
    /// The public halves of the keys for checkpoints, as they are published.
    async fn checkpoint_keys(&self) -> Result<String, Failure> {
        if let Some(keys) = self.keys.get(&()) {
            return Ok(keys);
        }
        let published = self.kubernetes.get_published_checkpoints().await.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "reading the keys for checkpoints");
            let text = "the keys for checkpoints cannot be read just now: try again later";
            Failure::new(Reason::AuditUnavailable, text)
        })?;
        self.keys.keep((), published.keys.clone());
        Ok(published.keys)
    }
}

/// Parameters of proofs.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProofParameters {
    /// The number of records of the older tree.
    #[param(minimum = 1)]
    from: u64,
    /// The number of records of the younger tree: at most what the log has.
    #[param(minimum = 1)]
    to: u64,
}

/// The proof that the first records of a log are still what they were when there were only those.
#[utoipa::path(
    get,
    path = "/api/audit/proof/consistency",
    tag = "audit",
    params(TenantHeader, LogParameters, ProofParameters),
    responses(
        (status = 200, description = "The proof", body = Response<Consistency>),
        Refusals,
        (status = 503, description = "The log cannot be read", body = ErrorResponse),
    )
)]
pub(in crate::rest) async fn consistency(
    State(rest): State<Rest>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<HttpResponse, Failure> {
    let mut given = Parameters::read(&uri, &[&LogParameters::NAMES[..], &["from", "to"]].concat())?;
    let tenant = LogParameters::read(&mut given)?.tenant;
    let mut number = |name: &str| {
        let number = given.number(name, 1..=u64::MAX)?;
        number.ok_or_else(|| refused(name, "it is missing: write the number of records of a tree"))
    };
    let asked = ProofParameters { from: number("from")?, to: number("to")? };
    if asked.from > asked.to {
        return Err(refused("from", "write at most what to says"));
    }
    let log = rest.log(&caller, &headers, tenant.as_deref(), Verb::Get).await?;

    let size = rest.audit.read_head(&log).await?.size;
    if asked.to > size {
        return Err(refused("to", &format!("the log {log} has {size} records: write at most that")));
    }
    let proof: Consistency = rest.audit.prove_consistency(&log, asked.from, asked.to).await?;
    Ok(success(proof))
}
