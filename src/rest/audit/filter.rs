//! The parameters that name a log and filter its records.

use axum::http::Uri;
use eventcenter_sdk::rest::audit::{Action, Filter};
use utoipa::IntoParams;

use crate::rest::parameter::{QueryParameters, invalid_parameter};
use crate::rest::response::ApiError;

/// The parameters of every path about a log.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParameters {
    /// The tenant whose log is read, or `_platform`; the same as the header `X-Tenant-Id`. Callers who may read only one log can
    /// leave it out.
    pub(super) tenant: Option<String>,
}

impl LogParameters {
    pub(super) const NAMES: [&str; 1] = ["tenant"];

    pub(super) fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        Ok(Self { tenant: query.text("tenant")? })
    }
}

/// Parses a query that has only the parameters of a filter. It is not percent-decoded yet.
///
/// # Errors
/// The query is malformed, or a parameter breaks a rule.
pub fn parse_filter(query: &str) -> Result<Filter, ApiError> {
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let uri = uri.map_err(|_| ApiError::invalid("the query is malformed: write NAME=VALUE&NAME=VALUE"))?;
    QueryParameters::parse(&uri, &Filter::PARAMETERS).and_then(|mut query| read(&mut query))
}

/// Reads the parameters of a filter.
pub(super) fn read(query: &mut QueryParameters) -> Result<Filter, ApiError> {
    let filter = Filter {
        actor: query.text("actor")?,
        action: query.value::<Action>("action")?.map(|action| action.to_string()),
        kind: query.text("kind")?,
        namespace: query.text("namespace")?,
        name: query.text("name")?,
        outcome: query.value("outcome")?,
        open: query.flag("open")?,
        since: query.time("since")?,
        until: query.time("until")?,
        text: query.text("text")?,
    };
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if since >= until => {
            Err(invalid_parameter("until", "write a time after that of since"))
        }
        _ => Ok(filter),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use utoipa::openapi::path::{Parameter, ParameterIn};

    use super::*;

    fn check(query: &str, expected: Expect) {
        let filter = match parse_filter(query) {
            Ok(filter) => serde_json::to_string(&filter).unwrap(),
            Err(error) => format!("{error:?}"),
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
                r#"ApiError { reason: InvalidResource, message: "until: write a time after that of since", kind: Plain }"#
            ]],
        );
    }

    #[test]
    fn the_documented_parameters_are_the_known_ones() {
        let names = |documented: Vec<Parameter>| -> Vec<String> {
            documented.into_iter().map(|parameter| parameter.name).collect()
        };
        assert_eq!(names(Filter::into_params(|| Some(ParameterIn::Query))), Filter::PARAMETERS);
        assert_eq!(names(LogParameters::into_params(|| Some(ParameterIn::Query))), LogParameters::NAMES);
    }
}
