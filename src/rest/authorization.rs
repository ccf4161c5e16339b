//! Which log a request is about. A caller learns nothing of logs that they may not read, not even whether they exist.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use eventcenter_sdk::Reason;
use futures::{StreamExt, TryStreamExt};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::access_log::AccessLog;
use super::authentication::{Caller, TokenHash};
use super::cache::expiring_cache;
use super::response::ApiError;
use crate::api::Tenant;
use crate::domain::audit::LogName;
use crate::kubernetes::KubeClient;
use crate::store;

/// The header that names the tenant.
const HEADER: &str = "x-tenant-id";

/// The subresource of Tenants to which the permissions apply.
const SUBRESOURCE: &str = "audit";

/// How long a SubjectAccessReview is cached. A revoked permission remains effective for this long.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// Cached answers of each kind.
const MAX_CACHED: u64 = 10_000;

/// Concurrent SubjectAccessReviews.
const MAX_REVIEWS: usize = 32;

/// Concurrent SubjectAccessReviews of one request.
const MAX_REVIEWS_PER_REQUEST: usize = 8;

/// Logs for which permissions are reviewed one by one to find those that a caller may read.
const MAX_REVIEWED_LOGS: usize = 500;

/// Names of logs in a message.
const MAX_NAMES: usize = 20;

const NAME_A_LOG: &str = "name the log by the header X-Tenant-Id or the parameter tenant";

/// What a caller does with a log, as a verb of Kubernetes' RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    /// Read it.
    Get,
    /// Export it.
    List,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
        }
    }
}

/// Authorizes callers to read logs.
#[derive(Debug)]
pub(super) struct Authorizer {
    kube: KubeClient,
    audit: store::Audit,
    access_log: AccessLog,
    decisions: Cache<(TokenHash, Verb, Option<LogName>), bool>,
    readable_logs: Cache<(TokenHash, Verb), Arc<Vec<LogName>>>,
    reviews: Semaphore,
}

