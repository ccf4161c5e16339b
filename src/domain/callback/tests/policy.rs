//! Addresses that names resolve to.

use expect_test::{Expect, expect};

use super::super::*;
use super::{lines, policy};

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
