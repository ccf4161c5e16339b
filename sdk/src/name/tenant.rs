//! The name of a tenant.

use super::{dns, name};
use crate::Invalid;

name! {
    /// The name of a `Tenant`: a DNS-1123 label, at most 63 characters.
    ///
    /// A resource's name could be longer and have dots. A tenant's may not, because it is also the value of labels, of
    /// metrics and of the events' `tenantId`, and the origin of its audit log.
    TenantName, check
}

fn check(text: &str) -> Result<(), Invalid> {
    dns::check_label("tenant name", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_labels() {
        for text in ["a", "shop", "shop-eu", "0", "1a", &"a".repeat(63)] {
            assert!(TenantName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects_the_rest() {
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
