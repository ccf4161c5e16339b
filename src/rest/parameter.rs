//! Parameters of a query. Nothing is guessed: what is unknown, there twice or malformed is refused, with what would do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jiff::Timestamp;

use super::envelope::Failure;

/// How long a query may be, in bytes.
const LONGEST_QUERY: usize = 8 * 1024;

/// How long a value may be, in bytes.
const LONGEST: usize = 1_024;

/// What a query has.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query that may have these.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Failure> {
        if uri.query().is_some_and(|query| query.len() > LONGEST_QUERY) {
            let text = format!("the query has more than {LONGEST_QUERY} bytes: write less");
            return Err(Failure::invalid(text));
        }
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(Failure::invalid("the query cannot be read: write NAME=VALUE&NAME=VALUE"));
        };
        let mut parameters = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                unknown.push(name.chars().take(64).collect::<String>());
            } else if value.len() > LONGEST {
                return Err(refused(&name, &format!("write at most {LONGEST} bytes")));
            } else if value.chars().any(|one| one.is_control() || one == char::REPLACEMENT_CHARACTER) {
                return Err(refused(&name, "write text in UTF-8 without control characters"));
            } else if parameters.insert(name.clone(), value).is_some() {
                return Err(refused(&name, "it is there twice; write it once"));
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
        Err(Failure::invalid(format!("unknown parameter {unknown:?}; those that there are: {known}")))
    }

    /// A text; an empty one is refused, because it may be a variable that somebody forgot to set.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let value = self.0.remove(name);
        match value.as_deref() {
            Some("") => Err(refused(name, "it is empty; write a value or leave it out")),
            _ => Ok(value),
        }
    }

    /// A word of a list.
    pub(super) fn word<T>(&mut self, name: &str) -> Result<Option<T>, Failure>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|error| refused(name, &format!("{error}")))).transpose()
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.0.remove(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(refused(name, &format!("write true or false, not {other:?}"))),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, legal: RangeInclusive<u64>) -> Result<Option<u64>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        match number.filter(|number| legal.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let range = match *legal.end() {
                    u64::MAX => format!("of at least {}", legal.start()),
                    end => format!("from {} to {end}", legal.start()),
                };
                Err(refused(name, &format!("write a whole number {range}, not {text:?}")))
            }
        }
    }

    /// A time.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Failure> {
        let text = self.text(name)?;
        let time = text.map(|text| {
            let rule = "write a time as in RFC 3339, such as 2026-11-21T08:00:00Z";
            text.parse().map_err(|_| refused(name, &format!("{rule}, not {text:?}")))
        });
        time.transpose()
    }
}

/// The value of a parameter breaks a rule.
pub(super) fn refused(name: &str, rule: &str) -> Failure {
    Failure::invalid(format!("{name}: {rule}"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::domain::audit::Outcome;

    fn read(query: &str) -> Result<Parameters, Failure> {
        let uri = format!("/logs?{query}").parse().unwrap();
        Parameters::read(&uri, &["text", "outcome", "open", "limit", "from", "since"])
    }

    fn check(query: &str, expected: Expect) {
        let all = || -> Result<String, Failure> {
            let mut given = read(query)?;
            Ok(format!(
                "{:?} {:?} {} {:?} {:?} {:?}",
                given.text("text")?,
                given.word::<Outcome>("outcome")?,
                given.flag("open")?,
                given.number("limit", 1..=500)?,
                given.number("from", 1..=u64::MAX)?,
                given.time("since")?,
            ))
        };
        expected.assert_eq(&all().unwrap_or_else(|failure| format!("{failure:?}")));
    }

    #[test]
    fn values_are_read_or_refused_with_what_would_do() {
        check("", expect!["None None false None None None"]);
        check(
            "text=a%20b%2Bc+d&outcome=denied&open=true&limit=500&from=7&since=2026-11-21T08:00:00Z",
            expect![[r#"Some("a b+c d") Some(Denied) true Some(500) Some(7) Some(2026-11-21T08:00:00Z)"#]],
        );
        check(
            "text=",
            expect![[
                r#"Failure { reason: InvalidResource, message: "text: it is empty; write a value or leave it out", kind: Plain }"#
            ]],
        );
        check(
            "text=a&text=b",
            expect![[
                r#"Failure { reason: InvalidResource, message: "text: it is there twice; write it once", kind: Plain }"#
            ]],
        );
        check(
            "text=a%00b",
            expect![[
                r#"Failure { reason: InvalidResource, message: "text: write text in UTF-8 without control characters", kind: Plain }"#
            ]],
        );
        check(
            "text=%ff",
            expect![[
                r#"Failure { reason: InvalidResource, message: "text: write text in UTF-8 without control characters", kind: Plain }"#
            ]],
        );
        check(
            "outcome=maybe",
            expect![[
                r#"Failure { reason: InvalidResource, message: "outcome: \"maybe\" is none of: Allowed, Denied, Started, Succeeded, Failed", kind: Plain }"#
            ]],
        );
        check(
            "open=yes",
            expect![[
                r#"Failure { reason: InvalidResource, message: "open: write true or false, not \"yes\"", kind: Plain }"#
            ]],
        );
        for limit in ["0", "501", "-1", "%2B5", "5.0", "x", "99999999999999999999"] {
            assert!(read(&format!("limit={limit}")).unwrap().number("limit", 1..=500).is_err(), "{limit}");
        }
        check(
            "limit=501",
            expect![[
                r#"Failure { reason: InvalidResource, message: "limit: write a whole number from 1 to 500, not \"501\"", kind: Plain }"#
            ]],
        );
        check(
            "from=0",
            expect![[
                r#"Failure { reason: InvalidResource, message: "from: write a whole number of at least 1, not \"0\"", kind: Plain }"#
            ]],
        );
        check(
            "since=yesterday",
            expect![[
                r#"Failure { reason: InvalidResource, message: "since: write a time as in RFC 3339, such as 2026-11-21T08:00:00Z, not \"yesterday\"", kind: Plain }"#
            ]],
        );
    }

    #[test]
    fn what_is_unknown_or_too_long_is_refused() {
        check(
            "limits=5&actor=x",
            expect![[
                r#"Failure { reason: InvalidResource, message: "unknown parameter [\"limits\", \"actor\"]; those that there are: text, outcome, open, limit, from, since", kind: Plain }"#
            ]],
        );
        check(
            "Limit=5",
            expect![[
                r#"Failure { reason: InvalidResource, message: "unknown parameter [\"Limit\"]; those that there are: text, outcome, open, limit, from, since", kind: Plain }"#
            ]],
        );
        check(
            &format!("text={}", "x".repeat(1_025)),
            expect![[
                r#"Failure { reason: InvalidResource, message: "text: write at most 1024 bytes", kind: Plain }"#
            ]],
        );
        check(
            &"text=x&".repeat(2_000),
            expect![[
                r#"Failure { reason: InvalidResource, message: "the query has more than 8192 bytes: write less", kind: Plain }"#
            ]],
        );
    }
}
