//! A value that breaks a rule.

use std::{borrow::Cow, fmt};

/// How many characters of a refused value are shown: enough to recognise it, too few to fill a status or a log.
const MAX_SHOWN_CHARS: usize = 64;

/// A value that breaks a rule: the kind of value, the value, the rule and the remedy.
///
/// ```
/// let error = eventcenter_sdk::TopicName::parse("orders created").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "topic name `orders created` contains ' '; use only letters, digits, `.`, `_` and `-`"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    what: Cow<'static, str>,
    value: String,
    rule: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl Invalid {
    pub(crate) fn new(
        what: impl Into<Cow<'static, str>>,
        value: &str,
        rule: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { what: what.into(), value: shown(value), rule: rule.into(), remedy: remedy.into() }
    }

    /// The kind of value or the field, such as `topic name`.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The value, escaped and cut to 64 characters.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The broken rule, as the end of a sentence that begins with the value.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// How to fix it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, rule, remedy } = self;
        write!(f, "{what} `{value}` {rule}; {remedy}")
    }
}

/// The value, escaped so that it cannot break a log line or hide in it, and cut to [`MAX_SHOWN_CHARS`].
pub(crate) fn shown(value: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = escape(c);
        let width = escaped.chars().count();
        let room = if chars.peek().is_some() { MAX_SHOWN_CHARS - 1 } else { MAX_SHOWN_CHARS };
        if length + width > room {
            out.push('…');
            break;
        }
        out.push_str(&escaped);
        length += width;
    }
    out
}

fn escape(c: char) -> String {
    // Quotes are harmless here; escaped, they would look as if the value had a backslash.
    if matches!(c, '\'' | '"') { c.to_string() } else { c.escape_debug().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_at_most_64_characters_without_control_characters() {
        for (value, expected) in [
            ("short".to_owned(), "short".to_owned()),
            ("a".repeat(64), "a".repeat(64)),
            ("a".repeat(65), format!("{}…", "a".repeat(63))),
            ("ü".repeat(70), format!("{}…", "ü".repeat(63))),
            ("a\nb".to_owned(), "a\\nb".to_owned()),
            ("it's".to_owned(), "it's".to_owned()),
            ("\u{0}".repeat(40), format!("{}…", "\\0".repeat(31))),
        ] {
            let shown = shown(&value);
            assert_eq!(shown, expected);
            assert!(shown.chars().count() <= MAX_SHOWN_CHARS);
        }
    }
}
