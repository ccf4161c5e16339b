//! Requests on the webhook's port that are no reviews.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::availability::wait_until_answered;
use super::caller::{Caller, Paths, review, split};
use crate::fixture::FaultFixture;

#[tokio::test]
async fn requests_that_are_no_reviews_are_refused() -> Result<()> {
    let t = FaultFixture::new("wire").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let caller = Caller::new(&t, port).await?;

    // Paths and methods.
    let path = Paths::read(&t).await?.validate;
    for other in ["/", "/metrics", "/validate"] {
        assert_eq!(caller.post(other, "{}")?.0, 403);
        assert_eq!(caller.send_head(&format!("GET {other}"), "")?.0, 403);
    }
    assert_eq!(caller.send_head(&format!("GET {path}"), "")?.0, 405);
    // Bodies.
    let post = format!("POST {path}");
    assert_eq!(caller.send_head(&post, "")?.0, 411);
    for body in
        ["", "garbage", "{}", "[1, 2]", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#]
    {
        let (status, text) = caller.post(&path, body)?;
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.starts_with("this is not an AdmissionReview of admission.k8s.io/v1: "), "{text}");
    }
    let mut other = review("EventTopic", "CREATE", &json!({"metadata": {}}));
    other["apiVersion"] = json!("admission.k8s.io/v1beta1");
    assert_eq!(caller.post(&path, &other.to_string())?.0, 400);
    assert_eq!(caller.send_head(&post, "Content-Length: 8388609\r\n")?.0, 413);
    let cut = format!("{post} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
    assert_eq!(split(&caller.send(cut.as_bytes())?)?.0, 408, "the rest of the body is missing");
    // Deeper than any parser should descend.
    let deep = format!("{{\"request\": {}", "[".repeat(100_000));
    assert_eq!(caller.post(&path, &deep)?.0, 400);
    // Headers without an end.
    let endless = [&b"POST /validate HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(20_000)].concat();
    let answer = caller.send(&endless);
    assert!(
        answer.as_ref().map_or(true, |answer| answer.is_empty() || answer.contains(" 431 ")),
        "{answer:?}"
    );
    // HTTP without TLS, and noise.
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
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "no answer without TLS");
    }

    // Many silent connections do not block others.
    let silent: Vec<TcpStream> =
        (0..200).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    assert_eq!(silent.len(), 200);
    wait_until_answered(&t).await;
    drop(silent);
    assert!(webhook.stop()?.success());
    Ok(())
}

#[tokio::test]
async fn undecodable_reviews_are_refused_with_the_parsers_error() -> Result<()> {
    let t = FaultFixture::new("decode").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let caller = Caller::new(&t, port).await?;
    let path = Paths::read(&t).await?.validate;
    let send_review = |review: &Value| -> Result<Value> {
        let (status, answer) = caller.post(&path, &review.to_string())?;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer)?;
        assert_eq!(answer["response"]["uid"], "one");
        assert_eq!(answer["response"]["allowed"], false, "{answer}");
        Ok(answer["response"]["status"].clone())
    };
    let object = |spec: Value| json!({"metadata": {"name": "orders", "namespace": "decode"}, "spec": spec});
    for (review, expected) in [
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
        let status = send_review(&review)?;
        assert!(status["message"].as_str().is_some_and(|message| message.contains(expected)), "{status}");
        assert_eq!((&status["reason"], &status["code"]), (&json!("InvalidResource"), &json!(403)));
    }
    Ok(())
}
