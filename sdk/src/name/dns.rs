//! DNS labels and subdomains (RFC 1123), as Kubernetes checks names.

use crate::{
    Invalid,
    text::{contains, too_long},
};

const REMEDY: &str = "use only lower-case letters, digits and `-`, with a letter or digit at both ends";
const REMEDY_DOTS: &str =
    "use only lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part";

/// Checks a DNS label: at most 63 characters, no dots.
pub(super) fn check_label(what: &'static str, text: &str) -> Result<(), Invalid> {
    check_length(what, text, 63)?;
    check_part(text).map_err(|rule| Invalid::new(what, text, rule, REMEDY))
}

/// Checks a DNS subdomain: labels joined by dots, at most 253 characters. Most resources have such names.
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
