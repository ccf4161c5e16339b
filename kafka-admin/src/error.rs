//! The errors of three levels: creating the client, a whole request, one item of a request.

use std::fmt;
use std::time::Duration;

use crate::sys::{self, rd};

/// An error code: positive codes are the Kafka protocol's, negative ones are librdkafka's own.
///
/// Every code can be represented, including those newer than this crate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// librdkafka: the response is malformed or incomplete.
    pub const BAD_MESSAGE: Self = Self(-199);
    /// librdkafka: the client was closed.
    pub const DESTROYED: Self = Self(-197);
    /// librdkafka: the connection failed.
    pub const TRANSPORT: Self = Self(-195);
    /// librdkafka: the system is out of threads or memory.
    pub const SYSTEM_RESOURCE: Self = Self(-194);
    /// librdkafka: the host name could not be resolved.
    pub const RESOLVE: Self = Self(-193);
    /// librdkafka: the topic of a message does not exist, or the caller may not describe it.
    pub const LOCAL_UNKNOWN_TOPIC: Self = Self(-188);
    /// librdkafka: no broker is reachable.
    pub const ALL_BROKERS_DOWN: Self = Self(-187);
    /// librdkafka: an invalid argument.
    pub const INVALID_ARGUMENT: Self = Self(-186);
    /// librdkafka: no response within the timeout.
    pub const TIMED_OUT: Self = Self(-185);
    /// librdkafka: TLS failed.
    pub const SSL: Self = Self(-181);
    /// librdkafka: SASL authentication failed.
    pub const AUTHENTICATION: Self = Self(-169);
    /// librdkafka: there is no such offset in the partition, and `auto.offset.reset` is `error`.
    pub const AUTO_OFFSET_RESET: Self = Self(-140);
    /// There is no such offset in the partition.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);
    /// librdkafka: the request waited too long in the client's own queue.
    pub const TIMED_OUT_QUEUE: Self = Self(-166);
    /// The topic does not exist, or the caller may not describe it.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// There is no leader, usually during an election.
    pub const LEADER_NOT_AVAILABLE: Self = Self(5);
    /// The broker that received the request is not the leader.
    pub const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    /// The message is larger than the topic allows.
    pub const MESSAGE_TOO_LARGE: Self = Self(10);
    /// The broker did not finish within the operation timeout; it may still make the change.
    pub const REQUEST_TIMED_OUT: Self = Self(7);
    /// The connection ended before the response.
    pub const NETWORK_EXCEPTION: Self = Self(13);
    /// The topic's name is invalid.
    pub const INVALID_TOPIC: Self = Self(17);
    /// The caller is not authorized for this operation on the topic.
    pub const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    /// The caller is not authorized for this operation on the group.
    pub const GROUP_AUTHORIZATION_FAILED: Self = Self(30);
    /// The caller is not authorized for this operation on the cluster.
    pub const CLUSTER_AUTHORIZATION_FAILED: Self = Self(31);
    /// A topic with this name, or with a name that collides with it, exists.
    pub const TOPIC_ALREADY_EXISTS: Self = Self(36);
    /// The number of partitions is invalid.
    pub const INVALID_PARTITIONS: Self = Self(37);
    /// The number of replicas is invalid, or there are not enough brokers.
    pub const INVALID_REPLICATION_FACTOR: Self = Self(38);
    /// A configuration name or value is invalid.
    pub const INVALID_CONFIG: Self = Self(40);
    /// The broker that received the request is not the controller.
    pub const NOT_CONTROLLER: Self = Self(41);
    /// The broker considers the request invalid.
    pub const INVALID_REQUEST: Self = Self(42);
    /// A policy of the cluster (`create.topic.policy.class.name`, …) refused the request.
    pub const POLICY_VIOLATION: Self = Self(44);
    /// The caller is not authorized to use the transactional id.
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Self = Self(53);
    /// The broker's disk failed.
    pub const KAFKA_STORAGE_ERROR: Self = Self(56);
    /// The brokers have no authorizer, so they have no ACLs.
    pub const SECURITY_DISABLED: Self = Self(54);
    /// The caller is not authorized to use the delegation token.
    pub const DELEGATION_TOKEN_AUTHORIZATION_FAILED: Self = Self(65);
    /// `delete.topic.enable` is false.
    pub const TOPIC_DELETION_DISABLED: Self = Self(73);
    /// A partition reassignment of the topic is in progress.
    pub const REASSIGNMENT_IN_PROGRESS: Self = Self(60);
    /// The controller mutation quota is exhausted (KIP-599).
    pub const THROTTLING_QUOTA_EXCEEDED: Self = Self(89);

    pub(crate) fn from_c(code: std::ffi::c_int) -> Self {
        // Kafka's codes are 16 bits on the wire and librdkafka's own are above -200.
        Self(i16::try_from(code).unwrap_or(Self::BAD_MESSAGE.0))
    }

    /// The code's name, for example `TOPIC_ALREADY_EXISTS` or `_TIMED_OUT`; `ERR_133?` if this librdkafka does not know the
    /// code.
    pub fn name(self) -> String {
        // SAFETY: accepts any number; the result is static, or valid until this thread's next call.
        let name = unsafe { sys::rd_kafka_err2name(self.0.into()) };
        // SAFETY: NUL-terminated, and copied before this thread's next call.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    /// librdkafka's general description of the code, for example `Broker: Topic already exists`.
    pub fn description(self) -> String {
        // SAFETY: accepts any number; the result is static, or valid until this thread's next call.
        let description = unsafe { sys::rd_kafka_err2str(self.0.into()) };
        // SAFETY: NUL-terminated, and copied before this thread's next call.
        let description = unsafe { sys::text(description) };
        description.unwrap_or_default().into_owned()
    }

    /// Whether the same request can succeed later without a change of the request or of the cluster's configuration:
    /// elections, a lost connection, timeouts, quotas. `UNKNOWN_TOPIC_OR_PARTITION` is not included, although Kafka's own
    /// clients retry it.
    pub fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::TRANSPORT
                | Self::RESOLVE
                | Self::ALL_BROKERS_DOWN
                | Self::TIMED_OUT
                | Self::TIMED_OUT_QUEUE
                | Self::LEADER_NOT_AVAILABLE
                | Self::NOT_LEADER_OR_FOLLOWER
                | Self::REQUEST_TIMED_OUT
                | Self::NETWORK_EXCEPTION
                | Self::NOT_CONTROLLER
                | Self::KAFKA_STORAGE_ERROR
                | Self::REASSIGNMENT_IN_PROGRESS
                | Self::THROTTLING_QUOTA_EXCEEDED
        )
    }

    /// Whether the caller lacks authorization (an ACL) on any type of resource.
    pub fn is_authorization(self) -> bool {
        matches!(
            self,
            Self::TOPIC_AUTHORIZATION_FAILED
                | Self::GROUP_AUTHORIZATION_FAILED
                | Self::CLUSTER_AUTHORIZATION_FAILED
                | Self::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | Self::DELEGATION_TOKEN_AUTHORIZATION_FAILED
        )
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// The broker's error for one item of a request: one topic, one resource.
///
/// `Display` is Kafka's own text, such as `Topic 'orders' already exists.`, or the code's description where the protocol
/// carries no text (DeleteTopics and Metadata in the versions that librdkafka uses).
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BrokerError {
    code: ErrorCode,
    message: String,
}

impl BrokerError {
    pub(crate) fn new(code: ErrorCode, message: Option<&str>) -> Self {
        let message = match message {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => code.description(),
        };
        Self { code, message }
    }

    /// The error of an item that the broker's response does not contain.
    pub(crate) fn missing_from_response() -> Self {
        Self::new(ErrorCode::BAD_MESSAGE, Some("the broker's response does not contain this item"))
    }

    /// The error code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The code's name, for example `INVALID_CONFIG`.
    pub fn name(&self) -> String {
        self.code.name()
    }

    /// Kafka's text, the same as `Display`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the topic does not exist, or the caller may not describe it.
    pub fn is_unknown_topic(&self) -> bool {
        self.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    }

    /// Whether the topic already exists.
    pub fn is_topic_already_exists(&self) -> bool {
        self.code == ErrorCode::TOPIC_ALREADY_EXISTS
    }

    /// See [`ErrorCode::is_retriable`].
    pub fn is_retriable(&self) -> bool {
        self.code.is_retriable()
    }

    /// See [`ErrorCode::is_authorization`].
    pub fn is_authorization(&self) -> bool {
        self.code.is_authorization()
    }
}

impl fmt::Debug for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerError({:?}: {:?})", self.code, self.message)
    }
}

