//! The names of CloudEvents attributes (CloudEvents 1.0, "Naming Conventions").

use crate::{
    Invalid,
    text::{contains, too_long},
};

/// The extension with the trace context (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// The extension with the vendors' part of the trace context.
pub const TRACESTATE: &str = "tracestate";

pub(crate) const SPECVERSION: &str = "specversion";
pub(crate) const ID: &str = "id";
pub(crate) const SOURCE: &str = "source";
pub(crate) const TYPE: &str = "type";
pub(crate) const TIME: &str = "time";
pub(crate) const DATACONTENTTYPE: &str = "datacontenttype";
pub(crate) const DATA: &str = "data";
pub(crate) const DATA_BASE64: &str = "data_base64";
pub(crate) const VERSION: &str = "version";
pub(crate) const TENANT_ID: &str = "tenantid";
pub(crate) const USER_ID: &str = "userid";
pub(crate) const CORRELATION_ID: &str = "correlationid";
pub(crate) const CAUSATION_ID: &str = "causationid";
pub(crate) const REQUEST_ID: &str = "requestid";
pub(crate) const USER_AGENT: &str = "useragent";
pub(crate) const SOURCE_IP: &str = "sourceip";
pub(crate) const SESSION_ID: &str = "sessionid";

/// Names that have a field in the envelope or a meaning in CloudEvents. No extension has one of them.
pub(crate) const RESERVED: [&str; 16] = [
    SPECVERSION,
    ID,
    SOURCE,
    TYPE,
    TIME,
    DATACONTENTTYPE,
    DATA,
    VERSION,
    TENANT_ID,
    USER_ID,
    CORRELATION_ID,
    CAUSATION_ID,
    REQUEST_ID,
    USER_AGENT,
    SOURCE_IP,
    SESSION_ID,
];

/// CloudEvents recommends at most 20 characters. Longer names of other producers are accepted up to this length.
const MAX_NAME_LENGTH: usize = 64;

/// Checks the name of an extension: lower-case letters and digits, and not reserved.
pub(crate) fn check_extension_name(name: &str) -> Result<(), Invalid> {
    check_name(name)?;
    if RESERVED.contains(&name) {
        let rule = "is reserved for a field of the envelope";
        return Err(Invalid::new("extension", name, rule, "set that field, or use another name"));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), Invalid> {
    let what = "attribute name";
    let remedy = "use up to 20 lower-case letters and digits";
    if name.is_empty() {
        return Err(Invalid::new(what, name, "is empty", remedy));
    }
    if let Some(c) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9')) {
        return Err(Invalid::new(what, name, contains(c), remedy));
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(too_long(what, name, name.len(), MAX_NAME_LENGTH));
    }
    Ok(())
}
