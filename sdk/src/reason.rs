//! The reasons of states and errors.
//!
//! A [`Reason`] is the same word everywhere: as the reason of a condition or an Event, the code of a REST response, the prefix
//! of the webhook's messages, the label of a metric and the reason in an audit record.
//!
//! Reasons of states that are no failures (`Available`, `Paused`, …) are in the same enum, because a condition has one field
//! for both. [`Reason::class`] distinguishes them.
//!
//! Deliberately absent: free text. Details (the field, Kafka's own message) belong into the message beside the reason.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::invalid::Invalid;

/// The kind of state that a [`Reason`] belongs to. It determines the conditions beside `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonClass {
    /// The resource is in the declared state, or a user chose not to reconcile it.
    Steady,
    /// In progress, or waiting for another object or user: `Reconciling=True`.
    Waiting,
    /// Refused until the spec or what it refers to changes: `Stalled=True`.
    Refused,
    /// Failed for a cause outside of the spec, and retried: `Reconciling=True`.
    Failed,
}

/// One row for each reason, so that a new reason must have all properties.
macro_rules! reasons {
    ($($variant:ident $code:literal $class:ident http $http:literal rest $rest:literal retry $retry:literal $doc:literal)*) => {
        /// The reason of a state or an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $doc] $variant,)*
        }

        impl Reason {
            /// All reasons, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in CamelCase, as in conditions, Events, metrics and audit records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The word in upper case, as in the error `code` of the internal API.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The kind of state that the reason belongs to.
            #[must_use]
            pub const fn class(self) -> ReasonClass {
                match self { $(Self::$variant => ReasonClass::$class,)* }
            }

            /// The status of an HTTP response with this reason.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }

            /// The `code` in `{code, message, data}` of the REST API: 0, 40001, 40301, 40401 or 50001.
            #[must_use]
            pub const fn rest_code(self) -> u32 {
                match self { $(Self::$variant => $rest,)* }
            }

            /// Whether retrying the same request can succeed.
            ///
            /// False if an object must change first: a watch then triggers the next reconcile.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// The meaning of the reason, in one sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

// Codes are those of the service interaction standard where it has one (`INVALID_REQUEST`, `INTERNAL_ERROR`,
// `QUEUE_UNAVAILABLE`, `TENANT_*`). 40301 and 403 mean that the *caller* is not allowed to do something. If Kafka refuses
// the operator, that is a failure of the server.
reasons! {
    Available "AVAILABLE" Steady http 200 rest 0 retry false
        "The declared state is reached."
    Paused "PAUSED" Steady http 200 rest 0 retry false
        "The resource is paused; nothing is changed until it is resumed."
    Unmanaged "UNMANAGED" Steady http 200 rest 0 retry false
        "The resource is observed; nothing is changed or deleted for it."
    Drifted "DRIFTED" Steady http 200 rest 0 retry false
        "Kafka differs from the spec, and the resource declares that drift is reported and not corrected."
    Suspended "SUSPENDED" Steady http 200 rest 0 retry false
        "The schedule of the task is suspended; it can be triggered by hand."
    RunSucceeded "RUN_SUCCEEDED" Steady http 200 rest 0 retry false
        "The last run of the task succeeded."
    RunFailed "RUN_FAILED" Failed http 502 rest 50001 retry true
        "The last run of the task failed, timed out or was not started in time."
    QuotaNearlyReached "QUOTA_NEARLY_REACHED" Steady http 200 rest 0 retry false
        "The tenant uses at least four fifths of one of its quotas."
    Progressing "PROGRESSING" Waiting http 202 rest 0 retry false
        "The resource is being reconciled with its spec."
    Deleting "DELETING" Waiting http 202 rest 0 retry false
        "The resource is being deleted, and its objects in Kafka are being cleaned up."
    AwaitingApproval "AWAITING_APPROVAL" Waiting http 403 rest 40301 retry false
        "The change needs the approval of another user before it takes effect."
    ChangeRejected "CHANGE_REJECTED" Refused http 403 rest 40301 retry false
        "An approver rejected the change; it is on hold until the spec changes."
    ApprovalNotAllowed "APPROVAL_NOT_ALLOWED" Refused http 403 rest 40301 retry false
        "The user may not decide on the change: it is their own, or the approval rules name others."
    ApprovalOutdated "APPROVAL_OUTDATED" Refused http 409 rest 40001 retry false
        "The decision is about a spec that the resource no longer declares."
    ClusterNotFound "CLUSTER_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "There is no KafkaCluster of this name, or the resource names none and there is no default."
    SecretNotFound "SECRET_NOT_FOUND" Waiting http 404 rest 40401 retry true
        "A Secret that the resource refers to, or a key in it, does not exist."
    SchemaNotFound "SCHEMA_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "The ConfigMap with a schema, its label, or the key in it is missing."
    TemplateNotFound "TEMPLATE_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "There is no TaskTemplate of this name in the namespace, or it is pending approval."
    TopicNotFound "TOPIC_NOT_FOUND" Waiting http 404 rest 40401 retry false
        "There is no EventTopic of this name in the namespace, or it has no Kafka topic yet."
    TenantNotFound "TENANT_NOT_FOUND" Refused http 404 rest 40401 retry false
        "No tenant owns this namespace, or there is no tenant of this name."
    TenantSuspended "TENANT_SUSPENDED" Refused http 403 rest 40301 retry false
        "The tenant is suspended: existing resources keep working, new ones are refused."
    TenantQuotaExceeded "TENANT_QUOTA_EXCEEDED" Refused http 403 rest 40301 retry false
        "The change would exceed a quota of the tenant."
    ClusterNotAllowed "CLUSTER_NOT_ALLOWED" Refused http 403 rest 40301 retry false
        "The tenant may not use this KafkaCluster."
    HostNotAllowed "HOST_NOT_ALLOWED" Refused http 403 rest 40301 retry false
        "The tenant may not send requests to this host or address."
    ResourceConflict "RESOURCE_CONFLICT" Refused http 409 rest 40001 retry false
        "An older resource already declares the same object."
    ResourceInUse "RESOURCE_IN_USE" Refused http 409 rest 40001 retry false
        "Other resources still need this one, so it cannot be deleted or withdrawn."
    SchemaInvalid "SCHEMA_INVALID" Refused http 422 rest 40001 retry false
        "Events cannot be validated with the schema: it is malformed, too large, or refers to other documents."
    SchemaIncompatible "SCHEMA_INCOMPATIBLE" Refused http 409 rest 40001 retry false
        "A new revision of a schema is incompatible with the registered revisions."
    NotSupported "NOT_SUPPORTED" Refused http 422 rest 40001 retry false
        "The change is impossible for an existing object, such as fewer partitions or another name."
    InvalidResource "INVALID_REQUEST" Refused http 400 rest 40001 retry false
        "A field breaks a rule; the message names the field, the rule and the remedy."
    Unauthenticated "UNAUTHORIZED" Refused http 401 rest 40301 retry false
        "The request has no token, or Kubernetes does not accept it."
    Forbidden "FORBIDDEN" Refused http 403 rest 40301 retry false
        "The user is not authorized to see or do this; a role is missing."
    NotFound "NOT_FOUND" Refused http 404 rest 40401 retry false
        "There is no object of this name, or the user may not see it."
    TooManyRequests "RATE_LIMITED" Failed http 429 rest 40301 retry true
        "The caller has exceeded the rate limit."
    AuditInconsistent "AUDIT_INCONSISTENT" Refused http 409 rest 40001 retry false
        "The audit log differs from its signed checkpoints: it was changed, or replaced by an older copy."
    AuditUnavailable "AUDIT_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "The audit log is unavailable, and no change is made without a record."
    ClusterUnavailable "CLUSTER_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "The KafkaCluster exists, but the operator is not connected to it."
    StoreUnavailable "STORE_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "The database is unavailable; runs are planned again as soon as it answers."
    KafkaUnavailable "QUEUE_UNAVAILABLE" Failed http 503 rest 50001 retry true
        "Kafka did not answer in time, or answered that it is temporarily unavailable."
    KafkaError "KAFKA_ERROR" Failed http 502 rest 50001 retry true
        "Kafka refused the request; the message has Kafka's error text."
    NotAuthorized "NOT_AUTHORIZED" Failed http 502 rest 50001 retry true
        "Kafka does not authorize the operator's user; an ACL is missing."
    AuthenticationFailed "AUTHENTICATION_FAILED" Failed http 502 rest 50001 retry true
        "Kafka refused the operator's credentials or certificate."
    AuthorizerMissing "AUTHORIZER_MISSING" Failed http 502 rest 50001 retry true
        "Kafka has no authorizer, so it does not enforce access to topics."
    Internal "INTERNAL_ERROR" Failed http 500 rest 50001 retry true
        "An internal error; the server's log has the details under the id of the request."
}

impl Reason {
    /// Whether the reason is an error: [`rest_code`](Self::rest_code) is not 0.
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
                "is not a reason",
                "use a word such as `TenantNotFound`, in CamelCase",
            )
        })
    }
}

impl Invalid {
    /// Always [`Reason::InvalidResource`].
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::InvalidResource
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

    /// Stricter than Kubernetes (`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`): CamelCase, letters only.
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
    fn words_round_trip() {
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
    fn classes_agree_with_the_responses() {
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
    fn codes_are_those_of_the_standard() {
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
