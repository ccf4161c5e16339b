//! The audit records about the API itself: reads of logs, and refused requests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Response};
use eventcenter_sdk::Reason;
use eventcenter_sdk::merkle::Hash;
use eventcenter_sdk::rest::audit::Filter;
use moka::sync::Cache;

use super::cache::expiring_cache;
use super::metrics::Metrics;
use super::rate_limit::{Client, RateLimiter};
use super::request_id::RequestId;
use super::response::ApiError;
use crate::domain::audit::{self, Action, Actor, Event, LogName, Outcome, Target, Via};
use crate::store::{Recorder, WriteOutcome};

/// The name of unauthenticated users in Kubernetes.
const ANONYMOUS: &str = "system:anonymous";

/// Refusals that are recorded per minute and address. Further ones are only counted, so that no client can fill the log.
const MAX_REFUSALS_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(6).expect("it is not 0");

/// Refusals that are recorded per minute in total.
const MAX_REFUSALS: NonZeroU32 = NonZeroU32::new(120).expect("it is not 0");

/// How long the same query of the same user is one read: `eventctl audit tail` queries every second, and a read may take many
/// pages.
const QUERY_WINDOW: Duration = Duration::from_mins(1);

/// Queries that are remembered.
const MAX_QUERIES: u64 = 4096;

/// The origin of a request.
#[derive(Clone, Debug)]
pub(super) struct RequestOrigin {
    /// The request's id.
    pub(super) id: RequestId,
    /// The trace id.
    pub(super) trace_id: Option<String>,
    /// The address of the other end of the connection. Headers such as `X-Forwarded-For` are not trusted.
    pub(super) address: Option<IpAddr>,
    /// The user agent.
    pub(super) user_agent: Option<String>,
    /// Method and path.
    pub(super) endpoint: String,
}

impl RequestOrigin {
    /// The client by its address.
    pub(super) fn client(&self) -> Client {
        self.address.map_or(Client::Other, |address| Client::Address(address.into()))
    }

    fn sign(&self, event: Event) -> Event {
        Event {
            request: Some(self.id.to_string()),
            trace: self.trace_id.clone(),
            caller: audit::Caller {
                address: self.address.map(|address| address.to_string()),
                user_agent: self.user_agent.clone(),
                field_manager: None,
            },
            ..event
        }
    }
}

/// A user, address, log and the hash of the filter. The text of a filter would not be unique: it omits the end of long values.
type QueryKey = (String, Option<IpAddr>, LogName, Hash);

/// Writes the records about the API.
#[derive(Clone, Debug)]
pub(super) struct AccessLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recorder: Recorder,
    metrics: Metrics,
    refusals_per_address: RateLimiter,
    refusals: RateLimiter,
    recent_queries: Cache<QueryKey, WriteOutcome>,
}

/// That a read was recorded, or that it was not under `--audit-policy best-effort`.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct RecordedRead(WriteOutcome);

impl RecordedRead {
    /// Adds a header `Warning` to the response if the read was not recorded.
    pub(super) fn warn_if_lost<B>(self, mut response: Response<B>) -> Response<B> {
        if self.0 == WriteOutcome::Lost {
            let warning = HeaderValue::from_static("199 eventcenter \"this read could not be recorded\"");
            response.headers_mut().insert("warning", warning);
        }
        response
    }
}

fn hash(filter: &Filter) -> Hash {
    Hash::over(&[&serde_json::to_vec(filter).expect("a filter is JSON")])
}

impl AccessLog {
    pub(super) fn new(recorder: Recorder, metrics: Metrics) -> Self {
        let recent_queries = expiring_cache(MAX_QUERIES, QUERY_WINDOW);
        Self(Arc::new(Inner {
            recorder,
            metrics,
            refusals_per_address: RateLimiter::per_minute(MAX_REFUSALS_PER_ADDRESS),
            refusals: RateLimiter::per_minute(MAX_REFUSALS),
            recent_queries,
        }))
    }

    /// Records a read of a log, in that log. Must complete before the response begins.
    pub(super) async fn record_read(
        &self,
        origin: &RequestOrigin,
        actor: Actor,
        log: &LogName,
        action: Action,
        message: String,
    ) -> Result<RecordedRead, ApiError> {
        let event = Event::new(log.clone(), actor, action, Outcome::Allowed);
        let event = Event { target: Some(target(log)), message: Some(message), ..event };
        Ok(RecordedRead(self.0.recorder.record(origin.sign(event)).await?))
    }

