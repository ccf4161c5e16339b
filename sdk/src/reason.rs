//! The one vocabulary of failure.
//!
//! Every place that says why something is as it is says it with a [`Reason`]: the reason of a condition, the code of a
//! REST answer, the message of the webhook, the label of a metric, the outcome of an audit record. A person who met a
//! word in one of them can search for it in all others.
//!
//! The words for a state that is no failure (`Available`, `Paused`, …) are in the same enum: a condition's reason is
//! one field, and two enums for one field would have to be joined again at every place that writes it.
//! [`Reason::class`] keeps them apart.
//!
//! Deliberately absent: free text. What exactly happened (which field, Kafka's own words) belongs into the message
//! beside the reason, never into a new word.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::invalid::Invalid;

/// What a [`Reason`] means for whoever has to act, and so which conditions stand beside `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonClass {
    /// Nothing is to be done: the state is the wanted one, or was chosen.
    Steady,
    /// Work goes on, or something that was asked for elsewhere has to come first: `Reconciling=True`.
    Waiting,
    /// What was declared will not be done as long as it stays like this: `Stalled=True`.
    Refused,
    /// An attempt failed for a cause outside of what was declared; it will be made again: `Reconciling=True`.
    Failed,
}

/// One row a reason, so that a new one cannot be added without answering every question.
macro_rules! reasons {
    ($($variant:ident $code:literal $class:ident http $http:literal rest $rest:literal retry $retry:literal $doc:literal)*) => {
        /// Why something is as it is: closed, and the same word everywhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $doc] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in CamelCase, as it stands in conditions, Events, metrics and audit records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The word in upper case, as the internal API's error `code`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means for whoever has to act.
            #[must_use]
            pub const fn class(self) -> ReasonClass {
                match self { $(Self::$variant => ReasonClass::$class,)* }
            }

            /// The status of an HTTP answer whose outcome this is.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }

            /// The number in `{code, message, data}` of the public API: 0, 40001, 40301, 40401 or 50001.
            #[must_use]
            pub const fn rest_code(self) -> u32 {
                match self { $(Self::$variant => $rest,)* }
            }

            /// Whether the same attempt is worth making again after a while.
            ///
            /// True where the cause lies outside of what was asked and nobody will say when it is gone. False where a
            /// change is needed first; the change itself then wakes whoever waits for it.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// The reason in one sentence, for a reader who meets the word for the first time.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

// Codes are the names of the service interaction standard where it has one (`INVALID_REQUEST`, `INTERNAL_ERROR`,
// `QUEUE_UNAVAILABLE`, `TENANT_*`). 40301 and 403 are for what the *caller* may not do; Kafka refusing the operator is
// no fault of the caller and answers like any other failure behind us.
reasons! {
    Available "AVAILABLE" Steady http 200 rest 0 retry false
        "What was declared is in place."
    Paused "PAUSED" Steady http 200 rest 0 retry false
        "Someone paused the resource; nothing is changed until that is taken back."
    Unmanaged "UNMANAGED" Steady http 200 rest 0 retry false
        "The resource is watched but nothing is changed or deleted on its behalf."
    Drifted "DRIFTED" Steady http 200 rest 0 retry false
        "What exists differs from what was declared, and the resource asks to report that rather than to put it back."
    QuotaNearlyReached "QUOTA_NEARLY_REACHED" Steady http 200 rest 0 retry false
        "The tenant has used at least four fifths of one of its quotas."
    Progressing "PROGRESSING" Waiting http 202 rest 0 retry false
        "What was declared is being put in place."
    Deleting "DELETING" Waiting http 202 rest 0 retry false
        "The resource is being deleted and what it made is being cleaned up."
    AwaitingApproval "AWAITING_APPROVAL" Waiting http 403 rest 40301 retry false
        "The change needs the approval of another person before it takes effect."
    ChangeRejected "CHANGE_REJECTED" Refused http 403 rest 40301 retry false
        "An approver has rejected the change; it is held until it becomes another one."
    ApprovalNotAllowed "APPROVAL_NOT_ALLOWED" Refused http 403 rest 40301 retry false
        "This user may not decide on this change: it is their own, or the rules name others."
    ApprovalOutdated "APPROVAL_OUTDATED" Refused http 409 rest 40001 retry false
        "What was decided on is not what the resource declares now."
    ClusterNotFound "CLUSTER_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "There is no KafkaCluster of this name, or none was named and there is no default."
    SecretNotFound "SECRET_NOT_FOUND" Waiting http 404 rest 40401 retry true
        "A Secret, or a key in it, that the resource refers to does not exist."
    SchemaNotFound "SCHEMA_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "The ConfigMap that holds a schema, its label, or the key in it is missing."
    TenantNotFound "TENANT_NOT_FOUND" Refused http 404 rest 40401 retry false
        "No tenant owns this namespace, or there is no tenant of this name."
    TenantSuspended "TENANT_SUSPENDED" Refused http 403 rest 40301 retry false
        "The tenant is suspended: what it has keeps working, nothing new is accepted."
    TenantQuotaExceeded "TENANT_QUOTA_EXCEEDED" Refused http 403 rest 40301 retry false
        "The change would take the tenant above one of its quotas."
    ClusterNotAllowed "CLUSTER_NOT_ALLOWED" Refused http 403 rest 40301 retry false
        "The tenant may not use this KafkaCluster."
    ResourceConflict "RESOURCE_CONFLICT" Refused http 409 rest 40001 retry false
        "An older resource already owns what this one declares."
    ResourceInUse "RESOURCE_IN_USE" Refused http 409 rest 40001 retry false
        "Other resources still need this one, so it cannot be deleted or taken back."
    SchemaInvalid "SCHEMA_INVALID" Refused http 422 rest 40001 retry false
        "A schema is not one that events can be checked with: malformed, too large, or not complete in itself."
    SchemaIncompatible "SCHEMA_INCOMPATIBLE" Refused http 409 rest 40001 retry false
        "A new revision of a schema breaks those who use the registered ones."
    NotSupported "NOT_SUPPORTED" Refused http 422 rest 40001 retry false
        "The change is understood but cannot be made to what exists, such as fewer partitions or another name."
    InvalidResource "INVALID_REQUEST" Refused http 400 rest 40001 retry false
        "A field breaks a rule; the message names the field, the rule and the remedy."
    Unauthenticated "UNAUTHORIZED" Refused http 401 rest 40301 retry false
        "Nobody knows who asks: there is no token, or Kubernetes does not accept it."
    Forbidden "FORBIDDEN" Refused http 403 rest 40301 retry false
        "Whoever asks has no right to see or do this; a role is missing."
    NotFound "NOT_FOUND" Refused http 404 rest 40401 retry false
        "There is nothing of this name, or not for whoever asks."
    TooManyRequests "RATE_LIMITED" Failed http 429 rest 40301 retry true
        "Whoever asks has asked too often just now."
    AuditInconsistent "AUDIT_INCONSISTENT" Refused http 409 rest 40001 retry false
        "The audit log is not what was signed before: somebody has changed it or put an older copy back."
    AuditUnavailable "AUDIT_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "The audit log cannot be written or read just now, and nothing is done without it."
    ClusterUnavailable "CLUSTER_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "The KafkaCluster exists, but the operator is not connected to it."
    KafkaUnavailable "QUEUE_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "Kafka did not answer in time, or answered that it cannot serve just now."
    KafkaError "KAFKA_ERROR" Failed http 502 rest 50001 retry true
        "Kafka refused the request; the message has Kafka's own text."
    NotAuthorized "NOT_AUTHORIZED" Failed http 502 rest 50001 retry true
        "Kafka does not allow the operator's user to do this; an ACL is missing."
    AuthenticationFailed "AUTHENTICATION_FAILED" Failed http 502 rest 50001 retry true
        "Kafka did not accept the operator's credentials or certificate."
    AuthorizerMissing "AUTHORIZER_MISSING" Failed http 502 rest 50001 retry true
        "Kafka has no authorizer, so it does not enforce who may use a topic."
    Internal "INTERNAL_ERROR" Failed http 500 rest 50001 retry true
        "Something went wrong inside the platform; the log has the details under the request's id."
}

impl Reason {
    /// Whether this says that something is wrong, or held, rather than that things are as they should be.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        self.rest_code() != 0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or_else(|| {
            Invalid::new(
                "reason",
                text,
                "is not one of the reasons",
                "use a word such as `TenantNotFound`, in CamelCase",
            )
        })
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Kubernetes: `^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`, and ours is stricter: CamelCase, letters only.
    fn is_camel_case(word: &str) -> bool {
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphabetic())
    }

    fn is_screaming_snake(word: &str) -> bool {
        word.split('_').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase()))
    }

    #[test]
    fn every_word_is_legal_and_unique() {
        for reason in Reason::ALL {
            assert!(is_camel_case(reason.as_str()), "{reason}");
            assert!(is_screaming_snake(reason.code()), "{reason}: {}", reason.code());
        }
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!((words.len(), codes.len()), (Reason::ALL.len(), Reason::ALL.len()));
    }

    #[test]
    fn every_word_reads_back() {
        for &reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{reason}\""));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        for text in ["", "available", "TENANT_NOT_FOUND", "Available ", "Nonsense"] {
            assert!(text.parse::<Reason>().is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<Reason>("7").is_err());
    }

    #[test]
    fn numbers_follow_the_http_status() {
        for &reason in Reason::ALL {
            let expected = match reason.http_status() {
                200 | 202 => 0,
                401 | 403 | 429 => 40301,
                404 => 40401,
                400 | 409 | 422 => 40001,
                500 | 502 | 503 => 50001,
                other => panic!("{reason}: {other} has no number"),
            };
            assert_eq!(reason.rest_code(), expected, "{reason}");
        }
    }

    #[test]
    fn classes_agree_with_the_answers() {
        for &reason in Reason::ALL {
            match reason.class() {
                ReasonClass::Steady => assert!(!reason.is_failure() && !reason.retryable(), "{reason}"),
                ReasonClass::Waiting => assert!(reason.http_status() < 500, "{reason}"),
                ReasonClass::Refused => {
                    assert!(reason.is_failure() && !reason.retryable(), "{reason}");
                    assert!((400..500).contains(&reason.http_status()), "{reason}");
                }
                ReasonClass::Failed => {
                    assert!(reason.is_failure() && reason.retryable(), "{reason}");
                    assert!(reason.http_status() == 429 || reason.http_status() >= 500, "{reason}");
                }
            }
        }
    }

    #[test]
    fn codes_of_the_standard_are_kept() {
        for (reason, code) in [
            (Reason::TenantNotFound, "TENANT_NOT_FOUND"),
            (Reason::TenantSuspended, "TENANT_SUSPENDED"),
            (Reason::TenantQuotaExceeded, "TENANT_QUOTA_EXCEEDED"),
            (Reason::InvalidResource, "INVALID_REQUEST"),
            (Reason::KafkaUnavailable, "QUEUE_UNAVAILABLE"),
            (Reason::Internal, "INTERNAL_ERROR"),
        ] {
            assert_eq!(reason.code(), code);
        }
    }

    #[test]
    fn descriptions_are_one_sentence() {
        for reason in Reason::ALL {
            let text = reason.description();
            assert!(text.ends_with('.') && !text.trim_end_matches('.').contains(". "), "{reason}: {text}");
        }
    }
}
