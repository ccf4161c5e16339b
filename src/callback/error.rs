//! Why a request has no response.
//!
//! No error contains a header, a body, or the path and query of a URL: all of them may be secrets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use hickory_resolver::net::NetError;

use crate::domain::Refusal;
use crate::domain::callback::Endpoint;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of certificate authorities cannot be read.
    #[error("reading the certificate authorities in {}", path.display())]
    ReadAuthorities {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file of certificate authorities contains none, or an invalid one.
    #[error("{} contains no certificate authorities in PEM: {detail}", path.display())]
    InvalidAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The configuration of DNS is invalid.
    #[error("reading the system's DNS configuration")]
    Resolver(#[source] NetError),
    /// rustls does not support the TLS versions.
    #[error("configuring TLS")]
    Tls(#[source] rustls::Error),
}

/// What a request was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One of the limited number of connections.
    Queue,
    /// The addresses of the host.
    Resolve,
    /// A TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// The status and headers of the response.
    Response,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "a free connection",
            Self::Resolve => "the addresses of the host",
            Self::Connect => "a TCP connection",
            Self::Handshake => "the TLS handshake",
            Self::Response => "the response",
        })
    }
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// No trusted authority issued the certificate.
    UnknownIssuer,
    /// The certificate has expired.
    Expired,
    /// The certificate is not yet valid.
    NotYetValid,
    /// The certificate is for another host.
    WrongName,
    /// The certificate is invalid for another reason.
    InvalidCertificate,
    /// The server refused the handshake.
    RefusedByServer,
    /// The server supports no version or algorithm that rustls supports.
    Incompatible,
    /// The server does not speak TLS.
    NoTls,
    /// The connection ended during the handshake.
    Interrupted,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "no trusted authority issued the certificate",
            Self::Expired => "the certificate has expired",
            Self::NotYetValid => "the certificate is not yet valid",
            Self::WrongName => "the certificate is for another host",
            Self::InvalidCertificate => "the certificate is invalid",
            Self::RefusedByServer => "the server refused the handshake",
            Self::Incompatible => {
                "the server supports no version or algorithm of TLS that the operator supports"
            }
            Self::NoTls => "the server does not speak TLS",
            Self::Interrupted => "the connection ended during the handshake",
        })
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The request may not or cannot be sent; retrying cannot succeed until the tenant, the resource or DNS changes.
    #[error("{0}")]
    Refused(Refusal),
    /// The host has no address.
    #[error(
        "the host of {endpoint} has no address: correct the name, and write it in full, because search domains are not used, \
         such as NAME.NAMESPACE.svc.cluster.local for a Service"
    )]
    NoAddress {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// No DNS server answered.
    #[error("resolving the host of {endpoint}")]
    Resolve {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: Box<NetError>,
    },
    /// None of the host's addresses accepted a connection.
    #[error("connecting to {endpoint}")]
    Connect {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause at the last address.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS with {endpoint}: {failure}")]
    Tls {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why it failed.
        failure: TlsFailure,
        /// The cause.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("the timeout passed while waiting for {phase} of {endpoint}")]
    Timeout {
        /// The endpoint.
        endpoint: Endpoint,
        /// What the request was waiting for.
        phase: Phase,
    },
    /// The connection was closed before a response arrived.
    #[error("{endpoint} closed the connection before it responded")]
    Closed {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: hyper::Error,
    },
    /// The response is not HTTP/1.1, or its headers are too large.
    #[error("reading the response of {endpoint}")]
    Protocol {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: hyper::Error,
    },
}

impl CallbackError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Whether the server may have received the request, so that a retry could repeat its effect.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        matches!(
            self,
            Self::Closed { .. } | Self::Protocol { .. } | Self::Timeout { phase: Phase::Response, .. }
        )
    }
}
