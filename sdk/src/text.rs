//! Rules for strings, shared by names and envelope.

use std::borrow::Cow;

use crate::invalid::Invalid;

/// Whether CloudEvents 1.0 allows the character in a String attribute: no control characters, no Unicode noncharacters.
pub(crate) fn is_attribute_char(c: char) -> bool {
    let code = u32::from(c);
    !c.is_control() && !(0xFDD0..=0xFDEF).contains(&code) && code & 0xFFFE != 0xFFFE
}

/// Checks the length in characters (`min` is 0 or 1) and the characters of an attribute.
pub(crate) fn check_attribute(
    what: impl Into<Cow<'static, str>>,
    text: &str,
    min: usize,
    max: usize,
) -> Result<(), Invalid> {
    let length = text.chars().count();
    if length < min {
        return Err(Invalid::new(what, text, "is empty", "give it a value, or omit it if it is optional"));
    }
    if length > max {
        return Err(too_long(what, text, length, max));
    }
    match text.chars().find(|&c| !is_attribute_char(c)) {
        Some(c) => Err(Invalid::new(what, text, contains(c), "remove control characters and noncharacters")),
        None => Ok(()),
    }
}

pub(crate) fn too_long(what: impl Into<Cow<'static, str>>, text: &str, length: usize, max: usize) -> Invalid {
    Invalid::new(what, text, format!("has {length} characters"), format!("shorten it to at most {max}"))
}

pub(crate) fn contains(c: char) -> String {
    format!("contains {c:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_characters_are_those_of_cloudevents() {
        for c in ['a', ' ', 'é', '中', '\u{1F600}', '\u{FFFD}', '\u{E000}'] {
            assert!(is_attribute_char(c), "{c:?}");
        }
        for c in
            ['\0', '\n', '\u{7F}', '\u{9F}', '\u{FDD0}', '\u{FDEF}', '\u{FFFE}', '\u{1FFFF}', '\u{10FFFF}']
        {
            assert!(!is_attribute_char(c), "{c:?}");
        }
    }
}
