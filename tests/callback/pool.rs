//! Connections that are kept alive.

use std::net::SocketAddr;
use std::time::Duration;

use eventcenter::callback::{CallbackError, CallbackOptions};
use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use crate::dns::Dns;
use crate::server::{OK, Server};
use crate::{LOCALHOST, LONG, OTHER_HOST, call, client, client_with, fail, local, policy};

#[tokio::test]
async fn a_connection_is_reused() {
    let server = Server::respond(LOCALHOST, OK).await;
    let client = client();
    for _ in 0..20 {
        call(&client.clone(), &server.url(), &local()).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_requests_have_a_limited_number_of_connections() {
    let server = Server::respond(LOCALHOST, OK).await;
    let client = client_with(&CallbackOptions { max_connections_per_host: 8, ..CallbackOptions::default() });
    let calls = (0..2000).map(|_| {
        let (client, url) = (client.clone(), server.url());
        tokio::spawn(async move { call(&client, &url, &local()).await })
    });
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status.as_u16(), 200);
    }
    assert_eq!(server.requests().len(), 2000);
    assert!(server.connections() <= 8, "{} connections", server.connections());
}

#[tokio::test]
async fn an_idle_connection_gives_way_to_another_host() {
    let (one, other) = (Server::respond(LOCALHOST, OK).await, Server::respond(LOCALHOST, OK).await);
    let client = client_with(&CallbackOptions { max_connections: 1, ..CallbackOptions::default() });
    for _ in 0..3 {
        call(&client, &one.url(), &local()).await;
        call(&client, &other.url(), &local()).await;
    }
    one.wait_for_closed(3).await;
    assert_eq!((one.connections(), other.connections()), (3, 3));
}

/// Requests of two hosts that wait for the only connection get it one after another.
#[tokio::test]
async fn requests_that_wait_for_a_connection_get_one() {
    let (one, other) = (Server::respond(LOCALHOST, OK).await, Server::respond(LOCALHOST, OK).await);
    let client = client_with(&CallbackOptions { max_connections: 1, ..CallbackOptions::default() });
    let policy = local();
    let urls: Vec<String> = (0..20).flat_map(|_| [one.url(), other.url()]).collect();
    join_all(urls.iter().map(|url| call(&client, url, &policy))).await;
    assert_eq!((one.requests().len(), other.requests().len()), (20, 20));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::respond(LOCALHOST, OK).await;
    let idle_timeout = Duration::from_millis(100);
    let client = client_with(&CallbackOptions { idle_timeout, ..CallbackOptions::default() });
    call(&client, &server.url(), &local()).await;
    server.wait_for_closed(1).await;
    call(&client, &server.url(), &local()).await;
    server.wait_for_closed(2).await;
}

#[tokio::test]
async fn the_connections_end_with_the_client() {
    let server = Server::respond(LOCALHOST, OK).await;
    let client = client();
    call(&client, &server.url(), &local()).await;
    drop(client);
    server.wait_for_closed(1).await;
}

/// Responds once to each connection, then closes it.
#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let server = Server::handle(LOCALHOST, |mut stream, log| async move {
        log.read(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let other = Server::respond(LOCALHOST, OK).await;
    let client = client();
    for count in 1..=20 {
        call(&client, &server.url(), &local()).await;
        server.wait_for_closed(count).await;
        // The client learns of the end of one connection before it reads from another.
        call(&client, &other.url(), &local()).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 20));
}

/// A request that the server has received may have had its effect.
#[tokio::test]
async fn a_request_that_was_sent_is_not_repeated() {
    let server = Server::handle(LOCALHOST, |mut stream, log| async move {
        log.read(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        log.read(&mut stream).await;
    })
    .await;
    let client = client();
    call(&client, &server.url(), &local()).await;
    let error = fail(&client, &server.url(), &local(), LONG).await;
    assert!(matches!(error, CallbackError::Closed { .. }) && error.may_have_been_sent(), "{error:?}");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_of_one_tenant_does_not_serve_another() {
    let server = Server::respond(LOCALHOST, OK).await;
    let client = client();
    call(&client, &server.url(), &policy("shop", &["127.0.0.1"])).await;
    let error = fail(&client, &server.url(), &policy("bank", &[]), LONG).await;
    assert!(matches!(error, CallbackError::Refused(_)), "{error:?}");
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    call(&client, &server.url(), &policy("bank", &["127.0.0.1"])).await;
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

/// The name is still allowed, but the address of the open connection is not.
#[tokio::test]
async fn a_connection_that_the_policy_no_longer_allows_is_not_used() {
    let before = Server::respond(OTHER_HOST, OK).await;
    let after = Server::respond_at(SocketAddr::new(LOCALHOST, before.address.port()), OK).await;
    let dns = Dns::start(&[&[OTHER_HOST], &[LOCALHOST]]).await;
    let client = dns.client();
    let url = before.url_of("api.example.com");
    call(&client, &url, &policy("shop", &["127.0.0.0/8"])).await;
    call(&client, &url, &policy("shop", &["127.0.0.1"])).await;
    assert_eq!((before.requests().len(), after.requests().len()), (1, 1));
    before.wait_for_closed(1).await;
}
