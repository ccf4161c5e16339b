//! URLs, before their names are resolved.

use expect_test::{Expect, expect};

use super::super::*;
use super::{lines, policy};

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
