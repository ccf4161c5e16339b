//! The protocol's enumerations about ACLs.

use std::ffi::c_int;

use crate::sys::rd;

/// Declares an enumeration of the protocol with librdkafka's constants for its values.
macro_rules! protocol_enum {
    ($(#[$doc:meta])* $name:ident = $c:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:ident,)* } unknown $unknown:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A value that this librdkafka does not know. It can be received, but not sent.
            Unknown,
        }

        impl $name {
            pub(super) fn to_c(self) -> rd::$c {
                match self {
                    $(Self::$variant => rd::$c::$value,)*
                    Self::Unknown => rd::$c::$unknown,
                }
            }

            pub(super) fn from_c(value: c_int) -> Self {
                $(if i64::from(value) == rd::$c::$value as i64 {
                    return Self::$variant;
                })*
                Self::Unknown
            }
        }
    };
}

protocol_enum! {
    /// The type of the resource of an ACL.
    ResourceType = rd_kafka_ResourceType_t {
        /// Topics.
        Topic = RD_KAFKA_RESOURCE_TOPIC,
        /// Consumer groups.
        Group = RD_KAFKA_RESOURCE_GROUP,
        /// The cluster; its only name is `kafka-cluster`.
        Cluster = RD_KAFKA_RESOURCE_BROKER,
        /// Transactional ids.
        TransactionalId = RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    } unknown RD_KAFKA_RESOURCE_UNKNOWN
}

protocol_enum! {
    /// How the name of an ACL matches resources (KIP-290).
    PatternType = rd_kafka_ResourcePatternType_t {
        /// The exact name; `*` alone matches every name.
        Literal = RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        /// All names with this prefix.
        Prefixed = RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
    } unknown RD_KAFKA_RESOURCE_PATTERN_UNKNOWN
}

protocol_enum! {
    /// The operation that an ACL allows or denies.
    AclOperation = rd_kafka_AclOperation_t {
        /// Every operation.
        All = RD_KAFKA_ACL_OPERATION_ALL,
        /// Consume; implies Describe.
        Read = RD_KAFKA_ACL_OPERATION_READ,
        /// Produce; implies Describe.
        Write = RD_KAFKA_ACL_OPERATION_WRITE,
        /// Create.
        Create = RD_KAFKA_ACL_OPERATION_CREATE,
        /// Delete; implies Describe.
        Delete = RD_KAFKA_ACL_OPERATION_DELETE,
        /// Alter; implies Describe.
        Alter = RD_KAFKA_ACL_OPERATION_ALTER,
        /// Describe.
        Describe = RD_KAFKA_ACL_OPERATION_DESCRIBE,
        /// Requests between brokers.
        ClusterAction = RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION,
        /// Describe the configuration.
        DescribeConfigs = RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        /// Alter the configuration; implies DescribeConfigs.
        AlterConfigs = RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
        /// Produce idempotently; since Kafka 2.8, Write on any topic is enough.
        IdempotentWrite = RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE,
    } unknown RD_KAFKA_ACL_OPERATION_UNKNOWN
}

protocol_enum! {
    /// Whether an ACL allows or denies. Deny takes precedence over Allow.
    AclPermissionType = rd_kafka_AclPermissionType_t {
        /// Allows.
        Allow = RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
        /// Denies.
        Deny = RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
    } unknown RD_KAFKA_ACL_PERMISSION_TYPE_UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        for operation in [AclOperation::All, AclOperation::Read, AclOperation::IdempotentWrite] {
            assert_eq!(AclOperation::from_c(operation.to_c() as c_int), operation);
        }
        for resource in [ResourceType::Topic, ResourceType::Cluster, ResourceType::TransactionalId] {
            assert_eq!(ResourceType::from_c(resource.to_c() as c_int), resource);
        }
        assert_eq!(PatternType::from_c(PatternType::Prefixed.to_c() as c_int), PatternType::Prefixed);
        assert_eq!(
            AclPermissionType::from_c(AclPermissionType::Deny.to_c() as c_int),
            AclPermissionType::Deny
        );
    }

    /// Kafka has operations that this librdkafka does not know (14 is DescribeTokens).
    #[test]
    fn a_newer_value_is_unknown() {
        assert_eq!(AclOperation::from_c(14), AclOperation::Unknown);
        assert_eq!(ResourceType::from_c(-1), ResourceType::Unknown);
    }
}
