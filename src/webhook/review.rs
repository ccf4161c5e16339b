//! Answers an AdmissionReview.
//!
//! Every error is a refusal. What cannot be checked is not allowed.

use std::borrow::Cow;
use std::time::Duration;

use eventcenter_sdk::Reason;
use kube::core::Status;
use kube::core::admission::AdmissionResponse;
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::context::ReviewContext;
use super::kinds::Handlers;
use super::metrics::ReviewLabels;
use super::outcome::{Outcome, ReviewType};
use super::record::record;
use super::request::{InvalidReview, Request};
use crate::domain::Refusal;
use crate::domain::approval::SPEC_HASH_CAUSE;

/// The body is not an AdmissionReview.
#[derive(Debug, thiserror::Error)]
#[error("this is not an AdmissionReview of admission.k8s.io/v1: {0}")]
pub(super) struct NotAReview(String);

/// Answers reviews.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    pub(super) context: ReviewContext,
    pub(super) handlers: Handlers,
}

impl Reviewer {
    /// Answers the body of a request.
    pub(super) async fn answer(&self, review_type: ReviewType, body: &[u8]) -> Result<Vec<u8>, NotAReview> {
        let begun = Instant::now();
        let request = match Request::parse(body) {
            Ok(request) => request,
            Err(InvalidReview::Malformed(error)) => return answer_invalid(body, &error),
            Err(error) => return Err(NotAReview(error.to_string())),
        };
        let context = match request.dry_run {
            true => Cow::Owned(self.context.for_dry_run()),
            false => Cow::Borrowed(&self.context),
        };
        let outcome = match (self.handlers.find(&request), review_type) {
            (Some(handler), ReviewType::Validate) => handler.validate(&request, &context).await,
            (Some(handler), ReviewType::Mutate) => handler.mutate(&request, &context).await,
            (None, _) => Outcome::Invalid(format!(
                "the webhook does not review {} of group {:?}: remove the kind from the webhook configuration",
                request.kind.kind, request.kind.group
            )),
        };
        let (outcome, id) = record(review_type, &request, outcome, &self.context).await;
        let response = response(&request, &outcome, id);
        self.observe(review_type, &request, &outcome, begun.elapsed());
        serde_json::to_vec(&response.into_review()).map_err(|error| NotAReview(error.to_string()))
    }

    /// Counts and logs a review.
    fn observe(&self, review_type: ReviewType, request: &Request<'_>, outcome: &Outcome, took: Duration) {
        let (result, reason) = match outcome {
            Outcome::Allowed(_) => ("allowed", ""),
            Outcome::Patched(_) => ("completed", ""),
            Outcome::Refused(refusals) => {
                ("refused", refusals.first().map_or("", |refusal| refusal.reason.as_str()))
            }
            Outcome::Invalid(_) => ("refused", Reason::InvalidResource.as_str()),
            Outcome::NotReady => ("refused", NOT_READY),
        };
        let (kind, operation) = (request.kind.label(), request.operation.label());
        self.context.metrics.record_review(ReviewLabels { kind, operation, outcome: result, reason }, took);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let user = request.user_info.username.as_str();
        let (name, dry_run) = (&request.name, request.dry_run);
        if result == "refused" {
            tracing::info!(kind, namespace, name, operation, user, dry_run, reason, "refused");
        } else {
            tracing::debug!(
                kind,
                namespace,
                name,
                operation,
                user,
                dry_run,
                ?review_type,
                result,
                ?took,
                "reviewed"
            );
        }
    }
}

/// The annotation in Kubernetes' audit log, after the webhook's name and a slash.
const RECORD_ANNOTATION: &str = "record";

/// The reason of a refusal while resources are still being listed. It is never a reason in a resource's status.
const NOT_READY: &str = "WebhookNotReady";

