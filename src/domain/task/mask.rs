//! Removes the values of Secrets from texts that are stored: responses and logs.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for a value.
const MASK: &str = "***";

/// The shortest value that is masked, in bytes. Shorter ones occur in ordinary text everywhere, and protect nothing.
const MIN_BYTES: usize = 4;

/// The values that a text must not contain.
///
/// Besides the values themselves these are their forms in JSON, in URLs and in base64, also as a part of a longer text that was
/// encoded, such as `user:password`.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first, so that no value that is a part of another one leaves the rest of it.
    forms: Vec<String>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("forms", &self.forms.len()).finish()
    }
}

impl Mask {
    /// Masks these values.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            // A file in a Secret often ends with a line break, which is not sent.
            for value in [value, value.trim()] {
                collect_forms(value, &mut forms);
            }
        }
        let mut forms: Vec<String> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text without the values. The text may be cut: a part of a value at its beginning or end is removed as well.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for form in &self.forms {
            if masked.contains(form.as_str()) {
                masked = masked.replace(form.as_str(), MASK);
            }
        }
        let cut = |length: fn(&str, &str) -> usize| {
            self.forms.iter().map(|form| length(&masked, form)).max().filter(|length| *length >= MIN_BYTES)
        };
        let (first, last) = (cut(part_at_start), cut(part_at_end));
        let end = masked.len() - last.unwrap_or(0);
        let start = first.unwrap_or(0).min(end);
        if first.is_none() && last.is_none() {
            return masked;
        }
        let mark = |part: Option<usize>| if part.is_some() { MASK } else { "" };
        format!("{}{}{}", mark(first), &masked[start..end], mark(last))
    }
}

/// The length of the longest end of the form with which the text begins.
fn part_at_start(text: &str, form: &str) -> usize {
    let starts = form.char_indices().map(|(place, _)| place).skip(1);
    starts.map(|place| &form[place..]).find(|part| text.starts_with(part)).map_or(0, str::len)
}

/// The length of the longest beginning of the form with which the text ends.
fn part_at_end(text: &str, form: &str) -> usize {
    let ends = form.char_indices().map(|(place, _)| place).rev();
    ends.map(|place| &form[..place]).find(|part| text.ends_with(part)).map_or(0, str::len)
}

fn collect_forms(value: &str, forms: &mut BTreeSet<String>) {
    if value.len() < MIN_BYTES {
        return;
    }
    forms.insert(value.to_owned());
    let quoted = serde_json::Value::from(value).to_string();
    forms.insert(quoted[1..quoted.len() - 1].to_owned());
    forms.insert(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
    // What a value becomes in base64 depends on its place in the encoded text, and so do the first and last digits.
    for offset in 0..3 {
        let bytes = [&vec![0; offset][..], value.as_bytes()].concat();
        let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.insert(encoded[first..end].to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_encoded_forms_are_masked() {
        for (values, text, expected) in [
            (&[][..], "any text", "any text"),
            (&["s3same"], "token=s3same, again s3same.", "token=***, again ***."),
            (&["abc"], "abc is too short", "abc is too short"),
            (&["pass", "password-1"], "password-1 and pass", "*** and ***"),
            (&["s3same\n"], "s3same", "***"),
            (&["a\"b\nc"], r#"{"echo":"a\"b\nc"}"#, r#"{"echo":"***"}"#),
            (&["a/b+c="], "?q=a%2Fb%2Bc%3D", "?q=***"),
            (&["hunter2"], "aHVudGVyMg==", "***g=="),
            (&["ümlaut-ö"], "x ümlaut-ö y", "x *** y"),
            (&["s3same"], "", ""),
        ] {
            assert_eq!(Mask::of(values.iter().copied()).apply(text), expected, "{values:?} {text}");
        }
    }

    #[test]
    fn a_value_inside_of_encoded_text_is_masked() {
        let value = "correct horse battery";
        for user in ["", "u", "us", "use", "user"] {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{value}"));
            let masked = Mask::of([value]).apply(&encoded);
            assert!(masked.contains(MASK) && masked.len() < user.len() * 4 / 3 + 14, "{encoded} {masked}");
        }
    }

    #[test]
    fn the_rest_of_a_value_that_was_cut_is_masked() {
        let mask = Mask::of(["0123456789"]);
        for (text, expected) in [
            ("6789 is the end", "*** is the end"),
            ("89 is too short", "89 is too short"),
            ("it begins with 01234567", "it begins with ***"),
            ("6789", "***"),
            ("0123456789", "***"),
        ] {
            assert_eq!(mask.apply(text), expected, "{text}");
        }
    }

    #[test]
    fn debug_output_contains_no_value() {
        assert!(!format!("{:?}", Mask::of(["s3same-value"])).contains("s3same"));
    }
}
