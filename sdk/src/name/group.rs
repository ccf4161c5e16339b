//! The id of a consumer group.

use super::name;
use crate::{Invalid, text::check_attribute};

name! {
    /// The id of a Kafka consumer group: 1 to 255 characters, no control characters, not `*`.
    ///
    /// Kafka accepts almost any string. `*` is refused because an ACL for it covers every group, and whitespace at the ends
    /// because it is invisible in lists.
    ConsumerGroup, check
}

fn check(text: &str) -> Result<(), Invalid> {
    let what = "consumer group";
    check_attribute(what, text, 1, 255)?;
    if text == "*" {
        return Err(Invalid::new(
            what,
            text,
            "means every group in an ACL",
            "give the group a name of its own",
        ));
    }
    if text.trim() != text {
        return Err(Invalid::new(what, text, "begins or ends with whitespace", "remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_groups_are_accepted() {
        for text in ["audit-service", "shop.orders/mail", "Gruppe Öst", "a*", &"g".repeat(255)] {
            assert!(ConsumerGroup::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn illegal_groups_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("*", "means every group in an ACL"),
            (" a", "begins or ends with whitespace"),
            ("a\tb", "contains '\\t'"),
            (&"g".repeat(256), "has 256 characters"),
        ] {
            assert_eq!(ConsumerGroup::parse(text).unwrap_err().rule(), rule, "{text:?}");
        }
    }
}
