//! Whatever else arrives on the port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;

use super::availability::answers;
use crate::support::site::Site;

/// Somebody who trusts the webhook's authority.
struct Caller {
    port: u16,
    config: Arc<ClientConfig>,
}

impl Caller {
    async fn new(site: &Site, port: u16) -> Result<Self> {
        let secret = Api::<Secret>::namespaced(site.client(), NAMESPACE).get("eventcenter-webhook").await?;
        let data = secret.data.context("it has data")?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&data["ca.crt"].0) {
            roots.add(authority?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { port, config: Arc::new(config) })
    }

    fn connect(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), ServerName::try_from("127.0.0.1")?)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Everything that is answered to these bytes until the connection ends.
    fn say(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        // An end without TLS's own goodbye is an end as well.
        drop(stream.read_to_end(&mut answer));
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn post(&self, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        split(&self.say(&[head.as_bytes(), body.as_bytes()].concat())?)
    }
}

fn split(answer: &str) -> Result<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, body.to_owned()))
}

fn review(kind: &str, operation: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "one", "operation": operation, "name": "orders", "namespace": "wire",
            "kind": {"group": "eventcenter.io", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "eventcenter.io", "version": "v1alpha1", "resource": "eventtopics"},
            "userInfo": {"username": "somebody"}, "object": object, "oldObject": null, "dryRun": false,
        },
    })
}

#[tokio::test]
async fn what_is_no_review_is_told_so_and_disturbs_nobody() -> Result<()> {
    let site = Site::new("wire").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let webhook = site.webhook("a", port, &[], true)?;
    answers(&site, "wire").await;
    let caller = Caller::new(&site, port).await?;

    // Paths and methods.
    assert_eq!(caller.post("/", "{}")?.0, 404);
    assert_eq!(caller.post("/metrics", "{}")?.0, 404);
    assert_eq!(split(&caller.say(b"GET /validate HTTP/1.1\r\nHost: x\r\n\r\n")?)?.0, 405);
    // Bodies.
    assert_eq!(split(&caller.say(b"POST /validate HTTP/1.1\r\nHost: x\r\n\r\n")?)?.0, 411);
    for body in
        ["", "garbage", "{}", "[1, 2]", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#]
    {
        let (status, told) = caller.post("/validate", body)?;
        assert_eq!(status, 400, "{body}: {told}");
        assert!(told.starts_with("this is not an AdmissionReview of admission.k8s.io/v1: "), "{told}");
    }
    let mut other = review("EventTopic", "CREATE", &json!({"metadata": {}}));
    other["apiVersion"] = json!("admission.k8s.io/v1beta1");
    assert_eq!(caller.post("/validate", &other.to_string())?.0, 400);
    let huge = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n\r\n";
    assert_eq!(split(&caller.say(huge)?)?.0, 413);
    let cut = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this";
    assert_eq!(split(&caller.say(cut)?)?.0, 408, "the rest does not come");
    // Deeper than any parser should follow.
    let deep = format!("{{\"request\": {}", "[".repeat(100_000));
    assert_eq!(caller.post("/validate", &deep)?.0, 400);
    // Headers without an end.
    let endless = [&b"POST /validate HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(20_000)].concat();
    let answer = caller.say(&endless);
    assert!(
        answer.as_ref().map_or(true, |answer| answer.is_empty() || answer.contains(" 431 ")),
        "{answer:?}"
    );
    // Not TLS at all: HTTP, and noise.
    for bytes in [
        &b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff, 7],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "nothing is said without TLS");
    }

    // Many who connect and say nothing keep nobody out.
    let silent: Vec<TcpStream> =
        (0..200).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    assert_eq!(silent.len(), 200);
    answers(&site, "wire").await;
    drop(silent);
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_parsers_words() -> Result<()> {
    let site = Site::new("words").await?;
    let port = xtask::port::free()?;
    site.install_webhook(port)?;
    let _webhook = site.webhook("a", port, &[], true)?;
    answers(&site, "words").await;
    let caller = Caller::new(&site, port).await?;
    let ask = |review: &Value| -> Result<Value> {
        let (status, answer) = caller.post("/validate", &review.to_string())?;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer)?;
        assert_eq!(answer["response"]["uid"], "one");
        assert_eq!(answer["response"]["allowed"], false, "{answer}");
        Ok(answer["response"]["status"].clone())
    };
    let object = |spec: Value| json!({"metadata": {"name": "orders", "namespace": "words"}, "spec": spec});
    for (review, words) in [
        (
            review("EventTopic", "CREATE", &object(json!({"partitions": "three"}))),
            "invalid type: string \"three\"",
        ),
        (review("EventTopic", "CREATE", &json!({"metadata": {"name": "orders"}})), "missing field `spec`"),
        (
            review("EventTopic", "CREATE", &json!({"metadata": {"name": 7}})),
            "EventTopic wire/orders: invalid type: integer `7`, expected a string",
        ),
        (
            review("EventTopic", "EAT", &object(json!({}))),
            "the review cannot be parsed: unknown variant `EAT`",
        ),
        (review("EventTopic", "UPDATE", &Value::Null), "the review has no object"),
        (review("EventTopic", "CONNECT", &object(json!({}))), "the review has no object"),
        (review("Kitchen", "CREATE", &object(json!({}))), "the webhook does not review Kitchen"),
    ] {
        let status = ask(&review)?;
        assert!(status["message"].as_str().is_some_and(|message| message.contains(words)), "{status}");
        assert_eq!((&status["reason"], &status["code"]), (&json!("InvalidResource"), &json!(400)));
    }
    Ok(())
}
