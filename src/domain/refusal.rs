//! A "no" that names the field, the rule and the remedy.

use std::fmt;

use eventcenter_sdk::Reason;

/// Why something that was declared does not become true, for a person to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The one word for it, from the product's only vocabulary.
    pub reason: Reason,
    /// Field, rule and remedy, as sentences.
    pub message: String,
}

impl Refusal {
    /// A refusal with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
