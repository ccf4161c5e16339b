//! The names of logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many characters of a refused text an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// The name of a log: a tenant, or `_platform` for the platform's own log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogName(String);

impl LogName {
    /// The platform's log: records that belong to no tenant. Kubernetes allows no Tenant of this name.
    pub const PLATFORM: &str = "_platform";

    /// The platform's log.
    #[must_use]
    pub fn platform() -> Self {
        Self(Self::PLATFORM.to_owned())
    }

    /// The log of a tenant; the platform's if there is no tenant or its name is illegal.
    #[must_use]
    pub fn of(tenant: Option<&str>) -> Self {
        tenant.and_then(|tenant| tenant.parse().ok()).unwrap_or_else(Self::platform)
    }

    /// The name as it is written in records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the platform's log.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.0 == Self::PLATFORM
    }
}

/// A text is not the name of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log: name a tenant (letters a to z, digits, - and .), or _platform")]
pub struct InvalidLogName(String);

impl FromStr for LogName {
    type Err = InvalidLogName;

    fn from_str(text: &str) -> Result<Self, InvalidLogName> {
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_tenant = text.len() <= 253
            && text.bytes().all(is_allowed)
            && is_edge(text.as_bytes().first())
            && is_edge(text.as_bytes().last());
        match is_tenant || text == Self::PLATFORM {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidLogName(text.chars().take(MAX_SHOWN_CHARS).collect())),
        }
    }
}

impl TryFrom<String> for LogName {
    type Error = InvalidLogName;

    fn try_from(text: String) -> Result<Self, InvalidLogName> {
        text.parse()
    }
}

impl From<LogName> for String {
    fn from(name: LogName) -> Self {
        name.0
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_is_a_tenants_or_the_platforms() {
        for name in ["a", "team-a", "team.a", "0", &"a".repeat(253)] {
            let log: LogName = name.parse().expect("a log");
            assert_eq!((log.as_str(), log.is_platform()), (name, false));
            assert_eq!(LogName::of(Some(name)), log);
            let json = serde_json::to_string(&log).expect("JSON");
            assert_eq!(serde_json::from_str::<LogName>(&json).expect("a log"), log);
        }
        assert!("_platform".parse::<LogName>().expect("a log").is_platform());
        assert!(LogName::of(None).is_platform());
        for name in [
            "",
            "-a",
            "a-",
            ".a",
            "a.",
            "A",
            "a b",
            "a/b",
            "../a",
            "a\n",
            "_",
            "_Platform",
            "é",
            &"a".repeat(254),
        ] {
            assert!(name.parse::<LogName>().is_err(), "{name}");
            assert!(serde_json::from_value::<LogName>(json!(name)).is_err(), "{name}");
            assert!(LogName::of(Some(name)).is_platform(), "{name}");
        }
        let error = format!("\u{1b}{}", "x".repeat(1000)).parse::<LogName>().expect_err("no log").to_string();
        assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
    }
}
