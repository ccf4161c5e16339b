//! Entries of a list of hosts.

use expect_test::{Expect, expect};

use super::super::*;
use super::lines;

fn check_entries(entries: &[&str], expected: Expect) {
    expected.assert_eq(&lines(entries.iter().map(|text| {
        let answer = match text.parse::<HostPattern>() {
            Ok(pattern) => pattern.to_string(),
            Err(error) => error.to_string(),
        };
        (format!("{text:?}"), answer)
    })));
}

#[test]
fn entries_are_names_domains_addresses_and_networks() {
    check_entries(
        &[
            "api.example.com",
            "api.example.com:8443",
            "orders",
            "my_service.shop.svc",
            "xn--bcher-kva.example",
            "*.example.com",
            "*.example.com:443",
            "10.1.2.3",
            "10.1.2.3:80",
            "10.0.0.0/8",
            "10.0.0.0/8:8080",
            "0.0.0.0/0",
            "127.0.0.1/32",
            "fd00::1",
            "fd00::/8",
            "::/0",
            "[fd00::1]",
            "[fd00::1]:443",
            "[fd00::/8]:443",
            "1.2.3.4.example.com",
        ],
        expect![[r#"
            "api.example.com" -> api.example.com
            "api.example.com:8443" -> api.example.com:8443
            "orders" -> orders
            "my_service.shop.svc" -> my_service.shop.svc
            "xn--bcher-kva.example" -> xn--bcher-kva.example
            "*.example.com" -> *.example.com
            "*.example.com:443" -> *.example.com:443
            "10.1.2.3" -> 10.1.2.3
            "10.1.2.3:80" -> 10.1.2.3:80
            "10.0.0.0/8" -> 10.0.0.0/8
            "10.0.0.0/8:8080" -> 10.0.0.0/8:8080
            "0.0.0.0/0" -> 0.0.0.0/0
            "127.0.0.1/32" -> 127.0.0.1/32
            "fd00::1" -> fd00::1
            "fd00::/8" -> fd00::/8
            "::/0" -> ::/0
            "[fd00::1]" -> [fd00::1]
            "[fd00::1]:443" -> [fd00::1]:443
            "[fd00::/8]:443" -> [fd00::/8]:443
            "1.2.3.4.example.com" -> 1.2.3.4.example.com
        "#]],
    );
}

#[test]
fn an_entry_that_is_none_is_refused_with_the_remedy() {
    check_entries(
        &[
            "",
            "*",
            "*.com",
            "*.*.example.com",
            "api.*.example.com",
            "Example.com",
            "example.com.",
            "example..com",
            "-a.example.com",
            "bücher.example",
            "https://example.com",
            "user@example.com",
            "example.com/path",
            "example.com:0",
            "example.com:080",
            "example.com:65536",
            "example.com:",
            "example.com:http",
            "example.com:+80",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "10.0.0.256",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::1/8",
            "fd00::/129",
            "fd00::g",
            "[fd00::1",
            "[fd00::1]443",
            "[10.0.0.1]:80",
            "::ffff:10.0.0.0/104",
            "::ffff:127.0.0.1",
            "64:ff9b::/96",
        ],
        expect![[r#"
            "" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "*" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "*.com" -> a wildcard needs a domain of at least two labels: write it like *.example.com
            "*.*.example.com" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "api.*.example.com" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "Example.com" -> a host name is in lower case: write it so
            "example.com." -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "example..com" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "-a.example.com" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "bücher.example" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "https://example.com" -> an entry is a host, not a URL: write it without the scheme and the path
            "user@example.com" -> it is neither a host name nor an IP address: write a name like api.example.com (of an international one the form with xn--), all names below a domain like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443
            "example.com/path" -> it is no IP address: write an address like 10.0.0.1 or fd00::1, or a network like 10.0.0.0/8 or fd00::/8
            "example.com:0" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "example.com:080" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "example.com:65536" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "example.com:" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "example.com:http" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "example.com:+80" -> the port is not between 1 and 65535: correct it, or remove it to allow all ports
            "127.1" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "2130706433" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "0x7f000001" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "0x7f.1" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "0177.0.0.1" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "10.0.0.256" -> a host name does not end in a number: write an IPv4 address as four decimal numbers
            "10.0.0.1/8" -> the address has bits after the prefix: write 10.0.0.0/8
            "10.0.0.0/33" -> the prefix of a network has 0 to 32 bits: write it like 10.0.0.0/8 or fd00::/8
            "10.0.0.0/08" -> the prefix of a network has 0 to 32 bits: write it like 10.0.0.0/8 or fd00::/8
            "10.0.0.0/" -> the prefix of a network has 0 to 32 bits: write it like 10.0.0.0/8 or fd00::/8
            "10.0.0.0/+8" -> the prefix of a network has 0 to 32 bits: write it like 10.0.0.0/8 or fd00::/8
            "fd00::1/8" -> the address has bits after the prefix: write fd00::/8
            "fd00::/129" -> the prefix of a network has 0 to 128 bits: write it like 10.0.0.0/8 or fd00::/8
            "fd00::g" -> it is no IP address: write an address like 10.0.0.1 or fd00::1, or a network like 10.0.0.0/8 or fd00::/8
            "[fd00::1" -> an IPv6 address has no closing bracket: write it like [fd00::1]:8443
            "[fd00::1]443" -> only a port follows an IPv6 address in brackets: write it like [fd00::1]:8443
            "[10.0.0.1]:80" -> only an IPv6 address is in brackets: remove them
            "::ffff:10.0.0.0/104" -> IPv4-mapped and NAT64 addresses are checked as the IPv4 addresses that they contain: write the IPv4 address or network
            "::ffff:127.0.0.1" -> IPv4-mapped and NAT64 addresses are checked as the IPv4 addresses that they contain: write the IPv4 address or network
            "64:ff9b::/96" -> IPv4-mapped and NAT64 addresses are checked as the IPv4 addresses that they contain: write the IPv4 address or network
        "#]],
    );
    let long = [&"a.".repeat(126)[..], "ab"].concat();
    assert!(long.parse::<HostPattern>().is_err(), "254 characters");
    assert!(long[1..].parse::<HostPattern>().is_err(), "an empty label");
    assert!(long[2..].parse::<HostPattern>().is_ok(), "252 characters");
    assert!("a".repeat(64).parse::<HostPattern>().is_err(), "a label of 64 characters");
}

#[test]
fn the_field_of_an_invalid_entry_has_its_index() {
    let hosts = ["example.com".to_owned(), "*".to_owned()];
    let refusal = HostPolicy::of(&"shop".parse().expect("a tenant"), &hosts).expect_err("a star");
    assert_eq!(refusal.field.as_deref(), Some("spec.callbacks.hosts[1]"));
}
