//! Classes of IP addresses, after IANA's registries of special-purpose addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use super::Network;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Globally reachable.
    Public,
    /// Of a private network: RFC 1918, unique local (`fc00::/7`), and shared between a provider and its customers
    /// (`100.64.0.0/10`).
    Private,
    /// Of the machine itself.
    Loopback,
    /// Of the local link.
    LinkLocal,
    /// Of a cloud provider's service for the machine: its metadata, with credentials of the machine.
    Metadata,
    /// Of a group of machines.
    Multicast,
    /// Of no machine. Linux connects to the machine itself.
    Unspecified,
    /// Of all machines of the link.
    Broadcast,
    /// For examples.
    Documentation,
    /// For other special purposes, or not assigned. This includes IPv6 addresses that contain an IPv4 address for a tunnel:
    /// 6to4, Teredo and IPv4-compatible addresses, all of which are deprecated.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "an unspecified address",
            Self::Broadcast => "a broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Reserved => "a reserved address",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Network {
    Network::v4([a, b, c, d], length)
}

const fn v6(first: [u16; 3], last: u16, length: u8) -> Network {
    let [a, b, c] = first;
    Network::v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, last), length)
}

/// The class of each network. The longest prefix that contains an address determines its class.
const CLASSES: &[(Network, AddressClass)] = &[
    (v4(0, 0, 0, 0, 0), AddressClass::Public),
    (v4(0, 0, 0, 0, 8), AddressClass::Unspecified),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Private),
    (v4(100, 100, 100, 200, 32), AddressClass::Metadata), // Alibaba
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    (v4(168, 63, 129, 16, 32), AddressClass::Metadata), // Azure
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(169, 254, 169, 254, 32), AddressClass::Metadata),
    (v4(169, 254, 170, 2, 32), AddressClass::Metadata), // containers of AWS
    (v4(169, 254, 170, 23, 32), AddressClass::Metadata), // pods of AWS
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 0, 192, 32), AddressClass::Metadata), // Oracle
    (v4(192, 0, 2, 0, 24), AddressClass::Documentation),
    (v4(192, 88, 99, 0, 24), AddressClass::Reserved), // relays of 6to4
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 0, 15), AddressClass::Reserved), // benchmarks
    (v4(198, 51, 100, 0, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved),
    (v4(255, 255, 255, 255, 32), AddressClass::Broadcast),
    // Only 2000::/3 is assigned to unicast.
    (v6([0, 0, 0], 0, 0), AddressClass::Reserved),
    (v6([0, 0, 0], 0, 128), AddressClass::Unspecified),
    (v6([0, 0, 0], 1, 128), AddressClass::Loopback),
    (v6([0x2000, 0, 0], 0, 3), AddressClass::Public),
    (v6([0x2001, 0, 0], 0, 23), AddressClass::Reserved), // protocols, Teredo among them
    (v6([0x2001, 0xdb8, 0], 0, 32), AddressClass::Documentation),
    (v6([0x2002, 0, 0], 0, 16), AddressClass::Reserved), // 6to4
    (v6([0x3fff, 0, 0], 0, 20), AddressClass::Documentation),
    (v6([0xfc00, 0, 0], 0, 7), AddressClass::Private),
    (v6([0xfd00, 0x42, 0], 0x42, 128), AddressClass::Metadata), // Scaleway
    (v6([0xfd00, 0xec2, 0], 0, 32), AddressClass::Metadata),    // AWS
    (v6([0xfd20, 0xce, 0], 0x254, 128), AddressClass::Metadata), // Google
    (v6([0xfe80, 0, 0], 0, 10), AddressClass::LinkLocal),
    (v6([0xff00, 0, 0], 0, 8), AddressClass::Multicast),
];

/// IPv6 addresses of IPv4 hosts, behind a translator (NAT64, RFC 6052).
const NAT64: Network = v6([0x64, 0xff9b, 0], 0, 96);

/// IPv6 addresses of IPv4 hosts, which the system connects to over IPv4.
const MAPPED: Network = Network::v6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// The address that a connection ends at: of an IPv4-mapped or NAT64 address, the IPv4 address that it contains.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if NAT64.contains(address) || MAPPED.contains(address) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

/// Whether the addresses of a network are all checked as the IPv4 addresses that they contain, so that no rule about the network
/// itself can apply.
pub(super) fn contains_ipv4(network: &Network) -> bool {
    NAT64.contains_network(network) || MAPPED.contains_network(network)
}

/// The class of an address. Of an IPv4-mapped or NAT64 address, the class of the IPv4 address that it contains.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    class_network(canonical(address)).1
}

/// The class of an address, and the network that has it.
pub(super) fn class_network(address: IpAddr) -> (Network, AddressClass) {
    CLASSES
        .iter()
        .filter(|(network, _)| network.contains(address))
        .max_by_key(|(network, _)| network.length())
        .copied()
        .unwrap_or((Network::of_address(address), AddressClass::Reserved))
}
