//! Patterns of event types.

use std::fmt;

use eventcenter_sdk::Reason;

use crate::domain::Refusal;

/// Maximum length of a pattern in bytes.
const MAX_LENGTH: usize = 255;

/// Maximum number of segments of a pattern. It bounds the work to match a type: at most 2^8 states are active at once.
pub(super) const MAX_SEGMENTS: usize = 8;

/// A pattern of event types, with the wildcards of NATS' subjects.
///
/// Types and patterns are segments between dots. Segments are compared byte by byte, upper and lower case differ, except for two
/// wildcards, each of which is a whole segment:
/// - `*` stands for exactly one segment: `order.*` matches `order.created`, but neither `order` nor `order.created.v1`.
/// - `>` stands for one or more segments, and is the last: `System.>` matches `System.Job.Started.v1`, but not `System`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypePattern(String);

/// A segment of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'p> {
    /// This text.
    Literal(&'p str),
    /// Any one segment.
    One,
    /// All segments from here on, at least one.
    Rest,
}

impl TypePattern {
    /// Parses the pattern in a field.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(field: &str, text: &str) -> Result<Self, Refusal> {
        let refuse = |rule: String| Err(Refusal::at(Reason::InvalidResource, field, rule));
        if text.len() > MAX_LENGTH {
            return refuse(format!("has {} bytes: shorten it to {MAX_LENGTH}", text.len()));
        }
        let count = text.split('.').count();
        if count > MAX_SEGMENTS {
            return refuse(format!(
                "{text} has {count} segments: use at most {MAX_SEGMENTS}, for example with > as the last"
            ));
        }
        for (index, segment) in text.split('.').enumerate() {
            if segment.is_empty() {
                return refuse(format!("{text:?} has an empty segment: name types like order.*"));
            }
            if segment.len() > 1 && segment.contains(['*', '>']) {
                return refuse(format!(
                    "{segment} in {text} mixes a wildcard with other characters: a wildcard is a whole segment, as in order.*"
                ));
            }
            if segment == ">" && index + 1 < count {
                return refuse(format!(
                    "{text} continues after >, which stands for all segments up to the last: use * for one segment"
                ));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.split('.').map(|segment| match segment {
            "*" => Segment::One,
            ">" => Segment::Rest,
            literal => Segment::Literal(literal),
        })
    }

    /// Whether the pattern matches a type. [`super::TypeAutomaton`] answers this for many patterns at once.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        let mut rest = event_type.split('.');
        for segment in self.segments() {
            let next = rest.next();
            match (segment, next) {
                (_, None) => return false,
                (Segment::Rest, Some(_)) => return true,
                (Segment::Literal(literal), Some(next)) if literal != next => return false,
                (Segment::Literal(_) | Segment::One, Some(_)) => {}
            }
        }
        rest.next().is_none()
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Which of the types a pattern matches.
    fn check(pattern: &str, types: &[&str], expected: Expect) {
        let pattern = TypePattern::parse("types", pattern).expect("a pattern");
        let matched: Vec<&str> = types.iter().copied().filter(|one| pattern.matches(one)).collect();
        expected.assert_eq(&matched.join(" "));
    }

    fn refuses(pattern: &str, expected: Expect) {
        expected.assert_eq(&TypePattern::parse("types", pattern).expect_err("no pattern").message());
    }

    #[test]
    fn a_wildcard_stands_for_whole_segments() {
        let types =
            ["order", "order.created", "order.paid", "order.created.v1", "Order.created", "user.created", ""];
        check("order.created", &types, expect!["order.created"]);
        check("order.*", &types, expect!["order.created order.paid"]);
        check("*.created", &types, expect!["order.created Order.created user.created"]);
        check("order.>", &types, expect!["order.created order.paid order.created.v1"]);
        check("*.*.v1", &types, expect!["order.created.v1"]);
        check("*", &types, expect!["order "]);
        check(
            ">",
            &types,
            expect!["order order.created order.paid order.created.v1 Order.created user.created "],
        );
        check("*.>", &types, expect!["order.created order.paid order.created.v1 Order.created user.created"]);
        check(
            "System.>",
            &["System.Job.Started.v1", "System", "Systems.Job"],
            expect!["System.Job.Started.v1"],
        );
    }

    #[test]
    fn a_pattern_that_would_match_something_else_than_it_seems_to_is_refused() {
        refuses("", expect![[r#"types: "" has an empty segment: name types like order.*"#]]);
        refuses(
            "order..v1",
            expect![[r#"types: "order..v1" has an empty segment: name types like order.*"#]],
        );
        refuses("order.*.", expect![[r#"types: "order.*." has an empty segment: name types like order.*"#]]);
        refuses(
            "ord*",
            expect![[
                r#"types: ord* in ord* mixes a wildcard with other characters: a wildcard is a whole segment, as in order.*"#
            ]],
        );
        refuses(
            "order.**",
            expect![[
                r#"types: ** in order.** mixes a wildcard with other characters: a wildcard is a whole segment, as in order.*"#
            ]],
        );
        refuses(
            ">.created",
            expect![[
                r#"types: >.created continues after >, which stands for all segments up to the last: use * for one segment"#
            ]],
        );
        refuses(
            "a.b.c.d.e.f.g.h.i",
            expect![[
                r#"types: a.b.c.d.e.f.g.h.i has 9 segments: use at most 8, for example with > as the last"#
            ]],
        );
        refuses(&"x".repeat(256), expect![[r#"types: has 256 bytes: shorten it to 255"#]]);
    }
}
