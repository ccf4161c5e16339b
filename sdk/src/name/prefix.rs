//! The prefix of a tenant's topics.

use super::{
    name,
    topic::{MAX_LENGTH, REMEDY, TopicName, is_topic_char},
};
use crate::{
    Invalid,
    text::{contains, too_long},
};

name! {
    /// The prefix of the names of a tenant's topics: 1 to 248 of `a-z A-Z 0-9 . _ -`, ending in `.`, `-` or `_`.
    ///
    /// It is not empty, because an empty prefix would cover every topic; no prefix is `None`. It ends in a separator so that
    /// `shop` does not cover `shopping.orders`.
    TopicPrefix, check
}

impl TopicPrefix {
    /// Whether a topic could have both prefixes: one of them begins with the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.as_str().starts_with(other.as_str()) || other.as_str().starts_with(self.as_str())
    }
}

impl TopicName {
    /// Whether the name begins with the prefix and is longer.
    #[must_use]
    pub fn has_prefix(&self, prefix: &TopicPrefix) -> bool {
        self.as_str().len() > prefix.as_str().len() && self.as_str().starts_with(prefix.as_str())
    }
}

fn check(text: &str) -> Result<(), Invalid> {
    let what = "topic prefix";
    if text.is_empty() {
        return Err(Invalid::new(what, text, "is empty", "leave the field out to have no prefix"));
    }
    if let Some(c) = text.chars().find(|&c| !is_topic_char(c)) {
        return Err(Invalid::new(what, text, contains(c), REMEDY));
    }
    if !text.ends_with(['.', '-', '_']) {
        return Err(Invalid::new(what, text, "does not end in a separator", "end it in `.`, `-` or `_`"));
    }
    if text.len() >= MAX_LENGTH {
        // The name of a topic is longer than its prefix.
        return Err(too_long(what, text, text.len(), MAX_LENGTH - 1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_prefixes_are_accepted() {
        for text in ["shop.", "shop-eu-", "SHOP_", ".", &format!("{}.", "a".repeat(247))] {
            assert!(TopicPrefix::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn illegal_prefixes_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("shop", "does not end in a separator"),
            ("sh op.", "contains ' '"),
            ("shop/", "contains '/'"),
            (&format!("{}.", "a".repeat(248)), "has 249 characters"),
        ] {
            assert_eq!(TopicPrefix::parse(text).unwrap_err().rule(), rule, "{text}");
        }
    }

    #[test]
    fn a_topic_is_longer_than_its_prefix() {
        let prefix = TopicPrefix::parse("shop.").unwrap();
        for (text, has) in [("shop.orders", true), ("shop.", false), ("shop", false), ("shopping.a", false)] {
            assert_eq!(TopicName::parse(text).unwrap().has_prefix(&prefix), has, "{text}");
        }
    }

    #[test]
    fn prefixes_overlap_if_one_begins_with_the_other() {
        for (one, other, overlaps) in [
            ("shop.", "shop.", true),
            ("shop.", "shop.eu.", true),
            ("shop.", "shopping.", false),
            ("a.", "b.", false),
        ] {
            let (one, other) = (TopicPrefix::parse(one).unwrap(), TopicPrefix::parse(other).unwrap());
            assert_eq!(one.overlaps(&other), overlaps, "{one} {other}");
            assert_eq!(other.overlaps(&one), overlaps, "{other} {one}");
        }
    }
}
