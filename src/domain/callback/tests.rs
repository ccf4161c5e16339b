//! Tables of addresses, entries and URLs.

use core::net::IpAddr;
use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;

fn policy(hosts: &[&str]) -> HostPolicy {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    HostPolicy::of(&"shop".parse().expect("a tenant"), &hosts).expect("valid entries")
}

fn lines(answers: impl IntoIterator<Item = (String, String)>) -> String {
    answers.into_iter().fold(String::new(), |mut lines, (question, answer)| {
        writeln!(lines, "{question} -> {answer}").expect("a String");
        lines
    })
}

fn check_classes(addresses: &str, expected: Expect) {
    expected.assert_eq(&lines(addresses.split_whitespace().map(|text| {
        let address: IpAddr = text.parse().expect(text);
        (text.to_owned(), format!("{:?}", classify(address)))
    })));
}

fn check_entries(entries: &[&str], expected: Expect) {
    expected.assert_eq(&lines(entries.iter().map(|text| {
        let answer = match text.parse::<HostPattern>() {
            Ok(pattern) => pattern.to_string(),
            Err(error) => error.to_string(),
        };
        (format!("{text:?}"), answer)
    })));
}

fn check_urls(hosts: &[&str], urls: &[&str], expected: Expect) {
    let policy = policy(hosts);
    expected.assert_eq(&lines(urls.iter().map(|text| {
        let answer = parse_url("spec.url", text).and_then(|url| policy.check_url("spec.url", &url));
        (
            format!("{text:?}"),
            answer.map_or_else(|refusal| refusal.to_string(), |endpoint| endpoint.to_string()),
        )
    })));
}

/// Each question is a URL and an address that its host resolves to.
fn check_addresses(hosts: &[&str], questions: &[(&str, &str)], expected: Expect) {
    let policy = policy(hosts);
    expected.assert_eq(&lines(questions.iter().map(|(url, address)| {
        let url = parse_url("spec.url", url).expect("a URL");
        let endpoint = Endpoint::of("spec.url", &url).expect("an endpoint");
        let answer = policy.check_address(&endpoint, address.parse().expect("an address"));
        (
            format!("{endpoint} at {address}"),
            answer.map_or_else(|refusal| refusal.to_string(), |()| "allowed".into()),
        )
    })));
}

