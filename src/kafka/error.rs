//! The errors of Kafka operations, with their reasons.

use eventcenter_kafka_admin::{BrokerError, ErrorCode, NewClientError, RequestError};
use eventcenter_sdk::Reason;

use crate::domain::{Failure, Refusal};

/// The error of an operation on Kafka.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The broker refused the operation.
    #[error("{operation}: {source}")]
    Broker {
        /// Kafka's name of the request.
        operation: &'static str,
        /// The broker's error, with Kafka's own text.
        source: BrokerError,
    },
    /// The whole request failed, so the results of its operations are unknown.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The connection was replaced while the operation was pending, because the cluster's settings changed.
    #[error("the connection to Kafka was closed because its settings changed")]
    Closed,
    /// Kafka has created the topic, but the brokers do not list it yet.
    #[error("Kafka has created the topic, but its brokers do not list it yet")]
    NotVisible,
    /// The settings are invalid.
    #[error("invalid Kafka connection settings: {0}")]
    Settings(String),
}

impl From<NewClientError> for Error {
    fn from(error: NewClientError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl Error {
    /// The reason for conditions, Events and metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Broker { source, .. } if source.code() == ErrorCode::SECURITY_DISABLED => {
                Reason::AuthorizerMissing
            }
            Self::Broker { source, .. } if source.is_authorization() => Reason::NotAuthorized,
            Self::Broker { source, .. } if source.is_retriable() => Reason::KafkaUnavailable,
            Self::Broker { .. } => Reason::KafkaError,
            Self::Request(error) => request_reason(error),
            Self::Closed => Reason::ClusterUnavailable,
            Self::NotVisible => Reason::Progressing,
            Self::Settings(_) => Reason::InvalidResource,
        }
    }

    /// Whether the operation can succeed only after a change by a user: of the declaration, an ACL or the cluster's
    /// configuration.
    fn is_stalled(&self) -> bool {
        matches!(
            self.reason(),
            Reason::KafkaError
                | Reason::NotAuthorized
                | Reason::AuthenticationFailed
                | Reason::InvalidResource
        )
    }

    /// Whether the topic does not exist.
    pub(super) fn is_unknown_topic(&self) -> bool {
        matches!(self, Self::Broker { source, .. } if source.is_unknown_topic())
    }

    /// Whether the topic already exists.
    pub(super) fn is_topic_already_exists(&self) -> bool {
        matches!(self, Self::Broker { source, .. } if source.is_topic_already_exists())
    }

    /// Whether `delete.topic.enable` is false. In the version of DeleteTopics that librdkafka uses, brokers return
    /// `INVALID_REQUEST` for it.
    fn is_deletion_disabled(&self) -> bool {
        let codes = [ErrorCode::TOPIC_DELETION_DISABLED, ErrorCode::INVALID_REQUEST];
        matches!(self, Self::Broker { operation: "DeleteTopics", source } if codes.contains(&source.code()))
    }

    /// Whether the authorization on the cluster resource is missing, which requests about ACLs need.
    fn is_cluster_authorization(&self) -> bool {
        let code = match self {
            Self::Broker { source, .. } => source.code(),
            Self::Request(RequestError::Failed { code, .. }) => *code,
            _ => return false,
        };
        code == ErrorCode::CLUSTER_AUTHORIZATION_FAILED
    }

    /// The failure to report.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure { refusal: self.refusal(), is_stalled: self.is_stalled() }
    }

    /// The refusal for a condition: Kafka's own text and, if known, the remedy.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let remedy = match self.reason() {
            Reason::NotAuthorized if self.is_cluster_authorization() => {
                ". Grant the operator's user Alter on the cluster with an ACL (docs/security.md lists the required ACLs)"
            }
            Reason::NotAuthorized => {
                ". Grant the operator's user this operation with an ACL (docs/security.md lists the required ACLs)"
            }
            Reason::AuthenticationFailed => ". Check the credentials in the Secret of the KafkaCluster",
            _ if self.is_deletion_disabled() => {
                ". Brokers return this error if their delete.topic.enable is false: set it to true"
            }
            _ => "",
        };
        let text = self.to_string();
        let text = if remedy.is_empty() { &text } else { text.trim_end_matches('.') };
        Refusal::new(self.reason(), format!("{text}{remedy}"))
    }
}

/// The errors of a message that Kafka refuses because of the message itself.
const REFUSED_MESSAGES: [ErrorCode; 3] =
    [ErrorCode::LOCAL_UNKNOWN_TOPIC, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::MESSAGE_TOO_LARGE];

fn request_reason(error: &RequestError) -> Reason {
    let is_authentication = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("authentication") || text.contains("sasl") || text.contains("ssl handshake")
    };
    match error {
        RequestError::Timeout { cause: Some(cause), .. }
        | RequestError::Failed { cause: Some(cause), .. }
            if is_authentication(cause) =>
        {
            Reason::AuthenticationFailed
        }
        RequestError::Failed { code, .. } if *code == ErrorCode::AUTHENTICATION => {
            Reason::AuthenticationFailed
        }
        RequestError::Failed { code, .. } if *code == ErrorCode::SECURITY_DISABLED => {
            Reason::AuthorizerMissing
        }
        RequestError::Failed { code, .. } if code.is_authorization() => Reason::NotAuthorized,
        RequestError::Failed { code, .. } if REFUSED_MESSAGES.contains(code) => Reason::KafkaError,
        RequestError::Closed { .. } => Reason::ClusterUnavailable,
        RequestError::InvalidInput { .. } => Reason::KafkaError,
        _ => Reason::KafkaUnavailable,
    }
}
