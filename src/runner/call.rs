//! HTTP calls.

use std::str::FromStr;
use std::sync::Arc;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::credentials::Credentials;
use crate::api::HttpTarget;
use crate::callback::{
    BodyEnd, CallbackClient, CallbackError, CallbackRequest, CallbackResponse, HeaderMap, HeaderName,
    HeaderValue, Method,
};
use crate::domain::Refusal;
use crate::domain::task::attempt::parse_retry_after;
use crate::domain::task::http::{self, Call, IDEMPOTENCY_KEY};
use crate::domain::task::{AttemptEnd, AttemptResult, Mask, Report, Run, Work};
use crate::domain::tenant::TenantFacts;
use crate::error_chain::ErrorChain;
use crate::kubernetes::SecretError;

/// The field that declares a call, for messages.
const FIELD: &str = "spec.target.http";

/// The header with the number of the attempt.
const ATTEMPT: HeaderName = HeaderName::from_static("eventcenter-attempt");
const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
const RETRY_AFTER: &str = "retry-after";

/// Executes calls.
pub(super) struct Caller {
    pub(super) client: CallbackClient,
    pub(super) credentials: Credentials,
    pub(super) clock: fn() -> Timestamp,
}

/// A request, and the values that must not be stored.
struct Prepared {
    request: CallbackRequest,
    mask: Mask,
}

impl Caller {
    /// Calls the target of a run.
    pub(super) async fn call(
        &self,
        run: &Run,
        work: &Work,
        attempt: u32,
        target: &HttpTarget,
        tenant: &Arc<TenantFacts>,
        deadline: Instant,
    ) -> AttemptResult {
        let prepared = self.prepare(run, work, attempt, target, tenant);
        let Prepared { request, mask } = match tokio::time::timeout_at(deadline, prepared).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(result)) => return result,
            Err(_) => {
                let message =
                    "the timeout passed while reading Secrets or requesting a token from the API server";
                return AttemptResult::with_message(AttemptEnd::TimedOut, message);
            }
        };
        match self.client.send(request, &tenant.callbacks, deadline).await {
            Ok(response) => self.judge(target, &response, &mask),
            Err(CallbackError::Refused(refusal)) => AttemptResult::refused(&refusal),
            Err(error @ CallbackError::Timeout { .. }) => {
                AttemptResult::with_message(AttemptEnd::TimedOut, error.to_string())
            }
            Err(error) => AttemptResult::failed(mask.apply(&ErrorChain(&error).to_string())),
        }
    }

    async fn prepare(
        &self,
        run: &Run,
        work: &Work,
        attempt: u32,
        target: &HttpTarget,
        tenant: &Arc<TenantFacts>,
    ) -> Result<Prepared, AttemptResult> {
        let Call { method, url, headers: declared, body } = http::render(target, &work.values(run, attempt));
        let namespace = &run.task.namespace;
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<String> = Vec::new();
        for (name, value) in declared {
            let value = match value {
                http::HeaderValue::Text(text) => to_header(&name, &text)?,
                http::HeaderValue::Secret { prefix, key } => {
                    let secret = self.credentials.read_secret(namespace, &key.name, &key.key).await;
                    let secret = secret.map_err(|error| secret_failure(&error))?;
                    // Files in Secrets often end with a line break.
                    let value =
                        to_header(&name, &format!("{prefix}{}", secret.trim_end_matches(['\r', '\n'])))?;
                    secrets.push(secret);
                    sensitive(value)
                }
            };
            let name = HeaderName::from_str(&name).map_err(AttemptResult::invalid_work)?;
            headers.append(name, value);
        }
        if let Some(account) = &target.service_account_token {
            let name = &account.service_account_name;
            if !tenant.tasks.allows_service_account(name) {
                return Err(AttemptResult::refused(&Refusal::at(
                    Reason::Forbidden,
                    format!("{FIELD}.serviceAccountToken.serviceAccountName"),
                    format!(
                        "tenant {} does not list the ServiceAccount {name} any more: remove it from the task, or ask the \
                         platform's administrator to add it to spec.tasks.serviceAccounts of the Tenant",
                        tenant.name
                    ),
                )));
            }
            let token = self.credentials.request_token(namespace, name, &account.audience).await;
            let token =
                token.map_err(|error| AttemptResult::failed(format!("ServiceAccount {name}: {error}")))?;
            let value = to_header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))?;
            headers.insert(AUTHORIZATION, sensitive(value));
            secrets.push(token);
        }
        headers.insert(
            HeaderName::from_str(IDEMPOTENCY_KEY).expect("a name of a header"),
            to_header(IDEMPOTENCY_KEY, &run.id.to_string())?,
        );
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        let request = CallbackRequest {
            field: FIELD.into(),
            method: Method::from_str(method).map_err(AttemptResult::invalid_work)?,
            url: Url::parse(&url).map_err(AttemptResult::invalid_work)?,
            headers,
            body: body.into_bytes().into(),
        };
        Ok(Prepared { request, mask: Mask::of(secrets.iter().map(String::as_str)) })
    }

    /// The result of an attempt with a response.
    fn judge(&self, target: &HttpTarget, response: &CallbackResponse, mask: &Mask) -> AttemptResult {
        let status = response.status.as_u16();
        let text = mask.apply(&String::from_utf8_lossy(&response.body));
        let report = Report::parse(&text).unwrap_or_default();
        let is_expected = http::is_expected(target, status);
        let end = match response.body_end {
            BodyEnd::TimedOut => AttemptEnd::TimedOut,
            BodyEnd::Complete | BodyEnd::TooLarge if is_expected => AttemptEnd::Succeeded,
            _ => {
                let value = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = value.and_then(|value| parse_retry_after(value, (self.clock)()));
                AttemptEnd::Failed { retry_after: retry_after.filter(|_| !is_expected) }
            }
        };
        let phrase = response.status.canonical_reason().unwrap_or_default();
        let mut message = format!("HTTP {status} {phrase}").trim_end().to_owned();
        match response.body_end {
            BodyEnd::TimedOut => message.push_str(", and the timeout passed before the response ended"),
            BodyEnd::Broken => message.push_str(", and the connection was closed before the response ended"),
            BodyEnd::Complete | BodyEnd::TooLarge => {}
        }
        if !is_expected && response.status.is_redirection() {
            message.push_str("; redirects are not followed");
        }
        if let Some(reported) = &report.message {
            message = format!("{message}: {reported}");
        }
        let mut result = AttemptResult::with_message(end, message).with_tail(&text);
        result.outcome.http_status = Some(status);
        (result.outcome.items, result.outcome.errors) = (report.items, report.errors);
        result
    }
}

/// A missing Secret is retried: somebody may create it. The message names no value.
fn secret_failure(error: &SecretError) -> AttemptResult {
    AttemptResult::failed(format!("{FIELD}.headers: {error}"))
}

/// The value of a header. The error does not contain it.
fn to_header(name: &str, value: &str) -> Result<HeaderValue, AttemptResult> {
    HeaderValue::from_str(value).map_err(|_| {
        AttemptResult::refused(&Refusal::at(
            Reason::InvalidResource,
            format!("{FIELD}.headers"),
            format!("the value of {name} has characters that a header cannot contain: encode them"),
        ))
    })
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
