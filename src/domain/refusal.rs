//! Refusals, with the field, the rule and the remedy; and failures of operations.

use std::fmt;

use eventcenter_sdk::Reason;

/// Why a declaration does not take effect, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The machine-readable reason.
    pub reason: Reason,
    /// Path of the field, such as `spec.partitions`. `None` if no single field is the cause.
    pub field: Option<String>,
    /// Rule and remedy, without the field.
    detail: String,
    /// The hash of the spec that must be approved, in hexadecimal, where that is the remedy.
    pub spec_hash: Option<String>,
}

impl Refusal {
    /// A refusal that concerns no single field.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, field: None, detail: message.into(), spec_hash: None }
    }

    /// A refusal of one field. `detail` is the rule and the remedy, such as `must be at least 1: write 1`.
    pub fn at(reason: Reason, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason, field: Some(field.into()), detail: detail.into(), spec_hash: None }
    }

    /// Names the spec that must be approved, by its hash in hexadecimal.
    #[must_use]
    pub fn with_spec_hash(self, hash: impl Into<String>) -> Self {
        Self { spec_hash: Some(hash.into()), ..self }
    }

    /// The message for people: field, rule and remedy.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: {}", self.detail),
            None => self.detail.clone(),
        }
    }
}

/// Why an operation failed that was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Reason and message.
    pub refusal: Refusal,
    /// Whether retrying cannot succeed until a user changes something.
    pub is_stalled: bool,
}

impl Failure {
    /// A failure that a retry may resolve.
    #[must_use]
    pub fn retryable(refusal: Refusal) -> Self {
        Self { refusal, is_stalled: false }
    }

    /// A failure that only a user can resolve.
    #[must_use]
    pub fn stalled(refusal: Refusal) -> Self {
        Self { refusal, is_stalled: true }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.reason)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_precedes_rule_and_remedy() {
        let refusal = Refusal::at(Reason::InvalidResource, "spec.partitions", "too few: write at least 1");
        assert_eq!(refusal.message(), "spec.partitions: too few: write at least 1");
        assert_eq!(refusal.to_string(), "InvalidResource: spec.partitions: too few: write at least 1");
        let refusal = Refusal::new(Reason::TenantSuspended, "the tenant is suspended");
        assert_eq!(refusal.message(), "the tenant is suspended");
        assert_eq!(refusal.to_string(), "TenantSuspended: the tenant is suspended");
    }
}
