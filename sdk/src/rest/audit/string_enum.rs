//! The enumerations of audit records: actions, outcomes and channels.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many characters of a refused text an error shows.
const MAX_SHOWN_CHARS: usize = 100;

/// One row per value, so that records, filters and documentation use the same strings.
macro_rules! string_enum {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value as a string.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        /// Ignores the case of ASCII letters.
        impl FromStr for $name {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                let is_same = |value: &&Self| value.as_str().eq_ignore_ascii_case(text);
                let known = || Self::ALL.iter().map(|value| value.as_str());
                Self::ALL.iter().find(is_same).copied().ok_or_else(|| UnknownValue::new(text, known()))
            }
        }
    };
}

/// A string is none of the known values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of: {known}")]
pub struct UnknownValue {
    text: String,
    known: String,
}

impl UnknownValue {
    pub(super) fn new(text: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<&str> = known.collect();
        Self { text: text.chars().take(MAX_SHOWN_CHARS).collect(), known: known.join(", ") }
    }
}

string_enum! {
    /// What was requested or done.
    Action {
        /// Create a resource, requested from the API server.
        Create,
        /// Update a resource, requested from the API server.
        Update,
        /// Delete a resource, requested from the API server.
        Delete,
        /// Activate an approved spec.
        TakeEffect,
        /// Activate a spec that needs approval without approval.
        BreakGlass,
        /// Reject a pending change.
        RejectChange,
        /// Create a Kafka topic.
        CreateTopic,
        /// Add partitions to a Kafka topic.
        AddPartitions,
        /// Change the configuration of a Kafka topic.
        AlterConfig,
        /// Delete a Kafka topic.
        DeleteTopic,
        /// Grant access to a Kafka topic.
        CreateAcls,
        /// Revoke access to a Kafka topic.
        DeleteAcls,
        /// Register a revision of a schema.
        RegisterSchema,
        /// Add the operator's finalizer to a resource.
        AddFinalizer,
        /// Remove the operator's finalizer from a resource.
        RemoveFinalizer,
        /// Store the ControllerRevision of an active spec.
        KeepRevision,
        /// Delete the ControllerRevision of a spec that is no longer active.
        ForgetRevision,
        /// Create or change the CronJob of a ScheduledTask.
        ApplyCronJob,
        /// Delete the CronJob of a ScheduledTask.
        DeleteCronJob,
        /// Run a ScheduledTask by hand.
        TriggerRun,
        /// Cancel a run of a ScheduledTask.
        CancelRun,
        /// A run of a ScheduledTask ended.
        EndRun,
        /// Read the log of a run.
        ReadRunLog,
        /// Issue or renew a certificate, or update the CA bundles of the API server's configurations.
        RenewCertificate,
        /// Create a signing key.
        MakeKey,
        /// Become the leader.
        Lead,
        /// Release leadership.
        StopLeading,
        /// Refuse a request that is not authenticated or not authorized.
        RefuseLogin,
        /// Read the audit log.
        ReadAudit,
        /// Export the audit log.
        ExportAudit,
        /// Delete records older than the retention.
        DropRecords,
    }
}

string_enum! {
    /// The outcome of an action.
    Outcome {
        /// The request was allowed; other admission controllers may still have refused it.
        Allowed,
        /// The request was refused.
        Denied,
        /// The action is about to be done. Another record that `completes` this one has the outcome; if there is none, the
        /// process stopped in between.
        Started,
        /// The action was done.
        Succeeded,
        /// The action failed.
        Failed,
    }
}

string_enum! {
    /// The channel through which an actor acted.
    Via {
        /// A request to the Kubernetes API server.
        Admission,
        /// The operator itself, reconciling a resource.
        Controllers,
        /// A request to the REST API.
        Api,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_parsed_as_they_are_written() {
        fn check<T>(all: &[T], render: fn(T) -> &'static str)
        where
            T: FromStr<Err = UnknownValue> + Copy + PartialEq + fmt::Debug + fmt::Display,
        {
            for one in all {
                for text in [render(*one).to_owned(), one.to_string(), render(*one).to_lowercase()] {
                    assert_eq!(text.parse::<T>().as_ref(), Ok(one));
                }
            }
            assert!("".parse::<T>().is_err());
        }
        check(Action::ALL, Action::as_str);
        check(Outcome::ALL, Outcome::as_str);
        check(Via::ALL, Via::as_str);
        let error = "no\u{1b}".parse::<Outcome>().expect_err("no outcome");
        assert_eq!(
            error.to_string(),
            r#""no\u{1b}" is none of: Allowed, Denied, Started, Succeeded, Failed"#
        );
        let values: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(
            values.join(" "),
            "Create Update Delete TakeEffect BreakGlass RejectChange CreateTopic AddPartitions AlterConfig DeleteTopic \
             CreateAcls DeleteAcls RegisterSchema AddFinalizer RemoveFinalizer KeepRevision ForgetRevision \
             ApplyCronJob DeleteCronJob TriggerRun CancelRun EndRun ReadRunLog RenewCertificate MakeKey Lead StopLeading RefuseLogin ReadAudit ExportAudit DropRecords"
        );
        for outcome in Outcome::ALL {
            assert_eq!(json!(outcome), json!(outcome.as_str()), "the same string in JSON");
        }
    }
}
