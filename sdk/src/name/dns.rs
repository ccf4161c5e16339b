//! What Kubernetes allows as a name: RFC 1123 labels and subdomains.

use crate::{
    Invalid,
    text::{contains, too_long},
};

const REMEDY: &str = "use only lower-case letters, digits and `-`, with a letter or digit at both ends";
const REMEDY_DOTS: &str =
    "use only lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part";

/// At most 63 characters without a dot: what fits into a label's value too.
pub(super) fn check_label(what: &'static str, text: &str) -> Result<(), Invalid> {
    check_length(what, text, 63)?;
    check_part(text).map_err(|rule| Invalid::new(what, text, rule, REMEDY))
}

/// Labels joined by dots, at most 253 characters: what Kubernetes allows as the name of most resources.
pub(super) fn check_subdomain(what: &'static str, text: &str) -> Result<(), Invalid> {
    check_length(what, text, 253)?;
    text.split('.').try_for_each(check_part).map_err(|rule| Invalid::new(what, text, rule, REMEDY_DOTS))
}

fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), Invalid> {
    match text.chars().count() {
        0 => Err(Invalid::new(what, text, "is empty", "give the name of the resource")),
        length if length > max => Err(too_long(what, text, length, max)),
        _ => Ok(()),
    }
}

fn check_part(part: &str) -> Result<(), String> {
    if let Some(c) = part.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(contains(c));
    }
    if part.is_empty() {
        return Err("has an empty part".to_owned());
    }
    if part.starts_with('-') || part.ends_with('-') {
        return Err("begins or ends with '-'".to_owned());
    }
    Ok(())
}
