//! Responses that are too large, broken, or no HTTP.

use eventcenter::callback::{BodyEnd, CallbackError, CallbackOptions};
use expect_test::expect;
use tokio::io::AsyncWriteExt;

use crate::server::Server;
use crate::{LOCALHOST, LONG, call, client, client_with, fail, local, text};

#[tokio::test]
async fn a_body_is_read_up_to_its_maximum() {
    let client = client_with(&CallbackOptions { max_body_bytes: 1000, ..CallbackOptions::default() });
    for (length, read, end) in
        [(999, 999, BodyEnd::Complete), (1000, 1000, BodyEnd::Complete), (1001, 1000, BodyEnd::TooLarge)]
    {
        let body = "x".repeat(length);
        let sized = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let chunked =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
        for response in [sized, chunked] {
            let server = Server::respond(LOCALHOST, response).await;
            let response = call(&client, &server.url(), &local()).await;
            assert_eq!((response.body.len(), response.body_end), (read, end));
        }
    }
}

/// A body without an end does not stay in memory, nor does its connection stay open.
#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_closed() {
    let server = Server::handle(LOCALHOST, |mut stream, log| async move {
        log.read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
    })
    .await;
    let response = call(&client(), &server.url(), &local()).await;
    assert_eq!((response.body.len(), response.body_end), (64 * 1024, BodyEnd::TooLarge));
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_broken_body_is_reported() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nx\r\n",
    ] {
        let server = Server::handle(LOCALHOST, move |mut stream, log| async move {
            log.read(&mut stream).await;
            stream.write_all(response.as_bytes()).await.unwrap();
        })
        .await;
        let response = call(&client(), &server.url(), &local()).await;
        assert_eq!((&*response.body, response.body_end), (&b"part"[..], BodyEnd::Broken));
    }
}

#[tokio::test]
async fn a_response_that_is_no_http_is_an_error() {
    let large = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X-A: a\r\n".repeat(101));
    let mut texts = Vec::new();
    for response in
        [&large, &many, "SSH-2.0-OpenSSH_9.9\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 999999 X\r\n\r\n"]
    {
        let server = Server::respond(LOCALHOST, response).await;
        let error = fail(&client(), &server.url(), &local(), LONG).await;
        assert!(matches!(error, CallbackError::Protocol { .. }) && error.may_have_been_sent(), "{error:?}");
        texts.push(text(&error, server.address.port()));
    }
    expect![[r#"
        reading the response of 127.0.0.1:PORT: message head is too large
        reading the response of 127.0.0.1:PORT: message head is too large
        reading the response of 127.0.0.1:PORT: invalid HTTP version parsed
        reading the response of 127.0.0.1:PORT: invalid HTTP version parsed
        reading the response of 127.0.0.1:PORT: invalid HTTP status-code parsed"#]]
    .assert_eq(&texts.join("\n"));
}

#[tokio::test]
async fn a_connection_that_is_closed_or_reset_is_an_error() {
    let mut texts = Vec::new();
    for is_reset in [false, true] {
        let server = Server::handle(LOCALHOST, move |mut stream, log| async move {
            log.read(&mut stream).await;
            if is_reset {
                stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let error = fail(&client(), &server.url(), &local(), LONG).await;
        assert!(matches!(error, CallbackError::Closed { .. }) && error.may_have_been_sent(), "{error:?}");
        texts.push(text(&error, server.address.port()));
    }
    expect![[r#"
        127.0.0.1:PORT closed the connection before it responded: connection closed before message completed
        127.0.0.1:PORT closed the connection before it responded: connection error: Connection reset by peer (os error 104)"#]].assert_eq(&texts.join("\n"));
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_an_error() {
    let url = Server::respond(LOCALHOST, "").await.url();
    // The server has ended.
    let error = fail(&client(), &url, &local(), LONG).await;
    assert!(matches!(error, CallbackError::Connect { .. }) && !error.may_have_been_sent(), "{error:?}");
}
