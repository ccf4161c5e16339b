//! HTTPS: connections, their limits, and their end.

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

/// How many connections there are at once. An API server has one for each review under way.
const CONNECTIONS: usize = 1_024;

/// How long a TLS handshake may take, and after it the first request's headers.
const GREETING: Duration = Duration::from_secs(10);

/// How long a connection may do nothing. Longer than an API server keeps one (90 s): if we were the
/// first to close it, a review sent at that moment would fail.
const IDLE: Duration = Duration::from_mins(3);

/// How long reviews under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// How the server ends.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    /// From when on it should.
    pub(super) stop: CancellationToken,
    /// How long it goes on answering after that, so that whoever sends reviews learns of it.
    pub(super) drain: Duration,
}

/// Answers until it is told to stop and everything that was begun has been answered.
pub(super) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, routes: Router, ending: Ending) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let leaving = Arc::new(AtomicBool::new(false));
    let end = async {
        ending.stop.cancelled().await;
        // Connections that are used end with their next answer, so that the API server looks for another replica.
        leaving.store(true, Ordering::Relaxed);
        sleep(ending.drain).await;
    };
    let accept = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many files, most likely: there will be fewer.
                    tracing::warn!(%error, "accepting a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = connection(
                acceptor.clone(),
                stream,
                routes.clone(),
                graceful.watcher(),
                Arc::clone(&leaving),
            );
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
        () = end => {}
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("reviews that were under way did not end in time");
    }
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    routes: Router,
    watcher: Watcher,
    leaving: Arc<AtomicBool>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let encrypted = timeout(GREETING, acceptor.accept(stream)).await;
    let encrypted = encrypted
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| format!("the TLS handshake: {error}"))?;
    let begun = Arc::new(AtomicBool::new(false));
    let routes = TowerToHyperService::new(routes);
    let service = {
        let begun = Arc::clone(&begun);
        service_fn(move |request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            let (answer, leaving) = (routes.call(request), Arc::clone(&leaving));
            async move {
                let mut answer = answer.await?;
                // Whoever sends anything but reviews has to knock again.
                if leaving.load(Ordering::Relaxed) || !answer.status().is_success() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(answer)
            }
        })
    };
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(encrypted), service);
    let http = std::pin::pin!(watcher.watch(http));
    let silent = async {
        sleep(GREETING).await;
        if begun.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        result = http => result.map_err(|error| error.to_string()),
        () = silent => Err("it sent no request in time".into()),
    }
}
