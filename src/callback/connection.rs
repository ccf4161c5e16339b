//! Connections: TCP, TLS and HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::error::{CallbackError, Phase};
use super::resolver::CheckedAddress;
use super::tls;
use crate::domain::callback::{Endpoint, EndpointHost, Scheme};

/// Addresses of a host that are tried.
const MAX_ATTEMPTS: usize = 8;

/// How long an address may take before the next one is tried as well (RFC 8305).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Headers of a response.
const MAX_HEADERS: usize = 100;

/// The smallest buffer that hyper supports, in bytes.
const MIN_BUFFER: usize = 8 * 1024;

/// What opens connections.
pub(super) struct Connector {
    pub(super) tls: TlsConnector,
    /// Maximum size of the status line and headers of a response, in bytes.
    pub(super) max_header_bytes: usize,
}

/// An open connection. It is closed when it is dropped.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    peer: IpAddr,
    _task: AbortOnDropHandle<()>,
}

impl Connector {
    /// Connects to one of the addresses. The permit is held until the connection is closed.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        addresses: &[CheckedAddress],
        permit: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Connection, CallbackError> {
        let timeout = |phase| CallbackError::Timeout { endpoint: endpoint.clone(), phase };
        let (stream, peer) = timeout_at(deadline, open_first(addresses))
            .await
            .map_err(|_| timeout(Phase::Connect))?
            .map_err(|source| CallbackError::Connect { endpoint: endpoint.clone(), source })?;
        match endpoint.scheme {
            Scheme::Http => self.start(stream, peer, endpoint, permit).await,
            Scheme::Https => {
                let handshake = self.tls.connect(server_name(endpoint)?, stream);
                let stream = timeout_at(deadline, handshake)
                    .await
                    .map_err(|_| timeout(Phase::Handshake))?
                    .map_err(|source| CallbackError::Tls {
                        endpoint: endpoint.clone(),
                        failure: tls::failure(&source),
                        source,
                    })?;
                self.start(stream, peer, endpoint, permit).await
            }
        }
    }

    /// Starts HTTP/1.1 on a stream, with a task that ends with the connection.
    async fn start<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        endpoint: &Endpoint,
        permit: OwnedSemaphorePermit,
    ) -> Result<Connection, CallbackError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(self.max_header_bytes.max(MIN_BUFFER))
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| CallbackError::Closed { endpoint: endpoint.clone(), source })?;
        let task = tokio::spawn(async move {
            // An error is returned to the request as well.
            let _ = connection.await;
            drop(permit);
        });
        Ok(Connection { sender, peer: peer.ip(), _task: AbortOnDropHandle::new(task) })
    }
}

impl Connection {
    /// The address that it is connected to.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether the server has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until it can send the next request. Returns whether it can.
    pub(super) async fn is_reusable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the headers of its response. The error contains the request if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        self.sender.try_send_request(request).await
    }
}

fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, CallbackError> {
    match &endpoint.host {
        EndpointHost::Address(address) => Ok(ServerName::from(*address)),
        EndpointHost::Name(name) => ServerName::try_from(name.clone()).map_err(|error| CallbackError::Tls {
            endpoint: endpoint.clone(),
            failure: super::TlsFailure::WrongName,
            source: io::Error::other(error),
        }),
    }
}

/// Opens a TCP connection to the first address that accepts one. While an address does not answer, the next is tried as well.
async fn open_first(addresses: &[CheckedAddress]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut attempts = FuturesUnordered::new();
    let mut remaining = addresses.iter().take(MAX_ATTEMPTS);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        match remaining.next() {
            Some(address) => attempts.push(open(address.get())),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let is_last = remaining.len() == 0;
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if !is_last => {}
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}
