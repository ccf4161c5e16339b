//! The entries of `spec.callbacks.hosts`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use super::Network;
use super::address::{AddressClass, class_network, contains_ipv4};

/// The length of a DNS name, in bytes.
const MAX_NAME: usize = 253;

/// The length of a label of a DNS name, in bytes.
const MAX_LABEL: usize = 63;

/// Hosts that a tenant may call: a name, all names below a domain, an address or a network; of each, all ports or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: String,
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Name(String),
    /// The names below a domain, but not the domain: `.example.com`.
    Below(String),
    Network(Network),
}

/// Why a text is no [`HostPattern`]: the rule and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidHostPattern(String);

impl HostPattern {
    /// Whether it lists a name, at a port.
    pub(super) fn matches_name(&self, name: &str, port: u16) -> bool {
        self.has_port(port)
            && match &self.hosts {
                Hosts::Name(listed) => listed == name,
                Hosts::Below(domain) => name.len() > domain.len() && name.ends_with(domain.as_str()),
                Hosts::Network(_) => false,
            }
    }

    /// Whether it lists an address, at a port. A network lists addresses that are not public only if all of its addresses are in
    /// the same class, so that `0.0.0.0/0` does not list the loopback addresses.
    pub(super) fn matches_address(&self, address: IpAddr, port: u16) -> bool {
        let Hosts::Network(network) = &self.hosts else { return false };
        let (class_network, class) = class_network(address);
        self.contains(address, port)
            && (class == AddressClass::Public || class_network.contains_network(network))
    }

    /// Whether an address is in a network of the entry, which nevertheless may not list it.
    pub(super) fn contains(&self, address: IpAddr, port: u16) -> bool {
        self.has_port(port) && matches!(&self.hosts, Hosts::Network(network) if network.contains(address))
    }

    /// Whether it lists addresses, at a port.
    pub(super) fn lists_addresses(&self, port: u16) -> bool {
        self.has_port(port) && matches!(self.hosts, Hosts::Network(_))
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|listed| listed == port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let (host, port) = split_port(text)?;
        let hosts = match host.strip_prefix("*.") {
            Some(domain) => {
                check_name(domain)?;
                if !domain.contains('.') {
                    return Err(invalid(
                        "a wildcard needs a domain of at least two labels",
                        "write it like *.example.com",
                    ));
                }
                Hosts::Below(format!(".{domain}"))
            }
            None => match parse_network(host)? {
                Some(network) => Hosts::Network(network),
                None => {
                    check_name(host)?;
                    Hosts::Name(host.to_owned())
                }
            },
        };
        Ok(Self { text: text.to_owned(), hosts, port })
    }
}

fn invalid(rule: impl fmt::Display, remedy: impl fmt::Display) -> InvalidHostPattern {
    InvalidHostPattern(format!("{rule}: {remedy}"))
}

/// Splits an entry into host and port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), InvalidHostPattern> {
    if text.contains("://") {
        return Err(invalid("an entry is a host, not a URL", "write it without the scheme and the path"));
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return Err(invalid("an IPv6 address has no closing bracket", "write it like [fd00::1]:8443"));
        };
        if !host.contains(':') {
            return Err(invalid("only an IPv6 address is in brackets", "remove them"));
        }
        match port {
            "" => (host, None),
            _ => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => {
                    return Err(invalid(
                        "only a port follows an IPv6 address in brackets",
                        "write it like [fd00::1]:8443",
                    ));
                }
            },
        }
    } else if text.matches(':').count() > 1 {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let Some(port) = port else { return Ok((host, None)) };
    let is_port = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if is_port => Ok((host, Some(port))),
        _ => {
            Err(invalid("the port is not between 1 and 65535", "correct it, or remove it to allow all ports"))
        }
    }
}

/// Parses an address or a network. `None` if the text is neither.
fn parse_network(text: &str) -> Result<Option<Network>, InvalidHostPattern> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let parsed: Option<IpAddr> = match address.contains(':') {
        true => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        false => address.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    let Some(address) = parsed else {
        return match length.is_some() || address.contains(':') {
            true => Err(invalid(
                "it is no IP address",
                "write an address like 10.0.0.1 or fd00::1, or a network like 10.0.0.0/8 or fd00::/8",
            )),
            false => Ok(None),
        };
    };
    let network = match length {
        None => Network::of_address(address),
        Some(length) => {
            let max = Network::of_address(address).length();
            let is_number = !length.is_empty()
                && length.bytes().all(|byte| byte.is_ascii_digit())
                && (length == "0" || !length.starts_with('0'));
            let length = length.parse::<u8>().ok().filter(|length| is_number && *length <= max);
            let Some(length) = length else {
                return Err(invalid(
                    format_args!("the prefix of a network has 0 to {max} bits"),
                    "write it like 10.0.0.0/8 or fd00::/8",
                ));
            };
            Network::new(address, length).ok_or_else(|| {
                let first = Network::first_address(address, length);
                invalid("the address has bits after the prefix", format_args!("write {first}/{length}"))
            })?
        }
    };
    if contains_ipv4(&network) {
        return Err(invalid(
            "IPv4-mapped and NAT64 addresses are checked as the IPv4 addresses that they contain",
            "write the IPv4 address or network",
        ));
    }
    Ok(Some(network))
}

/// Checks a host name as entries write it: in lower case, without a dot at the end.
fn check_name(name: &str) -> Result<(), InvalidHostPattern> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid("a host name is in lower case", "write it so"));
    }
    if !is_host_name(name) {
        return Err(invalid(
            "it is neither a host name nor an IP address",
            "write a name like api.example.com (of an international one the form with xn--), all names below a domain \
             like *.example.com, an address or a network like 10.0.0.0/8, with or without a port like :8443",
        ));
    }
    if ends_in_number(name) {
        return Err(invalid(
            "a host name does not end in a number",
            "write an IPv4 address as four decimal numbers",
        ));
    }
    Ok(())
}

/// Whether it is a host name in lower case. Underscores are in names of some internal services.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// Whether a URL with this host has an IPv4 address instead, possibly in an unusual form (WHATWG's "ends in a number").
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal =
        last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}
