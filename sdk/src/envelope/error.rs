//! Why something is no event.

use crate::{Invalid, Reason};

/// Why something is no event, or no event of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A field or attribute breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A field or attribute that every event has is not there.
    #[error("`{field}` is missing; every event has it")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// The event takes more bytes than allowed.
    #[error(
        "the event takes {size} bytes, more than the {max} allowed; put large content elsewhere and refer to it"
    )]
    TooLarge {
        /// What it takes.
        size: usize,
        /// What it may take.
        max: usize,
    },
    /// The text is no JSON, or not of the expected shape.
    #[error("the event cannot be read as JSON")]
    Json(#[source] serde_json::Error),
    /// The data is of a media type other than JSON.
    #[error("the data has the media type `{content_type}`; only JSON is carried, such as `application/json`")]
    NotJson {
        /// The media type, cut to 64 characters.
        content_type: String,
    },
    /// The data came as `data_base64`.
    #[error("the data is binary (`data_base64`); only JSON in `data` is carried")]
    Binary,
    /// A header that has to be a text is not.
    #[error("the header `{header}` is not UTF-8")]
    Header {
        /// The name of the header, cut to 64 characters.
        header: String,
    },
}

impl EnvelopeError {
    /// Always [`Reason::InvalidResource`]: whatever is wrong, it is wrong with what was sent.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::InvalidResource
    }
}
