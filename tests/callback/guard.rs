//! Addresses that a tenant may not call.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use eventcenter::callback::CallbackError;
use expect_test::expect;

use crate::dns::Dns;
use crate::server::{OK, Server};
use crate::{LOCALHOST, LONG, OTHER_HOST, call, client, fail, policy, text};

const MAPPED: IpAddr = IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1));

fn assert_refused(error: &CallbackError) {
    assert!(matches!(error, CallbackError::Refused(_)) && !error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_loopback_address_is_refused_in_any_form() {
    let server = Server::respond(LOCALHOST, OK).await;
    let client = client();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        for policy in [policy("shop", &[]), policy("shop", &["0.0.0.0/0", "::/0", "localhost"])] {
            assert_refused(&fail(&client, &server.url_of(host), &policy, LONG).await);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_of_a_forbidden_address_is_refused() {
    let server = Server::respond(LOCALHOST, OK).await;
    let dns = Dns::start(&[&[LOCALHOST]]).await;
    let error = fail(&dns.client(), &server.url_of("api.example.com"), &policy("shop", &[]), LONG).await;
    assert_refused(&error);
    expect!["HostNotAllowed: api.example.com resolves to 127.0.0.1, a loopback address, and tenant shop, which lists no hosts, may call public addresses only: use another host, or ask the platform's administrator to add 127.0.0.1 to spec.callbacks.hosts of Tenant shop, which then must list all hosts that the tenant calls"]
        .assert_eq(&text(&error, server.address.port()));
    let listed = policy("shop", &["api.example.com"]);
    assert_refused(&fail(&dns.client(), &server.url_of("api.example.com"), &listed, LONG).await);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_refused() {
    let allowed = Server::respond(OTHER_HOST, OK).await;
    let policy = policy("shop", &["127.0.0.2"]);
    for forbidden in [LOCALHOST, MAPPED] {
        let dns = Dns::start(&[&[OTHER_HOST, forbidden]]).await;
        assert_refused(&fail(&dns.client(), &allowed.url_of("api.example.com"), &policy, LONG).await);
    }
    assert_eq!(allowed.connections(), 0);
}

/// The name has an allowed address when it is checked, and a forbidden one when it is resolved again.
#[tokio::test]
async fn a_name_that_changes_its_address_does_not_lead_elsewhere() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let allowed = Server::respond(OTHER_HOST, closing).await;
    let forbidden =
        Server::respond_at(SocketAddr::new(LOCALHOST, allowed.address.port()), "HTTP/1.1 200 OK\r\n\r\n")
            .await;
    let dns = Dns::start(&[&[OTHER_HOST], &[LOCALHOST]]).await;
    let client = dns.client();
    let policy = policy("shop", &["127.0.0.2"]);
    let url = allowed.url_of("api.example.com");

    call(&client, &url, &policy).await;
    assert_eq!(dns.queries(), ["api.example.com."], "one connection resolves a name once");
    assert_refused(&fail(&client, &url, &policy, LONG).await);
    assert_eq!(dns.queries().len(), 2);
    assert_eq!((allowed.connections(), forbidden.connections()), (1, 0));
}

/// The certificate is checked against the name in the URL, and the virtual host is the one in the URL.
#[tokio::test]
async fn a_listed_name_may_have_listed_addresses() {
    let server = Server::respond(LOCALHOST, OK).await;
    let dns = Dns::start(&[&[LOCALHOST]]).await;
    let policy = policy("shop", &["*.example.com", "127.0.0.0/8"]);
    call(&dns.client(), &server.url_of("API.example.com."), &policy).await;
    let request = server.requests().remove(0);
    let host = format!("host: api.example.com:{}\r\n", server.address.port());
    assert!(request.contains(&host), "{request}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_reported() {
    let dns = Dns::start(&[&[]]).await;
    let error = fail(&dns.client(), "http://api.example.com", &policy("shop", &[]), LONG).await;
    assert!(matches!(error, CallbackError::NoAddress { .. }) && error.is_retryable(), "{error:?}");
    expect!["the host of api.example.com:PORT has no address: correct the name, and write it in full, because search domains are not used, such as NAME.NAMESPACE.svc.cluster.local for a Service"].assert_eq(&text(&error, 80));
}
