//! The id of an event.

use uuid::Uuid;

use super::name;
use crate::{Invalid, text::check_attribute};

name! {
    /// The id of an event, or the correlation or causation id of events: 1 to 255 characters, no control characters, no
    /// whitespace at the ends.
    ///
    /// The platform generates UUIDs of version 7 (RFC 9562). Producers may choose other ids that are unique within their
    /// source. The id is the same in every retry and replay, so that consumers recognise duplicates.
    EventId, check
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = uuid.hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }
}

fn check(text: &str) -> Result<(), Invalid> {
    let what = "event id";
    check_attribute(what, text, 1, 255)?;
    if text.trim() != text {
        return Err(Invalid::new(what, text, "begins or ends with whitespace", "remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_becomes_hyphenated_lower_case() {
        let uuid = Uuid::from_u128(0x0192_5d9f_8f2e_7d3a_9b1c_2f4e_6a8b_0c1d);
        assert_eq!(EventId::from(uuid), "01925d9f-8f2e-7d3a-9b1c-2f4e6a8b0c1d");
    }

    #[test]
    fn illegal_ids_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("a ", "begins or ends with whitespace"),
            ("a\u{0}", "contains '\\0'"),
            (&"i".repeat(256), "has 256 characters"),
        ] {
            assert_eq!(EventId::parse(text).unwrap_err().rule(), rule, "{text:?}");
        }
        assert!(EventId::parse(&"é".repeat(255)).is_ok());
    }
}
