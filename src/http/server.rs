//! Accepting connections, answering requests, and graceful shutdown.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::unidentified::UnidentifiedConnections;
use super::{ClientIdentification, ServingCertificate};

/// How long the server waits after `accept` failed, most likely because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. Further clients wait until one is closed.
    pub max_connections: usize,
    /// Open connections whose client no route has identified ([`ClientIdentification`]); a further one closes the oldest.
    /// `None`: clients are not identified.
    pub max_unidentified: Option<usize>,
    /// Duration of a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time from the handshake to the end of the first request's headers.
    pub first_request_timeout: Duration,
    /// Time that a connection may be idle, including the headers of the next request.
    pub idle_timeout: Duration,
    /// Time after which a connection is closed, also in the middle of a response. `None`: responses may take any time.
    pub max_age: Option<Duration>,
    /// Size of request line and headers in bytes. hyper answers 431 somewhere between this and twice this size.
    pub max_header_bytes: usize,
    /// Number of headers; hyper's default if `None`.
    pub max_headers: Option<usize>,
    /// Time after `stop` during which connections are still accepted and answered.
    pub drain: Duration,
    /// Time after `drain` for the requests in progress.
    pub shutdown_timeout: Duration,
}

/// The address of the client, an extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Answers requests, over TLS if there is a certificate, until `stop` is cancelled and the requests in progress are answered.
pub async fn serve(
    listener: TcpListener,
    certificate: Option<&ServingCertificate>,
    routes: Router,
    limits: Limits,
    stop: &CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    let unidentified = limits.max_unidentified.map(UnidentifiedConnections::new);
    let graceful = GracefulShutdown::new();
    let accept = async {
        loop {
            let permit = Arc::clone(&connections).acquire_owned().await.expect("it is never closed");
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let client = unidentified.as_ref().map(UnidentifiedConnections::register);
            let connection =
                Connection { routes: routes.clone(), watcher: graceful.watcher(), peer, client, limits };
            let certificate = certificate.cloned();
            tokio::spawn(async move {
                if let Err(error) = connection.accept_unless_closed(stream, certificate).await {
                    tracing::debug!(error, "a connection ended early");
                }
                drop(permit);
            });
        }
    };
    let drained = async {
        stop.cancelled().await;
        sleep(limits.drain).await;
    };
    tokio::select! {
        () = accept => {}
        () = drained => {}
    }
    drop(listener);
    if timeout(limits.shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests in progress were not answered before the shutdown timeout");
    }
}

struct Connection {
    routes: Router,
    watcher: Watcher,
    peer: SocketAddr,
    client: Option<ClientIdentification>,
    limits: Limits,
}

impl Connection {
    /// Serves the connection until it ends, or is closed in favour of others because its client is not identified.
    async fn accept_unless_closed(
        self,
        stream: TcpStream,
        certificate: Option<ServingCertificate>,
    ) -> Result<(), String> {
        let Some(client) = self.client.clone() else { return self.accept(stream, certificate).await };
        tokio::select! {
            ended = self.accept(stream, certificate) => ended,
            () = client.closed() => Err("too many clients are not identified".into()),
        }
    }

    async fn accept(self, stream: TcpStream, certificate: Option<ServingCertificate>) -> Result<(), String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let Some(certificate) = certificate else { return self.serve(stream).await };
        let handshake = timeout(self.limits.handshake_timeout, certificate.acceptor().accept(stream)).await;
        let stream = handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| {
            certificate.clients().inspect(|clients| clients.report(&error));
            format!("the TLS handshake: {error}")
        })?;
        self.serve(stream).await
    }

    async fn serve<S>(self, stream: S) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { routes, watcher, peer, client, limits } = self;
        let has_request = Arc::new(AtomicBool::new(false));
        let peer = Peer(peer.ip().to_canonical());
        let routes = TowerToHyperService::new(routes);
        let service = {
            let has_request = Arc::clone(&has_request);
            service_fn(move |mut request: Request<Incoming>| {
                has_request.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(peer);
                client.clone().map(|client| request.extensions_mut().insert(client));
                routes.call(request)
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(limits.max_header_bytes);
        if let Some(max_headers) = limits.max_headers {
            http.max_headers(max_headers);
        }
        let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        let connection = std::pin::pin!(connection);
        let no_request = async {
            sleep(limits.first_request_timeout).await;
            if has_request.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let expired = async {
            match limits.max_age {
                Some(age) => sleep(age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = connection => result.map_err(|error| error.to_string()),
            () = no_request => Err("it sent no request in time".into()),
            () = expired => Err("it has reached its maximum age".into()),
        }
    }
}
