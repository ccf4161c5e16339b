//! The protocol's enumerations about ACLs.

use std::ffi::c_int;

use crate::sys::rd;

/// Declares an enumeration of the protocol with librdkafka's names for its values.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $c:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:ident,)* } unknown $unknown:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// One that this librdkafka does not know. It can be read, and not be sent.
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

words! {
    /// What an ACL is about.
    AclResource = rd_kafka_ResourceType_t {
        /// Topics.
        Topic = RD_KAFKA_RESOURCE_TOPIC,
        /// Consumer groups.
        Group = RD_KAFKA_RESOURCE_GROUP,
        /// The cluster itself, whose only name is `kafka-cluster`.
        Cluster = RD_KAFKA_RESOURCE_BROKER,
        /// Transactional ids.
        TransactionalId = RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    } unknown RD_KAFKA_RESOURCE_UNKNOWN
}

words! {
    /// How the name of an ACL is meant (KIP-290).
    AclPattern = rd_kafka_ResourcePatternType_t {
        /// As it stands; `*` alone means every name.
        Literal = RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        /// All names that begin so.
        Prefixed = RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
    } unknown RD_KAFKA_RESOURCE_PATTERN_UNKNOWN
}

words! {
    /// What an ACL allows or denies.
    AclOperation = rd_kafka_AclOperation_t {
        /// Everything.
        All = RD_KAFKA_ACL_OPERATION_ALL,
        /// Consume; includes Describe.
        Read = RD_KAFKA_ACL_OPERATION_READ,
        /// Produce; includes Describe.
        Write = RD_KAFKA_ACL_OPERATION_WRITE,
        /// Make.
        Create = RD_KAFKA_ACL_OPERATION_CREATE,
        /// Delete; includes Describe.
        Delete = RD_KAFKA_ACL_OPERATION_DELETE,
        /// Change; includes Describe.
        Alter = RD_KAFKA_ACL_OPERATION_ALTER,
        /// See.
        Describe = RD_KAFKA_ACL_OPERATION_DESCRIBE,
        /// What brokers do among each other.
        ClusterAction = RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION,
        /// See the configuration.
        DescribeConfigs = RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        /// Change the configuration; includes DescribeConfigs.
        AlterConfigs = RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
        /// Produce idempotently; since Kafka 2.8 the right to write to any topic is enough.
        IdempotentWrite = RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE,
    } unknown RD_KAFKA_ACL_OPERATION_UNKNOWN
}

words! {
    /// Whether an ACL allows or denies. One that denies counts more than all that allow.
    AclPermission = rd_kafka_AclPermissionType_t {
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
    fn words_are_read_as_they_are_sent() {
        for operation in [AclOperation::All, AclOperation::Read, AclOperation::IdempotentWrite] {
            assert_eq!(AclOperation::from_c(operation.to_c() as c_int), operation);
        }
        for resource in [AclResource::Topic, AclResource::Cluster, AclResource::TransactionalId] {
            assert_eq!(AclResource::from_c(resource.to_c() as c_int), resource);
        }
        assert_eq!(AclPattern::from_c(AclPattern::Prefixed.to_c() as c_int), AclPattern::Prefixed);
        assert_eq!(AclPermission::from_c(AclPermission::Deny.to_c() as c_int), AclPermission::Deny);
    }

    /// Kafka has operations that this librdkafka does not know (14 is DescribeTokens).
    #[test]
    fn a_word_that_is_newer_is_unknown() {
        assert_eq!(AclOperation::from_c(14), AclOperation::Unknown);
        assert_eq!(AclResource::from_c(-1), AclResource::Unknown);
    }
}
