//! Errors of reading and building events.

use crate::{Invalid, Reason};

/// An event cannot be read or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A field or attribute breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A required field or attribute is missing.
    #[error("`{field}` is missing; every event has it")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// The event is too large.
    #[error(
        "the event has {size} bytes, at most {max} are allowed; store large content elsewhere and refer to it"
    )]
    TooLarge {
        /// Size of the event as JSON, in bytes.
        size: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The event is not JSON, or has another structure.
    #[error("the event cannot be read as JSON")]
    Json(#[source] serde_json::Error),
    /// The media type of the data is not JSON.
    #[error(
        "the data has the media type `{content_type}`; only JSON is supported, such as `application/json`"
    )]
    NotJson {
        /// The media type, cut to 64 characters.
        content_type: String,
    },
    /// The data is binary (`data_base64`).
    #[error("the data is binary (`data_base64`); only JSON in `data` is supported")]
    Binary,
    /// The value of a header is not UTF-8.
    #[error("the header `{header}` is not UTF-8")]
    Header {
        /// The name of the header, cut to 64 characters.
        header: String,
    },
}

impl EnvelopeError {
    /// Always [`Reason::InvalidResource`].
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::InvalidResource
    }
}
