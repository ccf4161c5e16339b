//! The name of a Kafka topic.

use super::name;
use crate::{
    Invalid,
    text::{contains, too_long},
};

/// Kafka's limit: the name and the partition are the name of a directory.
pub(super) const MAX_LENGTH: usize = 249;
pub(super) const REMEDY: &str = "use only letters, digits, `.`, `_` and `-`";

name! {
    /// The name of a Kafka topic: 1 to 249 of `a-z A-Z 0-9 . _ -`, neither `.` nor `..`.
    TopicName, check
}

impl TopicName {
    /// Whether the names differ only in `.` and `_`, which are the same in the names of Kafka's metrics.
    ///
    /// Kafka refuses to create a topic whose name collides with that of another topic. A name does not collide with itself.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        let unified = |name: &Self| name.as_str().replace('.', "_");
        self != other && self.as_str().len() == other.as_str().len() && unified(self) == unified(other)
    }

    /// Whether the name begins with `__`, as the internal topics of Kafka and its tools: `__consumer_offsets`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.as_str().starts_with("__")
    }
}

pub(super) const fn is_topic_char(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-')
}

fn check(text: &str) -> Result<(), Invalid> {
    let what = "topic name";
    if text.is_empty() {
        return Err(Invalid::new(what, text, "is empty", "give the topic a name"));
    }
    if text == "." || text == ".." {
        return Err(Invalid::new(what, text, "is not allowed by Kafka", "use a name with a letter or digit"));
    }
    if let Some(c) = text.chars().find(|&c| !is_topic_char(c)) {
        return Err(Invalid::new(what, text, contains(c), REMEDY));
    }
    if text.len() > MAX_LENGTH {
        return Err(too_long(what, text, text.len(), MAX_LENGTH));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicName {
        TopicName::parse(text).unwrap()
    }

    #[test]
    fn legal_names_are_accepted() {
        for text in ["orders", "shop.orders_v1-EU", "...", "_", "-", "__consumer_offsets", &"a".repeat(249)] {
            assert!(TopicName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn illegal_names_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            (".", "is not allowed by Kafka"),
            ("..", "is not allowed by Kafka"),
            ("a/b", "contains '/'"),
            ("a b", "contains ' '"),
            ("a\n", "contains '\\n'"),
            ("ördern", "contains 'ö'"),
            (&"a".repeat(250), "has 250 characters"),
        ] {
            assert_eq!(TopicName::parse(text).unwrap_err().rule(), rule, "{text:?}");
        }
    }

    #[test]
    fn names_collide_if_only_dots_and_underscores_differ() {
        for (one, other, collides) in [
            ("a.b", "a_b", true),
            ("a.b_c", "a_b.c", true),
            ("a.b", "a.b", false),
            ("a.b", "a-b", false),
            ("a.b", "a.c", false),
            ("a.b", "a_bc", false),
        ] {
            assert_eq!(topic(one).collides_with(&topic(other)), collides, "{one} {other}");
            assert_eq!(topic(other).collides_with(&topic(one)), collides, "{other} {one}");
        }
    }

    #[test]
    fn internal_names_begin_with_two_underscores() {
        assert!(topic("__consumer_offsets").is_internal());
        assert!(!topic("_schemas").is_internal());
    }
}
