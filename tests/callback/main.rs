//! The client of callbacks, against servers on the loopback interface and a DNS server.
//!
//! The policies of these tests list the addresses of their servers, because loopback addresses are refused otherwise. Each
//! request contains secrets, and [`fail`] checks that no error shows them.

// Tests fail by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

mod dns;
mod exchange;
mod guard;
mod limit;
mod pool;
mod server;
mod timeout;
mod tls;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use eventcenter::callback::{
    Bytes, CallbackClient, CallbackError, CallbackOptions, CallbackRequest, CallbackResponse, HeaderMap,
    HeaderValue, Method,
};
use eventcenter::domain::callback::{HostPolicy, parse_url};
use eventcenter::error_chain::ErrorChain;
use tokio::time::Instant;

/// More than any request of a test takes that has a response.
const LONG: Duration = Duration::from_secs(60);

/// For requests that have none.
const SHORT: Duration = Duration::from_secs(1);

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Another address of the loopback interface.
const OTHER_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn client() -> CallbackClient {
    client_with(&CallbackOptions::default())
}

fn client_with(options: &CallbackOptions) -> CallbackClient {
    CallbackClient::new(options).unwrap()
}

/// The policy of a tenant that lists these hosts.
fn policy(tenant: &str, hosts: &[&str]) -> HostPolicy {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    HostPolicy::of(&tenant.parse().unwrap(), &hosts).unwrap()
}

/// The policy of a tenant that may call the servers of the tests.
fn local() -> HostPolicy {
    policy("shop", &["127.0.0.1/32"])
}

/// A request with a secret in each of its parts.
fn request(url: &str) -> CallbackRequest {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("secret-header"));
    CallbackRequest {
        field: "spec.target.http".into(),
        method: Method::POST,
        url: parse_url("spec.target.http.url", &format!("{url}/secret-path?key=secret-query")).unwrap(),
        headers,
        body: Bytes::from_static(b"secret-body"),
    }
}

async fn call(client: &CallbackClient, url: &str, policy: &HostPolicy) -> CallbackResponse {
    let response = client.send(request(url), policy, Instant::now() + LONG).await;
    response.unwrap_or_else(|error| panic!("{url}: {}", ErrorChain(&error)))
}

/// Sends a request that fails before the timeout.
async fn fail(client: &CallbackClient, url: &str, policy: &HostPolicy, timeout: Duration) -> CallbackError {
    let request = request(url);
    let shown = format!("{request:?}");
    let error = client.send(request, policy, Instant::now() + timeout).await.expect_err(url);
    let shown = format!("{shown} {error:?} {}", ErrorChain(&error));
    assert!(!shown.contains("secret"), "{shown}");
    error
}

/// The text of an error, with `PORT` for the port of the server.
fn text(error: &CallbackError, port: u16) -> String {
    ErrorChain(error).to_string().replace(&port.to_string(), "PORT")
}
