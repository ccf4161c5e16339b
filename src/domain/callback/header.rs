//! Headers that users declare.

use eventcenter_sdk::Reason;

use crate::domain::refusal::Refusal;

/// Headers that determine where a request goes and where it ends. A proxy shared by several hosts selects one by `Host`, and so
/// could be asked for a host that the tenant may not call; the others could hide a second request in the first.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks the name of a header that a user declares. `field` is the path of the field with the header.
///
/// # Errors
/// The header cannot be sent.
pub fn check_header_name(field: &str, name: &str) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::at(Reason::InvalidResource, field, detail));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return invalid("the name of a header has letters, digits and '-' only: correct it".into());
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return invalid(format!("the header {name} is set by the operator: remove it"));
    }
    Ok(())
}

/// Checks a header that a user declares. `field` is the path of the field with the header.
///
/// # Errors
/// The header cannot be sent. The message does not contain its value, which may be a secret.
pub fn check_header(field: &str, name: &str, value: &str) -> Result<(), Refusal> {
    check_header_name(field, name)?;
    if value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Ok(());
    }
    Err(Refusal::at(
        Reason::InvalidResource,
        field,
        format!("the value of the header {name} has characters other than printable ASCII: encode them"),
    ))
}
