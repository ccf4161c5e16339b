//! The deadline, in each phase of a request.

use std::net::SocketAddr;

use eventcenter::callback::{BodyEnd, CallbackClient, CallbackError, CallbackOptions, Phase};
use eventcenter::domain::callback::HostPolicy;
use expect_test::expect;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::server::Server;
use crate::{LOCALHOST, LONG, SHORT, call, client, client_with, fail, local, policy, request, text};

async fn expect_phase(client: &CallbackClient, url: &str, policy: &HostPolicy, expected: Phase) -> String {
    let error = fail(client, url, policy, SHORT).await;
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
    match &error {
        CallbackError::Timeout { phase, .. } if *phase == expected => {
            assert_eq!(error.may_have_been_sent(), expected == Phase::Response);
            text(&error, port)
        }
        other => panic!("{other:?}"),
    }
}

/// A server that reads requests and does not respond.
async fn silent() -> Server {
    Server::handle(LOCALHOST, |mut stream, log| async move { while log.read(&mut stream).await.is_some() {} })
        .await
}

#[tokio::test]
async fn the_deadline_ends_the_wait_for_a_connection() {
    let server = silent().await;
    let client = client_with(&CallbackOptions { max_connections_per_host: 1, ..CallbackOptions::default() });
    let first = {
        let (client, request) = (client.clone(), request(&server.url()));
        tokio::spawn(async move { client.send(request, &local(), Instant::now() + LONG).await })
    };
    server.wait_for_requests(1).await;
    let text = expect_phase(&client, &server.url(), &local(), Phase::Queue).await;
    expect!["the timeout passed while waiting for a free connection of 127.0.0.1:PORT"].assert_eq(&text);
    // A request that is given up closes its connection.
    first.abort();
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn the_deadline_ends_the_resolution() {
    let silent = UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
    let nameservers = vec![silent.local_addr().unwrap()];
    let client = client_with(&CallbackOptions { nameservers, ..CallbackOptions::default() });
    let text = expect_phase(&client, "http://api.example.com", &policy("shop", &[]), Phase::Resolve).await;
    expect!["the timeout passed while waiting for the addresses of the host of api.example.com:PORT"]
        .assert_eq(&text);
}

/// The kernel does not answer once the queue of a listener that accepts nothing is full.
#[tokio::test]
async fn the_deadline_ends_the_connect() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(LOCALHOST, 0)).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 100, "the queue has no end");
    }
    let text = expect_phase(&client(), &format!("http://{address}"), &local(), Phase::Connect).await;
    expect!["the timeout passed while waiting for a TCP connection of 127.0.0.1:PORT"].assert_eq(&text);
}

#[tokio::test]
async fn the_deadline_ends_the_handshake() {
    let server = Server::handle(LOCALHOST, |stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let url = server.url().replace("http", "https");
    let text = expect_phase(&client(), &url, &local(), Phase::Handshake).await;
    expect!["the timeout passed while waiting for the TLS handshake of 127.0.0.1:PORT"].assert_eq(&text);
}

#[tokio::test]
async fn the_deadline_ends_the_wait_for_a_response() {
    let server = silent().await;
    let text = expect_phase(&client(), &server.url(), &local(), Phase::Response).await;
    expect!["the timeout passed while waiting for the response of 127.0.0.1:PORT"].assert_eq(&text);
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn the_deadline_ends_the_wait_for_the_rest_of_the_headers() {
    let server = Server::handle(LOCALHOST, |mut stream, log| async move {
        log.read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: a").await.unwrap();
        log.read(&mut stream).await;
    })
    .await;
    expect_phase(&client(), &server.url(), &local(), Phase::Response).await;
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn the_deadline_cuts_a_slow_body() {
    let server = Server::handle(LOCALHOST, |mut stream, log| async move {
        log.read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").await.unwrap();
        log.read(&mut stream).await;
    })
    .await;
    let response = client().send(request(&server.url()), &local(), Instant::now() + SHORT).await.unwrap();
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!((&*response.body, response.body_end), (&b"part"[..], BodyEnd::TimedOut));
    server.wait_for_closed(1).await;
}

/// A request whose deadline has passed is not sent.
#[tokio::test]
async fn a_passed_deadline_sends_nothing() {
    let server = silent().await;
    let client = client();
    let result = client.send(request(&server.url()), &local(), Instant::now()).await;
    assert!(matches!(result, Err(CallbackError::Timeout { .. })), "{result:?}");
    let other = Server::respond(LOCALHOST, crate::server::OK).await;
    call(&client, &other.url(), &local()).await;
    assert!(server.requests().is_empty());
}
