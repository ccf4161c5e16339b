//! Requests and responses.

use std::process::Command;

use eventcenter::callback::{BodyEnd, CallbackError, HeaderValue, Method};
use expect_test::expect;
use tokio::time::Instant;

use crate::server::{OK, Server};
use crate::{LOCALHOST, LONG, call, client, local, request, text};

#[tokio::test]
async fn a_request_arrives_as_it_is_declared() {
    let server = Server::respond(LOCALHOST, OK).await;
    let response = call(&client(), &server.url(), &local()).await;
    assert_eq!((response.status.as_u16(), &*response.body), (200, &b"ok"[..]));
    assert_eq!(response.body_end, BodyEnd::Complete);
    let request = server.requests().remove(0).replace(&server.address.port().to_string(), "PORT");
    expect![[r#"
        POST /secret-path?key=secret-query HTTP/1.1
        x-api-key: secret-header
        host: 127.0.0.1:PORT
        user-agent: eventcenter/0.1.0
        content-length: 11

        secret-body"#]]
    .assert_eq(&request.replace('\r', ""));
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let target = Server::respond(LOCALHOST, OK).await;
    for location in ["http://169.254.169.254/latest/meta-data/".to_owned(), target.url()] {
        let redirect = format!("HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::respond(LOCALHOST, redirect).await;
        let response = call(&client(), &server.url(), &local()).await;
        assert_eq!(response.status.as_u16(), 307);
        assert_eq!(response.headers["location"], location);
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn any_status_is_a_response() {
    for status in [201, 204, 404, 429, 500, 503] {
        let server =
            Server::respond(LOCALHOST, format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(call(&client(), &server.url(), &local()).await.status.as_u16(), status);
    }
}

#[tokio::test]
async fn what_determines_the_route_is_not_sent() {
    let server = Server::respond(LOCALHOST, OK).await;
    let mut host = request(&server.url());
    host.headers.insert("host", HeaderValue::from_static("secret.internal.example"));
    let mut tunnel = request(&server.url());
    tunnel.method = Method::CONNECT;
    let mut texts = Vec::new();
    for request in [host, tunnel] {
        let error = client().send(request, &local(), Instant::now() + LONG).await.expect_err("refused");
        assert!(matches!(error, CallbackError::Refused(_)) && !error.is_retryable(), "{error:?}");
        texts.push(text(&error, server.address.port()));
    }
    assert_eq!(server.connections(), 0);
    expect![[r#"
        InvalidResource: spec.target.http.headers: the header host is set by the operator: remove it
        InvalidResource: spec.target.http.method: CONNECT and TRACE are not sent: write another method, such as POST"#]]
    .assert_eq(&texts.join("\n"));
}

/// Runs the first test of this module again, in a process with these variables.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let proxy = Server::respond(LOCALHOST, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    let url = proxy.url();
    let run = move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "exchange::a_request_arrives_as_it_is_declared"]);
        for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env(variable, &url);
        }
        command.output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.connections(), 0);
}
