//! The HTTPS server: connections, limits and graceful shutdown.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// An API server has one connection for each running review.
const MAX_CONNECTIONS: usize = 1_024;

/// Timeout of the TLS handshake, and then of the first request's headers.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than an API server keeps an idle connection (90 s): if the webhook closed it first, a review sent at that moment
/// would fail.
const IDLE_TIMEOUT: Duration = Duration::from_mins(3);

/// How long running reviews may take to finish.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How the server shuts down.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    /// Starts the shutdown.
    pub(super) stop: CancellationToken,
    /// How long it still serves after that, until the Service has removed this replica.
    pub(super) drain: Duration,
}

/// Serves until the shutdown, and then finishes the running requests.
pub(super) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, routes: Router, shutdown: Shutdown) {
    let acceptor = TlsAcceptor::from(tls);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let draining = Arc::new(AtomicBool::new(false));
    let end = async {
        shutdown.stop.cancelled().await;
        // Active connections close after their next response, so that the API server connects to another replica.
        draining.store(true, Ordering::Relaxed);
        sleep(shutdown.drain).await;
    };
    let accept = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes it");
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely too many open files; this is temporary.
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = connection(
                acceptor.clone(),
                stream,
                routes.clone(),
                graceful.watcher(),
                Arc::clone(&draining),
            );
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended early");
                }
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = end => {}
    }
    drop(listener);
    if timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("running reviews did not finish in time");
    }
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    routes: Router,
    watcher: Watcher,
    draining: Arc<AtomicBool>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let encrypted = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    let encrypted = encrypted
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| format!("the TLS handshake: {error}"))?;
    let received = Arc::new(AtomicBool::new(false));
    let routes = TowerToHyperService::new(routes);
    let service = {
        let received = Arc::clone(&received);
        service_fn(move |request: Request<Incoming>| {
            received.store(true, Ordering::Relaxed);
            let (response, draining) = (routes.call(request), Arc::clone(&draining));
            async move {
                let mut response = response.await?;
                // Clients that send anything but reviews have to reconnect.
                if draining.load(Ordering::Relaxed) || !response.status().is_success() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(encrypted), service);
    let http = std::pin::pin!(watcher.watch(http));
    let no_request = async {
        sleep(HANDSHAKE_TIMEOUT).await;
        if received.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        result = http => result.map_err(|error| error.to_string()),
        () = no_request => Err("no request in time".into()),
    }
}
