//! Which log a request is about. Whoever asks learns nothing of logs that they may not read, not even whether they exist.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use eventcenter_sdk::Reason;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::Rest;
use super::envelope::Failure;
use super::identity::{Caller, Fingerprint};
use super::recent::Recent;
use crate::api::Tenant;
use crate::domain::audit::LogName;
use crate::kubernetes::KubeClient;

/// The header that names the tenant.
pub(super) const HEADER: &str = "x-tenant-id";

/// What of a Tenant the right is about.
const PART: &str = "audit";

/// How long Kubernetes' answer counts.
const LASTING: Duration = Duration::from_secs(5);

/// How many answers are remembered.
const REMEMBERED: usize = 10_000;

/// How many reviews are under way at once.
const ASKING: usize = 32;

/// How many logs are asked for one after the other to find those that somebody may read.
const LOOKED_AT: usize = 500;

/// How many names an answer has.
const NAMED: usize = 20;

/// What somebody wants to do with a log, as a verb of Kubernetes' RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    /// Read it.
    Get,
    /// Take all of it along.
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

type Question = (Fingerprint, Verb, Option<LogName>);

/// Finds out what somebody may read.
#[derive(Debug)]
pub(super) struct Access {
    kubernetes: KubeClient,
    answers: Recent<Question, bool>,
    readable: Recent<(Fingerprint, Verb), Arc<Vec<LogName>>>,
    asking: Semaphore,
}

impl Access {
    pub(super) fn new(kubernetes: KubeClient) -> Self {
        Self {
            kubernetes,
            answers: Recent::new(LASTING, REMEMBERED),
            readable: Recent::new(LASTING, REMEMBERED),
            asking: Semaphore::new(ASKING),
        }
    }

    /// Whether somebody may do this with a log, or with all of them.
    async fn may(&self, caller: &Caller, verb: Verb, log: Option<&LogName>) -> Result<bool, Failure> {
        let question = (caller.fingerprint, verb, log.cloned());
        if let Some(answer) = self.answers.get(&question) {
            return Ok(answer);
        }
        let _place = self.asking.acquire().await;
        let user = caller.known.user_info();
        let name = log.map(LogName::as_str);
        let answer = self.kubernetes.is_allowed_subresource::<Tenant>(user, verb.as_str(), PART, name).await;
        let answer = answer.map_err(|error| Failure::unknowable(&error))?;
        self.answers.keep(question, answer);
        Ok(answer)
    }
}

impl Rest {
    /// The log that a request is about, and that its caller has the right to.
    pub(super) async fn log(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        parameter: Option<&str>,
        verb: Verb,
    ) -> Result<LogName, Failure> {
        let Some(log) = named(headers, parameter)? else { return self.only(caller, verb).await };
        // Whether there is such a log is not looked at before this.
        match self.access.may(caller, verb, Some(&log)).await? {
            true => Ok(log),
            false => {
                self.refused_read(caller, Some(&log)).await;
                Err(forbidden(verb, &log))
            }
        }
    }

    /// The only log that somebody may read.
    async fn only(&self, caller: &Caller, verb: Verb) -> Result<LogName, Failure> {
        const ASK: &str = "say whose log is meant, by the header X-Tenant-Id or the parameter tenant";
        let key = (caller.fingerprint, verb);
        let readable = match self.access.readable.get(&key) {
            Some(readable) => readable,
            None => {
                let readable =
                    Arc::new(self.readable(caller, verb).await?.ok_or_else(|| Failure::invalid(ASK))?);
                self.access.readable.keep(key, Arc::clone(&readable));
                readable
            }
        };
        match readable.as_slice() {
            [] => {
                self.refused_read(caller, None).await;
                let verb = verb.as_str();
                let text = format!("ask for the right {verb} on tenants/{PART} of eventcenter.io; {ASK}");
                Err(Failure::new(Reason::Forbidden, text))
            }
            [one] => Ok(one.clone()),
            many => {
                let names: Vec<&str> = many.iter().take(NAMED).map(LogName::as_str).collect();
                let more = if many.len() > NAMED { " and others" } else { "" };
                Err(Failure::invalid(format!("{ASK}: {}{more}", names.join(", "))))
            }
        }
    }

    /// The logs that somebody may read, if they are few enough to ask for each.
    async fn readable(&self, caller: &Caller, verb: Verb) -> Result<Option<Vec<LogName>>, Failure> {
        let logs = self.audit.list_logs().await?;
        if self.access.may(caller, verb, None).await? {
            return Ok(Some(logs));
        }
        if logs.len() > LOOKED_AT {
            return Ok(None);
        }
        let asked = futures::stream::iter(logs).map(async |log| {
            let may = self.access.may(caller, verb, Some(&log)).await?;
            Ok::<_, Failure>(may.then_some(log))
        });
        let readable: Vec<Option<LogName>> = asked.buffered(8).try_collect().await?;
        Ok(Some(readable.into_iter().flatten().collect()))
    }
}

/// The log that a request names.
fn named(headers: &HeaderMap, parameter: Option<&str>) -> Result<Option<LogName>, Failure> {
    let mut given = headers.get_all(HEADER).into_iter();
    let header = match (given.next(), given.next()) {
        (None, _) => None,
        (Some(one), None) => {
            Some(one.to_str().map_err(|_| Failure::invalid("X-Tenant-Id: write the name of a tenant"))?)
        }
        (Some(_), Some(_)) => return Err(Failure::invalid("X-Tenant-Id: it is there twice; write it once")),
    };
    if let (Some(header), Some(parameter)) = (header, parameter)
        && header != parameter
    {
        let text = format!(
            "the header X-Tenant-Id says {header:?} and the parameter tenant {parameter:?}: write one of them"
        );
        return Err(Failure::invalid(text));
    }
    let name = if header.is_some() { "X-Tenant-Id" } else { "tenant" };
    let log = header.or(parameter).map(str::parse::<LogName>).transpose();
    log.map_err(|error| Failure::invalid(format!("{name}: {error}")))
}

/// The same words whether there is such a log or not.
fn forbidden(verb: Verb, log: &LogName) -> Failure {
    let verb = verb.as_str();
    let text = format!("ask for the right {verb} on tenants/{PART} of eventcenter.io with the name {log}");
    Failure::new(Reason::Forbidden, text)
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
        let answer = match named(&map, parameter) {
            Ok(Some(log)) => log.to_string(),
            Ok(None) => "none".to_owned(),
            Err(failure) => format!("{failure:?}"),
        };
        expected.assert_eq(&answer);
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
                r#"Failure { reason: InvalidResource, message: "the header X-Tenant-Id says \"shop\" and the parameter tenant \"bank\": write one of them", kind: Plain }"#
            ]],
        );
        check(
            &["shop", "bank"],
            None,
            expect![[
                r#"Failure { reason: InvalidResource, message: "X-Tenant-Id: it is there twice; write it once", kind: Plain }"#
            ]],
        );
        check(
            &["../bank"],
            None,
            expect![[
                r#"Failure { reason: InvalidResource, message: "X-Tenant-Id: \"../bank\" is no log: name a tenant (letters a to z, digits, - and .), or _platform", kind: Plain }"#
            ]],
        );
        check(
            &[],
            Some(""),
            expect![[
                r#"Failure { reason: InvalidResource, message: "tenant: \"\" is no log: name a tenant (letters a to z, digits, - and .), or _platform", kind: Plain }"#
            ]],
        );
    }
}
