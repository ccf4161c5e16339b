//! Names of topics, tenants, clusters, consumer groups, event types and events.
//!
//! A value of these types is a legal name. Cloning is cheap, and maps with these keys accept `&str` for lookups. Errors have
//! the value, the rule and the remedy.
//!
//! Deliberately absent: the rules of a tenant (prefix, convention). The platform checks them; these types only check the
//! rules of Kafka, Kubernetes and the naming conventions.

mod cluster;
mod dns;
mod event_id;
mod event_type;
mod group;
mod prefix;
mod tenant;
mod topic;

pub use cluster::ClusterName;
pub use event_id::EventId;
pub(crate) use event_type::split_version;
pub use event_type::{Convention, EventTypeName};
pub use group::ConsumerGroup;
pub use prefix::TopicPrefix;
pub use tenant::TenantName;
pub use topic::TopicName;

/// The traits of every name, for a type with `parse` and `as_str`.
///
/// Comparison and hash are those of the string: `Borrow<str>` requires it, and `HashMap::get("orders")` works.
macro_rules! name_traits {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::Invalid;

            fn try_from(text: &str) -> Result<Self, $crate::Invalid> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Invalid;

            fn try_from(text: String) -> Result<Self, $crate::Invalid> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A name without other fields; `$check` returns the rule that a text breaks.
macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses the name.
            ///
            /// # Errors
            /// The rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, $crate::Invalid> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The name as a string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        $crate::name::name_traits!($name);
    };
}

use {name, name_traits};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_a_string_in_json_and_in_maps() {
        let name: TopicName = serde_json::from_str("\"orders\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"orders\"");
        assert_eq!(name, "orders");
        assert_eq!(format!("{name:>8}"), "  orders");
        assert_eq!(HashMap::from([(name.clone(), 1)]).get("orders"), Some(&1));
        assert_eq!(BTreeMap::from([(name, 1)]).get("orders"), Some(&1));
        assert!(serde_json::from_str::<TopicName>("\"or ders\"").is_err());
        assert!(serde_json::from_str::<TopicName>("1").is_err());
    }

    proptest! {
        #[test]
        fn names_round_trip(text in prop_oneof!["\\PC{0,80}", "[A-Za-z0-9._-]{0,260}", any::<String>()]) {
            macro_rules! check_round_trip {
                ($($name:ident)*) => {$(
                    match $name::parse(&text) {
                        Ok(name) => {
                            prop_assert_eq!(name.to_string(), text.clone());
                            let json = serde_json::to_value(&name).unwrap();
                            prop_assert_eq!(serde_json::from_value::<$name>(json).unwrap(), name);
                        }
                        Err(error) => {
                            prop_assert!(error.value().chars().count() <= 64);
                            prop_assert!(!error.to_string().contains('\n'));
                        }
                    }
                )*};
            }
            check_round_trip!(TopicName TopicPrefix TenantName ClusterName ConsumerGroup EventTypeName EventId);
        }

        #[test]
        fn every_legal_name_of_kafka_is_a_topic_name(text in "[A-Za-z0-9._-]{1,249}") {
            prop_assert_eq!(TopicName::parse(&text).is_ok(), text != "." && text != "..");
        }
    }
}
