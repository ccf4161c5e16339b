//! Which records are asked for.

use jiff::Timestamp;
use utoipa::IntoParams;

use super::shape;
use crate::domain::audit::{Action, Filter, Outcome};
use crate::rest::envelope::Failure;
use crate::rest::parameter::{Parameters, refused};

/// Parameters that name the log, of every path that is about one.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParameters {
    /// The tenant whose log is meant, or `_platform`; the header `X-Tenant-Id` says the same. May be left out by callers who
    /// may read one log only.
    pub(super) tenant: Option<String>,
}

/// Parameters that say which records are asked for: those to which all of it applies.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterParameters {
    /// The user, exactly.
    actor: Option<String>,
    /// What was asked for or done.
    #[param(value_type = Option<String>, example = "Update")]
    action: Option<Action>,
    /// The target's kind, exactly.
    #[param(example = "EventTopic")]
    kind: Option<String>,
    /// The target's namespace, exactly.
    namespace: Option<String>,
    /// The target's name, exactly.
    name: Option<String>,
    /// How it ended.
    #[param(value_type = Option<shape::Outcome>)]
    outcome: Option<Outcome>,
    /// Only what was started and of which no end is recorded.
    open: bool,
    /// From then on (RFC 3339).
    since: Option<Timestamp>,
    /// Before then (RFC 3339).
    until: Option<Timestamp>,
    /// A text that occurs in user, action, target, reason, message or request id, in whatever case.
    text: Option<String>,
}

impl LogParameters {
    /// Their names.
    pub(super) const NAMES: [&str; 1] = ["tenant"];

    pub(super) fn read(given: &mut Parameters) -> Result<Self, Failure> {
        Ok(Self { tenant: given.text("tenant")? })
    }
}

impl FilterParameters {
    /// Their names.
    pub(super) const NAMES: [&str; 10] =
        ["actor", "action", "kind", "namespace", "name", "outcome", "open", "since", "until", "text"];

    pub(super) fn read(given: &mut Parameters) -> Result<Self, Failure> {
        let read = Self {
            actor: given.text("actor")?,
            action: given.word("action")?,
            kind: given.text("kind")?,
            namespace: given.text("namespace")?,
            name: given.text("name")?,
            outcome: given.word("outcome")?,
            open: given.flag("open")?,
            since: given.time("since")?,
            until: given.time("until")?,
            text: given.text("text")?,
        };
        match (read.since, read.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(refused("until", "write a time after that of since"))
            }
            _ => Ok(read),
        }
    }

    pub(super) fn filter(self) -> Filter {
        Filter {
            actor: self.actor,
            action: self.action.map(|action| action.as_str().to_owned()),
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            outcome: self.outcome,
            open: self.open,
            since: self.since,
            until: self.until,
            text: self.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use utoipa::IntoParams;
    use utoipa::openapi::path::ParameterIn;

    use super::*;

    fn check(query: &str, expected: Expect) {
        let uri = format!("/logs?{query}").parse().unwrap();
        let read = Parameters::read(&uri, &FilterParameters::NAMES)
            .and_then(|mut given| FilterParameters::read(&mut given));
        let told = match read {
            Ok(read) => serde_json::to_string(&read.filter()).unwrap(),
            Err(failure) => format!("{failure:?}"),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn a_filter_is_read_from_its_parameters() {
        check("", expect!["{}"]);
        check(
            "actor=alice&action=update&kind=EventTopic&namespace=shop&name=orders&outcome=denied&open=true\
             &since=2026-11-21T08:00:00%2B01:00&until=2026-11-22T08:00:00Z&text=quota",
            expect![[
                r#"{"actor":"alice","action":"Update","kind":"EventTopic","namespace":"shop","name":"orders","outcome":"Denied","open":true,"since":"2026-11-21T07:00:00Z","until":"2026-11-22T08:00:00Z","text":"quota"}"#
            ]],
        );
        check(
            "since=2026-11-22T08:00:00Z&until=2026-11-22T08:00:00Z",
            expect![[
                r#"Failure { reason: InvalidResource, message: "until: write a time after that of since", kind: Plain }"#
            ]],
        );
    }

    #[test]
    fn what_is_described_is_what_is_read() {
        let names = |described: Vec<utoipa::openapi::path::Parameter>| -> Vec<String> {
            described.into_iter().map(|parameter| parameter.name).collect()
        };
        assert_eq!(
            names(FilterParameters::into_params(|| Some(ParameterIn::Query))),
            FilterParameters::NAMES
        );
        assert_eq!(names(LogParameters::into_params(|| Some(ParameterIn::Query))), LogParameters::NAMES);
    }
}