#[test]
fn addresses_have_classes() {
    check_classes(
        "0.0.0.0 0.1.2.3 1.1.1.1 9.255.255.255 10.0.0.0 10.255.255.255 11.0.0.0 100.63.255.255 100.64.0.0 \
         100.100.100.200 100.127.255.255 100.128.0.0 126.255.255.255 127.0.0.1 127.255.255.255 128.0.0.0 168.63.129.16 \
         169.253.255.255 169.254.0.0 169.254.169.254 169.254.170.2 169.254.170.23 169.255.0.0 172.15.255.255 172.16.0.0 172.31.255.255 172.32.0.0 \
         192.0.0.1 192.0.0.192 192.0.1.0 192.0.2.1 192.88.99.1 192.167.255.255 192.168.0.1 192.169.0.0 198.17.255.255 \
         198.18.0.0 198.19.255.255 198.20.0.0 198.51.100.7 203.0.113.7 223.255.255.255 224.0.0.1 239.255.255.255 \
         240.0.0.1 255.255.255.254 255.255.255.255",
        expect![[r#"
            0.0.0.0 -> Unspecified
            0.1.2.3 -> Unspecified
            1.1.1.1 -> Public
            9.255.255.255 -> Public
            10.0.0.0 -> Private
            10.255.255.255 -> Private
            11.0.0.0 -> Public
            100.63.255.255 -> Public
            100.64.0.0 -> Private
            100.100.100.200 -> Metadata
            100.127.255.255 -> Private
            100.128.0.0 -> Public
            126.255.255.255 -> Public
            127.0.0.1 -> Loopback
            127.255.255.255 -> Loopback
            128.0.0.0 -> Public
            168.63.129.16 -> Metadata
            169.253.255.255 -> Public
            169.254.0.0 -> LinkLocal
            169.254.169.254 -> Metadata
            169.254.170.2 -> Metadata
            169.254.170.23 -> Metadata
            169.255.0.0 -> Public
            172.15.255.255 -> Public
            172.16.0.0 -> Private
            172.31.255.255 -> Private
            172.32.0.0 -> Public
            192.0.0.1 -> Reserved
            192.0.0.192 -> Metadata
            192.0.1.0 -> Public
            192.0.2.1 -> Documentation
            192.88.99.1 -> Reserved
            192.167.255.255 -> Public
            192.168.0.1 -> Private
            192.169.0.0 -> Public
            198.17.255.255 -> Public
            198.18.0.0 -> Reserved
            198.19.255.255 -> Reserved
            198.20.0.0 -> Public
            198.51.100.7 -> Documentation
            203.0.113.7 -> Documentation
            223.255.255.255 -> Public
            224.0.0.1 -> Multicast
            239.255.255.255 -> Multicast
            240.0.0.1 -> Reserved
            255.255.255.254 -> Reserved
            255.255.255.255 -> Broadcast
        "#]],
    );
}

#[test]
fn ipv6_addresses_have_classes() {
    check_classes(
        ":: ::1 ::2 ::7f00:1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 \
         ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::7f00:1 100::1 1fff::1 \
         2000::1 2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:1ff:ffff::1 2001:200::1 2001:4860:4860::8888 2001:db8::1 \
         2002:7f00:1::1 2002:a00:1::1 2002:808:808::1 2606:4700::1111 3fff:fff::1 3fff:1000::1 4000::1 5f00::1 fbff::1 fc00::1 fd00::1 \
         fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42 fe00::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 ff02::1 \
         ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        expect![[r#"
            :: -> Unspecified
            ::1 -> Loopback
            ::2 -> Reserved
            ::7f00:1 -> Reserved
            ::127.0.0.1 -> Reserved
            ::8.8.8.8 -> Reserved
            ::ffff:127.0.0.1 -> Loopback
            ::ffff:10.0.0.1 -> Private
            ::ffff:169.254.169.254 -> Metadata
            ::ffff:8.8.8.8 -> Public
            ::ffff:0:127.0.0.1 -> Reserved
            64:ff9b::7f00:1 -> Loopback
            64:ff9b::a00:1 -> Private
            64:ff9b::a9fe:a9fe -> Metadata
            64:ff9b::808:808 -> Public
            64:ff9b:1::7f00:1 -> Reserved
            100::1 -> Reserved
            1fff::1 -> Reserved
            2000::1 -> Public
            2001::1 -> Reserved
            2001:0:4136:e378:8000:63bf:80ff:fffe -> Reserved
            2001:1ff:ffff::1 -> Reserved
            2001:200::1 -> Public
            2001:4860:4860::8888 -> Public
            2001:db8::1 -> Documentation
            2002:7f00:1::1 -> Reserved
            2002:a00:1::1 -> Reserved
            2002:808:808::1 -> Reserved
            2606:4700::1111 -> Public
            3fff:fff::1 -> Documentation
            3fff:1000::1 -> Public
            4000::1 -> Reserved
            5f00::1 -> Reserved
            fbff::1 -> Reserved
            fc00::1 -> Private
            fd00::1 -> Private
            fd00:ec2::254 -> Metadata
            fd00:ec2::23 -> Metadata
            fd20:ce::254 -> Metadata
            fd00:42::42 -> Metadata
            fe00::1 -> Reserved
            fe80::1 -> LinkLocal
            fe80::a9fe:a9fe -> LinkLocal
            febf::1 -> LinkLocal
            fec0::1 -> Reserved
            ff02::1 -> Multicast
            ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> Multicast
        "#]],
    );
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

#[test]
fn without_a_list_public_hosts_are_called() {
    check_urls(
        &[],
        &[
            "https://api.example.com/orders?id=1",
            "http://API.Example.COM:8080",
            "https://api.example.com.",
            "https://bücher.example",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://[64:ff9b::808:808]/",
            "http://orders.shop.svc.cluster.local/",
            "http://10.0.0.1/",
            "http://[fd00::1]:8080/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.100.100.200/",
            "http://[fd00:ec2::254]/",
            "http://168.63.129.16/",
        ],
        expect![[r#"
            "https://api.example.com/orders?id=1" -> api.example.com:443
            "http://API.Example.COM:8080" -> api.example.com:8080
            "https://api.example.com." -> api.example.com:443
            "https://bücher.example" -> xn--bcher-kva.example:443
            "https://8.8.8.8/" -> 8.8.8.8:443
            "https://[2606:4700::1111]/" -> [2606:4700::1111]:443
            "https://[64:ff9b::808:808]/" -> [64:ff9b::808:808]:443
            "http://orders.shop.svc.cluster.local/" -> orders.shop.svc.cluster.local:80
            "http://10.0.0.1/" -> HostNotAllowed: spec.url: 10.0.0.1 is a private address, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 10.0.0.1 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            "http://[fd00::1]:8080/" -> HostNotAllowed: spec.url: fd00::1 is a private address, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add fd00::1 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            "http://169.254.169.254/latest/meta-data/" -> HostNotAllowed: spec.url: 169.254.169.254 is the address of a cloud's metadata service, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 169.254.169.254 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            "http://100.100.100.200/" -> HostNotAllowed: spec.url: 100.100.100.200 is the address of a cloud's metadata service, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 100.100.100.200 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            "http://[fd00:ec2::254]/" -> HostNotAllowed: spec.url: fd00:ec2::254 is the address of a cloud's metadata service, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add fd00:ec2::254 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            "http://168.63.129.16/" -> HostNotAllowed: spec.url: 168.63.129.16 is the address of a cloud's metadata service, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 168.63.129.16 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
        "#]],
    );
}

/// Each of these is 127.0.0.1, or another address of the machine.
#[test]
fn a_loopback_address_in_any_form_is_refused() {
    let policy = policy(&[]);
    for url in [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://0x7F.0x0.0X0.0x1/",
        "http://%31%32%37.0.0.1/",
        "http://１２７.０.０.１/",
        "http://127。0。0。1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://api.localhost:8080/",
    ] {
        let parsed = parse_url("spec.url", url).unwrap_or_else(|refusal| panic!("{url}: {refusal}"));
        let refusal = policy.check_url("spec.url", &parsed).expect_err(url);
        assert_eq!(refusal.reason, eventcenter_sdk::Reason::HostNotAllowed, "{url}: {refusal}");
    }
}

#[test]
fn a_url_that_cannot_be_called_is_refused() {
    let long = format!("https://example.com/{}", "a".repeat(2048));
    check_urls(
        &[],
        &[
            "",
            "example.com",
            "/path",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "javascript:alert(1)",
            "unix:///run/docker.sock",
            "https://",
            "https:///path",
            "https:example.com",
            "HTTPS:/example.com",
            "https://user@example.com/",
            "https://:secret@example.com/",
            "https://example.com/#part",
            "https://example.com/#",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://exam ple.com/",
            "https://example.com\\@evil.example/",
            "ht\ntp://example.com/",
            " https://example.com/",
            "https://ex*mple.com/",
            "https://-a.example.com/",
            "https://a..example.com/",
            "https://example.com../",
            "https://1.2.3.256/",
            "https://[::1%25eth0]/",
            "https://[1.2.3.4]/",
        ],
        expect![[r#"
            "" -> InvalidResource: spec.url: it is no URL (relative URL without a base): write https://HOST/PATH
            "example.com" -> InvalidResource: spec.url: it is no URL (relative URL without a base): write https://HOST/PATH
            "/path" -> InvalidResource: spec.url: it is no URL (relative URL without a base): write https://HOST/PATH
            "ftp://example.com/" -> InvalidResource: spec.url: only http and https URLs are called: write https://HOST/PATH
            "file:///etc/passwd" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "gopher://example.com/" -> InvalidResource: spec.url: only http and https URLs are called: write https://HOST/PATH
            "javascript:alert(1)" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "unix:///run/docker.sock" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "https://" -> InvalidResource: spec.url: it is no URL (empty host): write https://HOST/PATH
            "https:///path" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "https:example.com" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "HTTPS:/example.com" -> InvalidResource: spec.url: the host of a URL is between // and /: write https://HOST/PATH
            "https://user@example.com/" -> InvalidResource: spec.url: a URL contains no user name and no password, because everybody who reads the resource sees them: put them into a Secret, and send them in a header
            "https://:secret@example.com/" -> InvalidResource: spec.url: a URL contains no user name and no password, because everybody who reads the resource sees them: put them into a Secret, and send them in a header
            "https://example.com/#part" -> InvalidResource: spec.url: a fragment is never sent: remove # and what follows it
            "https://example.com/#" -> InvalidResource: spec.url: a fragment is never sent: remove # and what follows it
            "https://example.com:0/" -> InvalidResource: spec.url: a port is between 1 and 65535: correct it, or remove it for that of the scheme
            "https://example.com:65536/" -> InvalidResource: spec.url: it is no URL (invalid port number): write https://HOST/PATH
            "https://exam ple.com/" -> InvalidResource: spec.url: a URL has no spaces, control characters and backslashes: percent-encode them
            "https://example.com\\@evil.example/" -> InvalidResource: spec.url: a URL has no spaces, control characters and backslashes: percent-encode them
            "ht\ntp://example.com/" -> InvalidResource: spec.url: a URL has no spaces, control characters and backslashes: percent-encode them
            " https://example.com/" -> InvalidResource: spec.url: a URL has no spaces, control characters and backslashes: percent-encode them
            "https://ex*mple.com/" -> InvalidResource: spec.url: the host is neither a host name nor an IP address: write a name of letters, digits, '-' and '_', in labels of at most 63 and together at most 253 characters
            "https://-a.example.com/" -> InvalidResource: spec.url: the host is neither a host name nor an IP address: write a name of letters, digits, '-' and '_', in labels of at most 63 and together at most 253 characters
            "https://a..example.com/" -> InvalidResource: spec.url: the host is neither a host name nor an IP address: write a name of letters, digits, '-' and '_', in labels of at most 63 and together at most 253 characters
            "https://example.com../" -> InvalidResource: spec.url: the host is neither a host name nor an IP address: write a name of letters, digits, '-' and '_', in labels of at most 63 and together at most 253 characters
            "https://1.2.3.256/" -> InvalidResource: spec.url: it is no URL (invalid IPv4 address): write https://HOST/PATH
            "https://[::1%25eth0]/" -> InvalidResource: spec.url: it is no URL (invalid IPv6 address): write https://HOST/PATH
            "https://[1.2.3.4]/" -> InvalidResource: spec.url: it is no URL (invalid IPv6 address): write https://HOST/PATH
        "#]],
    );
    assert!(parse_url("spec.url", &long).is_err());
}

#[test]
fn a_list_allows_what_it_lists() {
    check_urls(
        &["api.example.com", "*.shop.example:8443", "10.1.0.0/16:80", "[fd00::/8]:80"],
        &[
            "https://api.example.com/",
            "https://API.EXAMPLE.COM.:9/",
            "https://example.com/",
            "https://xapi.example.com/",
            "https://api.example.com.evil.example/",
            "https://a.shop.example:8443/",
            "https://a.b.shop.example:8443/",
            "https://shop.example:8443/",
            "https://evilshop.example:8443/",
            "https://a.shop.example/",
            "http://10.1.2.3/",
            "http://10.2.0.1/",
            "https://10.1.2.3/",
            "http://[fd12::1]/",
            "http://[::ffff:10.1.2.3]/",
            "http://8.8.8.8/",
            "http://may-resolve-to-a-listed-address.example/",
            "http://169.254.169.254/",
            "http://localhost/",
        ],
        expect![[r#"
            "https://api.example.com/" -> api.example.com:443
            "https://API.EXAMPLE.COM.:9/" -> api.example.com:9
            "https://example.com/" -> HostNotAllowed: spec.url: tenant shop may not call example.com:443: use another host, or ask the platform's administrator to add example.com to spec.callbacks.hosts of Tenant shop
            "https://xapi.example.com/" -> HostNotAllowed: spec.url: tenant shop may not call xapi.example.com:443: use another host, or ask the platform's administrator to add xapi.example.com to spec.callbacks.hosts of Tenant shop
            "https://api.example.com.evil.example/" -> HostNotAllowed: spec.url: tenant shop may not call api.example.com.evil.example:443: use another host, or ask the platform's administrator to add api.example.com.evil.example to spec.callbacks.hosts of Tenant shop
            "https://a.shop.example:8443/" -> a.shop.example:8443
            "https://a.b.shop.example:8443/" -> a.b.shop.example:8443
            "https://shop.example:8443/" -> HostNotAllowed: spec.url: tenant shop may not call shop.example:8443: use another host, or ask the platform's administrator to add shop.example to spec.callbacks.hosts of Tenant shop
            "https://evilshop.example:8443/" -> HostNotAllowed: spec.url: tenant shop may not call evilshop.example:8443: use another host, or ask the platform's administrator to add evilshop.example to spec.callbacks.hosts of Tenant shop
            "https://a.shop.example/" -> HostNotAllowed: spec.url: tenant shop may not call a.shop.example:443: use another host, or ask the platform's administrator to add a.shop.example to spec.callbacks.hosts of Tenant shop
            "http://10.1.2.3/" -> 10.1.2.3:80
            "http://10.2.0.1/" -> HostNotAllowed: spec.url: 10.2.0.1 is a private address, and tenant shop does not list it for port 80: use another host, or ask the platform's administrator to add 10.2.0.1 to spec.callbacks.hosts of Tenant shop
            "https://10.1.2.3/" -> HostNotAllowed: spec.url: 10.1.2.3 is a private address, and tenant shop does not list it for port 443: use another host, or ask the platform's administrator to add 10.1.2.3 to spec.callbacks.hosts of Tenant shop
            "http://[fd12::1]/" -> [fd12::1]:80
            "http://[::ffff:10.1.2.3]/" -> [::ffff:10.1.2.3]:80
            "http://8.8.8.8/" -> HostNotAllowed: spec.url: 8.8.8.8 is a public address, and tenant shop does not list it for port 80: use another host, or ask the platform's administrator to add 8.8.8.8 to spec.callbacks.hosts of Tenant shop
            "http://may-resolve-to-a-listed-address.example/" -> may-resolve-to-a-listed-address.example:80
            "http://169.254.169.254/" -> HostNotAllowed: spec.url: 169.254.169.254 is the address of a cloud's metadata service, and tenant shop does not list it for port 80: use another host, or ask the platform's administrator to add 169.254.169.254 to spec.callbacks.hosts of Tenant shop
            "http://localhost/" -> HostNotAllowed: spec.url: localhost resolves to 127.0.0.1, a loopback address, and tenant shop does not list it for port 80: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop
        "#]],
    );
}

#[test]
fn addresses_of_names_are_checked() {
    check_addresses(
        &[],
        &[
            ("https://api.example.com", "8.8.8.8"),
            ("https://api.example.com", "10.0.0.1"),
            ("https://api.example.com", "127.0.0.1"),
            ("https://api.example.com", "::ffff:169.254.169.254"),
        ],
        expect![[r#"
            api.example.com:443 at 8.8.8.8 -> allowed
            api.example.com:443 at 10.0.0.1 -> HostNotAllowed: api.example.com resolves to 10.0.0.1, a private address, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add api.example.com to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            api.example.com:443 at 127.0.0.1 -> HostNotAllowed: api.example.com resolves to 127.0.0.1, a loopback address, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
            api.example.com:443 at ::ffff:169.254.169.254 -> HostNotAllowed: api.example.com resolves to 169.254.169.254, the address of a cloud's metadata service, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 169.254.169.254 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls
        "#]],
    );
    check_addresses(
        &["api.example.com", "*.svc.cluster.local:8080", "172.16.0.0/12", "127.0.0.1:9000"],
        &[
            ("https://api.example.com", "8.8.8.8"),
            ("https://api.example.com", "10.0.0.1"),
            ("https://api.example.com", "fd00::1"),
            ("https://api.example.com", "64:ff9b::a00:1"),
            ("https://api.example.com", "127.0.0.1"),
            ("https://api.example.com", "::1"),
            ("https://api.example.com", "169.254.169.254"),
            ("https://api.example.com", "fd00:ec2::254"),
            ("https://api.example.com", "0.0.0.0"),
            ("https://api.example.com", "224.0.0.1"),
            ("http://orders.shop.svc.cluster.local:8080", "10.96.0.10"),
            ("http://orders.shop.svc.cluster.local", "10.96.0.10"),
            ("https://other.example", "172.16.0.1"),
            ("https://other.example", "8.8.8.8"),
            ("https://other.example:9000", "127.0.0.1"),
            ("https://other.example:9001", "127.0.0.1"),
        ],
        expect![[r#"
            api.example.com:443 at 8.8.8.8 -> allowed
            api.example.com:443 at 10.0.0.1 -> allowed
            api.example.com:443 at fd00::1 -> allowed
            api.example.com:443 at 64:ff9b::a00:1 -> allowed
            api.example.com:443 at 127.0.0.1 -> HostNotAllowed: api.example.com resolves to 127.0.0.1, a loopback address, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop
            api.example.com:443 at ::1 -> HostNotAllowed: api.example.com resolves to ::1, a loopback address, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add ::1 to spec.callbacks.hosts of Tenant shop
            api.example.com:443 at 169.254.169.254 -> HostNotAllowed: api.example.com resolves to 169.254.169.254, the address of a cloud's metadata service, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add 169.254.169.254 to spec.callbacks.hosts of Tenant shop
            api.example.com:443 at fd00:ec2::254 -> HostNotAllowed: api.example.com resolves to fd00:ec2::254, the address of a cloud's metadata service, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add fd00:ec2::254 to spec.callbacks.hosts of Tenant shop
            api.example.com:443 at 0.0.0.0 -> HostNotAllowed: api.example.com resolves to 0.0.0.0, an unspecified address, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add 0.0.0.0 to spec.callbacks.hosts of Tenant shop
            api.example.com:443 at 224.0.0.1 -> HostNotAllowed: api.example.com resolves to 224.0.0.1, a multicast address, and a listed name allows public and private addresses only: use another host, or ask the platform's administrator to add 224.0.0.1 to spec.callbacks.hosts of Tenant shop
            orders.shop.svc.cluster.local:8080 at 10.96.0.10 -> allowed
            orders.shop.svc.cluster.local:80 at 10.96.0.10 -> HostNotAllowed: orders.shop.svc.cluster.local resolves to 10.96.0.10, a private address, and tenant shop does not list it for port 80: use another host, or ask the platform's administrator to add orders.shop.svc.cluster.local to spec.callbacks.hosts of Tenant shop
            other.example:443 at 172.16.0.1 -> allowed
            other.example:443 at 8.8.8.8 -> HostNotAllowed: other.example resolves to 8.8.8.8, a public address, and tenant shop does not list it for port 443: use another host, or ask the platform's administrator to add other.example to spec.callbacks.hosts of Tenant shop
            other.example:9000 at 127.0.0.1 -> allowed
            other.example:9001 at 127.0.0.1 -> HostNotAllowed: other.example resolves to 127.0.0.1, a loopback address, and tenant shop does not list it for port 9001: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop
        "#]],
    );
}

/// A network that has addresses of several classes lists the public ones.
#[test]
fn a_wide_network_does_not_list_special_addresses() {
    check_addresses(
        &["0.0.0.0/0", "::/0", "fd00::/8", "100.64.0.0/10"],
        &[
            ("https://a.example", "8.8.8.8"),
            ("https://a.example", "2606:4700::1111"),
            ("https://a.example", "fd00::1"),
            ("https://a.example", "fd00:ec2::254"),
            ("https://a.example", "100.64.0.1"),
            ("https://a.example", "100.100.100.200"),
            ("https://a.example", "10.0.0.1"),
            ("https://a.example", "127.0.0.1"),
            ("https://a.example", "::1"),
            ("https://a.example", "169.254.169.254"),
        ],
        expect![[r#"
            a.example:443 at 8.8.8.8 -> allowed
            a.example:443 at 2606:4700::1111 -> allowed
            a.example:443 at fd00::1 -> allowed
            a.example:443 at fd00:ec2::254 -> HostNotAllowed: a.example resolves to fd00:ec2::254, the address of a cloud's metadata service, and ::/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add fd00:ec2::254 to spec.callbacks.hosts of Tenant shop
            a.example:443 at 100.64.0.1 -> allowed
            a.example:443 at 100.100.100.200 -> HostNotAllowed: a.example resolves to 100.100.100.200, the address of a cloud's metadata service, and 0.0.0.0/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add 100.100.100.200 to spec.callbacks.hosts of Tenant shop
            a.example:443 at 10.0.0.1 -> HostNotAllowed: a.example resolves to 10.0.0.1, a private address, and 0.0.0.0/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add a.example to spec.callbacks.hosts of Tenant shop
            a.example:443 at 127.0.0.1 -> HostNotAllowed: a.example resolves to 127.0.0.1, a loopback address, and 0.0.0.0/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop
            a.example:443 at ::1 -> HostNotAllowed: a.example resolves to ::1, a loopback address, and ::/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add ::1 to spec.callbacks.hosts of Tenant shop
            a.example:443 at 169.254.169.254 -> HostNotAllowed: a.example resolves to 169.254.169.254, the address of a cloud's metadata service, and 0.0.0.0/0 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add 169.254.169.254 to spec.callbacks.hosts of Tenant shop
        "#]],
    );
    check_addresses(
        &["169.254.0.0/16", "127.0.0.0/8", "169.254.169.254", "fd00:ec2::254"],
        &[
            ("https://a.example", "127.0.0.1"),
            ("https://a.example", "169.254.1.1"),
            ("https://a.example", "169.254.169.254"),
            ("https://a.example", "169.254.170.2"),
            ("https://a.example", "fd00:ec2::254"),
        ],
        expect![[r#"
            a.example:443 at 127.0.0.1 -> allowed
            a.example:443 at 169.254.1.1 -> allowed
            a.example:443 at 169.254.169.254 -> allowed
            a.example:443 at 169.254.170.2 -> HostNotAllowed: a.example resolves to 169.254.170.2, the address of a cloud's metadata service, and 169.254.0.0/16 does not list it, because that network also has addresses of another kind: use another host, or ask the platform's administrator to add 169.254.170.2 to spec.callbacks.hosts of Tenant shop
            a.example:443 at fd00:ec2::254 -> allowed
        "#]],
    );
}

#[test]
fn headers_that_determine_the_route_are_refused() {
    let answers = [
        ("X-Api-Key", "secret"),
        ("Idempotency-Key", "1"),
        ("Host", "internal.example"),
        ("transfer-encoding", "chunked"),
        ("Content-Length", "3"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("", "x"),
        ("Bad Header", "x"),
        ("X-A:", "x"),
        ("X-A", "secret\r\nHost: internal.example"),
        ("X-A", "sécret"),
    ]
    .map(|(name, value)| {
        let answer = check_header("spec.headers[0]", name, value);
        (format!("{name:?}"), answer.map_or_else(|refusal| refusal.to_string(), |()| "allowed".into()))
    });
    expect![[r#"
        "X-Api-Key" -> allowed
        "Idempotency-Key" -> allowed
        "Host" -> InvalidResource: spec.headers[0]: the header Host is set by the operator: remove it
        "transfer-encoding" -> InvalidResource: spec.headers[0]: the header transfer-encoding is set by the operator: remove it
        "Content-Length" -> InvalidResource: spec.headers[0]: the header Content-Length is set by the operator: remove it
        "Proxy-Authorization" -> InvalidResource: spec.headers[0]: the header Proxy-Authorization is set by the operator: remove it
        "" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "Bad Header" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "X-A:" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "X-A" -> InvalidResource: spec.headers[0]: the value of the header X-A has characters other than printable ASCII: encode them
        "X-A" -> InvalidResource: spec.headers[0]: the value of the header X-A has characters other than printable ASCII: encode them
    "#]].assert_eq(&lines(answers));
}
