//! The parameters of a query. Unknown, repeated and malformed ones are refused with a message that says what is allowed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jiff::Timestamp;

use super::response::ApiError;

const MAX_QUERY_BYTES: usize = 8 * 1024;

const MAX_VALUE_BYTES: usize = 1_024;

/// The parameters of a query. Reading one removes it.
#[derive(Debug)]
pub(super) struct QueryParameters(BTreeMap<String, String>);

impl QueryParameters {
    /// Parses a query that may have the known parameters.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        if uri.query().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            let text = format!("the query has more than {MAX_QUERY_BYTES} bytes: shorten it");
            return Err(ApiError::invalid(text));
        }
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(ApiError::invalid("the query is malformed: write NAME=VALUE&NAME=VALUE"));
        };
        let mut parameters = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                unknown.push(name.chars().take(64).collect::<String>());
            } else if value.len() > MAX_VALUE_BYTES {
                return Err(invalid_parameter(&name, &format!("write at most {MAX_VALUE_BYTES} bytes")));
            } else if value.chars().any(|one| one.is_control() || one == char::REPLACEMENT_CHARACTER) {
                return Err(invalid_parameter(&name, "write text in UTF-8 without control characters"));
            } else if parameters.insert(name.clone(), value).is_some() {
                return Err(invalid_parameter(&name, "the parameter is repeated: send it once"));
            }
        }
        if unknown.is_empty() {
            return Ok(Self(parameters));
        }
        unknown.truncate(10);
        let known = match known {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        Err(ApiError::invalid(format!("unknown parameter {unknown:?}: the known ones are {known}")))
    }

    /// A text. An empty one is refused, because it may be a script's variable that is not set.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let value = self.0.remove(name);
        match value.as_deref() {
            Some("") => {
                Err(invalid_parameter(name, "the value is empty: write a value or leave the parameter out"))
            }
            _ => Ok(value),
        }
    }

    /// A value of an enumeration.
    pub(super) fn value<T>(&mut self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|error| invalid_parameter(name, &format!("{error}"))))
            .transpose()
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.0.remove(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid_parameter(name, &format!("write true or false, not {other:?}"))),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let allowed = match *range.end() {
                    u64::MAX => format!("of at least {}", range.start()),
                    end => format!("from {} to {end}", range.start()),
                };
                Err(invalid_parameter(name, &format!("write a whole number {allowed}, not {text:?}")))
            }
        }
    }

    /// A time.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let text = self.text(name)?;
        let time = text.map(|text| {
            let rule = "write a time as in RFC 3339, such as 2026-11-21T08:00:00Z";
            text.parse().map_err(|_| invalid_parameter(name, &format!("{rule}, not {text:?}")))
        });
        time.transpose()
    }
}

/// An error about the value of a parameter.
pub(super) fn invalid_parameter(name: &str, rule: &str) -> ApiError {
    ApiError::invalid(format!("{name}: {rule}"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::domain::audit::Outcome;

    fn read(query: &str) -> Result<QueryParameters, ApiError> {
        let uri = format!("/logs?{query}").parse().unwrap();
        QueryParameters::parse(&uri, &["text", "outcome", "open", "limit", "from", "since"])
    }

    fn check(query: &str, expected: Expect) {
        let all = || -> Result<String, ApiError> {
            let mut query = read(query)?;
            Ok(format!(
                "{:?} {:?} {} {:?} {:?} {:?}",
                query.text("text")?,
                query.value::<Outcome>("outcome")?,
                query.flag("open")?,
                query.number("limit", 1..=500)?,
                query.number("from", 1..=u64::MAX)?,
                query.time("since")?,
            ))
        };
        expected.assert_eq(&all().unwrap_or_else(|error| format!("{error:?}")));
    }

    #[test]
    fn values_are_read_or_refused_with_a_remedy() {
        check("", expect!["None None false None None None"]);
        check(
            "text=a%20b%2Bc+d&outcome=denied&open=true&limit=500&from=7&since=2026-11-21T08:00:00Z",
            expect![[r#"Some("a b+c d") Some(Denied) true Some(500) Some(7) Some(2026-11-21T08:00:00Z)"#]],
        );
        check(
            "text=",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "text: the value is empty: write a value or leave the parameter out", kind: Plain }"#
            ]],
        );
        check(
            "text=a&text=b",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "text: the parameter is repeated: send it once", kind: Plain }"#
            ]],
        );
        check(
            "text=a%00b",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "text: write text in UTF-8 without control characters", kind: Plain }"#
            ]],
        );
        check(
            "text=%ff",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "text: write text in UTF-8 without control characters", kind: Plain }"#
            ]],
        );
        check(
            "outcome=maybe",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "outcome: \"maybe\" is none of: Allowed, Denied, Started, Succeeded, Failed", kind: Plain }"#
            ]],
        );
        check(
            "open=yes",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "open: write true or false, not \"yes\"", kind: Plain }"#
            ]],
        );
        for limit in ["0", "501", "-1", "%2B5", "5.0", "x", "99999999999999999999"] {
            assert!(read(&format!("limit={limit}")).unwrap().number("limit", 1..=500).is_err(), "{limit}");
        }
        check(
            "limit=501",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "limit: write a whole number from 1 to 500, not \"501\"", kind: Plain }"#
            ]],
        );
        check(
            "from=0",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "from: write a whole number of at least 1, not \"0\"", kind: Plain }"#
            ]],
        );
        check(
            "since=yesterday",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "since: write a time as in RFC 3339, such as 2026-11-21T08:00:00Z, not \"yesterday\"", kind: Plain }"#
            ]],
        );
    }

    #[test]
    fn unknown_and_long_parameters_are_refused() {
        check(
            "limits=5&actor=x",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "unknown parameter [\"limits\", \"actor\"]: the known ones are text, outcome, open, limit, from, since", kind: Plain }"#
            ]],
        );
        check(
            "Limit=5",
            expect![[
                r#"ApiError { reason: InvalidResource, message: "unknown parameter [\"Limit\"]: the known ones are text, outcome, open, limit, from, since", kind: Plain }"#
            ]],
        );
        check(
            &format!("text={}", "x".repeat(1_025)),
            expect![[
                r#"ApiError { reason: InvalidResource, message: "text: write at most 1024 bytes", kind: Plain }"#
            ]],
        );
        check(
            &"text=x&".repeat(2_000),
            expect![[
                r#"ApiError { reason: InvalidResource, message: "the query has more than 8192 bytes: shorten it", kind: Plain }"#
            ]],
        );
    }
}