/// The response. Kubernetes' own audit log, which has the address of the client, names the record of the review.
fn response(request: &Request<'_>, outcome: &Outcome, record: Option<Uuid>) -> AdmissionResponse {
    let mut response = AdmissionResponse::invalid("");
    (response.uid, response.allowed, response.result) = (request.uid.clone(), true, Status::default());
    response.audit_annotations.extend(record.map(|id| (RECORD_ANNOTATION.to_owned(), id.to_string())));
    match outcome {
        Outcome::Allowed(warnings) => {
            response.warnings = (!warnings.is_empty()).then(|| warnings.clone());
        }
        Outcome::Patched(patch) => match response.clone().with_patch(patch.clone()) {
            Ok(with_patch) => response = with_patch,
            Err(error) => tracing::error!(%error, "writing a patch; the controller does it instead"),
        },
        Outcome::Refused(refusals) => {
            (response.allowed, response.result) = (false, refused(request, refusals));
        }
        Outcome::Invalid(message) => {
            let refusal = Refusal::new(Reason::InvalidResource, message.clone());
            (response.allowed, response.result) = (false, refused(request, &[refusal]));
        }
        Outcome::NotReady => {
            let message = format!("{NOT_READY}: the webhook has not listed all resources yet; try again");
            (response.allowed, response.result) = (false, failure(503, NOT_READY, message));
        }
    }
    response
}

fn failure(code: u16, reason: &str, message: String) -> Status {
    Status {
        status: Some(StatusSummary::Failure),
        code,
        message,
        reason: reason.to_owned(),
        ..Status::default()
    }
}

/// A message without the word by which Flux recognizes an immutable field, whatever the status (`IsImmutableError` of its package
/// `ssa/errors`): if it is forced to, it deletes the resource then. A message may quote what users have written.
fn without_immutable(message: &str) -> String {
    message.replace("immutable", "unchangeable")
}

/// All refusals, a line each, with code and reason of the first.
fn refused(request: &Request<'_>, refusals: &[Refusal]) -> Status {
    let lines: Vec<String> = refusals.iter().map(|refusal| without_immutable(&refusal.to_string())).collect();
    let reason = refusals.first().map_or(Reason::InvalidResource, |refusal| refusal.reason);
    let cause = |refusal: &Refusal, reason: &str, message: String| StatusCause {
        reason: reason.to_owned(),
        message,
        field: refusal.field.clone().unwrap_or_default(),
    };
    let causes = refusals.iter().flat_map(|refusal| {
        let hash = refusal.spec_hash.clone().map(|hash| cause(refusal, SPEC_HASH_CAUSE, hash));
        [cause(refusal, refusal.reason.as_str(), refusal.message())].into_iter().chain(hash)
    });
    let details = StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        causes: causes.collect(),
        uid: String::new(),
        retry_after_seconds: 0,
    };
    let status = failure(code(reason), reason.as_str(), lines.join("\n"));
    Status { details: Some(details), ..status }
}

/// The HTTP status of a refusal: 403, whatever the rule, unless the webhook itself fails. Clients interpret the other codes: with
/// 409 kubectl retries five times; with 409 or 422 `kubectl apply --force`, Argo CD and Flux assume an immutable field, and delete
/// and create the resource if they are forced to; with 404 Flux reports that the resource itself does not exist.
fn code(reason: Reason) -> u16 {
    match reason.http_status() {
        code @ 500.. => code,
        _ => 403,
    }
}

/// The answer to a review that cannot be parsed: a refusal with the parser's error, if at least the uid can be.
fn answer_invalid(body: &[u8], error: &serde_json::Error) -> Result<Vec<u8>, NotAReview> {
    #[derive(Deserialize)]
    struct ReviewUid {
        request: RequestUid,
    }
    #[derive(Deserialize)]
    struct RequestUid {
        uid: String,
    }
    let Ok(ReviewUid { request: RequestUid { uid } }) = serde_json::from_slice(body) else {
        return Err(NotAReview(error.to_string()));
    };
    let mut response = AdmissionResponse::invalid("");
    response.uid = uid;
    let message = format!("{}: the review cannot be parsed: {error}", Reason::InvalidResource);
    response.result = failure(code(Reason::InvalidResource), Reason::InvalidResource.as_str(), message);
    serde_json::to_vec(&response.into_review()).map_err(|error| NotAReview(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_looks_like_that_of_an_immutable_field() {
        let message = "It was rejected by bob: the spec is immutable";
        assert_eq!(without_immutable(message), "It was rejected by bob: the spec is unchangeable");
        let codes = [Reason::InvalidResource, Reason::ResourceConflict, Reason::TenantNotFound].map(code);
        assert_eq!(codes, [403; 3]);
        assert_eq!(code(Reason::Internal), Reason::Internal.http_status());
    }
}
