//! What can go wrong in Kafka, in the product's words.

use eventcenter_kafka_admin::{BrokerError, ErrorCode, NewClientError, RequestError};
use eventcenter_sdk::Reason;

use crate::domain::Refusal;

/// An operation on Kafka that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Kafka answered that this topic's operation failed.
    #[error("{operation}: {source}")]
    Topic {
        /// Kafka's name of the request.
        operation: &'static str,
        /// Kafka's own words.
        source: BrokerError,
    },
    /// The request as a whole has no answer, so nothing is known about its topics.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The connection was replaced while the operation waited, because the cluster's settings changed.
    #[error("the connection to Kafka was closed because its settings changed")]
    Closed,
    /// Kafka has accepted a topic and does not show it yet.
    #[error("Kafka has accepted the topic and does not show it yet")]
    NotShown,
    /// The settings cannot be used.
    #[error("the connection to Kafka cannot be made: {0}")]
    Settings(String),
}

impl From<NewClientError> for Error {
    fn from(error: NewClientError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl Error {
    /// The one word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Topic { source, .. } if source.code() == ErrorCode::SECURITY_DISABLED => {
                Reason::AuthorizerMissing
            }
            Self::Topic { source, .. } if source.is_authorization() => Reason::NotAuthorized,
            Self::Topic { source, .. } if source.is_retriable() => Reason::KafkaUnavailable,
            Self::Topic { .. } => Reason::KafkaError,
            Self::Request(error) => request_reason(error),
            Self::Closed => Reason::ClusterUnavailable,
            Self::NotShown => Reason::Progressing,
            Self::Settings(_) => Reason::InvalidResource,
        }
    }

    /// Whether somebody has to change something before it can succeed: the declaration, an ACL,
    /// the cluster's configuration.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        matches!(
            self.reason(),
            Reason::KafkaError
                | Reason::NotAuthorized
                | Reason::AuthenticationFailed
                | Reason::InvalidResource
        )
    }

    /// Whether the brokers delete no topics at all. In the version of the request that librdkafka
    /// speaks they have no code of its own for that and say that the request is invalid.
    fn is_deletion_disabled(&self) -> bool {
        let codes = [ErrorCode::TOPIC_DELETION_DISABLED, ErrorCode::INVALID_REQUEST];
        matches!(self, Self::Topic { operation: "DeleteTopics", source } if codes.contains(&source.code()))
    }

    /// Whether a right on the cluster itself is missing, as ACLs need it.
    fn is_about_the_cluster(&self) -> bool {
        let code = match self {
            Self::Topic { source, .. } => source.code(),
            Self::Request(RequestError::Failed { code, .. }) => *code,
            _ => return false,
        };
        code == ErrorCode::CLUSTER_AUTHORIZATION_FAILED
    }

    /// For a condition: Kafka's own words and, where we know one, the remedy.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let remedy = match self.reason() {
            Reason::NotAuthorized if self.is_about_the_cluster() => {
                ". Allow the operator's user Alter on the cluster with an ACL (see the rights it needs in ARCHITECTURE.md)"
            }
            Reason::NotAuthorized => {
                ". Allow it to the operator's user with an ACL (see the rights it needs in ARCHITECTURE.md)"
            }
            Reason::AuthenticationFailed => {
                ". Check the credentials in the Secret that the KafkaCluster names"
            }
            _ if self.is_deletion_disabled() => {
                ". That is what brokers say whose delete.topic.enable is false: set it to true there"
            }
            _ => "",
        };
        let said = self.to_string();
        let said = if remedy.is_empty() { &said } else { said.trim_end_matches('.') };
        Refusal::new(self.reason(), format!("{said}{remedy}"))
    }
}

fn request_reason(error: &RequestError) -> Reason {
    let authentication = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("authentication") || text.contains("sasl") || text.contains("ssl handshake")
    };
    match error {
        RequestError::Timeout { cause: Some(cause), .. }
        | RequestError::Failed { cause: Some(cause), .. }
            if authentication(cause) =>
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
        RequestError::Closed { .. } => Reason::ClusterUnavailable,
        RequestError::InvalidInput { .. } => Reason::KafkaError,
        _ => Reason::KafkaUnavailable,
    }
}
