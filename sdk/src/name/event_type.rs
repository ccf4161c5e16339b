//! The name of an event type, and the naming conventions.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::name_traits;
use crate::{
    Invalid,
    text::{contains, too_long},
};

const WHAT: &str = "event type";
const MAX_LENGTH: usize = 200;
/// The first word of [`Convention::System`]. No service has this name.
const SYSTEM: &str = "System";

/// A naming convention of event types. Every legal name follows exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Convention {
    /// `User.Created.v1`: an action on an entity, within one domain.
    Entity,
    /// `Payment.Order.Paid.v1`: an action on an entity, published by a service for others.
    Service,
    /// `System.Backup.Completed.v1`: an event of a component of the platform.
    System,
    /// `user.created`, `security.suspicious_activity`: lower case, without a version in the name.
    Dotted,
}

impl Convention {
    /// All conventions.
    pub const ALL: &'static [Self] = &[Self::Entity, Self::Service, Self::System, Self::Dotted];

    /// The name of the convention in the rules of a tenant.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "Entity",
            Self::Service => "Service",
            Self::System => "System",
            Self::Dotted => "Dotted",
        }
    }

    /// The pattern of the names.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Entity => "{Entity}.{Action}.v{N}",
            Self::Service => "{Service}.{Entity}.{Action}.v{N}",
            Self::System => "System.{Component}.{Event}.v{N}",
            Self::Dotted => "{entity}.{action}",
        }
    }

    /// Parses a name of this convention.
    ///
    /// # Errors
    /// The text is not the name of an event type, or follows another convention.
    pub fn parse(self, text: &str) -> Result<EventTypeName, Invalid> {
        let name = EventTypeName::parse(text)?;
        if name.convention == self {
            return Ok(name);
        }
        let rule = format!("follows the convention {}, not {self}", name.convention);
        Err(Invalid::new(WHAT, text, rule, format!("name it {}", self.form())))
    }
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name of an event type, such as `User.Created.v1` or `user.created`, by one of the [`Convention`]s.
///
/// ```
/// use eventcenter_sdk::{Convention, EventTypeName};
///
/// let name = EventTypeName::parse("Payment.Order.Paid.v2")?;
/// assert_eq!(name.convention(), Convention::Service);
/// assert_eq!((name.service(), name.entity(), name.action()), (Some("Payment"), "Order", "Paid"));
/// assert_eq!(name.version(), Some(2));
/// # Ok::<(), eventcenter_sdk::Invalid>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventTypeName {
    text: Arc<str>,
    convention: Convention,
    version: Option<u32>,
}

impl EventTypeName {
    /// Parses a name of any convention.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new(
                WHAT,
                text,
                "is empty",
                "name it like `User.Created.v1` or `user.created`",
            ));
        }
        let length = text.chars().count();
        if length > MAX_LENGTH {
            return Err(too_long(WHAT, text, length, MAX_LENGTH));
        }
        let (convention, version) = if text.starts_with(|c: char| c.is_ascii_uppercase()) {
            parse_pascal(text)?
        } else {
            parse_dotted(text)?;
            (Convention::Dotted, None)
        };
        Ok(Self { text: text.into(), convention, version })
    }

    /// The name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The convention it follows.
    #[must_use]
    pub const fn convention(&self) -> Convention {
        self.convention
    }

    /// The service: the words before entity and action, `None` if there are none. `System` for events of the platform.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        let (rest, _) = split_last(self.base());
        rest.rsplit_once('.').map(|(service, _)| service)
    }

    /// The entity; the component for events of the platform.
    #[must_use]
    pub fn entity(&self) -> &str {
        let (rest, _) = split_last(self.base());
        split_last(rest).1
    }

    /// The action.
    #[must_use]
    pub fn action(&self) -> &str {
        split_last(self.base()).1
    }

    /// The major version in the name; `None` for [`Convention::Dotted`].
    #[must_use]
    pub const fn version(&self) -> Option<u32> {
        self.version
    }

    /// The name without its version.
    #[must_use]
    pub fn base(&self) -> &str {
        split_version(&self.text).map_or(&self.text, |(base, _)| base)
    }
}

name_traits!(EventTypeName);

/// Splits `User.Created.v1` into `User.Created` and 1. `None` without a version; `v0` and `v01` are not versions.
pub(crate) fn split_version(text: &str) -> Option<(&str, u32)> {
    let (base, last) = text.rsplit_once('.')?;
    let digits = last.strip_prefix('v')?;
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((base, digits.parse().ok()?))
}

/// The parts before and after the last dot.
fn split_last(text: &str) -> (&str, &str) {
    text.rsplit_once('.').unwrap_or(("", text))
}

