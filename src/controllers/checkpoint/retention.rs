//! Deletes records older than the retention. The Merkle tree's nodes above them remain, so that the other records can
//! be verified.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;

use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use crate::domain::audit::LogName;
use crate::domain::audit::drop::DroppedRecords;
use crate::domain::{Failure, Refusal};
use crate::store;

/// The first record and the published size of each log.
pub(super) type PublishedSizes = BTreeMap<LogName, (u64, u64)>;

/// Records are dropped only by whole subtrees of this size.
const SUBTREE_SIZE: u64 = 256;

impl ToFailure for store::Error {
    fn to_failure(&self) -> Failure {
        Failure { refusal: Refusal::new(Reason::AuditUnavailable, self.to_string()), is_stalled: false }
    }
}

/// Drops expired records that a published checkpoint covers, and records that in the log itself. Returns whether any were dropped.
///
/// # Errors
/// The last failure; the records of the other logs are dropped nevertheless.
pub(super) async fn drop_expired(
    published: &PublishedSizes,
    age: Duration,
    context: &Context,
) -> Result<bool, EffectError<store::Error>> {
    let Ok(before) = context.services.now().checked_sub(age) else { return Ok(false) };
    let mut result = Ok(false);
    for (log, (first, size)) in published {
        match drop_expired_of(log, *first, *size, before, context).await {
            Ok(has_dropped) => result = result.map(|has_dropped_before| has_dropped_before || has_dropped),
            Err(error) => result = Err(error),
        }
    }
    result
}

/// Drops the records of a log that are older than a time and within its first `size` records.
async fn drop_expired_of(
    log: &LogName,
    first: u64,
    size: u64,
    before: Timestamp,
    context: &Context,
) -> Result<bool, EffectError<store::Error>> {
    let audit = &context.services.audit.log;
    let old = audit.find_first_since(log, before).await?;
    let until = old.min(size) / SUBTREE_SIZE * SUBTREE_SIZE;
    if until <= first {
        return Ok(false);
    }
    // The record of this drop proves the earlier ones as well.
    if first > 0 && audit.find_drop(log, first).await?.is_none() {
        tracing::error!(
            reason = %Reason::AuditInconsistent, %log, first,
            "no expired records are dropped, because no record shows that the retention dropped those before the first: run \
             eventctl audit verify for details"
        );
        return Ok(false);
    }
    let dropped = DroppedRecords { from: first, until };
    let start = dropped.to_event(log.clone(), before, &context.services.audit.instance);
    let first_retained = context.services.run_recorded(start, audit.drop_before(log, until)).await?;
    tracing::info!(%log, first = first_retained, "dropped audit records older than the retention");
    Ok(true)
}
