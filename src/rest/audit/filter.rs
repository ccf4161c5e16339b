//! Which records are asked for.

use utoipa::IntoParams;

use crate::domain::audit::{Action, Filter};
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

impl LogParameters {
    /// Their names.
    pub(super) const NAMES: [&str; 1] = ["tenant"];

    pub(super) fn read(given: &mut Parameters) -> Result<Self, Failure> {
        Ok(Self { tenant: given.text("tenant")? })
    }
}

/// Reads the parameters of a filter.
pub(super) fn read(given: &mut Parameters) -> Result<Filter, Failure> {
    let filter = Filter {
        actor: given.text("actor")?,
        action: given.word::<Action>("action")?.map(|action| action.to_string()),
        kind: given.text("kind")?,
        namespace: given.text("namespace")?,
        name: given.text("name")?,
        outcome: given.word("outcome")?,
        open: given.flag("open")?,
        since: given.time("since")?,
        until: given.time("until")?,
        text: given.text("text")?,
    };
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if since >= until => {
            Err(refused("until", "write a time after that of since"))
        }
        _ => Ok(filter),
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
        let filter = Parameters::read(&uri, &Filter::PARAMETERS).and_then(|mut given| read(&mut given));
        let filter = match filter {
            Ok(filter) => serde_json::to_string(&filter).unwrap(),
            Err(failure) => format!("{failure:?}"),
        };
        expected.assert_eq(&filter);
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
        assert_eq!(names(Filter::into_params(|| Some(ParameterIn::Query))), Filter::PARAMETERS);
        assert_eq!(names(LogParameters::into_params(|| Some(ParameterIn::Query))), LogParameters::NAMES);
    }
}
