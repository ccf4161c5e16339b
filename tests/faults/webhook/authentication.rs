//! Callers of the webhook's port that are not the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use eventcenter::domain::audit::{Filter, LogName};
use eventcenter::webhook::manifest::TIMEOUT;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use xtask::operator::Operator;

use super::availability::{Stream, topic, wait_until_answered};
use super::caller::{Caller, Paths, review};
use crate::fixture::{FaultFixture, metric};
use crate::support::WriteMethod;
use crate::support::audit::AuditLogs;

/// The review of a topic that alice creates, which the mutating webhook answers with a seal in her name.
pub(super) fn made_up_review(namespace: &str) -> String {
    let mut object = topic(namespace, "orders", json!({"description": "made up"}));
    object["metadata"]["creationTimestamp"] = json!(null);
    let mut review = review("EventTopic", "CREATE", &object);
    review["request"]["userInfo"]["groups"] = json!(["system:authenticated"]);
    review.to_string()
}

/// The number of callers that a replica refused for this cause.
pub(super) fn count_refused(webhook: &Operator, cause: &str) -> f64 {
    let labels = [&*format!("cause=\"{cause}\"")];
    metric(webhook, "eventcenter_webhook_refused_callers_total", &labels).unwrap_or_default()
}

/// A tenant with approval rules, in whose namespace the webhook seals requesters.
async fn govern(t: &FaultFixture) {
    let rules = json!({"rules": [{"changes": ["Any"], "groups": ["approvers"]}]});
    t.tenant().patch_spec(json!({"approval": rules})).await;
    let probe = topic(&t.namespace, "probe", json!({}));
    t.eventually("the webhook seals requesters", async || {
        let answer = t.kube.write(&probe, WriteMethod::DryRun).await;
        if answer.body["metadata"]["annotations"]["eventcenter.io/request"].is_string() {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
}

#[tokio::test]
async fn a_local_process_gets_neither_a_seal_nor_a_record() -> Result<()> {
    let t = FaultFixture::new("forger").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    govern(&t).await;
    let caller = Caller::new(&t, port).await?;
    let made_up = made_up_review("forger");
    let logs = AuditLogs::in_folder(webhook.data());
    let log = LogName::of(Some("forger"));
    let count_records = async || logs.read(&log, &Filter::default()).await.len();
    let before = count_records().await;

    let secret = "0".repeat(64);
    for path in ["/validate", "/mutate", "/validate/", "/mutate/", "/", "/mutate/1800000000000", "/%6dutate"]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain([format!("/mutate/1800000000000-{secret}"), format!("/validate/1800000000000-{secret}")])
    {
        let (status, body) = caller.post(&path, &made_up)?;
        assert_eq!(status, 403, "{path}: {body}");
        assert!(!body.contains("patch"), "{body}");
    }
    assert_eq!(count_records().await, before);
    assert_eq!(count_refused(&webhook, "no_token"), 7.0);
    assert_eq!(count_refused(&webhook, "unknown_token"), 2.0);

    // The same review at the API server's path is answered with a seal, so the review is not what was refused.
    let paths = Paths::read(&t).await?;
    let (status, body) = caller.post(&paths.mutate, &made_up)?;
    assert_eq!(status, 200, "{body}");
    assert!(serde_json::from_str::<Value>(&body)?["response"]["patch"].is_array(), "{body}");
    Ok(())
}

#[tokio::test]
async fn announced_bodies_that_do_not_arrive_delay_nobody() -> Result<()> {
    let t = FaultFixture::new("announced").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let caller = Caller::new(&t, port).await?;
    let paths = Paths::read(&t).await?;

    let stream = Stream::begin(&t, "announced", 3);
    // Without the token, and by somebody who has it.
    for path in ["/validate", &paths.validate] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
        let stop = Arc::new(AtomicBool::new(false));
        let attackers: Vec<_> = (0..12)
            .map(|_| {
                let (caller, head, stop) = (caller.clone(), head.clone(), Arc::clone(&stop));
                std::thread::spawn(move || announce(&caller, &head, &stop))
            })
            .collect();
        stream.wait_for_progress(40).await;
        stop.store(true, Ordering::Relaxed);
        for attacker in attackers {
            tokio::task::spawn_blocking(|| attacker.join()).await?.expect("no panic")?;
        }
    }
    let (failed, last) = stream.end(&t, "announced").await?;
    assert_eq!(failed, 0, "{last}");
    Ok(())
}

/// Each guess makes the webhook read the configurations, at a limited rate and never in the way of reviews.
#[tokio::test]
async fn guesses_delay_nobody() -> Result<()> {
    let t = FaultFixture::new("guesses").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    let caller = Caller::new(&t, port).await?;
    let stream = Stream::begin(&t, "guesses", 3);
    let stop = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..12_u32)
        .map(|attacker| {
            let (caller, stop) = (caller.clone(), Arc::clone(&stop));
            std::thread::spawn(move || -> Result<()> {
                let mut guess = u64::from(attacker);
                while !stop.load(Ordering::Relaxed) {
                    guess += 12;
                    let (status, body) = caller.post(&format!("/mutate/1800000000000-{guess:064x}"), "{}")?;
                    assert_eq!(status, 403, "{body}");
                }
                Ok(())
            })
        })
        .collect();
    stream.wait_for_progress(40).await;
    stop.store(true, Ordering::Relaxed);
    for attacker in attackers {
        tokio::task::spawn_blocking(|| attacker.join()).await?.expect("no panic")?;
    }
    let (failed, last) = stream.end(&t, "guesses").await?;
    assert_eq!(failed, 0, "{last}");
    assert!(count_refused(&webhook, "unknown_token") >= 12.0);
    Ok(())
}

/// Connections that send nothing are closed in favour of later ones.
#[tokio::test]
async fn silent_connections_delay_nobody() -> Result<()> {
    let t = FaultFixture::new("silent").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let _webhook = t.parts.start_webhook("a", port, &[])?;
    wait_until_answered(&t).await;
    // Each review is on a new connection, and has as much time as those of the API server.
    let path = Paths::read(&t).await?.validate;
    let api_server = Caller::new(&t, port).await?.with_timeout(TIMEOUT);
    let mut silent = Vec::new();
    for _ in 0..3 {
        for _ in 0..1_000 {
            silent.push(TcpStream::connect(("127.0.0.1", port)).await?);
        }
        let caller = api_server.clone();
        let (path, review) = (path.clone(), made_up_review("silent"));
        let (status, body) = tokio::task::spawn_blocking(move || caller.post(&path, &review)).await??;
        assert_eq!(status, 200, "{body}");
    }
    Ok(())
}

/// The API server of the tests has a certificate for webhooks, see `dev/controlplane`.
#[tokio::test]
async fn only_clients_with_the_certificate_of_the_api_server_are_answered() -> Result<()> {
    let t = FaultFixture::new("certified").await?;
    let port = xtask::port::free()?;
    t.parts.install_webhook(port)?;
    let folder = t.parts.control_plane.data_dir();
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let authority = folder.join("ca.crt").display().to_string();
    let name = "kube-apiserver-webhook-client";
    let flags = ["--webhook-client-ca", &authority, "--webhook-client-name", name];
    let webhook = t.parts.start_webhook("a", port, &flags)?;
    wait_until_answered(&t).await;
    govern(&t).await;

    // The API server's own certificate, at a path without a token.
    let made_up = made_up_review("certified");
    let (certificate, key) = (read("webhook-client.crt")?, read("webhook-client.key")?);
    let api_server = Caller::with_certificate(&t, port, &certificate, &key).await?;
    assert_eq!(api_server.post("/mutate", &made_up)?.0, 200);
    assert_eq!(api_server.post("/elsewhere", &made_up)?.0, 403);

    // No certificate, one of another person by the same authority, and one of the same name by another authority.
    let admin = Caller::with_certificate(&t, port, &read("admin.crt")?, &read("admin.key")?).await?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let pair = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = parameters.signed_by(&pair, &authority)?.pem();
    let forger = Caller::with_certificate(&t, port, &certificate, &pair.serialize_pem()).await?;
    let anonymous = Caller::new(&t, port).await?;
    let paths = Paths::read(&t).await?;
    for caller in [&anonymous, &admin, &forger] {
        for path in ["/mutate", &paths.mutate] {
            let answer = caller.post(path, &made_up);
            assert!(answer.is_err(), "{answer:?}");
        }
    }
    t.eventually("all of them are counted", async || match count_refused(&webhook, "certificate") {
        6.0 => Ok(()),
        count => Err(count),
    })
    .await;
    wait_until_answered(&t).await;

    let missing = t.parts.start_webhook("b", xtask::port::free()?, &["--webhook-client-ca", "/missing.crt"]);
    let error = format!("{:#}", missing.err().context("it does not start")?);
    assert!(error.contains("reading /missing.crt (--webhook-client-ca)"), "{error}");
    let file = tempfile::NamedTempFile::new()?;
    let empty = file.path().to_str().context("UTF-8")?;
    let missing = t.parts.start_webhook("b", xtask::port::free()?, &["--webhook-client-ca", empty]);
    let error = format!("{:#}", missing.err().context("it does not start")?);
    assert!(error.contains("the file contains no certificate"), "{error}");
    Ok(())
}

/// Announces bodies that do not arrive, one after the other.
fn announce(caller: &Caller, head: &str, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let answer = caller.send(head.as_bytes())?;
        assert!(answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    Ok(())
}
