//! Ranges of IP addresses.

// `core::net` has the address types only; `std::net` has the sockets as well.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// A range of IP addresses: all that share the first bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// A network of IPv4 addresses, by its address and the length of its prefix in bits.
    pub(super) const fn v4(address: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = address;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    /// A network of IPv6 addresses, by its address and the length of its prefix in bits.
    pub(super) const fn v6(address: Ipv6Addr, length: u8) -> Self {
        Self { address: IpAddr::V6(address), length }
    }

    /// The network that begins at an address. `None` if the prefix is longer than the address, or the address has bits after it.
    pub(super) fn new(address: IpAddr, length: u8) -> Option<Self> {
        (length <= width(address) && Self::first_address(address, length) == address)
            .then_some(Self { address, length })
    }

    /// The network of one address.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self { address, length: width(address) }
    }

    /// The length of the prefix in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The first address of the network with an address.
    pub(super) fn first_address(address: IpAddr, length: u8) -> IpAddr {
        let shift = u32::from(width(address).saturating_sub(length));
        match address {
            IpAddr::V4(v4) => {
                let prefix = v4.to_bits().checked_shr(shift).unwrap_or_default();
                IpAddr::V4(Ipv4Addr::from_bits(prefix.checked_shl(shift).unwrap_or_default()))
            }
            IpAddr::V6(v6) => {
                let prefix = v6.to_bits().checked_shr(shift).unwrap_or_default();
                IpAddr::V6(Ipv6Addr::from_bits(prefix.checked_shl(shift).unwrap_or_default()))
            }
        }
    }

    /// Whether an address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        width(address) == width(self.address) && Self::first_address(address, self.length) == self.address
    }

    /// Whether all addresses of another network are in this one.
    #[must_use]
    pub fn contains_network(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The length of an address in bits.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
