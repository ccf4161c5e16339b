//! Connections, their limits, and their end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How many connections there are at once. Whoever comes when there are so many waits.
const CONNECTIONS: usize = 1_024;

/// How long a TLS handshake may take.
const GREETING: Duration = Duration::from_secs(10);

/// How long a request's headers may take, and how long a connection may do nothing before the next one.
const HEADERS: Duration = Duration::from_secs(30);

/// How large a request's line and headers may be together, in bytes: somewhere between this and twice of it, where hyper
/// stops reading, it answers 431. Tokens with many groups have some kilobytes.
const LARGEST: usize = 32 * 1024;

/// How many headers there may be.
const MOST: usize = 64;

/// How long what is under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Answers until it is told to stop and everything that was begun has been answered.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let accept = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Too many files, most likely: there will be fewer.
                    tracing::warn!(%error, "accepting a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = connection(tls.clone(), stream, from, routes.clone(), graceful.watcher());
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended early");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that were under way did not end in time");
    }
}

async fn connection(
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    from: SocketAddr,
    routes: Router,
    watcher: Watcher,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let peer = Peer(from.ip().to_canonical());
    match tls {
        None => answer(stream, peer, routes, watcher).await,
        Some(acceptor) => {
            let encrypted = timeout(GREETING, acceptor.accept(stream)).await;
            let encrypted = encrypted
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|error| format!("the TLS handshake: {error}"))?;
            answer(encrypted, peer, routes, watcher).await
        }
    }
}

async fn answer<S>(stream: S, peer: Peer, routes: Router, watcher: Watcher) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(LARGEST)
        .max_headers(MOST)
        .serve_connection(TokioIo::new(stream), service);
    watcher.watch(http).await.map_err(|error| error.to_string())
}
