//! Servers of the tests.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A response that keeps the connection.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server on a port of its own. It ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: watch::Receiver<Vec<String>>,
    closed: watch::Receiver<usize>,
    _task: AbortOnDropHandle<()>,
}

/// What a connection's handler reports to the server.
#[derive(Clone)]
pub(crate) struct Log(Arc<watch::Sender<Vec<String>>>);

impl Log {
    /// Reads the next request. `None` if the client has closed the connection.
    pub(crate) async fn read<S: AsyncRead + Unpin>(&self, stream: &mut S) -> Option<()> {
        let request = read_request(stream).await?;
        self.0.send_modify(|requests| requests.push(request));
        Some(())
    }
}

impl Server {
    /// Answers each request with the same bytes.
    pub(crate) async fn respond(ip: IpAddr, response: impl Into<Vec<u8>>) -> Self {
        Self::respond_at(SocketAddr::new(ip, 0), response).await
    }

    pub(crate) async fn respond_at(address: SocketAddr, response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<[u8]> = response.into().into();
        Self::handle_at(address, move |mut stream, log| {
            let response = Arc::clone(&response);
            async move {
                while log.read(&mut stream).await.is_some() {
                    // The client may have read enough.
                    let _ = stream.write_all(&response).await;
                }
            }
        })
        .await
    }

    /// Handles each connection with a function.
    pub(crate) async fn handle<F>(ip: IpAddr, handler: impl Fn(TcpStream, Log) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::handle_at(SocketAddr::new(ip, 0), handler).await
    }

    async fn handle_at<F>(address: SocketAddr, handler: impl Fn(TcpStream, Log) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, requests) = watch::channel(Vec::new());
        let (closing, closed) = watch::channel(0);
        let (log, closing) = (Log(Arc::new(log)), Arc::new(closing));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let connection = handler(stream, log.clone());
                let closing = Arc::clone(&closing);
                tokio::spawn(async move {
                    connection.await;
                    closing.send_modify(|closed| *closed += 1);
                });
            }
        });
        Self { address, connections, requests, closed, _task: AbortOnDropHandle::new(task) }
    }

    /// Its URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a name at its port.
    pub(crate) fn url_of(&self, name: &str) -> String {
        format!("http://{name}:{}", self.address.port())
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Waits until it has received this many requests.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        self.requests.clone().wait_for(|requests| requests.len() >= count).await.unwrap();
    }

    /// Waits until this many connections are closed.
    pub(crate) async fn wait_for_closed(&self, count: usize) {
        self.closed.clone().wait_for(|closed| *closed >= count).await.unwrap();
    }
}

/// Reads a request with its body. `None` at the end of the connection.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    bytes.extend(body);
    Some(String::from_utf8(bytes).unwrap())
}
