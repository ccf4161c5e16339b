//! The classes of addresses.

use core::net::IpAddr;

use expect_test::{Expect, expect};

use super::super::*;
use super::lines;

fn check_classes(addresses: &str, expected: Expect) {
    expected.assert_eq(&lines(addresses.split_whitespace().map(|text| {
        let address: IpAddr = text.parse().expect(text);
        (text.to_owned(), format!("{:?}", classify(address)))
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
