//! An HTTP server that tasks call. It keeps what it has received.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::support::until;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The headers by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// The value of a header; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The id of the run.
    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key")
    }
}

/// A response. Without a status the server never responds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// A response with this status and body.
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status: Some(status), headers: Vec::new(), body: body.into() }
    }
}

type Answer = dyn Fn(&Received, usize) -> Reply + Send + Sync;

#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Answer>,
}

/// A server on the loopback interface.
pub(crate) struct Server {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts a server. The closure gets a request, and how many requests with its key came before, and returns the response.
    pub(crate) async fn start(
        answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared { received: Arc::default(), answer: Arc::new(answer) };
        let received = Arc::clone(&shared.received);
        let routes = Router::new().fallback(handle).with_state(shared);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("the server runs") });
        Ok(Self { address, received, task })
    }

    /// A URL on the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// Waits until this number of requests has been received.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Received> {
        let polled = until(async || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(format!("{received:#?}")) }
        });
        polled.await.unwrap_or_else(|last| panic!("{count} requests were expected. Received: {last}"))
    }
}

async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let received = Received {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(&to_bytes(body, 1 << 20).await.unwrap_or_default()).into_owned(),
    };
    let before = {
        let mut all = shared.received.lock();
        let before = all.iter().filter(|earlier| earlier.key() == received.key()).count();
        all.push(received.clone());
        before
    };
    let reply = (shared.answer)(&received, before);
    let Some(status) = reply.status else { return std::future::pending().await };
    let mut response = Response::builder().status(status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}
