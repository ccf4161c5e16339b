//! The name of a tenant.

use super::{dns, name};
use crate::Invalid;

name! {
    /// The name of a `Tenant`: a DNS label (RFC 1123) with at most 63 characters.
    ///
    /// Unlike names of other resources it has no dots, because it is also a label value, the `tenantId` of events and part of
    /// the origin of the tenant's audit log.
    TenantName, check
}

fn check(text: &str) -> Result<(), Invalid> {
    dns::check_label("tenant name", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_accepted() {
        for text in ["a", "shop", "shop-eu", "0", "1a", &"a".repeat(63)] {
            assert!(TenantName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for (text, rule) in [
            ("", "is empty"),
            ("Shop", "contains 'S'"),
            ("shop.eu", "contains '.'"),
            ("shop_eu", "contains '_'"),
            ("-shop", "begins or ends with '-'"),
            ("shop-", "begins or ends with '-'"),
            ("shöp", "contains 'ö'"),
            (&"a".repeat(64), "has 64 characters"),
        ] {
            assert_eq!(TenantName::parse(text).unwrap_err().rule(), rule, "{text}");
        }
    }
}
