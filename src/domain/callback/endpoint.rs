//! What a URL is connected to.

use core::net::IpAddr;
use std::fmt;

use eventcenter_sdk::Reason;
use url::{Host, Url};

use super::pattern::is_host_name;
use crate::domain::refusal::Refusal;

/// The length of a URL, in bytes.
const MAX_URL: usize = 2048;

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointHost {
    /// A name: in lower case and ASCII, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: EndpointHost,
    /// The port, that of the scheme if the URL has none.
    pub port: u16,
}

impl fmt::Display for EndpointHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Host and port, as in a URL.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            EndpointHost::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl Endpoint {
    /// The endpoint of a URL. `field` is the path of the field with the URL.
    ///
    /// # Errors
    /// The URL cannot be called. The message contains neither its path nor its query, which may be secrets.
    pub fn of(field: &str, url: &Url) -> Result<Self, Refusal> {
        let invalid = |detail: &str| Refusal::at(Reason::InvalidResource, field, detail);
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(invalid("only http and https URLs are called: write https://HOST/PATH")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "a URL contains no user name and no password, because everybody who reads the resource sees them: \
                 put them into a Secret, and send them in a header",
            ));
        }
        if url.fragment().is_some() {
            return Err(invalid("a fragment is never sent: remove # and what follows it"));
        }
        let host = match url.host() {
            Some(Host::Ipv4(v4)) => EndpointHost::Address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => EndpointHost::Address(IpAddr::V6(v6)),
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if !is_host_name(name) {
                    return Err(invalid(
                        "the host is neither a host name nor an IP address: write a name of letters, digits, '-' and \
                         '_', in labels of at most 63 and together at most 253 characters",
                    ));
                }
                EndpointHost::Name(name.to_owned())
            }
            None => return Err(invalid("a URL needs a host: write https://HOST/PATH")),
        };
        match url.port_or_known_default() {
            Some(port) if port > 0 => Ok(Self { scheme, host, port }),
            _ => {
                Err(invalid("a port is between 1 and 65535: correct it, or remove it for that of the scheme"))
            }
        }
    }
}

/// Parses a URL as browsers do (WHATWG), but not what they correct: a reader would take `https://a.example\@b.example` for a URL
/// of `b.example`, and `https:///a` for one without a host. `field` is the path of the field with the URL.
///
/// # Errors
/// The text is no URL. The message does not contain it, because it may have secrets.
pub fn parse_url(field: &str, text: &str) -> Result<Url, Refusal> {
    let invalid = |detail: String| Refusal::at(Reason::InvalidResource, field, detail);
    if text.len() > MAX_URL {
        return Err(invalid(format!("a URL has at most {MAX_URL} characters: shorten it")));
    }
    if text.chars().any(|char| char.is_whitespace() || char.is_control() || char == '\\') {
        return Err(invalid(
            "a URL has no spaces, control characters and backslashes: percent-encode them".into(),
        ));
    }
    let url = Url::parse(text)
        .map_err(|error| invalid(format!("it is no URL ({error}): write https://HOST/PATH")))?;
    let host = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    match host {
        Some(host) if !host.starts_with('/') => Ok(url),
        _ => Err(invalid("the host of a URL is between // and /: write https://HOST/PATH".into())),
    }
}
