//! The name of a Kafka cluster.

use super::{dns, name};
use crate::Invalid;

name! {
    /// The name of a `KafkaCluster`: a DNS-1123 subdomain, at most 253 characters, as Kubernetes allows it.
    ///
    /// Dots are let through, since a cluster is often called after its address (`kafka.eu.example`).
    ClusterName, check
}

fn check(text: &str) -> Result<(), Invalid> {
    dns::check_subdomain("cluster name", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_subdomains() {
        for text in ["main", "kafka.eu.example", "a-b.c", &"a".repeat(253)] {
            assert!(ClusterName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects_the_rest() {
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
