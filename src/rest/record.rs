//! What is recorded of the API itself: who has read which log, and who was refused.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderValue, Response};
use eventcenter_sdk::Reason;

use super::Rest;
use super::envelope::Failure;
use super::identity::{Caller, Sender};
use super::limit::{Asker, Limit};
use super::recent::Recent;
use crate::domain::audit::{self, Action, Actor, Event, LogName, Outcome, Target, Via};
use crate::store::WriteOutcome;

/// The name of whoever has shown none, as Kubernetes calls them.
const NOBODY: &str = "system:anonymous";

/// How many refusals are recorded in a minute for each address, and for all of them. The others are counted only, so that
/// nobody fills the log.
const EACH: NonZeroU32 = NonZeroU32::new(6).expect("it is not 0");
const ALL: NonZeroU32 = NonZeroU32::new(120).expect("it is not 0");

/// How many refusals are recorded.
#[derive(Debug)]
pub(super) struct Refusals {
    each: Limit,
    all: Limit,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { each: Limit::per_minute(EACH), all: Limit::per_minute(ALL) }
    }

    fn is_recorded(&self, sender: &Sender) -> bool {
        let from = sender.address.map_or(Asker::Others, |address| Asker::Address(address.into()));
        self.each.count(&from).is_ok() && self.all.count(&Asker::Others).is_ok()
    }
}

/// How long a question is one reading, however often and for how many pages it is asked: whoever follows a log asks each
/// second, and a log of who has read it should tell more than that.
const READING: Duration = Duration::from_mins(1);

/// How many readings are remembered.
const READINGS: usize = 4096;

/// What has been recorded as read a moment ago: by whom, from where, which log and which question.
#[derive(Debug)]
pub(super) struct Readings(Recent<(String, Option<IpAddr>, LogName, String), WriteOutcome>);

impl Readings {
    pub(super) fn new() -> Self {
        Self(Recent::new(READING, READINGS))
    }
}

/// What the answer has to say of its record.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Recorded(WriteOutcome);

impl Recorded {
    /// Says it if the read is not recorded, which only `--audit-policy best-effort` allows.
    pub(super) fn tell<B>(self, mut answer: Response<B>) -> Response<B> {
        if self.0 == WriteOutcome::Lost {
            let warning = HeaderValue::from_static("199 eventcenter \"this read could not be recorded\"");
            answer.headers_mut().insert("warning", warning);
        }
        answer
    }
}

impl Rest {
    /// Records in a log that somebody reads it. Nothing may be answered before.
    pub(super) async fn record_read(
        &self,
        caller: &Caller,
        log: &LogName,
        action: Action,
        message: String,
    ) -> Result<Recorded, Failure> {
        let event = Event::new(log.clone(), caller.actor(), action, Outcome::Allowed);
        let event = Event { target: Some(target(log)), message: Some(message), ..event };
        Ok(Recorded(self.recorder.record(sent_by(&caller.sender, event)).await?))
    }

    /// Somebody could not show who they are.
    pub(super) async fn refused_login(&self, sender: &Sender, why: &str) {
        let reason = Reason::Unauthenticated;
        self.metrics.refused(reason.as_str());
        if self.refusals.is_recorded(sender) {
            let actor = Actor { user: NOBODY.into(), groups: Vec::new(), via: Via::Api };
            let message = format!("{}: {why}", sender.asked);
            self.note_refusal(sender, actor, reason, None, message).await;
        }
    }

    /// Somebody asked for what they may not see.
    pub(super) async fn refused_read(&self, caller: &Caller, log: Option<&LogName>) {
        let reason = Reason::Forbidden;
        self.metrics.refused(reason.as_str());
        if self.refusals.is_recorded(&caller.sender) {
            let message = caller.sender.asked.clone();
            self.note_refusal(&caller.sender, caller.actor(), reason, log, message).await;
        }
    }

    /// The same for a question that is asked for page after page, or again and again: within a minute it is one reading.
    pub(super) async fn record_question(
        &self,
        caller: &Caller,
        log: &LogName,
        question: String,
    ) -> Result<Recorded, Failure> {
        let key = (caller.known.username.clone(), caller.sender.address, log.clone(), question.clone());
        if let Some(written) = self.readings.0.get(&key) {
            return Ok(Recorded(written));
        }
        let recorded = self.record_read(caller, log, Action::ReadAudit, question).await?;
        if recorded.0 != WriteOutcome::Lost {
            self.readings.0.keep(key, recorded.0);
        }
        Ok(recorded)
    }

    async fn note_refusal(
        &self,
        sender: &Sender,
        actor: Actor,
        reason: Reason,
        log: Option<&LogName>,
        message: String,
    ) {
        let event = Event::new(LogName::platform(), actor, Action::RefuseLogin, Outcome::Denied);
        let event = Event { target: log.map(target), reason: Some(reason), message: Some(message), ..event };
        self.recorder.enqueue(sent_by(sender, event)).await;
    }
}

fn target(log: &LogName) -> Target {
    Target { kind: "AuditLog".into(), namespace: None, name: log.to_string(), uid: None }
}

fn sent_by(sender: &Sender, event: Event) -> Event {
    Event {
        request: Some(sender.id.to_string()),
        trace: sender.trace.clone(),
        caller: audit::Caller {
            address: sender.address.map(|address| address.to_string()),
            user_agent: sender.agent.clone(),
            field_manager: None,
        },
        ..event
    }
}