impl Authorizer {
    pub(super) fn new(kube: KubeClient, audit: store::Audit, access_log: AccessLog) -> Self {
        Self {
            kube,
            audit,
            access_log,
            decisions: expiring_cache(MAX_CACHED, CACHE_TTL),
            readable_logs: expiring_cache(MAX_CACHED, CACHE_TTL),
            reviews: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// The log that a request is about, if its caller has the permission. Records a refusal.
    pub(super) async fn authorize(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        parameter: Option<&str>,
        verb: Verb,
    ) -> Result<LogName, ApiError> {
        let Some(log) = requested_log(headers, parameter)? else {
            return self.only_readable_log(caller, verb).await;
        };
        // Whether the log exists is not looked up before this.
        match self.is_allowed(caller, verb, Some(&log)).await? {
            true => Ok(log),
            false => {
                self.access_log.record_forbidden(&caller.origin, caller.actor(), Some(&log)).await;
                Err(forbidden(verb, &log))
            }
        }
    }

    /// Whether a caller may do this with a log, or with all logs.
    async fn is_allowed(&self, caller: &Caller, verb: Verb, log: Option<&LogName>) -> Result<bool, ApiError> {
        let key = (caller.token_hash, verb, log.cloned());
        if let Some(decision) = self.decisions.get(&key) {
            return Ok(decision);
        }
        let _permit = self.reviews.acquire().await;
        let (user, name) = (caller.user.user_info(), log.map(LogName::as_str));
        let decision =
            self.kube.is_allowed_subresource::<Tenant>(user, verb.as_str(), SUBRESOURCE, name).await;
        let decision = decision.map_err(|error| ApiError::authentication_unavailable(&error))?;
        self.decisions.insert(key, decision);
        Ok(decision)
    }

    /// The only log that a caller may read.
    async fn only_readable_log(&self, caller: &Caller, verb: Verb) -> Result<LogName, ApiError> {
        let key = (caller.token_hash, verb);
        let readable = match self.readable_logs.get(&key) {
            Some(readable) => readable,
            None => {
                let readable = self.list_readable_logs(caller, verb).await?;
                let readable = Arc::new(readable.ok_or_else(|| ApiError::invalid(NAME_A_LOG))?);
                self.readable_logs.insert(key, Arc::clone(&readable));
                readable
            }
        };
        match readable.as_slice() {
            [] => {
                self.access_log.record_forbidden(&caller.origin, caller.actor(), None).await;
                let verb = verb.as_str();
                let text = format!(
                    "ask for the right {verb} on tenants/{SUBRESOURCE} of eventcenter.io; {NAME_A_LOG}"
                );
                Err(ApiError::new(Reason::Forbidden, text))
            }
            [log] => Ok(log.clone()),
            logs => {
                let names: Vec<&str> = logs.iter().take(MAX_NAMES).map(LogName::as_str).collect();
                let more = if logs.len() > MAX_NAMES { " and others" } else { "" };
                Err(ApiError::invalid(format!("{NAME_A_LOG}: {}{more}", names.join(", "))))
            }
        }
    }

    /// The logs that a caller may read; `None` if there are too many logs to review each.
    async fn list_readable_logs(
        &self,
        caller: &Caller,
        verb: Verb,
    ) -> Result<Option<Vec<LogName>>, ApiError> {
        let logs = self.audit.list_logs().await?;
        if self.is_allowed(caller, verb, None).await? {
            return Ok(Some(logs));
        }
        if logs.len() > MAX_REVIEWED_LOGS {
            return Ok(None);
        }
        let reviews = futures::stream::iter(logs).map(async |log| {
            let is_allowed = self.is_allowed(caller, verb, Some(&log)).await?;
            Ok::<_, ApiError>(is_allowed.then_some(log))
        });
        let readable: Vec<Option<LogName>> = reviews.buffered(MAX_REVIEWS_PER_REQUEST).try_collect().await?;
        Ok(Some(readable.into_iter().flatten().collect()))
    }
}

/// The log that a request names.
fn requested_log(headers: &HeaderMap, parameter: Option<&str>) -> Result<Option<LogName>, ApiError> {
    let Some((field, name)) = requested_tenant(headers, parameter)? else { return Ok(None) };
    name.parse().map(Some).map_err(|error| ApiError::invalid(format!("{field}: {error}")))
}

/// The tenant that a request names, and the header or the parameter that does.
pub(super) fn requested_tenant<'a>(
    headers: &'a HeaderMap,
    parameter: Option<&'a str>,
) -> Result<Option<(&'static str, &'a str)>, ApiError> {
    let mut values = headers.get_all(HEADER).into_iter();
    let header = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => {
            let text = value.to_str();
            Some(text.map_err(|_| ApiError::invalid("X-Tenant-Id: write the name of a tenant"))?)
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("X-Tenant-Id: the header is repeated: send it once"));
        }
    };
    if let (Some(header), Some(parameter)) = (header, parameter)
        && header != parameter
    {
        let text = format!(
            "X-Tenant-Id: the header is {header:?} and the parameter tenant is {parameter:?}: send one of them"
        );
        return Err(ApiError::invalid(text));
    }
    let name = if header.is_some() { "X-Tenant-Id" } else { "tenant" };
    Ok(header.or(parameter).map(|tenant| (name, tenant)))
}

/// The same text whether the log exists or not.
fn forbidden(verb: Verb, log: &LogName) -> ApiError {
    let verb = verb.as_str();
    let text =
        format!("ask for the right {verb} on tenants/{SUBRESOURCE} of eventcenter.io with the name {log}");
    ApiError::new(Reason::Forbidden, text)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(headers: &[&str], parameter: Option<&str>, expected: Expect) {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(HEADER, value.parse().unwrap());
        }
        let log = match requested_log(&map, parameter) {
            Ok(Some(log)) => log.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        expected.assert_eq(&log);
    }

    #[test]
    fn header_and_parameter_name_one_log() {
        check(&[], None, expect!["none"]);
        check(&["shop"], None, expect!["shop"]);
        check(&[], Some("shop"), expect!["shop"]);
        check(&["shop"], Some("shop"), expect!["shop"]);
        check(&["_platform"], None, expect!["_platform"]);
        check(
            &["shop"],
            Some("bank"),
            expect![[
                r#"ApiError { reason: InvalidResource, message: "X-Tenant-Id: the header is \"shop\" and the parameter tenant is \"bank\": send one of them", kind: Plain }"#
            ]],
        );
        check(
            &["shop", "bank"],
            None,
            expect![[
                r#"ApiError { reason: InvalidResource, message: "X-Tenant-Id: the header is repeated: send it once", kind: Plain }"#
            ]],
        );
        check(
            &["../bank"],
            None,
            expect![[
                r#"ApiError { reason: InvalidResource, message: "X-Tenant-Id: \"../bank\" is not a log: name a tenant (letters a to z, digits, - and .), or _platform", kind: Plain }"#
            ]],
        );
        check(
            &[],
            Some(""),
            expect![[
                r#"ApiError { reason: InvalidResource, message: "tenant: \"\" is not a log: name a tenant (letters a to z, digits, - and .), or _platform", kind: Plain }"#
            ]],
        );
    }
}