fn parse_pascal(text: &str) -> Result<(Convention, Option<u32>), Invalid> {
    let Some((base, version)) = split_version(text) else {
        let rule = "does not end in a version from `.v1` to `.v4294967295`";
        return Err(Invalid::new(WHAT, text, rule, "end it in `.v1`"));
    };
    let parts: Vec<&str> = base.split('.').collect();
    for part in &parts {
        check_part(
            text,
            part,
            |c| c.is_ascii_uppercase(),
            |c| c.is_ascii_alphanumeric(),
            "a capital letter",
        )?;
    }
    let convention = match parts.as_slice() {
        [_, _] => Convention::Entity,
        [SYSTEM, _, _] => Convention::System,
        [_, _, _] => Convention::Service,
        _ => {
            let rule = format!("has {} words before its version", parts.len());
            let remedy = format!("name it {} or {}", Convention::Entity.form(), Convention::Service.form());
            return Err(Invalid::new(WHAT, text, rule, remedy));
        }
    };
    Ok((convention, Some(version)))
}

fn parse_dotted(text: &str) -> Result<(), Invalid> {
    for part in text.split('.') {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        check_part(text, part, |c| c.is_ascii_lowercase(), word, "a lower-case letter")?;
    }
    if split_version(text).is_some() {
        let remedy = "leave the version out of the name and put it into the event's `version`";
        return Err(Invalid::new(WHAT, text, "has a version in a lower-case name", remedy));
    }
    if !text.contains('.') {
        return Err(Invalid::new(
            WHAT,
            text,
            "has no dot",
            "name it {entity}.{action}, such as `user.created`",
        ));
    }
    Ok(())
}

fn check_part(
    text: &str,
    part: &str,
    first: impl Fn(char) -> bool,
    rest: impl Fn(char) -> bool,
    begin: &str,
) -> Result<(), Invalid> {
    let remedy = || format!("begin every word with {begin}, followed by letters and digits");
    let Some(start) = part.chars().next() else {
        return Err(Invalid::new(WHAT, text, "has an empty word", "put exactly one dot between two words"));
    };
    if let Some(c) = part.chars().find(|&c| !rest(c)) {
        return Err(Invalid::new(WHAT, text, contains(c), remedy()));
    }
    if !first(start) {
        return Err(Invalid::new(WHAT, text, format!("has a word that begins with {start:?}"), remedy()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_convention() {
        use Convention::{Dotted, Entity, Service, System};
        for (text, convention, service, entity, action, version, base) in [
            ("User.Created.v1", Entity, None, "User", "Created", Some(1), "User.Created"),
            ("SKU.Created.v12", Entity, None, "SKU", "Created", Some(12), "SKU.Created"),
            (
                "Payment.Order.Paid.v1",
                Service,
                Some("Payment"),
                "Order",
                "Paid",
                Some(1),
                "Payment.Order.Paid",
            ),
            (
                "System.Health.CheckFailed.v1",
                System,
                Some("System"),
                "Health",
                "CheckFailed",
                Some(1),
                "System.Health.CheckFailed",
            ),
            ("user.created", Dotted, None, "user", "created", None, "user.created"),
            (
                "security.suspicious_activity",
                Dotted,
                None,
                "security",
                "suspicious_activity",
                None,
                "security.suspicious_activity",
            ),
            (
                "com.example.user.created",
                Dotted,
                Some("com.example"),
                "user",
                "created",
                None,
                "com.example.user.created",
            ),
        ] {
            let name = EventTypeName::parse(text).unwrap();
            assert_eq!(name.convention(), convention, "{text}");
            assert_eq!((name.service(), name.entity(), name.action()), (service, entity, action), "{text}");
            assert_eq!((name.version(), name.base()), (version, base), "{text}");
            assert_eq!(convention.parse(text).unwrap(), name);
            for other in Convention::ALL.iter().filter(|&&other| other != convention) {
                assert!(other.parse(text).is_err(), "{text} as {other}");
            }
        }
    }

    #[test]
    fn names_without_a_convention_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("User", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.Created", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.Created.v0", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.Created.v01", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.Created.v", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.Created.v4294967296", "does not end in a version from `.v1` to `.v4294967295`"),
            ("User.v1", "has 1 words before its version"),
            ("A.B.C.D.v1", "has 4 words before its version"),
            ("User..v1", "has an empty word"),
            ("User.created.v1", "has a word that begins with 'c'"),
            ("User.Was_Created.v1", "contains '_'"),
            ("user", "has no dot"),
            ("user.", "has an empty word"),
            (".created", "has an empty word"),
            ("user.Created", "contains 'C'"),
            ("user.created.v1", "has a version in a lower-case name"),
            ("user-created", "contains '-'"),
            ("user.1created", "has a word that begins with '1'"),
            ("用户.created", "contains '用'"),
            (&format!("a.{}", "b".repeat(200)), "has 202 characters"),
        ] {
            assert_eq!(EventTypeName::parse(text).unwrap_err().rule(), rule, "{text}");
        }
    }

    #[test]
    fn another_convention_is_refused_with_the_pattern() {
        let error = Convention::Entity.parse("user.created").unwrap_err();
        assert_eq!(
            error.to_string(),
            "event type `user.created` follows the convention Dotted, not Entity; name it {Entity}.{Action}.v{N}"
        );
    }
}