/// Converts librdkafka's error object; null means success.
///
/// # Safety
/// `error` is null, or points to an error that is alive.
pub(crate) unsafe fn check_error(error: *const rd::rd_kafka_error_t) -> Result<(), BrokerError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null, and the caller guarantees that it is alive.
    let code = unsafe { sys::rd_kafka_error_code(error) };
    // SAFETY: as above.
    let message = unsafe { rd::rd_kafka_error_string(error) };
    // SAFETY: the error owns the text.
    let message = unsafe { sys::text(message) };
    Err(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
}

/// The results of one request's items, in the order of the request.
pub type ItemResults<T = ()> = Vec<Result<T, BrokerError>>;

/// The error of a whole request: the results of its items are unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No response within the timeout. The cluster may have made the change, or may still make it.
    #[error("{operation}: no answer within {timeout:?} ({message}){}", format_cause(.cause))]
    Timeout {
        /// The Kafka operation, for example `CreateTopics`.
        operation: &'static str,
        /// The timeout of the request.
        timeout: Duration,
        /// librdkafka's text: what the request was waiting for.
        message: String,
        /// The last connection or authentication error since the last successful response, if any. With a wrong password, for
        /// example, a request ends with `Timeout` and this is the reason. `None` also if librdkafka reported the error only
        /// after the request had failed.
        cause: Option<String>,
    },
    /// The request failed as a whole: a lost connection, an unsupported feature, a malformed response.
    #[error("{operation}: {message}{}", format_cause(.cause))]
    Failed {
        /// The Kafka operation.
        operation: &'static str,
        /// The error code.
        code: ErrorCode,
        /// librdkafka's text.
        message: String,
        /// As in [`RequestError::Timeout`].
        cause: Option<String>,
    },
    /// The input cannot be sent. Nothing was sent: one invalid item fails the whole batch.
    #[error("{operation}: {item:?}: {reason}")]
    InvalidInput {
        /// The Kafka operation.
        operation: &'static str,
        /// The invalid item, usually the topic's name.
        item: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The client was closed before the response arrived. The cluster may have made the change.
    #[error("{operation}: the Kafka client was closed")]
    Closed {
        /// The Kafka operation.
        operation: &'static str,
    },
}

