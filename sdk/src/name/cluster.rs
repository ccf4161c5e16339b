//! The name of a Kafka cluster.

use super::{dns, name};
use crate::Invalid;

name! {
    /// The name of a `KafkaCluster`: a DNS subdomain (RFC 1123) with at most 253 characters.
    ///
    /// Dots are allowed, because a cluster is often named after its address (`kafka.eu.example`).
    ClusterName, check
}

fn check(text: &str) -> Result<(), Invalid> {
    dns::check_subdomain("cluster name", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomains_are_accepted() {
        for text in ["main", "kafka.eu.example", "a-b.c", &"a".repeat(253)] {
            assert!(ClusterName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("Main", "contains 'M'"),
            ("a..b", "has an empty part"),
            (".a", "has an empty part"),
            ("a.", "has an empty part"),
            ("a-.b", "begins or ends with '-'"),
            ("a/b", "contains '/'"),
            (&"a".repeat(254), "has 254 characters"),
        ] {
            assert_eq!(ClusterName::parse(text).unwrap_err().rule(), rule, "{text}");
        }
    }
}
