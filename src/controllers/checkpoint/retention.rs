//! Dropping records that are older than the retention. The tree's nodes above them stay, so that what is left can be
//! verified.

use std::time::Duration;

use eventcenter_sdk::Reason;

use super::super::Context;
use super::super::effect::{EffectError, ToFailure};
use super::Covered;
use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Via};
use crate::domain::{Failure, Refusal};
use crate::store;

/// Records go only by whole nodes of those that are kept: so many at a time.
const WHOLE: u64 = 256;

impl ToFailure for store::Error {
    fn to_failure(&self) -> Failure {
        Failure { refusal: Refusal::new(Reason::AuditUnavailable, self.to_string()), is_stalled: false }
    }
}

/// Drops what is too old and is covered by a published checkpoint, and records that in the log itself.
pub(super) async fn clear(
    covered: &Covered,
    age: Duration,
    context: &Context,
) -> Result<(), EffectError<store::Error>> {
    let Ok(before) = context.services.now().checked_sub(age) else { return Ok(()) };
    for (log, (first, covers)) in covered {
        let old = context.services.audit.log.find_first_since(log, before).await?;
        let until = old.min(*covers) / WHOLE * WHOLE;
        if until <= *first {
            continue;
        }
        let start = dropping(log, *first, until, before, &context.services.audit.instance);
        let left =
            context.services.run_recorded(start, context.services.audit.log.drop_before(log, until)).await?;
        tracing::info!(%log, first = left, "dropped records of the audit log that are older than the retention");
    }
    Ok(())
}

fn dropping(log: &LogName, from: u64, until: u64, before: jiff::Timestamp, instance: &str) -> Event {
    let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
    let message = format!("records {from} to {}, which are older than {before:.0}", until - 1);
    let start = Event::new(log.clone(), actor, Action::DropRecords, Outcome::Started);
    Event { message: Some(message), ..start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_says_which_records_go() {
        let log = LogName::of(Some("shop"));
        let event = dropping(&log, 256, 512, jiff::Timestamp::UNIX_EPOCH, "pod-1");
        assert_eq!(event.log, log);
        assert_eq!(
            event.message.as_deref(),
            Some("records 256 to 511, which are older than 1970-01-01T00:00:00Z")
        );
    }
}
