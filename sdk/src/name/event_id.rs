//! The id of an event.

use uuid::Uuid;

use super::name;
use crate::{Invalid, text::check_attribute};

name! {
    /// The id of an event, or of what caused or ties together events: 1 to 255 characters.
    ///
    /// The platform makes UUIDs (version 7), producers may bring ids of their own as long as they are unique within
    /// their source. The id stays the same over every retry and replay: it is what duplicates are known by.
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
        return Err(Invalid::new(what, text, "begins or ends with a blank", "remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_an_id_in_its_usual_form() {
        let uuid = Uuid::from_u128(0x0192_5d9f_8f2e_7d3a_9b1c_2f4e_6a8b_0c1d);
        assert_eq!(EventId::from(uuid), "01925d9f-8f2e-7d3a-9b1c-2f4e6a8b0c1d");
    }

    #[test]
    fn rejects_what_nobody_could_look_up() {
        for (text, rule) in [
            ("", "is empty"),
            ("a ", "begins or ends with a blank"),
            ("a\u{0}", "contains '\\0'"),
            (&"i".repeat(256), "has 256 characters"),
        ] {
            assert_eq!(EventId::parse(text).unwrap_err().rule(), rule, "{text:?}");
        }
        assert!(EventId::parse(&"é".repeat(255)).is_ok());
    }
}
