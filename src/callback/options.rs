//! Options of the client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Options of a [`CallbackClient`](super::CallbackClient).
#[derive(Clone, Debug)]
pub struct CallbackOptions {
    /// A file of certificates in PEM: authorities that are trusted besides those of the system. It is read once.
    pub certificate_authorities: Option<PathBuf>,
    /// DNS servers. Empty: those of `/etc/resolv.conf`. `/etc/hosts` is used as well, search domains are not.
    pub nameservers: Vec<SocketAddr>,
    /// Maximum number of connections, idle ones included. When it is reached, idle connections are closed for new ones, and
    /// further requests wait.
    pub max_connections: usize,
    /// Maximum number of connections of a tenant to one host and port. Further requests wait.
    pub max_connections_per_host: usize,
    /// Time after which an idle connection is closed, at most half as much later.
    pub idle_timeout: Duration,
    /// Maximum size of a response body in bytes. The rest is not read.
    pub max_body_bytes: usize,
    /// Maximum size of the status line and headers of a response in bytes, at least 8,192.
    pub max_header_bytes: usize,
}

impl Default for CallbackOptions {
    fn default() -> Self {
        Self {
            certificate_authorities: None,
            nameservers: Vec::new(),
            max_connections: 1024,
            max_connections_per_host: 64,
            idle_timeout: Duration::from_secs(60),
            max_body_bytes: 64 * 1024,
            max_header_bytes: 32 * 1024,
        }
    }
}
