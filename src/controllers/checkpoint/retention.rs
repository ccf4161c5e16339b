//! Deletes records older than the retention. The Merkle tree's nodes above them remain, so that the other records can
//! be verified.

use std::collections::BTreeMap;
use std::time::Duration;

use eventcenter_sdk::Reason;

use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Via};
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

/// Drops expired records that a published checkpoint covers, and records that in the log itself.
pub(super) async fn drop_expired(
    published: &PublishedSizes,
    age: Duration,
    context: &Context,
) -> Result<(), EffectError<store::Error>> {
    let Ok(before) = context.services.now().checked_sub(age) else { return Ok(()) };
    for (log, (first, size)) in published {
        let old = context.services.audit.log.find_first_since(log, before).await?;
        let until = old.min(*size) / SUBTREE_SIZE * SUBTREE_SIZE;
        if until <= *first {
            continue;
        }
        let start = drop_record(log, *first, until, before, &context.services.audit.instance);
        let first_retained =
            context.services.run_recorded(start, context.services.audit.log.drop_before(log, until)).await?;
        tracing::info!(%log, first = first_retained, "dropped audit records older than the retention");
    }
    Ok(())
}

fn drop_record(log: &LogName, from: u64, until: u64, before: jiff::Timestamp, instance: &str) -> Event {
    let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
    let message = format!("records {from} to {}, which are older than {before:.0}", until - 1);
    let start = Event::new(log.clone(), actor, Action::DropRecords, Outcome::Started);
    Event { message: Some(message), ..start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_names_the_dropped_records() {
        let log = LogName::of(Some("shop"));
        let event = drop_record(&log, 256, 512, jiff::Timestamp::UNIX_EPOCH, "pod-1");
        assert_eq!(event.log, log);
        assert_eq!(
            event.message.as_deref(),
            Some("records 256 to 511, which are older than 1970-01-01T00:00:00Z")
        );
    }
}
