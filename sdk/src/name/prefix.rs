//! What the names of a tenant's topics begin with.

use super::{
    name,
    topic::{MAX_LENGTH, REMEDY, is_topic_char},
};
use crate::{
    Invalid,
    text::{contains, too_long},
};

name! {
    /// What the names of a tenant's topics begin with: topic characters, ending in `.`, `-` or `_`.
    ///
    /// Never empty: an empty prefix would claim every topic, and who has none says so with `None`. The separator at the
    /// end is demanded so that `shop` does not take in `shopping.orders`.
    TopicPrefix, check
}

impl TopicPrefix {
    /// Whether one of the two begins with the other, so that a topic could belong to both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.as_str().starts_with(other.as_str()) || other.as_str().starts_with(self.as_str())
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
        // One character less than a topic's name, which has to go on after it.
        return Err(too_long(what, text, text.len(), MAX_LENGTH - 1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_a_separator_at_the_end() {
        for text in ["shop.", "shop-eu-", "SHOP_", ".", &format!("{}.", "a".repeat(247))] {
            assert!(TopicPrefix::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects_the_rest() {
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
    fn overlaps_when_a_topic_could_belong_to_both() {
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