fn format_cause(cause: &Option<String>) -> String {
    cause.as_ref().map(|cause| format!("; last connection error: {cause}")).unwrap_or_default()
}

impl RequestError {
    /// Whether the same request can succeed later, unchanged.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Failed { code, .. } => code.is_retriable(),
            Self::InvalidInput { .. } | Self::Closed { .. } => false,
        }
    }
}

/// The error of creating a client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewClientError {
    /// librdkafka does not know the property or refuses its value. This crate never adds the value to the text; librdkafka
    /// quotes it only for properties with a fixed set of values, and no secret is one of these.
    #[error("property {name:?}: {message}")]
    Property {
        /// The property's name.
        name: String,
        /// librdkafka's text.
        message: String,
    },
    /// The combination of properties is invalid: a certificate that cannot be read, a missing second property.
    #[error("librdkafka refused the configuration: {0}")]
    Create(String),
    /// The polling thread could not be started.
    #[error("starting the polling thread")]
    Thread(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_codes_have_names() {
        assert_eq!(ErrorCode::TOPIC_ALREADY_EXISTS.name(), "TOPIC_ALREADY_EXISTS");
        assert_eq!(ErrorCode::TIMED_OUT.name(), "_TIMED_OUT");
        assert_eq!(ErrorCode(9_999).name(), "ERR_9999?");
        assert_eq!(ErrorCode::from_c(70_000), ErrorCode::BAD_MESSAGE);
        assert_eq!(format!("{:?}", ErrorCode::INVALID_CONFIG), "INVALID_CONFIG(40)");
    }

    /// The constants are hand-written, so librdkafka's names verify them.
    #[test]
    fn constants_agree_with_librdkafka() {
        for (code, name) in [
            (ErrorCode::BAD_MESSAGE, "_BAD_MSG"),
            (ErrorCode::DESTROYED, "_DESTROY"),
            (ErrorCode::TRANSPORT, "_TRANSPORT"),
            (ErrorCode::SYSTEM_RESOURCE, "_CRIT_SYS_RESOURCE"),
            (ErrorCode::RESOLVE, "_RESOLVE"),
            (ErrorCode::LOCAL_UNKNOWN_TOPIC, "_UNKNOWN_TOPIC"),
            (ErrorCode::ALL_BROKERS_DOWN, "_ALL_BROKERS_DOWN"),
            (ErrorCode::INVALID_ARGUMENT, "_INVALID_ARG"),
            (ErrorCode::SSL, "_SSL"),
            (ErrorCode::AUTHENTICATION, "_AUTHENTICATION"),
            (ErrorCode::TIMED_OUT_QUEUE, "_TIMED_OUT_QUEUE"),
            (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "UNKNOWN_TOPIC_OR_PART"),
            (ErrorCode::MESSAGE_TOO_LARGE, "MSG_SIZE_TOO_LARGE"),
            (ErrorCode::LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE"),
            (ErrorCode::NOT_LEADER_OR_FOLLOWER, "NOT_LEADER_FOR_PARTITION"),
            (ErrorCode::REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT"),
            (ErrorCode::NETWORK_EXCEPTION, "NETWORK_EXCEPTION"),
            (ErrorCode::INVALID_TOPIC, "TOPIC_EXCEPTION"),
            (ErrorCode::TOPIC_AUTHORIZATION_FAILED, "TOPIC_AUTHORIZATION_FAILED"),
            (ErrorCode::GROUP_AUTHORIZATION_FAILED, "GROUP_AUTHORIZATION_FAILED"),
            (ErrorCode::CLUSTER_AUTHORIZATION_FAILED, "CLUSTER_AUTHORIZATION_FAILED"),
            (ErrorCode::INVALID_PARTITIONS, "INVALID_PARTITIONS"),
            (ErrorCode::INVALID_REPLICATION_FACTOR, "INVALID_REPLICATION_FACTOR"),
            (ErrorCode::NOT_CONTROLLER, "NOT_CONTROLLER"),
            (ErrorCode::INVALID_REQUEST, "INVALID_REQUEST"),
            (ErrorCode::POLICY_VIOLATION, "POLICY_VIOLATION"),
            (ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
            (ErrorCode::SECURITY_DISABLED, "SECURITY_DISABLED"),
            (ErrorCode::KAFKA_STORAGE_ERROR, "KAFKA_STORAGE_ERROR"),
            (ErrorCode::DELEGATION_TOKEN_AUTHORIZATION_FAILED, "DELEGATION_TOKEN_AUTHORIZATION_FAILED"),
            (ErrorCode::TOPIC_DELETION_DISABLED, "TOPIC_DELETION_DISABLED"),
            (ErrorCode::REASSIGNMENT_IN_PROGRESS, "REASSIGNMENT_IN_PROGRESS"),
            (ErrorCode::THROTTLING_QUOTA_EXCEEDED, "THROTTLING_QUOTA_EXCEEDED"),
        ] {
            assert_eq!(code.name(), name);
        }
    }

    #[test]
    fn an_empty_broker_text_falls_back_to_the_description() {
        let error = BrokerError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(""));
        assert_eq!(error.to_string(), "Broker: Unknown topic or partition");
        assert!(error.is_unknown_topic() && !error.is_retriable());
        let error = BrokerError::new(ErrorCode::TOPIC_ALREADY_EXISTS, Some("Topic 'a' already exists."));
        assert_eq!(error.to_string(), "Topic 'a' already exists.");
    }

    #[test]
    fn a_timeout_displays_its_cause() {
        let error = RequestError::Timeout {
            operation: "CreateTopics",
            timeout: Duration::from_secs(3),
            message: "Failed while waiting for controller: Local: Timed out".into(),
            cause: Some("SASL authentication error".into()),
        };
        assert_eq!(
            error.to_string(),
            "CreateTopics: no answer within 3s (Failed while waiting for controller: Local: Timed out); \
             last connection error: SASL authentication error"
        );
    }
}
