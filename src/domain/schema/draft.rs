//! The dialects of JSON Schema that are supported.

use serde_json::Value;

use super::limits::refusal;
use crate::domain::Refusal;

/// A dialect of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draft {
    /// draft-07.
    Seven,
    /// 2020-12, the default.
    TwentyTwenty,
}

impl Draft {
    /// Reads the dialect from `$schema`.
    pub(super) fn of(schema: &Value) -> Result<Self, Refusal> {
        let Some(named) = schema.get("$schema") else { return Ok(Self::TwentyTwenty) };
        match named.as_str().map(|uri| uri.trim_end_matches('#')) {
            Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => {
                Ok(Self::Seven)
            }
            Some("https://json-schema.org/draft/2020-12/schema") => Ok(Self::TwentyTwenty),
            _ => Err(refusal(
                "/$schema",
                &format!("{named} is not a supported dialect"),
                "use http://json-schema.org/draft-07/schema# or https://json-schema.org/draft/2020-12/schema",
            )),
        }
    }
}