    /// Records a query for pages of a log. The same query of the same user and address is recorded once a minute.
    pub(super) async fn record_query(
        &self,
        origin: &RequestOrigin,
        actor: Actor,
        log: &LogName,
        filter: &Filter,
    ) -> Result<RecordedRead, ApiError> {
        let key = (actor.user.clone(), origin.address, log.clone(), hash(filter));
        if let Some(written) = self.0.recent_queries.get(&key) {
            return Ok(RecordedRead(written));
        }
        let recorded = self.record_read(origin, actor, log, Action::ReadAudit, filter.to_string()).await?;
        if recorded.0 != WriteOutcome::Lost {
            self.0.recent_queries.insert(key, recorded.0);
        }
        Ok(recorded)
    }

    /// Records a read of a run's log in the log of its tenant. The same read of the same user and address is recorded once a
    /// minute: `eventctl task logs -f` reads every second.
    pub(super) async fn record_run_log(
        &self,
        origin: &RequestOrigin,
        actor: Actor,
        log: &LogName,
        target: Target,
        what: String,
    ) -> Result<RecordedRead, ApiError> {
        let key = (actor.user.clone(), origin.address, log.clone(), Hash::over(&[what.as_bytes()]));
        if let Some(written) = self.0.recent_queries.get(&key) {
            return Ok(RecordedRead(written));
        }
        let event = Event::new(log.clone(), actor, Action::ReadRunLog, Outcome::Allowed);
        let event = Event { target: Some(target), message: Some(what), ..event };
        let recorded = self.0.recorder.record(origin.sign(event)).await?;
        if recorded != WriteOutcome::Lost {
            self.0.recent_queries.insert(key, recorded);
        }
        Ok(RecordedRead(recorded))
    }

    /// Records that an effect begins, makes it, and records how it ended. `event` is the first record, without the origin of the
    /// request; without that record, the effect is not attempted.
    pub(super) async fn record_effect<T>(
        &self,
        origin: &RequestOrigin,
        event: Event,
        effect: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let start = origin.sign(Event { outcome: Outcome::Started, ..event });
        let record = match self.0.recorder.record(start.clone()).await {
            Ok(WriteOutcome::Durable(id) | WriteOutcome::Spooled(id)) => Some(id),
            Ok(WriteOutcome::Lost) => None,
            Err(error) => return Err(ApiError::not_recorded(&error)),
        };
        let result = effect.await;
        let failure = result.as_ref().err().map(|error| (error.reason(), error.message().to_owned()));
        let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Succeeded };
        let end = start.completion(record.unwrap_or_default(), outcome, failure);
        // If the policy allows the effect without its first record, the second one completes none.
        self.0.recorder.enqueue(Event { completes: record, ..end }).await;
        result
    }

    /// Counts a request that was refused by the rate limit.
    pub(super) fn count_rate_limited(&self) {
        self.0.metrics.count_refused(Reason::TooManyRequests);
    }

    /// Counts and records a request that is not authenticated.
    pub(super) async fn record_unauthenticated(&self, origin: &RequestOrigin, why: &str) {
        let actor = Actor { user: ANONYMOUS.into(), groups: Vec::new(), via: Via::Api };
        let message = format!("{}: {why}", origin.endpoint);
        self.record_refusal(origin, actor, Reason::Unauthenticated, None, message).await;
    }

    /// Counts and records a request that is not authorized.
    pub(super) async fn record_forbidden(&self, origin: &RequestOrigin, actor: Actor, log: Option<&LogName>) {
        self.record_refusal(origin, actor, Reason::Forbidden, log.map(target), origin.endpoint.clone()).await;
    }

    /// Counts and records a request about a task that is not authorized.
    pub(super) async fn record_forbidden_task(
        &self,
        origin: &RequestOrigin,
        actor: Actor,
        target: Option<Target>,
    ) {
        self.record_refusal(origin, actor, Reason::Forbidden, target, origin.endpoint.clone()).await;
    }

    async fn record_refusal(
        &self,
        origin: &RequestOrigin,
        actor: Actor,
        reason: Reason,
        target: Option<Target>,
        message: String,
    ) {
        self.0.metrics.count_refused(reason);
        let is_recorded = self.0.refusals_per_address.check(&origin.client()).is_ok()
            && self.0.refusals.check(&Client::Other).is_ok();
        if is_recorded {
            let event = Event::new(LogName::platform(), actor, Action::RefuseLogin, Outcome::Denied);
            let event = Event { target, reason: Some(reason), message: Some(message), ..event };
            self.0.recorder.enqueue(origin.sign(event)).await;
        }
    }
}

fn target(log: &LogName) -> Target {
    Target { kind: "AuditLog".into(), namespace: None, name: log.to_string(), uid: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_differ_beyond_what_is_shown_are_different_queries() {
        let filter = |text: String| Filter { text: Some(text), ..Filter::default() };
        let [one, other] = ["1", "2"].map(|end| filter("x".repeat(200) + end));
        assert_eq!(one.to_string(), other.to_string());
        assert_ne!(hash(&one), hash(&other));
        assert_eq!(hash(&one), hash(&one.clone()));
    }
}
